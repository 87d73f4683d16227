"""Receipts: the instant at which the registry received something, and the lock that makes that instant decide.

Whoever files or surrenders takes the period's row FOR KEY SHARE and then reads the database's clock. The closing takes
the row FOR UPDATE after the deadline, so it waits for every receipt that is under way and then sees it: nothing with an
instant before the deadline can appear afterwards. An ordinary UPDATE of the row would not wait.
"""

import uuid
from datetime import datetime

from common import clock
from common.database import assert_in_transaction
from common.errors import Unknown
from registry.models import ComplianceRecord, Period


def receive(period_id: uuid.UUID) -> tuple[Period, datetime]:
    """Lock the period for a receipt; return it as it is now, and the instant of receipt."""
    assert_in_transaction()
    rows = list(Period.objects.raw("SELECT * FROM registry_period WHERE id = %s FOR KEY SHARE", [period_id]))
    if not rows:
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    period, instant = rows[0], clock.receipt_instant()
    if ComplianceRecord.objects.filter(period=period, occasion="deadline").exists():
        # the letters are out: should the clock have stepped back since, nothing becomes "in time" after the fact
        instant = max(instant, period.surrender_due)
    return period, instant


def lock_for_closing(period_id: uuid.UUID) -> Period:
    """Lock the period against receipts: wait for those under way, and let no other begin until we are done."""
    assert_in_transaction()
    return Period.objects.select_for_update(of=("self",)).select_related("scheme", "permit").get(pk=period_id)
