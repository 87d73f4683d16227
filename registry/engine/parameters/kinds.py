"""The kinds of value that a rule may have: each reads JSON into exact Python, writes it back, and describes itself.

Quantities, money and rates are text of plain digits, so that no reader of JSON can round them; a JSON number with a
point is a binary float and is refused. Small counts (days, months, years) are whole JSON numbers. A kind never raises:
what it cannot read it adds to the list of faults, with the place where it stands, and returns None.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date, time
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact_text

Json = Any
"""What `json.loads` may return."""

MOST_PERMITS = 10**15
FIRST_YEAR, LAST_YEAR = 1990, 2200
MOST_ITEMS = 400

_WHOLE = re.compile(r"-?[0-9]{1,40}", re.ASCII)
_EXACT = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,20})?", re.ASCII)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_YEAR = re.compile(r"[0-9]{4}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_MONTH_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", re.ASCII)
_YEAR_DAY = re.compile(r"Y(?P<years>[+-][1-9])? (?P<day>[0-9]{2}-[0-9]{2})", re.ASCII)
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)

LAST_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Of a year that is not a leap year: a rule names only days that every year has."""


class Kind:
    """How one kind of value is read, written and described."""

    word: str
    """What a person is asked for, as in "write a whole number of permits"."""

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Return the value that the JSON stands for, or None after adding to the faults why it stands for none."""
        raise NotImplementedError

    def text(self, value: Any) -> Json:
        """Return the one canonical JSON form of a value that was read."""
        raise NotImplementedError

    def schema(self) -> dict[str, Json]:
        """Return the JSON Schema of this kind."""
        raise NotImplementedError


@dataclass(frozen=True)
class Whole(Kind):
    """A whole quantity that may be large: permits, or minor units of money. Canonically text, such as "83000"."""

    least: int = 0
    most: int = MOST_PERMITS
    word: str = "a whole number"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept digits in quotes, or a whole JSON number."""
        if isinstance(raw, float):
            return _fault(faults, "number_not_exact", where, f"write {self.word} as digits in quotes, not as a float")
        if isinstance(raw, bool) or not (isinstance(raw, int) or (isinstance(raw, str) and _WHOLE.fullmatch(raw))):
            return _fault(faults, "value_kind_wrong", where, f'write {self.word} as digits in quotes, such as "2500"')
        number = int(raw)
        if not self.least <= number <= self.most:
            return _fault(faults, "value_out_of_bounds", where, f"it lies from {self.least:,} to {self.most:,}")
        return number

    def text(self, value: int) -> str:
        """Write the digits."""
        return str(value)

    def schema(self) -> dict[str, Json]:
        """Text of digits, or an integer within the bounds."""
        pattern = "^-?[0-9]{1,40}$" if self.least < 0 else "^[0-9]{1,40}$"
        return {
            "oneOf": [
                {"type": "string", "pattern": pattern},
                {"type": "integer", "minimum": self.least, "maximum": self.most},
            ]
        }


@dataclass(frozen=True)
class Count(Kind):
    """A small whole number of days, months, years or things. Canonically a JSON number."""

    least: int = 0
    most: int = 1000
    word: str = "a whole number"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept a whole JSON number only."""
        if isinstance(raw, bool) or not isinstance(raw, int):
            return _fault(faults, "value_kind_wrong", where, "write a whole number without quotes, such as 12")
        if not self.least <= raw <= self.most:
            return _fault(faults, "value_out_of_bounds", where, f"it lies from {self.least} to {self.most}")
        return raw

    def text(self, value: int) -> int:
        """Return the number itself."""
        return value

    def schema(self) -> dict[str, Json]:
        """An integer within the bounds."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True)
