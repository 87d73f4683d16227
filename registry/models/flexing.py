"""Two-tier inference: tariffs and their operating points, forecasts, flexed requests, and avoided-emission claims.

The scheme is that of arXiv 2605.27309 in our own formalisation (docs/guides/green-inference.md). A claim is a signed
statement about hours that are over. It is no permit: nothing here has a key into the ledger, and a claim never changes
its organisation.
"""

import uuid
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from accounts.models import Organisation, User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.models.site import ZONE, Workload

CLAIM = Lifecycle(
    "claim",
    {
        "draft": {"submitted", "withdrawn"},
        "submitted": {"attested", "withdrawn"},
        "attested": {"published", "withdrawn"},
        "published": {"withdrawn"},
        "withdrawn": set(),
    },
)
"""A claim whose inputs have changed since its draft is withdrawn and drafted anew; nothing brings it back."""

NOT_A_PERMIT = (
    "A statement about past hours. It is never a permit: it cannot be transferred, surrendered or banked, "
    "and it has no entry in the ledger."
)


class Tariff(models.Model):
    """One version of a contract that subscribers are offered. Published once, it only gets a last day."""

    class Tier(models.TextChoices):
        FULL = "full", "Full"
        GREEN = "green", "Green"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="tariffs")
    name = models.CharField(max_length=120)
    version = models.PositiveSmallIntegerField()
    tier = models.CharField(max_length=5, choices=Tier.choices)
    discount = models.DecimalField(max_digits=6, decimal_places=5, help_text="Share of the full price, 0 to 1.")
    accuracy_floor = models.DecimalField(max_digits=6, decimal_places=5, help_text="Lowest accuracy served, 0 to 1.")
    latency_ceiling_ms = models.DecimalField(max_digits=12, decimal_places=3, help_text="Longest latency served.")
    flex_cap = models.DecimalField(
        max_digits=6, decimal_places=5, help_text="Largest share of the green requests of an hour that may be flexed."
    )
    hours_per_day = models.PositiveSmallIntegerField(
        null=True, help_text="How many of the dirtiest forecast hours of a day count as high-carbon."
    )
    percentile = models.DecimalField(
        max_digits=5,
        decimal_places=2,
        null=True,
        help_text="Or: hours whose forecast lies above this percentile of the day's.",
    )
    shift_hours = models.PositiveSmallIntegerField(
        default=0, help_text="By how many hours a request may be put off; 0 where none is."
    )
    notice_hours = models.PositiveSmallIntegerField(
        default=0, help_text="How long before the day begins its forecast is published at the latest."
    )
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, help_text="Last day of this version.")
    published_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organisation", "name", "version"], name="one_tariff_per_version"),
            models.CheckConstraint(
                name="tariff_shares_between_0_and_1",
                condition=models.Q(
                    discount__gte=0,
                    discount__lt=1,
                    accuracy_floor__gte=0,
                    accuracy_floor__lte=1,
                    flex_cap__gte=0,
                    flex_cap__lte=1,
                    latency_ceiling_ms__gt=0,
                ),
            ),
            models.CheckConstraint(
                name="tariff_days_in_order",
                condition=models.Q(valid_until__isnull=True) | models.Q(valid_until__gte=models.F("valid_from")),
            ),
            models.CheckConstraint(
                name="green_tariff_says_its_hours",
                condition=models.Q(
                    tier="full", flex_cap=0, hours_per_day__isnull=True, percentile__isnull=True, shift_hours=0
                )
                | (
                    models.Q(tier="green", shift_hours__lte=23)
                    & (
                        models.Q(hours_per_day__gte=1, hours_per_day__lte=24, percentile__isnull=True)
                        | models.Q(hours_per_day__isnull=True, percentile__gte=0, percentile__lte=100)
                    )
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["organisation", "name", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="tariff_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="tariff_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["valid_until"]),
            ),
            pgtrigger.Protect(
                name="tariff_ends_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.valid_until IS NOT NULL"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version} of {self.organisation}"


class TariffPoint(models.Model):
    """One way in which a tariff's requests are served, with its published quality and energy. Append-only.

    Number 0 is full quality. Serving records name a point by its code.
    """

    id = models.BigAutoField(primary_key=True)
    tariff = models.ForeignKey(Tariff, on_delete=models.PROTECT, related_name="points")
    number = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=40)
    accuracy = models.DecimalField(max_digits=6, decimal_places=5, help_text="On the published task, 0 to 1.")
    latency_ms = models.DecimalField(max_digits=12, decimal_places=3, help_text="Typical latency of a request.")
    kwh_per_request = models.DecimalField(max_digits=30, decimal_places=12)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tariff", "number"], name="one_point_per_number"),
            models.UniqueConstraint(fields=["tariff", "code"], name="one_point_per_code"),
            models.CheckConstraint(
                name="point_plausible",
                condition=models.Q(
                    accuracy__gte=0, accuracy__lte=1, latency_ms__gt=0, kwh_per_request__gt=0, kwh_per_request__lt=10**6
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["tariff", "number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return self.code


class Forecast(models.Model):
    """What an organisation expected of a zone's next day, dated by our receipt and not by its author. Append-only."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="forecasts")
    zone = models.CharField(max_length=20, validators=[ZONE])
    day = models.DateField(help_text="The UTC day that it is for.")
    values = ArrayField(
        models.DecimalField(
            max_digits=10, decimal_places=3, validators=[MinValueValidator(0), MaxValueValidator(1500)]
        ),
        size=24,
        help_text="g CO2e/kWh of hours 0 to 23 UTC.",
    )
    source = models.CharField(max_length=200, help_text="Who made it and how.")
    sha256 = models.CharField(max_length=64)
    published_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(help_text="When the registry received it.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["organisation", "zone", "day", "published_at"], name="one_forecast_per_instant"
            ),
            models.CheckConstraint(name="forecast_of_24_hours", condition=models.Q(values__len=24)),
        ]
        ordering: ClassVar[list[str]] = ["-day", "zone", "-published_at", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.zone} on {self.day}"


class FlexEvent(models.Model):
    """Requests of one hour that were served at a lower point, or put off to a later hour. Append-only."""

    class Kind(models.TextChoices):
        DEGRADE = "degrade", "Served at a lower point"
        SHIFT = "shift", "Put off to a later hour"

    id = models.BigAutoField(primary_key=True)
    tariff = models.ForeignKey(Tariff, on_delete=models.PROTECT, related_name="events")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="flex_events")
    forecast = models.ForeignKey(Forecast, on_delete=models.PROTECT, related_name="events")
    hour = models.DateTimeField(help_text="Beginning of the hour in which the requests came, UTC.")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    point = models.ForeignKey(TariffPoint, on_delete=models.PROTECT, related_name="+")
    served_at = models.DateTimeField(help_text="Beginning of the hour in which they were served.")
    requests = models.BigIntegerField()
    forecast_g_per_kwh = models.DecimalField(max_digits=10, decimal_places=3)
    actual_g_per_kwh = models.DecimalField(
        max_digits=12, decimal_places=6, null=True, help_text="As known when the event was recorded."
    )
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["workload", "hour", "point", "served_at"], name="one_flex_event_per_hour_and_point"
            ),
            models.CheckConstraint(
                name="flex_event_moves_something",
                condition=models.Q(requests__gt=0)
                & (
                    models.Q(kind="degrade", served_at=models.F("hour"))
                    | models.Q(kind="shift", served_at__gt=models.F("hour"))
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["-hour", "workload", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.requests} requests of {self.workload} at {self.hour:%Y-%m-%d %H:%M}"


class AvoidedClaim(models.Model):
    """What a stream claims to have avoided in a span of hours, computed by us from frozen inputs. Never a permit."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="avoided_claims")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="avoided_claims")
    tariff = models.ForeignKey(Tariff, on_delete=models.PROTECT, related_name="claims")
    zone = models.CharField(max_length=20)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="The first instant after the last hour.")
    status = models.CharField(max_length=10, choices=CLAIM.choices, default=CLAIM.initial)
    serial = models.CharField(max_length=40, blank=True, help_text="Given when it is published.")
    baseline_rule = models.CharField(max_length=40)
    baseline_g = models.DecimalField(max_digits=30, decimal_places=6)
    actual_g = models.DecimalField(max_digits=30, decimal_places=6)
    avoided_g = models.DecimalField(max_digits=30, decimal_places=6)
    energy_effect_g = models.DecimalField(max_digits=30, decimal_places=6)
    timing_effect_g = models.DecimalField(max_digits=30, decimal_places=6)
    not_credited_g = models.DecimalField(
        max_digits=30, decimal_places=6, help_text="What would have been avoided in hours whose intensity was filled."
    )
    requests = models.BigIntegerField()
    flexed = models.BigIntegerField()
    subscribers = models.PositiveIntegerField()
    subscribers_before = models.PositiveIntegerField(null=True, help_text="In the same hours a year earlier.")
    requests_before = models.BigIntegerField(null=True, help_text="In the same hours a year earlier.")
    marginal_g = models.DecimalField(
        max_digits=30,
        decimal_places=6,
        null=True,
        help_text="By marginal factors, where they are loaded. Only to be read.",
    )
    checks = models.JSONField(default=list, encoder=DjangoJSONEncoder)
    inputs = models.JSONField(encoder=DjangoJSONEncoder, help_text="All that the figures follow from.")
    inputs_sha256 = models.CharField(max_length=64)
    drafted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    drafted_at = models.DateTimeField()
    submitted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(null=True)
    published_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)
    withdrawal_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table_comment = NOT_A_PERMIT
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="claim_hours_in_order", condition=models.Q(starts_at__lt=models.F("ends_at"), subscribers__gt=0)
            ),
            models.CheckConstraint(
                name="claim_adds_up",
                condition=models.Q(
                    avoided_g=models.F("baseline_g") - models.F("actual_g") - models.F("not_credited_g"),
                )
                & models.Q(avoided_g=models.F("energy_effect_g") + models.F("timing_effect_g")),
            ),
            models.CheckConstraint(
                name="published_claim_has_its_number",
                condition=models.Q(status="withdrawn")
                | (models.Q(status="published", published_at__isnull=False) & ~models.Q(serial=""))
                | (~models.Q(status__in=["published", "withdrawn"]) & models.Q(serial="")),
            ),
            models.UniqueConstraint(fields=["serial"], condition=~models.Q(serial=""), name="one_claim_per_number"),
            models.CheckConstraint(
                name="submitted_claim_avoids_something",
                condition=models.Q(status__in=["draft", "withdrawn"])
                | models.Q(avoided_g__gt=0, submitted_at__isnull=False),
            ),
            models.CheckConstraint(
                name="withdrawn_claim_says_why",
                condition=~models.Q(status="withdrawn")
                | (models.Q(withdrawn_at__isnull=False) & ~models.Q(withdrawal_reason="")),
            ),
        ]
        ordering: ClassVar[list[str]] = ["-drafted_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            CLAIM.trigger(),
            pgtrigger.Protect(
                name="claim_never_changes_hands",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("organisation"),
            ),
            pgtrigger.Protect(
                name="claim_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "workload",
                    "tariff",
                    "zone",
                    "starts_at",
                    "ends_at",
                    "baseline_rule",
                    "baseline_g",
                    "actual_g",
                    "avoided_g",
                    "energy_effect_g",
                    "timing_effect_g",
                    "not_credited_g",
                    "requests",
                    "flexed",
                    "subscribers",
                    "subscribers_before",
                    "requests_before",
                    "marginal_g",
                    "checks",
                    "inputs",
                    "inputs_sha256",
                    "drafted_by",
                    "drafted_at",
                ),
            ),
            pgtrigger.Protect(
                name="claim_number_kept",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.serial <> '' AND OLD.serial <> NEW.serial"),
            ),
            pgtrigger.Protect(name="claim_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.serial or f"claim for {self.workload} from {self.starts_at:%Y-%m-%d}"


class ClaimHour(models.Model):
    """The evidence of a claim for one hour. While the claim lives, no other may have the same hour of the stream."""

    id = models.BigAutoField(primary_key=True)
    claim = models.ForeignKey(AvoidedClaim, on_delete=models.PROTECT, related_name="hours")
    workload = models.ForeignKey(Workload, on_delete=models.PROTECT, related_name="+")
    hour = models.DateTimeField()
    is_live = models.BooleanField(default=True, help_text="False once the claim is withdrawn.")
    is_high = models.BooleanField(help_text="Whether the forecast made it a high-carbon hour.")
    is_filled = models.BooleanField(help_text="Whether its intensity was missing and filled.")
    requests = models.BigIntegerField(help_text="That came in this hour.")
    flexed = models.BigIntegerField(help_text="Of them, served at a lower point or put off.")
    kwh = models.DecimalField(max_digits=30, decimal_places=12, help_text="Drawn in this hour.")
    forecast_g_per_kwh = models.DecimalField(max_digits=10, decimal_places=3, null=True)
    actual_g_per_kwh = models.DecimalField(max_digits=12, decimal_places=6)
    actual_g = models.DecimalField(max_digits=30, decimal_places=6, help_text="Emitted in this hour.")
    avoided_g = models.DecimalField(max_digits=30, decimal_places=6, help_text="By the requests that came in it.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["claim", "hour"], name="one_row_per_hour_of_a_claim"),
            models.UniqueConstraint(
                fields=["workload", "hour"], condition=models.Q(is_live=True), name="an_hour_is_claimed_once"
            ),
        ]
        ordering: ClassVar[list[str]] = ["claim", "hour"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="claim_hour_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="claim_hour_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["is_live"]),
            ),
            pgtrigger.Protect(
                name="claim_hour_stays_released",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("NOT OLD.is_live AND NEW.is_live"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M} of {self.claim}"


class ClaimStatement(models.Model):
    """The verifier's signed statement on a claim. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    claim = models.OneToOneField(AvoidedClaim, on_delete=models.PROTECT, related_name="statement")
    verifier = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="claim_statements")
    signed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField()
    findings = models.TextField(max_length=4000)
    document = models.JSONField(encoder=DjangoJSONEncoder, help_text="What was signed.")
    sha256 = models.CharField(max_length=64, help_text="Of the document in its canonical form.")
    key_id = models.CharField(max_length=64, blank=True)
    signature = models.CharField(max_length=200, blank=True, help_text="Ed25519 over the canonical form, base64.")

    class Meta:
        ordering: ClassVar[list[str]] = ["-signed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.verifier} on {self.claim}"
