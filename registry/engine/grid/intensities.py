"""The intensity of a zone hour by hour, complete: hours that nobody knows are filled by rules, in this order.

1. A gap of at most two hours: the higher of the two hours beside it.
2. The same hour of the seven days before, where at least four of them are known: the 75th percentile by nearest rank.
3. The highest hour of the zone in the same calendar month.
4. The yearly figure of the country times 1.2.

Only known hours feed the rules, never filled ones. A zone of which no hour is known at all is computed by the yearly
figure of its country as it is: nothing is missing there, for there is no hourly series.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from registry.engine.grid.hours import hour_at, hour_number
from registry.engine.grid.units import micro_grams_text

LONGEST_NEIGHBOURED = 2
DAYS_BACK, FEWEST_DAYS = 7, 4
COUNTRY_UPLIFT = Fraction(6, 5)


class Fill(StrEnum):
    """Where the figure of an hour comes from."""

    KNOWN = "known"
    NEIGHBOURS = "neighbours"
    SAME_HOUR = "same_hour"
    MONTH = "month"
    COUNTRY = "country"
    ANNUAL = "annual"

    @property
    def says(self) -> str:
        """The rule in a few words."""
        return _SAYS[self]


_SAYS = {
    Fill.KNOWN: "known",
    Fill.NEIGHBOURS: "the higher of the hours beside it",
    Fill.SAME_HOUR: "the same hour of the seven days before, 75th percentile",
    Fill.MONTH: "the highest hour of the month",
    Fill.COUNTRY: "the country's year times 1.2",
    Fill.ANNUAL: "the country's year: the zone has no hourly series",
}


@dataclass(frozen=True)
class IntensitySeries:
    """What a kilowatt-hour of a zone emitted in each hour from `start` on, without a gap.

    `versions` names the sets that the figures are of, such as "us-hourly-2022 v1".
    """

    zone: str
    start: datetime
    micro_g_per_kwh: tuple[int, ...]
    fills: tuple[Fill, ...]
    versions: tuple[str, ...]

    def __len__(self) -> int:
        """How many hours there are."""
        return len(self.micro_g_per_kwh)

    @property
    def first(self) -> int:
        """The number of the first hour."""
        return hour_number(self.start)

    @property
    def end(self) -> datetime:
        """The first instant after the last hour."""
        return hour_at(self.first + len(self))

    @property
    def hours(self) -> tuple[datetime, ...]:
        """The beginnings of the hours."""
        return tuple(hour_at(self.first + place) for place in range(len(self)))

    @property
    def values(self) -> tuple[Decimal, ...]:
        """The intensities in g per kWh."""
        return tuple(micro_grams_text(micro) for micro in self.micro_g_per_kwh)

    @property
    def filled(self) -> tuple[tuple[datetime, Fill], ...]:
        """The hours that were filled, and by which rule."""
        return tuple(
            (hour_at(self.first + place), fill) for place, fill in enumerate(self.fills) if fill is not Fill.KNOWN
        )

    @property
    def is_annual(self) -> bool:
        """Whether the zone has no hourly series at all."""
        return Fill.ANNUAL in self.fills

    def at(self, moment: datetime) -> Decimal:
        """Return the intensity of the hour in which a moment lies, in g per kWh."""
        return micro_grams_text(self.micro_g_per_kwh[hour_number(moment) - self.first])

    def mean(self) -> Fraction:
        """Return the average over the hours that are known, or over all where none is, in millionths of a gram."""
        known = [micro for micro, fill in zip(self.micro_g_per_kwh, self.fills, strict=True) if fill is Fill.KNOWN]
        counted = known or self.micro_g_per_kwh
        return Fraction(sum(counted), len(counted))


def fill_intensities(
    zone: str,
    start: int,
    end: int,
    known: Mapping[int, int],
    country: Mapping[int, int],
    versions: tuple[str, ...],
) -> IntensitySeries:
    """Return the hours from `start` to before `end`. Known figures may lie around them, and the rules look at those.

    `country` gives the yearly figures that stand in where nothing else does: that of the latest year up to the hour's.
    """
    assert start < end and country
    filler = _Filler(known, country)
    found = [filler.of(hour) for hour in range(start, end)]
    return IntensitySeries(
        zone=zone,
        start=hour_at(start),
        micro_g_per_kwh=tuple(micro for micro, _ in found),
        fills=tuple(fill for _, fill in found),
        versions=versions,
    )


class _Filler:
    """Answers for one hour after the other, and remembers the highest hour of each month."""

    def __init__(self, known: Mapping[int, int], country: Mapping[int, int]) -> None:
        self.known, self.country = known, country
        self._highest: dict[tuple[int, int], int] | None = None

    def of(self, hour: int) -> tuple[int, Fill]:
        """Return what the hour emitted, and how that is known."""
        value = self.known.get(hour)
        if value is not None:
            return value, Fill.KNOWN
        if not self.known:
            return self._year(hour), Fill.ANNUAL
        value = self._neighbours(hour)
        if value is not None:
            return value, Fill.NEIGHBOURS
        value = self._same_hour(hour)
        if value is not None:
            return value, Fill.SAME_HOUR
        at = hour_at(hour)
        value = self._months().get((at.year, at.month))
        if value is not None:
            return value, Fill.MONTH
        lifted = self._year(hour) * COUNTRY_UPLIFT
        return -(-lifted.numerator // lifted.denominator), Fill.COUNTRY

    def _neighbours(self, hour: int) -> int | None:
        """Return the higher of the hours beside a gap that is short enough."""
        steps = range(1, LONGEST_NEIGHBOURED + 1)
        before = next((step for step in steps if hour - step in self.known), None)
        after = next((step for step in steps if hour + step in self.known), None)
        if before is None or after is None or before + after - 1 > LONGEST_NEIGHBOURED:
            return None
        return max(self.known[hour - before], self.known[hour + after])

    def _same_hour(self, hour: int) -> int | None:
        """Return the 75th percentile of the same hour on the days before, by nearest rank."""
        days = (hour - 24 * days for days in range(1, DAYS_BACK + 1))
        values = sorted(self.known[day] for day in days if day in self.known)
        return values[-(-3 * len(values) // 4) - 1] if len(values) >= FEWEST_DAYS else None

    def _months(self) -> dict[tuple[int, int], int]:
        if self._highest is None:
            self._highest = {}
            for hour, value in self.known.items():
                at = hour_at(hour)
                key = (at.year, at.month)
                self._highest[key] = max(value, self._highest.get(key, 0))
        return self._highest

    def _year(self, hour: int) -> int:
        year = hour_at(hour).year
        earlier = [known for known in self.country if known <= year]
        return self.country[max(earlier) if earlier else min(self.country)]
