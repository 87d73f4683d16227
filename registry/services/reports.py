"""Reports: what an operator used in a period, received as immutable versions with their lines and evidence.

The registry never takes a client's total. Energy is taken from the evidence and emissions are worked out with the
registry's own factors; FLOP are taken line by line. Whoever sends the same content again gets the first report back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import Q

from accounts.models import User
from accounts.services import audit
from common.errors import Refused, require, require_permission
from common.idempotency import fingerprint
from common.quantities import MAX_FLOP
from registry.engine.emissions import SiteEnergy, emissions
from registry.engine.factors import BUILT_IN, FactorTable
from registry.engine.rounding import exact, half_up
from registry.importers import codecarbon, epoch
from registry.importers.table import BadFile, RowError, sha256_hex
from registry.models import REPORT, Case, EvidenceFile, Operator, Period, Report, ReportLine, Scheme
from registry.permissions import may_report, regulator_of, verifier_for
from registry.services import obligations, operators, receipts, reminders
from registry.services.drafting import evidence as files
from registry.services.monitoring import plans

CODECARBON, EPOCH, DECLARED = "codecarbon", "epoch", "declared"
"""How the figures of a line were obtained."""

MAX_ENERGY_KWH = Decimal(10**15)
MAX_LINES = 10_000
KWH_PLACES, GRAM_PLACES = 12, 6
"""How finely energy and emissions are kept; finer digits of a measurement are rounded half-up, line by line."""


class RowsRefused(Refused):
    """Lines or a file with errors: each is named with its line and column, and nothing was stored."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        first = errors[0]
        count = "One error" if len(errors) == 1 else f"{len(errors):,} errors"
        super().__init__(
            "rows_refused",
            f"{count}; nothing was stored. Line {first.line}, {first.column}: {first.sentence}",
        )
        self.errors = tuple(errors)


@dataclass(frozen=True)
class LineInput:
    """One activity as a person types it: its FLOP, its energy at the site, and the country that energy came from."""

    label: str
    activity: str
    flop: int | Decimal = 0
    energy_kwh: Decimal = Decimal(0)
    country: str = ""
    claimed_co2e_g: Decimal | None = None


def submit_codecarbon(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    name: str,
    content: bytes,
    boundary: str,
    activity: str,
    now: datetime,
    factors: FactorTable = BUILT_IN,
) -> Report:
    """File what CodeCarbon measured, recomputed with our factors. A file with any error is refused with all of them."""
    _require_reporter(actor, operator)
    _require_metric(
        operator.scheme, Scheme.Metric.CO2E, "A CodeCarbon file measures energy, and this scheme counts FLOP."
    )
    parsed = codecarbon.parse_emissions_csv(content, factors=factors)
    if isinstance(parsed, BadFile):
        raise RowsRefused(parsed.errors)
    lines = [
        ReportLine(
            number=row.line,
            label=" / ".join(filter(None, (row.project_name, row.task_name)))[:200],
            activity=activity,
            method=CODECARBON,
            energy_kwh=_kept(row.energy.kwh, KWH_PLACES),
            co2e_g=_kept(row.emissions.grams, GRAM_PLACES),
            claimed_co2e_g=_kept(row.reported_emissions_kg * 1000, GRAM_PLACES),
            factor_g_per_kwh=factors.factor(row.country_iso3).g_per_kwh,
            factor_source=_source(factors, row.country_iso3),
        )
        for row in parsed.rows
    ]
    flags = [_flag(flag.line, flag.column, flag.code, flag.sentence) for flag in parsed.flags]
    return _file(actor, operator, period, lines, boundary, flags, (name, content), now)


def submit_epoch(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    name: str,
    content: bytes,
    organisation: str,
    year: int,
    boundary: str,
    now: datetime,
    activity: str = "training",
) -> Report:
    """File the training compute that Epoch AI's data give one organisation for the models of one year."""
    _require_reporter(actor, operator)
    _require_metric(operator.scheme, Scheme.Metric.FLOP, "Epoch's file gives FLOP, and this scheme counts CO2e.")
    parsed = epoch.parse_notable_models(content)
    if isinstance(parsed, BadFile):
        raise RowsRefused(parsed.errors)
    lines = []
    for model in parsed.models:
        share = epoch.training_flop_by_organisation_and_year([model]).get((organisation, year), 0)
        if share:
            lines.append(
                ReportLine(number=model.line, label=model.model[:200], activity=activity, method=EPOCH, flop=share)
            )
    require(bool(lines), "no_lines", f"The file has no model of {organisation} in {year} with known training compute.")
    numbers = {line.number for line in lines}
    flags = [_flag(flag.line, flag.column, flag.code, flag.sentence) for flag in parsed.flags if flag.line in numbers]
    return _file(actor, operator, period, lines, boundary, flags, (name, content), now)


