"""Reports: what an operator used in a period, received as immutable versions with their lines and evidence.

The registry never takes a client's total. Energy is taken from the evidence and emissions are worked out with the
registry's own factors; FLOP are taken line by line. Whoever sends the same content again gets the first report back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import Refused, require
from common.quantities import MAX_FLOP
from registry.engine.emissions import SiteEnergy
from registry.engine.factors import BUILT_IN, FactorTable
from registry.importers import formats
from registry.importers.lines import ImportedFile, ImportedLine
from registry.importers.table import BadFile, RowError
from registry.models import Draft, Operator, Period, Report, ReportLine, Scheme
from registry.permissions import appointment_for, regulator_of
from registry.services import obligations
from registry.services.drafting import evidence as files
from registry.services.drafting import filing
from registry.services.drafting.lines import Flags, Valuation, put
from registry.services.versions import RowsRefused as RowsRefused
from registry.services.versions import locked as locked
from registry.services.versions import move as move
from registry.services.versions import require_correctable as require_correctable
from registry.services.versions import require_liable as require_liable
from registry.services.versions import require_metric, require_reporter

DECLARED = "declared"
"""How the figures of a typed line were obtained."""

MAX_ENERGY_KWH = Decimal(10**15)
MAX_LINES = 10_000


@dataclass(frozen=True)
class LineInput:
    """One activity as a person types it: its FLOP, its energy at the site, and the country that energy came from."""

    label: str
    activity: str
    flop: int | Decimal = 0
    energy_kwh: Decimal = Decimal(0)
    country: str = ""
    claimed_co2e_g: Decimal | None = None


@transaction.atomic(durable=True)
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
    require_reporter(actor, operator)
    require_metric(
        operator.scheme, Scheme.Metric.CO2E, "A CodeCarbon file measures energy, and this scheme counts FLOP."
    )
    require(activity in ReportLine.Activity.values, "activity_unknown", "Choose one of the activities on the list.")
    parsed = formats.parse_codecarbon(content, {})
    return _file(actor, operator, period, parsed, activity, boundary, (name, content), now, factors)


@transaction.atomic(durable=True)
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
    require_reporter(actor, operator)
    require_metric(operator.scheme, Scheme.Metric.FLOP, "Epoch's file gives FLOP, and this scheme counts CO2e.")
    parsed = formats.parse_epoch(content, {"organisation": organisation, "year": str(year), "activity": activity})
    if isinstance(parsed, BadFile) and [error.code for error in parsed.errors] == ["no_lines"]:
        raise Refused("no_lines", parsed.errors[0].sentence)
    return _file(actor, operator, period, parsed, activity, boundary, (name, content), now)


@transaction.atomic(durable=True)
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
    require_reporter(actor, operator)
    return _file(actor, operator, period, read_typed(lines), "", boundary, None, now, factors)


def read_typed(lines: Sequence[LineInput]) -> ImportedFile | BadFile:
    """Read typed lines as if they were a file; or name everything that is wrong with them."""
    errors = [error for number, line in enumerate(lines, start=1) for error in _line_errors(number, line)]
    if not 0 < len(lines) <= MAX_LINES:
        errors.append(
            RowError(1, "label", "no_lines", f"Enter from 1 to {MAX_LINES:,} lines; a year of no use is a 0.")
        )
    if errors:
        return BadFile("", tuple(errors))
    read = [
        ImportedLine(
            line=number,
            key=f"typed:{number}",
            label=line.label.strip(),
            method=DECLARED,
            energy=SiteEnergy(line.energy_kwh) if line.energy_kwh else None,
            flop=int(line.flop),
            activity=line.activity,
            zone=line.country,
            claimed_co2e_g=line.claimed_co2e_g,
            tier=0,
        )
        for number, line in enumerate(lines, start=1)
    ]
    return ImportedFile("", "typed", "", tuple(read), ())


def _file(
    actor: User,
    operator: Operator,
    period: Period,
    parsed: ImportedFile | BadFile,
    activity: str,
    boundary: str,
    evidence: tuple[str, bytes] | None,
    now: datetime,
    factors: FactorTable = BUILT_IN,
) -> Report:
    """Pass lines through a draft that nobody else sees; the same content again is the report of before."""
    if isinstance(parsed, BadFile):
        raise RowsRefused(parsed.errors)
    require_liable(operator, period)
    draft = filing.direct(operator, period, actor, now)
    flags = Flags()
    for flag in parsed.flags:
        flags.add(flag)
    put(parsed.lines, Valuation(draft, at=now, activity=activity, factors=factors), flags)
    file = None
    if evidence is not None:
        name, content = evidence
        file = files.keep_bytes(
            organisation=operator.organisation, actor=actor, name=name or "evidence.csv", content=content, at=now
        )
    report = filing.file(draft, actor=actor, boundary=boundary, now=now, flags=flags.stored(), evidence=file)
    Draft.objects.filter(pk=draft.pk, report=None).delete()  # the content was that of the newest version
    return report


@transaction.atomic(durable=True)
def return_report(*, actor: User, report: Report, reason: str, now: datetime) -> Report:
    """Send a submitted report back with a reason; the operator corrects it by a new version."""
    if not _is_regulator(actor):
        appointment_for(actor, report)
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


def _is_regulator(actor: User) -> bool:
    try:
        regulator_of(actor)
    except Refused:
        return False
    return True
