"""Background work on people's proposals, started on a schedule. Running it twice does no harm."""

from celery import shared_task

from accounts.services import approvals, tasks
from common import clock


@shared_task(name="accounts.execute_due_approvals")
def execute_due_approvals() -> int:
    """Do the approved acts whose delay has passed; return how many were tried."""
    return approvals.execute_due(now=clock.now())


@shared_task(name="accounts.remind")
def remind() -> int:
    """Remind people of tasks that become due; return how many reminders were sent."""
    return tasks.remind(now=clock.now())
