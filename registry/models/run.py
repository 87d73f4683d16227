"""Published runs: what a rule gave from which inputs, as one file from which a stranger gets the same lines."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Approval
from common.append_only import append_only_triggers
from registry.models.allocation import AllocationRun
from registry.models.scheme import Period


class PublishedRun(models.Model):
    """An allocation, reserve or status run as it was published. Append-only.

    `document` holds the format, the inputs, the rules with their version, and the result; `sha256` is the hash of its
    canonical form. `manage.py recompute` works the result out again from the document alone.
    """

    class Kind(models.TextChoices):
        ALLOCATION = "allocation", "Allocation"
        RESERVE = "reserve", "Reserve"
        STATUS = "status", "Status"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="published_runs")
    number = models.PositiveSmallIntegerField(help_text="Counts the runs of one kind in one period.")
    document = models.JSONField(encoder=DjangoJSONEncoder)
    sha256 = models.CharField(max_length=64)
    rules_sha256 = models.CharField(max_length=64, help_text="The rule book's version; empty where there is none.")
    allocation = models.OneToOneField(AllocationRun, null=True, on_delete=models.PROTECT, related_name="published")
    approval = models.ForeignKey(Approval, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["period", "kind", "number"], name="runs_numbered_per_period_and_kind"),
        ]
        ordering: ClassVar[list[str]] = ["-published_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.kind} run {self.number} of {self.period}"
