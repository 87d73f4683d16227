"""What a calculator is made of: its inputs with units and bounds, its examples, its formula and source, its result.

Page, REST and guide come from the same table. Inputs arrive as text, whoever sends them, and are read here once.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

from common.errors import Refused, SeveralRefusals, require
from registry.engine.emissions import CalculationStep
from registry.engine.rounding import Exact, exact_text

MOST = Decimal(10**36)
MOST_DIGITS = 30
"""Longer figures than anybody measures would not fit into exact arithmetic."""

_NUMBER = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?", re.ASCII)
_CELLS = re.compile(r"[\s;,]+")

Cell: TypeAlias = int | Decimal | str | bool | date | datetime | None
Row: TypeAlias = tuple[Cell, ...]


class Kind(StrEnum):
    """What is typed into a field."""

    WHOLE = "whole"
    DECIMAL = "decimal"
    TEXT = "text"
    CHOICE = "choice"
    TICK = "tick"
    DAY = "day"
    HOUR = "hour"
    ROWS = "rows"


@dataclass(frozen=True)
class Input:
    """One field: numbers lie between `least` and `most`; rows have one entry a line, with `columns`."""

    name: str
    label: str
    unit: str = ""
    help: str = ""
    kind: Kind = Kind.DECIMAL
    required: bool = True
    default: str = ""
    least: Decimal = Decimal(0)
    most: Decimal = MOST
    above: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    columns: "tuple[Input, ...]" = ()
    most_rows: int = 200
    offers: Callable[[datetime], Sequence[str]] | None = None
    """What the registry has loaded that fits here."""

    def read(self, text: str) -> "Cell | list[Row]":
        """Read what was typed; refuse what is no such figure with a sentence that says what to type."""
        text = text.strip()
        if self.kind is Kind.TICK:
            return text.lower() in ("on", "true", "yes", "1")
        if not text:
            require(not self.required, "figure_missing", "Fill this in.")
            return [] if self.kind is Kind.ROWS else None
        return _READERS[self.kind](self, text)


def _number(of: Input, text: str) -> Decimal:
    require(_NUMBER.fullmatch(text) is not None, "not_a_number", "Enter a number such as 12.5 or 1.75e11.")
    number = Decimal(text)
    require(len(number.as_tuple().digits) <= MOST_DIGITS, "too_many_digits", "Enter at most 30 digits.")
    in_range = of.least <= number <= of.most and not (of.above and number == of.least)
    least = f"above {exact_text(of.least)}" if of.above else f"from {exact_text(of.least)}"
    sentence = f"Enter a number {least} to {of.most:.4g}." if of.most >= 10**6 else None
    require(in_range, "out_of_range", sentence or f"Enter a number {least} to {exact_text(of.most)}.")
    return number


def _whole(of: Input, text: str) -> int:
    number = _number(of, text)
    require(number == int(number), "not_whole", "Enter a whole number such as 2500 or 3e11.")
    return int(number)


def _text(of: Input, text: str) -> str:
    require(len(text) <= 200 and text.isprintable(), "text_too_long", "Enter at most 200 characters.")
    return text


def _choice(of: Input, text: str) -> str:
    allowed = [value for value, _ in of.choices]
    require(text in allowed, "not_a_choice", f"Choose one of {', '.join(allowed)}.")
    return text


def _day(of: Input, text: str) -> date:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
            raise ValueError(text)
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Refused("not_a_day", "Enter a day such as 2027-01-31.") from error
    require(1990 <= day.year <= 2199, "day_out_of_range", "Enter a day from 1990 to 2199.")
    return day


def _hour(of: Input, text: str) -> datetime:
    match = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}):00(:00)?Z?", text, re.ASCII)
    try:
        if match is None:
            raise ValueError(text)
        hour = datetime.fromisoformat(f"{match[1]}T{match[2]}:00").replace(tzinfo=UTC)
    except ValueError as error:
        raise Refused("not_an_hour", "Enter a full UTC hour such as 2026-03-03 04:00.") from error
    require(1990 <= hour.year <= 2199, "hour_out_of_range", "Enter an hour of the years 1990 to 2199.")
    return hour


def _rows(of: Input, text: str) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    require(len(lines) <= of.most_rows, "too_many_rows", f"Enter at most {of.most_rows:,} lines.")
    needed = sum(column.required for column in of.columns)
    read = []
    for number, line in lines:
        cells = [cell for cell in _CELLS.split(line.strip()) if cell]
        names = ", ".join(column.label + ("" if column.required else " (optional)") for column in of.columns)
        fits = needed <= len(cells) <= len(of.columns)
        require(fits, "row_malformed", f"Line {number}: write {names}, with spaces between them.")
        cells += [""] * (len(of.columns) - len(cells))
        try:
            read.append(tuple(_cell(column, cell) for column, cell in zip(of.columns, cells, strict=True)))
        except Refused as refusal:
            raise Refused(refusal.code, f"Line {number}: {refusal.sentence}") from refusal
    return read


def _cell(column: Input, text: str) -> Cell:
    """Read one cell; a hyphen is not said."""
    cell = column.read("" if text == "-" and not column.required else text)
    assert not isinstance(cell, list), "rows are not nested"
    return cell


_READERS: dict[Kind, Callable[[Input, str], "Cell | list[Row]"]] = {
    Kind.WHOLE: _whole,
    Kind.DECIMAL: _number,
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.DAY: _day,
    Kind.HOUR: _hour,
    Kind.ROWS: _rows,
}


class InputRefused(Refused):
    """A figure that makes no sense, with the field that it stands in."""

    def __init__(self, name: str, code: str, sentence: str) -> None:
        super().__init__(code, sentence)
        self.name = name


class InputsRefused(SeveralRefusals):
    """Every field that was refused, so that all can be put right at once."""

    refusals: tuple[InputRefused, ...]


def check(condition: bool, name: str, code: str, sentence: str) -> None:
    """Refuse the field of this name unless the condition holds."""
    if not condition:
        raise InputRefused(name, code, sentence)


class Said:
    """What was typed, read: each getter returns the type that its field has."""

    def __init__(self, values: Mapping[str, "Cell | list[Row]"]) -> None:
        self._values = values

    def has(self, *names: str) -> bool:
        """Say whether all of these were filled in."""
        return all(self._values[name] not in (None, []) for name in names)

    def whole(self, name: str) -> int:
        """A whole number; 0 where none was needed."""
        value = self._values[name]
        return value if isinstance(value, int) else 0

    def decimal(self, name: str) -> Decimal:
        """A decimal; 0 where none was needed."""
        return self.maybe(name) or Decimal(0)

    def maybe(self, name: str) -> Decimal | None:
        """A decimal, or nothing."""
        value = self._values[name]
        return value if isinstance(value, Decimal) else None

    def text(self, name: str) -> str:
        """A text or a choice."""
        value = self._values[name]
        return value if isinstance(value, str) else ""

    def tick(self, name: str) -> bool:
        """A tick."""
        return self._values[name] is True

    def day(self, name: str) -> date:
        """A day."""
        value = self._values[name]
        assert isinstance(value, date), "a day is always asked for"
        return value

    def hour(self, name: str) -> datetime:
        """A full hour."""
        value = self._values[name]
        assert isinstance(value, datetime), "an hour is always asked for"
        return value

    def rows(self, name: str) -> list[Row]:
        """The rows of a table."""
        value = self._values[name]
        return value if isinstance(value, list) else []


Value: TypeAlias = Exact | float | str


@dataclass(frozen=True)
class Figure:
    """One figure of a result; an estimate between two ends has `high`. Floats are estimates."""

    label: str
    value: Value
    unit: str = ""
    high: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came out: the figure that was asked for first, the steps to it, and what a reader should know."""

    figures: tuple[Figure, ...]
    steps: tuple[CalculationStep, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Example:
    """Figures to try, and where they were published with which result."""

    title: str
    typed: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True)
