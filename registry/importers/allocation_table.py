"""The table of figures that an allocation rests on: CSV or XLSX bytes into checked rows, or every error of the file.

One row is one operator, year and product. A cell left empty says nothing, so that a row may bring one figure only.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from registry.importers.table import BadFile, Cells, Limits, RowError, bad_file, cells_of
from registry.importers.xlsx import read_any

LIMITS = Limits(max_bytes=8 * 2**20, max_rows=50_000)
COLUMNS = (
    "operator",
    "year",
    "product",
    "output",
    "use",
    "historical_level",
    "own_j_per_flop",
    "leakage_class",
    "proven_need",
    "conditions",
    "first_day",
    "applied_at",
    "applied_permits",
)
REQUIRED = ("operator", "year")
KEY = ("operator", "year", "product")

_HIGHEST, _MOST_J, _MOST_PERMITS = Decimal(10**36), Decimal(10**6), 10**15
_FINEST_FIGURE, _FINEST_J = 20, 40
"""Digits behind the point that are kept; a finer figure is refused and not rounded."""
_NAME = re.compile(r"[^\x00-\x1f;]{1,80}")


@dataclass(frozen=True)
class FigureRow:
    """One row as it was read. Figures are exact; what stands empty is None, or nothing for a text."""

    line: int
    operator: str
    year: int
    product: str
    output: Decimal | None
    use: Decimal | None
    historical_level: Decimal | None
    own_j_per_flop: Decimal | None
    leakage_class: str
    proven_need: int | None
    conditions: tuple[str, ...]
    first_day: date | None
    applied_at: datetime | None
    applied_permits: int | None


def parse(content: bytes) -> tuple[FigureRow, ...] | BadFile:
    """Return the rows of a table, or every error that it has."""
    table = read_any(content, required=REQUIRED, limits=LIMITS)
    errors = list(table.errors)
    errors += [
        RowError(
            1, column, "unknown_column", f"There is no column {column!r}. Take the template: {', '.join(COLUMNS)}."
        )
        for column in table.columns
        if column not in COLUMNS and not table.errors
    ]
    rows = [_row(cells) for cells in cells_of(table, errors, LIMITS)]
    errors += _repeated(rows)
    return bad_file(content, table, errors) if errors else tuple(rows)


def _row(cells: Cells) -> FigureRow:
    row = FigureRow(
        line=cells.row.line,
        operator=cells.text("operator", required=True, longest=30),
        year=cells.whole("year", 1900, 2200, required=True) or 0,
        product=_name(cells, "product"),
        output=_figure(cells, "output"),
        use=_figure(cells, "use"),
        historical_level=_figure(cells, "historical_level"),
        own_j_per_flop=_own(cells),
        leakage_class=_name(cells, "leakage_class"),
        proven_need=cells.whole("proven_need", 0, _MOST_PERMITS),
        conditions=_conditions(cells),
        first_day=cells.day("first_day"),
        applied_at=_instant(cells),
        applied_permits=cells.whole("applied_permits", 1, _MOST_PERMITS),
    )
    if (row.applied_at is None) != (row.applied_permits is None):
        cells.refuse("applied_permits", "application_incomplete", "Give both: when it was complete, and for how many.")
    if not row.product and any(figure is not None for figure in (row.output, row.historical_level)):
        cells.refuse("product", "missing_value", "Name the product that this output is of.")
    if not any(cells.row.cells.get(column, "").strip() for column in COLUMNS if column not in KEY):
        cells.refuse("operator", "row_says_nothing", "This row has no figure: fill one in, or leave the row out.")
    return row


def _figure(cells: Cells, column: str) -> Decimal | None:
    number = cells.decimal(column, Decimal(0), _HIGHEST)
    return _kept(cells, column, number, _FINEST_FIGURE)


def _own(cells: Cells) -> Decimal | None:
    return _kept(cells, "own_j_per_flop", cells.positive("own_j_per_flop", _MOST_J), _FINEST_J)


def _kept(cells: Cells, column: str, number: Decimal | None, places: int) -> Decimal | None:
    """Return a number that can be kept with all of its digits."""
    if number is None:
        return None
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent < -places:
        cells.refuse(column, "too_precise", f"At most {places} digits behind the point are kept: round it.")
        return None
    return number


def _name(cells: Cells, column: str) -> str:
    return cells.choice(column, _NAME, "name_unusable", "Use at most 80 characters and no semicolon.", required=False)


def _conditions(cells: Cells) -> tuple[str, ...]:
    names = [name.strip() for name in cells.text("conditions", longest=2000).split(";")]
    for name in names:
        if len(name) > 80:
            cells.refuse("conditions", "name_unusable", "Separate conditions by semicolons; each has 80 characters.")
    return tuple(sorted({name for name in names if name}))


def _instant(cells: Cells) -> datetime | None:
    """Return an instant that names its zone, as the order of applications is decided by it."""
    text = cells.text("applied_at", longest=40)
    if not text:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        cells.refuse("applied_at", "not_an_instant", "Write date, time and zone, as in 2027-01-31T12:00:00+01:00.")
        return None
    return instant


def _repeated(rows: Collection[FigureRow]) -> list[RowError]:
    """Refuse a row that says again what an earlier one says."""
    first: dict[tuple[str, int, str], int] = {}
    errors = []
    for row in rows:
        key = (row.operator, row.year, row.product)
        if key in first and row.operator and row.year:  # what cannot be read repeats nothing
            sentence = f"Line {first[key]} is for the same operator, year and product: merge them."
            errors.append(RowError(row.line, "operator", "row_twice", sentence))
        first.setdefault(key, row.line)
    return errors
