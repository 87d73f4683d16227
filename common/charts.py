"""What a chart on a page shows: its series and rows, printed as a table by templates/partials/chart.html.

static/js/chart.js draws the chart from that same table, so that both always say the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from common.quantities import format_money


@dataclass(frozen=True)
class Series:
    """One line of a chart. `line` picks its colour: 1 to 4, bid or ask. Money is given in minor units."""

    label: str
    line: Literal["1", "2", "3", "4", "bid", "ask"] = "1"
    draw: Literal["line", "stepped", "bars"] = "line"
    kind: Literal["number", "money"] = "number"

    def plain(self, value: int | Decimal | None) -> str:
        """Return the value as the script reads it: empty for nothing, money in whole units of the currency."""
        if value is None:
            return ""
        return str(Decimal(value).scaleb(-2)) if self.kind == "money" else f"{Decimal(value):f}"

    def worded(self, value: int | Decimal | None) -> str:
        """Return the value as a person reads it."""
        if value is None:
            return "\N{EN DASH}"
        return format_money(int(value)) if self.kind == "money" else f"{value:,}"


@dataclass(frozen=True)
class Cell:
    """One figure of the table: as the script reads it and as a person does."""

    plain: str
    worded: str


@dataclass(frozen=True)
class Chart:
    """A chart: rows are ordered by their first value, a moment (all of them) or a number (all of them).

    `key` names it on the page and is unique there; `summary` says in one sentence what a sighted reader sees.
    """

    key: str
    title: str
    summary: str
    x_label: str
    series: Sequence[Series]
    rows: Sequence[tuple[datetime | int | Decimal, Sequence[int | Decimal | None]]]
    x_kind: Literal["time", "number", "money"] = "time"
    from_zero: bool = False

    def lines(self) -> Iterator[tuple[Cell, list[Cell]]]:
        """Return the rows of the table, each with its head."""
        for x, values in self.rows:
            pairs = zip(self.series, values, strict=True)
            yield self._head(x), [Cell(series.plain(value), series.worded(value)) for series, value in pairs]

    def _head(self, x: datetime | int | Decimal) -> Cell:
        if isinstance(x, datetime):
            return Cell(str(int(x.timestamp())), f"{x:%-d %b %Y, %H:%M}")
        scale = Series(self.x_label, kind="money" if self.x_kind == "money" else "number")
        return Cell(scale.plain(x), scale.worded(x))
