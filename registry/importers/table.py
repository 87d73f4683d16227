"""CSV bytes into checked cells: sizes are checked before parsing, and every fault is a value with its line and column.

Columns are found by their header, never by position. A byte order mark is forgiven; anything that would need guessing
(another separator, another encoding, a row with too many cells) is an error that says what to do.
"""

import csv
import hashlib
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
OTHER_SEPARATORS = (";", "\t", "|")
FINEST_DIGIT = -60
"""No measurement needs a digit beyond the sixtieth place; it also keeps sums within the exact context."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?", re.ASCII)
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_UNDECODABLE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class RowError:
    """One fault: the line it stands on, the column, a stable code, and what to do about it."""

    line: int
    column: str
    code: str
    sentence: str


@dataclass(frozen=True)
class Flag:
    """Something a verifier should look at; the row is taken as it is."""

    line: int
    column: str
    code: str
    sentence: str


@dataclass(frozen=True)
class BadFile:
    """A file that is refused as a whole, with every error found in it."""

    sha256: str
    errors: tuple[RowError, ...]


@dataclass(frozen=True)
class Limits:
    """What a file may be at most; the bytes are counted before anything is read.

    Every error is listed, but a file of nothing else stops being read after `max_errors`, and its last error says so.
    """

    max_bytes: int
    max_rows: int
    max_columns: int = 200
    max_cell: int = 20_000
    max_errors: int = 5000


@dataclass(frozen=True)
class Row:
    """One record: the line it begins on and its cells by header."""

    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The readable records of a file, and the faults of its form. Records with a fault are not among the rows."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    errors: tuple[RowError, ...]


def sha256_hex(content: bytes) -> str:
    """Return the hash by which the registry knows a file."""
    return hashlib.sha256(content).hexdigest()


def bad_file(content: bytes, table: Table, errors: Collection[RowError]) -> BadFile:
    """Refuse a file with its errors in reading order: by line, then from left to right."""
    position = {column: place for place, column in enumerate(table.columns)}
    in_order = sorted(errors, key=lambda error: (error.line, position.get(error.column, len(position))))
    return BadFile(sha256_hex(content), tuple(in_order))


def read_table(content: bytes, *, required: Collection[str], limits: Limits) -> Table:
    """Read a CSV file; a file that cannot be read at all comes back without rows and with its errors."""
    too_early = unreadable(content, limits)
    if too_early:
        return Table((), (), (too_early,))
    header = read_header(content.decode("utf-8-sig", errors="surrogateescape"), required=required, limits=limits)
    if header.errors:
        return Table(header.columns[: limits.max_columns], (), header.errors)
    read = read_rows(header.rest, header.columns, header.line, limits=limits, most=limits.max_rows)
    return Table(header.columns, read.rows, read.errors or nothing_read(header.columns, bool(read.rows)))


@dataclass(frozen=True)
class Header:
    """The first record of a file: its columns or its errors, the text below it, and the line that begins there."""

    columns: tuple[str, ...]
    errors: tuple[RowError, ...]
    rest: str
    line: int


@dataclass(frozen=True)
class RowsRead:
    """Records with their errors; `is_broken` says that nothing below them can or will be read."""

    rows: tuple[Row, ...]
    errors: tuple[RowError, ...]
    line: int
    is_broken: bool


def read_header(text: str, *, required: Collection[str], limits: Limits) -> Header:
    """Read the first record that is not an empty line."""
    source = io.StringIO(text, newline="")
    reader = csv.reader(source, strict=True)
    line = 1
    try:
        for cells in reader:
            starts_at, line = line, reader.line_num + 1
            if cells:
                columns = tuple(cell.strip() for cell in cells)
                errors = header_errors(columns, starts_at, required, limits)
                return Header(columns, tuple(errors), text[source.tell() :], line)
    except csv.Error as fault:
        return Header((), (_csv_error(fault, reader.line_num, ()),), "", reader.line_num)
    return Header((), nothing_read((), False), "", line)


def read_rows(text: str, columns: tuple[str, ...], line: int, *, limits: Limits, most: int) -> RowsRead:
    """Read the records of a text that begins with one; at most so many, and no more once most are errors."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    before = line - 1
    rows: list[Row] = []
    errors: list[RowError] = []
    try:
        for cells in reader:
            starts_at, line = line, before + reader.line_num + 1
            if not cells:
                continue
            if len(rows) == most:
                sentence = f"The file has more than {limits.max_rows:,} rows: send it in parts."
                errors.append(RowError(starts_at, columns[0], "too_many_rows", sentence))
                return RowsRead(tuple(rows), tuple(errors), line, is_broken=True)
            faults = row_errors(columns, cells, starts_at, limits)
            if faults:
                errors += faults
                if _too_many(errors, starts_at, columns, limits):
                    return RowsRead(tuple(rows), tuple(errors), line, is_broken=True)
            else:
                rows.append(Row(starts_at, dict(zip(columns, cells, strict=True))))
    except csv.Error as fault:
        errors.append(_csv_error(fault, before + reader.line_num, columns))
        return RowsRead(tuple(rows), tuple(errors), line, is_broken=True)
    return RowsRead(tuple(rows), tuple(errors), line, is_broken=False)


