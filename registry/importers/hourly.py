"""Hourly grid intensities from a CSV file, long (a row for each zone and hour) or wide (a column for each zone).

A figure means nothing without its four qualifiers: average or marginal, direct or life cycle, production or
consumption, and the version of the method. A long file may name them in columns, the same in every row; whatever it
does not name is asked of the person who loads it. An empty cell is a missing hour and stays one.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from registry.engine.grid import hour_number
from registry.importers.grid_factors import HIGHEST_INTENSITY
from registry.importers.table import BadFile, Cells, Limits, RowError, Table, bad_file, cells_of, read_table, sha256_hex

LIMITS = Limits(max_bytes=32 * 2**20, max_rows=1_000_000, max_columns=200, max_cell=200)
ZONE, HOUR, VALUE = "zone", "datetime_utc", "gco2e_per_kwh"
QUALIFIERS = {
    "kind": ("average", "marginal"),
    "basis": ("direct", "life_cycle"),
    "perspective": ("production", "consumption"),
    "method": (),
}
PLACES = 6

_ZONE = re.compile(r"[A-Z][A-Z0-9_-]{1,19}", re.ASCII)
_HOUR = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:00(:00(\.0{1,6})?)?(Z|\+00:00)", re.ASCII)


@dataclass(frozen=True)
class HourFigure:
    """One hour of one zone by its number; None where the source has nothing."""

    zone: str
    hour: int
    g_per_kwh: Decimal | None


@dataclass(frozen=True)
class HourlyFile:
    """A file without errors: its hours, by zone and time, and the qualifiers that it names itself."""

    sha256: str
    figures: tuple[HourFigure, ...]
    qualifiers: dict[str, str]


def parse_hourly(content: bytes, *, limits: Limits = LIMITS) -> HourlyFile | BadFile:
    """Read the intensities of a file, or refuse it with every error by line and column."""
    table = read_table(content, required=(HOUR,), limits=limits)
    errors = list(table.errors)
    wide = ZONE not in table.columns
    if not errors:
        errors += _header_errors(table.columns, wide)
    if errors:
        return bad_file(content, table, errors)
    figures: dict[tuple[str, int], HourFigure] = {}
    lines: dict[tuple[str, int], int] = {}
    named: dict[str, str] = {}
    for cells in cells_of(table, errors, limits):
        for column, figure in _wide_row(cells, table) if wide else _long_row(cells):
            key = (figure.zone, figure.hour)
            if key in figures:
                sentence = f"{figure.zone} has this hour on line {lines[key]} already: keep one of them."
                cells.refuse(column, "hour_twice", sentence)
            figures[key], lines[key] = figure, cells.row.line
        if not wide:
            _qualify(cells, table.columns, named)
    if not errors and all(figure.g_per_kwh is None for figure in figures.values()):
        errors.append(RowError(1, VALUE, "no_figures", "Every hour of the file is empty: nothing to load."))
    if errors:
        return bad_file(content, table, errors)
    return HourlyFile(sha256_hex(content), tuple(figures[key] for key in sorted(figures)), named)


def read_hour(cells: Cells, column: str) -> int | None:
    """Return the number of an hour that is written as in 2027-01-31T23:00Z, or refuse the cell."""
    text = cells.text(column, required=True, longest=40)
    if not text:
        return None
    if _HOUR.fullmatch(text):
        try:
            return hour_number(datetime.fromisoformat(text.replace("Z", "+00:00")))
        except ValueError:
            pass
    cells.refuse(column, "not_an_hour", f"{text!r} is no full hour in UTC: write it as in 2027-01-31T23:00Z.")
    return None


def read_zone(cells: Cells, column: str = ZONE) -> str:
    """Return the code of a zone, or refuse the cell."""
    return cells.choice(column, _ZONE, "not_a_zone", "Write the grid zone in capital letters, as in CISO or FRA.")


def exact_places(cells: Cells, column: str, number: Decimal | None, places: int) -> Decimal | None:
    """Return a number that can be kept with all of its digits, or refuse the cell."""
    if number is not None and number != 0:
        exponent = number.normalize().as_tuple().exponent
        assert isinstance(exponent, int)
        if exponent < -places:
            cells.refuse(column, "too_precise", f"At most {places} digits behind the point are kept: round it.")
            return None
    return number


def _header_errors(columns: Collection[str], wide: bool) -> list[RowError]:
    if not wide:
        known = {ZONE, HOUR, VALUE, *QUALIFIERS}
        errors = [
            RowError(
                1, name[:60], "unknown_column", f"There is no such column here. Known are: {', '.join(sorted(known))}."
            )
            for name in columns
            if name not in known
        ]
        if VALUE not in columns:
            errors.append(RowError(1, VALUE, "missing_column", f"The file has no column {VALUE!r}: export it again."))
        return errors
    zones = [name for name in columns if name != HOUR]
    errors = [
        RowError(1, name[:60], "not_a_zone", "Name each column by its grid zone in capital letters, as in CISO.")
        for name in zones
        if not _ZONE.fullmatch(name)
    ]
    if not zones:
        errors.append(RowError(1, ZONE, "missing_column", "Add a column zone, or one column for each zone."))
    return errors


def _long_row(cells: Cells) -> Iterator[tuple[str, HourFigure]]:
    zone, hour = read_zone(cells), read_hour(cells, HOUR)
    value = _value(cells, VALUE)
    if zone and hour is not None:
        yield HOUR, HourFigure(zone, hour, value)


def _wide_row(cells: Cells, table: Table) -> Iterator[tuple[str, HourFigure]]:
    hour = read_hour(cells, HOUR)
    for zone in table.columns:
        if zone != HOUR:
            value = _value(cells, zone)
            if hour is not None:
                yield HOUR, HourFigure(zone, hour, value)


def _value(cells: Cells, column: str) -> Decimal | None:
    return exact_places(cells, column, cells.decimal(column, Decimal(0), HIGHEST_INTENSITY), PLACES)


def _qualify(cells: Cells, columns: Collection[str], named: dict[str, str]) -> None:
    """Read the qualifiers of a row, which are those of the rows above."""
    for column, allowed in QUALIFIERS.items():
        if column not in columns:
            continue
        text = cells.text(column, required=True, longest=120)
        if text and allowed and text not in allowed:
            cells.refuse(column, "qualifier_unknown", f"Write one of: {', '.join(allowed)}.")
        elif text and named.setdefault(column, text) != text:
            cells.refuse(column, "qualifier_differs", f"The rows above say {named[column]}: load one kind at a time.")
