"""Recording audit events: one for each state change, in the same transaction as the change."""

from datetime import datetime

from django.db.models import Model

from accounts.models import AuditEvent, Organisation, User
from common.database import assert_in_transaction


def record(
    actor: User | None,
    action: str,
    subject: Model,
    *,
    at: datetime,
    organisation: Organisation | None = None,
    **details: object,
) -> None:
    """Write one event. No actor means the system acted by itself, on a rule or a schedule."""
    assert_in_transaction()
    AuditEvent.objects.create(
        at=at,
        actor=actor,
        action=action,
        subject_type=subject._meta.label_lower,
        subject_id=str(subject.pk),
        organisation=organisation,
        details=details,
    )