class Calculator:
    """One calculator: what it asks for and the function that answers. `estimates` says that its result is a guess."""

    name: str
    group: str
    title: str
    says: str
    formula: str
    source: str
    inputs: tuple[Input, ...]
    work: Callable[[Said, datetime], Outcome]
    examples: tuple[Example, ...] = field(default=())
    estimates: bool = False

    def run(self, typed: Mapping[str, str], now: datetime) -> Outcome:
        """Read what was typed and work it out; refuse every field that makes no sense, each with its sentence."""
        values: dict[str, Cell | list[Row]] = {}
        refusals: list[Refused] = []
        for one in self.inputs:
            try:
                values[one.name] = one.read(typed.get(one.name, one.default))
            except Refused as refusal:
                refusals.append(InputRefused(one.name, refusal.code, refusal.sentence))
        if refusals:
            raise InputsRefused(refusals)
        try:
            return self.work(Said(values), now)
        except InputRefused as refusal:
            raise InputsRefused([refusal]) from refusal


def plain(value: Value) -> str:
    """Write a value for a program: every digit, a fraction as 7/3, an estimate as the shortest float."""
    if isinstance(value, str):
        return value
    return repr(value) if isinstance(value, float) else exact_text(value)


def share(name: str, label: str, *, help: str = "", required: bool = True, default: str = "") -> Input:
    """Return a field for a share of one."""
    return Input(name, label, help=help, required=required, default=default, most=Decimal(1))


def whole(
    name: str,
    label: str,
    unit: str = "",
    *,
    help: str = "",
    required: bool = True,
    default: str = "",
    least: int = 1,
    most: int = 10**18,
) -> Input:
    """Return a field for a whole number."""
    return Input(name, label, unit, help, Kind.WHOLE, required, default, Decimal(least), Decimal(most))


def positive(
    name: str, label: str, unit: str = "", *, help: str = "", default: str = "", most: Decimal = MOST
) -> Input:
    """Return a field for a number above zero."""
    return Input(name, label, unit, help, default=default, most=most, above=True)


def choice(name: str, label: str, choices: Sequence[tuple[str, str]], *, help: str = "") -> Input:
    """Return a field with a few answers, the first of which stands there."""
    return Input(name, label, help=help, kind=Kind.CHOICE, default=choices[0][0], choices=tuple(choices))


PUE = Input(
    "pue",
    "PUE of the site",
    help="Site over computers. 1.5 where nothing proves a better one; 1 where it is in the power already.",
    default="1.5",
    least=Decimal(1),
    most=Decimal(10),
)


def per_cent(share_of_one: Fraction | None) -> Value:
    """Return a share in per cent, or say that there is nothing to share."""
    return "nothing" if share_of_one is None else share_of_one * 100
