"""How fast the ledger posts, beside the limits of the same PostgreSQL and the prototype in the same run.

    DATABASE_URL=postgresql://... python benchmarks/ledger.py [--seconds 2] [--rounds 3] [--existing 0 1000000]

Makes a database of its own on that server and drops it afterwards. What is compared is measured in turns, so that a
noisy machine disturbs all of it alike: read the ratios, not the absolute figures. Only the calls are timed, not the
making of their input.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ACCOUNTS = 10_000
PLENTY = 10**11
BATCHES = (100, 1_000, 10_000)
WARM_UP = 5
"""Batches of 10,000 before measuring: after a checkpoint the first change of each page goes to the log as a whole page,
which in a ledger of any age is paid once in minutes and would here be paid within the seconds that are measured."""

Call = Callable[[], object]
Make = Callable[[int], Call]
"""Prepares the input of one call for so many transfers, and returns the call, which is what is timed."""


@dataclass
class Rate:
    """Transfers per second of each round of one contestant."""

    name: str
    batch: int
    rounds: list[float]

    @property
    def median(self) -> float:
        """The middle round's rate."""
        return statistics.median(self.rounds)


def main() -> None:
    """Measure, print the tables and the ratios, and leave nothing behind."""
    options = _options()
    server = os.environ.get("DATABASE_URL")
    if not server:
        sys.exit("Set DATABASE_URL to a PostgreSQL server on which a database may be made.")
    with _own_database(server) as url:
        os.environ["DATABASE_URL"] = url
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", "ledger", verbosity=0)
        _run(url, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each contestant runs in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--existing", type=int, nargs="+", default=[0, 1_000_000], help="transfers already there")
    parser.add_argument("--prototype", type=Path, default=ROOT.parent / "shared" / "reference" / "ledger_prototype.sql")
    return parser.parse_args()


def _run(url: str, options: argparse.Namespace) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        _bare_tables(connection)
        ledger = Ledger(connection)
        prototype = Prototype(connection, options.prototype) if options.prototype.is_file() else None
        if prototype is None:
            print(f"No prototype at {options.prototype}: its rows are left out.")
        results: dict[tuple[int, str, int], Rate] = {}
        for existing in options.existing:
            ledger.grow_to(existing)
            if prototype:
                prototype.grow_to(existing)
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")
            for _ in range(WARM_UP):
                ledger.batch(10_000, hot=False)()
                if prototype:
                    prototype.batch(10_000, hot=False)()
            for title, rates in _measured(connection, ledger, prototype, options):
                print(f"\n{existing:,} transfers there already, {title}: transfers a second")
                for rate in rates:
                    rounds = "  ".join(f"{one:>10,.0f}" for one in rate.rounds)
                    print(f"  {rate.name:<44}{rate.median:>10,.0f}   rounds {rounds}")
                    results[existing, rate.name, rate.batch] = rate
        _print_ratios(results, options.existing)


def _measured(
    connection: psycopg.Connection[tuple[object, ...]],
    ledger: "Ledger",
    prototype: "Prototype | None",
    options: argparse.Namespace,
) -> Iterator[tuple[str, list[Rate]]]:
    """Yield the contests: in each, all the contestants take turns."""
    singles: dict[str, Make] = {
        "limit: bare durable INSERT": lambda _: _bare_insert(connection),
        "ledger, one call in SQL": lambda _: ledger.one(hot=False),
        "ledger, one hot account": lambda _: ledger.one(hot=True),
        "ledger, through the service": lambda _: ledger.one_by_service(),
    }
    if prototype:
        singles["prototype, one call in SQL"] = lambda _: prototype.one(hot=False)
        singles["prototype, one hot account"] = lambda _: prototype.one(hot=True)
    yield "one at a time", _contest(singles, 1, options)
    for batch in BATCHES:
        contestants: dict[str, Make] = {
            "limit: COPY": lambda n: _copy(connection, n),
            "ledger, batch": lambda n: ledger.batch(n, hot=False),
            "ledger, batch, one hot account": lambda n: ledger.batch(n, hot=True),
            "ledger, batch through the service": ledger.batch_by_service,
        }
        if prototype:
            contestants["prototype, batch"] = lambda n: prototype.batch(n, hot=False)
            contestants["prototype, batch, one hot account"] = lambda n: prototype.batch(n, hot=True)
        yield f"batches of {batch:,}", _contest(contestants, batch, options)


def _contest(
    contestants: dict[str, Make],
    batch: int,
    options: argparse.Namespace,
) -> list[Rate]:
    rates = [Rate(name, batch, []) for name in contestants]
    for _ in range(options.rounds):
        for rate in rates:
            make = contestants[rate.name]
            make(batch)()  # plans and caches
            spent, done = 0.0, 0
            while spent < options.seconds:
                call = make(batch)
                began = time.perf_counter()
                call()
                spent += time.perf_counter() - began
                done += batch
            rate.rounds.append(done / spent)
    return rates


# The limits --------------------------------------------------------------------------------------------------------


_ROW = "key, asset_id, debit_id, credit_id, amount, debit_seq, credit_seq, debit_after, credit_after, at"


def _bare_tables(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    connection.execute("CREATE TABLE bare (LIKE ledger_transfer INCLUDING IDENTITY)")
    connection.execute("ALTER TABLE bare ADD PRIMARY KEY (id), ALTER journal_id DROP NOT NULL")


def _bare_row() -> tuple[object, ...]:
    return uuid4(), 1, 1, 2, random.randint(1, 9), 1, 1, 1, 1, datetime.now(UTC)


def _bare_insert(connection: psycopg.Connection[tuple[object, ...]]) -> Call:
    row = _bare_row()
    return lambda: connection.execute(
        f"INSERT INTO bare ({_ROW}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", row, prepare=True
    )


def _copy(connection: psycopg.Connection[tuple[object, ...]], batch: int) -> Call:
    rows = [_bare_row() for _ in range(batch)]

    def copy() -> None:
        with connection.cursor().copy(f"COPY bare ({_ROW}) FROM STDIN") as stream:
            for row in rows:
                stream.write_row(row)

    return copy


# The contestants ---------------------------------------------------------------------------------------------------


class Ledger:
    """The product's own functions, by SQL and through the service."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        from django.db import transaction

        from registry.ledger import services

        self.connection, self.services, self.atomic = connection, services, transaction.atomic
        self.now = datetime.now(UTC)
        with transaction.atomic():
            self.asset = services.create_asset(code="permit", kind="permit", name="Permit", now=self.now).pk
            opened = [
                services.open_account(
                    kind="issuance" if number == 0 else "holding",
                    reference=f"account:{number}",
                    label=f"Account {number}",
                    contra=number == 0,
                    now=self.now,
                ).pk
                for number in range(ACCOUNTS + 1)
            ]
        issuance, *self.accounts = opened
        self.loaded = 0
        self._post([(uuid4(), issuance, account, PLENTY) for account in self.accounts])

    def grow_to(self, existing: int) -> None:
        """Post until so many transfers are there."""
        while self.loaded < existing:
            self._post([self._move(hot=False) for _ in range(10_000)])
            self.loaded += 10_000

    def one(self, *, hot: bool) -> Call:
        """Post one transfer by SQL."""
        key, debit, credit, amount = self._move(hot=hot)
        parameters = ["benchmark", str(key), None, self.now, "", key, debit, credit, self.asset, amount]
        return lambda: self.connection.execute(
            "SELECT * FROM ledger_post_one(%s, %s, %s, %s, %s, %s, %s::bigint, %s::bigint, %s::bigint, %s::bigint)",
            parameters,
            prepare=True,
        )

    def one_by_service(self) -> Call:
        """Post one transfer through the service in a durable transaction."""
        return self.batch_by_service(1)

    def batch(self, size: int, *, hot: bool) -> Call:
        """Post a batch by SQL."""
        moves = [self._move(hot=hot) for _ in range(size)]
        return lambda: self._post(moves)

    def batch_by_service(self, size: int) -> Call:
        """Post a batch through the service in a durable transaction."""
        moves = [self._move(hot=False) for _ in range(size)]
        transfers = [
            self.services.Posting(key, debit, credit, self.asset, amount) for key, debit, credit, amount in moves
        ]

        def post() -> None:
            with self.atomic(durable=True):
                self.services.post(
                    transfers=transfers, kind="benchmark", reference=str(moves[0][0]), actor=None, now=self.now
                )

        return post

    def _post(self, moves: Sequence[tuple[UUID, int, int, int]]) -> None:
        keys, debits, credits, amounts = (list(column) for column in zip(*moves, strict=True))
        row = self.connection.execute(
            "SELECT outcome FROM ledger_post('benchmark', %s, NULL, %s, '', NULL, %s::uuid[], %s::bigint[],"
            " %s::bigint[], %s::bigint[], %s::bigint[])",
            [str(keys[0]), self.now, keys, debits, credits, [self.asset] * len(keys), amounts],
            prepare=True,
        ).fetchone()
        assert row == ("posted",), row

    def _move(self, *, hot: bool) -> tuple[UUID, int, int, int]:
        debit, credit = random.sample(self.accounts, 2)
        if hot:
            debit, credit = (self.accounts[0], credit) if credit != self.accounts[0] else (credit, debit)
        return uuid4(), debit, credit, random.randint(1, 9)


class Prototype:
    """The measured prototype, as its file has it."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]], path: Path) -> None:
        self.connection = connection
        connection.execute(path.read_text())
        connection.execute("SET search_path = public")
        connection.execute(
            f"INSERT INTO lp.account (id, balance) SELECT i, {PLENTY} FROM generate_series(1, {ACCOUNTS}) i"
        )
        self.loaded = 0

    def grow_to(self, existing: int) -> None:
        """Post until so many transfers are there."""
        while self.loaded < existing:
            self.batch(10_000, hot=False)()
            self.loaded += 10_000

    def one(self, *, hot: bool) -> Call:
        """Post one transfer."""
        move = self._move(hot=hot)
        return lambda: self.connection.execute(
            "SELECT lp.post1(%s, %s::bigint, %s::bigint, %s::bigint)", move, prepare=True
        )

    def batch(self, size: int, *, hot: bool) -> Call:
        """Post a batch."""
        columns = [list(column) for column in zip(*(self._move(hot=hot) for _ in range(size)), strict=True)]
        return lambda: self.connection.execute(
            "SELECT lp.post(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[])", columns, prepare=True
        )

    def _move(self, *, hot: bool) -> tuple[UUID, int, int, int]:
        debit, credit = random.sample(range(2, ACCOUNTS + 1), 2)
        return uuid4(), 1 if hot else debit, credit, random.randint(1, 9)


# The verdict -------------------------------------------------------------------------------------------------------


def _print_ratios(results: dict[tuple[int, str, int], Rate], sizes: Sequence[int]) -> None:
    def line(text: str, above: tuple[int, str, int], below: tuple[int, str, int], wanted: float) -> None:
        if above in results and below in results:
            pairs = zip(results[above].rounds, results[below].rounds, strict=True)
            ratio = statistics.median(upper / lower for upper, lower in pairs)
            print(f"  {text:<64}{ratio:>6.2f}   wanted at least {wanted:.2f}   {'yes' if ratio >= wanted else 'NO'}")

    print("\nRatios, the middle one of the rounds")
    bare = "limit: bare durable INSERT"
    for size in sizes:
        at = f"at {size:,}"
        line(f"one call in SQL / bare INSERT, {at}", (size, "ledger, one call in SQL", 1), (size, bare, 1), 0.3)
        line(
            f"one through the service / bare INSERT, {at}",
            (size, "ledger, through the service", 1),
            (size, bare, 1),
            0.2,
        )
        line(f"batch 1,000 / prototype, {at}", (size, "ledger, batch", 1000), (size, "prototype, batch", 1000), 0.8)
    first, last = sizes[0], sizes[-1]
    if first != last:
        for name, batch in (("ledger, one call in SQL", 1), ("ledger, batch", 1000), ("ledger, batch", 10_000)):
            line(f"{name} of {batch:,}: at {last:,} / at {first:,}", (last, name, batch), (first, name, batch), 0.85)


@contextmanager
def _own_database(server: str) -> Iterator[str]:
    name = f"headroom_benchmark_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            from django.db import connections

            connections.close_all()
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


if __name__ == "__main__":
    main()
