"""The access programme: permits and compute that a regulator offers to academic labs, and what became of them."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Approval, Organisation, User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.ledger.models import Journal
from registry.models.operator import Operator
from registry.models.report import EvidenceFile
from registry.models.scheme import Period

PROGRAMME = Lifecycle(
    "programme",
    {
        "open": {"scoring", "cancelled"},
        "scoring": {"awarded", "cancelled"},
        "awarded": {"closed"},
        "closed": set(),
        "cancelled": set(),
    },
)
"""Applications come while it is open, scores while it is scored; it closes when every use report is accepted."""

APPLICATION = Lifecycle(
    "application",
    {"submitted": {"awarded", "declined", "withdrawn"}, "awarded": set(), "declined": set(), "withdrawn": set()},
)

AWARD = Lifecycle(
    "award",
    {"granted": {"reported"}, "reported": {"accepted", "granted"}, "accepted": set()},
)
"""The lab reports what it used the award for; the desk accepts the report, or asks for another one."""


class AccessProgramme(models.Model):
    """One call: what there is to give, by which criteria, until when, and when the use has to be reported."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="access_programmes")
    name = models.CharField(max_length=120)
    description = models.TextField(max_length=4000)
    permits = models.BigIntegerField(help_text="At most so many permits, from the set-aside of the period.")
    flop = models.DecimalField(max_digits=40, decimal_places=0, help_text="Compute that is promised, in FLOP.")
    criteria = models.JSONField(encoder=DjangoJSONEncoder, help_text="Code, title and weight of each criterion.")
    least_score = models.DecimalField(max_digits=4, decimal_places=2, help_text="Of 10; below it nothing is awarded.")
    deadline_at = models.DateTimeField(help_text="Applications are taken before this moment.")
    report_due_on = models.DateField(help_text="The last day for use reports.")
    status = models.CharField(max_length=20, choices=PROGRAMME.choices, default=PROGRAMME.initial)
    opened_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    approval = models.OneToOneField(Approval, null=True, on_delete=models.PROTECT, related_name="+")
    document = models.JSONField(null=True, encoder=DjangoJSONEncoder, help_text="The ranking by which it was awarded.")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the ranking in its canonical form.")
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was cancelled.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["period", "name"], name="one_programme_per_name"),
            models.CheckConstraint(
                name="programme_has_something_to_give",
                condition=models.Q(permits__gte=0, flop__gte=0, flop__lt=10**36)
                & (models.Q(permits__gt=0) | models.Q(flop__gt=0)),
            ),
            models.CheckConstraint(
                name="least_score_of_ten", condition=models.Q(least_score__gte=0, least_score__lte=10)
            ),
            models.CheckConstraint(
                name="awarded_programme_has_its_ranking",
                condition=~models.Q(status__in=["awarded", "closed"])
                | (models.Q(approval__isnull=False, document__isnull=False) & ~models.Q(sha256="")),
            ),
            models.CheckConstraint(
                name="cancelled_programme_says_why", condition=~models.Q(status="cancelled") | ~models.Q(reason="")
            ),
        ]
        ordering: ClassVar[list[str]] = ["-opened_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            PROGRAMME.trigger(),
            pgtrigger.Protect(
                name="programme_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "period",
                    "name",
                    "description",
                    "permits",
                    "flop",
                    "criteria",
                    "least_score",
                    "deadline_at",
                    "report_due_on",
                    "opened_by",
                    "opened_at",
                ),
            ),
            pgtrigger.Protect(name="programme_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return self.name


class AccessApplication(models.Model):
    """What a lab asks for, for which project. A mistake before the deadline is withdrawn and sent anew."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    programme = models.ForeignKey(AccessProgramme, on_delete=models.PROTECT, related_name="applications")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="access_applications")
    operator = models.ForeignKey(Operator, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(max_length=160, help_text="Published if it is awarded.")
    project = models.TextField(max_length=8000)
    team = models.TextField(max_length=2000)
    permits = models.BigIntegerField()
    flop = models.DecimalField(max_digits=40, decimal_places=0)
    accepts_part = models.BooleanField(help_text="Whether less than asked for is of use.")
    open_results = models.BooleanField(help_text="The pledge to publish the results openly.")
    evidence = models.ForeignKey(EvidenceFile, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=20, choices=APPLICATION.choices, default=APPLICATION.initial)
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["programme", "organisation", "title"],
                condition=~models.Q(status="withdrawn"),
                name="one_application_per_project",
            ),
            models.CheckConstraint(
                name="application_asks_for_something",
                condition=models.Q(permits__gte=0, flop__gte=0, flop__lt=10**36)
                & (models.Q(permits__gt=0) | models.Q(flop__gt=0)),
            ),
            models.CheckConstraint(
                name="permits_go_to_an_operator", condition=models.Q(permits=0) | models.Q(operator__isnull=False)
            ),
        ]
        ordering: ClassVar[list[str]] = ["programme", "submitted_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            APPLICATION.trigger(),
            pgtrigger.Protect(
                name="application_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(exclude=["status"]),
            ),
            pgtrigger.Protect(name="application_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.title}, {self.organisation}"


class AccessScore(models.Model):
    """What one assessor gives an application for one criterion, with the reason. Append-only."""

    id = models.BigAutoField(primary_key=True)
    application = models.ForeignKey(AccessApplication, on_delete=models.PROTECT, related_name="scores")
    assessor = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    criterion = models.CharField(max_length=40)
    points = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=1000)
    scored_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["application", "assessor", "criterion"], name="scored_once"),
            models.CheckConstraint(
                name="score_of_ten_with_reason", condition=models.Q(points__lte=10) & ~models.Q(reason="")
            ),
        ]
        ordering: ClassVar[list[str]] = ["application", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.points} for {self.criterion} of {self.application}"


class AccessAward(models.Model):
    """What an application was given. Permits have moved in the journal named; compute is a promise on record."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    application = models.OneToOneField(AccessApplication, on_delete=models.PROTECT, related_name="award")
    place = models.PositiveIntegerField(help_text="In the ranking of its programme.")
    permits = models.BigIntegerField()
    flop = models.DecimalField(max_digits=40, decimal_places=0)
    journal = models.ForeignKey(Journal, null=True, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=20, choices=AWARD.choices, default=AWARD.initial)
    granted_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="award_gives_something",
                condition=models.Q(permits__gte=0, flop__gte=0) & (models.Q(permits__gt=0) | models.Q(flop__gt=0)),
            ),
            models.CheckConstraint(
                name="awarded_permits_moved",
                condition=models.Q(permits=0, journal__isnull=True) | models.Q(permits__gt=0, journal__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["application__programme", "place"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            AWARD.trigger(),
            pgtrigger.Protect(
                name="award_frozen", operation=pgtrigger.Update, condition=pgtrigger.AnyChange(exclude=["status"])
            ),
            pgtrigger.Protect(name="award_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"award for {self.application}"


class AccessUse(models.Model):
    """A lab's report on what it used an award for; the latest one counts. Append-only."""

    id = models.BigAutoField(primary_key=True)
    award = models.ForeignKey(AccessAward, on_delete=models.PROTECT, related_name="uses")
    permits_used = models.BigIntegerField()
    flop_used = models.DecimalField(max_digits=40, decimal_places=0)
    results = models.TextField(max_length=4000, help_text="What came of it and where it is published.")
    evidence = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="+")
    reported_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reported_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="use_finite",
                condition=models.Q(permits_used__gte=0, flop_used__gte=0, flop_used__lt=10**36) & ~models.Q(results=""),
            ),
        ]
        ordering: ClassVar[list[str]] = ["award", "-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"use of the {self.award}"
