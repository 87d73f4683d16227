"""Empty tables to download: each column is described once, for the template, the page and the guide."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import xlsxwriter


@dataclass(frozen=True)
class Column:
    """One column of a table: its header, whether every row fills it in, what stands there, and an example."""

    name: str
    is_required: bool
    says: str
    example: str


def template_csv(columns: Sequence[Column]) -> bytes:
    """Return an empty table with its header, for any program."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([column.name for column in columns])
    return text.getvalue().encode()


def template_xlsx(columns: Sequence[Column]) -> bytes:
    """Return an empty table for a spreadsheet. A second sheet, which nobody reads back, says what stands where.

    Every column is text, so that no program drops a leading zero or rounds a long number.
    """
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True})
    book.set_properties({"created": datetime(2026, 1, 1, tzinfo=UTC)})  # the same bytes whenever it is asked for
    bold, text = book.add_format({"bold": True}), book.add_format({"num_format": "@"})
    table, meaning = book.add_worksheet("Table"), book.add_worksheet("Columns")
    table.freeze_panes(1, 0)
    for place, column in enumerate(columns):
        table.set_column(place, place, 22, text)
        table.write_string(0, place, column.name, bold)
    meaning.set_column(0, 1, 14)
    meaning.set_column(2, 3, 64)
    for place, title in enumerate(("Column", "Required", "What stands there", "Example")):
        meaning.write_string(0, place, title, bold)
    for line, column in enumerate(columns, start=1):
        cells = (column.name, "yes" if column.is_required else "no", column.says, column.example)
        for place, cell in enumerate(cells):
            meaning.write_string(line, place, cell)
    book.close()
    return file.getvalue()
