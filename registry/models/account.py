"""What the registry adds to a ledger account: its terms and grade, whom it trusts, groups, identity, and freezes."""

import uuid
from typing import ClassVar

import pgtrigger
from django.db import models

from accounts.models import Organisation, User
from common.lifecycle import Lifecycle
from registry.ledger.models import Asset, LedgerAccount
from registry.models.report import EvidenceFile
from registry.models.scheme import Period, Scheme

GRADE = Lifecycle(
    "account_grade",
    {
        "open": {"restricted", "receive_only", "suspended", "frozen", "transfer_pending", "closure_pending"},
        "restricted": {"open", "receive_only", "suspended", "frozen", "closure_pending"},
        "receive_only": {"open", "restricted", "suspended", "frozen", "closure_pending"},
        "suspended": {"open", "restricted", "receive_only", "frozen", "closure_pending"},
        "frozen": {"open", "restricted", "receive_only", "suspended"},
        "transfer_pending": {"open", "frozen", "closed"},
        "closure_pending": {"open", "restricted", "receive_only", "suspended", "frozen", "closed"},
        "closed": set(),
    },
)
"""Restricted: may surrender and return only. Receive-only: may not send. Suspended: neither, but for the regulator.
Frozen: nobody, and the ledger itself refuses."""


class AccountTerms(models.Model):
    """The grade of an account, and the holder's own rules for sending from it. An account without terms is open."""

    account = models.OneToOneField(LedgerAccount, primary_key=True, on_delete=models.PROTECT, related_name="terms")
    grade = models.CharField(max_length=20, choices=GRADE.choices, default=GRADE.initial)
    grade_reason = models.CharField(max_length=500, blank=True)
    second_person_always = models.BooleanField(
        default=False, help_text="Transfers to trusted accounts need a second person too."
    )
    outside_list = models.BooleanField(
        default=True, help_text="Transfers to accounts off the trusted list are allowed."
    )
    second_person_for_surrender = models.BooleanField(default=False)
    confirms_incoming = models.BooleanField(default=False, help_text="What arrives waits until the holder accepts it.")
    transfer_limit = models.BigIntegerField(null=True, help_text="The largest single transfer the holder allows.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="account_grade_known", condition=models.Q(grade__in=GRADE.states)),
            models.CheckConstraint(
                name="transfer_limit_in_range",
                condition=models.Q(transfer_limit__isnull=True) | models.Q(transfer_limit__gte=0),
            ),
        ]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            GRADE.trigger(field="grade"),
            pgtrigger.Protect(name="account_terms_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.account}: {self.grade}"


TRUST = Lifecycle(
    "trust",
    {
        "proposed": {"waiting", "active", "rejected", "cancelled"},
        "waiting": {"active", "cancelled"},
        "active": {"removed"},
        "removed": set(),
        "rejected": set(),
        "cancelled": set(),
    },
)


class TrustedAccount(models.Model):
    """An account to which another may send without delay, once the addition has waited its time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="trusts")
    trusted = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="trusted_by")
    note = models.CharField(max_length=200, blank=True)
    status = models.CharField(max_length=10, choices=TRUST.choices, default=TRUST.initial)
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField()
    active_from = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "trusted"],
                condition=models.Q(status__in=["proposed", "waiting", "active"]),
                name="one_live_trust_per_pair",
            ),
            models.CheckConstraint(name="no_account_trusts_itself", condition=~models.Q(account=models.F("trusted"))),
            models.CheckConstraint(
                name="trust_in_force_has_its_time",
                condition=~models.Q(status__in=["waiting", "active"]) | models.Q(active_from__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["account", "-added_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            TRUST.trigger(),
            pgtrigger.Protect(name="trust_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.account} trusts {self.trusted} ({self.status})"


class Freeze(models.Model):
    """A stop of all movements of a scheme, or of every scheme, but for surrender. It ends by date."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scheme = models.ForeignKey(Scheme, null=True, on_delete=models.PROTECT, related_name="freezes")
    reason = models.CharField(max_length=500)
    frozen_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    frozen_at = models.DateTimeField()
    lifted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["scheme"],
                condition=models.Q(lifted_at__isnull=True),
                nulls_distinct=False,
                name="one_freeze_at_a_time",
            ),
        ]
        ordering: ClassVar[list[str]] = ["-frozen_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="freeze_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="freeze_as_published",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("scheme", "reason", "frozen_by", "frozen_at"),
            ),
            pgtrigger.Protect(
                name="freeze_as_published_ended",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__lifted_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Freeze of {self.scheme or 'every scheme'}"


class SerialFreeze(models.Model):
    """A range of permit numbers that may not move, such as stolen ones. Public from the moment it is made."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="serial_freezes")
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    frozen_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    frozen_at = models.DateTimeField()
    lifted_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="frozen_serials_in_order", condition=models.Q(first__gte=1, last__gte=models.F("first"))
            ),
        ]
        ordering: ClassVar[list[str]] = ["-frozen_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="serial_freeze_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="serial_freeze_as_published",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("asset", "first", "last", "reason", "frozen_by", "frozen_at"),
            ),
            pgtrigger.Protect(
                name="serial_freeze_as_published_ended",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__lifted_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.asset} {self.first} to {self.last}"


class Group(models.Model):
    """A corporate group: its members share holding and purchase limits."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """An organisation's time in a group, ended by date."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="members")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="group_memberships")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["organisation"], condition=models.Q(until__isnull=True), name="one_group_at_a_time"
            ),
        ]
        ordering: ClassVar[list[str]] = ["group", "since", "id"]

    def __str__(self) -> str:
        return f"{self.organisation} in {self.group}"