def nothing_read(columns: tuple[str, ...], has_rows: bool) -> tuple[RowError, ...]:
    """Refuse a file that has nothing below its header."""
    if has_rows:
        return ()
    sentence = "The file has no rows below its header: nothing to read."
    return (RowError(1, _name(columns, 0), "no_rows", sentence),)


class Cells:
    """The cells of one row, read one by one; every cell that cannot be read adds an error and reads as nothing."""

    def __init__(self, row: Row, errors: list[RowError]) -> None:
        self.row = row
        self.errors = errors

    def refuse(self, column: str, code: str, sentence: str) -> None:
        """Add an error at a cell of this row."""
        self.errors.append(RowError(self.row.line, column, code, sentence))

    def text(self, column: str, *, required: bool = False, longest: int = 500, multiline: bool = False) -> str:
        """Return the text of a cell without surrounding spaces; a column the file does not have reads as empty."""
        text = self.row.cells.get(column, "").strip()
        if required and not text:
            self.refuse(column, "missing_value", "This cell is empty: fill it in.")
        elif len(text) > longest:
            self.refuse(column, "text_too_long", f"This text has {len(text):,} characters: {longest:,} are allowed.")
        elif not multiline and ("\n" in text or "\r" in text):
            self.refuse(column, "line_break", "This cell contains a line break: write it on one line.")
        else:
            return text
        return ""

    def choice(self, column: str, pattern: re.Pattern[str], code: str, sentence: str, *, required: bool = True) -> str:
        """Return a text that has to match a pattern as a whole."""
        text = self.text(column, required=required)
        if text and not pattern.fullmatch(text):
            self.refuse(column, code, sentence)
            return ""
        return text

    def decimal(self, column: str, low: Decimal, high: Decimal, *, required: bool = False) -> Decimal | None:
        """Return an exact decimal between the bounds, both included; programs write exponents, so those are read."""
        text = self.text(column, required=required)
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            self.refuse(column, "not_a_number", f"{text[:40]!r} is no number: use digits and one point, as in 12.5.")
            return None
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int), "the pattern admits neither NaN nor infinity"
        if exponent < FINEST_DIGIT:
            self.refuse(column, "too_precise", f"{text[:40]} has digits beyond the sixtieth place: round it.")
            return None
        if not low <= number <= high:
            self.refuse(column, "number_out_of_range", f"{text[:40]} is not between {low} and {high}: correct it.")
            return None
        return abs(number) if number == 0 else number

    def positive(self, column: str, high: Decimal, *, required: bool = False) -> Decimal | None:
        """Return an exact decimal above zero."""
        number = self.decimal(column, Decimal(0), high, required=required)
        if number == 0:
            self.refuse(column, "number_out_of_range", f"0 is not above 0 and up to {high}: correct it.")
            return None
        return number

    def whole(self, column: str, low: int, high: int, *, required: bool = False) -> int | None:
        """Return a whole number, however a program wrote it (5, 5.0 and 5e0 are the same)."""
        number = self.decimal(column, Decimal(low), Decimal(high), required=required)
        if number is None:
            return None
        if number != int(number):
            self.refuse(column, "not_whole", f"{number} is not a whole number: correct it.")
            return None
        return int(number)

    def local_time(self, column: str) -> datetime | None:
        """Return a moment by the writer's clock, which names no zone."""
        text = self.text(column, required=True)
        if text and _DATE_TIME.fullmatch(text):
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                pass
        if text:
            self.refuse(column, "not_a_time", f"{text[:40]!r} is no moment: write it as in 2027-01-31T23:59:59.")
        return None

    def instant(self, column: str, *, required: bool = False) -> datetime | None:
        """Return a moment in UTC; the cell has to name its zone, because nothing here may guess one."""
        text = self.text(column, required=required)
        if text and _INSTANT.fullmatch(text):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                moment = None
            if moment is not None and _FIRST_YEAR <= moment.year <= _LAST_YEAR:
                return moment.astimezone(UTC)
        if text:
            sentence = f"{text[:40]!r} is no moment with its zone: write it as in 2027-01-31T23:59:59Z."
            self.refuse(column, "not_an_instant", sentence)
        return None

    def day(self, column: str) -> date | None:
        """Return a date, or nothing for an empty cell."""
        text = self.text(column)
        if text and _DATE.fullmatch(text):
            try:
                return date.fromisoformat(text)
            except ValueError:
                pass
        if text:
            self.refuse(column, "not_a_date", f"{text[:40]!r} is no date: write it as in 2027-01-31.")
        return None


