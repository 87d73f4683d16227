"""Two-sided call auction: one price at which the most permits change hands, and who trades with whom.

Source: exchange rules, section 5a, rule "clamp" with time allocation; the price ladder is that of Xetra T7 (market
model, price determination in auctions). Prices are in ticks and quantities in lots. The steps below carry the numbers
of section 5a.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exchange.engine.words import Side


class CallOrder(NamedTuple):
    """One order in the call; `limit` None is a market order, the lower `seq` is the older order."""

    order_id: int
    side: Side
    limit: int | None
    quantity: int
    seq: int


class CallTrade(NamedTuple):
    """Lots that one buyer takes from one seller, at the price of the call."""

    buy_order_id: int
    sell_order_id: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Clearing:
    """What the call shows the market: its price, the lots that trade, and the lots that stay unmatched at that price.

    `surplus` is demand minus supply at the price: positive when buyers are left, negative when sellers are. Without a
    price volume and surplus are 0. `best_bid` and `best_ask` are the best limits entered in the call, traded or not.
    """

    price: int | None
    volume: int
    surplus: int
    best_bid: int | None
    best_ask: int | None


@dataclass(frozen=True, slots=True)
class CallResult(Clearing):
    """A finished call: the clearing and its trades."""

    trades: tuple[CallTrade, ...]


class _Point(NamedTuple):
    """One candidate price with the lots that could trade there (`volume`) and those left over (`surplus`, signed)."""

    price: int
    volume: int
    surplus: int


def uncross(orders: Iterable[CallOrder], reference: int | None) -> CallResult:
    """Return the price of the call and its trades; orders that do not trade are untouched.

    `reference` is the last official price in ticks, or None if there is none. The same orders give the same result in
    whatever order they are listed. Two orders of one owner may trade with each other here; the book refuses such orders
    when they are entered.
    """
    orders = list(orders)
    clearing = indicative(orders, reference)
    return CallResult(
        price=clearing.price,
        volume=clearing.volume,
        surplus=clearing.surplus,
        best_bid=clearing.best_bid,
        best_ask=clearing.best_ask,
        trades=_pair(_allocate(orders, "buy", clearing.volume), _allocate(orders, "sell", clearing.volume)),
    )


def indicative(orders: Iterable[CallOrder], reference: int | None) -> Clearing:
    """Return the price, volume and surplus that the call would have if it ended now."""
    orders = list(orders)
    assert all(order.quantity > 0 and (order.limit is None or order.limit > 0) for order in orders)
    assert reference is None or reference > 0
    point = _clearing_point(orders, reference)
    return Clearing(
        price=point.price if point else None,
        volume=point.volume if point else 0,
        surplus=point.surplus if point else 0,
        best_bid=max((o.limit for o in orders if o.side == "buy" and o.limit is not None), default=None),
        best_ask=min((o.limit for o in orders if o.side == "sell" and o.limit is not None), default=None),
    )


def _clearing_point(orders: Sequence[CallOrder], reference: int | None) -> _Point | None:
    points = _points_at_limits(orders)  # step 1
    if not points:  # step 2: market orders only, so the reference is the one price known
        point = _point_at(orders, reference) if reference is not None else None
        return point if point and point.volume else None
    most = max(point.volume for point in points)
    if most == 0:  # step 3
        return None
    candidates = [point for point in points if point.volume == most]
    least = min(abs(point.surplus) for point in candidates)
    candidates = [point for point in candidates if abs(point.surplus) == least]
    if len(candidates) == 1:  # step 4
        return candidates[0]
    if all(point.surplus > 0 for point in candidates):  # step 5: buyers are left over, so the price goes up
        return candidates[-1]
    if all(point.surplus < 0 for point in candidates):
        return candidates[0]
    return _point_at(orders, _clamped(candidates, reference))  # step 6


def _clamped(candidates: Sequence[_Point], reference: int | None) -> int:
    """Step 6: the reference, but not outside the candidates; without one, their middle, rounded down to the tick."""
    if candidates[0].surplus == 0:
        low, high = candidates[0].price, candidates[-1].price
    else:
        low = max(point.price for point in candidates if point.surplus > 0)
        high = min(point.price for point in candidates if point.surplus < 0)
    assert low <= high, "demand falls and supply rises with the price"
    return (low + high) // 2 if reference is None else min(max(reference, low), high)


def _points_at_limits(orders: Sequence[CallOrder]) -> list[_Point]:
    """Return volume and surplus at every distinct limit, lowest first, in one pass up the price scale."""
    bought: dict[int, int] = defaultdict(int)
    sold: dict[int, int] = defaultdict(int)
    demand = supply = 0
    for order in orders:
        if order.side == "buy":
            demand += order.quantity
            if order.limit is not None:
                bought[order.limit] += order.quantity
        elif order.limit is not None:
            sold[order.limit] += order.quantity
        else:
            supply += order.quantity
    points = []
    for price in sorted(bought.keys() | sold.keys()):
        supply += sold.get(price, 0)
        points.append(_Point(price, min(demand, supply), demand - supply))
        demand -= bought.get(price, 0)
    return points


def _point_at(orders: Sequence[CallOrder], price: int) -> _Point:
    demand = sum(o.quantity for o in orders if o.side == "buy" and (o.limit is None or o.limit >= price))
    supply = sum(o.quantity for o in orders if o.side == "sell" and (o.limit is None or o.limit <= price))
    return _Point(price, min(demand, supply), demand - supply)


def _allocate(orders: Sequence[CallOrder], side: Side, volume: int) -> list[tuple[int, int]]:
    """Step 8, by time: fill market orders, then better limits, then older orders, until the volume is used up."""
    fills = []
    for order in sorted((order for order in orders if order.side == side), key=_priority):
        if volume == 0:
            break
        quantity = min(volume, order.quantity)
        fills.append((order.order_id, quantity))
        volume -= quantity
    assert volume == 0, "both curves reach the volume of the call"
    return fills


def _priority(order: CallOrder) -> tuple[bool, int, int]:
    if order.limit is None:
        return (False, 0, order.seq)
    return (True, -order.limit if order.side == "buy" else order.limit, order.seq)


def _pair(bought: Sequence[tuple[int, int]], sold: Sequence[tuple[int, int]]) -> tuple[CallTrade, ...]:
    """Step 9: lay both sides' fills along one line; every stretch between two ends is one trade."""
    trades = []
    sellers = iter(sold)
    sell_order_id, offered = 0, 0
    for buy_order_id, fill in bought:
        wanted = fill
        while wanted:
            if offered == 0:
                sell_order_id, offered = next(sellers)
            quantity = min(wanted, offered)
            trades.append(CallTrade(buy_order_id, sell_order_id, quantity))
            wanted -= quantity
            offered -= quantity
    return tuple(trades)
