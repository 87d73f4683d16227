"""Fixtures that every test may use: a database whose append-only tables can be emptied between tests, and the cast."""

from collections.abc import Iterable, Iterator

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations
from hypothesis import settings

pytest_plugins = ["tests.cast", "tests.worker"]

# Each run tries other examples: half as many find in two runs what all find in one, and the suite stays short.
settings.register_profile("suite", max_examples=50, deadline=None)
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _flush_passes_the_truncate_triggers() -> Iterator[None]:
    """Let the flush after a transactional test empty append-only tables, as only a superuser's session can."""
    with pytest.MonkeyPatch.context() as patch:
        flush = DatabaseOperations.execute_sql_flush

        def flush_as_replica(self: DatabaseOperations, statements: Iterable[str]) -> None:
            # CASCADE: a library's own table that our model replaced still points at ours
            cascading = [f"{one.rstrip(';')} CASCADE" if one.startswith("TRUNCATE") else one for one in statements]
            flush(self, ["SET LOCAL session_replication_role = replica", *cascading])

        patch.setattr(DatabaseOperations, "execute_sql_flush", flush_as_replica)
        yield
