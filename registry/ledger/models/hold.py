"""Holds: parts of a balance that are reserved, such as for open orders or a transfer that waits for its delay."""

from typing import ClassVar

import pgtrigger
from django.db import models

from common.lifecycle import Lifecycle
from registry.ledger.models.balance import Balance

HOLD = Lifecycle("hold", {"open": {"released", "captured"}, "released": set(), "captured": set()})


class Hold(models.Model):
    """A reserved quantity of one balance. The open holds of a balance always sum to its `held`.

    A standing hold stays open while its quantity moves up and down, to zero and back. An ended hold keeps its last
    quantity as a record. Changed only by the functions in `sql/0004_holds.sql`, under the balance's lock.
    """

    id = models.BigAutoField(primary_key=True)
    balance = models.ForeignKey(Balance, on_delete=models.PROTECT, related_name="holds", db_index=False)
    quantity = models.BigIntegerField()
    purpose = models.CharField(max_length=40, help_text="What it is for, such as orders or delayed_transfer.")
    reference = models.CharField(max_length=100, help_text="Which one of these it is for.")
    status = models.CharField(max_length=10, choices=HOLD.choices, default=HOLD.initial)
    opened_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["balance", "purpose", "reference"], name="one_hold_per_purpose_and_reference"
            ),
            models.CheckConstraint(name="hold_not_negative", condition=models.Q(quantity__gte=0)),
            models.CheckConstraint(
                name="ended_hold_has_its_time",
                condition=models.Q(status="open", ended_at__isnull=True)
                | models.Q(status__in=["released", "captured"], ended_at__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="ended_hold_stays_as_it_is",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__status__in=["released", "captured"]),
            ),
            pgtrigger.Protect(name="hold_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} for {self.purpose} {self.reference} ({self.status})"
