"""Our own table of activities, for whoever has figures in no other format: CSV or XLSX, with one row per activity.

Energy stands in one of two columns: `energy_kwh` is what the site drew, `it_energy_kwh` what the computers drew, and
the PUE of the site is still applied to that. A row is known by what it describes and not by its figures, so that a
corrected figure is the same row. Each column is described here once, for the template, the page and the guide.

| flag | what was seen |
|---|---|
| tier_claimed | the table claims more than a typed figure: somebody has to show the measurement |
"""

import re
from collections.abc import Iterable
from decimal import Decimal

from registry.engine.canonical import sha256
from registry.engine.emissions import ItEnergy, SiteEnergy
from registry.importers import blank
from registry.importers.blank import Column
from registry.importers.lines import NOT_A_ZONE, ZONE, ImportedFile, ImportedLine, measurement_key
from registry.importers.table import BadFile, Cells, Flag, Limits, RowError, bad_file, cells_of, sha256_hex
from registry.importers.xlsx import read_any

LIMITS = Limits(max_bytes=20_000_000, max_rows=100_000, max_columns=20, max_cell=500)
ACTIVITIES = ("training", "fine_tuning", "inference", "evaluation")
DECLARED = "declared"
COLUMNS = (
    Column("label", True, "Name of the run or service, in at most 200 characters.", "owl-2 chat, Frankfurt"),
    Column("activity", True, "One of training, fine_tuning, inference, evaluation.", "inference"),
    Column("method", False, "How the figure was obtained; declared if empty.", "smart meter"),
    Column("started_at", False, "Begin, with its zone; write it as text.", "2027-03-01T00:00:00Z"),
    Column("ended_at", False, "End, with its zone; write it as text.", "2027-04-01T00:00:00Z"),
    Column("zone", False, "Grid zone or country, in capital letters.", "DEU"),
    Column("energy_kwh", False, "Energy that the site drew, cooling and losses included.", "1250.5"),
    Column("it_energy_kwh", False, "Or: energy that the computers drew, to which the PUE is applied.", ""),
    Column("flop", False, "Operations, a whole number; write a long one as text.", "3e21"),
    Column("requests", False, "Requests served, a whole number.", "1200000"),
    Column("tokens", False, "Tokens made, a whole number.", "480000000"),
    Column("claimed_co2e_g", False, "Your own figure of the emissions in g CO2e; it is compared only.", "476000"),
    Column("tier", False, "How it was measured, from 0 typed to 5 guaranteed by hardware.", "3"),
)
REQUIRED = tuple(column.name for column in COLUMNS if column.is_required)
FIGURES = ("energy_kwh", "it_energy_kwh", "flop")
MOST_KWH, MOST_GRAMS = Decimal(10**12), Decimal(10**18)
MOST_FLOP, MOST_COUNT, HIGHEST_TIER = 10**36 - 1, 10**18, 5

_ACTIVITY = re.compile("|".join(ACTIVITIES))


def template_csv() -> bytes:
    """Return the empty table for any program."""
    return blank.template_csv(COLUMNS)


def template_xlsx() -> bytes:
    """Return the empty table for a spreadsheet, with a sheet that says what stands where."""
    return blank.template_xlsx(COLUMNS)


def parse_template(content: bytes, *, limits: Limits = LIMITS) -> ImportedFile | BadFile:
    """Read a filled-in table, or refuse it with every error in it."""
    table = read_any(content, required=REQUIRED, limits=limits)
    errors = list(table.errors)
    if not errors:
        errors += unknown_columns(table.columns)
    flags: list[Flag] = []
    lines: list[ImportedLine] = []
    first: dict[str, int] = {}
    for cells in cells_of(table, errors, limits):
        line = read_row(cells, flags)
        if line is None:
            continue
        if line.key in first:
            sentence = f"Line {first[line.key]} describes the same: merge the two, or tell them apart by label or time."
            cells.refuse("label", "row_twice", sentence)
        first.setdefault(line.key, line.line)
        lines.append(line)
    if errors:
        return bad_file(content, table, errors)
    return ImportedFile(sha256_hex(content), "template", "1", tuple(lines), tuple(flags))


def unknown_columns(columns: Iterable[str]) -> list[RowError]:
    """Refuse columns that the template does not have: they would be lost without a word."""
    known = [column.name for column in COLUMNS]
    return [
        RowError(1, name[:60] or "column", "unknown_column", f"Known columns are: {', '.join(known)}.")
        for name in columns
        if name not in known
    ]


def read_row(cells: Cells, flags: list[Flag]) -> ImportedLine | None:
    """Read one row, or nothing where a cell is wrong; every cell is read first, so that every error is listed."""
    before = len(cells.errors)
    line = _line(cells)
    if len(cells.errors) > before:
        return None
    if line.tier:
        sentence = f"The row claims tier {line.tier}: show the verifier how it was measured."
        flags.append(Flag(line.line, "tier", "tier_claimed", sentence))
    return line


def _line(cells: Cells) -> ImportedLine:
    """Read one row; a cell that cannot be read adds its error and reads as empty."""
    label = cells.text("label", required=True, longest=200)
    activity = cells.choice("activity", _ACTIVITY, "activity_unknown", f"Write one of: {', '.join(ACTIVITIES)}.")
    method = cells.text("method", longest=60) or DECLARED
    started_at, ended_at = cells.instant("started_at"), cells.instant("ended_at")
    if started_at and ended_at and started_at >= ended_at:
        cells.refuse("ended_at", "ends_before_start", "The end has to come after the beginning: correct one of them.")
    zone = cells.choice("zone", ZONE, "not_a_zone", NOT_A_ZONE, required=False)
    site = cells.decimal("energy_kwh", Decimal(0), MOST_KWH)
    computers = cells.decimal("it_energy_kwh", Decimal(0), MOST_KWH)
    if site is not None and computers is not None:
        cells.refuse("it_energy_kwh", "energy_twice", "Fill in energy_kwh or it_energy_kwh, and not both.")
    if not any(cells.row.cells.get(column, "").strip() for column in FIGURES):
        cells.refuse("label", "row_says_nothing", "This row has neither energy nor FLOP: fill one in, or leave it out.")
    at_site = SiteEnergy(site) if site is not None else None
    drawn = ItEnergy(computers) if computers is not None else None
    return ImportedLine(
        line=cells.row.line,
        key=measurement_key("template", sha256([label, activity, method, str(started_at), str(ended_at), zone])[:40]),
        label=label,
        method=method,
        energy=at_site or drawn,
        flop=cells.whole("flop", 0, MOST_FLOP) or 0,
        activity=activity,
        zone=zone,
        started_at=started_at,
        ended_at=ended_at,
        requests=cells.whole("requests", 0, MOST_COUNT),
        tokens=cells.whole("tokens", 0, MOST_COUNT),
        claimed_co2e_g=cells.decimal("claimed_co2e_g", Decimal(0), MOST_GRAMS),
        tier=cells.whole("tier", 0, HIGHEST_TIER),
        evidence=dict(cells.row.cells),
    )
