"""Tables worked by hand, read from Markdown: heading -> rows, with every number exact."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

Cell: TypeAlias = Decimal | str
"""A number, or a text that is none."""
Row: TypeAlias = Mapping[str, Cell]
Tables: TypeAlias = Mapping[str, Sequence[Row]]
"""The rows of each table by the heading above it; each row by the names of its columns."""

_NUMBER = re.compile(r"-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?", re.ASCII)


class Unreadable(ValueError):
    """A document whose tables do not say one thing only; the message names the line."""


def read_tables(text: str) -> Tables:
    """Return the table under each heading of a Markdown document; text between them is for people."""
    tables: dict[str, list[Row]] = {}
    heading, is_open = "", False
    head: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("#"):
            heading, head, is_open = line.lstrip("#").strip(), [], False
        elif not line.startswith("|"):
            is_open = False
        elif not is_open:
            if heading in tables:
                raise Unreadable(f"Line {number}: {heading!r} has a table already. Give this one its own heading.")
            head, is_open = _cells(line), True
            if len(set(head)) < len(head):
                raise Unreadable(f"Line {number}: a column is named twice.")
            tables[heading] = []
        elif not _is_rule(line):
            cells = _cells(line)
            if len(cells) != len(head):
                raise Unreadable(f"Line {number}: {len(cells)} cells under {len(head)} columns.")
            tables[heading].append(dict(zip(head, map(cell, cells), strict=True)))
    return tables


def cell(text: str) -> Cell:
    """Return a number such as 1,234.50 exactly, or the text as it stands. Half-grouped digits are no number."""
    text = text.strip()
    return Decimal(text.replace(",", "")) if _NUMBER.fullmatch(text) else text


def _cells(line: str) -> list[str]:
    return [part.strip() for part in line.strip().strip("|").split("|")]


def _is_rule(line: str) -> bool:
    return not set(line) - set("|-: ")
