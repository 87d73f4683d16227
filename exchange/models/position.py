"""Positions: what one account has open and unsettled in one market, and so what must be held for it."""

from typing import ClassVar

from django.db import models

from accounts.models import Organisation
from exchange.models.market import Market
from registry.ledger.models import Hold, LedgerAccount


class Position(models.Model):
    """The row that placing and matching lock before any balance. Quantities in lots, values in minor units.

    Held permits = lot * max(0, open asks + sold unsettled - bought unsettled); held cash likewise, from the limit
    values of open bids. So an unsettled purchase can be sold on, and no settlement can fail for want of cover.
    """

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="positions")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="positions")
    open_ask_lots = models.BigIntegerField(default=0)
    open_bid_value = models.BigIntegerField(default=0)
    bought_lots = models.BigIntegerField(default=0)
    bought_value = models.BigIntegerField(default=0)
    sold_lots = models.BigIntegerField(default=0)
    sold_value = models.BigIntegerField(default=0)
    permit_hold = models.OneToOneField(Hold, on_delete=models.PROTECT, related_name="+")
    cash_hold = models.OneToOneField(Hold, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["market", "account"], name="one_position_per_market_and_account"),
            models.CheckConstraint(
                name="position_not_negative",
                condition=models.Q(
                    open_ask_lots__gte=0,
                    open_bid_value__gte=0,
                    bought_lots__gte=0,
                    bought_value__gte=0,
                    sold_lots__gte=0,
                    sold_value__gte=0,
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["market", "id"]

    def __str__(self) -> str:
        return f"{self.organisation} in {self.market}"