class Amount(Kind):
    """An exact rate, share, price or size. Canonically text without needless zeros, such as "0.024"."""

    least: Decimal = Decimal(0)
    most: Decimal = Decimal(1)
    above_least: bool = False
    word: str = "a rate"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept digits with at most one point in quotes, or a whole JSON number."""
        if isinstance(raw, float):
            return _fault(
                faults, "number_not_exact", where, f'write {self.word} in quotes, such as "0.05": a float is not exact'
            )
        if isinstance(raw, bool) or not (isinstance(raw, int) or (isinstance(raw, str) and _EXACT.fullmatch(raw))):
            return _fault(faults, "value_kind_wrong", where, f'write {self.word} in quotes, such as "0.05"')
        if isinstance(raw, int) and abs(raw) >= 10**40:
            return _fault(faults, "value_out_of_bounds", where, f"it lies from {self.least:f} to {self.most:f}")
        number = Decimal(raw)
        if not self.least <= number <= self.most:
            return _fault(faults, "value_out_of_bounds", where, f"it lies from {self.least:f} to {self.most:f}")
        if self.above_least and number == self.least:
            return _fault(faults, "value_out_of_bounds", where, f"it lies above {self.least:f}")
        return number

    def text(self, value: Exact) -> str:
        """Write every digit and no needless zero."""
        return exact_text(value)

    def schema(self) -> dict[str, Json]:
        """Text of digits with at most one point, or an integer."""
        pattern = r"[0-9]{1,40}(\.[0-9]{1,20})?$"
        return {
            "oneOf": [
                {"type": "string", "pattern": ("^-?" if self.least < 0 else "^") + pattern},
                {"type": "integer"},
            ],
            "description": f"Lies from {self.least:f} to {self.most:f}.",
        }


@dataclass(frozen=True)
class YesNo(Kind):
    """Yes or no."""

    word: str = "true or false"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept a JSON true or false only."""
        if not isinstance(raw, bool):
            return _fault(faults, "value_kind_wrong", where, "write true or false, without quotes")
        return raw

    def text(self, value: bool) -> bool:
        """Return the answer itself."""
        return value

    def schema(self) -> dict[str, Json]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words; where the policy has an enumeration for them, its member."""

    options: tuple[str, ...]
    enum: type[StrEnum] | None = None
    word: str = "one of the words"

    @classmethod
    def of(cls, enum: type[StrEnum]) -> "Choice":
        """Offer the members of an enumeration."""
        return cls(tuple(member.value for member in enum), enum)

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept exactly one of the words."""
        if not isinstance(raw, str) or raw not in self.options:
            return _fault(faults, "value_not_offered", where, f"choose one of {', '.join(self.options)}")
        return self.enum(raw) if self.enum else raw

    def text(self, value: str) -> str:
        """Write the word."""
        return str(value)

    def schema(self) -> dict[str, Json]:
        """An enumeration."""
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Text(Kind):
    """A short name or sentence on one line."""

    longest: int = 60
    word: str = "a text"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept text with something in it and nothing that cannot be printed."""
        if not isinstance(raw, str) or not raw.strip():
            return _fault(faults, "value_kind_wrong", where, f"write a text of at most {self.longest} characters")
        if len(raw) > self.longest or not raw.isprintable() or raw != raw.strip():
            what = f"write one line of at most {self.longest} printable characters, without spaces around it"
            return _fault(faults, "value_out_of_bounds", where, what)
        return raw

    def text(self, value: str) -> str:
        """Write it as it stands."""
        return value

    def schema(self) -> dict[str, Json]:
        """A string that is not empty."""
        return {"type": "string", "minLength": 1, "maxLength": self.longest}


@dataclass(frozen=True)
class Day(Kind):
    """One day, as in 2030-12-31."""

    word: str = "a day"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept a day that exists."""
        if isinstance(raw, str) and _DAY.fullmatch(raw):
            try:
                day = date.fromisoformat(raw)
            except ValueError:
                return _fault(faults, "value_kind_wrong", where, f"there is no day {raw}")
            if FIRST_YEAR <= day.year <= LAST_YEAR:
                return day
        return _fault(
            faults, "value_kind_wrong", where, f'write a day from {FIRST_YEAR} to {LAST_YEAR}, such as "2030-12-31"'
        )

    def text(self, value: date) -> str:
        """Write it as in 2030-12-31."""
        return value.isoformat()

    def schema(self) -> dict[str, Json]:
        """A date."""
        return {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


@dataclass(frozen=True)
class MonthDay(Kind):
    """A day of every year, as in 03-31. The 29th of February is none."""

    word: str = "a month and day"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept a day that every year has."""
        if isinstance(raw, str) and _is_month_day(raw):
            return raw
        return _fault(faults, "value_kind_wrong", where, 'write month and day of every year, such as "03-31"')

    def text(self, value: str) -> str:
        """Write it as in 03-31."""
        return value

    def schema(self) -> dict[str, Json]:
        """Two digits, a hyphen, two digits."""
        return {"type": "string", "pattern": "^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"}


@dataclass(frozen=True)
class YearDay(Kind):
    """A day counted from the year of use: "Y+1 03-31" is the 31st of March of the year after it."""

    word: str = "a day of the scheme's year"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept Y, at most nine years away, and a day that every year has."""
        match = _YEAR_DAY.fullmatch(raw) if isinstance(raw, str) else None
        if match is None or not _is_month_day(match["day"]):
            return _fault(
                faults, "value_kind_wrong", where, 'write the year counted from the year of use, such as "Y+1 03-31"'
            )
        return int(match["years"] or 0), match["day"]

    def text(self, value: tuple[int, str]) -> str:
        """Write it as in Y+1 03-31."""
        years, day = value
        return f"Y{years:+d} {day}" if years else f"Y {day}"

    def schema(self) -> dict[str, Json]:
        """Y, the years between, month and day."""
        pattern = "^Y([+-][1-9])? (0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
        return {"type": "string", "pattern": pattern, "description": "Y is the year of use."}


@dataclass(frozen=True)
class TimeOfDay(Kind):
    """An hour and minute in the scheme's zone, as in 16:00."""

    word: str = "a time of day"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept hours and minutes."""
        if isinstance(raw, str) and _TIME.fullmatch(raw):
            return time.fromisoformat(raw)
        return _fault(faults, "value_kind_wrong", where, 'write a time of day from "00:00" to "23:59"')

    def text(self, value: time) -> str:
        """Write it as in 16:00."""
        return value.isoformat(timespec="minutes")

    def schema(self) -> dict[str, Json]:
        """Hours and minutes."""
        return {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"}


@dataclass(frozen=True)
class ListOf(Kind):
    """Several values of one kind, in the order in which they apply."""

    item: Kind
    least: int = 0
    once: bool = False
    """Whether each value may stand in the list only once."""
    word: str = "a list"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Read every item and report every fault in them."""
        if not isinstance(raw, list) or not self.least <= len(raw) <= MOST_ITEMS:
            return _fault(
                faults, "value_kind_wrong", where, f"write a list of {self.least} to {MOST_ITEMS} items in [ ]"
            )
        before = len(faults)
        values = [self.item.read(item, f"{where}, item {place}", faults) for place, item in enumerate(raw, 1)]
        if len(faults) > before:
            return None
        if self.once and len(set(values)) < len(values):
            return _fault(faults, "value_twice", where, "each item stands in the list once")
        return tuple(values)

    def text(self, value: Iterable[Any]) -> list[Json]:
        """Write every item."""
        return [self.item.text(item) for item in value]

    def schema(self) -> dict[str, Json]:
        """An array."""
        described: dict[str, Json] = {
            "type": "array",
            "items": self.item.schema(),
            "minItems": self.least,
            "maxItems": MOST_ITEMS,
        }
        return described | ({"uniqueItems": True} if self.once else {})


@dataclass(frozen=True)
class ByYear(Kind):
    """A value for each of some calendar years, as in {"2027": "0.043"}."""

    item: Kind
    word: str = "values by year"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Read every year and report every fault in them."""
        if not isinstance(raw, dict) or len(raw) > MOST_ITEMS:
            return _fault(faults, "value_kind_wrong", where, 'write values by year in { }, such as {"2027": ...}')
        before, values = len(faults), {}
        for year, item in raw.items():
            if isinstance(year, str) and _YEAR.fullmatch(year) and FIRST_YEAR <= int(year) <= LAST_YEAR:
                values[int(year)] = self.item.read(item, f"{where}, {year}", faults)
            else:
                _fault(faults, "year_malformed", where, f"{_shown(year)} is no year from {FIRST_YEAR} to {LAST_YEAR}")
        return None if len(faults) > before else MappingProxyType(dict(sorted(values.items())))

    def text(self, value: Mapping[int, Any]) -> dict[str, Json]:
        """Write the years in order."""
        return {str(year): self.item.text(item) for year, item in sorted(value.items())}

    def schema(self) -> dict[str, Json]:
        """An object whose keys are years."""
        return {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{4}$"},
            "additionalProperties": self.item.schema(),
        }


@dataclass(frozen=True)
class ByName(Kind):
    """A value for each of some names, as in {"fp16": "1"}; with `numbered`, for each of some small numbers."""

    item: Kind
    numbered: bool = False
    word: str = "values by name"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Read every name and report every fault in them."""
        if not isinstance(raw, dict) or len(raw) > MOST_ITEMS:
            return _fault(faults, "value_kind_wrong", where, 'write values by name in { }, such as {"name": ...}')
        before, values = len(faults), {}
        for name, item in raw.items():
            if self.numbered and not (isinstance(name, str) and _NUMBER.fullmatch(name)):
                _fault(faults, "name_malformed", where, f'{_shown(name)} is no small number, such as "1"')
                continue
            key = Text().read(name, f"{where}, name {_shown(name)}", faults)
            if key is not None:
                values[int(key) if self.numbered else key] = self.item.read(item, f"{where}, {key}", faults)
        return None if len(faults) > before else MappingProxyType(dict(sorted(values.items())))

    def text(self, value: Mapping[Any, Any]) -> dict[str, Json]:
        """Write the names in order."""
        return {str(name): self.item.text(item) for name, item in sorted(value.items())}

    def schema(self) -> dict[str, Json]:
        """An object whose keys are names."""
        names = {"pattern": "^(0|[1-9][0-9]{0,2})$"} if self.numbered else {"minLength": 1, "maxLength": 60}
        return {"type": "object", "propertyNames": names, "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class Record(Kind):
    """One entry with named parts, read into a small value of the policy; a part that is left out keeps its default."""

    cls: type
    parts: Mapping[str, Kind]
    word: str = "an entry with named parts"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Read every part and report every fault in them, and parts that are unknown or missing."""
        if not isinstance(raw, dict):
            return _fault(faults, "value_kind_wrong", where, f"write the parts {', '.join(self.parts)} in {{ }}")
        before, values = len(faults), {}
        for name in raw:
            if name not in self.parts:
                _fault(faults, "part_unknown", where, f"there is no part {_shown(name)}: use {', '.join(self.parts)}")
        for name, kind in self.parts.items():
            if raw.get(name) is not None:
                values[name] = kind.read(raw[name], f"{where}, {name}", faults)
            elif name in self._required():
                _fault(faults, "part_missing", where, f"the part {name} is missing")
        return None if len(faults) > before else self.cls(**values)

    def text(self, value: Any) -> dict[str, Json]:
        """Write every part, also those that keep their default."""
        parts = {name: getattr(value, name) for name in self.parts}
        return {name: None if part is None else self.parts[name].text(part) for name, part in parts.items()}

    def schema(self) -> dict[str, Json]:
        """An object with these properties; null stands for the default of a part that has one."""
        required = self._required()
        return {
            "type": "object",
            "properties": {
                name: kind.schema() if name in required else {"oneOf": [kind.schema(), {"type": "null"}]}
                for name, kind in self.parts.items()
            },
            "required": [name for name in self.parts if name in required],
            "additionalProperties": False,
        }

    def _required(self) -> frozenset[str]:
        return frozenset(
            part.name for part in fields(self.cls) if part.default is MISSING and part.default_factory is MISSING
        )


@dataclass(frozen=True)
class Span(Kind):
    """A first and a last day, both included, as in {"first": "2030-03-01", "last": "2030-03-31"}."""

    word: str = "a first and a last day"

    def read(self, raw: Json, where: str, faults: list[Refusal]) -> Any:
        """Accept two days."""
        if not isinstance(raw, dict) or set(raw) != {"first", "last"}:
            return _fault(faults, "value_kind_wrong", where, 'write {"first": day, "last": day}')
        first = Day().read(raw["first"], f"{where}, first", faults)
        last = Day().read(raw["last"], f"{where}, last", faults)
        return None if first is None or last is None else (first, last)

    def text(self, value: tuple[date, date]) -> dict[str, Json]:
        """Write the two days."""
        return {"first": value[0].isoformat(), "last": value[1].isoformat()}

    def schema(self) -> dict[str, Json]:
        """An object with two days."""
        return {
            "type": "object",
            "properties": {"first": Day().schema(), "last": Day().schema()},
            "required": ["first", "last"],
            "additionalProperties": False,
        }


def _fault(faults: list[Refusal], code: str, where: str, what: str) -> Any:
    """Add one fault, said as a sentence that begins with its place, and return None for the value."""
    faults.append(Refusal(code, f"{where}: {what}."))
    return None


def _shown(raw: Json) -> str:
    """Quote something that a stranger wrote, short and printable."""
    return ascii(raw)[:60]


def _is_month_day(text: str) -> bool:
    match = _MONTH_DAY.fullmatch(text)
    return match is not None and int(match[2]) <= LAST_DAYS[int(match[1]) - 1]