def submit_lines(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    lines: Sequence[LineInput],
    boundary: str,
    now: datetime,
    factors: FactorTable = BUILT_IN,
) -> Report:
    """File typed figures; the verifier checks them against evidence kept elsewhere."""
    _require_reporter(actor, operator)
    errors = [error for number, line in enumerate(lines, start=1) for error in _line_errors(number, line)]
    if not 0 < len(lines) <= MAX_LINES:
        errors.append(
            RowError(1, "label", "no_lines", f"Enter from 1 to {MAX_LINES:,} lines; a year of no use is a 0.")
        )
    if errors:
        raise RowsRefused(errors)
    flags = []
    typed = []
    for number, line in enumerate(lines, start=1):
        recomputed = emissions(SiteEnergy(_kept(line.energy_kwh, KWH_PLACES)), line.country, factors)
        if line.energy_kwh and recomputed.default_factor:
            flags.append(_flag(number, "country", "country_unknown", "No factor: the world average was used."))
        typed.append(
            ReportLine(
                number=number,
                label=line.label.strip(),
                activity=line.activity,
                method=DECLARED,
                flop=Decimal(int(line.flop)),
                energy_kwh=_kept(line.energy_kwh, KWH_PLACES),
                co2e_g=_kept(recomputed.grams, GRAM_PLACES),
                claimed_co2e_g=line.claimed_co2e_g,
                factor_g_per_kwh=factors.factor(line.country).g_per_kwh if line.energy_kwh else None,
                factor_source=_source(factors, line.country) if line.energy_kwh else "",
            )
        )
    return _file(actor, operator, period, typed, boundary, flags, None, now)


@transaction.atomic(durable=True)
def return_report(*, actor: User, report: Report, reason: str, now: datetime) -> Report:
    """Send a submitted report back with a reason; the operator corrects it by a new version."""
    if not _is_regulator(actor):
        verifier_for(actor, report)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the operator can act on.")
    report = locked(report)
    move(report, "returned", reason=reason)
    obligations.follow(report.period, now, "The report was sent back.", operator=report.operator)
    audit.record(
        actor,
        "registry.report.returned",
        report,
        at=now,
        organisation=report.operator.organisation,
        reason=reason.strip(),
    )
    return report


def locked(report: Report) -> Report:
    """Lock a report for a move of its status."""
    return (
        Report.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "operator__scheme", "period")
        .get(pk=report.pk)
    )


def move(report: Report, status: str, *, reason: str = "") -> None:
    """Move a locked report along its lifecycle."""
    REPORT.require(report.status, status)
    report.status, report.return_reason = status, reason.strip()[:500]
    report.save(update_fields=["status", "return_reason"])


def require_correctable(period: Period, operator: Operator) -> None:
    """Refuse to touch a verified figure once the closing has begun; a missing one may still come, however late.

    A correction case that two officers upheld lets one corrected report in.
    """
    figures = Report.objects.filter(operator=operator, period=period).filter(
        Q(status="verified") | Q(status="determined", kind="determination")
    )
    admitted = Case.objects.filter(
        operator=operator, period=period, kind=Case.Kind.CORRECTION, status="upheld", details__admits_report=True
    )
    require(
        period.status == "open" or not figures.exists() or admitted.exists(),
        "period_closed",
        f"{period} is closing: a verified report cannot be corrected any more. Ask the regulator to open a case.",
    )


@transaction.atomic(durable=True)
def _file(
    actor: User,
    operator: Operator,
    period: Period,
    lines: Sequence[ReportLine],
    boundary: str,
    flags: Sequence[Mapping[str, object]],
    evidence: tuple[str, bytes] | None,
    now: datetime,
) -> Report:
    """Receive a report: take its instant under the period's lock, number the version, keep the lines and the file."""
    period, received_at = receipts.receive(period.pk)
    operator = operators.locked(operator)
    _require_reporter(actor, operator)
    require_liable(operator, period)
    boundary = boundary.strip()
    require(
        0 < len(boundary) <= 200, "boundary_missing", "Say what was measured, such as full stack or inference only."
    )
    _require_known_activities(lines)
    plan = plans.to_cite(operator, period)
    content_sha256 = fingerprint(
        {
            "boundary": boundary,
            "evidence": sha256_hex(evidence[1]) if evidence else None,
            "lines": _document(lines),
            **({"plan": plan.content_sha256} if plan else {}),
        }
    )
    latest = Report.objects.filter(operator=operator, period=period).order_by("-version").first()
    if latest is not None and latest.content_sha256 == content_sha256:
        return latest
    require_correctable(period, operator)
    if latest is not None and REPORT.allows(latest.status, "corrected"):
        move(locked(latest), "corrected", reason=latest.return_reason)
    report = Report.objects.create(
        operator=operator,
        period=period,
        version=latest.version + 1 if latest else 1,
        boundary=boundary,
        flags=list(flags),
        content_sha256=content_sha256,
        plan=plan,
        evidence=_keep(evidence, operator, actor, received_at) if evidence else None,
        submitted_by=actor,
        received_at=received_at,
        **_totals(lines),
    )
    for line in lines:
        line.report = report
    ReportLine.objects.bulk_create(lines, batch_size=1000)
    reminders.withdraw(period.code, "report", now, operator.organisation)
    obligations.follow(period, now, f"Version {report.version} of the report was submitted.", operator=operator)
    audit.record(
        actor,
        "registry.report.submitted",
        report,
        at=now,
        organisation=operator.organisation,
        version=report.version,
        content_sha256=content_sha256,
        received_at=received_at,
    )
    return report


