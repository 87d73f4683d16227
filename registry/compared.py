"""A draft beside the last figures that were verified: in total, by activity and by system, with what needs a reason."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db.models import QuerySet, Sum

from registry.drafted import counting
from registry.models import Draft, DraftLine, Report, ReportLine, Scheme, System

IN_FORCE = ("verified", "determined")
NEEDS_REASON = Fraction(30, 100)
"""A change by more than this is asked about."""


@dataclass(frozen=True)
class Change:
    """One figure then and now."""

    name: str
    then: Decimal
    now: Decimal

    @property
    def share(self) -> Fraction | None:
        """The change as a share of the figure then; nothing where there was none."""
        return Fraction(self.now) / Fraction(self.then) - 1 if self.then else None

    @property
    def words(self) -> str:
        """The change as a person reads it."""
        share = self.share
        if share is None:
            return "new" if self.now else ""
        if not self.now:
            return "nothing this time"
        return f"{float(share) * 100:+.1f} %".replace("-", "\N{MINUS SIGN}")

    @property
    def needs_reason(self) -> bool:
        """Whether a verifier will ask why."""
        share = self.share
        return bool(self.now) if share is None else abs(share) > NEEDS_REASON


@dataclass(frozen=True)
class Comparison:
    """A draft beside the report of an earlier period."""

    report: Report
    total: Change
    activities: tuple[Change, ...]
    systems: tuple[Change, ...]

    @property
    def groups(self) -> list[tuple[str, tuple[Change, ...]]]:
        """The figures as the table shows them: each group with its title."""
        return [("", (self.total,)), ("By activity", self.activities), ("By system", self.systems)]

    @property
    def is_flagged(self) -> bool:
        """Whether anything needs a reason."""
        return any(each.needs_reason for each in (self.total, *self.activities, *self.systems))


def compare(draft: Draft) -> Comparison | None:
    """Set a draft beside the latest earlier report that is in force; nothing where there is none."""
    report = (
        Report.objects.filter(
            operator_id=draft.operator_id, period__ends_on__lt=draft.period.starts_on, status__in=IN_FORCE
        )
        .select_related("period__scheme")
        .order_by("-period__ends_on", "-version")
        .first()
    )
    if report is None:
        return None
    column = "flop" if draft.operator.scheme.metric == Scheme.Metric.FLOP else "co2e_g"
    then, now = _sums(ReportLine.objects.filter(report=report), column), _sums(counting(draft), column)
    names = {
        system.pk: str(system)
        for system in System.objects.filter(pk__in={key for _, key in {**then, **now} if key}).select_related("site")
    }
    labels = dict(ReportLine.Activity.choices)
    return Comparison(
        report=report,
        total=Change("Total", _total(report, column, then), sum(now.values(), Decimal(0))),
        activities=_changes({key: labels[key[0]] for key in {**then, **now}}, then, now),
        systems=_changes({key: names[key[1]] if key[1] else "No system named" for key in {**then, **now}}, then, now),
    )


Sums = dict[tuple[str, UUID | None], Decimal]


def _sums(lines: "QuerySet[ReportLine] | QuerySet[DraftLine]", column: str) -> Sums:
    """Return the sums of lines by activity and system, in one query."""
    rows = lines.order_by().values_list("activity", "workload__system").annotate(sum=Sum(column))
    return {(activity, system): figure for activity, system, figure in rows}


def _total(report: Report, column: str, then: Sums) -> Decimal:
    """A determination may say only its total."""
    total: Decimal = getattr(report, column)
    return total or sum(then.values(), Decimal(0))


def _changes(names: dict[tuple[str, UUID | None], str], then: Sums, now: Sums) -> tuple[Change, ...]:
    """Add figures up by name, the largest first."""
    sums: defaultdict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for key, name in names.items():
        sums[name][0] += then.get(key, 0)
        sums[name][1] += now.get(key, 0)
    changes = [Change(name, *figures) for name, figures in sums.items() if any(figures)]
    return tuple(sorted(changes, key=lambda one: (-max(one.then, one.now), one.name)))
