"""Benchmarks and activity levels: what a good operator uses per unit of output, and the output that counts.

An intensity is use over output, in whatever units the scheme measures them (J per FLOP, t CO2e per million tokens).
A benchmark is blind to technology, fuel, size and age: one product, one benchmark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact

TOP_SHARE = Decimal("0.10")
"""European practice: the mean of the ten per cent most efficient."""

SHARE_OF_MEAN = Decimal("0.90")
"""Californian practice: ninety per cent of the average."""

ACTIVITY_THRESHOLD = Decimal("0.15")
"""European practice: free permits follow activity only where it moved by more than fifteen per cent."""


@dataclass(frozen=True)
class Observation:
    """Verified use and output of one operator in the benchmark year."""

    operator: str
    use: Exact
    output: Exact


@dataclass(frozen=True)
class Benchmark:
    """A benchmark in use per unit of output, with the operators it was taken from."""

    value: Fraction
    operators: tuple[str, ...]
    population: int


def top_share_benchmark(
    observations: Sequence[Observation], share: Exact = TOP_SHARE, minimum_population: int = 1
) -> Benchmark | Refusal:
    """Return the mean intensity of the most efficient share of the population.

    n = max(1, floor(share x N)) operators with the lowest intensity, ties to the lowest operator key. The mean is of
    intensities, each operator counting once, as in the EU; `share_of_mean_benchmark` weighs by output.
    """
    refusal = _population_refusal(observations, minimum_population)
    if refusal:
        return refusal
    chosen_count = max(1, int(exact(share) * len(observations)))
    ranked = sorted(observations, key=lambda seen: (exact(seen.use) / exact(seen.output), seen.operator))
    chosen = ranked[:chosen_count]
    total = sum((exact(seen.use) / exact(seen.output) for seen in chosen), Fraction(0))
    return Benchmark(total / chosen_count, tuple(seen.operator for seen in chosen), len(observations))


def share_of_mean_benchmark(
    observations: Sequence[Observation], share: Exact = SHARE_OF_MEAN, minimum_population: int = 1
) -> Benchmark | Refusal:
    """Return a share of the output-weighted mean intensity: share x sum(use) / sum(output)."""
    refusal = _population_refusal(observations, minimum_population)
    if refusal:
        return refusal
    use = sum((exact(seen.use) for seen in observations), Fraction(0))
    output = sum((exact(seen.output) for seen in observations), Fraction(0))
    operators = tuple(sorted(seen.operator for seen in observations))
    return Benchmark(exact(share) * use / output, operators, len(observations))


def activity_level(historical: Exact, year_before_last: Exact, last_year: Exact) -> Fraction:
    """Return the output an allocation counts: the historical level, or the two-year mean where that moved enough.

    The mean is used only when it differs from the historical level by more than 15 %; exactly 15 % keeps history. An
    operator without history starts at the mean.
    """
    level, mean = exact(historical), (exact(year_before_last) + exact(last_year)) / 2
    return mean if abs(mean - level) > exact(ACTIVITY_THRESHOLD) * level else level


def _population_refusal(observations: Sequence[Observation], minimum_population: int) -> Refusal | None:
    """Say why no benchmark can be taken from this population."""
    if len(observations) < max(1, minimum_population):
        return Refusal(
            "population_too_small",
            f"A benchmark needs at least {max(1, minimum_population)} operators with verified figures; "
            f"there are {len(observations)}.",
        )
    if len({seen.operator for seen in observations}) < len(observations):
        return Refusal("operator_twice", "Each operator may stand in the population once: add its figures up first.")
    broken = sorted(seen.operator for seen in observations if exact(seen.use) < 0 or exact(seen.output) <= 0)
    if broken:
        return Refusal(
            "figures_out_of_range",
            f"Use cannot be negative and output must be above zero: correct {', '.join(broken)}.",
        )
    return None
