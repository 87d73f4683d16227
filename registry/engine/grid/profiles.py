"""How dirty a zone is by the hour of the day and by the month: averages for reading, rounded to two places."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from registry.engine.grid.units import rounded

PLACES = 2


@dataclass(frozen=True)
class Profile:
    """The known hours of one hour of the day, or of one month: lowest, mean and highest in g per kWh."""

    of: int
    hours: int
    lowest: Decimal
    mean: Decimal
    highest: Decimal


def by_hour_of_day(known: Iterable[tuple[datetime, Decimal]]) -> list[Profile]:
    """Return a profile for each hour of the day (UTC) of which something is known."""
    return _profiles(known, lambda hour: hour.hour)


def by_month(known: Iterable[tuple[datetime, Decimal]]) -> list[Profile]:
    """Return a profile for each month of the year (UTC) of which something is known."""
    return _profiles(known, lambda hour: hour.month)


def _profiles(known: Iterable[tuple[datetime, Decimal]], key: Callable[[datetime], int]) -> list[Profile]:
    values: defaultdict[int, list[Decimal]] = defaultdict(list)
    for hour, value in known:
        values[key(hour)].append(value)
    return [
        Profile(
            of=of,
            hours=len(some),
            lowest=rounded(min(some), PLACES),
            mean=rounded(Fraction(sum(some, Decimal(0))) / len(some), PLACES),
            highest=rounded(max(some), PLACES),
        )
        for of, some in sorted(values.items())
    ]