def cells_of(table: Table, errors: list[RowError], limits: Limits) -> Iterator[Cells]:
    """Yield the cells of each readable row; errors found while reading them are added to the list."""
    for row in table.rows:
        if len(errors) >= limits.max_errors:
            return
        yield Cells(row, errors)
        _too_many(errors, row.line, table.columns, limits)


def _too_many(errors: list[RowError], line: int, columns: tuple[str, ...], limits: Limits) -> bool:
    """Stop reading a file that is nothing but errors: listing millions of them would help nobody."""
    if len(errors) < limits.max_errors:
        return False
    sentence = f"Reading stopped here after {len(errors):,} errors: correct them and send the file again."
    errors.append(RowError(line, _name(columns, len(columns)), "too_many_errors", sentence))
    return True


def unreadable(content: bytes, limits: Limits) -> RowError | None:
    """Say why a file cannot be read at all."""
    if len(content) > limits.max_bytes:
        sentence = f"The file has {len(content):,} bytes: {limits.max_bytes:,} are allowed. Send it in parts."
        return RowError(1, _name((), 0), "file_too_large", sentence)
    if content.startswith(BYTE_ORDER_MARKS):
        return RowError(1, _name((), 0), "bad_encoding", "The file is UTF-16: save it as CSV in UTF-8.")
    if not content.decode("utf-8-sig", errors="surrogateescape").strip():
        return RowError(1, _name((), 0), "empty_file", "The file is empty.")
    return None


def header_errors(columns: tuple[str, ...], line: int, required: Collection[str], limits: Limits) -> list[RowError]:
    """List what is wrong with the header."""
    if len(columns) > limits.max_columns:
        sentence = f"The file has {len(columns):,} columns: {limits.max_columns} are allowed."
        return [RowError(line, _name((), limits.max_columns), "too_many_columns", sentence)]
    errors = row_errors(columns, list(columns), line, limits)
    for separator in OTHER_SEPARATORS:
        if len(columns) == 1 and separator in columns[0]:
            sentence = f"Columns are separated by {separator!r}: save the file with commas."
            return [*errors, RowError(line, _name((), 0), "wrong_separator", sentence)]
    for position, column in enumerate(columns):
        if column in columns[:position]:
            errors.append(
                RowError(line, _name(columns, position), "duplicate_column", "This column stands in the header twice.")
            )
    for column in required:
        if column not in columns:
            errors.append(
                RowError(line, column, "missing_column", f"The file has no column {column!r}: export it again.")
            )
    return errors


def row_errors(columns: tuple[str, ...], cells: list[str], line: int, limits: Limits) -> list[RowError]:
    """List what is wrong with the form of one record, before anything in it is understood."""
    if len(cells) != len(columns):
        sentence = f"This row has {len(cells)} cells, the header has {len(columns)} columns: correct the row."
        return [RowError(line, _name(columns, min(len(cells), len(columns))), "wrong_column_count", sentence)]
    whole = "".join(cells)
    if len(whole) <= limits.max_cell and not _UNDECODABLE.search(whole) and not _CONTROL.search(whole):
        return []
    errors = []
    for position, cell in enumerate(cells):
        column = _name(columns, position)
        if len(cell) > limits.max_cell:
            sentence = f"This cell has {len(cell):,} characters: {limits.max_cell:,} are allowed."
            errors.append(RowError(line, column, "cell_too_long", sentence))
        elif _UNDECODABLE.search(cell):
            errors.append(RowError(line, column, "bad_encoding", "This cell is not UTF-8: save the file as UTF-8."))
        elif _CONTROL.search(cell):
            errors.append(
                RowError(line, column, "control_character", "This cell contains a control character: remove it.")
            )
    return errors


def _csv_error(fault: csv.Error, line: int, columns: tuple[str, ...]) -> RowError:
    """Translate the parser's own refusal; what stands below it in the file cannot be read."""
    if "field limit" in str(fault):
        return RowError(line, _name(columns, 0), "cell_too_long", "A cell in this row is too long: shorten it.")
    return RowError(line, _name(columns, 0), "bad_quoting", "A quotation mark in this row is not closed or doubled.")


def _name(columns: tuple[str, ...], position: int) -> str:
    """Name a column by its printable header, or by its number where it has none."""
    name = columns[position] if position < len(columns) else ""
    return name if name and name.isprintable() and len(name) <= 100 else f"column {position + 1}"
