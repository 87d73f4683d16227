"""A market's session: commands in the order of its sequence, whatever the phase, and everything that each one changes.

The book knows who trades with whom; the session keeps what the rows of orders, trades and positions must say after it.
The worker that runs a market and the auditor who replays its commands use the same session. Prices are in ticks,
quantities in lots, values in ticks times lots. An owner is the position that an order was entered for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from exchange.engine.book import Book, Cancel, Canceled, NewOrder, Rejected, RestingOrder, Snapshot, Traded
from exchange.engine.words import Side, TimeInForce

Kind = Literal["new", "cancel", "uncross", "expire"]
Taker = Literal["buy", "sell", "call"]


class Command(NamedTuple):
    """One command as it was entered. `order` says which order it is about, if any; the last four are of new orders."""

    command_id: int
    kind: Kind
    phase: str
    order_id: int | None = None
    owner: int | None = None
    side: Side | None = None
    price: int = 0
    quantity: int = 0
    time_in_force: TimeInForce | None = None


class Trade(NamedTuple):
    """One trade: the command that made it by its sequence, and its place among the trades of that command."""

    sequence: int
    ordinal: int
    price: int
    lots: int
    buy_order: int
    sell_order: int
    buyer: int
    seller: int
    taker: Taker


@dataclass(slots=True, eq=False)
class OrderState:
    """What has become of one order so far."""

    order_id: int
    owner: int
    side: Side
    price: int
    quantity: int
    filled: int = 0
    canceled: int = 0
    ended: str = ""
    reason: str = ""
    sequence: int = 0

    @property
    def open(self) -> int:
        """Lots that may still trade."""
        return self.quantity - self.filled - self.canceled

    @property
    def status(self) -> str:
        """The FIX status."""
        if self.ended:
            return self.ended
        if self.filled == self.quantity:
            return "filled"
        return "partially_filled" if self.filled else "new"


@dataclass(slots=True, eq=False)
class PositionChange:
    """What a pass adds to one position."""

    open_asks: int = 0
    open_bids: int = 0
    bought: int = 0
    bought_value: int = 0
    sold: int = 0
    sold_value: int = 0


@dataclass(slots=True, eq=False)
class Changes:
    """Everything that the commands of one pass change, gathered so that each row is written once."""

    orders: dict[int, OrderState] = field(default_factory=dict)
    positions: dict[int, PositionChange] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    outcomes: list[tuple[int, int, str]] = field(default_factory=list)
    """Command, its sequence, its outcome."""

    def position(self, owner: int) -> PositionChange:
        """The change of one position, none yet at first."""
        change = self.positions.get(owner)
        if change is None:
            change = self.positions[owner] = PositionChange()
        return change


class Session:
    """One market as its sequence has made it: the book, the orders open in it, and the price of the last trade."""

    __slots__ = ("_book", "_open", "last_price")

    def __init__(self, sequence: int = 0, last_price: int | None = None, resting: Iterable[OrderState] = ()) -> None:
        self._open = {order.order_id: order for order in resting}
        self._book = Book.restore(
            Snapshot(
                sequence,
                [RestingOrder(o.order_id, o.owner, o.side, o.price, o.open, o.sequence) for o in self._open.values()],
            )
        )
        self.last_price = last_price

    @property
    def sequence(self) -> int:
        """The sequence number of the last command done."""
        return self._book.seq

    @property
    def book(self) -> Book:
        """The book, to look at."""
        return self._book

    def run(self, command: Command, changes: Changes) -> None:
        """Do one command at the next place in the sequence and add what it changes."""
        sequence = self._book.seq + 1
        if command.kind == "new":
            outcome = self._enter(command, sequence, changes)
        elif command.kind == "cancel":
            outcome = self._cancel(command, sequence, changes)
        elif command.kind == "uncross":
            outcome = self._uncross(sequence, changes)
        else:
            assert command.kind == "expire"
            outcome = self._expire(sequence, changes)
        changes.outcomes.append((command.command_id, sequence, outcome))

    def _enter(self, command: Command, sequence: int, changes: Changes) -> str:
        _, _, phase, order_id, owner, side, price, quantity, time_in_force = command
        assert order_id is not None and owner is not None and side is not None and time_in_force is not None
        order = OrderState(order_id, owner, side, price, quantity, sequence=sequence)
        new = NewOrder(order_id, owner, side, price, quantity, time_in_force)
        if phase == "call":
            events = self._book.collect(new, sequence)
        else:
            assert phase == "continuous", "no order is accepted in any other phase"
            events = self._book.apply(new, sequence)
        changes.orders[order_id] = self._open[order_id] = order
        ordinal = 0
        for event in events:
            if isinstance(event, Traded):
                maker = self._open[event.maker_order_id]
                buy, sell = (order, maker) if side == "buy" else (maker, order)
                self._trade(sequence, ordinal, event.price, event.quantity, buy, sell, side, changes)
                ordinal += 1
            elif isinstance(event, Canceled):
                self._end(order, "canceled", event.reason, changes)
            elif isinstance(event, Rejected):
                self._end(order, "rejected", event.code, changes)
        return order.status

    def _cancel(self, command: Command, sequence: int, changes: Changes) -> str:
        assert command.order_id is not None and command.owner is not None
        (event,) = self._book.apply(Cancel(command.order_id, command.owner), sequence)
        if not isinstance(event, Canceled):
            return "unknown_order"  # it is over, by a trade or otherwise, or was never entered
        self._end(self._open[command.order_id], "canceled", event.reason, changes)
        return "canceled"

    def _uncross(self, sequence: int, changes: Changes) -> str:
        result = self._book.uncross(self.last_price, sequence)
        for ordinal, (buy_id, sell_id, quantity) in enumerate(result.trades):
            assert result.price is not None
            buy, sell = self._open[buy_id], self._open[sell_id]
            self._trade(sequence, ordinal, result.price, quantity, buy, sell, "call", changes)
        return "no_price" if result.price is None else "uncrossed"

    def _expire(self, sequence: int, changes: Changes) -> str:
        for order in list(self._open.values()):
            self._end(order, "expired", "expired", changes)
        self._book = Book.restore(Snapshot(sequence, ()))
        return "expired"

    def _trade(
        self,
        sequence: int,
        ordinal: int,
        price: int,
        lots: int,
        buy: OrderState,
        sell: OrderState,
        taker: Taker,
        changes: Changes,
    ) -> None:
        changes.trades.append(
            Trade(sequence, ordinal, price, lots, buy.order_id, sell.order_id, buy.owner, sell.owner, taker)
        )
        self.last_price = price
        value = price * lots
        buyer, seller = changes.position(buy.owner), changes.position(sell.owner)
        buyer.open_bids -= buy.price * lots  # at its limit, as it was held
        buyer.bought += lots
        buyer.bought_value += value
        seller.open_asks -= lots
        seller.sold += lots
        seller.sold_value += value
        for order in (buy, sell):
            order.filled += lots
            changes.orders[order.order_id] = order
            if order.filled == order.quantity:
                del self._open[order.order_id]

    def _end(self, order: OrderState, status: str, reason: str, changes: Changes) -> None:
        position = changes.position(order.owner)
        if order.side == "buy":
            position.open_bids -= order.price * order.open
        else:
            position.open_asks -= order.open
        order.canceled += order.open
        order.ended, order.reason = status, reason
        changes.orders[order.order_id] = order
        del self._open[order.order_id]
