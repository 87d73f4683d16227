"""Balances: how much of one asset lies in one account. The row that every movement locks."""

from typing import ClassVar

import pgtrigger
from django.db import models

from registry.ledger.models.account import ACCOUNT, LedgerAccount
from registry.ledger.models.asset import Asset


class Balance(models.Model):
    """One account's position in one asset, changed only by the functions in `sql/`.

    `contra`, `sink` and `status` are copies of facts about the account. Triggers in `sql/0001_balances.sql` set them
    when the row is made and carry a change of status over. `last_at` is the instant of the latest entry: instants
    never go backwards in one balance, which lets a point in time be found by bisection over the sequence numbers.
    """

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="balances", db_index=False)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="balances")
    balance = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0, help_text="The sum of the open holds.")
    entries = models.BigIntegerField(default=0, help_text="How many entries there are; the last one's number.")
    last_at = models.DateTimeField(null=True)
    issue_limit = models.BigIntegerField(null=True, help_text="How far below zero a contra balance may go.")
    contra = models.BooleanField(default=False)
    sink = models.BooleanField(default=False, help_text="Units leave it only by a reversal.")
    status = models.CharField(max_length=10, default=ACCOUNT.initial)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "asset"], name="one_balance_per_account_and_asset"),
            models.CheckConstraint(name="held_not_negative", condition=models.Q(held__gte=0)),
            models.CheckConstraint(
                name="balance_covers_holds",
                condition=models.Q(contra=True) | models.Q(balance__gte=models.F("held")),
            ),
            models.CheckConstraint(
                name="issued_within_limit",
                condition=models.Q(issue_limit__isnull=True) | models.Q(balance__gte=-1 * models.F("issue_limit")),
            ),
            models.CheckConstraint(
                name="only_contra_has_limit",
                condition=models.Q(issue_limit__isnull=True) | models.Q(contra=True, issue_limit__gte=0),
            ),
        ]
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="balance_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.balance} (balance {self.pk})"

    @property
    def available(self) -> int:
        """What may be spent now: the balance less what is held."""
        return self.balance - self.held
