"""Fixtures that every test may use: a database whose append-only tables can be emptied between tests, and the cast."""

from collections.abc import Iterable, Iterator

import pytest
from django.db import transaction
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import settings

from tests.snapshots import sizes

pytest_plugins = ["tests.cast", "tests.worker"]

# Each run tries other examples: half as many find in two runs what all find in one, and the suite stays short.
settings.register_profile("suite", max_examples=50, deadline=None)
settings.load_profile("suite")


KEPT = {"django_content_type", "auth_permission"}
"""Tables that migrating fills, and that no test changes."""


@pytest.fixture(scope="session", autouse=True)
def _flush_passes_the_triggers() -> Iterator[None]:
    """Let the flush after a transactional test empty append-only tables, as only a superuser's session can.

    It deletes rows where there are any: truncating every table makes hundreds of files anew, and takes a second.
    """
    with pytest.MonkeyPatch.context() as patch:

        def flush_as_replica(self: DatabaseOperations, statements: Iterable[str]) -> None:
            with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
                cursor.execute("SET LOCAL session_replication_role = replica")
                for table, size in sizes().items():
                    if size and table not in KEPT:
                        cursor.execute(f'DELETE FROM "{table}"')  # noqa: S608

        patch.setattr(DatabaseOperations, "execute_sql_flush", flush_as_replica)
        patch.setattr("django.core.management.commands.flush.emit_post_migrate_signal", lambda *args: None)
        yield
