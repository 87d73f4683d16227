"""Grid factor sets: what a kilowatt-hour emits by zone and hour, or by country and year; versions never change."""

import uuid
from datetime import datetime
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Approval, User
from common.append_only import append_only_triggers
from registry.models.site import ZONE


class FactorSet(models.Model):
    """One version of a table of intensities with its four qualifiers. Append-only: a correction is the next version.

    Of one code the latest published version counts. Sets for obligations never speak twice about one zone and hour; all
    others are information. `zones` says for each zone what the rows span: first, last, rows and how many are missing.
    """

    class Resolution(models.TextChoices):
        HOUR = "hour", "by hour"
        YEAR = "year", "by year"

    class Kind(models.TextChoices):
        AVERAGE = "average", "average"
        MARGINAL = "marginal", "marginal"

    class Basis(models.TextChoices):
        DIRECT = "direct", "direct emissions"
        LIFE_CYCLE = "life_cycle", "life cycle"

    class Perspective(models.TextChoices):
        PRODUCTION = "production", "production"
        CONSUMPTION = "consumption", "consumption"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.SlugField(max_length=40, help_text="Names the table across its versions.")
    version = models.PositiveSmallIntegerField()
    resolution = models.CharField(max_length=4, choices=Resolution.choices)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    basis = models.CharField(max_length=10, choices=Basis.choices)
    perspective = models.CharField(max_length=11, choices=Perspective.choices)
    method = models.CharField(max_length=120, help_text="Version of the method by which the figures were made.")
    source = models.CharField(max_length=300)
    licence = models.CharField(max_length=120)
    retrieved_on = models.DateField()
    country = models.CharField(
        max_length=3, blank=True, help_text="Whose yearly figure stands in where an hour is missing: ISO 3166."
    )
    for_obligations = models.BooleanField(help_text="Reports are computed with it; otherwise it is information.")
    note = models.CharField(max_length=300, blank=True, help_text="What a later version corrects.")
    zones = models.JSONField(encoder=DjangoJSONEncoder)
    rows = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Hash of the file.")
    loaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    loaded_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["code", "version"], name="factor_sets_numbered_per_code"),
            models.CheckConstraint(
                name="obligations_use_averages",
                condition=models.Q(for_obligations=False) | models.Q(kind="average"),
            ),
            models.CheckConstraint(
                name="later_factor_set_says_why", condition=models.Q(version=1) | ~models.Q(note="")
            ),
        ]
        ordering: ClassVar[list[str]] = ["code", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"

    @property
    def published_at(self) -> datetime | None:
        """From when obligations use it."""
        return self.publication.published_at if hasattr(self, "publication") else None

    @property
    def used_for(self) -> str:
        """What the pages say of its use."""
        if not self.for_obligations:
            return "Information"
        return "Obligations" if self.published_at else "Nothing: not published"


class FactorSetPublication(models.Model):
    """From when a set counts for obligations: another officer than the one who loaded it approved that. Append-only."""

    factor_set = models.OneToOneField(FactorSet, primary_key=True, on_delete=models.PROTECT, related_name="publication")
    approval = models.OneToOneField(Approval, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["published_at", "factor_set"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.factor_set} from {self.published_at:%Y-%m-%d}"


class HourlyIntensity(models.Model):
    """What a kilowatt-hour of one zone emitted in the hour that begins then; nothing where it is not known.

    Append-only.
    """

    id = models.BigAutoField(primary_key=True)
    factor_set = models.ForeignKey(FactorSet, on_delete=models.PROTECT, related_name="hours")
    zone = models.CharField(max_length=20, validators=[ZONE])
    hour = models.DateTimeField(help_text="UTC, on the full hour.")
    g_per_kwh = models.DecimalField(max_digits=12, decimal_places=6, null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["factor_set", "zone", "hour"], name="one_intensity_per_zone_and_hour"),
            models.CheckConstraint(
                name="hourly_intensity_plausible",
                condition=models.Q(g_per_kwh__isnull=True) | models.Q(g_per_kwh__gte=0, g_per_kwh__lte=1500),
            ),
        ]
        ordering: ClassVar[list[str]] = ["factor_set", "zone", "hour"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.zone} {self.hour:%Y-%m-%dT%H}Z"


class AnnualIntensity(models.Model):
    """What a kilowatt-hour of one country or zone emitted on average in a year. Append-only."""

    id = models.BigAutoField(primary_key=True)
    factor_set = models.ForeignKey(FactorSet, on_delete=models.PROTECT, related_name="years")
    zone = models.CharField(max_length=20, validators=[ZONE])
    year = models.PositiveSmallIntegerField()
    g_per_kwh = models.DecimalField(max_digits=12, decimal_places=6)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["factor_set", "zone", "year"], name="one_intensity_per_zone_and_year"),
            models.CheckConstraint(
                name="annual_intensity_plausible", condition=models.Q(g_per_kwh__gte=0, g_per_kwh__lte=1500)
            ),
        ]
        ordering: ClassVar[list[str]] = ["factor_set", "zone", "year"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.zone} {self.year}"
