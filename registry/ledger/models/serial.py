"""Serial blocks: which permits, by number, lay in which balance from which transfer to which."""

from typing import ClassVar

import pgtrigger
from django.db import models
from django.db.models import F

from registry.ledger.models.asset import Asset
from registry.ledger.models.balance import Balance
from registry.ledger.models.journal import Transfer


class SerialBlock(models.Model):
    """A run of serial numbers that lay in one balance since one transfer, and until another if it has left.

    Derived from the transfers in the background, oldest first, never on the posting path. The exclusion constraint
    `serial_in_one_place_at_a_time` in `sql/0005_serial_blocks.sql` says so over the whole of its history.
    """

    id = models.BigAutoField(primary_key=True)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+", db_index=False)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    balance = models.ForeignKey(Balance, on_delete=models.PROTECT, related_name="+", db_index=False)
    since = models.BigIntegerField(help_text="The id of the transfer that brought the block here.")
    until = models.BigIntegerField(null=True, help_text="The id of the transfer that took it away.")

    class Meta:
        db_table = "ledger_serial_block"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="block_is_not_empty", condition=models.Q(first__gte=1, last__gte=F("first"))),
            models.CheckConstraint(
                name="block_leaves_after_it_came",
                condition=models.Q(until__isnull=True) | models.Q(until__gt=F("since")),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["asset", "last"], name="blocks_by_number"),
            models.Index(
                fields=["balance", "since", "first"], name="blocks_oldest_first", condition=models.Q(until__isnull=True)
            ),
        ]
        ordering: ClassVar[list[str]] = ["asset", "first", "since"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="block_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    @property
    def length(self) -> int:
        """How many permits the block has."""
        return self.last - self.first + 1


class SerialStop(models.Model):
    """A range of serial numbers that stays where it is: transfers above `since`, and up to `until`, pass it over.

    The permits are held besides, so that whatever may still be sent is covered by others. The exclusion constraint
    `serial_stopped_once_at_a_time` in `sql/0006_serial_stops.sql` says that no number is stopped twice.
    """

    id = models.BigAutoField(primary_key=True)
    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="+")
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    reference = models.CharField(max_length=100, unique=True, help_text="What stopped them, and the name of its holds.")
    since = models.BigIntegerField(help_text="The id of the last transfer that is not concerned.")
    until = models.BigIntegerField(null=True, help_text="The id of the last transfer that passes them over.")

    class Meta:
        db_table = "ledger_serial_stop"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="stop_is_not_empty", condition=models.Q(first__gte=1, last__gte=F("first"))),
            models.CheckConstraint(
                name="stop_ends_after_it_began",
                condition=models.Q(until__isnull=True) | models.Q(until__gte=F("since")),
            ),
        ]
        ordering: ClassVar[list[str]] = ["asset", "first", "since"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="stop_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="stop_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("asset", "first", "last", "reference", "since"),
            ),
            pgtrigger.Protect(
                name="stop_frozen_ended",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    def stays_in(self, transfer: Transfer) -> bool:
        """Say whether a transfer passes these numbers over."""
        return (
            self.asset_id == transfer.asset_id
            and self.since < transfer.pk
            and (self.until is None or transfer.pk <= self.until)
        )
