"""Benchmarks over a population, and the activity level an allocation counts."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.benchmarks import (
    Benchmark,
    Observation,
    Rank,
    activity_level,
    measured_rate,
    ranking,
    share_of_mean_benchmark,
    top_share_benchmark,
    updated_benchmark,
    worst_performers,
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


@pytest.mark.parametrize("rule", [top_share_benchmark, share_of_mean_benchmark, ranking, worst_performers])
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
    rule: Callable[..., object], population: tuple[Observation, ...], code: str
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


def test_the_threshold_of_activity_is_a_parameter() -> None:
    assert activity_level(100, 106, 106, threshold=Decimal("0.05")) == 106
    assert activity_level(100, 105, 105, threshold=Decimal("0.05")) == 100
    assert activity_level(100, 101, 101, threshold=0) == 101


def test_the_curve_shows_places_and_intensities_and_no_names() -> None:
    population = (
        Observation("delta", use=3, output=1),
        Observation("alma", use=1, output=1),
        Observation("boreal", use=4, output=2),
        Observation("cirrus", use=2, output=1),
    )

    curve = ranking(population, Decimal("0.5"))

    assert curve == (
        Rank(1, Fraction(1), True),
        Rank(2, Fraction(2), True),
        Rank(2, Fraction(2), False),
        Rank(4, Fraction(3), False),
    )
    assert not any(seen.operator in repr(curve) for seen in population)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=30))
def test_the_benchmark_is_the_mean_of_what_counts_on_the_curve(figures: list[tuple[int, int]]) -> None:
    population = [Observation(f"firm-{n:02}", use, output) for n, (use, output) in enumerate(figures)]

    curve, benchmark = ranking(population), top_share_benchmark(population)

    assert isinstance(curve, tuple)
    assert isinstance(benchmark, Benchmark)
    counting = [rank.intensity for rank in curve if rank.counts]
    assert sum(counting, Fraction(0)) / len(counting) == benchmark.value
    for rank in curve:
        assert rank.place == 1 + sum(other.intensity < rank.intensity for other in curve)


@pytest.mark.parametrize(
    ("population", "percentile", "worst"),
    [
        (TWENTY, "0.80", ("firm-17", "firm-18", "firm-19", "firm-20")),
        (TWENTY[:4], "0.80", ("firm-04",)),  # 0.8 x 4 = 3.2: the fourth place is above it
        (TWENTY[:1], "0.80", ("firm-01",)),
        (TWENTY[:1], "1", ()),
        (tuple(Observation(name, use=1, output=1) for name in "abcde"), "0.80", ()),  # as good as the line
    ],
)
def test_the_worst_performers_stand_above_the_percentile(
    population: tuple[Observation, ...], percentile: str, worst: tuple[str, ...]
) -> None:
    assert worst_performers(population, Decimal(percentile)) == worst


@pytest.mark.parametrize(
    ("old", "rate", "bounds", "years", "new"),
    [
        # Directive 2003/87/EC, Article 10a(2): 2021-25, rates of 0.2 % to 1.6 % over 15 years
        (1, "0.001", ("0.002", "0.016"), 15, "0.970"),
        (1, "0.002", ("0.002", "0.016"), 15, "0.970"),
        (1, "0.010", ("0.002", "0.016"), 15, "0.850"),
        (1, "0.016", ("0.002", "0.016"), 15, "0.760"),
        (1, "0.030", ("0.002", "0.016"), 15, "0.760"),
        (1, "-0.030", ("0.002", "0.016"), 15, "0.970"),  # who got worse still tightens by the least rate
        # 2026-30, rates of 0.3 % to 2.5 % over 20 years
        (1, "0.001", ("0.003", "0.025"), 20, "0.940"),
        (1, "0.0125", ("0.003", "0.025"), 20, "0.750"),
        (1, "0.040", ("0.003", "0.025"), 20, "0.500"),
        # 1.328 t per tonne of hot metal, the value of 2013-20, at the least rate: 1.328 x 0.97 = 1.28816
        ("1.328", "0", ("0.002", "0.016"), 15, "1.288"),
        # halves go up: 0.5 x 0.999 = 0.4995
        ("0.5", "0.001", ("0", "0.001"), 1, "0.500"),
    ],
)
def test_an_update_clamps_the_rate_and_rounds_to_three_decimals(
    old: int | str, rate: str, bounds: tuple[str, str], years: int, new: str
) -> None:
    low, high = map(Decimal, bounds)

    updated = updated_benchmark(Decimal(old), Decimal(rate), lowest_rate=low, highest_rate=high, years=years)

    assert str(updated) == new


def test_the_measured_rate_is_the_mean_yearly_fall() -> None:
    assert measured_rate(Decimal("0.8"), Decimal("0.72"), 9) == Fraction(1, 90)
    assert measured_rate(100, 110, 5) == Fraction(-1, 50)


@pytest.mark.parametrize(
    ("old", "low", "high", "years", "code"),
    [
        (1, "0.016", "0.002", 15, "rates_out_of_order"),
        (1, "-0.1", "0.002", 15, "rates_out_of_order"),
        (1, "0", "0.002", -1, "rates_out_of_order"),
        (1, "0.05", "0.05", 20, "benchmark_vanishes"),
        (1, "0.05", "0.05", 21, "benchmark_vanishes"),
        ("1E-12", "0.002", "0.016", 15, "benchmark_vanishes"),  # three decimals hold no joules per FLOP
    ],
)
def test_an_update_that_leaves_nothing_is_refused(old: int | str, low: str, high: str, years: int, code: str) -> None:
    refusal = updated_benchmark(Decimal(old), 0, lowest_rate=Decimal(low), highest_rate=Decimal(high), years=years)

    assert isinstance(refusal, Refusal)
    assert refusal.code == code


def test_a_benchmark_in_small_units_keeps_the_decimals_it_is_given() -> None:
    updated = updated_benchmark(
        Decimal("1.117E-12"), 0, lowest_rate=Decimal("0.002"), highest_rate=Decimal("0.016"), years=15, places=15
    )

    assert updated == Decimal("1.083E-12")  # 1.117 x 0.97 = 1.08349


@given(old=st.decimals("0.1", 1000, places=3), rate=st.decimals(-1, 1, places=4), years=st.integers(0, 20))
def test_an_update_never_leaves_the_corridor_by_more_than_half_a_digit(old: Decimal, rate: Decimal, years: int) -> None:
    low, high = Decimal("0.003"), Decimal("0.025")

    updated = updated_benchmark(old, rate, lowest_rate=low, highest_rate=high, years=years)

    assert isinstance(updated, Decimal)
    half = Decimal("0.0005")
    assert old * (1 - high * years) - half <= updated <= old * (1 - low * years) + half