def _keep(evidence: tuple[str, bytes], operator: Operator, actor: User, received_at: datetime) -> EvidenceFile:
    """Keep a file as it was received; the same bytes of the same organisation are kept once."""
    name, content = evidence
    return files.keep_bytes(
        organisation=operator.organisation, actor=actor, name=name or "evidence.csv", content=content, at=received_at
    )


def _totals(lines: Sequence[ReportLine]) -> dict[str, Decimal]:
    """Add the lines up; every kept digit is exact, so the sum is."""
    return {
        name: _kept(sum((exact(getattr(line, name)) for line in lines), exact(0)), places)
        for name, places in (("flop", 0), ("energy_kwh", KWH_PLACES), ("co2e_g", GRAM_PLACES))
    }


def _document(lines: Sequence[ReportLine]) -> list[list[str]]:
    return [
        [
            str(value)
            for value in (
                line.number,
                line.label,
                line.activity,
                line.method,
                line.flop,
                line.energy_kwh,
                line.co2e_g,
                line.claimed_co2e_g,
                line.factor_source,
            )
        ]
        for line in lines
    ]


def _line_errors(number: int, line: LineInput) -> list[RowError]:
    """List what is wrong with one typed line."""
    found = []
    if not 0 < len(line.label.strip()) <= 200:
        found.append(RowError(number, "label", "missing_value", "Name the run or service in at most 200 characters."))
    if line.activity not in ReportLine.Activity.values:
        found.append(RowError(number, "activity", "activity_unknown", "Choose one of the activities on the list."))
    bounds = (
        ("flop", Decimal(line.flop), Decimal(MAX_FLOP)),
        ("energy_kwh", line.energy_kwh, MAX_ENERGY_KWH),
        ("claimed_co2e_g", line.claimed_co2e_g or Decimal(0), Decimal(10**20)),
    )
    for column, figure, highest in bounds:
        if not figure.is_finite() or not 0 <= figure < highest:
            found.append(RowError(number, column, "number_out_of_range", f"Enter a figure from 0 up to {highest:.0e}."))
        elif column == "flop" and figure != int(figure):
            found.append(RowError(number, column, "not_whole", "FLOP are whole numbers."))
    if line.country and not (len(line.country) == 3 and line.country.isascii() and line.country.isupper()):
        found.append(RowError(number, "country", "not_a_country", "Write the country in three capital letters."))
    return found


def _require_reporter(actor: User, operator: Operator) -> None:
    require_permission(may_report(actor, operator.organisation), "Only an initiator or approver may report for it.")


def _require_metric(scheme: Scheme, metric: str, sentence: str) -> None:
    require(scheme.metric == metric, "metric_not_measured", f"{sentence} Send another file, or enter the lines.")


def require_liable(operator: Operator, period: Period) -> None:
    """Refuse figures for a period in which the operator is not liable."""
    require(
        period.scheme_id == operator.scheme_id, "period_of_another_scheme", "This period belongs to another scheme."
    )
    require(period.status != "draft", "period_not_open", f"{period} is not open yet: reports come later.")
    last = operator.last_year if operator.last_year is not None else period.year
    require(
        operator.first_year <= period.year <= last and period.year not in operator.excluded_years,
        "operator_not_liable",
        f"{operator.organisation} does not report for {period.year}.",
    )


def _require_known_activities(lines: Sequence[ReportLine]) -> None:
    require(
        all(line.activity in ReportLine.Activity.values for line in lines),
        "activity_unknown",
        "Choose one of the activities on the list.",
    )


def _is_regulator(actor: User) -> bool:
    try:
        regulator_of(actor)
    except Refused:
        return False
    return True


def _kept(figure: int | Decimal | object, places: int) -> Decimal:
    """Round a measurement half-up to the digits that are kept."""
    return Decimal(half_up(exact(figure) * 10**places)).scaleb(-places)  # type: ignore[arg-type]


def _source(factors: FactorTable, country: str) -> str:
    factor = factors.factor(country)
    return f"{factors.version}: {factor.zone} {factor.year}"[:120]


def _flag(line: int, column: str, code: str, sentence: str) -> dict[str, object]:
    return {"line": line, "column": column, "code": code, "sentence": sentence}
