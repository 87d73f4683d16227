"""The exchange's work as Celery tasks. Late, lost or doubled, they change nothing."""

import uuid

from celery import shared_task

from common import clock
from exchange.models import Market
from exchange.services import accounts, closing, matching, waking


@shared_task(name="exchange.drain_market", acks_late=True, ignore_result=True)
def drain_market(market_id: str) -> None:
    """Do what waits in one market; if there is more than one turn's worth, ring again and let others work."""
    result = matching.drain(uuid.UUID(market_id))
    if result.is_unfinished:
        waking.wake(Market.objects.get(pk=market_id))


@shared_task(name="exchange.sweep_markets", acks_late=True, ignore_result=True)
def sweep_markets() -> None:
    """Withdraw the orders of accounts that may not trade any more, and wake every market whose bell was lost."""
    accounts.withdraw_stopped_orders(now=clock.now())
    matching.sweep()


@shared_task(name="exchange.continue_closings", acks_late=True, ignore_result=True)
def continue_closings() -> None:
    """Take the steps of started closings whose time has come."""
    closing.continue_closings(now=clock.now())
