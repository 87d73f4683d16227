"""Orders per second: accepted one by one, in bulk and over HTTP, drained here and by a real worker, beside bare SQL.

    python benchmarks/orders.py [--orders 20000]

Runs in a database of its own on the server that DATABASE_URL names, and drops it at the end. Every figure comes from
the same run on the same machine, so read the ratios. Bare SQL is what the database alone takes for the rows of the same
orders: for accepting, one INSERT of an order and its command in a transaction of its own; in bulk, the same by one
statement; for draining, the UPDATE of the orders and commands and the INSERT of as many trades, with nobody matching.
"""

import argparse
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from unittest import mock
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("HEADROOM_LOG_LEVEL", "WARNING")
os.environ["HEADROOM_QUEUE"] = f"benchmark-{uuid4()}"  # nobody else's worker

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection, transaction  # noqa: E402

from accounts.models import User  # noqa: E402
from accounts.services import organisations, tokens  # noqa: E402
from common import clock  # noqa: E402
from exchange.models import Command, Market, Order, Trade  # noqa: E402
from exchange.services import markets, matching, orders, settlement, waking  # noqa: E402
from exchange.services.orders import OrderInput  # noqa: E402
from registry.ledger import services as ledger  # noqa: E402
from registry.services import central  # noqa: E402
from tests import cast  # noqa: E402
from tests.cast import OPENING, Party  # noqa: E402

FIRMS = 12
PERMITS, CASH = 10**9, 10**14
BULK = 1_000


@dataclass(frozen=True)
class Stage:
    """A market and the parties that trade in it."""

    market: Market
    parties: Sequence[Party]


def set_stage() -> Stage:
    """Make a regulator, a market and a dozen firms with all they may ever need."""
    regulator = _regulator()
    scheme = cast.flop_scheme(regulator)
    period = cast.capped(regulator, cast.period_of(regulator, scheme), FIRMS * PERMITS)
    parties = [cast.operator(regulator, scheme, f"Firm {number:02d}", "firm", "large") for number in range(FIRMS)]
    with transaction.atomic():
        for source, asset, amount in (
            (central.account(period, central.TOTAL), period.permit_id, PERMITS),
            (central.bank(scheme.currency), scheme.currency_id, CASH),
        ):
            ledger.post(
                transfers=[ledger.Posting(uuid4(), source.pk, party.account.pk, asset, amount) for party in parties],
                kind="endowment",
                reference=f"endowment:{asset}",
                actor=None,
                now=OPENING,
            )
    market = markets.open_market(
        actor=regulator.desk, period=period, tick_minor=1, lot=10, collar_bps=5_000, max_order_lots=1_000, now=OPENING
    )
    markets.change_phase(actor=regulator.monitor, market=market, phase="continuous", reason="To measure.", now=OPENING)
    return Stage(Market.objects.select_related("period__scheme").get(pk=market.pk), parties)


def _regulator() -> cast.Regulator:
    senior, desk, monitor = cast.person("Senior"), cast.person("Desk"), cast.person("Monitor")
    office = organisations.establish_regulator(name="Office", officer=senior, now=OPENING)
    for user, role in ((desk, "desk_officer"), (monitor, "market_monitor")):
        organisations.grant_role(actor=senior, user=user, organisation=office, role=role, now=OPENING)
    return cast.Regulator(office, desk=desk, senior=senior, monitor=monitor)


