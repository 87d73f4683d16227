"""Faults of a real Celery worker and its broker: killed, rung five times, not rung at all, no broker to ring through.

After each fault: every command done once, the same trades as an undisturbed replay of the command log, each trade
settled once, holds exact. The counts are printed (`pytest -s`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import celery
import pytest
from django.conf import settings
from django.db import connection
from kombu import Connection

from common.invariants import check_all
from exchange.invariants import INVARIANTS
from exchange.models import Command, Market, Order, SettlementBatch, Trade
from exchange.services import orders, waking
from exchange.services.orders import OrderInput
from tests.cast import OPENING, Party, Regulator
from tests.exchange.trading import held

pytestmark = pytest.mark.django_db(transaction=True)

BROKER = os.environ.get("CELERY_BROKER_URL", "redis://127.0.0.1:6379/5")
PATIENCE_SECONDS = 60
REAL_WAKE = waking.wake


@pytest.fixture
def queue() -> str:
    """A queue that no other worker listens to."""
    return f"test-{uuid4()}"


@pytest.fixture
def ring(queue: str) -> Iterator[Callable[..., None]]:
    """Send a task to the worker under test."""
    with Connection(BROKER) as broker:

        def ring(task: str, *args: str) -> None:
            celery.current_app.send_task(task, args=list(args), queue=queue, connection=broker, ignore_result=True)

        yield ring
        channel: Any = broker.default_channel
        channel.queue_delete(queue)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Where the worker shall die; nowhere at first."""
    path = tmp_path / "plan"
    path.write_text("")
    return path


