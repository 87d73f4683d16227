"""The exchange's locks, and the one order in which they are taken: phase, market, positions, balances.

Positions and balances each in the order of their ids. Locks end with the transaction, but for the writer's, which
spans many transactions and ends when it is given back or when the session of a dead worker ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from common.database import advisory_unlock, assert_in_transaction, try_advisory_lock
from exchange.models import Market

_WRITER = 7101
PHASE = 7102
"""The two spaces of advisory locks; a market's number names its lock in each."""


@contextmanager
def writer(market: Market, *, wait: bool) -> Iterator[bool]:
    """Be the one process that writes this market's sequence; yields False if another is and we would not wait."""
    if wait:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [_WRITER, market.number])
    elif not try_advisory_lock(_WRITER, market.number):
        yield False
        return
    try:
        yield True
    finally:
        if connection.connection is not None and not connection.connection.closed:
            advisory_unlock(_WRITER, market.number)


def share_phase(market: Market) -> None:
    """Keep the market's phase as it is until the transaction ends. Any number may; a change of phase waits for all.

    Read the phase in a later statement: a statement does not see what was committed while it waited. The lock is an
    advisory one because its queue is fair, so that a halt never waits behind a stream of new orders.
    """
    assert_in_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [PHASE, market.number])


def change_phase(market: Market) -> Market:
    """Wait for the orders on their way in, hold back new ones, and return the market as it is now, locked."""
    assert_in_transaction()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [PHASE, market.number])
    return lock_market(market)


def lock_market(market: Market) -> Market:
    """Lock the market's row against its writer, its settlement and changes of phase; orders still come in."""
    assert_in_transaction()
    return (
        Market.objects.select_for_update(no_key=True, of=("self",)).select_related("period__scheme").get(pk=market.pk)
    )
