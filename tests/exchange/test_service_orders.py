"""Placing and cancelling: who may, what is held, what is refused with a trace and what without."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from uuid import uuid4

import pytest

from accounts.services import organisations
from common.errors import Forbidden, Refused, Unknown
from exchange.models import Command, Market, Order
from exchange.sentences import SENTENCES
from exchange.services import closing, markets, orders
from exchange.services.orders import OrderInput
from registry.ledger.models import Balance, Hold
from registry.ledger.services import freeze_account
from registry.models import DebtEntry
from tests.cast import ACME_PERMITS, BOREALIS_PERMITS, CASH_MINOR, OPENING, Clock, Party, Regulator, party
from tests.exchange.trading import Place, cancel, drain, held, state

LOT_TICK = 5 * 10
ACME_LOTS = ACME_PERMITS // 10


def test_an_order_is_a_row_with_its_cover_held_before_anyone_matches_it(
    market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    ask = place(acme, "sell", 12, at=500)
    bid = place(borealis, "buy", 7, at=400)

    assert (ask.status, bid.status) == ("pending_new", "pending_new")
    assert held(market, acme) == (120, 0)
    assert held(market, borealis) == (0, 7 * 400 * LOT_TICK)
    assert list(Command.objects.values_list("kind", "order", "phase", "sequence")) == [
        ("new", ask.pk, "continuous", None),
        ("new", bid.pk, "continuous", None),
    ]


def test_orders_trade_at_the_price_of_the_one_that_rested(
    market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    ask = place(acme, "sell", 12, at=500)
    bid = place(borealis, "buy", 7, at=505)

    result = drain(market)

    assert (result.commands, result.trades) == (2, 1)
    assert state(ask) == ("partially_filled", 7, 0)
    assert state(bid) == ("filled", 7, 0)
    assert (market.last_price, market.sequence) == (500, 2)
    assert held(market, acme) == (120, 0)
    assert held(market, borealis) == (0, 7 * 500 * LOT_TICK)


# Rejected, with a row that says why -----------------------------------------------------------------------------------


def suspend(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    organisations.change_status(
        actor=regulator.senior, organisation=acme.organisation, status="suspended", reason="Unpaid.", now=OPENING
    )


def halt(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    change_phase(regulator, market, "halted")


def shut(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    change_phase(regulator, market, "closed")


def call(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    change_phase(regulator, market, "call")


def freeze(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    freeze_account(account_id=acme.account.pk)


def close_the_period(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    clock.move_to(market.period.surrender_due)
    closing.close_period(actor=regulator.senior, period=market.period, now=clock.now())
    Market.objects.filter(pk=market.pk).update(phase="continuous")  # as if somebody had forgotten to shut it


def trade_at_500(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    Market.objects.filter(pk=market.pk).update(last_price=500)


def nothing(regulator: Regulator, acme: Party, market: Market, clock: Clock) -> None:
    pass


@pytest.mark.parametrize(
    ("before", "side", "price", "lots", "time_in_force", "reason"),
    [
        (suspend, "sell", 500, 1, "gtc", "standing_suspended"),
        (halt, "sell", 500, 1, "gtc", "market_halted"),
        (shut, "sell", 500, 1, "gtc", "market_closed"),
        (close_the_period, "sell", 500, 1, "gtc", "period_not_open"),
        (call, "sell", 500, 1, "ioc", "time_in_force_not_in_call"),
        (nothing, "sell", 500, 1_001, "gtc", "quantity_too_large"),
        (nothing, "buy", 10**15, 1, "gtc", "price_too_high"),
        (nothing, "buy", 10**11, 1_000, "gtc", "value_too_large"),
        (trade_at_500, "sell", 399, 1, "gtc", "price_outside_collar"),
        (trade_at_500, "buy", 601, 1, "gtc", "price_outside_collar"),
        (nothing, "sell", 500, ACME_LOTS + 1, "gtc", "insufficient_available"),
        (nothing, "buy", CASH_MINOR // LOT_TICK // 4 + 1, 4, "gtc", "insufficient_available"),
        (freeze, "sell", 500, 1, "gtc", "account_frozen"),
    ],
)
def test_an_order_that_the_rules_turn_down_is_a_rejected_row_with_its_reason(
    before: Callable[[Regulator, Party, Market, Clock], None],
    side: str,
    price: int,
    lots: int,
    time_in_force: str,
    reason: str,
    regulator: Regulator,
    market: Market,
    place: Place,
    acme: Party,
    clock: Clock,
) -> None:
    before(regulator, acme, market, clock)

    order = place(acme, side, lots, at=price, time_in_force=time_in_force)

    assert (order.status, order.reason) == ("rejected", reason)
    assert reason in SENTENCES
    assert state(order) == ("rejected", 0, lots)
    assert not Command.objects.filter(order=order).exists()
    assert not Hold.objects.filter(purpose="orders", quantity__gt=0).exists()


@pytest.mark.parametrize(("side", "price"), [("sell", 400), ("buy", 600)])
def test_a_limit_at_the_edge_of_the_collar_enters(
    side: str, price: int, market: Market, place: Place, acme: Party
) -> None:
    Market.objects.filter(pk=market.pk).update(last_price=500)

    assert place(acme, side, 1, at=price).status == "pending_new"


def test_exactly_everything_may_be_offered(market: Market, place: Place, acme: Party) -> None:
    assert place(acme, "sell", ACME_LOTS, at=500).status == "pending_new"
    assert place(acme, "sell", 1, at=500).reason == "insufficient_available"


def test_an_organisation_outside_the_scheme_is_turned_down(market: Market, regulator: Regulator, place: Place) -> None:
    outsider = party(regulator, "Outsider", "firm")

    order = place(outsider, "buy", 1, at=500)

    assert (order.status, order.reason, order.position) == ("rejected", "not_admitted", None)


# Refused, without a trace ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"side": "short"}, "side_unknown"),
        ({"time_in_force": "fok"}, "time_in_force_unknown"),
        ({"price": 0}, "quantity_out_of_range"),
        ({"price": -5}, "quantity_out_of_range"),
        ({"quantity": 0}, "quantity_out_of_range"),
        ({"quantity": 10**15 + 1}, "quantity_out_of_range"),
        ({"quantity": 1.5}, "quantity_not_whole"),
        ({"price": True}, "quantity_not_whole"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(
    terms: dict[str, object], code: str, market: Market, acme: Party
) -> None:
    order = {"side": "sell", "price": 500, "quantity": 1, "time_in_force": "gtc", "key": uuid4()} | terms

    with pytest.raises(Refused) as refusal:
        orders.place_order(actor=acme.trader, organisation=acme.organisation, market=market, now=OPENING, **order)  # type: ignore[arg-type]

    assert refusal.value.code == code
    assert not Order.objects.exists()


@pytest.mark.parametrize("role", ["viewer", "initiator", "approver"])
def test_only_a_trader_places_and_cancels(role: str, market: Market, place: Place, acme: Party) -> None:
    resting = place(acme, "sell", 1, at=500)
    bystander = acme.users[role]

    with pytest.raises(Forbidden):
        orders.place_order(
            actor=bystander,
            organisation=acme.organisation,
            market=market,
            side="sell",
            price=500,
            quantity=1,
            time_in_force="gtc",
            key=uuid4(),
            now=OPENING,
        )
    with pytest.raises(Forbidden):
        orders.cancel_order(
            actor=bystander, order_id=resting.pk, organisation=acme.organisation, key=uuid4(), now=OPENING
        )


def test_a_trader_of_one_firm_does_not_trade_for_another(market: Market, acme: Party, borealis: Party) -> None:
    with pytest.raises(Forbidden):
        orders.place_order(
            actor=acme.trader,
            organisation=borealis.organisation,
            market=market,
            side="sell",
            price=500,
            quantity=1,
            time_in_force="gtc",
            key=uuid4(),
            now=OPENING,
        )


def test_a_batch_has_a_size(market: Market, acme: Party) -> None:
    for batch in ([], [OrderInput("sell", 500, 1, "gtc", uuid4())] * (orders.MAX_BATCH + 1)):
        with pytest.raises(Refused) as refusal:
            place_batch(acme, market, *batch)
        assert refusal.value.code == "batch_size"


# Keys -----------------------------------------------------------------------------------------------------------------


def test_the_same_key_is_the_same_order(market: Market, place: Place, acme: Party) -> None:
    key = uuid4()
    first = place(acme, "sell", 3, at=500, key=key)

    again = place(acme, "sell", 3, at=500, key=key)

    assert again.pk == first.pk
    assert Command.objects.count() == 1
    assert held(market, acme) == (30, 0)


def test_a_repeated_order_is_returned_as_it_is_now_whatever_has_happened_since(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    key = uuid4()
    place(acme, "sell", 3, at=500, key=key)
    place(borealis, "buy", 3, at=500)
    drain(market)
    change_phase(regulator, market, "halted")

    again = place(acme, "sell", 3, at=500, key=key)

    assert (again.status, again.filled) == ("filled", 3)


@pytest.mark.parametrize(("side", "lots", "price"), [("buy", 3, 500), ("sell", 4, 500), ("sell", 3, 501)])
def test_a_key_used_for_another_order_is_refused(
    side: str, lots: int, price: int, market: Market, place: Place, acme: Party
) -> None:
    key = uuid4()
    place(acme, "sell", 3, at=500, key=key)

    with pytest.raises(Refused) as refusal:
        place(acme, side, lots, at=price, key=key)

    assert refusal.value.code == "key_reused"
    assert held(market, acme) == (30, 0)


def test_two_organisations_may_use_the_same_key(market: Market, place: Place, acme: Party, borealis: Party) -> None:
    key = uuid4()

    assert place(acme, "sell", 3, at=500, key=key).pk != place(borealis, "sell", 3, at=500, key=key).pk


# Batches --------------------------------------------------------------------------------------------------------------


def place_batch(party: Party, market: Market, *batch: OrderInput) -> list[Order]:
    return orders.place_orders(
        actor=party.trader, organisation=party.organisation, market=market, orders=batch, now=OPENING
    )


def ask(lots: int, price: int = 500) -> OrderInput:
    return OrderInput("sell", price, lots, "gtc", uuid4())


def bid(lots: int, price: int = 500) -> OrderInput:
    return OrderInput("buy", price, lots, "gtc", uuid4())


def test_a_rejected_order_does_not_undo_the_rest_of_its_batch(market: Market, acme: Party) -> None:
    placed = place_batch(acme, market, ask(ACME_LOTS - 10), ask(11), ask(1_001), bid(5), ask(10), ask(1))

    assert [order.reason for order in placed] == [
        "",
        "insufficient_available",
        "quantity_too_large",
        "",
        "",
        "insufficient_available",
    ]
    assert held(market, acme) == (ACME_PERMITS, 5 * 500 * LOT_TICK)
    assert list(Command.objects.order_by("pk").values_list("order", flat=True)) == [placed[n].pk for n in (0, 3, 4)]


def test_a_batch_with_a_key_twice_gives_the_same_order_twice(market: Market, acme: Party) -> None:
    twin, other = ask(2), ask(3)

    placed = place_batch(acme, market, twin, other, twin)

    assert (placed[0].pk, Order.objects.count()) == (placed[2].pk, 2)
    assert held(market, acme) == (50, 0)


def test_a_batch_with_a_key_for_two_orders_is_refused_whole(market: Market, acme: Party) -> None:
    first = ask(2)

    with pytest.raises(Refused) as refusal:
        place_batch(acme, market, first, OrderInput("sell", 500, 9, "gtc", first.key))

    assert refusal.value.code == "key_reused"
    assert not Order.objects.exists()


def test_a_batch_that_is_partly_known_places_the_rest(market: Market, acme: Party) -> None:
    known, fresh = ask(2), ask(3)
    (first,) = place_batch(acme, market, known)

    placed = place_batch(acme, market, fresh, known)

    assert placed[1].pk == first.pk
    assert held(market, acme) == (50, 0)


def test_a_batch_takes_the_same_statements_whatever_its_size(
    market: Market, acme: Party, django_assert_num_queries: Callable[[int], AbstractContextManager[object]]
) -> None:
    place_batch(acme, market, ask(1))

    for size in (1, 50):
        with django_assert_num_queries(6):  # savepoint, entrance, position, hold, rows, savepoint
            place_batch(acme, market, *(ask(1) for _ in range(size)))


# Cover ----------------------------------------------------------------------------------------------------------------


def test_a_purchase_not_yet_settled_covers_selling_it_on(
    market: Market, place: Place, acme: Party, cobalt: Party, borealis: Party
) -> None:
    place(acme, "sell", 5, at=500)
    place(borealis, "buy", 5, at=500)
    drain(market)

    onward = place(borealis, "sell", 5 + BOREALIS_PERMITS // 10, at=510)
    too_much = place(borealis, "sell", 1, at=510)

    assert (onward.status, too_much.reason) == ("pending_new", "insufficient_available")
    assert held(market, borealis) == (BOREALIS_PERMITS, 5 * 500 * LOT_TICK)


def test_a_better_price_than_the_limit_frees_the_difference(
    market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 5, at=500)
    place(borealis, "buy", 5, at=590)
    assert held(market, borealis) == (0, 5 * 590 * LOT_TICK)

    drain(market)

    assert held(market, borealis) == (0, 5 * 500 * LOT_TICK)


def test_what_is_held_for_orders_cannot_be_spent_elsewhere(market: Market, place: Place, acme: Party) -> None:
    place(acme, "sell", ACME_LOTS, at=500)

    balance = Balance.objects.get(account=acme.account, asset=market.period.permit)

    assert (balance.balance, balance.available) == (ACME_PERMITS, 0)


# Cancelling -----------------------------------------------------------------------------------------------------------


def test_a_cancel_takes_its_turn_and_frees_what_was_held(market: Market, place: Place, acme: Party) -> None:
    order = place(acme, "sell", 5, at=500)
    command = cancel(acme, order)

    drain(market)

    command.refresh_from_db()
    assert (command.outcome, command.sequence) == ("canceled", 2)
    assert state(order) == ("canceled", 0, 5)
    assert order.reason == "requested"
    assert held(market, acme) == (0, 0)


def test_a_cancel_behind_the_trade_comes_too_late(market: Market, place: Place, acme: Party, borealis: Party) -> None:
    order = place(acme, "sell", 5, at=500)
    place(borealis, "buy", 5, at=500)
    command = cancel(acme, order)

    drain(market)

    command.refresh_from_db()
    assert command.outcome == "unknown_order"
    assert state(order) == ("filled", 5, 0)


def test_a_finished_order_cannot_be_cancelled(market: Market, place: Place, acme: Party) -> None:
    order = place(acme, "buy", 5, at=500, time_in_force="ioc")
    drain(market)

    with pytest.raises(Refused) as refusal:
        cancel(acme, order)

    assert refusal.value.code == "order_finished"


def test_a_repeated_cancel_is_the_same_command(market: Market, place: Place, acme: Party) -> None:
    order, other, key = place(acme, "sell", 5, at=500), place(acme, "sell", 5, at=500), uuid4()

    def cancel_with_key(which: Order) -> Command:
        return orders.cancel_order(
            actor=acme.trader, order_id=which.public_id, organisation=acme.organisation, key=key, now=OPENING
        )

    first = cancel_with_key(order)
    drain(market)
    again = cancel_with_key(order)

    assert again.pk == first.pk
    with pytest.raises(Refused) as refusal:
        cancel_with_key(other)
    assert refusal.value.code == "key_reused"


def test_another_firms_order_looks_unknown(market: Market, place: Place, acme: Party, borealis: Party) -> None:
    order = place(acme, "sell", 5, at=500)

    for name in (order.pk, order.public_id, uuid4(), 10**9):
        with pytest.raises(Unknown) as refusal:
            orders.cancel_order(
                actor=borealis.trader, order_id=name, organisation=borealis.organisation, key=uuid4(), now=OPENING
            )
        assert refusal.value.code == "order_unknown"
    assert not Command.objects.filter(kind="cancel").exists()


@pytest.mark.parametrize("phase", ["call", "halted", "closed"])
def test_cancels_are_allowed_in_every_phase(
    phase: str, regulator: Regulator, market: Market, place: Place, acme: Party
) -> None:
    order = place(acme, "sell", 5, at=500)
    drain(market)
    change_phase(regulator, market, phase)

    cancel(acme, order)
    drain(market)

    assert state(order) == ("canceled", 0, 5)


def test_a_suspended_firm_may_still_cancel(
    regulator: Regulator, market: Market, place: Place, acme: Party, clock: Clock
) -> None:
    order = place(acme, "sell", 5, at=500)
    suspend(regulator, acme, market, clock)

    cancel(acme, order)
    drain(market)

    assert state(order) == ("canceled", 0, 5)


def change_phase(regulator: Regulator, market: Market, phase: str) -> None:
    markets.change_phase(actor=regulator.monitor, market=market, phase=phase, reason="A test.", now=OPENING)


def test_a_debt_in_permits_leaves_only_what_is_free_beside_it_for_sale(
    market: Market, place: Place, acme: Party
) -> None:
    assert acme.operator is not None
    DebtEntry.objects.create(
        operator=acme.operator, period=market.period, kind="true_up", quantity=3_900, reference="too much", at=OPENING
    )

    too_many, enough, none_left, bid = (
        place(acme, side, lots, at=500) for side, lots in (("sell", 11), ("sell", 10), ("sell", 1), ("buy", 5))
    )

    assert [order.status for order in (too_many, enough, none_left, bid)] == [
        "rejected", "pending_new", "rejected", "pending_new",
    ]  # fmt: skip
    assert (too_many.reason, none_left.reason) == ("debt_outstanding", "debt_outstanding")
