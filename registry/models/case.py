"""Cases: corrections after verification, appeals, enforcement, debts in permits, and regimes of operators."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Approval, User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.ledger.models import Journal
from registry.models.compliance import Sanction
from registry.models.operator import Operator
from registry.models.report import EvidenceFile
from registry.models.scheme import Period

CASE = Lifecycle(
    "case",
    {"open": {"upheld", "dismissed", "withdrawn"}, "upheld": set(), "dismissed": set(), "withdrawn": set()},
)


class Case(models.Model):
    """Something about an operator's period that is contested or found wrong: opened, argued, decided by two officers.

    A correction changes what is owed by a new obligation version; an appeal is against an allocation, an estimate, a
    status or a sanction. Upheld means that whoever opened it was right.
    """

    class Kind(models.TextChoices):
        CORRECTION = "correction", "Correction of a verified report"
        APPEAL = "appeal", "Appeal"
        INVALIDATION = "invalidation", "Invalidated permits to replace"
        INSOLVENCY = "insolvency", "Insolvency"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    subject = models.CharField(
        max_length=20, help_text="report, estimate, allocation, status, sanction, surrender or operator."
    )
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="cases")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="cases")
    sanction = models.ForeignKey(Sanction, null=True, on_delete=models.PROTECT, related_name="appeals")
    grounds = models.TextField(max_length=4000)
    quantity = models.BigIntegerField(null=True, help_text="Permits in dispute, or the corrected figure in permits.")
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    evidence = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=20, choices=CASE.choices, default=CASE.initial)
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, help_text="When the replacement or the decision is due.")
    decision = models.TextField(max_length=4000, blank=True)
    approval = models.OneToOneField(Approval, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="decided_case_has_its_time",
                condition=models.Q(status="open") | models.Q(decided_at__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["-opened_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            CASE.trigger(),
            pgtrigger.Protect(
                name="case_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("kind", "subject", "operator", "period", "grounds", "opened_by"),
            ),
            pgtrigger.Protect(name="case_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.operator} {self.period.year} ({self.status})"


class DebtEntry(models.Model):
    """A line of what an operator owes in permits beside its obligations: above zero is new debt, below zero is paid.

    The sum of an operator's lines is its debt in a scheme and never below zero. Append-only. Debts come before new
    free permits, and block what is beyond the free balance.
    """

    class Kind(models.TextChoices):
        BORROWED = "borrowed", "Borrowed from a later period"
        TRUE_UP = "true_up", "Negative true-up"
        SANCTION = "sanction", "Permits as sanction"
        EXCESS = "excess", "Banking above the limit"
        PAID = "paid", "Paid"

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="debt_entries")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="debt_entries")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    quantity = models.BigIntegerField()
    reference = models.CharField(max_length=160, unique=True, help_text="What it stands for, so that it counts once.")
    journal = models.ForeignKey(Journal, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="debt_line_says_its_side",
                condition=models.Q(kind="paid", quantity__lt=0) | (~models.Q(kind="paid") & models.Q(quantity__gt=0)),
            ),
        ]
        ordering: ClassVar[list[str]] = ["operator", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator}: {self.quantity} {self.kind}"


ENFORCEMENT = Lifecycle(
    "enforcement",
    {"planned": {"done", "held", "cancelled"}, "held": {"planned", "cancelled"}, "done": set(), "cancelled": set()},
)


class Enforcement(models.Model):
    """One step of the ladder against one operator's shortfall: when it comes, and what it did."""

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="enforcements")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="enforcements")
    action = models.CharField(max_length=20)
    due_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=ENFORCEMENT.choices, default=ENFORCEMENT.initial)
    done_at = models.DateTimeField(null=True)
    result = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "period", "action"], name="one_step_of_the_ladder_each"),
        ]
        ordering: ClassVar[list[str]] = ["due_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            ENFORCEMENT.trigger(),
            pgtrigger.Protect(name="enforcement_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.action} against {self.operator} ({self.status})"


class RegimeStatus(models.Model):
    """Which part of the scheme applied to an operator in a year, and the state of the threshold rule. Append-only."""

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="regimes")
    year = models.PositiveSmallIntegerField()
    version = models.PositiveSmallIntegerField(default=1)
    regime = models.CharField(max_length=20)
    state = models.CharField(max_length=10, help_text="OUT, IN or LEAVING.")
    reports_below = models.PositiveSmallIntegerField(default=0)
    target = models.BigIntegerField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "year", "version"], name="one_regime_per_year_and_version"),
        ]
        ordering: ClassVar[list[str]] = ["operator", "-year", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} {self.year}: {self.regime} ({self.state})"


class CohortCheck(models.Model):
    """The yearly look at whether an operator still belongs to its cohort, with the evidence. Append-only."""

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="cohort_checks")
    year = models.PositiveSmallIntegerField()
    cohort = models.CharField(max_length=20)
    holds = models.BooleanField()
    reason = models.CharField(max_length=500)
    evidence = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="+")
    checked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "year"], name="one_cohort_check_per_year"),
        ]
        ordering: ClassVar[list[str]] = ["operator", "-year"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} {self.year}: {'holds' if self.holds else 'does not hold'}"