def stream(count: int, seed: int) -> Iterator[OrderInput]:
    """Random orders around 500 ticks, of which one in ten is immediate or cancel.

    A batch of one party is all on one side, or most of it would be cancelled to keep it from trading with itself.
    """
    chance = random.Random(seed)
    for number in range(count):
        yield OrderInput(
            side=("buy", "sell")[number // BULK % 2],
            price=chance.randint(490, 510),
            quantity=chance.randint(1, 20),
            time_in_force="ioc" if chance.random() < 0.1 else "gtc",
            key=uuid4(),
        )


def accept_singly(stage: Stage, count: int) -> float:
    """Place orders one by one; return how many a second."""
    listed = list(stream(count, 1))
    began = time.perf_counter()
    for number, order in enumerate(listed):
        party = stage.parties[(number + number // BULK % 2) % FIRMS]
        orders.place_order(
            actor=party.trader,
            organisation=party.organisation,
            market=stage.market,
            side=order.side,
            price=order.price,
            quantity=order.quantity,
            time_in_force=order.time_in_force,
            key=order.key,
            now=OPENING,
        )
    return count / (time.perf_counter() - began)


def accept_in_bulk(stage: Stage, count: int, seed: int = 2) -> float:
    """Place orders in batches, the parties in turn; return how many a second."""
    listed = list(stream(count, seed))
    began = time.perf_counter()
    for number, start in enumerate(range(0, count, BULK)):
        party = stage.parties[number % FIRMS]
        orders.place_orders(
            actor=party.trader,
            organisation=party.organisation,
            market=stage.market,
            orders=listed[start : start + BULK],
            now=OPENING,
        )
    return count / (time.perf_counter() - began)


def drain_here(stage: Stage) -> tuple[float, float]:
    """Drain everything in this process; return commands and trades a second."""
    began = time.perf_counter()
    done = matching.drain(stage.market.pk)
    took = time.perf_counter() - began
    return done.commands / took, done.trades / took


@contextmanager
def process(*arguments: str) -> Iterator[None]:
    """Run a Python module on this database until the block ends."""
    database = connection.settings_dict
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{database['USER']}@/{database['NAME']}"
        f"?host={database['HOST']}&port={database['PORT'] or 5432}",
    }
    running = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running.terminate()
        try:
            running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            running.kill()


def accept_over_http(stage: Stage, count: int) -> float:
    """Place orders one by one with POST /api/v1/orders/, four clients at a time; return how many a second."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secrets = [
        tokens.issue_token(
            actor=party.trader,
            organisation=party.organisation,
            name="benchmark",
            scope="write",
            life=timedelta(days=1),
            now=clock.now(),
        )[1]
        for party in stage.parties
    ]
    listed = list(stream(count, 5))

    def client(number: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for place in range(number, count, 4):
            order = listed[place]
            body = {"market": stage.market.code, "side": order.side, "price": str(order.price), "quantity": "1"}
            line.request(
                "POST",
                "/api/v1/orders/",
                json.dumps(body),
                {
                    "Authorization": f"Bearer {secrets[place % FIRMS]}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": str(order.key),
                },
            )
            answer = line.getresponse()
            assert answer.status == 201, answer.read()
            answer.read()

    with process("gunicorn", "config.wsgi", "-w", "2", "-k", "gthread", "--threads", "4", "-b", f"127.0.0.1:{port}"):
        _wait_for_port(port)
        with ThreadPoolExecutor(4) as clients:
            began = time.perf_counter()
            list(clients.map(client, range(4)))
            return count / (time.perf_counter() - began)


def _wait_for_port(port: int) -> None:
    give_up = time.perf_counter() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.perf_counter() < give_up, "the web server did not start"
            time.sleep(0.05)
        else:
            return


def drain_by_worker(stage: Stage, count: int) -> float:
    """Place in bulk while a real worker drains; return orders a second from the first placed to the last drained."""
    with process("celery", "-A", "config.celery", "worker", "-c", "1", "-l", "error"):
        accept_in_bulk(stage, 1, seed=3)
        _wait_until_done(stage)
        began = time.perf_counter()
        accept_in_bulk(stage, count, seed=4)
        _wait_until_done(stage)
        return count / (time.perf_counter() - began)


def _wait_until_done(stage: Stage) -> None:
    give_up = time.perf_counter() + 120
    while Command.objects.filter(market=stage.market, sequence__isnull=True).exists():
        assert time.perf_counter() < give_up, "the worker did not answer"
        time.sleep(0.01)


# What the database alone takes ----------------------------------------------------------------------------------------

COPY_ORDERS = """
WITH placed AS (
  INSERT INTO exchange_order (public_id, key, market_id, position_id, organisation_id, entered_by_id, entered_at, side,
                              price, quantity, time_in_force, status, filled, canceled, reason)
  SELECT gen_random_uuid(), gen_random_uuid(), market_id, position_id, organisation_id, entered_by_id, entered_at, side,
         price, quantity, time_in_force, 'pending_new', 0, 0, ''
    FROM exchange_order WHERE id = ANY (%s) RETURNING id, public_id, market_id, entered_at, entered_by_id
)
INSERT INTO exchange_command (market_id, kind, order_id, key, entered_at, entered_by_id, phase, outcome, parked)
SELECT market_id, 'new', id, public_id, entered_at, entered_by_id, 'continuous', '', '' FROM placed RETURNING order_id
"""


def bare_accept_singly(patterns: Sequence[int], count: int) -> float:
    """INSERT one order and its command in a transaction, again and again."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for number in range(count):
            cursor.execute(COPY_ORDERS, [[patterns[number % len(patterns)]]])
    return count / (time.perf_counter() - began)


def bare_accept_in_bulk(patterns: Sequence[int], count: int) -> float:
    """INSERT orders and commands a batch at a time."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        for _ in range(0, count, BULK):
            cursor.execute(COPY_ORDERS, [list(patterns[:BULK])])
    return count / (time.perf_counter() - began)


def bare_drain(stage: Stage, trades_per_command: float) -> float:
    """Write what draining writes, made up, a batch at a time, for the orders that bare accepting left behind."""
    todo = list(
        Command.objects.filter(market=stage.market, sequence__isnull=True).order_by("pk").values_list("pk", "order_id")
    )
    a_trade = Trade.objects.order_by("pk").values_list("pk", flat=True)[0]
    sequence = Market.objects.values_list("sequence", flat=True).get(pk=stage.market.pk)
    began = time.perf_counter()
    for start in range(0, len(todo), matching.BATCH):
        batch = todo[start : start + matching.BATCH]
        sequences = list(range(sequence + 1, sequence + 1 + len(batch)))
        sequence = sequences[-1]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE exchange_order o SET status = 'new', sequence = x.s"
                "  FROM unnest(%s::bigint[], %s::bigint[]) x(id, s) WHERE o.id = x.id",
                [[order for _, order in batch], sequences],
            )
            cursor.execute(
                "INSERT INTO exchange_trade (market_id, sequence, ordinal, price, lots, buy_order_id, sell_order_id,"
                "                            buyer_id, seller_id, taker, at)"
                " SELECT t.market_id, x.s, 0, t.price, t.lots, t.buy_order_id, t.sell_order_id, t.buyer_id,"
                "        t.seller_id, t.taker, t.at FROM unnest(%s::bigint[]) x(s), exchange_trade t WHERE t.id = %s",
                [sequences[: int(len(batch) * trades_per_command)], a_trade],
            )
            cursor.execute(
                "UPDATE exchange_command c SET sequence = x.s, outcome = 'new'"
                "  FROM unnest(%s::bigint[], %s::bigint[]) x(id, s) WHERE c.id = x.id",
                [[command for command, _ in batch], sequences],
            )
    return len(todo) / (time.perf_counter() - began)


# The run --------------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=20_000)
    count = parser.parse_args().orders
    connection.settings_dict["TEST"]["NAME"] = f"benchmark_orders_{os.getpid()}"
    connection.creation.create_test_db(verbosity=0)
    try:
        measure(set_stage(), count)
    finally:
        connection.creation.destroy_test_db(settings.DATABASES["default"]["NAME"], verbosity=0)


def measure(stage: Stage, count: int) -> None:
    """Run everything once and print it."""
    accept_in_bulk(stage, FIRMS * BULK // 10, seed=9)  # positions opened, plans warm
    matching.drain(stage.market.pk)
    patterns = list(Order.objects.order_by("pk").values_list("pk", flat=True)[:BULK])

    with _no_bell():
        singly = accept_singly(stage, count // 10)
        bulk = accept_in_bulk(stage, count)
    commands, trades = drain_here(stage)
    over_http = accept_over_http(stage, count // 20)
    together = drain_by_worker(stage, count)
    began = time.perf_counter()
    batch = settlement.settle_market(actor=_officer(), market=stage.market, now=OPENING)
    settled = (batch.trade_count if batch else 0) / (time.perf_counter() - began)

    bare_singly = bare_accept_singly(patterns, count // 10)
    bare_bulk = bare_accept_in_bulk(patterns, count)
    bare_drained = bare_drain(stage, trades / commands)
    rows: list[tuple[str, float, float | None]] = [
        ("accepted one by one, orders/s", singly, bare_singly),
        ("accepted over HTTP, 2 web workers, orders/s", over_http, bare_singly),
        (f"accepted in bulk of {BULK:,}, orders/s", bulk, bare_bulk),
        ("drained in one process, commands/s", commands, bare_drained),
        ("  of which trades/s", trades, None),
        ("bulk accepted and drained by a worker, orders/s", together, None),
        ("settled, trades/s", settled, None),
    ]
    print(f"{'':50}{'measured':>12}{'bare SQL':>12}{'ratio':>8}")
    for name, measured, bare in rows:
        beside = f"{bare:>12,.0f}{measured / bare:>8.2f}" if bare else ""
        print(f"{name:50}{measured:>12,.0f}{beside}")


def _officer() -> User:
    return User.objects.get(name="Desk")


@contextmanager
def _no_bell() -> Iterator[None]:
    """Keep the broker out of what is measured of the database."""
    with mock.patch.object(waking, "wake"):
        yield


if __name__ == "__main__":
    main()
