"""Settlement batches: many trades netted per account and asset, delivered against payment in one journal."""

from typing import ClassVar

import pgtrigger
from django.db import models

from common.append_only import append_only_triggers
from exchange.models.market import Market
from registry.ledger.models import Asset, Journal, LedgerAccount


class SettlementBatch(models.Model):
    """One settlement of one market. Its number is unique in the market, so that running it twice is running it once."""

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="batches")
    number = models.PositiveIntegerField()
    trade_count = models.PositiveIntegerField()
    lots = models.BigIntegerField()
    value_minor = models.BigIntegerField()
    journal = models.OneToOneField(Journal, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["market", "number"], name="one_batch_per_number"),
        ]
        ordering: ClassVar[list[str]] = ["market", "number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.market} batch {self.number}"


class SettlementNet(models.Model):
    """What one account received (above zero) or delivered (below) in a batch. The nets of an asset sum to 0."""

    id = models.BigAutoField(primary_key=True)
    batch = models.ForeignKey(SettlementBatch, on_delete=models.PROTECT, related_name="nets")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    net = models.BigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["batch", "account", "asset"], name="one_net_per_account_and_asset"),
        ]
        ordering: ClassVar[list[str]] = ["batch", "account", "asset"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.account} {self.net}"
