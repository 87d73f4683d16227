"""Published trainings as a dated reference: what reports are compared with, and never computed with."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import User
from common.append_only import append_only_triggers


class ReferenceSet(models.Model):
    """One version of Epoch AI's file of models as it stood on a day. Append-only; the latest version counts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.PositiveSmallIntegerField(unique=True)
    retrieved_on = models.DateField(help_text="Day on which the file was fetched from its source.")
    rows = models.PositiveIntegerField(help_text="Models with known training compute; the others tell nothing.")
    sha256 = models.CharField(max_length=64, unique=True, help_text="Hash of the file.")
    loaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    loaded_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"published trainings v{self.version}"


class ReferenceTraining(models.Model):
    """One published model with its training compute, and what else is known of it. Append-only."""

    id = models.BigAutoField(primary_key=True)
    reference_set = models.ForeignKey(ReferenceSet, on_delete=models.PROTECT, related_name="trainings")
    model = models.CharField(max_length=500)
    organisations = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    published_on = models.DateField(null=True)
    training_flop = models.DecimalField(max_digits=40, decimal_places=0)
    parameters = models.DecimalField(max_digits=20, decimal_places=0, null=True)
    hardware = models.CharField(max_length=2000, blank=True)
    confidence = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["reference_set", "model"], name="one_reference_per_model"),
            models.CheckConstraint(
                name="reference_finite", condition=models.Q(training_flop__gte=1, training_flop__lt=10**36)
            ),
        ]
        ordering: ClassVar[list[str]] = ["reference_set", "model"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return self.model
