"""Readable tables on a terminal: columns aligned, numbers to the right."""

from collections.abc import Iterable, Sequence
from typing import Protocol


class Page(Protocol):
    """Something to write on: standard output, or a management command's."""

    def write(self, text: str, /) -> object:
        """Write some text."""

    def flush(self) -> object:
        """Let it be read now."""


class Teller:
    """Writes the story: chapters, progress lines and tables."""

    def __init__(self, out: Page) -> None:
        self._out = out

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        self.line(f"\n{title}\n{'-' * len(title)}")

    def line(self, text: str) -> None:
        """Say one thing."""
        self._out.write(f"{text}\n")
        self._out.flush()

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write a table. Whole numbers are grouped by thousands and stand to the right."""
        body = [[_cell(value) for value in row] for row in rows]
        is_number = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(head))]
        widths = [max(len(str(head[i])), *(len(row[i]) for row in body), 0) for i in range(len(head))]
        for number, row in enumerate([list(head), ["-" * width for width in widths], *body]):
            cells = [
                cell.rjust(width) if right and number != 1 else cell.ljust(width)
                for cell, width, right in zip(row, widths, is_number, strict=True)
            ]
            self.line("  " + "  ".join(cells).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else str(value)


def _is_number(text: str) -> bool:
    return text == "" or text.replace(",", "").replace(".", "").replace("-", "").replace("+", "").isdigit()
