"""Tables as files that people open in a spreadsheet or read with a program: CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from django.http import HttpResponse, StreamingHttpResponse

Cell = str | int | Decimal | datetime | bool | None

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: Cell) -> str:
    """Write a value as a CSV cell. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return plain(value)


def plain(value: Cell) -> str:
    """Write a value exactly: every digit of a number, instants in UTC, nothing as nothing."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def csv_file(name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """Return a CSV file to be saved. It is made whole before it is sent, so that a fault cannot cut it short."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return _attachment(f"{name}.csv", "text/csv; charset=utf-8", text.getvalue())


def json_file(name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    """Return the same table as a JSON list of objects; numbers are strings, so that no reader rounds them."""
    objects = [
        {column: None if cell is None else plain(cell) for column, cell in zip(columns, row, strict=True)}
        for row in rows
    ]
    return _attachment(f"{name}.json", "application/json", json.dumps(objects, indent=1))


def table_file(
    kind: Literal["csv", "json"], name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> HttpResponse:
    """Return a table in the form that was asked for."""
    return csv_file(name, columns, rows) if kind == "csv" else json_file(name, columns, rows)


def _attachment(name: str, content_type: str, content: str | bytes) -> HttpResponse:
    response = HttpResponse(content, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def stored_file(name: str, content: bytes) -> HttpResponse:
    """Return a file as it was received, to be saved and never shown: its type is not believed."""
    return _attachment(_safe_name(name), "application/octet-stream", content)


def streamed_file(name: str, parts: Iterable[bytes], size: int) -> StreamingHttpResponse:
    """Return a stored file in the same way, part by part: it may be larger than the memory of this process."""
    response = StreamingHttpResponse(parts, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{_safe_name(name)}"'
    response["Content-Length"] = str(size)
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _safe_name(name: str) -> str:
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in name)
    return safe[-120:] or "file"
