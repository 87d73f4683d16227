"""Markets: one permit asset against one currency, with its session phase and its place in the sequence of commands."""

import uuid
from typing import ClassVar

import pgtrigger
from django.db import models

from common.errors import require
from common.lifecycle import Lifecycle
from common.quantities import format_money
from registry.ledger.models import LedgerAccount
from registry.models import Period

PHASE = Lifecycle(
    "market_phase",
    {
        "closed": {"continuous", "call"},
        "continuous": {"call", "halted", "closed"},
        "call": {"continuous", "halted", "closed"},
        "halted": {"continuous", "call", "closed"},
    },
)


class Market(models.Model):
    """The market of one period's permits. `sequence` counts the commands done, `version` the changes of the book.

    A price is a whole number of ticks of `tick_minor` minor units per permit; a quantity is a whole number of lots of
    `lot` permits. So one lot at one tick is worth `tick_minor * lot` minor units.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.PositiveIntegerField(unique=True, help_text="Names the market's advisory lock.")
    code = models.SlugField(max_length=60, unique=True)
    period = models.OneToOneField(Period, on_delete=models.PROTECT, related_name="market")
    tick_minor = models.PositiveIntegerField()
    lot = models.PositiveIntegerField()
    clearing = models.OneToOneField(
        LedgerAccount, on_delete=models.PROTECT, related_name="+", help_text="Every settlement passes through it."
    )
    collar_bps = models.PositiveIntegerField(help_text="Limits must lie this close to the last price, in 1/100 %.")
    max_order_lots = models.PositiveIntegerField()
    phase = models.CharField(max_length=20, choices=PHASE.choices, default=PHASE.initial)
    sequence = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)
    last_price = models.BigIntegerField(null=True, help_text="Price of the last trade, in ticks.")
    opened_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="market_units_positive",
                condition=models.Q(tick_minor__gte=1, lot__gte=1, max_order_lots__gte=1, collar_bps__gte=1),
            ),
        ]
        ordering: ClassVar[list[str]] = ["number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [PHASE.trigger("phase")]

    def __str__(self) -> str:
        return self.code

    @property
    def lot_tick_minor(self) -> int:
        """What one lot costs at a price of one tick, in minor units."""
        return self.tick_minor * self.lot

    def price_minor(self, ticks: int) -> int:
        """The price of one permit in minor units."""
        return ticks * self.tick_minor

    def ticks(self, price_minor: int) -> int:
        """The price in ticks, from minor units per permit; refused off the tick grid."""
        require(
            price_minor % self.tick_minor == 0,
            "price_off_tick",
            f"Enter a price that is a multiple of {format_money(self.tick_minor)}.",
        )
        return price_minor // self.tick_minor

    def lots(self, permits: int) -> int:
        """The quantity in lots, from permits; refused unless it is whole lots."""
        require(
            permits % self.lot == 0,
            "quantity_off_lot",
            f"Enter a number of permits that is a multiple of {self.lot:,}.",
        )
        return permits // self.lot
