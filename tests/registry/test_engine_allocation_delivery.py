"""Delivery: true-ups, pre-allocations, debts, closures and appeals, each to the permit."""

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.allocation import (
    ClawBack,
    ContestedSplit,
    Delivery,
    Settlement,
    active_share,
    claw_back,
    deliver,
    pre_allocated,
    settle,
    split_contested,
    whole_true_up,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, WholePermits

permits = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("entitled", "before", "true_up", "debt", "delivery"),
    [
        (100, 0, 0, 0, Delivery(100, 0, 0)),
        (100, 0, 30, 0, Delivery(130, 0, 0)),
        (100, 0, -30, 0, Delivery(70, 0, 0)),  # 17 CCR 95891: netted against the next delivery
        (100, 0, -100, 0, Delivery(0, 0, 0)),
        (100, 0, -130, 0, Delivery(0, 0, 30)),  # late case 12: never below zero, the rest is a debt
        (100, 0, 0, 40, Delivery(60, 0, 0)),  # late case 11: a debt comes before new free permits
        (100, 0, -90, 40, Delivery(0, 0, 30)),
        (100, 0, 90, 40, Delivery(150, 0, 0)),
        (100, 70, 0, 0, Delivery(30, 0, 0)),  # China: 70 % first, the rest at settlement
        (60, 70, 0, 0, Delivery(0, 10, 10)),  # and back again where output fell
        (60, 70, 0, 5, Delivery(0, 10, 15)),
        (0, 0, 0, 7, Delivery(0, 0, 7)),
    ],
)
def test_an_entitlement_is_netted_with_what_was_given_and_what_is_owed(
    entitled: int, before: int, true_up: int, debt: int, delivery: Delivery
) -> None:
    assert deliver(entitled, delivered_before=before, true_up=true_up, debt=debt) == delivery


@given(entitled=permits, before=permits, true_up=st.integers(-(10**9), 10**9), debt=permits)
def test_what_is_delivered_less_the_change_of_the_debt_is_what_was_due(
    entitled: int, before: int, true_up: int, debt: int
) -> None:
    delivery = deliver(entitled, delivered_before=before, true_up=true_up, debt=debt)

    assert delivery.delivered - (delivery.debt - debt) == entitled - before + true_up
    assert delivery.delivered >= 0
    assert delivery.debt >= 0
    assert not (delivery.delivered and delivery.debt)  # nobody is given permits while it owes some


@given(st.lists(st.integers(-(10**6), 10**6), max_size=20), permits)
def test_a_series_of_true_ups_is_worth_its_sum_once_the_debt_is_paid(true_ups: list[int], yearly: int) -> None:
    debt, delivered = 0, 0

    for true_up in true_ups:
        delivery = deliver(yearly, true_up=true_up, debt=debt)
        debt, delivered = delivery.debt, delivered + delivery.delivered

    assert delivered - debt == yearly * len(true_ups) + sum(true_ups)


@pytest.mark.parametrize(
    ("true_up", "whole"),
    [
        (Decimal("2.7"), WholePermits(2, Fraction(7, 10))),
        (Decimal("-2.7"), WholePermits(-2, Fraction(-7, 10))),
        (Decimal("-0.5"), WholePermits(0, Fraction(-1, 2))),
        (0, WholePermits(0, Fraction(0))),
    ],
)
def test_a_true_up_takes_no_part_of_a_permit_that_is_not_owed(true_up: Exact, whole: WholePermits) -> None:
    assert whole_true_up(true_up) == whole


def test_china_pre_allocates_seventy_per_cent_and_settles_on_verified_output() -> None:
    coal, heat = Decimal("0.877"), Decimal("0.126")  # t per MWh and per GJ, the draft of 2020
    output_2018 = 1_000_000 * coal + 200_000 * heat  # 877,000 + 25,200

    first = pre_allocated(output_2018, Decimal("0.70"))

    assert first == WholePermits(631_540, Fraction(0))
    more = settle(1_100_000 * coal + 200_000 * heat, first.permits)
    assert more == Settlement(entitled=989_900, delivered=358_360, clawback=0, remainder=Fraction(0))
    less = settle(600_001 * coal, first.permits)  # 526,200.877
    assert less == Settlement(526_200, delivered=0, clawback=105_340, remainder=Fraction(877, 1000))


@given(
    claim=st.fractions(0, 10**9, max_denominator=1000),
    share=st.fractions(0, 1, max_denominator=100),
    final=st.fractions(0, 10**9, max_denominator=1000),
)
def test_pre_allocation_and_settlement_together_give_the_verified_claim(
    claim: Fraction, share: Fraction, final: Fraction
) -> None:
    first = pre_allocated(claim, share)

    rest = settle(final, first.permits)

    assert first.permits + rest.delivered - rest.clawback + rest.remainder == final
    assert 0 <= rest.remainder < 1


@pytest.mark.parametrize(
    ("owed", "balance", "taken"),
    [(10, 30, ClawBack(10, 0)), (10, 10, ClawBack(10, 0)), (10, 4, ClawBack(4, 6)), (10, 0, ClawBack(0, 10))],
)
def test_a_clawback_never_drives_a_balance_below_zero(owed: int, balance: int, taken: ClawBack) -> None:
    assert claw_back(owed, balance) == taken


@pytest.mark.parametrize(
    ("first", "last", "share"),
    [
        (None, None, Fraction(1)),
        (None, date(2027, 6, 30), Fraction(181, 365)),
        (None, date(2027, 1, 1), Fraction(1, 365)),
        (None, date(2027, 12, 31), Fraction(1)),
        (None, date(2028, 3, 1), Fraction(1)),
        (None, date(2026, 12, 31), Fraction(0)),
        (date(2027, 12, 31), None, Fraction(1, 365)),
        (date(2020, 1, 1), None, Fraction(1)),
        (date(2028, 1, 1), None, Fraction(0)),
        (date(2027, 3, 1), date(2027, 3, 31), Fraction(31, 365)),
    ],
)
def test_a_firm_that_closes_is_allocated_by_the_day(first: date | None, last: date | None, share: Fraction) -> None:
    assert active_share(2027, first, last) == share


def test_a_leap_day_is_a_day() -> None:
    assert active_share(2028, None, date(2028, 2, 29)) == Fraction(60, 366)


@pytest.mark.parametrize(
    ("award", "contested", "split"),
    [
        (100, 30, ContestedSplit(70, 30)),
        (100, 0, ContestedSplit(100, 0)),
        (100, 100, ContestedSplit(0, 100)),
        (0, 0, ContestedSplit(0, 0)),
    ],
)
def test_an_appeal_escrows_the_contested_part_alone(award: int, contested: int, split: ContestedSplit) -> None:
    assert split_contested(award, contested) == split


@pytest.mark.parametrize("contested", [-1, 101])
def test_a_contested_part_outside_the_award_is_refused(contested: int) -> None:
    refusal = split_contested(100, contested)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "contested_out_of_range"
