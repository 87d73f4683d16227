"""The rounding rules R1 to R8 against the figures real schemes published."""

from collections.abc import Callable
from decimal import Decimal, Inexact
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import rounding

claims = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=4),
    st.fractions(min_value=0, max_value=10**12, max_denominator=997),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("value", [0.1, float("nan"), True, None])
def test_r1_accepts_no_binary_float_and_no_truth_value(value: Any) -> None:
    with pytest.raises(TypeError):
        rounding.exact(value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), "NaN", "inf"])
def test_r1_accepts_nothing_that_is_not_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is no number|Invalid literal"):
        rounding.exact(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.10"), "1.1"),
        (Decimal("1.1"), "1.1"),
        (1000, "1000"),
        (Decimal("1E+27"), "1000000000000000000000000000"),
        (Decimal("1.117E-12"), "0.000000000001117"),
        (Fraction(7, 3), "7/3"),
        (Fraction(-1, 8), "-0.125"),
        (0, "0"),
    ],
)
def test_r1_writes_equal_values_in_one_canonical_form(value: rounding.Exact, text: str) -> None:
    assert rounding.exact_text(value) == text
    assert rounding.exact(text) == value


def test_r1_writes_a_sum_over_thousands_of_firms_in_full() -> None:
    long = rounding.exact_text(Fraction(10**5000 + 1, 7))  # whole numbers stop becoming text at 4,300 digits

    assert (len(long), long[:3], long[-4:]) == (5003, "100", "01/7")


def test_r1_refuses_a_decimal_that_would_be_rounded() -> None:
    with pytest.raises(Inexact):
        rounding.exact_decimal(Fraction(1, 3))


def test_r2_floors_to_whole_permits_and_reports_the_remainder() -> None:
    cut = rounding.floor_permits(Decimal("895.2551"))

    assert cut == rounding.WholePermits(895, Fraction(2551, 10000))


@pytest.mark.parametrize(
    ("pool", "claimed", "shares"),
    [
        (10, {"a": 1, "b": 1, "c": 1}, {"a": 4, "b": 3, "c": 3}),
        (100, {"a": 50, "b": 30, "c": 20}, {"a": 50, "b": 30, "c": 20}),
        (7, {"b": 3, "a": 3, "c": 4}, {"b": 2, "a": 2, "c": 3}),
        (1, {"z": 1, "y": 1}, {"z": 0, "y": 1}),
        (3, {"a": 1, "b": 0}, {"a": 3, "b": 0}),
        (0, {"a": 1}, {"a": 0}),
    ],
)
def test_r3_gives_the_largest_remainders_one_more_and_ties_to_the_lowest_key(
    pool: int, claimed: dict[str, int], shares: dict[str, int]
) -> None:
    assert rounding.share_pool(pool, claimed) == shares


@given(pool=st.integers(0, 10**15), claimed=claims.filter(lambda found: sum(found.values()) > 0))
def test_r3_shares_sum_to_the_pool_and_stay_within_one_of_the_exact_share(pool: int, claimed: dict[str, int]) -> None:
    shares = rounding.share_pool(pool, claimed)

    total = sum(claimed.values())
    assert sum(shares.values()) == pool
    assert all(abs(shares[key] - pool * claim / total) < 1 for key, claim in claimed.items())


@pytest.mark.parametrize(
    ("share", "indicator", "published"),
    [
        ("0.24", 1_654_909_824, 397_178_358),  # EU reserve intake published in May 2019
        ("0.24", 1_134_794_738, 272_350_737),  # EU reserve intake published in May 2023
        ("0.5", 1, 1),
    ],
)
def test_r4_reserve_flows_are_the_published_ones(share: str, indicator: int, published: int) -> None:
    assert rounding.reserve_flow(Decimal(share) * indicator) == published


def test_r5_compounds_from_the_rounded_price_of_each_year() -> None:
    path = rounding.price_path(Decimal("29.25"), Decimal("0.07"), years=10)

    assert len(path) == 11
    assert (path[0], path[10]) == (Decimal("29.25"), Decimal("57.53"))  # RGGI, second tier, 2027 and 2037
    assert round(Decimal("29.25") * Decimal("1.07") ** 10, 2) == Decimal("57.54")


