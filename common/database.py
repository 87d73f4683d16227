"""Small PostgreSQL helpers: asserting a transaction, advisory locks, and numbered SQL files in migrations."""

from collections.abc import Iterable
from pathlib import Path

from django.db import connection, migrations


def assert_in_transaction() -> None:
    """Assert that the caller opened a transaction, as every part of a service must have."""
    assert connection.in_atomic_block, "Call this inside a service's transaction."


def try_advisory_lock(space: int, number: int) -> bool:
    """Take the session's advisory lock if nobody else holds it. The lock ends with the session or with unlock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [space, number])
        return bool(cursor.fetchone()[0])


def advisory_unlock(space: int, number: int) -> None:
    """Give back an advisory lock of this session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [space, number])


def run_sql_files(folder: Path, names: Iterable[str]) -> list[migrations.RunSQL]:
    """Return one migration operation for each `NAME.sql`, undone by its `NAME.reverse.sql`."""
    return [
        migrations.RunSQL(
            sql=(folder / f"{name}.sql").read_text(),
            reverse_sql=(folder / f"{name}.reverse.sql").read_text(),
        )
        for name in names
    ]
