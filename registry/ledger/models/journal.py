"""Journals and transfers: what moved, why, and what both sides held afterwards. Neither ever changes."""

from typing import ClassVar

import pgtrigger
from django.conf import settings
from django.db import models

from common.append_only import append_only_triggers
from common.quantities import MAX_ENTRY
from registry.ledger.models.asset import Asset
from registry.ledger.models.balance import Balance


class Journal(models.Model):
    """Transfers that were posted together for one business reason, which its reference names once and for all.

    Append-only by trigger. A reversal points at the journal it compensates, and each journal is reversed at most once.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=40, help_text="Such as issuance, transfer, settlement or surrender.")
    reference = models.CharField(max_length=200, unique=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    reverses = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="reversed_by")

    class Meta:
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Transfer(models.Model):
    """One movement of one asset from one balance to another: both sides in one row, so that it cannot be unbalanced.

    `debit_seq` and `credit_seq` number the entries of each balance without gaps; `debit_after` and `credit_after` are
    the running balances. `at` is when it was booked: the instant its service was told, or that of an earlier entry
    of a touched balance if that is later. Append-only by trigger. The view `ledger_entry` (`sql/0002_entries.sql`)
    shows each balance its own list. Why its references are no foreign keys is decision 0002.

    A later seal gives transfers their place in a Merkle tree, in a table of its own that points here.
    """

    id = models.BigAutoField(primary_key=True)
    journal = models.ForeignKey(Journal, on_delete=models.PROTECT, related_name="transfers", db_constraint=False)
    key = models.UUIDField(unique=True, help_text="Chosen by whoever asks, so that asking twice moves once.")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    debit = models.ForeignKey(Balance, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    credit = models.ForeignKey(Balance, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False)
    amount = models.BigIntegerField()
    debit_seq = models.BigIntegerField()
    credit_seq = models.BigIntegerField()
    debit_after = models.BigIntegerField()
    credit_after = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["debit", "debit_seq"], name="one_debit_per_number"),
            models.UniqueConstraint(fields=["credit", "credit_seq"], name="one_credit_per_number"),
            models.CheckConstraint(name="amount_in_range", condition=models.Q(amount__gte=1, amount__lte=MAX_ENTRY)),
            models.CheckConstraint(name="two_different_sides", condition=~models.Q(debit=models.F("credit"))),
        ]
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.amount} ({self.key})"
