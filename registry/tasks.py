"""The registry's work as Celery tasks. Late, lost or doubled, they change nothing."""

import uuid

from celery import shared_task

from common import clock
from registry.services import cases, due, enforcement, groups, identity, transactions, year
from registry.services.drafting import uploads
from registry.services.transactions import trust


@shared_task(name="registry.run_due_work", acks_late=True, ignore_result=True)
def run_due_work() -> None:
    """Do what the calendars of all schemes have due by now, the steps of enforcement and the ends of cases."""
    now = clock.now()
    due.run_due(now=now)
    enforcement.run_due(now=now)
    cases.run_due(now=now)


@shared_task(name="registry.plan_years", acks_late=True, ignore_result=True)
def plan_years() -> None:
    """Let changed rules reach the calendars of all periods that have something left to happen."""
    year.plan_all(now=clock.now())


@shared_task(name="registry.carry_out_transactions", acks_late=True, ignore_result=True)
def carry_out_transactions() -> None:
    """Carry out the transactions whose time has come, and mark the trusted accounts whose days have passed."""
    trust.activate_due(now=clock.now())
    transactions.execute_due(now=clock.now())


@shared_task(name="registry.keep_identity", acks_late=True, ignore_result=True)
def keep_identity() -> None:
    """Let identity documents expire on their day, and remind their holders before it."""
    identity.expire_documents(now=clock.now())
    identity.remind_of_expiry(now=clock.now())


@shared_task(name="registry.look_at_limits", acks_late=True, ignore_result=True)
def look_at_limits() -> None:
    """Find the holding limits that the turn of a year or new rules breach."""
    groups.find_rollover_breaches(now=clock.now())


@shared_task(name="registry.read_upload", acks_late=True, ignore_result=True)
def read_upload(upload_id: str) -> None:
    """Read an upload into its draft for a turn; if some of it is left, ring again and let others work."""
    uploads.read(uuid.UUID(upload_id))


@shared_task(name="registry.sweep_uploads", acks_late=True, ignore_result=True)
def sweep_uploads() -> None:
    """Wake a reader for every upload whose bell was lost or whose reader died."""
    uploads.sweep()
