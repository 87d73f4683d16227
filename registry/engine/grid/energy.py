"""What a stream drew hour by hour: from its records, with hours it did not report filled, or spread from one total.

An hour without a record between the first and the last that are expected counts with the highest energy of any hour of
the stream in the same calendar month, or of all its hours where that month has none. Who reports every hour pays for
what was used; who leaves hours out pays at least as much.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from registry.engine.grid.hours import HOUR, hour_at, hour_number
from registry.engine.grid.units import KWH_PLACES, pico_kwh
from registry.engine.rounding import EXACT_DECIMALS


@dataclass(frozen=True)
class EnergySeries:
    """Energy at the site in each hour from `start` on, in 10^-12 kWh; `filled` names the hours that nobody told."""

    start: datetime
    pico_kwh: tuple[int, ...]
    filled: tuple[int, ...] = ()

    def __len__(self) -> int:
        """How many hours there are."""
        return len(self.pico_kwh)

    @property
    def kwh(self) -> Decimal:
        """The energy of all hours."""
        return EXACT_DECIMALS.scaleb(Decimal(sum(self.pico_kwh)), -KWH_PLACES)


def fill_energy(start: int, end: int, known: Mapping[int, int]) -> EnergySeries:
    """Return the energy of the hours from `start` to before `end`; what lies outside them does not count."""
    filled = tuple(hour for hour in range(start, end) if hour not in known)
    stand_in = _highest(known) if filled else {}
    highest = max(known.values(), default=0) if filled else 0
    values = [known.get(hour, -1) for hour in range(start, end)]
    for hour in filled:
        values[hour - start] = stand_in.get(_month(hour), highest)
    return EnergySeries(hour_at(start), tuple(values), filled)


def _highest(known: Mapping[int, int]) -> dict[tuple[int, int], int]:
    """Return the highest energy of an hour in each month."""
    months: dict[tuple[int, int], int] = {}
    for hour, drawn in known.items():
        month = _month(hour)
        months[month] = max(drawn, months.get(month, 0))
    return months


def _month(hour: int) -> tuple[int, int]:
    at = hour_at(hour)
    return at.year, at.month


def spread(kwh: Decimal, started_at: datetime, ended_at: datetime) -> EnergySeries:
    """Spread the energy of a run over the hours it touched, in proportion to the time it ran in each.

    The shares are whole units of 10^-12 kWh and add up to the energy exactly.
    """
    assert started_at < ended_at, "a run takes time"
    total = pico_kwh(kwh)
    first = hour_number(started_at)
    shares, given, hour = [], 0, first
    while hour_at(hour) < ended_at:
        passed = min(hour_at(hour) + HOUR, ended_at) - started_at
        until_now = Fraction(total) * (passed // _TICK) / ((ended_at - started_at) // _TICK)
        upto = until_now.numerator // until_now.denominator
        shares.append(upto - given)
        given, hour = upto, hour + 1
    return EnergySeries(hour_at(first), tuple(shares))


_TICK = datetime.resolution
