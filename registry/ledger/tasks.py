"""Background work of the ledger, started on a schedule. Running it twice, or not at all for a while, does no harm."""

from celery import shared_task

from registry.ledger.services import serials


@shared_task(name="ledger.derive_serial_blocks")
def derive_serial_blocks() -> int:
    """Number the permits of new transfers; return how many transfers were read."""
    return serials.derive_serial_blocks()
