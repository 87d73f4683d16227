"""Snapshots: what a costly fixture wrote, kept once in each process and copied back for every test that asks for it.

Most tests begin in the same place: an open period with permits given out. Telling it through the services takes a
quarter of a second, copying its rows back a tenth of that. A test that wants the rows told otherwise says so by its own
fixtures, and then nothing is copied.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from common import clock

Ready = dict[str, Any]
"""What stands ready, by the name of its fixture."""


@dataclass(frozen=True)
class Snapshot:
    """The rows of every table that the fixture filled, where its sequences stood, and what it returned."""

    rows: dict[str, bytes]
    sequences: dict[str, int]
    returned: bytes


_kept: dict[str, Snapshot] = {}


def recall(name: str, build: Callable[[], Ready], at: datetime) -> Ready:
    """Return what `build` makes at an instant, with its rows in the database: built once, copied ever after."""
    if name not in _kept:
        with clock.simulate(at):
            _kept[name] = _take(build)
    else:
        _put_back(_kept[name])
    ready: Ready = pickle.loads(_kept[name].returned)  # noqa: S301 - our own bytes of a moment ago
    return ready


def _take(build: Callable[[], Ready]) -> Snapshot:
    before = sizes()
    ready = build()
    after = sizes()
    filled = [table for table, size in after.items() if size and not before[table]]
    assert all(after[table] == size for table, size in before.items() if size), "rows were added to a filled table"
    with connection.cursor() as cursor:
        rows = {}
        for table in filled:
            with cursor.copy(f'COPY "{table}" TO STDOUT (FORMAT binary)') as copy:
                rows[table] = b"".join(bytes(part) for part in copy)
        cursor.execute("SELECT sequencename, last_value FROM pg_sequences WHERE last_value IS NOT NULL")
        sequences = dict(cursor.fetchall())
    return Snapshot(rows, sequences, pickle.dumps(ready))


def _put_back(snapshot: Snapshot) -> None:
    """Copy the rows in without their triggers, which they passed when they were written."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('session_replication_role')")
        (role,) = cursor.fetchone()
        cursor.execute("SET session_replication_role = replica")
        for table, content in snapshot.rows.items():
            with cursor.copy(f'COPY "{table}" FROM STDIN (FORMAT binary)') as copy:
                copy.write(content)
        cursor.execute(f"SET session_replication_role = {role}")
        cursor.execute(
            "SELECT setval(quote_ident(sequencename)::regclass, value) FROM pg_sequences"
            " JOIN unnest(%s::text[], %s::bigint[]) AS kept (name, value) ON sequencename = name"
            " WHERE coalesce(last_value, 0) < value",
            [list(snapshot.sequences), list(snapshot.sequences.values())],
        )


def sizes() -> dict[str, int]:
    """Count the rows of every table but those that say which migrations there were."""
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor)) - {"django_migrations"}
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}', count(*) FROM \"{table}\"" for table in sorted(tables)))  # noqa: S608
        return dict(cursor.fetchall())
