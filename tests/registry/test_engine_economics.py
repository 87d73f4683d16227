"""Economics: the worked examples W1 to W5 as printed, and the theorems that stand behind the cap page."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from registry.engine.economics import (
    Abater,
    Firm,
    estimated_abatement_market,
    estimated_banking_path,
    estimated_call_auction,
    estimated_cut,
    estimated_grandfathering,
    estimated_market,
    estimated_price_for_cut,
    estimated_price_share,
    estimated_prices_for_cuts,
    estimated_rebound,
    estimated_sales,
    estimated_updating,
    estimated_use,
    estimated_use_elasticity,
    estimated_use_without_trade,
    estimated_utility,
)

W1 = Firm(cost=0.01)
W2 = (Firm(cost=0.01), Firm(cost=0.0325), Firm(cost=0.22))
W3 = (Abater(100, 0.5, 70), Abater(100, 2, 70), Abater(100, 2, 70))


@pytest.mark.parametrize(("lump_sum", "sold", "utility"), [(7, 2, -0.19), (3, -2, -0.31)])
def test_w1_a_firm_cuts_by_half_whatever_it_was_given(lump_sum: float, sold: float, utility: float) -> None:
    firm = replace(W1, lump_sum=lump_sum)

    assert estimated_use(firm, 0) == approx(10)
    assert estimated_use(firm, 0.03) == approx(5)
    assert estimated_sales(firm, 0.03) == approx(sold)
    assert estimated_utility(firm, 0.03) == approx(utility)
    assert estimated_utility(replace(firm, lump_sum=0), 0) == approx(-0.20)


@pytest.mark.parametrize(("lump_sum", "use"), [(7, 7), (10, 10), (30, 10)])
def test_without_trade_a_firm_uses_what_it_was_given(lump_sum: float, use: float) -> None:
    assert estimated_use_without_trade(replace(W1, lump_sum=lump_sum)) == approx(use)
    assert estimated_use_without_trade(replace(W1, lump_sum=lump_sum, intensity=2)) == approx(min(10, lump_sum / 2))


def test_w2_a_cap_of_eleven_costs_three_cents() -> None:
    usual = [estimated_use(firm, 0) for firm in W2]

    found = estimated_market(W2, 11)

    assert usual == approx([10, 5.5470, 2.1320], abs=5e-5)
    assert sum(usual) == approx(17.6790, abs=5e-5)
    assert found.price == approx(0.03, abs=1e-12)
    assert found.uses == approx((5, 4, 2), abs=1e-9)
    cuts = [100 * (1 - use / before) for use, before in zip(found.uses, usual, strict=True)]
    assert cuts == approx([50.0, 27.9, 6.2], abs=0.05)


@pytest.mark.parametrize(
    ("lump_sums", "sales"),
    [
        (estimated_grandfathering(W2, 11), (1.2221, -0.5486, -0.6735)),  # the lab with dear compute has to buy
        ((5.5, 3.0, 2.5), (0.5, -1.0, 0.5)),
    ],
)
def test_w2_who_sells_depends_on_what_was_given(lump_sums: tuple[float, ...], sales: tuple[float, ...]) -> None:
    firms = [replace(firm, lump_sum=given) for firm, given in zip(W2, lump_sums, strict=True)]

    found = estimated_market(firms, 11)

    assert found.sales == approx(sales, abs=5e-5)
    assert found.uses == approx((5, 4, 2), abs=1e-9)
    assert sum(found.sales) == approx(0, abs=1e-9)


def test_w2_grandfathering_follows_use_without_a_scheme() -> None:
    assert estimated_grandfathering(W2, 11) == approx((6.2221, 3.4514, 1.3265), abs=5e-5)


def test_w3_trade_among_linear_abaters_saves_675() -> None:
    found = estimated_abatement_market(W3)

    assert found.price == approx(30)
    assert found.uses == approx((40, 85, 85))
    assert found.sales == approx((30, -15, -15))
    assert (found.cost, found.cost_of_equal_cuts, found.gain) == approx((1_350, 2_025, 675))


def test_w3_as_a_call_on_whole_permits_loses_nothing() -> None:
    found = estimated_call_auction(W3)

    assert (found.volume, found.lowest_price, found.highest_price) == (30, 29.75, 30.25)
    assert found.middle_price == 30.00
    assert found.surplus == approx(estimated_abatement_market(W3).gain)


def test_a_call_without_buyers_trades_nothing() -> None:
    found = estimated_call_auction([Abater(10, 1, 10), Abater(10, 1, 10)])

    assert (found.volume, found.surplus) == (0, 0)
    assert found.lowest_price <= found.highest_price


@pytest.mark.parametrize(
    ("caps", "limit", "prices", "uses", "bank", "cost"),
    [
        ((120, 57), inf, (60, 63), (90, 87), 30, 3_690),
        ((120, 57), 0, (30, 93), (120, 57), 0, 4_568.57),
        ((120, 57), 10, (40, 83), (110, 67), 10, 800 + 83**2 / 2 / 1.05),
        ((57, 120), inf, (93, 30), (57, 120), 0, 93**2 / 2 + 450 / 1.05),
    ],
)
def test_w4_banking_carries_the_price_along_the_interest(
    caps: tuple[float, float],
    limit: float,
    prices: tuple[float, float],
    uses: tuple[float, float],
    bank: float,
    cost: float,
) -> None:
    found = estimated_banking_path(usual_use=150, slope=1, caps=caps, interest=0.05, bank_limit=limit)

    assert found.prices == approx(prices)
    assert found.uses == approx(uses)
    assert found.bank == approx(bank)
    assert found.present_cost == approx(cost, abs=0.005)


def test_w5a_halving_the_intensity_takes_back_three_tenths_of_the_saving() -> None:
    found = estimated_rebound(base_cost=0.02, energy_cost=0.04, price=0.04, before=1, after=0.5)

    assert (found.before, found.after, found.expected) == approx((3.1623, 2.0412, 1.5811), abs=5e-5)
    assert found.share == approx(0.291, abs=5e-4)


def test_with_power_utility_efficiency_may_backfire() -> None:
    found = estimated_rebound(base_cost=0.02, energy_cost=0.04, price=0.04, before=1, after=0.5, power=0.5)

    assert found.share > 1
    assert found.after > found.before


@pytest.mark.parametrize(
    ("intensity", "updating", "lump_sum"), [(0.8, 5.0, 3.3333), (1.0, 4.4721, 3.1623), (1.25, 4.0, 2.9814)]
)
def test_w5b_updating_pays_the_efficient_firm_to_use_more(intensity: float, updating: float, lump_sum: float) -> None:
    firm = Firm(cost=0.05, intensity=intensity)

    assert estimated_use(firm, 0) == approx(4.4721, abs=5e-5)
    assert estimated_use(replace(firm, updating=1.0), 0.05) == approx(updating, abs=5e-5)
    assert estimated_use(firm, 0.05) == approx(lump_sum, abs=5e-5)


@pytest.mark.parametrize(("lags", "beta"), [((0,), 1), ((2,), 1 / 1.21), ((1, 2), (1 / 1.1 + 1 / 1.21) / 2)])
def test_a_lag_discounts_what_updating_gives_back(lags: tuple[int, ...], beta: float) -> None:
    assert estimated_updating(1.0, interest=0.1, lags=lags) == approx(beta)


def test_use_that_is_paid_for_has_no_bound() -> None:
    assert estimated_use(Firm(cost=0.05, updating=3), 1) == inf


@pytest.mark.parametrize(("cut", "percent"), [(0, 0), (0.05, 10.8), (0.10, 23.5), (0.20, 56.3), (0.50, 300)])
def test_the_price_for_a_target_cut(cut: float, percent: float) -> None:
    assert 100 * estimated_price_for_cut(1.0, cut) == approx(percent, abs=0.051)  # 56.25 is printed as 56.3
    assert estimated_prices_for_cuts(2.0, [cut]) == {cut: approx(2 * estimated_price_for_cut(1.0, cut))}


@pytest.mark.parametrize(
    ("cost", "price", "percent"),
    [
        # The paper's first figure with k = 1: a fixed price, and a price that is the root of the cost.
        (1e-4, 0.01, 90.05),
        (1e-3, 0.01, 69.85),
        (1e-2, 0.01, 29.29),
        (1e-1, 0.01, 4.65),
        (1e-4, 1e-2, 90.05),
        (1e-3, 1e-3**0.5, 82.49),
        (1e-2, 1e-1, 69.85),
        (1e-1, 1e-1**0.5, 50.98),
    ],
)
def test_dear_compute_blunts_a_permit_price(cost: float, price: float, percent: float) -> None:
    firm = Firm(cost=cost)

    assert 100 * estimated_cut(cost, price) == approx(percent, abs=0.005)
    assert 1 - estimated_use(firm, price) / estimated_use(firm, 0) == approx(estimated_cut(cost, price))


def test_at_the_price_of_carbon_compute_hardly_falls() -> None:
    share = estimated_price_share(0.009, 1.40)  # 70 a tonne is 0.009 per EFLOP, an EFLOP costs 1.40

    assert 100 * share == approx(0.6, abs=0.05)
    assert 100 * estimated_cut(1.40, 0.009) == approx(0.3, abs=0.05)


positive = st.floats(0.01, 100)
firms = st.builds(
    Firm, cost=positive, scale=positive, curvature=st.floats(0.2, 4), intensity=st.floats(0.1, 10), lump_sum=positive
)


@given(firms, st.floats(0.001, 100), st.floats(0, 1_000))
def test_a_price_cuts_every_firm_and_no_gift_changes_it(firm: Firm, price: float, gift: float) -> None:
    given_more = replace(firm, lump_sum=firm.lump_sum + gift)

    assert estimated_use(firm, price) < estimated_use(firm, 0)
    assert estimated_use(given_more, price) == estimated_use(firm, price)
    assert estimated_utility(given_more, price) - estimated_utility(firm, price) == approx(price * gift, abs=1e-6)


@given(firms, st.floats(0.001, 100))
def test_no_other_use_leaves_a_firm_better_off(firm: Firm, price: float) -> None:
    best = estimated_use(firm, price)

    def left(use: float) -> float:
        worth = float(-firm.scale * use**-firm.curvature)
        return worth - firm.cost * use + price * (firm.lump_sum - firm.intensity * use)

    assert left(best) == approx(estimated_utility(firm, price))
    assert all(left(best) >= left(best * other) for other in (0.5, 0.9, 1.1, 2.0))


@given(st.lists(firms, min_size=1, max_size=5), st.floats(0.05, 0.95))
def test_a_binding_cap_is_just_used(group: list[Firm], part: float) -> None:
    usual = sum(firm.intensity * estimated_use(firm, 0) for firm in group)
    cap = part * usual

    found = estimated_market(group, cap)

    assert found.price > 0
    assert sum(firm.intensity * use for firm, use in zip(group, found.uses, strict=True)) == approx(cap)
    assert estimated_market(group, 2 * usual).price == 0
    assert estimated_market(group, cap * 0.9).price > found.price


@given(st.floats(0.01, 10), st.floats(0.2, 4), st.integers(1, 20), st.floats(0.05, 0.95))
def test_identical_firms_meet_at_the_closed_form(cost: float, curvature: float, count: int, part: float) -> None:
    firm = Firm(cost=cost, curvature=curvature)
    cap = part * count * estimated_use(firm, 0)

    price = estimated_market([firm] * count, cap).price

    assert price == approx(curvature * (count / cap) ** (curvature + 1) - cost, rel=1e-6)


@given(st.floats(0.01, 100), st.floats(0, 0.99), st.floats(0.2, 4), st.floats(0.1, 10))
def test_the_price_for_a_cut_makes_that_cut(cost: float, cut: float, curvature: float, exposure: float) -> None:
    price = estimated_price_for_cut(cost, cut, exposure=exposure, curvature=curvature)

    assert estimated_cut(cost, price, exposure=exposure, curvature=curvature) == approx(cut, abs=1e-9)


@given(st.lists(st.builds(Abater, st.floats(1, 100), st.floats(0.1, 10), st.floats(0, 90)), min_size=1, max_size=5))
def test_trade_never_costs_more_than_equal_cuts_that_are_possible(abaters: list[Abater]) -> None:
    found = estimated_abatement_market(abaters)

    cap, usual = sum(one.allocation for one in abaters), sum(one.usual_use for one in abaters)
    assert sum(found.uses) == approx(min(cap, usual), abs=1e-6)
    assert all(0 <= use <= one.usual_use for use, one in zip(found.uses, abaters, strict=True))
    equal = max(0.0, usual - cap) / len(abaters)
    if all(equal <= one.usual_use for one in abaters):
        assert found.gain >= -1e-6


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 0.3), st.floats(0, 60), st.floats(0.1, 5))
def test_banking_lowers_the_cost_and_never_makes_a_permit(
    first: float, second: float, interest: float, limit: float, slope: float
) -> None:
    def path(bank_limit: float) -> tuple[float, float, tuple[float, float], tuple[float, float]]:
        found = estimated_banking_path(
            usual_use=100, slope=slope, caps=(first, second), interest=interest, bank_limit=bank_limit
        )
        return found.present_cost, found.bank, found.uses, found.prices

    free, limited, none = path(inf), path(limit), path(0)

    assert free[0] <= limited[0] + 1e-6 and limited[0] <= none[0] + 1e-6
    for _, bank, uses, prices in (free, limited, none):
        assert 0 <= bank <= first
        assert sum(uses) == approx(first + second)
        assert bank == 0 or prices[1] >= prices[0] * (1 + interest) - 1e-6


@given(st.floats(0.2, 4), st.floats(0, 1), st.floats(0.05, 1), st.floats(0, 1), st.floats(0.3, 0.95))
def test_efficiency_always_saves_where_the_curve_is_steep(
    curvature: float, base_cost: float, energy_cost: float, price: float, gain: float
) -> None:
    found = estimated_rebound(
        base_cost=base_cost, energy_cost=energy_cost, price=price, before=1, after=gain, curvature=curvature
    )

    assert found.expected <= found.after < found.before
    assert 0 <= found.share < 1


@pytest.mark.parametrize(
    ("theta", "form", "elasticity"),
    [
        (0.8, {"curvature": 1.0}, 0.6),
        (0.8, {"curvature": 3.0}, 0.8),
        (0.4, {"power": 0.5}, 0.2),
        (0.8, {"power": 0.5}, -0.6),
    ],
)
def test_the_elasticity_of_use_tells_whether_efficiency_backfires(
    theta: float, form: dict[str, float], elasticity: float
) -> None:
    assert estimated_use_elasticity(theta, **form) == approx(elasticity)


def test_the_elasticity_is_the_slope_of_a_small_gain() -> None:
    small = estimated_rebound(base_cost=0.02, energy_cost=0.04, price=0.04, before=1, after=1 - 1e-6)

    slope = (small.after / small.before - 1) / -1e-6

    assert slope == approx(estimated_use_elasticity(0.08 / 0.10), abs=1e-5)
