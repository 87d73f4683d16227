"""Benchmarks over a population, and the activity level an allocation counts."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest

from registry.engine.benchmarks import (
    Benchmark,
    Observation,
    activity_level,
    share_of_mean_benchmark,
    top_share_benchmark,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact

TWENTY = tuple(Observation(f"firm-{n:02}", use=n, output=1) for n in range(1, 21))


@pytest.mark.parametrize(
    ("population", "share", "value", "operators"),
    [
        (TWENTY, "0.10", Fraction(3, 2), ("firm-01", "firm-02")),
        (TWENTY[:19], "0.10", Fraction(1), ("firm-01",)),
        (TWENTY[:3], "0.10", Fraction(1), ("firm-01",)),
        (TWENTY[:3], "1", Fraction(2), ("firm-01", "firm-02", "firm-03")),
    ],
)
def test_top_share_is_the_mean_of_the_lowest_intensities(
    population: tuple[Observation, ...], share: str, value: Fraction, operators: tuple[str, ...]
) -> None:
    benchmark = top_share_benchmark(population, Decimal(share))

    assert benchmark == Benchmark(value, operators, len(population))


def test_ties_in_intensity_go_to_the_lowest_operator() -> None:
    twins = (Observation("zeta", use=2, output=2), Observation("alfa", use=5, output=5))

    benchmark = top_share_benchmark(twins)

    assert benchmark == Benchmark(Fraction(1), ("alfa",), 2)


def test_share_of_mean_weighs_by_output_and_top_share_does_not() -> None:
    big_and_small = (Observation("big", use=90, output=100), Observation("small", use=3, output=1))

    assert share_of_mean_benchmark(big_and_small) == Benchmark(Fraction(9, 10) * 93 / 101, ("big", "small"), 2)
    assert top_share_benchmark(big_and_small, 1) == Benchmark((Fraction(9, 10) + 3) / 2, ("big", "small"), 2)


@pytest.mark.parametrize("rule", [top_share_benchmark, share_of_mean_benchmark])
@pytest.mark.parametrize(
    ("population", "code"),
    [
        ((), "population_too_small"),
        (TWENTY[:4], "population_too_small"),
        ((*TWENTY[:5], TWENTY[0]), "operator_twice"),
        ((*TWENTY[:5], Observation("idle", use=1, output=0)), "figures_out_of_range"),
        ((*TWENTY[:5], Observation("odd", use=-1, output=1)), "figures_out_of_range"),
    ],
)
def test_a_population_that_makes_no_benchmark_is_refused(
    rule: Callable[..., Benchmark | Refusal], population: tuple[Observation, ...], code: str
) -> None:
    refusal = rule(population, minimum_population=5)

    assert isinstance(refusal, Refusal)
    assert refusal.code == code


@pytest.mark.parametrize(
    ("historical", "two_years", "level"),
    [
        (100, (114, 116), 100),  # exactly 15 % keeps history
        (100, (116, 116), 116),
        (100, (85, 85), 100),
        (100, (84, 84), 84),
        (100, (130, 95), 100),  # 12.5 % on the mean, whatever one year did
        (0, (10, 20), 15),
        (Decimal("0.1"), (Decimal("0.115"), Decimal("0.115")), Decimal("0.1")),  # binary floats get this one wrong
    ],
)
def test_activity_follows_the_two_year_mean_only_beyond_fifteen_per_cent(
    historical: int | Decimal, two_years: tuple[Exact, Exact], level: int | Decimal
) -> None:
    assert activity_level(historical, *two_years) == level
