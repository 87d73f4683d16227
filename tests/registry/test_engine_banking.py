"""Banking: Korea's limits, loans and debts, the order of retirement, expiry, and that nothing makes a permit."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.banking import (
    CarryOver,
    Delivery,
    Loan,
    UnitClass,
    banking_limit,
    borrow,
    borrowing_limit,
    carry_over,
    contradictions,
    expires_on,
    is_expired,
    is_usable,
    next_delivery,
    notice_days,
    notices_due,
    retire,
)
from registry.engine.limits import OffsetLimits, offset_limits
from registry.engine.policy import Banking, BankingMode, Calendar, OffsetQuota, TimeRule
from registry.engine.refusals import Refusal

KOREA_1 = Banking(BankingMode.PCT_PLUS, pct=Decimal("0.10"), fixed=20_000, deduct_excess=True)
KOREA_2024 = Banking(BankingMode.NET_SALES, multiple=Decimal(5))
CHINA = Banking(BankingMode.NET_SALES, multiple=Decimal("1.5"), fixed=10_000)


@pytest.mark.parametrize(
    ("rule", "average", "sold", "bought", "limit"),
    [
        (Banking(), 1_000_000, 0, 0, None),
        (Banking(BankingMode.NONE), 1_000_000, 9, 0, 0),
        # Korea, phase 1: a tenth of the average yearly allocation and 20,000 [KR-17].
        (KOREA_1, 1_000_000, 0, 0, 120_000),
        (KOREA_1, 0, 0, 0, 20_000),
        (KOREA_1, Fraction(3_000_029, 3), 0, 0, 120_000),  # 120,000.97 is floored (R7)
        (KOREA_1, Fraction(3_000_030, 3), 0, 0, 120_001),
        # Korea 2024: five times what was sold more than bought [KR-ICAP].
        (KOREA_2024, 1_000_000, 1_000, 400, 3_000),
        (KOREA_2024, 1_000_000, 400, 1_000, 0),
        (KOREA_2024, 1_000_000, 0, 0, 0),
        (CHINA, 0, 3, 0, 10_004),
        (CHINA, 0, 0, 7, 10_000),
    ],
)
def test_what_may_be_carried_over(
    rule: Banking, average: int | Fraction, sold: int, bought: int, limit: int | None
) -> None:
    assert banking_limit(rule, average_yearly_allocation=average, sold=sold, bought=bought) == limit


@pytest.mark.parametrize(
    ("unused", "limit", "deduct", "found"),
    [
        (150_000, None, False, CarryOver(None, 150_000, 0, 0)),
        (150_000, 120_000, False, CarryOver(120_000, 120_000, 30_000, 0)),
        (150_000, 120_000, True, CarryOver(120_000, 150_000, 0, 30_000)),
        (120_000, 120_000, True, CarryOver(120_000, 120_000, 0, 0)),
        (5, 0, False, CarryOver(0, 0, 5, 0)),
        (0, 0, False, CarryOver(0, 0, 0, 0)),
    ],
)
def test_the_excess_lapses_or_comes_off_the_next_delivery(
    unused: int, limit: int | None, deduct: bool, found: CarryOver
) -> None:
    assert carry_over(unused, limit, deduct_excess=deduct) == found


@pytest.mark.parametrize(
    ("share", "next_allocation", "limit"),
    [
        ("0.10", 12_345, 1_234),  # Korea 2015
        ("0.20", 12_345, 2_469),  # once, in 2016
        ("0.15", 12_345, 1_851),  # from 2017
        ("0", 12_345, 0),
    ],
)
def test_a_share_of_the_next_allocation_may_be_borrowed(share: str, next_allocation: int, limit: int) -> None:
    assert borrowing_limit(TimeRule(borrow_share=Decimal(share)), next_allocation) == limit


@pytest.mark.parametrize(
    ("wanted", "already", "interest", "answer"),
    [
        (100, 0, "0", Loan(100, 100)),
        (1_000, 0, "0", Loan(1_000, 1_000)),
        (1_001, 0, "0", "borrowing_limit_exceeded"),
        (100, 900, "0", Loan(100, 100)),
        (101, 900, "0", "borrowing_limit_exceeded"),
        (1, 1_000, "0", "nothing_to_borrow"),
        (100, 0, "0.05", Loan(100, 105)),
        (10, 0, "0.05", Loan(10, 11)),  # 10.5 half-up
        (9, 0, "0.05", Loan(9, 9)),
    ],
)
def test_a_loan_is_bounded_and_bears_interest_in_permits(
    wanted: int, already: int, interest: str, answer: Loan | str
) -> None:
    rule = TimeRule(borrow_share=Decimal("0.1"), borrow_interest=Decimal(interest))

    found = borrow(rule, wanted=wanted, next_allocation=10_000, already=already)

    assert (found.code if isinstance(found, Refusal) else found) == answer


@pytest.mark.parametrize(
    ("allocated", "debt", "deduction", "found"),
    [
        (100, 0, 0, Delivery(100, 0, 0, 0, 0)),
        (100, 30, 0, Delivery(70, 30, 0, 0, 0)),
        (100, 30, 50, Delivery(20, 30, 50, 0, 0)),
        (100, 80, 50, Delivery(0, 80, 20, 0, 30)),  # the loan first
        (100, 130, 50, Delivery(0, 100, 0, 30, 50)),  # the cap fell: the rest stays owed
        (0, 10, 5, Delivery(0, 0, 0, 10, 5)),
    ],
)
def test_debts_come_before_free_permits(allocated: int, debt: int, deduction: int, found: Delivery) -> None:
    assert next_delivery(allocated, debt=debt, deduction=deduction) == found


@pytest.mark.parametrize(
    ("unit", "rule", "for_sanction", "usable"),
    [
        (UnitClass("permit", 2027), "SAME_OR_EARLIER", False, True),
        (UnitClass("permit", 2026), "SAME_OR_EARLIER", False, True),
        (UnitClass("permit", 2028), "SAME_OR_EARLIER", False, False),
        (UnitClass("permit", 2028), "SAME_OR_EARLIER", True, True),
        (UnitClass("reserve", 2028), "SAME_OR_EARLIER", False, True),
        (UnitClass("reserve"), "SAME", False, True),
        (UnitClass("offset", 2031), "SAME_OR_EARLIER", False, True),
        (UnitClass("permit"), "SAME_OR_EARLIER", False, True),
        (UnitClass("permit", 2027), "SAME", False, True),
        (UnitClass("permit", 2026), "SAME", False, False),
        (UnitClass("permit", 2028), "SAME", True, True),
        (UnitClass("permit", 2028), "ANY", False, True),
    ],
)
def test_which_vintages_meet_the_obligation_of_2027(
    unit: UnitClass, rule: str, for_sanction: bool, usable: bool
) -> None:
    assert is_usable(unit, 2027, rule, for_sanction=for_sanction) is usable


QUEBEC_ORDER = ("offset", "reserve_c", "reserve_b", "reserve_a", "early", "permit")
PERMIT_26, PERMIT_27, PERMIT_28 = (UnitClass("permit", year) for year in (2026, 2027, 2028))
OFFSET, FAR_OFFSET = UnitClass("offset"), UnitClass("offset", None, "out_of_state")
RESERVE = UnitClass("reserve")
DEFAULT_ORDER = ("offset", "reserve", "permit")
FOUR_PERCENT = offset_limits(OffsetQuota(Decimal("0.04"), {"out_of_state": Decimal("0.02")}), 1_000)


@pytest.mark.parametrize(
    ("holdings", "owed", "order", "units", "missing"),
    [
        ({PERMIT_27: 100}, 60, DEFAULT_ORDER, [(PERMIT_27, 60)], 0),
        ({PERMIT_27: 100, PERMIT_26: 50}, 60, DEFAULT_ORDER, [(PERMIT_26, 50), (PERMIT_27, 10)], 0),
        ({PERMIT_28: 100, PERMIT_26: 50}, 60, DEFAULT_ORDER, [(PERMIT_26, 50)], 10),
        ({PERMIT_27: 100, RESERVE: 5}, 60, DEFAULT_ORDER, [(RESERVE, 5), (PERMIT_27, 55)], 0),
        ({PERMIT_27: 100, RESERVE: 5}, 60, ("permit",), [(PERMIT_27, 60)], 0),
        ({RESERVE: 5}, 60, ("permit",), [], 60),
        ({UnitClass("permit"): 3, PERMIT_26: 3}, 4, ("permit",), [(UnitClass("permit"), 3), (PERMIT_26, 1)], 0),
        # The quota is 40 of 1,000, of which 20 from elsewhere.
        ({PERMIT_27: 2_000, OFFSET: 100}, 1_000, DEFAULT_ORDER, [(OFFSET, 40), (PERMIT_27, 960)], 0),
        (
            {PERMIT_27: 2_000, FAR_OFFSET: 100, OFFSET: 15},
            1_000,
            DEFAULT_ORDER,
            [(OFFSET, 15), (FAR_OFFSET, 20), (PERMIT_27, 965)],
            0,
        ),
        ({FAR_OFFSET: 100}, 1_000, DEFAULT_ORDER, [(FAR_OFFSET, 20)], 980),
        ({OFFSET: 100}, 10, DEFAULT_ORDER, [(OFFSET, 10)], 0),
        (
            {
                PERMIT_27: 500,
                PERMIT_26: 300,
                UnitClass("reserve_a"): 10,
                UnitClass("reserve_b"): 20,
                UnitClass("reserve_c"): 30,
                UnitClass("early"): 40,
                OFFSET: 50,
            },
            1_000,
            QUEBEC_ORDER,
            [
                (OFFSET, 40),
                (UnitClass("reserve_c"), 30),
                (UnitClass("reserve_b"), 20),
                (UnitClass("reserve_a"), 10),
                (UnitClass("early"), 40),
                (PERMIT_26, 300),
                (PERMIT_27, 500),
            ],
            60,
        ),
        ({PERMIT_27: 100}, 0, DEFAULT_ORDER, [], 0),
        ({}, 7, DEFAULT_ORDER, [], 7),
    ],
)
def test_units_are_retired_in_the_order_of_the_rule(
    holdings: dict[UnitClass, int],
    owed: int,
    order: tuple[str, ...],
    units: list[tuple[UnitClass, int]],
    missing: int,
) -> None:
    found = retire(holdings, owed, year=2027, order=order, offsets=FOUR_PERCENT)

    assert (list(found.units), found.missing) == (units, missing)


def test_an_obligation_met_in_two_steps_takes_no_more_offsets_than_in_one() -> None:
    first = retire({OFFSET: 30}, 500, year=2027, order=DEFAULT_ORDER, offsets=FOUR_PERCENT)
    second = retire(
        {OFFSET: 30}, 470, year=2027, order=DEFAULT_ORDER, offsets=FOUR_PERCENT, offsets_used={"": first.offsets}
    )

    assert (first.offsets, second.offsets) == (30, 10)


def test_a_sanction_is_filled_from_future_vintages_too() -> None:
    found = retire({PERMIT_28: 5}, 5, year=2027, order=DEFAULT_ORDER, for_sanction=True)

    assert (found.units, found.missing) == (((PERMIT_28, 5),), 0)


unit_classes = st.builds(
    UnitClass,
    st.sampled_from(["permit", "reserve", "offset", "foreign"]),
    st.none() | st.integers(2024, 2030),
    st.sampled_from(["", "far"]),
)
bags = st.dictionaries(unit_classes, st.integers(0, 1_000), max_size=8)
orders = st.permutations(["permit", "reserve", "offset"]).flatmap(
    lambda kinds: st.integers(0, 3).map(lambda n: tuple(kinds[:n]))
)


@given(bags, st.integers(0, 5_000), orders, st.integers(0, 500), st.integers(0, 500), st.booleans())
def test_retirement_sums_to_what_is_owed_and_takes_nothing_that_is_not_there(
    holdings: dict[UnitClass, int], owed: int, order: tuple[str, ...], quota: int, far: int, for_sanction: bool
) -> None:
    limits = OffsetLimits(quota, {"far": far})

    found = retire(holdings, owed, year=2027, order=order, offsets=limits, for_sanction=for_sanction)

    assert found.retired + found.missing == owed
    assert all(0 < permits <= holdings[unit] for unit, permits in found.units)
    assert len({unit for unit, _ in found.units}) == len(found.units)
    assert found.offsets <= quota
    assert sum(permits for unit, permits in found.units if (unit.kind, unit.tag) == ("offset", "far")) <= far
    assert all(is_usable(unit, 2027, for_sanction=for_sanction) for unit, _ in found.units)
    kinds = [order.index(unit.kind) for unit, _ in found.units]
    assert kinds == sorted(kinds)


@given(bags, st.integers(0, 5_000), orders)
def test_nothing_usable_is_left_while_something_is_missing(
    holdings: dict[UnitClass, int], owed: int, order: tuple[str, ...]
) -> None:
    found = retire(holdings, owed, year=2027, order=order)

    there = sum(n for unit, n in holdings.items() if unit.kind in order and is_usable(unit, 2027))
    assert found.retired == min(owed, there)


def plain_retirement(holdings: dict[UnitClass, int], owed: int, order: tuple[str, ...], quota: int) -> list[UnitClass]:
    """The rule unit by unit: lay everything in a row, and take from the front what may be taken."""
    row = [unit for unit, permits in holdings.items() for _ in range(permits) if unit.kind in order]
    row.sort(key=lambda unit: (order.index(unit.kind), unit.vintage if unit.vintage is not None else -1, unit.tag))
    taken: list[UnitClass] = []
    for unit in row:
        is_late = unit.kind == "permit" and unit.vintage is not None and unit.vintage > 2027
        is_beyond = unit.kind == "offset" and sum(one.kind == "offset" for one in taken) >= quota
        if len(taken) < owed and not is_late and not is_beyond:
            taken.append(unit)
    return taken


@given(st.dictionaries(unit_classes, st.integers(0, 6), max_size=6), st.integers(0, 30), orders, st.integers(0, 10))
def test_retirement_is_the_rule_taken_unit_by_unit(
    holdings: dict[UnitClass, int], owed: int, order: tuple[str, ...], quota: int
) -> None:
    found = retire(holdings, owed, year=2027, order=order, offsets=OffsetLimits(quota))

    assert [unit for unit, permits in found.units for _ in range(permits)] == plain_retirement(
        holdings, owed, order, quota
    )


quantities = st.integers(0, 10**12)
bankings = st.builds(
    Banking,
    st.sampled_from(BankingMode),
    pct=st.decimals("0", "1", places=3),
    fixed=st.integers(0, 10**6),
    multiple=st.decimals("0", "9", places=2),
    deduct_excess=st.booleans(),
)


@given(bankings, quantities, quantities, quantities, quantities, quantities)
def test_banking_never_makes_a_permit(
    rule: Banking, unused: int, average: int, sold: int, bought: int, allocated: int
) -> None:
    limit = banking_limit(rule, average_yearly_allocation=average, sold=sold, bought=bought)
    over = carry_over(unused, limit, deduct_excess=rule.deduct_excess)
    delivery = next_delivery(allocated, deduction=over.deduct_next)

    assert over.carried + over.lapsed == unused
    assert min(over.carried, over.lapsed, over.deduct_next) >= 0
    assert over.carried + delivery.delivered <= unused + allocated
    if limit is not None:
        assert over.carried - over.deduct_next <= limit
    assert over.carried - over.deduct_next == (unused if limit is None else min(unused, limit))


@given(bankings, quantities, quantities, quantities, st.integers(0, 10**6))
def test_more_sales_never_lower_the_limit(rule: Banking, average: int, sold: int, bought: int, more: int) -> None:
    before = banking_limit(rule, average_yearly_allocation=average, sold=sold, bought=bought)
    after = banking_limit(rule, average_yearly_allocation=average + more, sold=sold + more, bought=bought)

    assert (before is None) is (after is None)
    if before is not None and after is not None:
        assert 0 <= before <= after


@given(quantities, quantities, quantities)
def test_a_delivery_conserves_permits_and_debts(allocated: int, debt: int, deduction: int) -> None:
    found = next_delivery(allocated, debt=debt, deduction=deduction)

    assert found.delivered + found.debt_paid + found.deducted == allocated
    assert (found.debt_paid + found.debt_left, found.deducted + found.deduction_left) == (debt, deduction)
    assert not (found.delivered and (found.debt_left or found.deduction_left))


def test_permits_expire_at_the_end_of_a_year() -> None:
    rule = TimeRule(expires_after=2)

    assert expires_on(rule, 2027) == date(2029, 12, 31)
    assert [is_expired(rule, 2027, date(2029, 12, 31)), is_expired(rule, 2027, date(2030, 1, 1))] == [False, True]
    assert notice_days(rule, 2027) == (date(2029, 11, 1), date(2029, 12, 1), date(2029, 12, 24))


@pytest.mark.parametrize(
    ("today", "sent", "due"),
    [
        (date(2029, 10, 31), (), ()),
        (date(2029, 11, 1), (), (60,)),
        (date(2029, 11, 2), (60,), ()),
        (date(2029, 12, 1), (60,), (30,)),
        (date(2029, 12, 24), (), (60, 30, 7)),
        (date(2029, 12, 31), (60, 30), (7,)),
        (date(2030, 1, 1), (), ()),
    ],
)
def test_owners_are_told_60_30_and_7_days_before(today: date, sent: tuple[int, ...], due: tuple[int, ...]) -> None:
    assert notices_due(TimeRule(expires_after=2), 2027, today, sent) == due


def test_what_is_not_told_counts_as_nothing() -> None:
    rule = TimeRule(borrow_share=Decimal("0.1"))

    assert banking_limit(replace(KOREA_1, fixed=0)) == 0
    assert banking_limit(KOREA_2024, sold=3) == 15
    assert banking_limit(KOREA_2024, bought=3) == 0
    assert borrow(rule, wanted=10, next_allocation=100) == Loan(10, 10)
    assert next_delivery(100) == Delivery(100, 0, 0, 0, 0)


def test_permits_that_never_expire_need_no_notice() -> None:
    assert expires_on(TimeRule(), 2027) is None
    assert not is_expired(TimeRule(), 2027, date(2999, 1, 1))
    assert notice_days(TimeRule(), 2027) == notices_due(TimeRule(), 2027, date(2999, 1, 1)) == ()


@pytest.mark.parametrize(
    "rule",
    [
        TimeRule(),
        TimeRule(banking=KOREA_1, borrow_share=Decimal("0.15")),
        TimeRule(banking=KOREA_2024, expires_after=1),
        TimeRule(period_years=3, annual_share=(Decimal("0.5"), Decimal("0.5"), Decimal(1))),
        # At the edge of what is possible.
        TimeRule(period_years=2, annual_share=(Decimal(0), Decimal(1)), borrow_share=Decimal(1), expires_after=1),
        TimeRule(banking=Banking(BankingMode.PCT_PLUS, pct=Decimal(1), fixed=0)),
    ],
)
def test_the_rules_of_real_schemes_contradict_nothing(rule: TimeRule) -> None:
    assert contradictions(rule) == []


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        (TimeRule(banking=replace(KOREA_1, pct=Decimal("1.2"))), ["banking_share_out_of_range"]),
        (TimeRule(banking=replace(KOREA_1, fixed=-1)), ["banking_negative"]),
        (TimeRule(banking=replace(KOREA_1, multiple=Decimal(2))), ["banking_field_unused"]),
        (
            TimeRule(banking=Banking(pct=Decimal("0.1"), fixed=1, deduct_excess=True)),
            ["banking_field_unused"] * 3,
        ),
        (TimeRule(period_years=0, annual_share=()), ["period_too_short"]),
        (TimeRule(period_years=3), ["annual_shares_not_per_year"]),
        (TimeRule(period_years=2, annual_share=(Decimal(2), Decimal(1))), ["annual_share_out_of_range"]),
        (TimeRule(annual_share=(Decimal("0.3"),)), ["last_year_not_settled"]),
        (TimeRule(borrow_share=Decimal("1.1")), ["borrow_share_out_of_range"]),
        (TimeRule(borrow_share=Decimal("0.1"), borrow_interest=Decimal(-1)), ["borrow_interest_negative"]),
        (TimeRule(borrow_interest=Decimal("0.1")), ["borrow_interest_unused"]),
        (TimeRule(vintage_rule="NEWEST"), ["vintage_rule_unknown"]),
        (TimeRule(expires_after=-1), ["expiry_before_vintage"]),
        (TimeRule(expires_after=0), ["expiry_before_surrender"]),
        (
            TimeRule(
                period_years=0,
                annual_share=(Decimal(3), Decimal(3)),
                banking=Banking(BankingMode.NONE, pct=Decimal(5), fixed=-2),
                borrow_share=Decimal(-1),
                borrow_interest=Decimal(-1),
                vintage_rule="",
                expires_after=0,
            ),
            [
                "banking_share_out_of_range",
                "banking_negative",
                "banking_field_unused",
                "banking_field_unused",
                "period_too_short",
                "annual_shares_not_per_year",
                "annual_share_out_of_range",
                "last_year_not_settled",
                "borrow_share_out_of_range",
                "borrow_interest_negative",
                "vintage_rule_unknown",
                "expiry_before_surrender",
            ],
        ),
    ],
)
def test_every_contradiction_is_listed(rule: TimeRule, codes: list[str]) -> None:
    assert [one.code for one in contradictions(rule)] == codes


def test_permits_of_a_year_may_expire_with_it_where_they_are_surrendered_in_it() -> None:
    assert contradictions(TimeRule(expires_after=0), Calendar(surrender=(0, "12-31"))) == []
