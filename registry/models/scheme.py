"""Schemes, their compliance periods, and the caps that were published for them."""

import uuid
from datetime import datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

import pgtrigger
from django.db import models

from accounts.models import Approval
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.engine.deadlines import end_of_day
from registry.ledger.models import Asset

PERIOD = Lifecycle(
    "period",
    {"draft": {"open"}, "open": {"closing"}, "closing": {"closed"}, "closed": set()},
)


class Scheme(models.Model):
    """One cap-and-trade programme: what it counts, how much one permit covers, and in which money it trades.

    A scheme never changes once it exists: the trigger `scheme_frozen` refuses it, as permits were issued on its terms.
    """

    class Metric(models.TextChoices):
        FLOP = "flop", "FLOP"
        CO2E = "co2e", "CO2e"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    metric = models.CharField(max_length=10, choices=Metric.choices)
    unit_size = models.DecimalField(
        max_digits=40,
        decimal_places=6,
        help_text="How much one permit covers: FLOP in a FLOP scheme, grams of CO2e in a CO2e scheme.",
    )
    currency = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    zone = models.CharField(max_length=60, help_text="IANA time zone in which deadlines are read.")
    large_transfer = models.BigIntegerField(help_text="Transfers of this many permits or more need a second person.")
    sanction_minor = models.BigIntegerField(help_text="Cash sanction for each missing permit, in minor units.")
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="unit_size_positive_and_finite", condition=models.Q(unit_size__gt=0, unit_size__lt=10**30)
            ),
            models.CheckConstraint(name="scheme_metric_known", condition=models.Q(metric__in=["flop", "co2e"])),
            models.CheckConstraint(name="large_transfer_positive", condition=models.Q(large_transfer__gt=0)),
            models.CheckConstraint(name="sanction_not_negative", condition=models.Q(sanction_minor__gte=0)),
        ]
        ordering: ClassVar[list[str]] = ["code"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="scheme_frozen", operation=pgtrigger.Update | pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def tz(self) -> ZoneInfo:
        """The zone in which this scheme's deadlines are read."""
        return ZoneInfo(self.zone)

    @property
    def unit_name(self) -> str:
        """The unit in which reports are totalled."""
        return "FLOP" if self.metric == self.Metric.FLOP else "g CO2e"


class Period(models.Model):
    """One compliance period of a scheme, with its calendar and the permits of its vintage."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="periods")
    year = models.PositiveSmallIntegerField(help_text="The year of use, and the vintage of the permits.")
    starts_on = models.DateField()
    ends_on = models.DateField(help_text="Last day of use, included.")
    report_due = models.DateTimeField(help_text="A verified report must have been received before this instant.")
    surrender_due = models.DateTimeField(help_text="Permits must have been received before this instant.")
    permit = models.OneToOneField(Asset, on_delete=models.PROTECT, related_name="period")
    status = models.CharField(max_length=20, choices=PERIOD.choices, default=PERIOD.initial)
    names_public_at = models.DateTimeField(
        null=True, blank=True, help_text="From when letters are public by name; empty where that is with the closing."
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scheme", "year"], name="one_period_per_scheme_and_year"),
            models.CheckConstraint(
                name="period_calendar_in_order",
                condition=models.Q(starts_on__lt=models.F("ends_on"), report_due__lt=models.F("surrender_due")),
            ),
        ]
        ordering: ClassVar[list[str]] = ["scheme", "year"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            PERIOD.trigger(),
            pgtrigger.Protect(
                name="period_calendar_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("scheme", "year", "starts_on", "ends_on", "permit"),
            ),
            pgtrigger.Protect(
                name="period_deadlines_move_later_only",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__report_due__lt=pgtrigger.F("old__report_due"))
                | pgtrigger.Q(new__surrender_due__lt=pgtrigger.F("old__surrender_due")),
            ),
            pgtrigger.Protect(name="period_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.scheme.name} {self.year}"

    @property
    def use_ends_at(self) -> datetime:
        """The instant at which the last day of use ends, in the scheme's zone."""
        return end_of_day(self.ends_on, self.scheme.tz)

    @property
    def code(self) -> str:
        """The short name used in references and addresses, such as ai-flop-2030."""
        return f"{self.scheme.code}-{self.year}"


class Cap(models.Model):
    """A cap as it was published, by the approval that two officers gave. Append-only: a change is a new version."""

    id = models.BigAutoField(primary_key=True)
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="caps")
    version = models.PositiveSmallIntegerField()
    quantity = models.BigIntegerField()
    published_at = models.DateTimeField()
    approval = models.OneToOneField(Approval, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["period", "version"], name="one_cap_per_version"),
            models.CheckConstraint(name="cap_in_range", condition=models.Q(quantity__gte=1, quantity__lte=10**15)),
        ]
        ordering: ClassVar[list[str]] = ["period", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.period} cap {self.quantity}"
