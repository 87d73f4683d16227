"""The tables of the accounts app."""

from accounts.models.approval import APPROVAL, Approval
from accounts.models.audit import AuditEvent
from accounts.models.organisation import ORGANISATION, Membership, Organisation
from accounts.models.task import TASK, Task
from accounts.models.token import ApiToken
from accounts.models.user import User

__all__ = [
    "APPROVAL",
    "ORGANISATION",
    "TASK",
    "ApiToken",
    "Approval",
    "AuditEvent",
    "Membership",
    "Organisation",
    "Task",
    "User",
]
