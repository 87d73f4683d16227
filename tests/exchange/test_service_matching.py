"""Draining: passes, phases, the session that is kept, commands that break, and bells that were lost."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

import pytest
from django.db import DataError

from common.errors import Forbidden, Refused, Unknown
from common.invariants import check_all
from exchange.engine import session as engine
from exchange.engine.book import Book
from exchange.invariants import INVARIANTS
from exchange.models import Command, Market, Order, Trade
from exchange.services import markets, matching, orders, settlement, waking
from exchange.services.orders import OrderInput
from tests.cast import OPENING, Party, Regulator
from tests.exchange.trading import Place, cancel, drain, held, state


def assert_sound() -> None:
    assert [result for result in check_all(INVARIANTS) if result.broken] == []


def change_phase(regulator: Regulator, market: Market, phase: str) -> None:
    markets.change_phase(actor=regulator.monitor, market=market, phase=phase, reason="A test.", now=OPENING)


def fill_work_list(market: Market, parties: list[Party], count: int, seed: int) -> None:
    """Place random orders and cancels of several parties."""
    chance = Random(seed)
    for _ in range(count):
        party = chance.choice(parties)
        resting = Order.objects.filter(organisation=party.organisation, status__in=["new", "partially_filled"]).first()
        if resting is not None and chance.random() < 0.2:
            cancel(party, resting)
        else:
            orders.place_order(
                actor=party.trader,
                organisation=party.organisation,
                market=market,
                side=chance.choice(["buy", "sell"]),
                price=chance.randint(495, 505),
                quantity=chance.randint(1, 9),
                time_in_force=chance.choice(["gtc", "gtc", "gtc", "ioc"]),
                key=uuid4(),
                now=OPENING,
            )


# Passes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 1_000])
def test_the_size_of_a_pass_changes_nothing(batch: int, market: Market, acme: Party, borealis: Party) -> None:
    fill_work_list(market, [acme, borealis], 40, seed=1)

    result = matching.drain(market.pk, batch=batch)

    assert result.commands == 40
    assert result.trades > 5
    assert_sound()


def test_a_drain_stops_after_so_many_passes_and_says_that_there_is_more(
    market: Market, acme: Party, borealis: Party
) -> None:
    fill_work_list(market, [acme, borealis], 10, seed=2)

    first = matching.drain(market.pk, batch=3, passes=2)
    second = matching.drain(market.pk, batch=3, passes=5)

    assert (first.commands, first.is_unfinished) == (6, True)
    assert (second.commands, second.is_unfinished) == (4, False)
    assert_sound()


def test_draining_an_empty_work_list_changes_nothing(market: Market) -> None:
    before = Market.objects.values().get(pk=market.pk)

    assert drain(market) == matching.DrainResult()
    assert Market.objects.values().get(pk=market.pk) == before


def test_a_session_that_somebody_else_has_overtaken_is_rebuilt_from_rows(
    market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 5, at=500)
    drain(market)
    ours = matching._sessions.pop(market.pk)
    place(acme, "sell", 5, at=499)
    drain(market)  # as another worker would, with a session of its own
    matching._sessions[market.pk] = ours

    place(borealis, "buy", 5, at=500)
    drain(market)

    assert Trade.objects.get().price == 499
    assert_sound()


def test_a_pass_that_could_not_be_committed_leaves_no_trace_in_the_session(
    market: Market, place: Place, acme: Party, borealis: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(acme, "sell", 5, at=500)
    drain(market)
    place(borealis, "buy", 5, at=500)

    with monkeypatch.context() as patch:
        patch.setattr(matching, "_write_commands", _break)
        with pytest.raises(ConnectionError):
            drain(market)

    assert not Trade.objects.exists()
    drain(market)
    assert Trade.objects.count() == 1
    assert_sound()


def _break(*_: object) -> None:
    raise ConnectionError("the power went")


# Phases ---------------------------------------------------------------------------------------------------------------


def test_a_call_collects_orders_and_trades_them_at_one_price(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    change_phase(regulator, market, "call")
    cheap, dear = place(acme, "sell", 4, at=480), place(acme, "sell", 4, at=520)
    bid = place(borealis, "buy", 6, at=510)
    drain(market)
    assert not Trade.objects.exists()

    matching.uncross(actor=regulator.monitor, market=market, now=OPENING)
    drain(market)

    trade = Trade.objects.get()
    assert (trade.lots, trade.price, trade.taker) == (4, 510, "call")
    assert (state(cheap), state(dear), state(bid)) == (("filled", 4, 0), ("new", 0, 0), ("partially_filled", 4, 0))
    assert market.last_price == 510
    assert_sound()


def test_going_on_to_continuous_trading_uncrosses_the_call_first(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    change_phase(regulator, market, "call")
    place(acme, "sell", 4, at=480)
    place(borealis, "buy", 4, at=510)
    change_phase(regulator, market, "continuous")
    late = place(borealis, "buy", 1, at=510)

    drain(market)

    assert [trade.taker for trade in Trade.objects.order_by("pk")] == ["call"]
    assert state(late) == ("new", 0, 0)
    assert_sound()


def test_a_command_is_done_by_the_rules_of_the_phase_it_was_entered_in(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    place(acme, "sell", 4, at=480)
    place(borealis, "buy", 4, at=510)
    change_phase(regulator, market, "call")  # before any worker came to the two orders

    drain(market)

    trade = Trade.objects.get()
    assert (trade.price, trade.taker) == (480, "buy")
    assert_sound()


@pytest.mark.parametrize("phase", ["halted", "closed", "continuous"])
def test_only_a_call_is_uncrossed(phase: str, regulator: Regulator, market: Market) -> None:
    if phase != "continuous":
        change_phase(regulator, market, phase)

    with pytest.raises(Refused) as refusal:
        matching.uncross(actor=regulator.monitor, market=market, now=OPENING)

    assert refusal.value.code == "market_not_in_call"


# Commands that break --------------------------------------------------------------------------------------------------


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Orders on which the engine breaks."""
    poisoned: set[int] = set()
    apply = Book.apply

    def apply_or_break(self: Book, command: object, seq: int) -> object:
        if getattr(command, "order_id", None) in poisoned:
            raise ZeroDivisionError("nobody thought of this")
        return apply(self, command, seq)  # type: ignore[arg-type]

    monkeypatch.setattr(Book, "apply", apply_or_break)
    return poisoned


