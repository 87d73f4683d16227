"""Monitoring plans: how an operator measures, approved by the regulator before it counts, version by version."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import User
from common.lifecycle import Lifecycle
from registry.models.operator import Operator

PLAN = Lifecycle(
    "plan",
    {
        "draft": {"submitted", "discarded"},
        "submitted": {"approved", "returned", "discarded"},
        "approved": {"superseded"},
        "returned": {"corrected"},
        "corrected": set(),
        "superseded": set(),
        "discarded": set(),
    },
)
"""A returned version is corrected by a new one. Approving a version supersedes the one that was in force."""


class MonitoringPlan(models.Model):
    """One version of a plan: boundary, activities, methods, meters and tiers. A draft may change, a version never."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="plans")
    version = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=20, choices=PLAN.choices, default=PLAN.initial)
    boundary = models.CharField(max_length=200, blank=True)
    valid_from = models.DateField(null=True, blank=True)
    document = models.JSONField(
        default=dict, encoder=DjangoJSONEncoder, help_text="Activities, methods, systems, gaps."
    )
    content_sha256 = models.CharField(max_length=64, blank=True, help_text="Hash of the document at submission.")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    submitted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    decision = models.CharField(max_length=500, blank=True, help_text="What the regulator says of it.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "version"], name="one_plan_per_version"),
            models.UniqueConstraint(
                fields=["operator"], condition=models.Q(status="approved"), name="one_plan_in_force"
            ),
            models.UniqueConstraint(
                fields=["operator"], condition=models.Q(status__in=["draft", "submitted"]), name="one_plan_in_work"
            ),
            models.CheckConstraint(
                name="plan_in_force_is_complete",
                condition=models.Q(status__in=["draft", "discarded"])
                | (
                    ~models.Q(content_sha256="")
                    & ~models.Q(boundary="")
                    & models.Q(valid_from__isnull=False, submitted_at__isnull=False)
                ),
            ),
            models.CheckConstraint(
                name="decided_plan_says_by_whom",
                condition=~models.Q(status__in=["approved", "returned"]) | models.Q(decided_by__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["operator", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            PLAN.trigger(),
            pgtrigger.Protect(
                name="plan_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("operator", "version"),
            ),
            pgtrigger.Protect(
                name="plan_version_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.status <> 'draft' AND (OLD.boundary, OLD.valid_from, OLD.document, OLD.content_sha256)"
                    " IS DISTINCT FROM (NEW.boundary, NEW.valid_from, NEW.document, NEW.content_sha256)"
                ),
            ),
            pgtrigger.Protect(name="plan_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.operator}, plan v{self.version}"
