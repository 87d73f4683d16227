"""Reserves and price controls against published figures, an obvious twin, and the promise that no permit is lost."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import reserve
from registry.engine.policy import (
    Ceiling,
    ContainmentTier,
    EmissionsContainment,
    PricePath,
    ReleaseRule,
    Spike,
    StabilityReserve,
    SupplyRule,
    Unsold,
    UnsoldRule,
)
from registry.engine.refusals import Refusal
from registry.engine.reserve import Bid, FlowReason

M = 1_000_000

EU_UNTIL_2023 = StabilityReserve(upper=833 * M, lower=400 * M, intake=Decimal("0.24"), release=100 * M)
EU_SINCE_2024 = replace(EU_UNTIL_2023, mid=1_096 * M, invalidate_above=400 * M)


def D(text: str | int) -> Decimal:
    """Shorten the tables below."""
    return Decimal(text)


def path(start: str, real: str = "0", year: int = 2026, index: dict[int, Decimal] | None = None) -> PricePath:
    return PricePath(year, D(start), D(real), index or {})


def flow(rule: StabilityReserve, circulation: int, held: int, **more: Any) -> reserve.StabilityFlow:
    found = reserve.stability_flow(rule, circulation, held, **more)
    assert not isinstance(found, Refusal), found
    return found


def months_of(rule: StabilityReserve, permits: int, year: int) -> tuple[reserve.MonthlyFlow, ...]:
    found = reserve.monthly_flows(rule, permits, year)
    assert not isinstance(found, Refusal), found
    return found


def codes(answer: object) -> list[str]:
    """Return the codes of one refusal or of a tuple of nothing else."""
    found = answer if isinstance(answer, tuple) else (answer,)
    assert all(isinstance(refusal, Refusal) for refusal in found), found
    return [refusal.code for refusal in found]


# ── the quantity reserve ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "circulation", "reason", "intake", "release"),
    [
        (EU_UNTIL_2023, 1_654_909_824, FlowReason.INTAKE_SHARE, 397_178_358, 0),  # published 15 May 2019
        (EU_UNTIL_2023, 1_134_794_738, FlowReason.INTAKE_SHARE, 272_350_737, 0),  # published 15 May 2023
        (EU_SINCE_2024, 1_134_794_738, FlowReason.INTAKE_SHARE, 272_350_737, 0),
        (EU_SINCE_2024, 1_023_494_202, FlowReason.INTAKE_BUFFER, 190_494_202, 0),  # published 2026, the buffer zone
        (EU_SINCE_2024, 1_096 * M + 1, FlowReason.INTAKE_SHARE, 263_040_000, 0),  # 263,040,000.24
        (EU_SINCE_2024, 1_096 * M, FlowReason.INTAKE_BUFFER, 263 * M, 0),
        (EU_SINCE_2024, 833 * M + 1, FlowReason.INTAKE_BUFFER, 1, 0),
        (EU_SINCE_2024, 833 * M, FlowReason.IN_BAND, 0, 0),
        (EU_UNTIL_2023, 833 * M + 1, FlowReason.INTAKE_SHARE, 199_920_000, 0),
        (EU_SINCE_2024, 400 * M, FlowReason.IN_BAND, 0, 0),
        (EU_SINCE_2024, 400 * M - 1, FlowReason.RELEASE, 0, 100 * M),
        (EU_SINCE_2024, -5, FlowReason.RELEASE, 0, 100 * M),
    ],
)
def test_the_stability_reserve_moves_what_was_published(
    rule: StabilityReserve, circulation: int, reason: FlowReason, intake: int, release: int
) -> None:
    found = flow(rule, circulation, held=300 * M)

    assert (found.reason, found.intake, found.release) == (reason, intake, release)
    assert not found.is_limited


def test_a_reserve_releases_no_more_than_it_holds_and_says_so() -> None:
    found = flow(EU_SINCE_2024, circulation=1, held=40 * M)

    assert (found.wanted, found.release, found.holdings_after) == (100 * M, 40 * M, 0)
    assert found.is_limited


def test_an_intake_takes_no_more_than_the_auctions_offer() -> None:
    found = flow(EU_SINCE_2024, circulation=1_023_494_202, held=0, auction_volume=150 * M)

    assert (found.wanted, found.intake, found.is_limited) == (190_494_202, 150 * M, True)


def test_holdings_above_the_line_are_invalidated_after_the_flow() -> None:
    found = flow(EU_SINCE_2024, circulation=1_023_494_202, held=300 * M)

    assert found.invalidated == 90_494_202
    assert found.holdings_after == 400 * M


@pytest.mark.parametrize(
    ("line", "held", "cancelled"), [(None, 10**12, 0), (400, 399, 0), (400, 400, 0), (400, 401, 1)]
)
def test_invalidation_is_what_lies_above_the_line(line: int | None, held: int, cancelled: int) -> None:
    assert reserve.invalidation(replace(EU_UNTIL_2023, invalidate_above=line), held) == cancelled


def test_an_impossible_reserve_is_refused() -> None:
    assert codes(reserve.stability_flow(EU_SINCE_2024, 1, -1)) == ["negative_holdings"]
    assert codes(reserve.stability_flow(EU_SINCE_2024, 1, 1, auction_volume=-1)) == ["negative_holdings"]


def test_a_flow_is_spread_over_twelve_months_from_september_the_rest_first() -> None:
    months = months_of(EU_SINCE_2024, 190_494_202, 2026)

    assert [(each.year, each.month) for each in months] == [
        *((2026, month) for month in range(9, 13)),
        *((2027, month) for month in range(1, 9)),
    ]
    parts = [each.permits for each in months]
    assert parts == [15_874_517] * 10 + [15_874_516] * 2  # 190,494,202 = 12 x 15,874,516 + 10
    assert sum(parts) == 190_494_202


def test_a_spread_over_no_months_is_refused() -> None:
    assert codes(reserve.monthly_flows(replace(EU_SINCE_2024, months=0), 5, 2026)) == ["nothing_to_spread"]
    assert codes(reserve.monthly_flows(EU_SINCE_2024, -5, 2026)) == ["nothing_to_spread"]


@st.composite
def stability_reserves(draw: st.DrawFn) -> StabilityReserve:
    lower, upper, mid = sorted(draw(st.lists(st.integers(0, 10**9), min_size=3, max_size=3)))
    return StabilityReserve(
        upper=upper,
        lower=lower,
        intake=draw(st.decimals(0, 1, places=3)),
        release=draw(st.integers(0, 10**9)),
        mid=draw(st.sampled_from([None, mid])),
        invalidate_above=draw(st.none() | st.integers(0, 10**9)),
        start_month=draw(st.integers(1, 12)),
        months=draw(st.integers(1, 12)),
    )


@given(stability_reserves(), st.integers(-(10**9), 3 * 10**9), st.integers(0, 10**9), st.none() | st.integers(0, 10**9))
def test_a_reserve_loses_no_permit_and_never_releases_more_than_it_has(
    rule: StabilityReserve, circulation: int, held: int, volume: int | None
) -> None:
    found = flow(rule, circulation, held, auction_volume=volume)

    assert 0 <= found.release <= held
    assert 0 <= found.intake <= max(0, circulation)
    assert volume is None or found.intake <= volume
    assert found.intake == 0 or found.release == 0
    assert found.holdings_after == held + found.intake - found.release - found.invalidated
    assert found.holdings_after >= 0
    assert rule.invalidate_above is None or found.holdings_after <= rule.invalidate_above
    assert found.is_limited == (found.wanted > found.intake + found.release)


@given(stability_reserves(), st.integers(0, 10**9), st.integers(1990, 2100))
def test_the_months_of_a_flow_sum_to_it_and_follow_each_other(rule: StabilityReserve, permits: int, year: int) -> None:
    months = months_of(rule, permits, year)

    assert sum(each.permits for each in months) == permits
    assert max(each.permits for each in months) - min(each.permits for each in months) <= 1
    counted = [each.year * 12 + each.month - 1 for each in months]
    assert counted == list(range(year * 12 + rule.start_month - 1, year * 12 + rule.start_month - 1 + rule.months))


# ── price paths ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("start_year", "start", "rises"),
    [
        (2021, "13.00", ["13.91", "14.88", "15.92", "17.03", "18.22"]),  # RGGI's containment reserve, 2021-26
        (2021, "6.00", ["6.42", "6.87", "7.35", "7.86", "8.41"]),  # RGGI's emissions containment reserve
        (2027, "9.00", ["9.63", "10.30", "11.02", "11.79", "12.62"]),  # RGGI's floor from 2027
        (2027, "19.50", ["20.87", "22.33", "23.89", "25.56", "27.35"]),  # the two tiers from 2027
        (2027, "29.25", ["31.30", "33.49", "35.83", "38.34", "41.02", "43.89", "46.96", "50.25", "53.77", "57.53"]),
    ],
)
def test_rggi_s_prices_rise_by_seven_per_cent_rounded_every_year(start_year: int, start: str, rises: list[str]) -> None:
    rggi = path(start, "0.07", start_year)

    assert [reserve.price_in(rggi, start_year + n) for n in range(len(rises) + 1)] == [D(start), *map(D, rises)]


def test_real_rate_and_index_are_added() -> None:
    ceiling = path("65.00", "0.05", 2021, {2022: D("0.02"), 2023: D("0.035")})

    assert reserve.price_in(ceiling, 2022) == D("69.55")  # 65.00 x 1.07, where 1.05 x 1.02 gives 69.62
    assert reserve.price_in(ceiling, 2023) == D("75.46")  # 69.55 x 1.085 = 75.46175


def test_a_falling_index_lowers_the_price() -> None:
    assert reserve.price_in(path("10.00", "0.01", 2026, {2027: D("-0.03")}), 2027) == D("9.80")


@pytest.mark.parametrize(
    ("price", "year", "code"),
    [
        (path("10.00"), 2025, "price_before_start"),
        (path("10.00", "0.05", 2026, {2027: D("0.02")}), 2028, "index_not_known"),
        (path("-1.00"), 2026, "price_not_positive"),
        (path("10.00", "0.5", 2026, {2027: D("-1.51")}), 2027, "price_falls_below_zero"),
    ],
)
def test_a_year_without_a_price_is_refused(price: PricePath, year: int, code: str) -> None:
    assert codes(reserve.price_in(price, year)) == [code]


def test_prices_of_a_range_are_those_that_are_known() -> None:
    known = reserve.prices(path("10.00", "0.05", 2026, {2027: D("0.02")}), 2024, 2030)

    assert known == {2026: D("10.00"), 2027: D("10.70")}
    assert reserve.prices(path("10.00", "0.05"), 2027, 2028) == {2027: D("10.50"), 2028: D("11.03")}
    assert reserve.price_in(path("0"), 2026) == D("0.00")
    assert reserve.price_in(path("5", "-1"), 2027) == D("0.00")


# ── an auction with a containment reserve ────────────────────────────────────────────────────────────────────────────

BIDS = (Bid(D("30.00"), 40), Bid(D("24.00"), 30), Bid(D("20.00"), 20), Bid(D("15.00"), 50), Bid(D("9.00"), 100))
TIERS = (ContainmentTier(path("19.50"), quantity=10), ContainmentTier(path("29.25"), quantity=10))


def contain(tiers: Sequence[ContainmentTier], offered: int, **more: Any) -> reserve.Containment:
    arguments: dict[str, Any] = {"year": 2026, "cap": 1_000, "bids": BIDS, **more}
    found = reserve.containment(tiers, offered=offered, **arguments)
    assert isinstance(found, reserve.Containment), found
    return found


@pytest.mark.parametrize(
    ("offered", "floor", "price", "sold", "left"),
    [
        (40, None, "30.00", 40, 0),
        (41, None, "24.00", 41, 0),
        (140, None, "15.00", 140, 0),
        (141, None, "9.00", 141, 0),
        (300, None, "9.00", 240, 60),  # everybody is served: the lowest bid
        (300, "12.00", "12.00", 140, 160),  # and with a floor, the floor
        (140, "12.00", "15.00", 140, 0),
        (140, "15.00", "15.00", 140, 0),  # a bid at the floor counts
        (0, "12.00", None, 0, 0),
    ],
)
def test_all_pay_the_price_of_the_lowest_bid_that_won(
    offered: int, floor: str | None, price: str | None, sold: int, left: int
) -> None:
    cleared = reserve.clear(BIDS, offered, None if floor is None else D(floor))

    assert cleared == reserve.Cleared(None if price is None else D(price), sold, left)


def test_a_price_above_the_first_trigger_adds_the_first_tier() -> None:
    found = contain(TIERS, offered=70)  # clears at 24.00

    assert found.without.price == D("24.00")
    assert [tier.released for tier in found.tiers] == [10, 0]
    assert found.final == reserve.Cleared(D("20.00"), 80, 0)


def test_a_tier_is_offered_at_its_trigger_and_no_lower() -> None:
    found = contain((replace(TIERS[0], quantity=500),), offered=70)

    assert found.released == 20  # the bids at 20.00; those at 15.00 are below the trigger
    assert found.final == reserve.Cleared(D("19.50"), 90, 0)


def test_the_second_tier_comes_only_where_the_first_left_the_price_above_it() -> None:
    found = contain(TIERS, offered=10)  # clears at 30.00 and still does with 20 permits

    assert [tier.released for tier in found.tiers] == [10, 10]
    assert [tier.price_before for tier in found.tiers] == [D("30.00"), D("30.00")]
    assert found.final == reserve.Cleared(D("30.00"), 30, 0)


def test_a_price_at_the_trigger_releases_nothing() -> None:
    tier = ContainmentTier(path("24.00"), quantity=10)

    assert contain((tier,), offered=70).released == 0
    assert contain((replace(tier, trigger=path("23.99")),), offered=70).released == 0  # nobody else pays 23.99
    assert contain((replace(tier, trigger=path("23.99")),), offered=69).released == 1


def test_an_auction_that_does_not_sell_out_needs_no_more_permits() -> None:
    assert contain((ContainmentTier(path("5.00"), quantity=10),), offered=300).released == 0


def test_tiers_are_taken_in_the_order_of_their_triggers_and_reported_in_their_own() -> None:
    found = contain((TIERS[1], TIERS[0]), offered=70)

    assert [tier.released for tier in found.tiers] == [0, 10]


def test_a_tier_of_a_share_is_floored_to_whole_permits() -> None:
    tier = ContainmentTier(path("13.00"), share=D("0.10"))

    assert reserve.tier_quantity(tier, 1_009) == 100
    assert contain((tier,), offered=10, cap=109).tiers[0].available == 10


def test_only_what_earlier_auctions_left_is_there() -> None:
    found = contain(TIERS, offered=10, available=[3, 0])

    assert [tier.released for tier in found.tiers] == [3, 0]


def test_what_is_left_after_the_last_auction_rolls_over_or_lapses() -> None:
    tiers = (replace(TIERS[0], quantity=50, rolls_over=True), TIERS[1])

    during = contain(tiers, offered=70)
    last = contain(tiers, offered=70, is_last_of_year=True)

    assert [(tier.rolled_over, tier.lapsed) for tier in during.tiers] == [(0, 0), (0, 0)]
    assert [(tier.released, tier.rolled_over, tier.lapsed) for tier in last.tiers] == [(20, 30, 0), (0, 0, 10)]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"available": [1]}, ["tiers_and_stock_differ"]),
        ({"available": [1, -1]}, ["negative_stock"]),
        ({"year": 2025}, ["price_before_start", "price_before_start"]),
        ({"offered": -1, "bids": [Bid(D("1"), -1)]}, ["negative_offer", "negative_bid"]),
    ],
)
def test_an_impossible_auction_is_refused(more: dict[str, Any], expected: list[str]) -> None:
    arguments: dict[str, Any] = {"year": 2026, "cap": 10, "offered": 10, "bids": BIDS, **more}

    assert codes(reserve.containment(TIERS, **arguments)) == expected


schedules = st.lists(st.builds(Bid, st.integers(1, 40).map(Decimal), st.integers(0, 12)), max_size=12)


def obvious_containment(
    tiers: Sequence[tuple[int, int]], offered: int, bids: Sequence[Bid], floor: int
) -> tuple[list[int], int, Decimal | None]:
    """Sell permit by permit to whoever pays most, the tiers of (trigger, permits) in order of trigger."""
    buyers = sorted((bid.price for bid in bids for _ in range(bid.quantity) if bid.price >= floor), reverse=True)
    sold, price = 0, None
    for _ in range(offered):
        if sold < len(buyers):
            price = buyers[sold]
            sold += 1
    is_short_of_buyers = sold < offered
    if is_short_of_buyers:
        price = Decimal(floor)
    released = []
    for trigger, stock in tiers:
        given = 0
        if stock and not is_short_of_buyers and price is not None and price > trigger:
            while given < stock and sold < len(buyers) and buyers[sold] >= trigger:
                given += 1
                sold += 1
            price = buyers[sold - 1] if given == stock else Decimal(max(trigger, floor))
        released.append(given)
    return released, sold, price


@given(
    schedules,
    st.integers(0, 60),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), max_size=3).map(sorted),
)
def test_a_containment_reserve_equals_selling_permit_by_permit(
    bids: list[Bid], offered: int, floor: int, stocks: list[tuple[int, int]]
) -> None:
    tiers = [ContainmentTier(path(str(trigger)), quantity=stock) for trigger, stock in stocks]

    found = contain(tiers, offered=offered, bids=bids, floor=Decimal(floor))

    released, sold, price = obvious_containment(stocks, offered, bids, floor)
    assert [tier.released for tier in found.tiers] == released
    assert (found.final.sold, found.final.price) == (sold, price)


@given(schedules, st.integers(0, 60), st.integers(1, 40), st.integers(0, 20))
def test_a_containment_reserve_sells_what_it_adds_and_never_below_its_trigger(
    bids: list[Bid], offered: int, trigger: int, stock: int
) -> None:
    found = contain((ContainmentTier(path(str(trigger)), quantity=stock),), offered=offered, bids=bids)

    assert 0 <= found.released <= stock
    assert found.final.sold + found.final.unsold == offered + found.released
    if found.released:
        assert found.without.price is not None
        assert found.final.price is not None
        assert trigger <= found.final.price <= found.without.price


# ── an auction with an emissions containment reserve ─────────────────────────────────────────────────────────────────

RGGI_ECR = EmissionsContainment(path("6.00", "0.07", 2021), share=D("0.10"))
CHEAP = (Bid(D("8.00"), 60), Bid(D("6.50"), 30), Bid(D("5.00"), 20), Bid(D("3.00"), 50))


def withhold(offered: int, **more: Any) -> reserve.Withholding:
    arguments: dict[str, Any] = {"year": 2021, "cap": 1_000, "bids": CHEAP, **more}
    found = reserve.withholding(RGGI_ECR, offered=offered, **arguments)
    assert isinstance(found, reserve.Withholding), found
    return found


@pytest.mark.parametrize(
    ("offered", "cap", "withheld", "price", "sold"),
    [
        (80, 1_000, 0, "6.50", 80),  # above the trigger
        (90, 1_000, 0, "6.50", 90),
        (100, 1_000, 10, "6.00", 90),  # without it 5.00: as many go as nobody wants at 6.00
        (150, 1_000, 60, "6.00", 90),
        (150, 309, 30, "3.00", 120),  # floor(30.9) is all that may go: the price stays below the trigger
        (150, 500, 50, "5.00", 100),
        (150, 600, 60, "6.00", 90),
    ],
)
def test_below_the_trigger_up_to_a_share_of_the_cap_is_withheld(
    offered: int, cap: int, withheld: int, price: str, sold: int
) -> None:
    found = withhold(offered, cap=cap)

    assert (found.withheld, found.final.price, found.final.sold) == (withheld, D(price), sold)


def test_the_share_counts_for_all_auctions_of_the_year() -> None:
    assert withhold(150, cap=600, withheld_before=45).withheld == 15
    assert withhold(150, cap=600, withheld_before=60).withheld == 0
    assert withhold(150, cap=600, withheld_before=70).limit == 0


def test_an_auction_at_its_floor_below_the_trigger_is_withheld_too() -> None:
    found = withhold(200, floor=D("2.38"))

    assert found.without == reserve.Cleared(D("2.38"), 160, 40)
    assert (found.limit, found.withheld) == (100, 100)
    assert found.final == reserve.Cleared(D("5.00"), 100, 0)


def test_a_year_without_a_trigger_price_is_refused() -> None:
    answer = reserve.withholding(RGGI_ECR, year=2020, cap=10, offered=-1, bids=CHEAP, withheld_before=-1)

    assert codes(answer) == ["price_before_start", "negative_offer", "negative_stock"]


@given(schedules, st.integers(0, 60), st.integers(1, 40), st.integers(0, 100), st.integers(0, 20))
def test_withholding_loses_no_permit_and_lifts_the_price_to_the_trigger_at_most(
    bids: list[Bid], offered: int, trigger: int, percent: int, floor: int
) -> None:
    rule = EmissionsContainment(path(str(trigger)), share=Decimal(percent) / 100)

    found = reserve.withholding(rule, year=2026, cap=50, offered=offered, bids=bids, floor=Decimal(floor))

    assert isinstance(found, reserve.Withholding)
    assert 0 <= found.withheld <= min(offered, found.limit)
    assert found.final.sold + found.final.unsold + found.withheld == offered
    if found.withheld and found.withheld < found.limit and found.final.sold:
        assert found.final.price == trigger
    if found.without.price is not None and found.without.price >= trigger:
        assert found.withheld == 0


# ── the reserve sale, the ceiling, the spike clause ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("price", "is_last", "opens"),
    [("24.60", False, True), ("24.59", False, False), ("1.00", True, True)],  # 60 % of 41.00
)
def test_california_sells_its_reserve_near_the_lowest_tier_or_before_the_deadline(
    price: str, is_last: bool, opens: bool
) -> None:
    answer = reserve.reserve_sale_opens(
        last_auction_price=D(price), lowest_tier=D("41.00"), is_last_before_deadline=is_last
    )

    assert answer is opens


CALIFORNIA_CEILING = Ceiling(path("65.00", "0.05", 2021, {2022: D("0.02")}))


@pytest.mark.parametrize(
    ("obligation", "eligible", "requested", "permits"),
    [(100, 60, 100, 40), (100, 60, 40, 40), (100, 60, 15, 15), (100, 99, 5, 1)],
)
def test_the_ceiling_sells_a_proven_shortage_and_no_more(
    obligation: int, eligible: int, requested: int, permits: int
) -> None:
    sale = reserve.ceiling_sale(
        CALIFORNIA_CEILING, year=2022, obligation=obligation, eligible=eligible, requested=requested
    )

    assert sale == reserve.CeilingSale(D("69.55"), obligation - eligible, permits)


def test_a_ceiling_without_proof_sells_what_is_asked_for() -> None:
    open_to_all = replace(CALIFORNIA_CEILING, need_proof=False)

    sale = reserve.ceiling_sale(open_to_all, year=2021, obligation=0, eligible=9, requested=7)

    assert sale == reserve.CeilingSale(D("65.00"), None, 7)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"eligible": 100}, "no_need"),
        ({"eligible": 101}, "no_need"),
        ({"containment_left": 1}, "containment_not_empty"),
        ({"year": 2023}, "index_not_known"),
        ({"requested": -1}, "negative_request"),
    ],
)
def test_the_ceiling_refuses_who_may_not_buy(more: dict[str, int], code: str) -> None:
    arguments: dict[str, int] = {"year": 2021, "obligation": 100, "eligible": 60, "requested": 10, **more}

    assert codes(reserve.ceiling_sale(CALIFORNIA_CEILING, **arguments)) == [code]


EU_29A = Spike(multiple=D("2.4"), quantity=75 * M)
UK_CCM = Spike(multiple=D("2"), quantity=5 * M, recent_months=3, reference_months=24)


@pytest.mark.parametrize(
    ("reference", "recent", "is_triggered"),
    [
        (["25.00"] * 24, ["60.00"] * 6, False),  # exactly 2.4 times is not above
        (["25.00"] * 24, ["60.00"] * 5 + ["60.01"], True),
        (["20.00"] * 12 + ["30.00"] * 12, ["100.00", "20.00"] + ["60.00"] * 3 + ["61.00"], True),  # mean 60.1667
        (["25.00"] * 24, ["24.00"] * 6, False),
    ],
)
def test_the_spike_clause_compares_two_averages(reference: list[str], recent: list[str], is_triggered: bool) -> None:
    finding = reserve.spike(EU_29A, [*map(D, ["999"] * 5), *map(D, reference), *map(D, recent)])  # older: not looked at

    assert isinstance(finding, reserve.SpikeFinding)
    assert finding.is_triggered is is_triggered
    assert (finding.reference, finding.threshold) == (Fraction(25), Fraction(60))
    assert finding.quantity == (75 * M if is_triggered else 0)


@pytest.mark.parametrize(
    ("recent", "is_triggered"),
    [
        (["50.01", "80.00", "50.01"], True),
        (["80.00", "80.00", "50.00"], False),  # the last month is at the trigger, whatever the average
        (["49.00", "99.00", "99.00"], False),
    ],
)
def test_the_uk_looks_for_three_months_in_a_row_above_twice_the_reference(
    recent: list[str], is_triggered: bool
) -> None:
    finding = reserve.consecutive_spike(UK_CCM, [*map(D, ["25.00"] * 24), *map(D, recent)])

    assert isinstance(finding, reserve.SpikeFinding)
    assert finding.is_triggered is is_triggered
    assert finding.recent == sum(map(Fraction, recent)) / 3


def test_a_spike_needs_all_its_months() -> None:
    assert codes(reserve.spike(EU_29A, [D("1")] * 29)) == ["too_few_months"]
    assert codes(reserve.consecutive_spike(replace(UK_CCM, recent_months=0), [D("1")] * 30)) == ["no_months"]


# ── releases by price or circulation ─────────────────────────────────────────────────────────────────────────────────

ETS2 = (
    ReleaseRule("price", "PRICE_ABOVE", D("45"), 20 * M, times_a_year=2),
    ReleaseRule("few", "CIRCULATION_BELOW", D(210 * M), 100 * M, smooth_from=D(260 * M)),
)


@pytest.mark.parametrize(
    ("price", "circulation", "used", "held", "permits", "reasons"),
    [
        ("45.00", 300 * M, {}, 600 * M, [0, 0], ["NOT_MET", "NOT_MET"]),
        ("45.01", 300 * M, {}, 600 * M, [20 * M, 0], ["MET", "NOT_MET"]),
        ("45.01", 300 * M, {"price": 1}, 600 * M, [20 * M, 0], ["MET", "NOT_MET"]),
        ("45.01", 300 * M, {"price": 2}, 600 * M, [0, 0], ["USED_UP", "NOT_MET"]),
        ("40.00", 209_999_999, {}, 600 * M, [0, 100 * M], ["NOT_MET", "MET"]),
        ("40.00", 210 * M, {}, 600 * M, [0, 100 * M], ["NOT_MET", "SMOOTHED"]),
        ("40.00", 235 * M, {}, 600 * M, [0, 50 * M], ["NOT_MET", "SMOOTHED"]),
        ("40.00", 260 * M, {}, 600 * M, [0, 0], ["NOT_MET", "NOT_MET"]),
        ("50.00", 200 * M, {}, 70 * M, [20 * M, 50 * M], ["MET", "MET"]),  # until the reserve is empty
        ("50.00", 200 * M, {}, 20 * M, [20 * M, 0], ["MET", "RESERVE_EMPTY"]),
    ],
)
def test_a_release_follows_its_condition_its_number_a_year_and_the_reserve(
    price: str, circulation: int, used: dict[str, int], held: int, permits: list[int], reasons: list[str]
) -> None:
    found = reserve.releases(ETS2, price=D(price), circulation=circulation, reserve_holdings=held, times_used=used)

    assert [each.permits for each in found if isinstance(each, reserve.Release)] == permits
    assert [each.reason for each in found if isinstance(each, reserve.Release)] == reasons


def test_a_smoothed_release_rounds_half_up() -> None:
    rule = ReleaseRule("few", "CIRCULATION_BELOW", D(10), 1, smooth_from=D(20))

    halves = [
        reserve.releases([rule], price=D(0), circulation=at, reserve_holdings=9, times_used={})[0] for at in (15, 16)
    ]

    assert [each.permits for each in halves if isinstance(each, reserve.Release)] == [1, 0]


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.decimals(0, 100, places=2))
def test_releases_never_empty_a_reserve_below_nought(held: int, circulation: int, price: Decimal) -> None:
    found = reserve.releases(ETS2, price=price, circulation=circulation, reserve_holdings=held, times_used={})

    given_out = [each.permits for each in found if isinstance(each, reserve.Release)]
    assert len(given_out) == 2
    assert min(given_out) >= 0
    assert sum(given_out) <= held


# ── unsold permits ───────────────────────────────────────────────────────────────────────────────────────────────────

COMING = tuple(
    reserve.ComingAuction(name, year, planned)
    for name, year, planned in (
        ("Aug", 2026, 100),
        ("Nov", 2026, 100),
        ("Feb", 2027, 80),
        ("May", 2027, 80),
        ("Aug 27", 2027, 80),
    )
)


def outcome(rule: Unsold, permits: int, coming: Sequence[reserve.ComingAuction] = COMING) -> reserve.UnsoldOutcome:
    found = reserve.unsold(rule, permits=permits, year=2026, coming=coming)
    assert not isinstance(found, Refusal), found
    return found


@pytest.mark.parametrize(
    ("rule", "permits", "coming", "additions", "to_reserve", "cancelled"),
    [
        (Unsold(UnsoldRule.ROLL_YEAR), 30, COMING, (("Aug", 30),), 0, 0),
        (Unsold(UnsoldRule.ROLL_YEAR), 30, COMING[2:], (), 0, 30),  # the year is over
        (Unsold(UnsoldRule.ROLL_YEAR), 0, COMING, (), 0, 0),
        (Unsold(UnsoldRule.TO_RESERVE), 30, COMING, (), 30, 0),
        (Unsold(UnsoldRule.CANCEL), 30, COMING, (), 0, 30),
        (Unsold(UnsoldRule.SPREAD), 30, COMING, (("Aug", 8), ("Nov", 8), ("Feb", 7), ("May", 7)), 0, 0),
        (Unsold(UnsoldRule.SPREAD), 3, COMING, (("Aug", 1), ("Nov", 1), ("Feb", 1)), 0, 0),
        # 125 % leaves room for 25, 25, 20 and 20: a fourth of 84 is 21, and the first takes what the others cannot
        (Unsold(UnsoldRule.SPREAD), 84, COMING, (("Aug", 23), ("Nov", 21), ("Feb", 20), ("May", 20)), 0, 0),
        (Unsold(UnsoldRule.SPREAD), 95, COMING, (("Aug", 25), ("Nov", 25), ("Feb", 20), ("May", 20)), 5, 0),
        (Unsold(UnsoldRule.SPREAD), 7, (), (), 7, 0),
        (Unsold(UnsoldRule.SPREAD, auctions=2), 9, COMING[:1], (("Aug", 9),), 0, 0),
        (Unsold(UnsoldRule.SPREAD), 9, (replace(COMING[0], added=20),), (("Aug", 5),), 4, 0),
        (Unsold(UnsoldRule.SPREAD), 9, (replace(COMING[0], added=30),), (), 9, 0),
        (Unsold(UnsoldRule.SPREAD), 9, (replace(COMING[0], planned=0), COMING[1]), (("Nov", 9),), 0, 0),
        (Unsold(UnsoldRule.SPREAD, cap_pct=D("1.259")), 99, (replace(COMING[0], planned=10),), (("Aug", 2),), 97, 0),
    ],
)
def test_unsold_permits_go_where_the_rule_says(
    rule: Unsold,
    permits: int,
    coming: tuple[reserve.ComingAuction, ...],
    additions: tuple[tuple[str, int], ...],
    to_reserve: int,
    cancelled: int,
) -> None:
    found = outcome(rule, permits, coming)

    assert (found.additions, found.to_reserve, found.cancelled) == (additions, to_reserve, cancelled)


def test_impossible_unsold_permits_are_refused() -> None:
    assert codes(reserve.unsold(Unsold(), permits=-1, year=2026, coming=COMING)) == ["negative_unsold"]
    coming = (replace(COMING[0], planned=-1),)
    assert codes(reserve.unsold(Unsold(), permits=1, year=2026, coming=coming)) == ["negative_auction"]


@given(
    st.sampled_from(UnsoldRule),
    st.integers(1, 6),
    st.decimals(1, 3, places=2),
    st.integers(0, 10**6),
    st.lists(st.tuples(st.integers(2026, 2028), st.integers(0, 10**5), st.integers(0, 10**5)), max_size=8),
)
def test_no_unsold_permit_is_lost_and_no_auction_grows_too_large(
    rule: UnsoldRule, auctions: int, limit: Decimal, permits: int, drawn: list[tuple[int, int, int]]
) -> None:
    coming = [reserve.ComingAuction(f"{place}", *each) for place, each in enumerate(drawn)]

    found = outcome(Unsold(rule, auctions, limit), permits, coming)

    added = dict(found.additions)
    assert sum(added.values()) + found.to_reserve + found.cancelled == permits
    assert all(part > 0 for part in added.values())
    if rule is UnsoldRule.SPREAD:
        assert set(added) <= {each.name for each in coming[:auctions]}
        for each in coming:
            if each.name in added:
                assert each.planned + each.added + added[each.name] <= limit * each.planned


# ── what a supply rule cannot mean ───────────────────────────────────────────────────────────────────────────────────

RGGI_2027 = SupplyRule(
    floor=path("9.00", "0.07", 2027),
    ccr=(
        ContainmentTier(path("19.50", "0.07", 2027), quantity=11_750_000),
        ContainmentTier(path("29.25", "0.07", 2027), quantity=11_750_000),
    ),
)


@pytest.mark.parametrize(
    ("supply", "expected"),
    [
        (SupplyRule(), []),
        (RGGI_2027, []),
        (SupplyRule(msr=EU_SINCE_2024, spike=EU_29A, releases=ETS2), []),
        (SupplyRule(floor=path("2.38", "0.025", 2021), ecr=RGGI_ECR), []),
        (SupplyRule(floor=path("0")), []),
        (  # everything as far out as it may be
            SupplyRule(
                msr=StabilityReserve(0, 0, intake=D(1), release=0, mid=0, invalidate_above=0, start_month=1, months=1),
                ccr=(ContainmentTier(path("5"), share=D(0)), ContainmentTier(path("6"), share=D(1))),
                ecr=EmissionsContainment(path("4", "-1"), share=D(0)),
                spike=Spike(multiple=D("1.01"), quantity=0, recent_months=1, reference_months=1),
                releases=(ReleaseRule("a", "PRICE_ABOVE", D(0), 0),),
                unsold=Unsold(UnsoldRule.SPREAD, auctions=1, cap_pct=D(1)),
            ),
            [],
        ),
        (SupplyRule(msr=replace(EU_SINCE_2024, intake=D(0), start_month=12, months=12)), []),
        (SupplyRule(msr=replace(EU_SINCE_2024, lower=834 * M)), ["msr_lines_out_of_order"]),
        (SupplyRule(msr=replace(EU_SINCE_2024, mid=832 * M)), ["msr_lines_out_of_order"]),
        (
            SupplyRule(
                msr=StabilityReserve(
                    upper=-2, lower=-1, intake=D("1.1"), release=-1, invalidate_above=-1, start_month=13, months=0
                )
            ),
            [
                "msr_negative_line",
                "msr_lines_out_of_order",
                "msr_intake_out_of_range",
                "msr_negative_release",
                "msr_negative_invalidation",
                "msr_no_such_month",
                "msr_months_out_of_range",
            ],
        ),
        (SupplyRule(floor=path("-1")), ["price_not_positive"]),
        (SupplyRule(ceiling=Ceiling(path("0"))), ["price_not_positive"]),
        (SupplyRule(floor=path("5", "-1.1")), ["price_falls_below_zero"]),
        (SupplyRule(floor=path("5", "0.1", 2026, {2027: D("-1.2")})), ["price_falls_below_zero"]),
        (SupplyRule(floor=path("5", "0.1", 2026, {2028: D("0.02")})), ["price_index_gap"]),
        (SupplyRule(floor=path("5", "0", 2026, {2027: D(0), 2029: D(0), 2031: D(0)})), ["price_index_gap"] * 2),
        (SupplyRule(ccr=(ContainmentTier(path("5")),)), ["tier_quantity_or_share"]),
        (SupplyRule(ccr=(ContainmentTier(path("5"), quantity=1, share=D("0.1")),)), ["tier_quantity_or_share"]),
        (SupplyRule(ccr=(ContainmentTier(path("5"), quantity=-1),)), ["tier_negative"]),
        (SupplyRule(ccr=(ContainmentTier(path("5"), share=D("1.1")),)), ["share_out_of_range"]),
        (SupplyRule(ecr=EmissionsContainment(path("5"), share=D("-0.1"))), ["share_out_of_range"]),
        (replace(RGGI_2027, ccr=RGGI_2027.ccr[::-1]), ["prices_out_of_order"]),
        (replace(RGGI_2027, ceiling=Ceiling(path("29.25", "0.07", 2027))), ["prices_out_of_order"]),
        (SupplyRule(floor=path("7"), ecr=EmissionsContainment(path("6"), D("0.1"))), ["prices_out_of_order"]),
        (
            SupplyRule(spike=Spike(multiple=D(1), quantity=-1, recent_months=0)),
            ["spike_multiple_too_low", "spike_negative", "spike_without_months"],
        ),
        (
            SupplyRule(
                releases=(
                    ReleaseRule("a", "WEATHER", D(1), -1, times_a_year=0),
                    ReleaseRule("a", "PRICE_ABOVE", D(1), 1, smooth_from=D(2)),
                    ReleaseRule("b", "CIRCULATION_BELOW", D(1), 1, smooth_from=D(1)),
                )
            ),
            [
                "release_measure",
                "release_negative",
                "release_never",
                "release_smoothing",
                "release_smoothing",
                "release_twice",
            ],
        ),
        (
            SupplyRule(unsold=Unsold(UnsoldRule.SPREAD, auctions=0, cap_pct=D("0.9"))),
            ["unsold_without_auctions", "unsold_limit_too_low"],
        ),
        (  # several chapters at once: each contradiction is named
            SupplyRule(
                msr=replace(EU_SINCE_2024, months=13),
                ccr=(ContainmentTier(path("5")), ContainmentTier(path("4"), quantity=1)),
                spike=Spike(multiple=D("0.5"), quantity=1),
            ),
            ["msr_months_out_of_range", "tier_quantity_or_share", "prices_out_of_order", "spike_multiple_too_low"],
        ),
    ],
)
def test_every_contradiction_of_a_supply_rule_is_listed(supply: SupplyRule, expected: list[str]) -> None:
    assert codes(reserve.contradictions(supply)) == expected


def test_a_price_that_overtakes_another_years_later_is_found_and_its_year_named() -> None:
    supply = SupplyRule(floor=path("9.00", "0.10"), ceiling=Ceiling(path("12.00", "0.02")))

    (refusal,) = reserve.contradictions(supply)

    # 9.00, 9.90, 10.89, 11.98, 13.18 against 12.00, 12.24, 12.48, 12.73, 12.98
    assert refusal.code == "prices_out_of_order"
    assert refusal.sentence == "In 2030 the floor (13.18) does not lie below the ceiling (12.98)."


def test_rules_with_contradictory_releases_release_nothing() -> None:
    twice = (ETS2[0], ETS2[0])

    answer = reserve.releases(twice, price=D(99), circulation=0, reserve_holdings=-1, times_used={})

    assert codes(answer) == ["release_twice", "negative_holdings"]
