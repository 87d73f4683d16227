"""Reconciliations: a second tally of who holds what, by another path, and the differences it found."""

from typing import ClassVar

import pgtrigger
from django.db import models

from common.append_only import append_only_triggers
from registry.ledger.models.account import LedgerAccount
from registry.ledger.models.asset import Asset


class Reconciliation(models.Model):
    """One tally of every account, asset and serial block up to one transfer. Append-only."""

    id = models.BigAutoField(primary_key=True)
    started_at = models.DateTimeField()
    up_to = models.BigIntegerField(help_text="The id of the last transfer that was counted.")
    balances = models.PositiveIntegerField(help_text="How many balances were compared.")
    blocks = models.PositiveIntegerField(help_text="How many serial blocks were compared.")
    differences = models.PositiveIntegerField()

    class Meta:
        db_table = "ledger_reconciliation"
        ordering: ClassVar[list[str]] = ["-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"Reconciliation of {self.started_at:%Y-%m-%d}: {self.differences} differences"


class Difference(models.Model):
    """One place where the second tally and the books disagree; the account was frozen for it. Append-only."""

    id = models.BigAutoField(primary_key=True)
    reconciliation = models.ForeignKey(Reconciliation, on_delete=models.PROTECT, related_name="found")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    what = models.CharField(max_length=40, help_text="balance, entries or serials.")
    booked = models.BigIntegerField()
    counted = models.BigIntegerField()

    class Meta:
        db_table = "ledger_difference"
        ordering: ClassVar[list[str]] = ["reconciliation", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.account} {self.asset}: {self.booked} booked, {self.counted} counted"
