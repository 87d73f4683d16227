"""Hourly serving records, from CSV bytes or the objects of a request: rows, or every error by line and column.

One row is what a stream served in one hour of UTC at one tier and operating point: requests, tokens where they are
counted, and the energy at the site, which has the PUE in it already.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from registry.importers.hourly import exact_places, read_hour, read_zone
from registry.importers.table import BadFile, Cells, Limits, Row, RowError, Table, bad_file, cells_of, read_table

LIMITS = Limits(max_bytes=12 * 2**20, max_rows=100_000, max_columns=20, max_cell=400)
MAX_OBJECTS = 10_000
REQUIRED = ("stream", "hour_utc", "zone", "tier", "operating_point", "requests", "energy_kwh")
COLUMNS = (*REQUIRED[:6], "tokens", "energy_kwh")
TIERS = ("full", "green")
MAX_KWH = Decimal(10**9) - 1
MOST = 10**15
KWH_PLACES = 12


@dataclass(frozen=True)
class ServingRow:
    """One record as it was read. `stream` is the id of a workload, or its name where that is unambiguous."""

    line: int
    stream: str
    hour: int
    zone: str
    tier: str
    operating_point: str
    requests: int
    tokens: int | None
    energy_kwh: Decimal


def parse_csv(content: bytes, *, limits: Limits = LIMITS) -> tuple[ServingRow, ...] | BadFile:
    """Return the records of a CSV file in its order, or every error that it has."""
    table = read_table(content, required=REQUIRED, limits=limits)
    return _parse(content, table, limits)


def parse_objects(content: bytes, records: Sequence[Mapping[str, object]]) -> tuple[ServingRow, ...] | BadFile:
    """Return the records of a request, checked like the rows of a file; their lines count from 1.

    `content` is the request as it is kept. A number with a point is refused: only text keeps every digit.
    """
    errors: list[RowError] = []
    rows = []
    columns = tuple(dict.fromkeys(name for record in records for name in record))
    for line, record in enumerate(records, start=1):
        cells = {}
        for name, value in record.items():
            if value is None or (isinstance(value, str) and value.isprintable()):
                cells[name] = value or ""
            elif isinstance(value, int) and not isinstance(value, bool):
                cells[name] = str(value) if abs(value) < 10**40 else "1" * 41
            else:
                errors.append(RowError(line, name, "not_text", "Write it as text or as a whole number."))
        errors += [
            RowError(line, name, "missing_value", "This is not there: add it.")
            for name in REQUIRED
            if name not in record
        ]
        rows.append(Row(line, {name: cells.get(name, "") for name in COLUMNS} | cells))
    if not 0 < len(records) <= MAX_OBJECTS:
        errors.append(RowError(1, "records", "no_rows", f"Send from 1 to {MAX_OBJECTS:,} records at once."))
    return _parse(content, Table(columns, tuple(rows) if not errors else (), tuple(errors)), LIMITS)


def _parse(content: bytes, table: Table, limits: Limits) -> tuple[ServingRow, ...] | BadFile:
    errors = list(table.errors)
    errors += [
        RowError(1, name[:60], "unknown_column", f"There is no such column here. Known are: {', '.join(COLUMNS)}.")
        for name in table.columns
        if name not in COLUMNS and not table.errors
    ]
    rows: list[ServingRow] = []
    first: dict[tuple[str, int, str, str], int] = {}
    for cells in cells_of(table, errors, limits):
        before = len(errors)
        row = _row(cells)
        if row is None or len(errors) > before:
            continue
        key = (row.stream, row.hour, row.tier, row.operating_point)
        if key in first:
            sentence = f"Line {first[key]} tells the same stream, hour, tier and operating point: merge the two."
            cells.refuse("hour_utc", "row_twice", sentence)
        first.setdefault(key, row.line)
        rows.append(row)
    return bad_file(content, table, errors) if errors else tuple(rows)


def _row(cells: Cells) -> ServingRow | None:
    stream = cells.text("stream", required=True, longest=160)
    hour, zone = read_hour(cells, "hour_utc"), read_zone(cells)
    tier = cells.text("tier", required=True)
    if tier and tier not in TIERS:
        cells.refuse("tier", "tier_unknown", f"Write one of: {', '.join(TIERS)}.")
    point = cells.text("operating_point", required=True, longest=40)
    requests = cells.whole("requests", 0, MOST, required=True)
    tokens = cells.whole("tokens", 0, MOST)
    kwh = exact_places(cells, "energy_kwh", cells.decimal("energy_kwh", Decimal(0), MAX_KWH, required=True), KWH_PLACES)
    if hour is None or requests is None or kwh is None:
        return None
    return ServingRow(cells.row.line, stream, hour, zone, tier, point, requests, tokens, kwh)