def test_a_command_that_breaks_the_engine_is_parked_while_the_others_flow(
    market: Market, place: Place, acme: Party, borealis: Party, poisoned: set[int]
) -> None:
    place(acme, "sell", 2, at=500)
    bad = place(acme, "sell", 3, at=490)
    good = place(borealis, "buy", 2, at=500)
    poisoned.add(bad.pk)

    result = drain(market)

    assert (result.commands, result.parked, result.trades) == (2, 1, 1)
    assert state(good) == ("filled", 2, 0)
    assert state(bad) == ("pending_new", 0, 0)
    assert Command.objects.get(order=bad).parked == "ZeroDivisionError: nobody thought of this"
    assert held(market, acme) == (50, 0), "its funds stay held until a person decides"
    assert_sound()


def test_a_parked_command_may_be_put_back_in_line(
    regulator: Regulator, market: Market, place: Place, acme: Party, poisoned: set[int]
) -> None:
    bad = place(acme, "sell", 3, at=490)
    poisoned.add(bad.pk)
    drain(market)
    poisoned.clear()

    matching.unpark(
        actor=regulator.monitor, command_id=Command.objects.get(order=bad).pk, reason="Mended.", now=OPENING
    )
    drain(market)

    assert state(bad) == ("new", 0, 0)
    assert_sound()


@pytest.mark.parametrize("phases", [["call"], ["halted"], ["call", "continuous"]])
def test_a_parked_command_is_not_put_back_into_a_market_that_has_moved_on(
    phases: list[str], regulator: Regulator, market: Market, place: Place, acme: Party, poisoned: set[int]
) -> None:
    bad = place(acme, "sell", 3, at=490)
    poisoned.add(bad.pk)
    drain(market)
    for phase in phases:
        change_phase(regulator, market, phase)  # and nobody has drained yet

    with pytest.raises(Refused) as refusal:
        matching.unpark(
            actor=regulator.monitor, command_id=Command.objects.get(order=bad).pk, reason="Mended.", now=OPENING
        )

    assert refusal.value.code == "phase_passed"


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_parked_command_may_be_given_up_which_frees_what_was_held(
    side: str, regulator: Regulator, market: Market, place: Place, acme: Party, poisoned: set[int]
) -> None:
    bad = place(acme, side, 3, at=490)
    poisoned.add(bad.pk)
    drain(market)
    command = Command.objects.get(order=bad)

    matching.discard_parked(actor=regulator.monitor, command_id=command.pk, reason="Beyond mending.", now=OPENING)

    assert state(bad) == ("canceled", 0, 3)
    assert held(market, acme) == (0, 0)
    assert drain(market).commands == 0
    with pytest.raises(Refused):
        matching.unpark(actor=regulator.monitor, command_id=command.pk, reason="Or not?", now=OPENING)
    assert_sound()


