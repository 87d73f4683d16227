"""What operators owe and what they gave: obligations, surrenders, status letters and sanctions."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.ledger.models import Journal
from registry.models.operator import Operator
from registry.models.report import Report
from registry.models.scheme import Period


class Obligation(models.Model):
    """How many permits an operator owes for one period, and the report version that says so.

    Append-only: a corrected report gives a new version, and the latest version is what is owed.
    """

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="obligations")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="obligations")
    version = models.PositiveSmallIntegerField()
    report = models.OneToOneField(Report, on_delete=models.PROTECT, related_name="obligation")
    quantity = models.BigIntegerField(help_text="Whole permits, by rule R6.")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "period", "version"], name="one_obligation_per_version"),
            models.CheckConstraint(
                name="obligation_in_range", condition=models.Q(quantity__gte=0, quantity__lte=10**15)
            ),
        ]
        ordering: ClassVar[list[str]] = ["period", "operator", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} owes {self.quantity} for {self.period.year}"


class Surrender(models.Model):
    """Permits given up for a period, with the instant they were received. Append-only: a unit counts once.

    What is given back is a row of its own below zero, dated when it happened: the first row stays, and the sum up to
    any instant is what counted then.
    """

    class Kind(models.TextChoices):
        OWN = "own", "Surrendered"
        STANDING = "standing", "Surrendered by standing instruction"
        AUTO_DEDUCTED = "auto_deducted", "Deducted after the deadline"
        SET_OFF = "set_off", "Set off against an allocation"
        REMAINDER = "remainder", "What was kept when the rest was given back"
        REVERSED = "reversed", "Given back"
        INVALIDATED = "invalidated", "Found invalid after use"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="surrenders")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="surrenders")
    quantity = models.BigIntegerField()
    key = models.UUIDField(unique=True)
    journal = models.OneToOneField(Journal, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField(help_text="Receipt instant, taken in the database under the period's lock.")
    surrendered_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.OWN)
    reverses = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="reversal")
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was given back or found invalid.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="surrender_in_range",
                condition=models.Q(
                    reverses__isnull=True,
                    kind__in=["own", "standing", "auto_deducted", "set_off", "remainder"],
                    quantity__gte=1,
                    quantity__lte=10**15,
                )
                | models.Q(
                    reverses__isnull=False,
                    kind__in=["reversed", "invalidated"],
                    quantity__lte=-1,
                    quantity__gte=-(10**15),
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["-received_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} surrendered {self.quantity}"


class ComplianceRecord(models.Model):
    """An operator's status letter at an instant: the official one at the deadline, and later ones when cured.

    Append-only; `superseded` does not exist: the latest record is the present status, the first at a deadline is the
    published one.
    """

    class Occasion(models.TextChoices):
        DEADLINE = "deadline", "At the deadline"
        LATER = "later", "Since then"

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="compliance_records")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="compliance_records")
    occasion = models.CharField(max_length=20, choices=Occasion.choices)
    status = models.CharField(max_length=20, help_text="A, B, C, EXCLUDED or NOT_APPLICABLE.")
    owed = models.BigIntegerField(help_text="Obligations of all years so far.")
    surrendered = models.BigIntegerField(help_text="Permits surrendered so far, net.")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["operator", "period"],
                condition=models.Q(occasion="deadline"),
                name="one_status_at_the_deadline",
            ),
        ]
        ordering: ClassVar[list[str]] = ["period", "operator", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} {self.period.year}: {self.status}"


class LetterRemoval(models.Model):
    """A published letter that was taken off the public pages, and why. The removal itself stays public. Append-only."""

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="letter_removals")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="letter_removals")
    reason = models.CharField(max_length=500)
    removed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "period"], name="one_removal_per_letter"),
        ]
        ordering: ClassVar[list[str]] = ["-at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"Letter of {self.operator} for {self.period.year} removed"


SANCTION = Lifecycle(
    "sanction",
    {"due": {"paid", "waived", "in_appeal"}, "in_appeal": {"due", "waived"}, "paid": set(), "waived": set()},
)


class Sanction(models.Model):
    """What a breach costs by the rules in force then: money (rule R8), permits, or both.

    `shortfall` is the permits that the sanction is about: those missing at the deadline, or left unreplaced, or
    understated in a report, or used above a target. Where `make_good` is false, paying it ends what was missing.
    """

    class Kind(models.TextChoices):
        SHORTFALL = "shortfall", "Permits missing at the deadline"
        INVALIDATION = "invalidation", "Invalid permits not replaced"
        MISREPORT = "misreport", "Report found too low"
        TARGET = "target", "Use above the target"
        NOTICE = "notice", "Threshold exceeded without notice"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="sanctions")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="sanctions")
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.SHORTFALL)
    case = models.ForeignKey("registry.Case", null=True, on_delete=models.PROTECT, related_name="sanctions")
    make_good = models.BooleanField(default=True, help_text="The missing permits stay owed whatever was paid.")
    shortfall = models.BigIntegerField()
    amount_minor = models.BigIntegerField()
    mode = models.CharField(max_length=20, default="CASH", help_text="CASH, PERMITS or PRICE_MULT.")
    permits = models.BigIntegerField(default=0, help_text="Permits owed as the sanction itself.")
    steps = models.JSONField(default=list, encoder=DjangoJSONEncoder, help_text="How the figures follow.")
    status = models.CharField(max_length=20, choices=SANCTION.choices, default=SANCTION.initial)
    imposed_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    journal = models.OneToOneField(Journal, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was waived.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["operator", "period", "kind"],
                condition=models.Q(case__isnull=True),
                name="one_sanction_per_period_and_kind",
            ),
            models.UniqueConstraint(fields=["case", "kind"], name="one_sanction_per_case_and_kind"),
            models.CheckConstraint(name="sanction_in_range", condition=models.Q(shortfall__gte=1, amount_minor__gte=0)),
        ]
        ordering: ClassVar[list[str]] = ["-imposed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            SANCTION.trigger(),
            pgtrigger.Protect(
                name="sanction_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "operator",
                    "period",
                    "kind",
                    "case",
                    "make_good",
                    "shortfall",
                    "amount_minor",
                    "mode",
                    "permits",
                    "steps",
                    "imposed_at",
                ),
            ),
            pgtrigger.Protect(name="sanction_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.operator} {self.period.year}: {self.amount_minor}"
