"""The call auction: venues' worked examples, every step of the price ladder, and random calls against brute force."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.engine.call_auction import CallOrder, CallTrade, Clearing, indicative, uncross
from exchange.engine.words import Side

Line = tuple[Side, int | None, int]


def orders_of(*lines: Line) -> list[CallOrder]:
    """Return the orders (side, limit or None for market, lots), each older than the next."""
    return [CallOrder(seq, side, limit, quantity, seq) for seq, (side, limit, quantity) in enumerate(lines, start=1)]


# Books of the examples to "price determination in auctions" in the Xetra market model (Deutsche Boerse), numbered as
# there, also in the AuctionMatchTest of tinyEXCH. Where the reference lies between the limits (examples 4, 5 at 200)
# tinyEXCH goes to the nearest limit, 199 and 201; T7 keeps the reference, and so do we.

XETRA_1 = orders_of(
    ("buy", 202, 200), ("buy", 201, 200), ("buy", 200, 300), ("sell", 200, 100), ("sell", 198, 200), ("sell", 197, 400)
)
XETRA_2 = orders_of(("buy", 202, 400), ("buy", 201, 200), ("sell", 199, 300), ("sell", 198, 200))
XETRA_3 = orders_of(("buy", 202, 300), ("buy", 201, 200), ("sell", 199, 400), ("sell", 198, 200))
XETRA_4 = orders_of(("buy", None, 100), ("buy", 199, 100), ("sell", None, 100), ("sell", 202, 100))
XETRA_5 = orders_of(("buy", 202, 300), ("buy", 201, 200), ("sell", 198, 200), ("sell", 199, 300))
XETRA_6 = orders_of(("buy", None, 900), ("sell", None, 800))

# Two limits share one surplus: only the inner one bounds the reference.
BUYERS_LEFT_AT_TWO_LIMITS = orders_of(("buy", None, 100), ("buy", 201, 100), ("sell", 199, 100), ("sell", 203, 100))
SELLERS_LEFT_AT_TWO_LIMITS = orders_of(("sell", None, 100), ("sell", 201, 100), ("buy", 203, 100), ("buy", 198, 100))


@pytest.mark.parametrize(
    ("orders", "reference", "price", "volume", "surplus"),
    [
        pytest.param(XETRA_1, None, 200, 700, 0, id="Xetra 1: one limit trades most (step 4)"),
        pytest.param(XETRA_2, None, 201, 500, 100, id="Xetra 2: buyers left over, highest limit (step 5)"),
        pytest.param(XETRA_2, 150, 201, 500, 100, id="Xetra 2: whatever the reference"),
        pytest.param(XETRA_3, None, 199, 500, -100, id="Xetra 3: sellers left over, lowest limit (step 5)"),
        pytest.param(XETRA_3, 250, 199, 500, -100, id="Xetra 3: whatever the reference"),
        pytest.param(
            XETRA_4, 199, 199, 100, 100, id="Xetra 4: surplus on both sides, reference at the lower end (step 6)"
        ),
        pytest.param(XETRA_4, 200, 200, 100, 0, id="Xetra 4: reference between the limits (step 6, clamp)"),
        pytest.param(XETRA_4, 190, 199, 100, 100, id="Xetra 4: reference below both (step 6)"),
        pytest.param(XETRA_4, 210, 202, 100, -100, id="Xetra 4: reference above both (step 6)"),
        pytest.param(XETRA_5, 200, 200, 500, 0, id="Xetra 5: no surplus, reference between the limits (step 6, clamp)"),
        pytest.param(XETRA_5, 202, 201, 500, 0, id="Xetra 5: reference above the limits (step 6)"),
        pytest.param(XETRA_5, 198, 199, 500, 0, id="Xetra 5: reference below the limits (step 6)"),
        pytest.param(XETRA_5, None, 200, 500, 0, id="no reference: the middle (step 6)"),
        pytest.param(XETRA_4, None, 200, 100, 0, id="no reference: the middle, rounded down to the tick (step 6)"),
        pytest.param(BUYERS_LEFT_AT_TWO_LIMITS, 200, 201, 100, 100, id="highest limit with buyers left over (step 6)"),
        pytest.param(
            BUYERS_LEFT_AT_TWO_LIMITS, 202, 202, 100, 0, id="between that and the first with sellers (step 6)"
        ),
        pytest.param(
            SELLERS_LEFT_AT_TWO_LIMITS, 202, 201, 100, -100, id="lowest limit with sellers left over (step 6)"
        ),
        pytest.param(SELLERS_LEFT_AT_TWO_LIMITS, 200, 200, 100, 0, id="between that and the last with buyers (step 6)"),
        pytest.param(XETRA_6, 250, 250, 800, 100, id="Xetra 6: market orders only, at the reference (step 2)"),
        pytest.param(XETRA_6, None, None, 0, 0, id="market orders only and no reference: no price (step 2)"),
        pytest.param(orders_of(("buy", None, 9)), 250, None, 0, 0, id="market orders on one side only (step 2)"),
        pytest.param([], 250, None, 0, 0, id="no orders (step 2)"),
        pytest.param(orders_of(("buy", 199, 9), ("sell", 200, 9)), 200, None, 0, 0, id="nothing crosses (step 3)"),
        pytest.param(orders_of(("buy", 199, 9)), 200, None, 0, 0, id="limits on one side only (step 3)"),
        pytest.param(
            orders_of(("buy", 199, 9), ("sell", None, 4)), 200, 199, 4, 5, id="a market order meets one limit"
        ),
    ],
)
def test_price_ladder(
    orders: list[CallOrder], reference: int | None, price: int | None, volume: int, surplus: int
) -> None:
    result = uncross(orders, reference)

    assert (result.price, result.volume, result.surplus) == (price, volume, surplus)


def test_without_a_price_the_best_limits_are_published() -> None:
    orders = orders_of(("buy", 197, 1), ("buy", 199, 9), ("sell", 203, 1), ("sell", 201, 9))

    assert indicative(orders, 200) == Clearing(price=None, volume=0, surplus=0, best_bid=199, best_ask=201)


@pytest.mark.parametrize(
    ("orders", "trades"),
    [
        pytest.param(
            orders_of(("buy", 100, 3), ("buy", 100, 3), ("sell", 100, 4)),
            [(1, 3, 3), (2, 3, 1)],
            id="the older order first at the marginal price",
        ),
        pytest.param(
            orders_of(("buy", 100, 3), ("buy", 101, 3), ("sell", 100, 4)),
            [(2, 3, 3), (1, 3, 1)],
            id="the better limit before the older order",
        ),
        pytest.param(
            orders_of(("buy", 100, 3), ("buy", 101, 3), ("buy", None, 3), ("sell", 100, 4)),
            [(3, 4, 3), (2, 4, 1)],
            id="market orders before every limit",
        ),
        pytest.param(
            orders_of(("sell", 99, 5), ("sell", 98, 2), ("buy", 99, 4), ("buy", 99, 1)),
            [(3, 2, 2), (3, 1, 2), (4, 1, 1)],
            id="sellers likewise, the lower limit first",
        ),
    ],
)
def test_allocation_and_pairing(orders: list[CallOrder], trades: list[tuple[int, int, int]]) -> None:
    assert list(uncross(orders, None).trades) == [CallTrade(*trade) for trade in trades]


# Random calls. Limits are few so that ties and plateaus, where the steps of the ladder differ, are common.

both_sides: st.SearchStrategy[Side] = st.sampled_from(["buy", "sell"])
calls = st.lists(st.tuples(both_sides, st.none() | st.integers(3, 12), st.integers(1, 6)), max_size=12).map(
    lambda lines: orders_of(*lines)
)
references = st.none() | st.integers(1, 15)
EVERY_PRICE = range(1, 16)


def demand(orders: list[CallOrder], price: int) -> int:
    return sum(o.quantity for o in orders if o.side == "buy" and (o.limit is None or o.limit >= price))


def supply(orders: list[CallOrder], price: int) -> int:
    return sum(o.quantity for o in orders if o.side == "sell" and (o.limit is None or o.limit <= price))


def brute_force_price(orders: list[CallOrder], reference: int | None) -> int | None:
    """The obvious twin: weigh every limit by adding up all orders again, and keep the ladder in words."""
    volume = {p: min(demand(orders, p), supply(orders, p)) for p in EVERY_PRICE}
    surplus = {p: demand(orders, p) - supply(orders, p) for p in EVERY_PRICE}
    limits = sorted({o.limit for o in orders if o.limit is not None})
    if not limits:
        return reference if reference and volume[reference] else None
    best = [p for p in limits if volume[p] == max(volume[q] for q in limits)]
    best = [p for p in best if abs(surplus[p]) == min(abs(surplus[q]) for q in best)]
    if volume[best[0]] == 0:
        return None
    buyers_left, sellers_left = [p for p in best if surplus[p] > 0], [p for p in best if surplus[p] < 0]
    if buyers_left == best:
        return max(best)
    if sellers_left == best:
        return min(best)
    low, high = max(buyers_left, default=min(best)), min(sellers_left, default=max(best))
    return (low + high) // 2 if reference is None else sorted([low, reference, high])[1]


@settings(max_examples=500)
@given(calls, references)
def test_the_price_is_the_one_brute_force_finds(orders: list[CallOrder], reference: int | None) -> None:
    assert uncross(orders, reference).price == brute_force_price(orders, reference)


@given(calls, references)
def test_no_price_at_all_would_trade_more_or_leave_less(orders: list[CallOrder], reference: int | None) -> None:
    result = uncross(orders, reference)

    possible = {p: min(demand(orders, p), supply(orders, p)) for p in EVERY_PRICE}
    if result.price is not None:
        assert result.volume == possible[result.price] == max(possible.values()) > 0
        assert result.surplus == demand(orders, result.price) - supply(orders, result.price)
    elif any(order.limit is not None for order in orders):
        assert max(possible.values()) == 0


@given(calls, references)
def test_inside_the_plateau_the_surplus_is_never_larger_than_at_its_ends(
    orders: list[CallOrder], reference: int | None
) -> None:
    result = uncross(orders, reference)
    limits = {order.limit for order in orders if order.limit is not None}
    at_limits = [p for p in limits if min(demand(orders, p), supply(orders, p)) == result.volume]

    if result.price is not None and limits:
        assert abs(result.surplus) <= min(abs(demand(orders, p) - supply(orders, p)) for p in at_limits)


@given(calls, references)
def test_trades_share_the_volume_by_price_and_time(orders: list[CallOrder], reference: int | None) -> None:
    result = uncross(orders, reference)

    bought = Counter[int]()
    sold = Counter[int]()
    for trade in result.trades:
        bought[trade.buy_order_id] += trade.quantity
        sold[trade.sell_order_id] += trade.quantity
    assert bought.total() == sold.total() == result.volume
    assert len(result.trades) <= max(0, len(bought) + len(sold) - 1)
    by_priority = sorted(orders, key=lambda o: (o.limit is not None, _badness(o), o.seq))
    for side, filled in (("buy", bought), ("sell", sold)):
        queue = [order for order in by_priority if order.side == side]
        full = [order for order in queue if filled[order.order_id] == order.quantity]
        assert full == queue[: len(full)], "a worse or younger order is filled only after all before it"
        assert not any(filled[order.order_id] for order in queue[len(full) + 1 :])


def _badness(order: CallOrder) -> int:
    return 0 if order.limit is None else -order.limit if order.side == "buy" else order.limit


@given(calls, references)
def test_no_trade_outside_a_limit_and_nothing_left_that_still_crosses(
    orders: list[CallOrder], reference: int | None
) -> None:
    result = uncross(orders, reference)

    traded = Counter[int]()
    for trade in result.trades:
        traded.update({trade.buy_order_id: trade.quantity, trade.sell_order_id: trade.quantity})
    for order in orders:
        if traded[order.order_id] and order.limit is not None:
            assert result.price is not None
            assert order.limit >= result.price if order.side == "buy" else order.limit <= result.price
    left = [o._replace(quantity=o.quantity - traded[o.order_id]) for o in orders if o.quantity > traded[o.order_id]]
    if any(order.limit is not None for order in orders):
        assert all(min(demand(left, p), supply(left, p)) == 0 for p in EVERY_PRICE)


@given(calls, references, st.data())
def test_the_result_does_not_depend_on_how_orders_are_listed(
    orders: list[CallOrder], reference: int | None, data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(orders))

    assert uncross(shuffled, reference) == uncross(orders, reference)


@given(calls, references)
def test_the_indicative_values_are_those_of_the_call(orders: list[CallOrder], reference: int | None) -> None:
    shown, result = indicative(orders, reference), uncross(orders, reference)

    assert (shown.price, shown.volume, shown.surplus) == (result.price, result.volume, result.surplus)
    assert (shown.best_bid, shown.best_ask) == (result.best_bid, result.best_ask)
