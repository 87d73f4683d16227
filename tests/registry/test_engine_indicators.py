"""Indicators against published figures and against what must hold for any market."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import indicators
from registry.engine.refusals import Refusal

holdings = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.integers(0, 10**12), min_size=1, max_size=12)


def code(answer: object) -> str:
    """Return the code of a refusal."""
    assert isinstance(answer, Refusal)
    return answer.code


def test_circulation_is_what_was_issued_and_neither_used_nor_put_away() -> None:
    tnac = indicators.circulation(minted=1_000, imported=50, verified_use=700, cancelled=20, reserve=130)

    assert tnac == 200


def test_circulation_is_negative_where_borrowed_permits_were_used() -> None:
    assert indicators.circulation(minted=100, imported=0, verified_use=120, cancelled=0, reserve=0) == -20


@pytest.mark.parametrize(
    ("price", "fine", "permits_owed", "rate", "percent"),
    [
        (30, 0, 4, Fraction(1, 4), 25),  # California and Quebec: four permits for one
        (30, 0, 3, Fraction(1, 3), 33),  # RGGI: three for one
        (75, 100, 1, Fraction(3, 7), 43),  # the EU: EUR 100 and the permit, at a price of EUR 75
        (64, 3 * 64, 1, Fraction(1, 4), 25),  # New Zealand: three times the price and the permit
        (Decimal("0.5"), 0, Decimal("0.5"), Fraction(2), 200),  # too small a sanction for any audit rate
    ],
)
def test_the_minimum_audit_rate_is_the_published_one(
    price: Decimal, fine: int, permits_owed: Decimal, rate: Fraction, percent: int
) -> None:
    answer = indicators.minimum_audit_rate(price=price, fine=fine, permits_owed=permits_owed)

    assert answer == rate
    assert round(rate * 100) == percent


def test_at_the_minimum_audit_rate_a_lie_costs_what_it_saves() -> None:
    rate = indicators.minimum_audit_rate(price=Decimal("71.30"), fine=Decimal("131.05"), permits_owed=2)

    assert isinstance(rate, Fraction)
    assert rate * (Fraction("131.05") + 2 * Fraction("71.30")) == Fraction("71.30")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (indicators.cover_ratio(bid=27, offered=10), Fraction("2.7")),  # RGGI auction 37
        (indicators.auction_premium(clearing_price=Decimal("10.50"), average_price=Decimal("10.00")), Fraction("0.05")),
        (indicators.auction_premium(clearing_price=9, average_price=12), Fraction(-1, 4)),
        (indicators.turnover(volume=30, circulating=90), Fraction(1, 3)),
        (indicators.corridor_position(price=30, floor=20, ceiling=60), Fraction(1, 4)),
        (indicators.corridor_position(price=20, floor=20, ceiling=60), Fraction(0)),
        (indicators.corridor_position(price=60, floor=20, ceiling=60), Fraction(1)),
        (indicators.corridor_position(price=70, floor=20, ceiling=60), Fraction(5, 4)),
        (indicators.average_price([(Decimal("10.00"), 1), (Decimal("13.00"), 2)]), Fraction(12)),
        (indicators.hhi({"acme": 7}), Fraction(10_000)),
        (indicators.hhi({"acme": 5, "borealis": 5}), Fraction(5_000)),
        (indicators.hhi({"acme": 50, "borealis": 30, "cobalt": 20}), Fraction(3_800)),  # 2,500 + 900 + 400
        (indicators.top_share({"acme": 50, "borealis": 30, "cobalt": 20}, largest=2), Fraction(4, 5)),
        (indicators.top_share({"acme": 50, "borealis": 30}), Fraction(1)),
    ],
)
def test_an_indicator_is_its_formula_exactly(answer: Fraction | Refusal, expected: Fraction) -> None:
    assert answer == expected


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (indicators.cover_ratio(bid=1, offered=0), "nothing_offered"),
        (indicators.auction_premium(clearing_price=1, average_price=0), "no_average_price"),
        (indicators.turnover(volume=1, circulating=0), "nothing_circulates"),
        (indicators.corridor_position(price=1, floor=2, ceiling=2), "no_corridor"),
        (indicators.average_price([]), "nothing_traded"),
        (indicators.hhi({}), "nothing_held"),
        (indicators.hhi({"acme": 3, "borealis": -1}), "nothing_held"),
        (indicators.top_share({"acme": 0}), "nothing_held"),
        (indicators.top_share({"acme": 3, "borealis": -1}), "nothing_held"),
        (indicators.minimum_audit_rate(price=5, fine=0, permits_owed=0), "no_sanction"),
        (indicators.minimum_audit_rate(price=5, fine=-1, permits_owed=1), "negative_sanction"),
    ],
)
def test_an_indicator_refuses_to_divide_by_nothing(answer: Fraction | Refusal, refusal: str) -> None:
    assert code(answer) == refusal


def test_the_parts_of_a_cap_are_the_cap_to_the_permit() -> None:
    parts = {"free": 600, "auction": 300, "set_aside": 60, "reserve": 40}

    assert indicators.supply_check(cap=1_000, parts=parts) == indicators.SupplyCheck(1_000, 1_000, 0)
    assert indicators.supply_check(cap=1_000, parts=parts).is_complete
    assert indicators.supply_check(cap=1_001, parts=parts).difference == -1
    assert not indicators.supply_check(cap=999, parts=parts).is_complete


@given(holdings)
def test_concentration_lies_between_equal_shares_and_one_holder(held: dict[str, int]) -> None:
    index = indicators.hhi(held)

    if sum(held.values()) == 0:
        assert code(index) == "nothing_held"
    else:
        assert isinstance(index, Fraction)
        assert Fraction(10_000, len(held)) <= index <= 10_000


@given(holdings, st.integers(1, 13))
def test_the_share_of_the_largest_never_falls_with_their_number(held: dict[str, int], largest: int) -> None:
    fewer, more = indicators.top_share(held, largest), indicators.top_share(held, largest + 1)

    if sum(held.values()):
        assert isinstance(fewer, Fraction)
        assert isinstance(more, Fraction)
        assert 0 < fewer <= more <= 1
