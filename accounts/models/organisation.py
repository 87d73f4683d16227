"""Organisations and the roles people have in them."""

import uuid
from typing import ClassVar

import pgtrigger
from django.conf import settings
from django.db import models

from common.lifecycle import Lifecycle

ORGANISATION = Lifecycle(
    "organisation",
    {"active": {"suspended", "closed"}, "suspended": {"active", "closed"}, "closed": set()},
)


class Organisation(models.Model):
    """A firm, lab, verifier, regulator or auditor. Its rows everywhere are visible to its own members."""

    class Kind(models.TextChoices):
        FIRM = "firm", "Firm"
        LAB = "lab", "Academic lab"
        VERIFIER = "verifier", "Verifier"
        REGULATOR = "regulator", "Regulator"
        AUDITOR = "auditor", "Auditor"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    status = models.CharField(max_length=20, choices=ORGANISATION.choices, default=ORGANISATION.initial)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="organisation_kind_known",
                condition=models.Q(kind__in=["firm", "lab", "verifier", "regulator", "auditor"]),
            ),
        ]
        ordering: ClassVar[list[str]] = ["name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [ORGANISATION.trigger()]

    def __str__(self) -> str:
        return self.name

    @property
    def trades(self) -> bool:
        """Whether this kind of organisation holds permits and may trade them."""
        return self.kind in {self.Kind.FIRM, self.Kind.LAB}


class Membership(models.Model):
    """One person's role in one organisation. It is ended by date, not deleted: old acts keep their actor's role."""

    class Role(models.TextChoices):
        VIEWER = "viewer", "Viewer"
        INITIATOR = "initiator", "Initiator"
        APPROVER = "approver", "Approver"
        TRADER = "trader", "Trader"
        VERIFIER = "verifier", "Verifier"
        DESK_OFFICER = "desk_officer", "Desk officer"
        SENIOR_OFFICER = "senior_officer", "Senior officer"
        MARKET_MONITOR = "market_monitor", "Market monitor"
        AUDITOR = "auditor", "Auditor"

    ROLES_OF_KIND: ClassVar[dict[str, frozenset[str]]] = {
        "firm": frozenset({"viewer", "initiator", "approver", "trader"}),
        "lab": frozenset({"viewer", "initiator", "approver", "trader"}),
        "verifier": frozenset({"viewer", "verifier"}),
        "regulator": frozenset({"viewer", "desk_officer", "senior_officer", "market_monitor"}),
        "auditor": frozenset({"auditor"}),
    }

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    granted_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["user", "organisation", "role"],
                condition=models.Q(ended_at__isnull=True),
                name="one_live_membership_per_role",
            ),
        ]
        ordering: ClassVar[list[str]] = ["organisation", "user", "role"]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()} of {self.organisation}"
