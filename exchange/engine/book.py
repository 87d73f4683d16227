"""Continuous price-time matching: the order book of one market, commands in and events out.

Source: exchange rules, section 5c. Prices are in ticks, quantities in lots, all whole numbers. The better price goes
first and, at one price, the order that was entered first in the market's sequence. A trade has the price of the order
that was resting. The book never raises for what a user did: it answers with `Rejected` or `CancelRejected` and a
code. What only its caller could do wrong (a sequence number that does not rise, continuous matching on a crossed
book) is asserted.

The book is a cache: it can be thrown away at any time and restored from the open orders. It therefore knows only
orders that rest in it; that an order id is never used twice in the life of a market is for the caller's store to
keep.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, NamedTuple, Self

from exchange.engine import call_auction
from exchange.engine.call_auction import CallOrder, CallResult
from exchange.engine.words import Side, TimeInForce

RejectCode = Literal[
    "duplicate_order",
    "price_not_positive",
    "quantity_not_positive",
    "time_in_force_not_in_call",
    "crosses_own_order",
]
CancelReason = Literal["requested", "ioc", "self_trade"]

# Commands and events are named tuples: the book makes several per command, and frozen dataclasses take twice as long.


class NewOrder(NamedTuple):
    """Enter a limit order; `owner` is the beneficial owner, who never trades with itself."""

    order_id: int
    owner: int
    side: Side
    price: int
    quantity: int
    time_in_force: TimeInForce


class Cancel(NamedTuple):
    """Take what is left of an order out of the book, on behalf of its owner."""

    order_id: int
    owner: int


class Accepted(NamedTuple):
    """The order passed every check of the book; what became of it follows."""

    order_id: int


class Rested(NamedTuple):
    """The order now waits in the book with this many lots open."""

    order_id: int
    quantity: int


class Traded(NamedTuple):
    """Lots changed hands at the price of the maker, the order that was resting."""

    maker_order_id: int
    taker_order_id: int
    price: int
    quantity: int
    taker_side: Side


class Canceled(NamedTuple):
    """The order is over with this many lots unfilled: on request, as IOC remainder, or to prevent a self-trade."""

    order_id: int
    quantity: int
    reason: CancelReason


class Rejected(NamedTuple):
    """The new order was refused and changed nothing."""

    order_id: int
    code: RejectCode


class CancelRejected(NamedTuple):
    """The cancel was refused and changed nothing: no order with this id rests here for this owner (any more)."""

    order_id: int
    code: Literal["unknown_order"]


Command = NewOrder | Cancel
Event = Accepted | Rested | Traded | Canceled | Rejected | CancelRejected


class RestingOrder(NamedTuple):
    """An open order as snapshots carry it; `quantity` is what is left, `seq` its place in the market's sequence."""

    order_id: int
    owner: int
    side: Side
    price: int
    quantity: int
    seq: int


class Snapshot(NamedTuple):
    """Everything a book is: the last sequence number applied and the open orders, in any order."""

    seq: int
    orders: Sequence[RestingOrder]


class DepthLevel(NamedTuple):
    """One price and all lots open there."""

    price: int
    quantity: int


class Depth(NamedTuple):
    """Both sides of the book by price, best first."""

    bids: list[DepthLevel]
    asks: list[DepthLevel]


@dataclass(slots=True, eq=False)
class _Half:
    """One side of the book.

    A key is a price turned so that the better price has the higher key (the price for bids, minus the price for
    asks): both sides run through the same code, and the best level is at the end of the sorted list, where it is
    cheap to remove.
    """

    side: Side
    sign: Literal[1, -1]
    keys: list[int]
    levels: "dict[int, _Level]"


@dataclass(slots=True, eq=False)
class _Level:
    """The orders at one price, oldest first, as a linked list: any order in it is taken out in constant time."""

    half: _Half
    key: int
    price: int
    quantity: int
    oldest: "_Node | None"
    newest: "_Node | None"


@dataclass(slots=True, eq=False)
class _Node:
    """A resting order between its older and its newer neighbour at the same price."""

    order_id: int
    owner: int
    quantity: int
    seq: int
    level: _Level
    older: "_Node | None"
    newer: "_Node | None"


