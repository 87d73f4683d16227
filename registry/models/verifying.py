"""Verifying: who is accredited, who is appointed, what was checked and what was found."""

import uuid
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Organisation, User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.models.operator import Operator
from registry.models.report import Report, ReportLine
from registry.models.scheme import Period, Scheme

ACCREDITATION = Lifecycle(
    "accreditation",
    {"valid": {"suspended", "withdrawn"}, "suspended": {"valid", "withdrawn"}, "withdrawn": set()},
)

APPOINTMENT = Lifecycle(
    "appointment",
    {
        "proposed": {"accepted", "declined", "cancelled"},
        "accepted": {"ended"},
        "declined": set(),
        "cancelled": set(),
        "ended": set(),
    },
)
"""The operator proposes; the verifier accepts with a declaration of conflicts, or declines."""

APPOINTED = ("proposed", "accepted")
"""States of an appointment that leave no room for another one."""

FINDING = Lifecycle(
    "finding",
    {"open": {"answered", "closed"}, "answered": {"open", "closed"}, "closed": set()},
)
"""The operator answers; the verifier closes, or opens again what the answer does not settle."""


class Accreditation(models.Model):
    """What a verifier may verify in a scheme, and from when to when. A renewal is a new row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    verifier = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="accreditations")
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="accreditations")
    reference = models.CharField(max_length=100, help_text="The accreditation body and its number.")
    activities = ArrayField(models.CharField(max_length=20, choices=ReportLine.Activity.choices))
    valid_from = models.DateField()
    valid_until = models.DateField(help_text="The last day.")
    status = models.CharField(max_length=20, choices=ACCREDITATION.choices, default=ACCREDITATION.initial)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was suspended or withdrawn.")
    granted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    granted_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="accreditation_in_order",
                condition=models.Q(valid_until__gte=models.F("valid_from"), activities__len__gte=1),
            ),
            models.CheckConstraint(
                name="accreditation_lost_says_why", condition=models.Q(status="valid") | ~models.Q(reason="")
            ),
        ]
        ordering: ClassVar[list[str]] = ["verifier__name", "-valid_from", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            ACCREDITATION.trigger(),
            pgtrigger.Protect(
                name="accreditation_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "verifier",
                    "scheme",
                    "reference",
                    "activities",
                    "valid_from",
                    "valid_until",
                    "granted_by",
                    "granted_at",
                ),
            ),
            pgtrigger.Protect(name="accreditation_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.verifier} in {self.scheme}"


class Appointment(models.Model):
    """An operator's choice of the verifier for one period, and the verifier's declaration that nothing conflicts."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="appointments")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="appointments")
    verifier = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="appointments")
    status = models.CharField(max_length=20, choices=APPOINTMENT.choices, default=APPOINTMENT.initial)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    declaration = models.JSONField(
        default=dict, encoder=DjangoJSONEncoder, help_text="The verifier's answers to the questions on conflicts."
    )
    decided_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True, help_text="Why it was declined, cancelled or ended.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["operator", "period"],
                condition=models.Q(status__in=APPOINTED),
                name="one_verifier_per_operator_and_period",
            ),
            models.CheckConstraint(
                name="accepted_appointment_is_declared",
                condition=~models.Q(status__in=["accepted", "ended"])
                | (~models.Q(declaration={}) & models.Q(decided_by__isnull=False, decided_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="appointment_given_up_says_why",
                condition=models.Q(status__in=APPOINTED) | ~models.Q(reason=""),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["verifier", "status"], name="appointments_by_verifier")
        ]
        ordering: ClassVar[list[str]] = ["-proposed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            APPOINTMENT.trigger(),
            pgtrigger.Protect(
                name="appointment_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("operator", "period", "verifier", "proposed_by", "proposed_at"),
            ),
            pgtrigger.Protect(
                name="declaration_stands",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.status <> 'proposed' AND (OLD.declaration, OLD.decided_by_id, OLD.decided_at)"
                    " IS DISTINCT FROM (NEW.declaration, NEW.decided_by_id, NEW.decided_at)"
                ),
            ),
            pgtrigger.Protect(name="appointment_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.verifier} for {self.operator} in {self.period.year}"


class ChecklistAnswer(models.Model):
    """What the verifier did for one item of the checklist; the latest answer counts. Append-only."""

    class Outcome(models.TextChoices):
        DONE = "done", "Done"
        NOT_APPLICABLE = "not_applicable", "Does not apply"

    id = models.BigAutoField(primary_key=True)
    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="checklist_answers")
    item = models.CharField(max_length=40)
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    note = models.TextField(max_length=2000)
    answered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="checklist_answer_says_what", condition=~models.Q(note="")),
        ]
        ordering: ClassVar[list[str]] = ["report", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.item} of {self.report}: {self.outcome}"


class Finding(models.Model):
    """Something that the verifier found, its effect on the reported quantity, and what became of it."""

    class Kind(models.TextChoices):
        MISSTATEMENT = "misstatement", "Misstatement"
        NON_CONFORMITY = "non_conformity", "Non-conformity"
        RECOMMENDATION = "recommendation", "Recommendation for improvement"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    report = models.ForeignKey(Report, on_delete=models.PROTECT, related_name="verifier_findings")
    number = models.PositiveSmallIntegerField(help_text="Counted over the operator's period.")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    text = models.TextField(max_length=2000)
    line = models.ForeignKey(ReportLine, null=True, on_delete=models.PROTECT, related_name="findings")
    quantity = models.DecimalField(
        max_digits=40,
        decimal_places=6,
        default=0,
        help_text="Reported minus right, in the scheme's unit; below zero where too little was reported.",
    )
    corrected = models.BooleanField(default=False, help_text="A later version of the report puts it right.")
    due_on = models.DateField(null=True, help_text="By when the operator answers.")
    status = models.CharField(max_length=20, choices=FINDING.choices, default=FINDING.initial)
    raised_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    raised_at = models.DateTimeField()
    answer = models.TextField(max_length=2000, blank=True)
    answered_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True)
    closing = models.TextField(max_length=2000, blank=True, help_text="What the verifier says of the answer.")
    closed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["report", "number"], name="one_finding_per_number"),
            models.CheckConstraint(
                name="finding_quantity_finite",
                condition=models.Q(quantity__gt=-(10**33), quantity__lt=10**33)
                & (models.Q(kind="misstatement") | models.Q(quantity=0, corrected=False)),
            ),
            models.CheckConstraint(
                name="answered_finding_has_answer", condition=~models.Q(status="answered") | ~models.Q(answer="")
            ),
            models.CheckConstraint(
                name="closed_finding_says_by_whom",
                condition=~models.Q(status="closed")
                | (~models.Q(closing="") & models.Q(closed_by__isnull=False, closed_at__isnull=False)),
            ),
        ]
        ordering: ClassVar[list[str]] = ["report", "number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            FINDING.trigger(),
            pgtrigger.Protect(
                name="finding_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "report", "number", "kind", "text", "line", "quantity", "due_on", "raised_by", "raised_at"
                ),
            ),
            pgtrigger.Protect(name="finding_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.number} of {self.report}"
