"""Emissions of energy that was drawn evenly over a span of time: each hour counts with its own intensity.

The factor source names the sets with their versions, the hours of the span and how many of them were filled, so that
a line can be worked out again from what it says of itself.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from registry.engine.grid import Fill, IntensitySeries
from registry.models import FactorSet
from registry.services.grid import intensities

OfYear = Callable[[int], tuple[IntensitySeries, list[FactorSet]] | None]
"""The series of a calendar year with its sets, or nothing where no hour of the year is known."""

_LONGEST_SOURCE = 120
_GRAM = Decimal("0.000001")
_HALF_UP = Context(prec=250, rounding=ROUND_HALF_UP)
_SOURCE = re.compile(r"hourly: ([A-Z0-9_-]+), (.+): \d+ of \d+ hours filled")


@dataclass(frozen=True)
class Span:
    """What a span of time comes to: the intensity times the microseconds, and the hours behind it."""

    zone: str
    weighed: int
    microseconds: int
    hours: int
    filled: int
    sets: tuple[FactorSet, ...]

    def grams(self, kwh: Decimal) -> Decimal:
        """Return what energy that was drawn evenly emitted, rounded half-up to the digits that are kept."""
        micro = _HALF_UP.divide(_HALF_UP.multiply(kwh, Decimal(self.weighed)), Decimal(self.microseconds))
        return micro.scaleb(-6, context=_HALF_UP).quantize(_GRAM, context=_HALF_UP)

    @property
    def source(self) -> str:
        """Name what the figure rests on; sets by the start of their ids where their names are too long together."""
        named = self._source(str(one) for one in self.sets)
        return named if len(named) <= _LONGEST_SOURCE else self._source(_short(one) for one in self.sets)

    def _source(self, names: Iterable[str]) -> str:
        return f"hourly: {self.zone}, {', '.join(names)}: {self.filled} of {self.hours} hours filled"


def span(zone: str, started_at: datetime, ended_at: datetime, of_year: OfYear) -> Span | None:
    """Weigh the hours between two moments; nothing where they say no span, or a year of it has no known hour."""
    start, end = started_at.astimezone(UTC), ended_at.astimezone(UTC)
    if start >= end or end - start > timedelta(days=366):
        return None
    weighed = hours = filled = 0
    sets: dict[FactorSet, None] = {}
    at = start
    while at < end:
        found = of_year(at.year)
        if found is None:
            return None
        hour = at.replace(minute=0, second=0, microsecond=0)
        until = min(end, hour + timedelta(hours=1))
        place = int((hour - datetime(at.year, 1, 1, tzinfo=UTC)) / timedelta(hours=1))
        weighed += found[0].micro_g_per_kwh[place] * ((until - at) // timedelta(microseconds=1))
        hours += 1
        filled += found[0].fills[place] is not Fill.KNOWN
        sets |= dict.fromkeys(found[1])
        at = until
    return Span(zone, weighed, (end - start) // timedelta(microseconds=1), hours, filled, tuple(sets))


def year_series(
    zone: str, year: int, *, at: datetime, sets: Iterable[FactorSet] | None = None
) -> tuple[IntensitySeries, list[FactorSet]] | None:
    """Return the series of a calendar year with its sets, pinned where they are told; nothing without a known hour."""
    begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    pinned = None if sets is None else [one.pk for one in sets]
    found = intensities.with_sets(zone, begin, end, at=at, sets=pinned)
    return None if found[0].is_annual else found


def sets_of(source: str) -> tuple[str, tuple[FactorSet, ...]] | None:
    """Return the zone and the sets that a factor source names; nothing where it names none, or one that is unknown."""
    said = _SOURCE.fullmatch(source)
    if said is None:
        return None
    known = {name: one for one in FactorSet.objects.all() for name in (str(one), _short(one))}
    names = said[2].split(", ")
    return (said[1], tuple(known[name] for name in names)) if set(names) <= set(known) else None


def _short(one: FactorSet) -> str:
    return f"#{one.pk.hex[:12]}"
