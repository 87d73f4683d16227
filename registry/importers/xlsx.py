"""XLSX bytes into the same checked cells as CSV: how far a file inflates is checked before anything is parsed.

The first sheet counts. A spreadsheet keeps numbers in binary with fifteen digits, so that a longer number has lost some
before we see it: such a cell is refused and wants its number as text. Formulas are refused, because what they show
depends on the program that shows them.
"""

import io
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml.common import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException

from registry.importers.table import Limits, Row, RowError, Table, header_errors, read_table, row_errors

MAGIC = b"PK\x03\x04"
MOST_INFLATED = 32 * 2**20
"""Bytes of XML. A hundred thousand rows of a bulk table need about a third of it."""
MOST_RATIO = 100
"""How many times its size a file may inflate; sheets of text stay below thirty."""
MOST_PARTS = 200
LONGEST_EXACT = 10**15
"""Whole numbers below this have all their digits in a spreadsheet."""

UNREADABLE = (
    InvalidFileException,
    DefusedXmlException,
    ParseError,
    zipfile.BadZipFile,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OSError,
)
"""The library fails in as many ways as a file can be broken; none of them is the reader's fault."""
_NOT_READABLE = RowError(1, "column 1", "bad_xlsx", "This is no XLSX file we can read: save it anew.")


def is_xlsx(content: bytes) -> bool:
    """Say whether the bytes begin like an XLSX file, whatever its name."""
    return content.startswith(MAGIC)


def read_any(content: bytes, *, required: Collection[str], limits: Limits) -> Table:
    """Read a table that came as CSV or as XLSX, by what it is and not by its name."""
    read = read_xlsx if is_xlsx(content) else read_table
    return read(content, required=required, limits=limits)


def read_xlsx(content: bytes, *, required: Collection[str], limits: Limits) -> Table:
    """Read the first sheet of an XLSX file; one that cannot be read comes back without rows and with its errors."""
    refused = unreadable(content, limits)
    if refused is not None:
        return Table((), (), (refused,))
    try:
        return _read(content, required, limits)
    except UNREADABLE:
        return Table((), (), (_NOT_READABLE,))


def _read(content: bytes, required: Collection[str], limits: Limits) -> Table:
    """Read a sheet whole."""
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    errors: list[RowError] = []
    for record in _records(content, required, limits):
        columns = record.columns
        errors += record.errors
        if record.row is not None:
            rows.append(record.row)
        if len(errors) >= limits.max_errors:
            break
    return Table(columns, tuple(rows), tuple(errors))


@dataclass(frozen=True)
class Record:
    """One row of a sheet or what is wrong with it; the header is a record without a row."""

    columns: tuple[str, ...]
    line: int
    row: Row | None
    errors: tuple[RowError, ...]


def stream_xlsx(content: bytes, *, required: Collection[str], limits: Limits) -> Iterator[Record]:
    """Yield the header and then the rows of the first sheet, one by one; a file that cannot be read is one error."""
    refused = unreadable(content, limits)
    if refused is not None:
        yield Record((), 1, None, (refused,))
        return
    records = _records(content, required, limits)
    while True:
        try:
            record = next(records)
        except StopIteration:
            return
        except UNREADABLE:
            yield Record((), 1, None, (_NOT_READABLE,))
            return
        yield record


def _records(content: bytes, required: Collection[str], limits: Limits) -> Iterator[Record]:
    book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, keep_links=False)
    try:
        columns: tuple[str, ...] = ()
        count = blank = 0
        for line, values in enumerate(_rows(book), start=1):
            if all(value is None or value == "" for value in values):
                blank += 1
                if blank > limits.max_rows:  # a sheet may claim a million empty rows
                    break
                continue
            if not columns:
                columns = tuple(str(value).strip() if value is not None else "" for value in _trimmed(values))
                errors = tuple(header_errors(columns, line, required, limits))
                yield Record(columns[: limits.max_columns], line, None, errors)
                if errors:
                    return
                continue
            if count == limits.max_rows:
                sentence = f"The file has more than {limits.max_rows:,} rows: send it in parts."
                yield Record(columns, line, None, (RowError(line, columns[0], "too_many_rows", sentence),))
                return
            count += 1
            cells, faults = _cells(columns, values, line)
            faults += row_errors(columns, cells, line, limits)
            row = None if faults else Row(line, dict(zip(columns, cells, strict=True)))
            yield Record(columns, line, row, tuple(faults))
    finally:
        book.close()
    if not count:
        name = columns[0] if columns else "column 1"
        yield Record(columns, 1, None, (RowError(1, name, "no_rows", "The sheet has no rows below its header."),))


def _rows(book: Any) -> Iterator[tuple[Any, ...]]:
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # what a sheet says of its own size may be wrong
    yield from sheet.iter_rows(values_only=True)


def _trimmed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Leave out the empty cells at the end of a row."""
    length = len(values)
    while length and values[length - 1] in (None, ""):
        length -= 1
    return values[:length]


def _cells(columns: tuple[str, ...], values: tuple[Any, ...], line: int) -> tuple[list[str], list[RowError]]:
    """Turn the values of a row into text as CSV has it."""
    kept = _trimmed(values)
    padded = (*kept, *[None] * (len(columns) - len(kept)))
    cells, errors = [], []
    for place, value in enumerate(padded):
        text, code, sentence = _text(value)
        cells.append(text)
        if code:
            column = columns[place] if place < len(columns) else f"column {place + 1}"
            errors.append(RowError(line, column, code, sentence))
    return cells, errors


def _text(value: Any) -> tuple[str, str, str]:
    """Return a value's text, and a code and sentence where it cannot be taken as it is."""
    if value is None:
        return "", "", ""
    if isinstance(value, bool):
        return "yes" if value else "no", "", ""
    if isinstance(value, datetime):
        is_day = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
        return value.date().isoformat() if is_day else value.isoformat(), "", ""
    if isinstance(value, date):
        return value.isoformat(), "", ""
    if isinstance(value, int | float):
        if abs(value) >= LONGEST_EXACT:
            return "", "number_too_long", "A spreadsheet cannot keep all digits of this number: write it as text."
        if isinstance(value, float) and value == int(value):
            return str(int(value)), "", ""
        return repr(value), "", ""
    text = str(value)
    if text.startswith("="):
        return "", "formula", "This cell is a formula: paste its value instead."
    return text, "", ""


def unreadable(content: bytes, limits: Limits) -> RowError | None:
    """Say why a file must not even be opened. Only its table of contents is read."""
    if len(content) > limits.max_bytes:
        sentence = f"The file has {len(content):,} bytes: {limits.max_bytes:,} are allowed. Send it in parts."
        return RowError(1, "column 1", "file_too_large", sentence)
    try:
        parts = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return RowError(1, "column 1", "bad_xlsx", "This is no XLSX file we can read: save it anew.")
    inflated = sum(part.file_size for part in parts)
    if len(parts) > MOST_PARTS or inflated > MOST_INFLATED or inflated > MOST_RATIO * max(len(content), 2**14):
        sentence = f"The file would inflate to {inflated:,} bytes: save the table alone in a new file, or send CSV."
        return RowError(1, "column 1", "inflates_too_far", sentence)
    if any(part.flag_bits & 0x1 for part in parts):
        return RowError(1, "column 1", "encrypted", "The file is protected by a password: save it without one.")
    return None