class Book:
    """The open orders of one market."""

    __slots__ = ("_asks", "_bids", "_nodes", "_seq")

    def __init__(self) -> None:
        self._bids = _Half("buy", 1, [], {})
        self._asks = _Half("sell", -1, [], {})
        self._nodes: dict[int, _Node] = {}
        self._seq = 0

    # Commands

    def apply(self, command: Command, seq: int) -> list[Event]:
        """Carry out one command of continuous trading and return what happened, in order.

        `seq` is the command's place in the market's sequence and must rise from call to call. A new order gives
        `Rejected`, or `Accepted` and its trades and then, if lots are left, `Rested` or `Canceled`. A cancel gives
        `Canceled` or `CancelRejected`. When the next order in line belongs to the incoming order's owner, the
        incoming remainder is cancelled and its trades so far stand ("cancel newest"); it never rests.
        """
        self._advance(seq)
        if isinstance(command, NewOrder):
            return self._enter(command, seq)
        return self._cancel(command)

    def collect(self, order: NewOrder, seq: int) -> list[Event]:
        """Put an order into the book without matching, as in a call phase; the book may become crossed.

        Gives `Accepted` and `Rested`, or `Rejected`: an IOC order has no meaning in a call, and an order that would
        cross an own opposite order is refused, because the call auction itself does not look at owners.
        """
        self._advance(seq)
        code = self._refusal(order) or self._refusal_in_call(order)
        if code is not None:
            return [Rejected(order.order_id, code)]
        self._rest(self._half(order.side), order.order_id, order.owner, order.price, order.quantity, seq)
        return [Accepted(order.order_id), Rested(order.order_id, order.quantity)]

    def uncross(self, reference: int | None, seq: int) -> CallResult:
        """End a call: find its price, take the traded lots out of the book and return price and trades.

        What is left keeps its place, and the book is no longer crossed. `reference` is as in `call_auction.uncross`.
        """
        self._advance(seq)
        result = call_auction.uncross(self.call_orders(), reference)
        for trade in result.trades:
            self._fill(self._nodes[trade.buy_order_id], trade.quantity)
            self._fill(self._nodes[trade.sell_order_id], trade.quantity)
        assert not self.is_crossed()
        return result

    # Reading

    @property
    def seq(self) -> int:
        """The sequence number of the last command applied, 0 for a new book."""
        return self._seq

    @property
    def best_bid(self) -> int | None:
        """The highest price bid, or None."""
        return self._bids.keys[-1] if self._bids.keys else None

    @property
    def best_ask(self) -> int | None:
        """The lowest price asked, or None."""
        return -self._asks.keys[-1] if self._asks.keys else None

    def is_crossed(self) -> bool:
        """Whether a bid meets an ask, which only a call phase may leave standing."""
        return bool(self._bids.keys and self._asks.keys and self._bids.keys[-1] >= -self._asks.keys[-1])

    def depth(self, levels: int) -> Depth:
        """Return the best `levels` prices of each side with all lots open there, best first."""
        assert levels > 0
        return Depth(_depth(self._bids, levels), _depth(self._asks, levels))

    def call_orders(self) -> list[CallOrder]:
        """Return the open orders in the form the call auction reads, for an indicative price."""
        return [CallOrder(o.order_id, o.side, o.price, o.quantity, o.seq) for o in self._orders()]

    def snapshot(self) -> Snapshot:
        """Return the whole state: bids, then asks, each in the order in which it would trade."""
        return Snapshot(self._seq, tuple(self._orders()))

    @classmethod
    def restore(cls, snapshot: Snapshot) -> Self:
        """Return the book that has exactly this state; from here it behaves as the book the snapshot was taken of."""
        book = cls()
        book._seq = snapshot.seq
        for order in sorted(snapshot.orders, key=lambda order: order.seq):
            assert order.order_id not in book._nodes and order.price > 0 and order.quantity > 0
            assert order.seq <= snapshot.seq
            book._rest(book._half(order.side), order.order_id, order.owner, order.price, order.quantity, order.seq)
        return book

    def digest(self) -> str:
        """Return the SHA-256 of the state in hexadecimal, equal for two books exactly when they will behave alike.

        Hashed is ASCII text, each line ended by a line feed: "book 1", the sequence number, then per order of
        `snapshot()` its side, price, seq, order id, owner and quantity with single spaces between.
        """
        lines = ["book 1", str(self._seq)]
        lines += [f"{o.side} {o.price} {o.seq} {o.order_id} {o.owner} {o.quantity}" for o in self._orders()]
        return sha256("".join(line + "\n" for line in lines).encode("ascii")).hexdigest()

    # The work

    def _advance(self, seq: int) -> None:
        assert seq > self._seq, "commands are applied once each, in the order of the market's sequence"
        self._seq = seq

    def _enter(self, order: NewOrder, seq: int) -> list[Event]:
        order_id, owner, side, price, left, time_in_force = order
        code = self._refusal(order)
        if code is not None:
            return [Rejected(order_id, code)]
        assert not self.is_crossed(), "a call phase ends with uncross, before continuous trading"
        own, opposite = (self._bids, self._asks) if side == "buy" else (self._asks, self._bids)
        worst_key = opposite.sign * price
        events: list[Event] = [Accepted(order_id)]
        while left and opposite.keys and opposite.keys[-1] >= worst_key:
            level = opposite.levels[opposite.keys[-1]]
            maker = level.oldest
            assert maker is not None, "an empty level is removed at once"
            if maker.owner == owner:
                events.append(Canceled(order_id, left, "self_trade"))
                return events
            quantity = left if left < maker.quantity else maker.quantity
            events.append(Traded(maker.order_id, order_id, level.price, quantity, side))
            left -= quantity
            self._fill(maker, quantity)
        if left and time_in_force == "ioc":
            events.append(Canceled(order_id, left, "ioc"))
        elif left:
            self._rest(own, order_id, owner, price, left, seq)
            events.append(Rested(order_id, left))
        return events

    def _cancel(self, command: Cancel) -> list[Event]:
        node = self._nodes.get(command.order_id)
        if node is None or node.owner != command.owner:  # one answer for both: nobody learns of others' orders
            return [CancelRejected(command.order_id, "unknown_order")]
        node.level.quantity -= node.quantity
        self._remove(node)
        return [Canceled(command.order_id, node.quantity, "requested")]

    def _refusal(self, order: NewOrder) -> RejectCode | None:
        assert order.side in ("buy", "sell") and order.time_in_force in ("gtc", "ioc")
        if order.order_id in self._nodes:  # before any matching: a used id must have no effect at all
            return "duplicate_order"
        if order.price <= 0:
            return "price_not_positive"
        if order.quantity <= 0:
            return "quantity_not_positive"
        return None

    def _refusal_in_call(self, order: NewOrder) -> RejectCode | None:
        if order.time_in_force == "ioc":
            return "time_in_force_not_in_call"
        opposite = self._asks if order.side == "buy" else self._bids
        worst_key = opposite.sign * order.price
        for key in reversed(opposite.keys):
            if key < worst_key:
                break
            if any(node.owner == order.owner for node in _queue(opposite.levels[key])):
                return "crosses_own_order"
        return None

    def _half(self, side: Side) -> _Half:
        return self._bids if side == "buy" else self._asks

    def _rest(self, half: _Half, order_id: int, owner: int, price: int, quantity: int, seq: int) -> None:
        key = half.sign * price
        level = half.levels.get(key)
        if level is None:
            level = half.levels[key] = _Level(half, key, price, 0, None, None)
            insort(half.keys, key)
        node = self._nodes[order_id] = _Node(order_id, owner, quantity, seq, level, level.newest, None)
        if level.newest is None:
            level.oldest = node
        else:
            level.newest.newer = node
        level.newest = node
        level.quantity += quantity

    def _fill(self, node: _Node, quantity: int) -> None:
        assert quantity <= node.quantity
        node.level.quantity -= quantity
        node.quantity -= quantity
        if node.quantity == 0:
            self._remove(node)

    def _remove(self, node: _Node) -> None:
        del self._nodes[node.order_id]
        level, older, newer = node.level, node.older, node.newer
        if older is None:
            level.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            level.newest = older
        else:
            newer.older = older
        if level.oldest is None:
            half = level.half
            del half.levels[level.key]
            del half.keys[bisect_left(half.keys, level.key)]

    def _orders(self) -> Iterator[RestingOrder]:
        for half in (self._bids, self._asks):
            for key in reversed(half.keys):
                level = half.levels[key]
                for node in _queue(level):
                    yield RestingOrder(node.order_id, node.owner, half.side, level.price, node.quantity, node.seq)


def _queue(level: _Level) -> Iterator[_Node]:
    node = level.oldest
    while node is not None:
        yield node
        node = node.newer


def _depth(half: _Half, levels: int) -> list[DepthLevel]:
    return [DepthLevel(half.sign * key, half.levels[key].quantity) for key in half.keys[: -levels - 1 : -1]]
