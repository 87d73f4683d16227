"""Verification as rules: rotation, materiality and the sample, each as a table."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.policy import VerificationRule
from registry.engine.verification import materiality, rotation, sample

RULE = VerificationRule()
SIX = {2020, 2021, 2022, 2023, 2024, 2025}


@pytest.mark.parametrize(
    ("served", "year", "allowed"),
    [
        (set(), 2026, True),
        ({2021, 2022, 2023, 2024, 2025}, 2026, True),
        (SIX, 2026, False),
        (SIX, 2028, False),
        (SIX, 2029, True),
        ({2020, 2021, 2022, 2024, 2025}, 2026, True),
        ({2019, 2020, 2021, 2023, 2024, 2025}, 2026, False),
        ({2016, 2017, 2018, 2022, 2023, 2024, 2025}, 2026, True),
        (SIX, 2025, True),
        (SIX, 2019, False),
        (SIX | {2029}, 2027, False),
    ],
)
def test_six_years_and_then_a_break_of_three(served: set[int], year: int, allowed: bool) -> None:
    refusal = rotation(RULE, served, year)

    assert (refusal is None) == allowed
    assert refusal is None or refusal.code == "verifier_rotation"


def test_the_turn_and_the_break_are_the_schemes_rule() -> None:
    strict = VerificationRule(rotation_years=1, rotation_break_years=1)

    assert rotation(strict, {2024}, 2025) is not None
    assert rotation(strict, {2024}, 2026) is None


@pytest.mark.parametrize(
    ("reported", "effects", "level", "exceeds"),
    [
        (1000, [], "0.05", False),
        (1000, [50], "0.05", False),
        (1000, ["50.000001"], "0.05", True),
        (1000, [-30, 30], "0.05", True),
        (1000, [-25, 25], "0.05", False),
        (500_000, [25_000], "0.05", False),
        (500_001, [10_001], "0.02", True),
        (1_000_000, [20_000], "0.02", False),
        (1_000_000, ["20000.5"], "0.02", True),
        (0, [], "0.05", False),
        (0, ["0.000001"], "0.05", True),
    ],
)
def test_error_is_too_much_when_it_exceeds_the_level(
    reported: int, effects: list[int | str], level: str, exceeds: bool
) -> None:
    weighed = materiality(RULE, reported=reported, unit_size=1, effects=[Decimal(effect) for effect in effects])

    assert (weighed.level, weighed.exceeds) == (Fraction(level), exceeds)


def test_whether_a_report_is_large_is_counted_in_permits() -> None:
    grams = materiality(RULE, reported=400_000 * 10**6, unit_size=10**6, effects=[15_000 * 10**6])

    assert (grams.level, grams.share, grams.exceeds) == (Fraction("0.05"), Fraction(15, 400), False)


def test_the_sample_is_the_same_for_everybody_and_other_for_another_report() -> None:
    lines = [(number, number % 97) for number in range(1, 500)]

    top, drawn = sample(lines, "a" * 64)

    assert (top, drawn) == sample(list(reversed(lines)), "a" * 64)
    assert drawn != sample(lines, "b" * 64)[1]
    assert all(number % 97 == 96 for number in top)


@given(sizes=st.lists(st.integers(0, 10**30), max_size=40), seed=st.text(max_size=5))
def test_a_sample_never_looks_at_a_line_twice(sizes: list[int], seed: str) -> None:
    lines = list(enumerate(sizes, start=1))

    top, drawn = sample(lines, seed)

    assert len(top) + len(drawn) == min(10, len(lines)) == len({*top, *drawn})
    assert all(dict(lines)[one] >= dict(lines)[other] for one in top for other in drawn)
