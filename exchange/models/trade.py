"""Trades: the market's print. A trade never changes, but for the settlement batch that once settles it."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q

from exchange.models.market import Market
from exchange.models.order import Order
from exchange.models.position import Position
from exchange.models.settlement import SettlementBatch


class Trade(models.Model):
    """One buyer and one seller at one price. `sequence` is the command that made it, `ordinal` its place therein."""

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="trades", db_index=False)
    sequence = models.BigIntegerField()
    ordinal = models.PositiveIntegerField()
    price = models.BigIntegerField(help_text="Ticks.")
    lots = models.BigIntegerField()
    buy_order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+", db_index=False)
    sell_order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+", db_index=False)
    buyer = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="+")
    seller = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="+")
    taker = models.CharField(max_length=4, help_text="The side that took: buy, sell, or call in a call auction.")
    at = models.DateTimeField()
    batch = models.ForeignKey(SettlementBatch, null=True, on_delete=models.PROTECT, related_name="trades")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["market", "sequence", "ordinal"], name="one_trade_per_place"),
            models.CheckConstraint(name="trade_in_range", condition=Q(price__gte=1, lots__gte=1)),
            models.CheckConstraint(name="trade_has_two_parties", condition=~Q(buyer=F("seller"))),
            models.CheckConstraint(name="trade_taker_known", condition=Q(taker__in=["buy", "sell", "call"])),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["market", "id"], condition=Q(batch__isnull=True), name="trades_unsettled"),
            models.Index(fields=["buy_order"], name="trades_of_buy_order"),
            models.Index(fields=["sell_order"], name="trades_of_sell_order"),
        ]
        ordering: ClassVar[list[str]] = ["-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="trade_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "market",
                    "sequence",
                    "ordinal",
                    "price",
                    "lots",
                    "buy_order",
                    "sell_order",
                    "buyer",
                    "seller",
                    "taker",
                    "at",
                ),
            ),
            pgtrigger.Protect(
                name="trade_settles_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.batch_id IS NOT NULL AND OLD.batch_id IS DISTINCT FROM NEW.batch_id"
                ),
            ),
            pgtrigger.Protect(name="trade_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.lots} at {self.price}"
