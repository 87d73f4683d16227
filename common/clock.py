"""The one clock: read at the edge (view, task, command) and passed in to every service as `now`.

A simulated instant serves the demo's story and tests, where a whole compliance period passes in seconds.
Production settings forbid it, so nobody can move a deadline by moving the clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

_simulated: ContextVar[datetime | None] = ContextVar("simulated_instant", default=None)


def now() -> datetime:
    """Return the present instant in UTC, or the simulated one."""
    return _simulated.get() or datetime.now(UTC)


def receipt_instant() -> datetime:
    """Return the instant at which the database receives what the caller is about to write.

    Call it inside the transaction, after taking the period's lock: `now` was read before any waiting began, and
    PostgreSQL's own now() is the start of the transaction, so either could call a late receipt "in time".
    """
    simulated = _simulated.get()
    if simulated is not None:
        return simulated
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        instant: datetime = cursor.fetchone()[0]
    return instant


@contextmanager
def simulate(instant: datetime) -> Iterator[None]:
    """Let everything inside the block believe that it is `instant`."""
    assert settings.CLOCK_MAY_BE_SIMULATED, "The clock is real in production."
    assert instant.tzinfo is not None, "A simulated instant names its zone."
    token = _simulated.set(instant.astimezone(UTC))
    try:
        yield
    finally:
        _simulated.reset(token)
