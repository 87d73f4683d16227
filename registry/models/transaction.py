"""Transactions: each movement of permits that somebody asked for, from the proposal to the journal that did it."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Approval, Organisation, User
from common.lifecycle import Lifecycle
from registry.ledger.models import Asset, Journal, LedgerAccount

TRANSACTION = Lifecycle(
    "transaction",
    {
        "proposed": {"delayed", "awaiting_receiver", "completed", "rejected", "cancelled", "failed"},
        "delayed": {"awaiting_receiver", "completed", "cancelled", "failed"},
        "awaiting_receiver": {"completed", "rejected", "cancelled", "failed"},
        "completed": {"reversed"},
        "rejected": set(),
        "cancelled": set(),
        "failed": set(),
        "reversed": set(),
    },
)


class Transaction(models.Model):
    """One movement by one of the types in `registry.services.transactions`, with why it waits and how it ended.

    What is asked for never changes after the proposal; the trigger `transaction_frozen` says so. Transactions that
    were posted together, such as the lines of an allocation, share their journal.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=40, help_text="A type of the transaction table, such as transfer.")
    key = models.UUIDField(unique=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="transactions")
    sender = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="sent")
    receiver = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="received")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    quantity = models.BigIntegerField()
    price_minor = models.BigIntegerField(null=True, help_text="Agreed price of one permit, in minor units.")
    agreement = models.CharField(max_length=200, blank=True, help_text="The contract or reason behind the movement.")
    beneficiary = models.CharField(max_length=200, blank=True, help_text="For whom permits were cancelled.")
    details = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    status = models.CharField(max_length=20, choices=TRANSACTION.choices, default=TRANSACTION.initial)
    proposed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    approval = models.OneToOneField(Approval, null=True, on_delete=models.PROTECT, related_name="transaction")
    execute_after = models.DateTimeField(null=True)
    confirmed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    journal = models.ForeignKey(Journal, null=True, on_delete=models.PROTECT, related_name="transactions")
    reverses = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="reversals")
    reason_code = models.CharField(max_length=80, blank=True)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was rejected, cancelled or failed.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="transaction_in_range", condition=models.Q(quantity__gte=1, quantity__lte=10**15)
            ),
            models.CheckConstraint(
                name="transaction_price_in_range",
                condition=models.Q(price_minor__isnull=True) | models.Q(price_minor__gte=0, price_minor__lte=10**15),
            ),
            models.CheckConstraint(
                name="completed_transaction_has_its_journal",
                condition=~models.Q(status__in=["completed", "reversed"]) | models.Q(journal__isnull=False),
            ),
            models.CheckConstraint(
                name="delayed_transaction_has_its_time",
                condition=~models.Q(status="delayed") | models.Q(execute_after__isnull=False),
            ),
            models.UniqueConstraint(
                name="one_live_reversal_per_transaction",
                fields=["reverses"],
                condition=~models.Q(status__in=["rejected", "cancelled", "failed"]),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["execute_after"], name="transactions_waiting", condition=models.Q(status="delayed")),
            models.Index(fields=["organisation", "-proposed_at"], name="transactions_of_organisation"),
        ]
        ordering: ClassVar[list[str]] = ["-proposed_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            TRANSACTION.trigger(),
            pgtrigger.Protect(
                name="transaction_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "kind",
                    "key",
                    "organisation",
                    "sender",
                    "receiver",
                    "asset",
                    "quantity",
                    "price_minor",
                    "agreement",
                    "beneficiary",
                    "proposed_by",
                    "proposed_at",
                    "reverses",
                ),
            ),
            pgtrigger.Protect(name="transaction_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.quantity} ({self.status})"
