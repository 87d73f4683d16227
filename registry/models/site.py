"""Where compute happens: sites with their PUE, systems with their meters, models, and the workloads run on them."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.validators import RegexValidator
from django.db import models

from accounts.models import Organisation, User
from common.append_only import append_only_triggers
from registry.models.report import EvidenceFile, ReportLine

ZONE = RegexValidator(r"^[A-Z][A-Z0-9_-]{1,19}$", "Write the grid zone in capital letters, as in CISO or FRA.")


class Site(models.Model):
    """A place with one grid connection. Its zone decides which hourly intensities its energy is computed with."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="sites")
    name = models.CharField(max_length=120)
    country = models.CharField(max_length=3, help_text="ISO 3166 in three capital letters.")
    zone = models.CharField(max_length=20, validators=[ZONE], help_text="Grid zone, or the country where there is one.")
    opened_on = models.DateField()
    closed_on = models.DateField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organisation", "name"], name="one_site_per_name"),
            models.CheckConstraint(
                name="site_days_in_order",
                condition=models.Q(closed_on__isnull=True) | models.Q(closed_on__gte=models.F("opened_on")),
            ),
        ]
        ordering: ClassVar[list[str]] = ["organisation", "name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="site_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="site_frozen", operation=pgtrigger.Update, condition=pgtrigger.AnyChange("organisation")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class SitePue(models.Model):
    """The power usage effectiveness of a site in one year, with its proof. A correction is a new row. Append-only."""

    id = models.BigAutoField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="pues")
    year = models.PositiveSmallIntegerField()
    value = models.DecimalField(max_digits=5, decimal_places=3, help_text="Facility energy over IT energy.")
    evidence = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="+")
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="pue_plausible", condition=models.Q(value__gte=1, value__lte=3)),
        ]
        ordering: ClassVar[list[str]] = ["site", "-year", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.site} {self.year}: {self.value}"


class System(models.Model):
    """Machines of one kind at one site, measured in one way."""

    class Tier(models.IntegerChoices):
        TYPED = 0, "0: typed figures"
        SIGNED = 1, "1: signed file"
        COUNTED = 2, "2: device counters"
        METERED = 3, "3: facility meter or bill"
        ATTESTED = 4, "4: attested agent"
        GUARANTEED = 5, "5: guaranteed by hardware"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="systems")
    name = models.CharField(max_length=120)
    hardware = models.CharField(max_length=120, help_text="The accelerator or processor, as in H100 SXM.")
    devices = models.PositiveIntegerField()
    watts_per_device = models.DecimalField(max_digits=9, decimal_places=2, help_text="Rated power of one device in W.")
    peak_flop_per_second = models.DecimalField(
        max_digits=24,
        decimal_places=0,
        null=True,
        blank=True,
        help_text="Peak of one device in FLOP/s, dense, at the number format used.",
    )
    number_format = models.CharField(max_length=20, blank=True, help_text="As in BF16 or FP8.")
    tier = models.PositiveSmallIntegerField(choices=Tier.choices, help_text="How its energy is measured.")
    meter = models.CharField(max_length=200, blank=True, help_text="What measures it, with serial numbers.")
    opened_on = models.DateField()
    closed_on = models.DateField(null=True, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["site", "name"], name="one_system_per_name"),
            models.CheckConstraint(
                name="system_plausible",
                condition=models.Q(devices__gte=1, watts_per_device__gt=0, watts_per_device__lte=100_000, tier__lte=5),
            ),
        ]
        ordering: ClassVar[list[str]] = ["site", "name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="system_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(name="system_frozen", operation=pgtrigger.Update, condition=pgtrigger.AnyChange("site")),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.site}"


class SystemEvidence(models.Model):
    """What shows that a system is measured at a tier: a certificate, a bill, a sample of its log. Append-only."""

    id = models.BigAutoField(primary_key=True)
    system = models.ForeignKey(System, on_delete=models.PROTECT, related_name="proofs")
    tier = models.PositiveSmallIntegerField(choices=System.Tier.choices[1:])
    file = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=200, blank=True)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="proof_of_a_tier", condition=models.Q(tier__gte=1, tier__lte=5)),
        ]
        ordering: ClassVar[list[str]] = ["system", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.file} for tier {self.tier} of {self.system}"


class AiModel(models.Model):
    """A model that an organisation trains or serves, with the sizes from which its compute follows."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="ai_models")
    name = models.CharField(max_length=120)
    architecture = models.CharField(
        max_length=20,
        choices=[("dense", "Dense transformer"), ("moe", "Mixture of experts"), ("other", "Other")],
    )
    parameters = models.DecimalField(max_digits=18, decimal_places=0, null=True, blank=True)
    active_parameters = models.DecimalField(
        max_digits=18, decimal_places=0, null=True, blank=True, help_text="Parameters active for one token."
    )
    task_class = models.CharField(max_length=40, blank=True, help_text="As in text_generation.")
    upstream = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="downstream")
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organisation", "name"], name="one_ai_model_per_name"),
            models.CheckConstraint(
                name="active_parameters_among_all",
                condition=models.Q(parameters__isnull=True)
                | models.Q(active_parameters__isnull=True)
                | models.Q(active_parameters__lte=models.F("parameters")),
            ),
        ]
        ordering: ClassVar[list[str]] = ["organisation", "name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="ai_model_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name


class Workload(models.Model):
    """A run or a serving stream: one activity of one model on one system. Measurements and report lines point to it."""

    class Kind(models.TextChoices):
        RUN = "run", "Run"
        STREAM = "stream", "Serving stream"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    system = models.ForeignKey(System, on_delete=models.PROTECT, related_name="workloads")
    ai_model = models.ForeignKey(AiModel, null=True, blank=True, on_delete=models.PROTECT, related_name="workloads")
    name = models.CharField(max_length=160)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    activity = models.CharField(max_length=20, choices=ReportLine.Activity.choices)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    ended_on = models.DateField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["system", "name"], name="one_workload_per_name"),
        ]
        ordering: ClassVar[list[str]] = ["system", "name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="workload_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="workload_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("system", "kind", "activity"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.system}"
