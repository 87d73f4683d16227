"""AI Energy Score: classes of text generators by size, and one to five stars by GPU energy per 1,000 queries.

The scheme's text says both that the energy range is cut in five equal parts and that the lowest fifth of the models
gets five stars. That is not the same, so both rules are here and a star names its own. A star holds for the leaderboard
it was worked out on, not for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from registry.engine.emissions.steps import CalculationStep
from registry.engine.rounding import Exact, exact

MOST_BILLIONS = {"A": 20, "B": 66}
"""The largest class A and B in billions of parameters at 16 bits; class C is larger."""

STARS = 5


class StarRule(StrEnum):
    """How a leaderboard is cut into five."""

    EQUAL_WIDTH = "equal_width"
    QUINTILE = "quintile"


@dataclass(frozen=True)
class Stars:
    """The stars of all models of one task and class on one day, by one rule, with the limits between them."""

    rule: StarRule
    on: date
    stars: Mapping[str, int]
    steps: tuple[CalculationStep, ...]


def memory_gb(billions: Exact, bits: int) -> Fraction:
    """Return the GPU memory of a model: M = (P x 4 / (32 / Q)) x 1.2, P billions of parameters and Q bits each."""
    return exact(billions) * 4 * bits / 32 * exact("1.2")


def size_class(billions: Exact, bits: int = 16) -> str:
    """Return the class of a text generator: A up to the memory of 20 billion parameters at 16 bits, B of 66, else C."""
    needed = memory_gb(billions, bits)
    for name, most in MOST_BILLIONS.items():
        if needed <= memory_gb(most, 16):
            return name
    return "C"


def stars(wh_per_1000: Mapping[str, Decimal], rule: StarRule, on: date) -> Stars:
    """Give every model of one task one to five stars; five is the least energy.

    Equal width: the range from the least to the most energy is cut in five; a model on a limit gets the better side,
    and all get five where all are equal. Quintile: models are ranked, and the best fifth gets five; equal energies get
    equal stars, the better ones. An empty leaderboard gives no stars.
    """
    if not wh_per_1000:
        return Stars(rule, on, {}, ())
    if rule is StarRule.EQUAL_WIDTH:
        return _equal_width(wh_per_1000, on)
    ranked = sorted(wh_per_1000.values())
    given = {name: STARS - ranked.index(wh) * STARS // len(ranked) for name, wh in wh_per_1000.items()}
    return Stars(rule, on, given, (CalculationStep("models ranked", len(ranked), ""),))


def _equal_width(wh_per_1000: Mapping[str, Decimal], on: date) -> Stars:
    least, most = exact(min(wh_per_1000.values())), exact(max(wh_per_1000.values()))
    width = (most - least) / STARS
    limits = [least + width * number for number in range(1, STARS)]
    given = {name: STARS - sum(exact(wh) > limit for limit in limits) for name, wh in wh_per_1000.items()}
    steps = tuple(
        CalculationStep(f"most for {STARS - number} stars", limit, "Wh") for number, limit in enumerate(limits)
    )
    return Stars(StarRule.EQUAL_WIDTH, on, given, steps)
