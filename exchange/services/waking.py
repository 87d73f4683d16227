"""Waking a market's worker by task name.

The bell may be lost: the commands are in the database, and a sweep finds them.
"""

import logging
import time

import celery

from exchange.models import Market

log = logging.getLogger(__name__)

_QUIET_SECONDS = 5.0
_silent_until = 0.0


def wake(market: Market) -> None:
    """Ring for a drain of this market. A broker that is gone costs one short try every few seconds, and no order."""
    global _silent_until
    if time.monotonic() < _silent_until:  # for the broker's sake only: no decision of the market depends on it
        return
    try:
        celery.current_app.send_task("exchange.drain_market", args=[str(market.pk)], ignore_result=True, retry=False)
    except Exception as error:  # whatever the library of whichever broker raises: the order is committed and stands
        _silent_until = time.monotonic() + _QUIET_SECONDS
        log.warning("Nobody could be woken for %s (%s): the sweep will find its commands.", market, error)
