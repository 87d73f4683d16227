"""Background work of the ledger, started on a schedule. Running it twice, or not at all for a while, does no harm."""

from celery import shared_task

from common import clock
from registry.ledger.services import reconciliation, serials


@shared_task(name="ledger.derive_serial_blocks")
def derive_serial_blocks() -> int:
    """Number the permits of new transfers; return how many transfers were read."""
    return serials.derive_serial_blocks()


@shared_task(name="ledger.reconcile")
def reconcile() -> int:
    """Count the whole ledger again by another path and freeze what differs; return how many differences there are."""
    return reconciliation.reconcile(now=clock.now()).differences
