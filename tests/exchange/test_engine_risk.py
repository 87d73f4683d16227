"""Pre-trade risk: which orders may enter, and that the holds cover everything that can happen to them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.engine.netting import Trade, net
from exchange.engine.risk import Limits, RiskCode, Standing, cash_required, check_order, collar, permits_required
from exchange.engine.words import Side

# Lots of 10 permits, prices in steps of 5 cents up to 1,000.00, a collar of 20 % but at least 1.00 to either side.
LIMITS = Limits(
    lot=10,
    tick=5,
    maximum_quantity=50_000,
    maximum_price=100_000,
    maximum_value=50_000_000,
    collar_bps=2_000,
    collar_minimum=100,
)


@pytest.mark.parametrize(
    ("standing", "side", "price", "quantity", "reference", "code"),
    [
        ("good", "buy", 2500, 10, 2500, None),
        ("good", "sell", 2500, 10, None, None),
        ("good", "buy", 3000, 10, 2500, None),
        ("good", "sell", 2000, 10, 2500, None),
        ("good", "buy", 1000, 50_000, 1000, None),
        ("good", "buy", 100_000, 500, None, None),
        ("buy_only", "buy", 2500, 10, 2500, None),
        ("buy_only", "sell", 2500, 10, 2500, "standing_buy_only"),
        ("suspended", "buy", 2500, 10, 2500, "standing_suspended"),
        ("suspended", "sell", 2500, 10, 2500, "standing_suspended"),
        ("good", "buy", 2500, 0, 2500, "quantity_not_positive"),
        ("good", "buy", 2500, -10, 2500, "quantity_not_positive"),
        ("good", "buy", 2500, 15, 2500, "quantity_off_lot"),
        ("good", "buy", 1000, 50_010, 1000, "quantity_too_large"),
        ("good", "buy", 0, 10, 2500, "price_not_positive"),
        ("good", "buy", -5, 10, 2500, "price_not_positive"),
        ("good", "buy", 2501, 10, 2500, "price_off_tick"),
        ("good", "buy", 100_005, 10, None, "price_too_high"),
        ("good", "buy", 2500, 20_010, 2500, "value_too_large"),
        ("good", "buy", 3005, 10, 2500, "price_outside_collar"),
        ("good", "buy", 1995, 10, 2500, "price_outside_collar"),
        ("good", "sell", 3005, 10, 2500, "price_outside_collar"),
        ("good", "buy", 200, 10, 100, None),
        ("good", "buy", 205, 10, 100, "price_outside_collar"),
        ("suspended", "sell", 0, 15, 2500, "standing_suspended"),
        ("good", "sell", 0, 15, 2500, "quantity_off_lot"),
    ],
)
def test_check_order(
    standing: Standing, side: Side, price: int, quantity: int, reference: int | None, code: RiskCode | None
) -> None:
    assert (
        check_order(LIMITS, standing=standing, side=side, price=price, quantity=quantity, reference=reference) == code
    )


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (2500, (2000, 3000)),
        (499, (399, 599)),
        (504, (404, 604)),
        (505, (404, 606)),
        (2504, (2004, 3004)),
        (40, (-60, 140)),
    ],
)
def test_collar_is_a_share_of_the_reference_but_never_narrower_than_its_minimum(
    reference: int, expected: tuple[int, int]
) -> None:
    assert collar(LIMITS, reference) == expected


@pytest.mark.parametrize(
    "name", ["lot", "tick", "maximum_quantity", "maximum_price", "maximum_value", "collar_bps", "collar_minimum"]
)
def test_impossible_limits_are_our_own_mistake(name: str) -> None:
    with pytest.raises(AssertionError):
        replace(LIMITS, **{name: -1})


@pytest.mark.parametrize(
    ("open_asks", "sold", "bought", "required"),
    [(0, 0, 0, 0), (10, 0, 0, 10), (10, 5, 0, 15), (10, 5, 8, 7), (10, 5, 15, 0), (10, 5, 40, 0)],
)
def test_permits_required(open_asks: int, sold: int, bought: int, required: int) -> None:
    assert permits_required(open_asks=open_asks, sold_unsettled=sold, bought_unsettled=bought) == required


@pytest.mark.parametrize(
    ("open_bids", "bought", "sold", "required"),
    [(0, 0, 0, 0), (1000, 0, 0, 1000), (1000, 500, 0, 1500), (1000, 500, 800, 700), (1000, 500, 4000, 0)],
)
def test_cash_required(open_bids: int, bought: int, sold: int, required: int) -> None:
    assert cash_required(open_bids_value=open_bids, bought_value=bought, sold_value=sold) == required


# One account holds what is required before anything trades; then any part of its orders trades, within its limits.

orders = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]), st.integers(1, 50), st.integers(1, 50), st.integers(0, 50), st.integers(0, 49)
    ),
    max_size=10,
)


@given(orders)
def test_whatever_trades_the_holds_taken_at_entry_cover_the_settlement(
    lines: list[tuple[Side, int, int, int, int]],
) -> None:
    us, them, permit, money = 1, 2, 10, 20
    open_asks = sum(quantity for side, _, quantity, _, _ in lines if side == "sell")
    open_bids_value = sum(limit * quantity for side, limit, quantity, _, _ in lines if side == "buy")
    held_permits = permits_required(open_asks=open_asks, sold_unsettled=0, bought_unsettled=0)
    held_cash = cash_required(open_bids_value=open_bids_value, bought_value=0, sold_value=0)
    trades: list[Trade] = []
    sold = bought = sold_value = bought_value = 0

    for side, limit, quantity, fill, better in lines:
        filled = min(fill, quantity)
        price = max(1, limit - better) if side == "buy" else limit + better
        if side == "sell":
            open_asks, sold, sold_value = open_asks - filled, sold + filled, sold_value + filled * price
        else:
            open_bids_value -= filled * limit
            bought, bought_value = bought + filled, bought_value + filled * price
        if filled:
            trades.append(Trade(*((us, them) if side == "buy" else (them, us)), permit, money, filled, price))

        now_permits = permits_required(open_asks=open_asks, sold_unsettled=sold, bought_unsettled=bought)
        now_cash = cash_required(open_bids_value=open_bids_value, bought_value=bought_value, sold_value=sold_value)
        assert now_permits <= held_permits, "a trade never asks for more"
        assert now_cash <= held_cash
        held_permits, held_cash = now_permits, now_cash
        owed = {n.asset: -n.amount for n in net(trades) if n.account == us}
        assert owed.get(permit, 0) <= held_permits
        assert owed.get(money, 0) <= held_cash
