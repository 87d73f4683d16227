"""Meters: projects, experiments and runs of CodeCarbon clients that report to us themselves, and what they measured.

The hierarchy is the client's own: organisation, project, experiment, run, reading. A project stands for an operator at
a site, an experiment for a workload and its activity, so that runs can become the lines of a report.
"""

import uuid
from decimal import Decimal
from typing import ClassVar

import pgtrigger
from django.db import models

from accounts.models import User
from common.append_only import append_only_triggers
from registry.models.operator import Operator
from registry.models.report import ReportLine
from registry.models.site import Site, Workload

KEPT_PLACES = 30
"""Places after the point that a measurement keeps. A client writes 17 significant digits, and loses none of them."""


def _measured(unit: str) -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(max_digits=46, decimal_places=KEPT_PLACES, help_text=unit)


class MeterProject(models.Model):
    """Clients that report for one operator, mostly those of one site. Tokens open one project and no other."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="meter_projects")
    site = models.ForeignKey(Site, null=True, blank=True, on_delete=models.PROTECT, related_name="meter_projects")
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "name"], name="one_meter_project_per_name"),
        ]
        ordering: ClassVar[list[str]] = ["operator", "name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="meter_project_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="meter_project_frozen", operation=pgtrigger.Update, condition=pgtrigger.AnyChange("operator")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MeterExperiment(models.Model):
    """What a client calls an experiment: the runs of one activity in one country, and the workload they belong to."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(MeterProject, on_delete=models.PROTECT, related_name="experiments")
    workload = models.ForeignKey(Workload, null=True, blank=True, on_delete=models.PROTECT, related_name="experiments")
    activity = models.CharField(
        max_length=20,
        choices=ReportLine.Activity.choices,
        blank=True,
        help_text="Clients do not say it; runs wait for it before they go into a draft.",
    )
    name = models.CharField(max_length=120)
    description = models.CharField(max_length=500, blank=True)
    country = models.CharField(max_length=3, blank=True, help_text="ISO 3166 in three capital letters.")
    country_name = models.CharField(max_length=120, blank=True)
    region = models.CharField(max_length=120, blank=True)
    on_cloud = models.BooleanField(default=False)
    cloud_provider = models.CharField(max_length=120, blank=True)
    cloud_region = models.CharField(max_length=120, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "name"], name="one_meter_experiment_per_name"),
        ]
        ordering: ClassVar[list[str]] = ["project", "name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="meter_experiment_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="meter_experiment_frozen", operation=pgtrigger.Update, condition=pgtrigger.AnyChange("project")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project}: {self.name}"


class ProjectToken(models.Model):
    """What opens a project to a client. Only its hash is kept; the token itself was shown once."""

    class Level(models.TextChoices):
        READ = "read", "Read"
        WRITE = "write", "Read and write"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(MeterProject, on_delete=models.PROTECT, related_name="tokens")
    name = models.CharField(max_length=100, help_text="Where it is used.")
    level = models.CharField(max_length=10, choices=Level.choices)
    start = models.CharField(max_length=12, help_text="Its first characters, to tell it from others.")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256.")
    issued_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="revoked_by_somebody",
                condition=models.Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | models.Q(revoked_at__isnull=False, revoked_by__isnull=False),
            ),
            models.CheckConstraint(name="project_token_ends", condition=models.Q(expires_at__gt=models.F("issued_at"))),
        ]
        ordering: ClassVar[list[str]] = ["project", "-issued_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="project_token_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="project_token_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("project", "level", "digest", "issued_by", "issued_at", "expires_at"),
            ),
            pgtrigger.Protect(
                name="project_token_revoked_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__revoked_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.start}...)"


class MeterRun(models.Model):
    """One run of a client, as the client described it. Append-only.

    Over the API the run's id is ours and the client uses it from then on. Over the webhook it is the client's own, or
    missing: the client writes "None" when it reports to an API as well.
    """

    class Source(models.TextChoices):
        API = "api", "API"
        WEBHOOK = "webhook", "Webhook"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    experiment = models.ForeignKey(MeterExperiment, on_delete=models.PROTECT, related_name="runs")
    source = models.CharField(max_length=10, choices=Source.choices)
    client_run = models.UUIDField(null=True, help_text="The run id that the client writes into its files.")
    started_at = models.DateTimeField(null=True, help_text="By the client's clock, where it says so with its zone.")
    label = models.CharField(max_length=200, blank=True, help_text="The client's project name.")
    country = models.CharField(max_length=3, blank=True)
    region = models.CharField(max_length=120, blank=True)
    provider = models.CharField(max_length=120, blank=True)
    os = models.CharField(max_length=200, blank=True)
    python_version = models.CharField(max_length=60, blank=True)
    client_version = models.CharField(max_length=40, blank=True)
    cpu_count = models.PositiveIntegerField(null=True)
    cpu_model = models.CharField(max_length=200, blank=True)
    gpu_count = models.PositiveIntegerField(null=True)
    gpu_model = models.CharField(max_length=200, blank=True)
    ram_gb = models.DecimalField(max_digits=30, decimal_places=15, null=True)
    tracking_mode = models.CharField(max_length=20, blank=True)
    pue = models.DecimalField(max_digits=8, decimal_places=4, null=True, help_text="Only the webhook sends it.")
    sent = models.TextField(help_text="The body as it was received.")
    content_sha256 = models.CharField(max_length=64)
    token = models.ForeignKey(ProjectToken, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["experiment", "client_run"], name="one_meter_run_per_client_run"),
            models.UniqueConstraint(fields=["experiment", "content_sha256"], name="one_meter_run_per_body"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["experiment", "-received_at"], name="meter_runs_latest"),
        ]
        ordering: ClassVar[list[str]] = ["experiment", "-received_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.experiment} {self.client_run or self.pk}"


class MeterReading(models.Model):
    """What a client measured: since its last reading over the API, since the run began over the webhook. Append-only.

    The webhook's time has no zone; such a reading belongs to the moment at which it was received, unless the client's
    clock says another day.
    """

    class Kind(models.TextChoices):
        INCREMENT = "increment", "Since the last reading"
        TOTAL = "total", "Since the run began"

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(MeterRun, on_delete=models.PROTECT, related_name="readings")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    stamp = models.DateTimeField(help_text="The client's time, or its wall clock written as UTC.")
    measured_at = models.DateTimeField(help_text="The client's time, or the receipt where the client gives no zone.")
    duration_s = _measured("s")
    cpu_energy_kwh = _measured("kWh")
    gpu_energy_kwh = _measured("kWh")
    ram_energy_kwh = _measured("kWh")
    energy_kwh = _measured("kWh at the site: the PUE that the client was given is in it.")
    cpu_power_w = _measured("W")
    gpu_power_w = _measured("W")
    ram_power_w = _measured("W")
    claimed_co2e_kg = _measured("kg CO2e by the client's own factors: kept, never counted.")
    sent = models.TextField(help_text="The body as it was received.")
    content_sha256 = models.CharField(max_length=64)
    token = models.ForeignKey(ProjectToken, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "kind", "stamp"], name="one_meter_reading_per_moment"),
            models.CheckConstraint(
                name="meter_reading_plausible",
                condition=models.Q(
                    duration_s__gt=0,
                    energy_kwh__gte=0,
                    energy_kwh__lt=10**12,
                    claimed_co2e_kg__gte=0,
                    claimed_co2e_kg__lt=10**13,
                ),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["run", "measured_at"], name="meter_readings_by_moment"),
        ]
        ordering: ClassVar[list[str]] = ["run", "measured_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.run} at {self.measured_at}"
