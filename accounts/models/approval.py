"""Approvals: one record for every act that needs two people."""

import uuid
from typing import ClassVar

import pgtrigger
from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models.organisation import Organisation
from common.lifecycle import Lifecycle

APPROVAL = Lifecycle(
    "approval",
    {
        "proposed": {"approved", "rejected", "cancelled"},
        "approved": {"waiting", "executed", "failed"},
        "waiting": {"executed", "failed", "cancelled"},
        "rejected": set(),
        "cancelled": set(),
        "executed": set(),
        "failed": set(),
    },
)


class Approval(models.Model):
    """A proposed act with its frozen parameters: proposed by one person, decided by another, checked again when done.

    The trigger `approval_frozen` keeps the act, its parameters and its proposer from changing after the proposal.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.UUIDField(
        null=True, unique=True, help_text="The proposer's own key: the same key is the same proposal."
    )
    act = models.CharField(max_length=60, help_text="The registered act, such as registry.publish_cap.")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="approvals")
    summary = models.CharField(max_length=300, help_text="One sentence that the second person reads.")
    parameters = models.JSONField(encoder=DjangoJSONEncoder)
    parameters_sha256 = models.CharField(max_length=64)
    status = models.CharField(max_length=20, choices=APPROVAL.choices, default=APPROVAL.initial)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was rejected or cancelled.")
    execute_after = models.DateTimeField(null=True)
    executed_at = models.DateTimeField(null=True)
    failure_code = models.CharField(max_length=80, blank=True)
    failure = models.CharField(max_length=500, blank=True)
    result = models.JSONField(null=True, encoder=DjangoJSONEncoder)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="approver_is_another_person",
                condition=models.Q(decided_by__isnull=True)
                | models.Q(status="cancelled")
                | ~models.Q(decided_by=models.F("proposed_by")),
            ),
            models.CheckConstraint(
                name="decided_approval_names_who_and_when",
                condition=models.Q(status="proposed") | models.Q(decided_by__isnull=False, decided_at__isnull=False),
            ),
            models.CheckConstraint(
                name="waiting_approval_has_its_time",
                condition=~models.Q(status="waiting") | models.Q(execute_after__isnull=False),
            ),
            models.CheckConstraint(
                name="executed_approval_has_its_time",
                condition=~models.Q(status="executed") | models.Q(executed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="failed_approval_says_why",
                condition=~models.Q(status="failed") | ~models.Q(failure_code=""),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["status", "execute_after"], name="approvals_by_status"),
        ]
        ordering: ClassVar[list[str]] = ["-proposed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            APPROVAL.trigger(),
            pgtrigger.Protect(
                name="approval_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "key", "act", "parameters", "parameters_sha256", "proposed_by", "organisation"
                ),
            ),
            pgtrigger.Protect(name="approval_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.act}: {self.summary} ({self.status})"
