"""Reads for those who supervise reports: who is late, who was estimated, which figures stand out, how well is measured.

A fixed number of queries for a period, however many operators it has.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from registry.engine.emissions.plausibility import HARDWARE, YEARLY_CHANGE
from registry.models import Finding, Operator, Period, Report, ReportLine, Scheme, System

IN_FORCE = ("verified", "determined")
FACTOR_TOLERANCE = Fraction(1, 100)
"""Claimed emissions that differ by more from ours are shown."""

JOULES_PER_KWH = 3_600_000
LOWEST_JOULES_PER_FLOP = min(hardware.lowest_joules_per_flop for hardware in HARDWARE.values())
"""Less energy per FLOP than the best hardware we know needs at its peak."""


@dataclass(frozen=True)
class Supervised:
    """What the desk looks at of one operator in one period: its latest report and what stands out in it."""

    operator: Operator
    report: Report | None
    is_overdue: bool
    is_estimated: bool
    total: Decimal | None
    change: Fraction | None
    """Against the figure in force for the year before."""
    open_findings: int
    outliers: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Overview:
    """A period as the desk supervises it."""

    rows: list[Supervised]
    tiers: list[tuple[str, int, Fraction, int]]
    """Each tier with its number of lines and its share of the total, exact and in whole per cent."""

    @property
    def overdue(self) -> list[Supervised]:
        """Those of whom nothing is in force although reports were due."""
        return [row for row in self.rows if row.is_overdue]

    @property
    def estimated(self) -> list[Supervised]:
        """Those whose figure is the regulator's own."""
        return [row for row in self.rows if row.is_estimated]

    @property
    def outlying(self) -> list[Supervised]:
        """Those of whom something stands out."""
        return [row for row in self.rows if row.outliers]


def overview(period: Period, now: datetime) -> Overview:
    """Return every liable operator of a period with what stands out, and how well the period is measured."""
    is_flop = period.scheme.metric == Scheme.Metric.FLOP
    operators = list(
        Operator.objects.filter(scheme_id=period.scheme_id, first_year__lte=period.year)
        .exclude(last_year__lt=period.year)
        .exclude(excluded_years__contains=[period.year])
        .select_related("organisation")
        .order_by("organisation__name", "pk")
    )
    latest: dict[uuid.UUID, Report] = {}
    in_force: dict[uuid.UUID, Report] = {}
    before: dict[uuid.UUID, Report] = {}
    found = Report.objects.filter(operator__in=operators, period__year__in=[period.year - 1, period.year])
    for filed in found.select_related("period").order_by("version"):
        if filed.period_id == period.pk:
            latest[filed.operator_id] = filed
        if filed.status in IN_FORCE:
            (in_force if filed.period_id == period.pk else before)[filed.operator_id] = filed
    shown = {pk: in_force.get(pk) or report for pk, report in latest.items()}
    claims = _claims([report.pk for report in shown.values()])
    findings = dict(
        Finding.objects.filter(report__operator__in=operators, report__period=period)
        .exclude(status="closed")
        .order_by()
        .values_list("report__operator")
        .annotate(Count("id"))
    )
    rows = []
    for operator in operators:
        report = shown.get(operator.pk)
        last = before.get(operator.pk)
        total = None if report is None else _total(report, is_flop)
        change = _change(total, None if last is None else _total(last, is_flop))
        rows.append(
            Supervised(
                operator=operator,
                report=report,
                is_overdue=now >= period.report_due and operator.pk not in in_force,
                is_estimated=report is not None and report.kind == Report.Kind.ESTIMATE,
                total=total,
                change=change,
                open_findings=findings.get(operator.pk, 0),
                outliers=_outliers(report, change, claims),
            )
        )
    return Overview(rows, _tiers([report.pk for report in shown.values()], is_flop))


def _total(report: Report, is_flop: bool) -> Decimal:
    return report.flop if is_flop else report.co2e_g


def _change(total: Decimal | None, last: Decimal | None) -> Fraction | None:
    if total is None or not last:
        return None
    return Fraction(total) / Fraction(last) - 1


def _claims(reports: list[uuid.UUID]) -> dict[uuid.UUID, tuple[Decimal, Decimal]]:
    """Return what each report's lines claim to emit and what we make of the same lines."""
    lines = ReportLine.objects.filter(report__in=reports, claimed_co2e_g__isnull=False).order_by()
    sums = lines.values_list("report").annotate(claimed=Sum("claimed_co2e_g"), ours=Sum("co2e_g"))
    return {report: (claimed, ours) for report, claimed, ours in sums.values_list("report", "claimed", "ours")}


def _outliers(
    report: Report | None, change: Fraction | None, claims: dict[uuid.UUID, tuple[Decimal, Decimal]]
) -> tuple[str, ...]:
    """Say what stands out, in words."""
    if report is None:
        return ()
    said = []
    if change is not None and abs(change) > YEARLY_CHANGE:
        said.append(f"{float(change) * 100:+.0f} % against the year before")
    if report.flop and report.energy_kwh:
        joules = Fraction(report.energy_kwh) * JOULES_PER_KWH / Fraction(report.flop)
        if joules < LOWEST_JOULES_PER_FLOP:
            said.append(f"{float(joules) * 1e12:.2g} pJ per FLOP, less than the best hardware needs")
    claimed, ours = claims.get(report.pk, (None, None))
    if claimed is not None and ours and abs(Fraction(claimed) / Fraction(ours) - 1) > FACTOR_TOLERANCE:
        said.append(f"claims {float(Fraction(claimed) / Fraction(ours) - 1) * 100:+.0f} % of our emissions")
    return tuple(said)


def _tiers(reports: list[uuid.UUID], is_flop: bool) -> list[tuple[str, int, Fraction, int]]:
    """Return for each tier how many lines and how much of the total were measured at it."""
    lines = ReportLine.objects.filter(report__in=reports).order_by()
    sums = lines.values(measured=Coalesce("tier", 0)).annotate(
        lines=Count("id"), total=Sum("flop" if is_flop else "co2e_g")
    )
    by_tier = {row["measured"]: (row["lines"], Fraction(row["total"])) for row in sums}
    everything = sum((total for _, total in by_tier.values()), Fraction(0))
    listed = []
    for tier, label in System.Tier.choices:
        count, total = by_tier.get(tier, (0, Fraction(0)))
        share = total / everything if everything else Fraction(0)
        listed.append((label, count, share, int(share * 100)))
    return listed