def test_a_command_that_the_database_cannot_store_is_found_and_parked(
    market: Market, place: Place, acme: Party, borealis: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(acme, "sell", 5, at=500)
    bad = place(borealis, "buy", 3, at=500)
    good = place(borealis, "buy", 1, at=500)
    write = matching._write_orders

    def write_or_refuse(changes: engine.Changes) -> None:
        if bad.pk in changes.orders:
            raise DataError("bigint out of range")
        write(changes)

    monkeypatch.setattr(matching, "_write_orders", write_or_refuse)

    result = drain(market)

    assert (result.commands, result.parked) == (2, 1)
    assert Command.objects.get(order=bad).parked == "DataError: bigint out of range"
    assert state(good) == ("filled", 1, 0)
    assert_sound()


def test_only_a_market_monitor_decides_on_parked_commands_and_says_why(
    regulator: Regulator, market: Market, place: Place, acme: Party
) -> None:
    command = Command.objects.get(order=place(acme, "sell", 3, at=490))

    for decide in (matching.unpark, matching.discard_parked):
        with pytest.raises(Forbidden):
            decide(actor=acme.trader, command_id=command.pk, reason="Mine.", now=OPENING)
        with pytest.raises(Refused, match="Say why"):
            decide(actor=regulator.monitor, command_id=command.pk, reason=" ", now=OPENING)
        with pytest.raises(Unknown):
            decide(actor=regulator.monitor, command_id=command.pk, reason="It is not parked.", now=OPENING)


# Bells ----------------------------------------------------------------------------------------------------------------


def test_the_sweep_wakes_the_markets_that_have_something_to_do(
    market: Market, place: Place, acme: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[Market] = []
    monkeypatch.setattr(waking, "wake", woken.append)
    assert matching.sweep() == 0

    place(acme, "sell", 3, at=490)
    assert matching.sweep() == 1
    drain(market)
    assert matching.sweep() == 0
    assert woken == [market]


# Positions against a plain model --------------------------------------------------------------------------------------


@dataclass
class PlainPosition:
    """What is held for one party, told the obvious way."""

    asks: dict[int, int] = field(default_factory=dict)
    bids: dict[int, tuple[int, int]] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)

    def held(self) -> tuple[int, int]:
        """Permits and cash."""
        permits = sum(self.asks.values()) + self.moved["sold"] - self.moved["bought"]
        cash = sum(p * lots for p, lots in self.bids.values()) + self.moved["paid"] - self.moved["got"]
        return max(0, permits) * 10, max(0, cash) * 50


@pytest.mark.parametrize("seed", range(6))
def test_holds_follow_a_plain_model_through_random_trading_and_settling(
    seed: int, regulator: Regulator, market: Market, acme: Party, borealis: Party
) -> None:
    chance = Random(seed)
    parties = [acme, borealis]
    for _ in range(4):
        fill_work_list(market, parties, 12, seed=chance.randint(0, 10**6))
        if chance.random() < 0.7:
            drain(market)
        if chance.random() < 0.4:
            settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)

        for party in parties:
            assert held(market, party) == plain(party).held()
        assert_sound()


def plain(party: Party) -> PlainPosition:
    """Read a party's orders and unsettled trades one by one."""
    position = PlainPosition()
    mine = Order.objects.filter(organisation=party.organisation)
    for order in mine.filter(status__in=["pending_new", "new", "partially_filled"]):
        if order.side == "sell":
            position.asks[order.pk] = order.open
        else:
            position.bids[order.pk] = (order.price, order.open)
    for trade in Trade.objects.filter(batch=None).select_related("buy_order", "sell_order"):
        if trade.buy_order.organisation_id == party.organisation.pk:
            position.moved["bought"] += trade.lots
            position.moved["paid"] += trade.lots * trade.price
        if trade.sell_order.organisation_id == party.organisation.pk:
            position.moved["sold"] += trade.lots
            position.moved["got"] += trade.lots * trade.price
    return position


def test_a_batch_larger_than_one_pass_goes_through(market: Market, acme: Party) -> None:
    batch = [OrderInput("buy", 100, 1, "gtc", uuid4()) for _ in range(3_000)]

    placed = orders.place_orders(
        actor=acme.trader, organisation=acme.organisation, market=market, orders=batch, now=OPENING
    )

    assert drain(market).commands == len(placed) == 3_000
    assert held(market, acme) == (0, 3_000 * 100 * 50)
