"""Serving records: what a stream of requests used hour by hour, as it was received, and what was computed from it."""

from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Organisation, User
from common.append_only import append_only_triggers
from registry.models.report import EvidenceFile
from registry.models.scheme import Period
from registry.models.site import ZONE, Workload


class ServingBatch(models.Model):
    """One delivery of records by an organisation: its file, and a signature where there is one. Append-only.

    A later batch restates every hour that it names of a stream, whole: the records of the latest batch count.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="serving_batches")
    file = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    restated = models.PositiveIntegerField(help_text="Hours of streams that an earlier batch had told already.")
    key_id = models.CharField(max_length=64, blank=True, help_text="Key of the organisation that signed the file.")
    signature = models.CharField(max_length=128, blank=True)
    received_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="signed_batch_names_its_key",
                condition=models.Q(key_id="", signature="") | (~models.Q(key_id="") & ~models.Q(signature="")),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["organisation", "-id"], name="serving_batches_latest_first")
        ]
        ordering: ClassVar[list[str]] = ["organisation", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"batch {self.pk} of {self.organisation}"


class ServingRecord(models.Model):
    """What one stream served in one hour, for one tier at one operating point, with the energy at the site.

    Append-only.
    """

    class Tier(models.TextChoices):
        FULL = "full", "full"
        GREEN = "green", "green"

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(ServingBatch, on_delete=models.PROTECT, related_name="records")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="serving_records")
    hour = models.DateTimeField(help_text="UTC, on the full hour; the hour that begins then.")
    zone = models.CharField(max_length=20, validators=[ZONE])
    tier = models.CharField(max_length=5, choices=Tier.choices)
    operating_point = models.CharField(max_length=40, help_text="How the model was run, as in fp16 or int8.")
    requests = models.BigIntegerField()
    tokens = models.BigIntegerField(null=True)
    energy_kwh = models.DecimalField(max_digits=30, decimal_places=12)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["workload", "hour", "batch", "tier", "operating_point"], name="one_serving_record_per_batch"
            ),
            models.CheckConstraint(
                name="serving_record_plausible",
                condition=models.Q(requests__gte=0, energy_kwh__gte=0, energy_kwh__lt=10**9)
                & (models.Q(tokens__isnull=True) | models.Q(tokens__gte=0)),
            ),
        ]
        ordering: ClassVar[list[str]] = ["workload", "hour", "batch", "tier", "operating_point"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.workload} {self.hour:%Y-%m-%dT%H}Z"


class ServingCalculation(models.Model):
    """Emissions of a stream in one zone and period, with everything they follow from, pinned. Append-only.

    `reference` is the factor source that the report line names. It is worked out from the records up to `last_batch`
    and from `factor_sets`, so that it comes out the same whatever is delivered or loaded later.
    """

    id = models.BigAutoField(primary_key=True)
    reference = models.CharField(max_length=120, unique=True)
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="serving_calculations")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="+")
    zone = models.CharField(max_length=20)
    country = models.CharField(max_length=3, help_text="Whose yearly figure stood in.")
    since = models.DateTimeField(help_text="First hour that counted.")
    until = models.DateTimeField(help_text="End of the hours that were expected then.")
    last_batch = models.ForeignKey(ServingBatch, on_delete=models.PROTECT, related_name="+")
    factor_sets = ArrayField(models.UUIDField(), help_text="The sets that were used, by their ids.")
    hours = models.PositiveIntegerField()
    hours_without_record = models.PositiveIntegerField()
    hours_without_intensity = models.PositiveIntegerField()
    energy_kwh = models.DecimalField(max_digits=30, decimal_places=12)
    co2e_g = models.DecimalField(max_digits=30, decimal_places=6)
    annual_co2e_g = models.DecimalField(max_digits=30, decimal_places=6, help_text="By the average of the year.")
    calculated_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    calculated_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["workload", "period", "zone", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return self.reference
