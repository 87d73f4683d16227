"""Benchmarks and activity levels: what a good operator uses per unit of output, and the output that counts.

An intensity is use over output, in whatever units the scheme measures them (J per FLOP, t CO2e per million tokens).
A benchmark is blind to technology, fuel, size and age: one product, one benchmark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, coefficient, exact

TOP_SHARE = Decimal("0.10")
"""European practice: the mean of the ten per cent most efficient."""

SHARE_OF_MEAN = Decimal("0.90")
"""Californian practice: ninety per cent of the average."""

ACTIVITY_THRESHOLD = Decimal("0.15")
"""European practice: free permits follow activity only where it moved by more than fifteen per cent."""

WORST_PERCENTILE = Decimal("0.80")
"""Regulation (EU) 2024/873: the least efficient fifth of a population owes a plan, or a fifth of its free permits."""


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


@dataclass(frozen=True)
class Rank:
    """One place on the public curve of a benchmark: who stands there is nobody's business.

    Operators of one intensity share the first of their places. `counts` says whether the benchmark was taken from it.
    """

    place: int
    intensity: Fraction
    counts: bool


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
    chosen = _by_intensity(observations)[: _top_count(observations, share)]
    total = sum((_intensity(seen) for seen in chosen), Fraction(0))
    return Benchmark(total / len(chosen), tuple(seen.operator for seen in chosen), len(observations))


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


def ranking(
    observations: Sequence[Observation], share: Exact = TOP_SHARE, minimum_population: int = 1
) -> tuple[Rank, ...] | Refusal:
    """Return the curve of intensities from the best to the worst, without a name on it, for publication.

    The European Commission publishes its benchmark curves in this way. An operator finds its own place by its own
    intensity. The guard on the population keeps a curve of two from telling each what the other does.
    """
    refusal = _population_refusal(observations, minimum_population)
    if refusal:
        return refusal
    counted = _top_count(observations, share)
    ranks: list[Rank] = []
    for position, seen in enumerate(_by_intensity(observations), start=1):
        intensity = _intensity(seen)
        shared = bool(ranks) and ranks[-1].intensity == intensity
        ranks.append(Rank(ranks[-1].place if shared else position, intensity, position <= counted))
    return tuple(ranks)


def worst_performers(
    observations: Sequence[Observation], percentile: Exact = WORST_PERCENTILE, minimum_population: int = 1
) -> tuple[str, ...] | Refusal:
    """Return the operators above a percentile of intensity, in the order of their keys.

    Of N operators those stand above it whose place is greater than percentile x N; an operator as good as the last
    one below the line is not above it.
    """
    refusal = _population_refusal(observations, minimum_population)
    if refusal:
        return refusal
    ranked = _by_intensity(observations)
    below = int(exact(percentile) * len(ranked))
    line = _intensity(ranked[below - 1]) if below else Fraction(-1)
    return tuple(sorted(seen.operator for seen in ranked[below:] if _intensity(seen) > line))


def measured_rate(old: Exact, new: Exact, years: int) -> Fraction:
    """Return by which share of the old value a benchmark fell in a year, on average: (1 - new / old) / years."""
    assert exact(old) > 0
    assert years > 0
    return (1 - exact(new) / exact(old)) / years


def updated_benchmark(
    old: Exact, rate: Exact, *, lowest_rate: Exact, highest_rate: Exact, years: int, places: int = 3
) -> Decimal | Refusal:
    """Return old x (1 - clamp(rate, lowest, highest) x years), half-up to `places` decimals.

    The European update: rates of 0.2 % to 1.6 % a year over 15 years for 2021-25, 0.3 % to 2.5 % over 20 years for
    2026-30 (Directive 2003/87/EC, Article 10a(2)). The rate is linear in the old value, not compounded. A value that
    the decimals would turn into nothing is refused: state the benchmark per a larger unit of output.
    """
    low, high = exact(lowest_rate), exact(highest_rate)
    if low > high or years < 0 or low < 0:
        return Refusal(
            "rates_out_of_order",
            "The lowest yearly rate of a benchmark cannot be below zero or above the highest, nor the years negative.",
        )
    new = exact(old) * (1 - min(max(exact(rate), low), high) * years)
    rounded = coefficient(new, places) if new > 0 else Decimal(0)
    if rounded <= 0:
        return Refusal(
            "benchmark_vanishes",
            f"The update leaves nothing of the benchmark at {places} decimals: state it per a larger unit of output, "
            "or lower the rate or the years.",
        )
    return rounded


def activity_level(
    historical: Exact, year_before_last: Exact, last_year: Exact, threshold: Exact = ACTIVITY_THRESHOLD
) -> Fraction:
    """Return the output an allocation counts: the historical level, or the two-year mean where that moved enough.

    The mean is used only when it differs from the historical level by more than the threshold; exactly the threshold
    keeps history (Regulation (EU) 2019/1842: 15 %). An operator without history starts at the mean.
    """
    level, mean = exact(historical), (exact(year_before_last) + exact(last_year)) / 2
    return mean if abs(mean - level) > exact(threshold) * level else level


def _intensity(seen: Observation) -> Fraction:
    return exact(seen.use) / exact(seen.output)


def _by_intensity(observations: Sequence[Observation]) -> list[Observation]:
    """Order a population from the lowest intensity to the highest, ties to the lowest operator key."""
    return sorted(observations, key=lambda seen: (_intensity(seen), seen.operator))


def _top_count(observations: Sequence[Observation], share: Exact) -> int:
    """Return how many operators the top share has: at least one, never a part of one."""
    return max(1, int(exact(share) * len(observations)))


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
