"""Which hours of a day are high-carbon, by the forecast of the day before and by nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

HOURS_OF_A_DAY = 24


@dataclass(frozen=True)
class HighHours:
    """How a tariff picks the high-carbon hours: the `per_day` dirtiest, or those above a percentile of the day."""

    per_day: int | None = None
    percentile: Decimal | None = None

    def __post_init__(self) -> None:
        assert (self.per_day is None) != (self.percentile is None), "one rule, and only one"


def high_hours(forecast: Sequence[int], rule: HighHours) -> frozenset[int]:
    """Return the hours of the day, 0 to 23, that a forecast makes high-carbon.

    Of hours that are equally dirty the earlier ones are taken first. The percentile is that of the nearest rank, and an
    hour has to lie above it: on a day on which all hours are alike none does.
    """
    assert len(forecast) == HOURS_OF_A_DAY
    if rule.per_day is not None:
        dirtiest = sorted(range(HOURS_OF_A_DAY), key=lambda hour: (-forecast[hour], hour))
        return frozenset(dirtiest[: rule.per_day])
    assert rule.percentile is not None
    rank = -(-Fraction(rule.percentile) * HOURS_OF_A_DAY // 100)
    threshold = sorted(forecast)[max(rank, 1) - 1]
    return frozenset(hour for hour, value in enumerate(forecast) if value > threshold)
