"""The order book: its events by example, its properties and its naive twin by random orders."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.engine import call_auction
from exchange.engine.book import (
    Accepted,
    Book,
    Cancel,
    Canceled,
    CancelRejected,
    Command,
    DepthLevel,
    Event,
    NewOrder,
    RejectCode,
    Rejected,
    Rested,
    RestingOrder,
    Snapshot,
    Traded,
)
from exchange.engine.call_auction import CallOrder, CallResult
from exchange.engine.words import Side, TimeInForce

ACME, BOREAL, CIRRUS = 1, 2, 3
Step = tuple[Literal["apply"], Command] | tuple[Literal["collect"], NewOrder] | tuple[Literal["uncross"], int | None]


class NaiveBook:
    """The obvious twin: one list of open orders, searched from end to end for every trade."""

    def __init__(self) -> None:
        self.open: list[RestingOrder] = []

    def apply(self, command: Command, seq: int) -> list[Event]:
        known = [o for o in self.open if o.order_id == command.order_id]
        if isinstance(command, Cancel):
            if not known or known[0].owner != command.owner:
                return [CancelRejected(command.order_id, "unknown_order")]
            self.open.remove(known[0])
            return [Canceled(command.order_id, known[0].quantity, "requested")]
        if known:
            return [Rejected(command.order_id, "duplicate_order")]
        order_id, owner, side, price, left, time_in_force = command
        events: list[Event] = [Accepted(order_id)]
        turn = 1 if side == "buy" else -1
        while left and (makers := [o for o in self.open if o.side != side and turn * (price - o.price) >= 0]):
            maker = min(makers, key=lambda o: (turn * o.price, o.seq))
            if maker.owner == owner:
                return [*events, Canceled(order_id, left, "self_trade")]
            quantity = min(left, maker.quantity)
            events.append(Traded(maker.order_id, order_id, maker.price, quantity, side))
            left -= quantity
            self._take(maker.order_id, quantity)
        if left and time_in_force == "ioc":
            events.append(Canceled(order_id, left, "ioc"))
        elif left:
            self.open.append(RestingOrder(order_id, owner, side, price, left, seq))
            events.append(Rested(order_id, left))
        return events

    def _take(self, order_id: int, quantity: int) -> None:
        taken = [o._replace(quantity=o.quantity - quantity) if o.order_id == order_id else o for o in self.open]
        self.open = [o for o in taken if o.quantity]


def new(
    order_id: int, owner: int, side: Side, price: int, quantity: int, time_in_force: TimeInForce = "gtc"
) -> NewOrder:
    return NewOrder(order_id, owner, side, price, quantity, time_in_force)


def book_of(*orders: NewOrder) -> Book:
    """Return a book in which these orders rest, entered one after the other without matching."""
    book = Book()
    for seq, order in enumerate(orders, start=1):
        assert book.collect(order, seq) == [Accepted(order.order_id), Rested(order.order_id, order.quantity)]
    return book


def play(book: Book, steps: Sequence[Step]) -> list[list[Event] | CallResult]:
    """Carry out the steps after whatever the book has seen so far, and return what each gave."""
    results: list[list[Event] | CallResult] = []
    for seq, step in enumerate(steps, start=book.seq + 1):
        if step[0] == "apply":
            results.append(book.apply(step[1], seq))
        elif step[0] == "collect":
            results.append(book.collect(step[1], seq))
        else:
            results.append(book.uncross(step[1], seq))
    return results


# By example. Bids of Boreal at 100 and asks of Cirrus at 102 rest; each row enters one order.

RESTING = (
    new(1, BOREAL, "buy", 100, 5),
    new(2, CIRRUS, "sell", 102, 4),
    new(3, CIRRUS, "sell", 103, 4),
    new(4, BOREAL, "sell", 102, 6),
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        pytest.param(new(9, ACME, "buy", 101, 3), [Accepted(9), Rested(9, 3)], id="between the sides it rests"),
        pytest.param(
            new(9, ACME, "buy", 105, 3),
            [Accepted(9), Traded(2, 9, 102, 3, "buy")],
            id="the resting price and the older order come first",
        ),
        pytest.param(
            new(9, ACME, "buy", 103, 13),
            [
                Accepted(9),
                Traded(2, 9, 102, 4, "buy"),
                Traded(4, 9, 102, 6, "buy"),
                Traded(3, 9, 103, 3, "buy"),
            ],
            id="a better price comes before an older order",
        ),
        pytest.param(
            new(9, ACME, "buy", 102, 12),
            [Accepted(9), Traded(2, 9, 102, 4, "buy"), Traded(4, 9, 102, 6, "buy"), Rested(9, 2)],
            id="a remainder rests",
        ),
        pytest.param(
            new(9, ACME, "buy", 102, 12, "ioc"),
            [Accepted(9), Traded(2, 9, 102, 4, "buy"), Traded(4, 9, 102, 6, "buy"), Canceled(9, 2, "ioc")],
            id="an IOC remainder is cancelled",
        ),
        pytest.param(
            new(9, ACME, "sell", 101, 2, "ioc"), [Accepted(9), Canceled(9, 2, "ioc")], id="an IOC that meets nothing"
        ),
        pytest.param(
            new(9, ACME, "sell", 99, 5), [Accepted(9), Traded(1, 9, 100, 5, "sell")], id="a sell takes the bid's price"
        ),
        pytest.param(new(1, ACME, "buy", 103, 1), [Rejected(1, "duplicate_order")], id="a used id does not even match"),
        pytest.param(new(9, ACME, "buy", 0, 1), [Rejected(9, "price_not_positive")], id="price zero"),
        pytest.param(new(9, ACME, "buy", -1, 1), [Rejected(9, "price_not_positive")], id="price below zero"),
        pytest.param(new(9, ACME, "buy", 100, 0), [Rejected(9, "quantity_not_positive")], id="quantity zero"),
        pytest.param(new(9, ACME, "buy", 100, -4), [Rejected(9, "quantity_not_positive")], id="quantity below zero"),
        pytest.param(Cancel(4, BOREAL), [Canceled(4, 6, "requested")], id="cancel"),
        pytest.param(Cancel(4, ACME), [CancelRejected(4, "unknown_order")], id="cancel of another's order"),
        pytest.param(Cancel(7, ACME), [CancelRejected(7, "unknown_order")], id="cancel of no order"),
    ],
)
def test_one_command_on_a_resting_book(command: Command, expected: list[Event]) -> None:
    book = book_of(*RESTING)

    assert book.apply(command, seq=5) == expected


@pytest.mark.parametrize(
    "command", [new(1, ACME, "sell", 90, 9), new(9, ACME, "buy", 0, 1), new(9, ACME, "buy", 1, 0), Cancel(4, ACME)]
)
def test_a_refused_command_moves_no_order(command: Command) -> None:
    book = book_of(*RESTING)
    before = book.snapshot()

    book.apply(command, seq=5)

    assert book.snapshot() == before._replace(seq=5)


def test_filled_and_cancelled_orders_are_unknown_to_a_later_cancel() -> None:
    book = book_of(new(1, BOREAL, "buy", 100, 5), new(2, BOREAL, "buy", 99, 5))
    book.apply(new(3, ACME, "sell", 100, 5), seq=3)
    book.apply(Cancel(2, BOREAL), seq=4)

    assert book.apply(Cancel(1, BOREAL), seq=5) == [CancelRejected(1, "unknown_order")]
    assert book.apply(Cancel(2, BOREAL), seq=6) == [CancelRejected(2, "unknown_order")]


# Self-trade prevention, mode cancel_newest. The first two are faults once found in other engines: a partly filled order
# that then met its owner's own order was left to rest, and own orders behind others stopped a trade too early.


@pytest.mark.parametrize(
    ("resting", "incoming", "expected"),
    [
        pytest.param(
            [new(1, BOREAL, "sell", 100, 2), new(2, ACME, "sell", 101, 5)],
            new(3, ACME, "buy", 101, 6),
            [Accepted(3), Traded(1, 3, 100, 2, "buy"), Canceled(3, 4, "self_trade")],
            id="a partial fill stands and the remainder is cancelled",
        ),
        pytest.param(
            [new(1, BOREAL, "sell", 100, 2), new(2, ACME, "sell", 100, 5)],
            new(3, ACME, "buy", 101, 2),
            [Accepted(3), Traded(1, 3, 100, 2, "buy")],
            id="an own order further back in line does not matter",
        ),
        pytest.param(
            [new(1, ACME, "sell", 100, 2), new(2, BOREAL, "sell", 100, 5)],
            new(3, ACME, "buy", 100, 2, "ioc"),
            [Accepted(3), Canceled(3, 2, "self_trade")],
            id="an own order first in line stops an IOC too",
        ),
        pytest.param(
            [new(1, ACME, "buy", 100, 2)],
            new(3, ACME, "sell", 100, 2),
            [Accepted(3), Canceled(3, 2, "self_trade")],
            id="a sell against the own bid",
        ),
        pytest.param(
            [new(1, ACME, "sell", 101, 2)],
            new(3, ACME, "buy", 100, 2),
            [Accepted(3), Rested(3, 2)],
            id="own orders that do not cross may both rest",
        ),
    ],
)
def test_an_owner_never_trades_with_itself(resting: list[NewOrder], incoming: NewOrder, expected: list[Event]) -> None:
    book = book_of(*resting)

    assert book.apply(incoming, seq=3) == expected
    assert not book.is_crossed()
    assert any(o.order_id == 3 for o in book.snapshot().orders) == isinstance(expected[-1], Rested)


# Call phase.


def test_a_call_collects_crossing_orders_and_uncross_leaves_the_rest_in_place() -> None:
    book = book_of(
        new(1, ACME, "buy", 202, 4),
        new(2, BOREAL, "buy", 201, 2),
        new(3, CIRRUS, "sell", 199, 3),
        new(4, 4, "sell", 198, 2),
    )
    assert book.is_crossed()

    result = book.uncross(reference=None, seq=5)

    assert (result.price, result.volume, result.surplus) == (201, 5, 1)
    assert result.trades == ((1, 4, 2), (1, 3, 2), (2, 3, 1))
    assert book.snapshot() == Snapshot(5, (RestingOrder(2, BOREAL, "buy", 201, 1, 2),))


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (new(9, ACME, "buy", 100, 1, "ioc"), "time_in_force_not_in_call"),
        (new(9, CIRRUS, "buy", 103, 1), "crosses_own_order"),
        (new(9, CIRRUS, "buy", 102, 1), "crosses_own_order"),
        (new(9, BOREAL, "sell", 100, 1), "crosses_own_order"),
        (new(1, ACME, "buy", 100, 1), "duplicate_order"),
        (new(9, ACME, "buy", 0, 1), "price_not_positive"),
        (new(9, ACME, "buy", 100, 0), "quantity_not_positive"),
    ],
)
def test_a_call_refuses(order: NewOrder, code: RejectCode) -> None:
    book = book_of(*RESTING)

    assert book.collect(order, seq=5) == [Rejected(order.order_id, code)]
    assert len(book.snapshot().orders) == len(RESTING)


def test_a_call_accepts_an_order_beside_an_own_order_that_it_does_not_cross() -> None:
    book = book_of(*RESTING)

    assert book.collect(new(9, CIRRUS, "buy", 101, 1), seq=5) == [Accepted(9), Rested(9, 1)]


# Reading.


def test_best_prices_and_depth_add_up_each_price() -> None:
    book = book_of(*RESTING)

    assert (book.best_bid, book.best_ask) == (100, 102)
    assert book.depth(levels=1) == ([DepthLevel(100, 5)], [DepthLevel(102, 10)])
    assert book.depth(levels=9) == ([DepthLevel(100, 5)], [DepthLevel(102, 10), DepthLevel(103, 4)])


def test_an_empty_book_has_no_best_price() -> None:
    book = Book()

    assert (book.best_bid, book.best_ask, book.depth(levels=3)) == (None, None, ([], []))


def test_the_digest_is_the_hash_of_the_documented_text() -> None:
    book = book_of(new(1, BOREAL, "buy", 100, 5), new(2, CIRRUS, "sell", 102, 4))

    # printf 'book 1\n2\nbuy 100 1 1 2 5\nsell 102 2 2 3 4\n' | sha256sum
    assert book.digest() == "6ae909199d2a6360d7326645707617c51f28e0b8982926ba2e017ac18e2e7e4c"


@pytest.mark.parametrize("seq", [0, 4])
def test_a_sequence_number_that_does_not_rise_is_our_own_mistake(seq: int) -> None:
    book = book_of(*RESTING)

    with pytest.raises(AssertionError, match="once each"):
        book.apply(Cancel(1, BOREAL), seq)


def test_continuous_matching_on_a_crossed_book_is_our_own_mistake() -> None:
    book = book_of(new(1, ACME, "buy", 102, 1), new(2, BOREAL, "sell", 100, 1))

    with pytest.raises(AssertionError, match="uncross"):
        book.apply(new(3, CIRRUS, "buy", 99, 1), seq=3)


# Random orders: few prices, owners and ids, so that ties, self-crosses and re-used ids are common.

sides = st.sampled_from(["buy", "sell"])
times_in_force = st.sampled_from(["gtc", "gtc", "gtc", "ioc"])
owners = st.integers(1, 4)
prices = st.integers(1, 8)
quantities = st.integers(1, 9)
cancels = st.builds(Cancel, st.integers(1, 25), owners)
commands = st.one_of(
    st.builds(NewOrder, st.integers(1, 25), owners, sides, prices, quantities, times_in_force), cancels
)


@st.composite
def sessions(draw: st.DrawFn) -> list[Step]:
    """Continuous trading and calls in turn; every order has an id of its own, cancels guess at one."""
    ids = iter(range(1, 1000))
    orders = st.builds(lambda *rest: NewOrder(next(ids), *rest), owners, sides, prices, quantities, times_in_force)
    steps: list[Step] = []
    for _ in range(draw(st.integers(1, 3))):
        steps += [("apply", command) for command in draw(st.lists(orders | cancels, max_size=20))]
        for command in draw(st.lists(orders | cancels, max_size=12)):
            steps.append(("collect", command) if isinstance(command, NewOrder) else ("apply", command))
        steps.append(("uncross", draw(st.none() | prices)))
    return steps


@given(st.lists(commands, max_size=60))
@example([new(1, 1, "buy", 5, 5), new(2, 2, "sell", 5, 3), new(3, 2, "sell", 4, 3), Cancel(3, 2)])
def test_the_book_does_what_its_naive_twin_does(stream: list[Command]) -> None:
    book, twin = Book(), NaiveBook()

    for seq, command in enumerate(stream, start=1):
        assert book.apply(command, seq) == twin.apply(command, seq)

    assert sorted(book.snapshot().orders) == sorted(twin.open)


@given(sessions())
def test_every_lot_is_filled_open_or_canceled(steps: list[Step]) -> None:
    book = Book()
    accepted: dict[int, int] = {}
    ended: Counter[int] = Counter()

    for step, result in zip(steps, play(book, steps), strict=True):
        if isinstance(result, CallResult):
            for trade in result.trades:
                ended.update({trade.buy_order_id: trade.quantity, trade.sell_order_id: trade.quantity})
            continue
        for event in result:
            if isinstance(event, Accepted):
                assert isinstance(step[1], NewOrder)
                accepted[event.order_id] = step[1].quantity
            elif isinstance(event, Traded):
                ended.update({event.maker_order_id: event.quantity, event.taker_order_id: event.quantity})
            elif isinstance(event, Canceled):
                ended[event.order_id] += event.quantity
    left = Counter({order.order_id: order.quantity for order in book.snapshot().orders})

    assert {order_id: ended[order_id] + left[order_id] for order_id in ended.keys() | left.keys()} == accepted


@given(sessions())
def test_no_trade_is_unfair(steps: list[Step]) -> None:
    """No trade outside a limit or with oneself, and nobody is passed over for a worse or younger order."""
    book = Book()

    for step in steps:
        before = book.snapshot().orders
        (result,) = play(book, [step])
        traded = {e.maker_order_id: e for e in result if isinstance(e, Traded)} if isinstance(result, list) else {}
        stayed = {order.order_id for order in book.snapshot().orders}
        for maker in before:
            if maker.order_id not in traded:
                continue
            trade, taker = traded[maker.order_id], step[1]
            assert isinstance(taker, NewOrder)
            assert (trade.taker_order_id, trade.taker_side) == (taker.order_id, taker.side)
            assert trade.price == maker.price
            assert trade.price <= taker.price if taker.side == "buy" else trade.price >= taker.price
            assert maker.side != taker.side
            assert maker.owner != taker.owner
            assert not [o for o in before if _goes_before(o, maker) and o.order_id in stayed]


def _goes_before(order: RestingOrder, other: RestingOrder) -> bool:
    if order.side != other.side or order.price == other.price:
        return order.side == other.side and order.seq < other.seq
    return order.price > other.price if order.side == "buy" else order.price < other.price


@given(sessions())
def test_only_a_call_leaves_the_book_crossed(steps: list[Step]) -> None:
    book = Book()
    in_call = False

    for step in steps:
        play(book, [step])
        in_call = step[0] == "collect" or (in_call and step[0] == "apply")
        assert in_call or not book.is_crossed()


@given(sessions())
def test_a_replay_gives_the_same_events_and_digest(steps: list[Step]) -> None:
    first, second = Book(), Book()

    assert play(first, steps) == play(second, steps)
    assert first.digest() == second.digest()


@given(sessions(), st.data())
def test_a_restored_book_goes_on_as_the_straight_run(steps: list[Step], data: st.DataObject) -> None:
    straight = Book()
    cut = data.draw(st.integers(0, len(steps)))
    play(straight, steps[:cut])
    snapshot = straight.snapshot()

    restored = Book.restore(snapshot._replace(orders=data.draw(st.permutations(snapshot.orders))))

    assert restored.digest() == straight.digest()
    assert play(restored, steps[cut:]) == play(straight, steps[cut:])
    assert restored.snapshot() == straight.snapshot()


@given(sessions())
def test_depth_and_best_prices_follow_from_the_open_orders(steps: list[Step]) -> None:
    book = Book()

    play(book, steps)

    for side, levels in zip(("buy", "sell"), book.depth(levels=100), strict=True):
        lots: Counter[int] = Counter()
        for order in book.snapshot().orders:
            if order.side == side:
                lots[order.price] += order.quantity
        assert levels == sorted(lots.items(), reverse=side == "buy")
    assert book.best_bid == max((o.price for o in book.snapshot().orders if o.side == "buy"), default=None)
    assert book.best_ask == min((o.price for o in book.snapshot().orders if o.side == "sell"), default=None)


@given(sessions())
def test_a_call_in_the_book_is_the_call_auction_of_its_open_orders(steps: list[Step]) -> None:
    book = Book()

    for step in steps:
        before = book.snapshot().orders
        (result,) = play(book, [step])
        if isinstance(result, CallResult):
            orders = [CallOrder(o.order_id, o.side, o.price, o.quantity, o.seq) for o in before]
            assert step[0] == "uncross"
            assert result == call_auction.uncross(orders, step[1])
