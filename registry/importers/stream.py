"""Tables read in parts, so that a file of any length needs the memory of a part: the same rows, the same errors.

A part of a CSV file ends where a record ends: at a line break that no quotation mark encloses. Where a file is quoted
so badly that no such end can be found within the longest record we take, the row reader meets the fault itself.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from registry.importers.table import (
    Header,
    Limits,
    RowError,
    nothing_read,
    read_header,
    unreadable,
)

LONGEST_RECORD = 2**20
"""Bytes. A reader refuses a cell long before this; whatever seems longer is quoted wrongly."""


_QUOTED = re.compile(rb'"[^"]*(?:""[^"]*)*"(?!")')


@dataclass(frozen=True)
class Place:
    """Where reading goes on: a byte of the file, and the line that begins there."""

    position: int
    line: int


@dataclass(frozen=True)
class Beginning:
    """The header of a file with the place below it; errors if the file cannot be read at all."""

    columns: tuple[str, ...]
    errors: tuple[RowError, ...]
    place: Place


def read_beginning(head: bytes, size: int, *, required: Collection[str], limits: Limits) -> Beginning:
    """Read the header from the first bytes of a file of a size."""
    refused = unreadable(head, replace(limits, max_bytes=max(limits.max_bytes, len(head))))
    if refused is None and size > limits.max_bytes:
        sentence = f"The file has {size:,} bytes: {limits.max_bytes:,} are allowed. Send it in parts."
        refused = RowError(1, "column 1", "file_too_large", sentence)
    if refused is not None:
        return Beginning((), (refused,), Place(0, 1))
    header: Header = read_header(head.decode("utf-8-sig", "surrogateescape"), required=required, limits=limits)
    errors = header.errors
    below = len(head) - len(header.rest.encode("utf-8", "surrogateescape"))
    if not errors and below == size:
        errors = nothing_read(header.columns, has_rows=False)
    return Beginning(header.columns, errors, Place(below, header.line))


def parts(raw: bytes, begins_at: int, size: int, *, is_last: bool) -> Iterator[tuple[int, str]]:
    """Cut bytes that begin with a record into texts of about a size; yield each with the byte of the file after it.

    Bytes at the end that are no whole record are left out, unless they are the last of the file.
    """
    start = 0
    while start < len(raw):
        end = _end_of_record(raw, start, start + size, is_last=is_last)
        if end == start:
            return
        yield begins_at + end, raw[start:end].decode("utf-8", "surrogateescape")
        start = end


def _end_of_record(raw: bytes, start: int, wanted: int, *, is_last: bool) -> int:
    """Return the end of the last record that ends before a position, or of the first one after it."""
    if wanted >= len(raw) and is_last:
        return len(raw)
    breaks = b"\n" if b"\n" in raw else b"\r"
    position = last = start
    while True:
        opens_at = _opening(raw, position, wanted if last > start else len(raw))
        plain_until = opens_at if opens_at >= 0 else len(raw)
        last = max(last, raw.rfind(breaks, position, min(plain_until, wanted)) + 1)
        if plain_until >= wanted and last == start:
            last += max(0, raw.find(breaks, position, plain_until) + 1 - start)
        if last > start and plain_until >= wanted:
            return last
        closed = _QUOTED.match(raw, opens_at) if opens_at >= 0 else None
        if closed is None:
            break
        position = closed.end()
    if last > start:
        return last
    return len(raw) if is_last or len(raw) - start > LONGEST_RECORD else start


def _opening(raw: bytes, position: int, until: int) -> int:
    """Return where the next quoted cell begins: a quotation mark elsewhere than at the beginning is only a letter."""
    at = raw.find(b'"', position, until)
    while at > 0 and raw[at - 1 : at] not in b",\r\n":
        at = raw.find(b'"', at + 1, until)
    return at