LIMIT_BREACH = Lifecycle(
    "limit_breach",
    {"open": {"cured", "consigned", "overdue"}, "overdue": {"cured", "consigned"}, "cured": set(), "consigned": set()},
)


class LimitBreach(models.Model):
    """A holding limit that a group, or an organisation in none, exceeds, as after a merger: when it has to be cured.

    What is not cured in time is consigned to auction by force; what cannot be consigned, as it is held for something
    else, leaves the breach overdue.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="limit_breaches")
    group = models.ForeignKey(Group, null=True, on_delete=models.PROTECT, related_name="limit_breaches")
    organisation = models.ForeignKey(Organisation, null=True, on_delete=models.PROTECT, related_name="limit_breaches")
    reason = models.CharField(max_length=500)
    limit_quantity = models.BigIntegerField(help_text="The most permits that may be held.")
    counted = models.BigIntegerField(help_text="The permits that counted when the breach was found.")
    found_at = models.DateTimeField()
    cure_by = models.DateTimeField(help_text="Before this instant the holdings are back within the limit.")
    status = models.CharField(max_length=10, choices=LIMIT_BREACH.choices, default=LIMIT_BREACH.initial)
    consigned = models.BigIntegerField(default=0, help_text="Permits that were consigned by force.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="breach_is_of_a_group_or_an_organisation",
                condition=models.Q(group__isnull=True) ^ models.Q(organisation__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["period", "group", "organisation"],
                condition=models.Q(status__in=["open", "overdue"]),
                nulls_distinct=False,
                name="one_live_breach_of_a_limit",
            ),
            models.CheckConstraint(
                name="ended_breach_has_its_time",
                condition=~models.Q(status__in=["cured", "consigned"]) | models.Q(ended_at__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["cure_by", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            LIMIT_BREACH.trigger(),
            pgtrigger.Protect(name="limit_breach_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.group or self.organisation} holds {self.counted} of {self.limit_quantity} ({self.status})"


IDENTITY = Lifecycle(
    "identity_document",
    {
        "requested": {"received", "cancelled"},
        "received": {"accepted", "refused"},
        "accepted": {"expired"},
        "refused": {"received", "cancelled"},
        "expired": set(),
        "cancelled": set(),
    },
)


class IdentityDocument(models.Model):
    """A document that proves who somebody is: asked for, received, reviewed, and good until it expires."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="identity_documents")
    person = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="identity_documents")
    kind = models.CharField(max_length=40, help_text="Such as register_extract, passport or proof_of_address.")
    status = models.CharField(max_length=10, choices=IDENTITY.choices, default=IDENTITY.initial)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    due_on = models.DateField()
    file = models.ForeignKey(EvidenceFile, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=500, blank=True)
    expires_on = models.DateField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="received_identity_has_its_file",
                condition=~models.Q(status__in=["received", "accepted", "refused", "expired"])
                | models.Q(file__isnull=False),
            ),
            models.CheckConstraint(
                name="accepted_identity_expires",
                condition=~models.Q(status__in=["accepted", "expired"]) | models.Q(expires_on__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["organisation", "-requested_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            IDENTITY.trigger(),
            pgtrigger.Protect(name="identity_document_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.person or self.organisation} ({self.status})"
