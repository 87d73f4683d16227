"""Races on real connections: two drains, storms of everything at once, one key, one balance, a halt in a rush.

Each protection that a race could break has a twin without it, to prove that the race is there.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection

from common.errors import Refused
from common.invariants import check_all
from exchange.engine import session as engine
from exchange.invariants import INVARIANTS
from exchange.models import Command, Market, Order, Trade
from exchange.services import locks, markets, matching, orders, settlement
from exchange.services.orders import OrderInput
from tests.cast import ACME_PERMITS, OPENING, Party, Regulator
from tests.exchange.trading import Place

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*jobs: Callable[[], object]) -> list[object]:
    """Run jobs on connections of their own, all started together; return what each returned or raised."""
    start = threading.Barrier(len(jobs))
    answers: list[object] = [None] * len(jobs)

    def run(number: int, job: Callable[[], object]) -> None:
        try:
            start.wait(timeout=30)
            answers[number] = job()
        except Exception as error:
            answers[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number, job)) for number, job in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    return answers


def assert_sound() -> None:
    assert [result for result in check_all(INVARIANTS) if result.broken] == []


def random_orders(chance: Random, count: int) -> Sequence[OrderInput]:
    return [
        OrderInput(chance.choice(["buy", "sell"]), chance.randint(497, 503), chance.randint(1, 2), "gtc", uuid4())
        for _ in range(count)
    ]


def fill_work_list(market: Market, parties: Sequence[Party], count: int) -> None:
    chance = Random(count)
    for party in parties:
        orders.place_orders(
            actor=party.trader,
            organisation=party.organisation,
            market=market,
            orders=random_orders(chance, count),
            now=OPENING,
        )


def test_two_workers_on_one_market_write_one_sequence(market: Market, acme: Party, borealis: Party) -> None:
    fill_work_list(market, [acme, borealis], 100)

    results = at_once(*[lambda: matching.drain(market.pk, batch=3)] * 3)
    matching.drain(market.pk)

    assert all(isinstance(result, matching.DrainResult) for result in results), results
    assert list(Command.objects.order_by("pk").values_list("sequence", flat=True)) == list(range(1, 201))
    assert_sound()


def test_without_the_locks_two_workers_collide(
    market: Market, acme: Party, borealis: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_work_list(market, [acme, borealis], 20)
    both_have_read = threading.Barrier(2)
    to_do = matching._to_do

    def read_and_wait(market: Market, batch: int) -> tuple[list[engine.Command], list[object]]:
        commands, instants = to_do(market, batch)
        both_have_read.wait(timeout=30)
        return commands, list(instants)

    monkeypatch.setattr(matching, "_to_do", read_and_wait)
    monkeypatch.setattr(locks, "lock_market", lambda m: Market.objects.select_related("period__scheme").get(pk=m.pk))

    results = at_once(*[lambda: matching._pass(market, 100, None)] * 2)

    assert len([result for result in results if isinstance(result, DatabaseError)]) == 1, results
    assert_sound()  # the database's own promises stopped the second one whole


def test_a_bell_rung_while_the_market_is_at_work_is_not_lost(
    market: Market, place: Place, acme: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order comes in after the last look at the work list and before the lock is given back."""
    writer = locks.writer
    late: list[matching.DrainResult] = []

    @contextmanager
    def writer_and_a_late_order(market: Market, *, wait: bool) -> Iterator[bool]:
        with writer(market, wait=wait) as is_writer:
            yield is_writer
            if is_writer and not late:

                def order_and_ring() -> None:
                    place(acme, "sell", 1, at=500)
                    late.append(matching.drain(market.pk))

                at_once(order_and_ring)

    place(acme, "sell", 1, at=500)
    monkeypatch.setattr(locks, "writer", writer_and_a_late_order)

    result = matching.drain(market.pk)

    assert late == [matching.DrainResult(is_busy=True)]
    assert result.commands == 2
    assert not Command.objects.filter(sequence=None).exists()


def test_a_storm_of_everything_neither_deadlocks_nor_breaks_anything(
    regulator: Regulator, market: Market, acme: Party, borealis: Party
) -> None:
    def trade(party: Party, seed: int) -> int:
        chance = Random(seed)
        refused = 0
        for _ in range(12):
            placed = orders.place_orders(
                actor=party.trader,
                organisation=party.organisation,
                market=market,
                orders=random_orders(chance, 4),
                now=OPENING,
            )
            try:
                orders.cancel_order(
                    actor=party.trader,
                    order_id=chance.choice(placed).pk,
                    organisation=party.organisation,
                    key=uuid4(),
                    now=OPENING,
                )
            except Refused:
                refused += 1
        return refused

    def drain() -> None:
        for _ in range(25):
            matching.drain(market.pk, batch=5)

    def settle() -> None:
        for _ in range(8):
            settlement.settle_market(actor=regulator.desk, market=market, now=OPENING)

    answers = at_once(
        lambda: trade(acme, 1),
        lambda: trade(acme, 2),
        lambda: trade(borealis, 3),
        lambda: trade(borealis, 4),
        drain,
        drain,
        settle,
    )
    matching.drain(market.pk, wait=True)

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert Trade.objects.exists()
    assert_sound()


def test_one_key_sent_eight_times_at_once_is_one_order(market: Market, place: Place, acme: Party) -> None:
    key = uuid4()
    place(acme, "sell", 1, at=500)  # the position is there

    answers = at_once(*[lambda: place(acme, "sell", 2, at=500, key=key)] * 8)

    assert len({order.pk for order in answers if isinstance(order, Order)}) == 1, answers
    assert Command.objects.count() == 2
    assert_sound()


def test_the_first_orders_of_a_party_open_one_position(market: Market, place: Place, acme: Party) -> None:
    answers = at_once(*[lambda: place(acme, "sell", 2, at=500)] * 8)

    assert [order.status for order in answers if isinstance(order, Order)] == ["pending_new"] * 8, answers
    assert market.positions.count() == 1
    assert_sound()


def test_of_twenty_offers_of_everything_one_is_taken(market: Market, place: Place, acme: Party) -> None:
    everything = ACME_PERMITS // market.lot

    answers = at_once(*[lambda: place(acme, "sell", everything, at=500)] * 20)

    reasons = sorted(order.reason for order in answers if isinstance(order, Order))
    assert reasons == [""] + ["insufficient_available"] * 19
    assert_sound()


def test_after_a_halt_no_order_comes_in_and_each_has_the_phase_of_its_place(
    regulator: Regulator, market: Market, place: Place, acme: Party, borealis: Party
) -> None:
    entered_at_halt: list[int] = []

    def trade(party: Party) -> None:
        for _ in range(25):
            place(party, "sell", 1, at=500)

    def halt() -> None:
        markets.change_phase(actor=regulator.monitor, market=market, phase="halted", reason="A rush.", now=OPENING)
        entered_at_halt.append(Command.objects.count())

    answers = at_once(lambda: trade(acme), lambda: trade(borealis), halt)

    assert answers == [None, None, None]
    assert entered_at_halt == [Command.objects.count()]
    assert Order.objects.filter(reason="market_halted").count() == 50 - entered_at_halt[0]
    assert set(Command.objects.values_list("phase", flat=True)) <= {"continuous"}
    assert_sound()