@pytest.mark.parametrize(
    ("total", "permit_size", "permits"),
    [
        (10**18 - 1, 2 * 10**18, 0),
        (10**18, 2 * 10**18, 1),
        (10**27, 10**18, 10**9),
        (Decimal("1.4999999999"), 1, 1),
        (Decimal("1.5"), 1, 2),
        (Decimal("2.5"), 1, 3),
        (0, 1, 0),
    ],
)
def test_r6_rounds_the_year_half_up(total: int | Decimal, permit_size: int, permits: int) -> None:
    assert rounding.obligation_permits(total, permit_size) == permits


def test_r6_once_a_year_differs_from_once_a_line() -> None:
    lines = [Decimal("0.4")] * 10

    assert rounding.obligation_permits(sum(lines), 1) == 4
    assert sum(rounding.obligation_permits(line, 1) for line in lines) == 0


@pytest.mark.parametrize(
    ("base", "budget_above_base", "limit"),
    [(25_000_000, 137_800_000, 5_945_000)],  # California's holding limit of 2013
)
def test_r7_reproduces_a_published_holding_limit(base: int, budget_above_base: int, limit: int) -> None:
    assert rounding.floor_limit(Decimal("0.1") * base + Decimal("0.025") * budget_above_base) == limit


@pytest.mark.parametrize(
    ("quantity", "lot", "offered"), [(12_999, 1000, 12_000), (999, 1000, 0), (Decimal("5.9"), 1, 5)]
)
def test_r7_cuts_auction_quantities_to_whole_lots(quantity: int | Decimal, lot: int, offered: int) -> None:
    assert rounding.floor_to_lot(quantity, lot) == offered


@pytest.mark.parametrize(
    ("shortfall", "rate_minor", "cash_minor"),
    [
        (1, 10_150, 10_150),  # Germany 2013
        (3, 10_207, 30_621),  # Germany 2014
        (10, 10_205, 102_050),  # Germany 2015
        (1, Decimal("10206.5"), 10_207),
        (3, Fraction(10_000, 3), 10_000),
        (0, 10_205, 0),
    ],
)
def test_r8_sanctions_whole_shortfalls_half_up_to_the_cent(
    shortfall: int, rate_minor: int | Decimal | Fraction, cash_minor: int
) -> None:
    assert rounding.cash_sanction_minor(shortfall, rate_minor) == cash_minor


@pytest.mark.parametrize("rule", [rounding.half_up, rounding.floor_limit])
def test_negative_legal_quantities_are_our_own_mistake(rule: Callable[[int], int]) -> None:
    with pytest.raises(AssertionError):
        rule(-1)


@pytest.mark.parametrize(
    ("value", "places", "rounded"),
    [
        (Fraction(3208, 3927), 3, "0.817"),  # California 2021: budget 320.8 over 392.7
        (Fraction(2005, 3927), 3, "0.511"),  # California 2030: budget 200.5 over 392.7
        (Decimal("1.0005"), 3, "1.001"),
        (Decimal("1.00049"), 3, "1.000"),
        (7, 0, "7"),
    ],
)
def test_published_coefficients_are_rounded_half_up(value: rounding.Exact, places: int, rounded: str) -> None:
    assert str(rounding.coefficient(value, places)) == rounded


@given(st.lists(st.one_of(st.integers(), st.fractions(), st.decimals(allow_nan=False, allow_infinity=False, places=6))))
def test_an_exact_sum_is_the_sum_one_by_one(values: list[rounding.Exact]) -> None:
    total = Fraction(0)
    for value in values:
        total += Fraction(value)

    assert rounding.exact_sum(values) == total


@given(pool=st.integers(0, 10**6), claimed=claims.filter(lambda found: sum(found.values()) > 0))
def test_r3_agrees_with_shares_worked_out_one_by_one(pool: int, claimed: dict[str, Fraction]) -> None:
    total = sum(claimed.values())
    exact_shares = {key: claim * pool / total for key, claim in claimed.items()}
    shares = {key: share.numerator // share.denominator for key, share in exact_shares.items()}
    while sum(shares.values()) < pool:
        owed = {key: exact_shares[key] - shares[key] for key in claimed}
        shares[min(owed, key=lambda key: (-owed[key], key))] += 1

    assert rounding.share_pool(pool, claimed) == shares