@contextmanager
def worker(queue: str, plan: Path, concurrency: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """Run a real worker on the test's database; it leads a process group of its own."""
    database = connection.settings_dict
    login = quote(database["USER"] or "") + (f":{quote(database['PASSWORD'])}" if database["PASSWORD"] else "")
    where = f"host={quote(database['HOST'], safe='')}" + (f"&port={database['PORT']}" if database["PORT"] else "")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.exchange.faulty_worker", str(plan), str(concurrency)],
        cwd=settings.BASE_DIR,
        env=os.environ
        | {
            "DATABASE_URL": f"postgresql://{login}@/{database['NAME']}?{where}",
            "CELERY_BROKER_URL": BROKER,
            "HEADROOM_QUEUE": queue,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        kill_whole(process)


def kill_whole(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker and its children, as a power cut would."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def kill_child(process: subprocess.Popen[bytes]) -> bool:
    """Kill the worker's pool process only, if it has one."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    if not children:
        return False
    os.kill(int(children[0]), signal.SIGKILL)
    return True


def wait_until(done: Callable[[], bool], what: str, beat: Callable[[], None] = lambda: None) -> None:
    """Wait, with the scheduler's beat each second if there is one."""
    now = began = time.monotonic()
    next_beat = began + 1
    while not done():
        assert now < began + PATIENCE_SECONDS, f"gave up waiting until {what}: {_sessions()}"
        if now > next_beat:
            beat()
            next_beat = now + 1
        time.sleep(0.02)
        now = time.monotonic()


def _sessions() -> list[tuple[Any, ...]]:
    """What every session of the database is doing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, state, wait_event, left(query, 60) FROM pg_stat_activity WHERE datname = current_database()"
        )
        return list(cursor.fetchall())


def has_moved_on(market: Market, version: int) -> bool:
    return nothing_waits() or Market.objects.get(pk=market.pk).version > version


def nothing_waits() -> bool:
    return not Command.objects.filter(sequence__isnull=True).exists()


def fill_work_list(market: Market, parties: list[Party], count: int, seed: int) -> None:
    """Place random orders in batches, a few sides and prices, and cancel some of them."""
    chance = Random(seed)
    for _ in range(0, count, 20):
        party = chance.choice(parties)
        placed = orders.place_orders(
            actor=party.trader,
            organisation=party.organisation,
            market=market,
            orders=[
                OrderInput(
                    chance.choice(["buy", "sell"]), chance.randint(495, 505), chance.randint(1, 2), "gtc", uuid4()
                )
                for _ in range(19)
            ],
            now=OPENING,
        )
        orders.cancel_order(
            actor=party.trader,
            order_id=chance.choice([order for order in placed if order.status != "rejected"]).pk,
            organisation=party.organisation,
            key=uuid4(),
            now=OPENING,
        )


def assert_sound() -> None:
    assert [result for result in check_all(INVARIANTS) if result.broken] == []


def tell(what: str, **counts: int) -> None:
    print(f"\n  {what}: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()), end="")


def test_a_worker_killed_at_every_place_of_a_drain_changes_nothing(
    market: Market, acme: Party, borealis: Party, queue: str, ring: Callable[..., None], plan: Path
) -> None:
    fill_work_list(market, [acme, borealis], 400, seed=1)
    entered = Command.objects.count()
    places = [
        "locks.lock_market+",
        "matching._write_positions",
        "positions.lock+",
        "positions.change+",
        "matching._write_positions+",
        "matching._write_orders+",
        "matching._write_trades+",
        "matching._write_commands+",
        "matching._pass+",
    ]
    plan.write_text("\n".join(places))

    with worker(queue, plan):
        ring("exchange.drain_market", str(market.pk))
        wait_until(nothing_waits, "every command was done")

    assert plan.read_text() == "", "the worker died at every place"
    assert Command.objects.filter(sequence__isnull=False).count() == entered
    assert_sound()
    tell("killed inside a drain", kills=len(places), commands=entered, trades=Trade.objects.count())


def test_a_worker_killed_at_random_instants_changes_nothing(
    market: Market, acme: Party, borealis: Party, queue: str, ring: Callable[..., None], plan: Path
) -> None:
    chance = Random(7)
    fill_work_list(market, [acme, borealis], 3_000, seed=2)
    entered = Command.objects.count()
    kills = 0

    def beat() -> None:
        ring("exchange.sweep_markets")

    for _ in range(2):  # the whole worker, so that nobody gives its task back
        version = Market.objects.get(pk=market.pk).version
        with worker(queue, plan) as process:
            ring("exchange.drain_market", str(market.pk))
            wait_until(partial(has_moved_on, market, version), "it began", beat)
            time.sleep(chance.uniform(0, 0.05))
            kill_whole(process)
            kills += 1
    with worker(queue, plan) as process:
        while not nothing_waits():
            version = Market.objects.get(pk=market.pk).version
            beat()
            wait_until(partial(has_moved_on, market, version), "it went on", beat)
            time.sleep(chance.uniform(0, 0.1))
            if kills < 7 and not nothing_waits():
                kills += kill_child(process)

    assert kills >= 3
    assert Command.objects.filter(sequence__isnull=False).count() == entered
    assert_sound()
    tell("killed at random", kills=kills, commands=entered, trades=Trade.objects.count())


def test_a_bell_rung_five_times_for_two_workers_is_one_drain(
    market: Market, acme: Party, borealis: Party, queue: str, ring: Callable[..., None], plan: Path
) -> None:
    fill_work_list(market, [acme, borealis], 600, seed=3)
    entered = Command.objects.count()

    with worker(queue, plan, concurrency=2):
        for _ in range(5):
            ring("exchange.drain_market", str(market.pk))
        wait_until(nothing_waits, "every command was done")

    assert Market.objects.get(pk=market.pk).sequence == entered
    assert_sound()
    tell("delivered five times", commands=entered, trades=Trade.objects.count())


def test_orders_are_taken_without_a_broker_and_the_sweep_finds_them(
    market: Market,
    acme: Party,
    borealis: Party,
    queue: str,
    ring: Callable[..., None],
    plan: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send = celery.current_app.send_task
    dead = Connection("redis://127.0.0.1:1/0", transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    tried: list[str] = []

    def send_into_the_void(name: str, **keywords: Any) -> None:
        tried.append(name)
        send(name, connection=dead, **keywords)

    monkeypatch.setattr(waking, "wake", REAL_WAKE)
    monkeypatch.setattr(waking, "_silent_until", 0.0)
    monkeypatch.setattr(celery.current_app, "send_task", send_into_the_void)
    fill_work_list(market, [acme, borealis], 200, seed=4)
    monkeypatch.undo()
    entered = Command.objects.count()
    assert tried == ["exchange.drain_market"], "one try, and then the broker is left alone for a while"
    assert entered == Order.objects.exclude(status="rejected").count() + 10

    with worker(queue, plan):
        ring("exchange.sweep_markets")
        wait_until(nothing_waits, "the sweep's bell was heard")

    assert_sound()
    tell("broker gone and bells lost", commands=entered, trades=Trade.objects.count())


def test_a_worker_killed_at_every_place_of_a_settlement_settles_each_trade_once(
    regulator: Regulator,
    market: Market,
    acme: Party,
    borealis: Party,
    queue: str,
    ring: Callable[..., None],
    plan: Path,
) -> None:
    fill_work_list(market, [acme, borealis], 200, seed=5)
    places = [
        "locks.lock_market+",
        "positions.lock+",
        "positions.change+",
        "settlement._post",
        "settlement._post+",
        "settlement.settle+",
        "settlement.settle_market+",
    ]

    with worker(queue, plan):
        ring("exchange.drain_market", str(market.pk))
        wait_until(nothing_waits, "every command was done")
        traded = Trade.objects.count()
        plan.write_text("\n".join(places))
        ring("tests.settle", str(regulator.desk.pk), str(market.pk), OPENING.isoformat())
        wait_until(lambda: plan.read_text() == "", "the worker died at every place")
        wait_until(lambda: not Trade.objects.filter(batch=None).exists(), "everything was settled")

    assert traded > 0
    assert SettlementBatch.objects.get().trade_count == traded
    assert_sound()
    for party in (acme, borealis):
        held(market, party)
    tell("killed inside a settlement", kills=len(places), trades=traded, batches=1)
