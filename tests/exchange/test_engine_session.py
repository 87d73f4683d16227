"""A session: the same whether it runs through or is thrown away and rebuilt from rows between any two commands."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from exchange.engine.session import Changes, Command, OrderState, Session

OWNERS = st.integers(1, 4)
NEW = st.builds(
    Command,
    command_id=st.just(0),
    kind=st.just("new"),
    phase=st.just("continuous"),
    order_id=st.just(0),
    owner=OWNERS,
    side=st.sampled_from(["buy", "sell"]),
    price=st.integers(1, 6),
    quantity=st.integers(1, 5),
    time_in_force=st.sampled_from(["gtc", "gtc", "ioc"]),
)
CANCEL = st.builds(
    Command,
    command_id=st.just(0),
    kind=st.just("cancel"),
    phase=st.just("continuous"),
    order_id=st.integers(1, 30),
    owner=OWNERS,
)
UNCROSS = st.just(Command(0, "uncross", "continuous"))
EXPIRE = st.just(Command(0, "expire", "continuous"))


def numbered(commands: Sequence[Command]) -> list[Command]:
    """Give each command its id, and each new order its own."""
    return [
        command._replace(command_id=number, order_id=number if command.kind == "new" else command.order_id)
        for number, command in enumerate(commands, start=1)
    ]


streams = st.lists(st.one_of(NEW, NEW, NEW, CANCEL, UNCROSS, EXPIRE), max_size=30).map(numbered)


def parts(order: OrderState) -> tuple[object, ...]:
    return (order.order_id, order.status, order.filled, order.canceled, order.reason, order.sequence)


@given(streams)
def test_rebuilding_from_rows_between_commands_changes_nothing(commands: list[Command]) -> None:
    through, all_changes = Session(), Changes()
    for command in commands:
        through.run(command, all_changes)

    rows: dict[int, OrderState] = {}
    trades, sequence, last_price = [], 0, None
    for command in commands:
        resting = [order for order in rows.values() if order.status in {"new", "partially_filled"}]
        rebuilt, changes = Session(sequence, last_price, resting), Changes()
        rebuilt.run(command, changes)
        rows |= changes.orders
        trades += changes.trades
        sequence, last_price = rebuilt.sequence, rebuilt.last_price

    assert trades == all_changes.trades
    assert sorted(map(parts, rows.values())) == sorted(map(parts, all_changes.orders.values()))


@given(streams)
def test_what_positions_gain_follows_from_orders_and_trades(commands: list[Command]) -> None:
    session, changes = Session(), Changes()
    for command in commands:
        session.run(command, changes)

    for owner, change in changes.positions.items():
        bought = [trade for trade in changes.trades if trade.buyer == owner]
        sold = [trade for trade in changes.trades if trade.seller == owner]
        asks = [order for order in changes.orders.values() if order.owner == owner and order.side == "sell"]
        bids = [order for order in changes.orders.values() if order.owner == owner and order.side == "buy"]
        assert change.bought == sum(trade.lots for trade in bought)
        assert change.bought_value == sum(trade.lots * trade.price for trade in bought)
        assert change.sold == sum(trade.lots for trade in sold)
        assert change.sold_value == sum(trade.lots * trade.price for trade in sold)
        assert change.open_asks == sum(order.open - order.quantity for order in asks)
        assert change.open_bids == sum((order.open - order.quantity) * order.price for order in bids)


@given(streams)
def test_each_command_has_an_outcome_at_its_own_place(commands: list[Command]) -> None:
    session, changes = Session(), Changes()
    for command in commands:
        session.run(command, changes)

    assert [(number, sequence) for number, sequence, _ in changes.outcomes] == [
        (command.command_id, place) for place, command in enumerate(commands, start=1)
    ]
    assert not session.book.is_crossed()


def test_expiring_ends_everything_that_rests() -> None:
    session, changes = Session(), Changes()
    session.run(Command(1, "new", "continuous", 1, 7, "sell", 5, 3, "gtc"), changes)
    session.run(Command(2, "expire", "closed"), changes)

    assert parts(changes.orders[1]) == (1, "expired", 0, 3, "expired", 1)
    assert changes.positions[7].open_asks == -3
    assert session.book.depth(1).asks == []
