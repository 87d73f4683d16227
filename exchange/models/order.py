"""Orders, and the commands about them: the market's work list, its order and its done-marker in one table."""

import uuid
from typing import ClassVar, Self

import pgtrigger
from django.db import models
from django.db.models import F, Q

from accounts.models import Organisation, User
from common.lifecycle import Lifecycle
from exchange.models.market import PHASE, Market
from exchange.models.position import Position

ORDER = Lifecycle(
    "order",
    {
        "pending_new": {"new", "partially_filled", "filled", "canceled", "rejected", "expired"},
        "new": {"partially_filled", "filled", "canceled", "expired"},
        "partially_filled": {"filled", "canceled", "expired"},
        "filled": set(),
        "canceled": set(),
        "rejected": set(),
        "expired": set(),
    },
)
"""The FIX order statuses that limit orders pass through."""


class Order(models.Model):
    """One order, a row before it is anything else: its funds are held and it is committed before any worker knows.

    Foreign keys that no read follows backwards have no index: every index is paid for with every order.
    """

    class Side(models.TextChoices):
        BUY = "buy", "Buy"
        SELL = "sell", "Sell"

    class TimeInForce(models.TextChoices):
        GTC = "gtc", "Good till cancel"
        IOC = "ioc", "Immediate or cancel"

    id = models.BigAutoField(primary_key=True)
    public_id = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    key = models.UUIDField(help_text="The client's own key: the same key is the same order.")
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="orders", db_index=False)
    position = models.ForeignKey(Position, null=True, on_delete=models.PROTECT, related_name="orders")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="orders", db_index=False)
    entered_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", db_index=False)
    entered_at = models.DateTimeField()
    side = models.CharField(max_length=4, choices=Side.choices)
    price = models.BigIntegerField(help_text="Limit in ticks.")
    quantity = models.BigIntegerField(help_text="Lots.")
    time_in_force = models.CharField(max_length=3, choices=TimeInForce.choices)
    status = models.CharField(max_length=20, choices=ORDER.choices, default=ORDER.initial)
    filled = models.BigIntegerField(default=0)
    canceled = models.BigIntegerField(default=0, help_text="Lots cancelled, expired or rejected.")
    reason = models.CharField(max_length=60, blank=True, help_text="Code of the rejection or cancellation.")
    sequence = models.BigIntegerField(null=True, help_text="Its place in the market's sequence, once it has one.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organisation", "key"], name="one_order_per_key"),
            models.CheckConstraint(name="order_in_range", condition=Q(quantity__gte=1, price__gte=1)),
            models.CheckConstraint(
                name="order_parts_within_quantity",
                condition=Q(filled__gte=0, canceled__gte=0, quantity__gte=F("filled") + F("canceled")),
            ),
            models.CheckConstraint(
                name="finished_order_has_nothing_open",
                condition=~Q(status__in=["filled", "canceled", "rejected", "expired"])
                | Q(quantity=F("filled") + F("canceled")),
            ),
            models.CheckConstraint(
                name="open_order_has_something_open",
                condition=~Q(status__in=["pending_new", "new", "partially_filled"])
                | Q(quantity__gt=F("filled") + F("canceled")),
            ),
            models.CheckConstraint(name="rejected_order_says_why", condition=~Q(status="rejected") | ~Q(reason="")),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["market", "sequence"],
                condition=Q(status__in=["new", "partially_filled"]),
                name="orders_resting",
            ),
            models.Index(fields=["organisation", "-id"], name="orders_of_organisation"),
        ]
        ordering: ClassVar[list[str]] = ["-id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            ORDER.trigger(),
            pgtrigger.Protect(name="order_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.side} {self.quantity} at {self.price}"

    @property
    def open(self) -> int:
        """Lots that may still trade."""
        return self.quantity - self.filled - self.canceled


class CommandRows(models.QuerySet["Command"]):
    """Commands, by what is still to be done about them."""

    def waiting(self) -> Self:
        """Keep those that the market has still to do; parked ones wait for a person instead."""
        return self.filter(sequence__isnull=True, parked="")


class Command(models.Model):
    """Something the market must do, in order: enter an order, cancel one, uncross a call, expire what rests.

    Committed before any worker is woken; `sequence` is empty until it is done, and is then its place for ever. A
    command that breaks the engine is parked with its reason while the others flow. It is done by the rules of the
    `phase` in which it was entered: how late a worker comes to it changes nothing.
    """

    class Kind(models.TextChoices):
        NEW = "new", "New order"
        CANCEL = "cancel", "Cancel"
        UNCROSS = "uncross", "Uncross the call"
        EXPIRE = "expire", "Expire what rests"

    id = models.BigAutoField(primary_key=True)
    market = models.ForeignKey(Market, on_delete=models.PROTECT, related_name="commands", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    order = models.ForeignKey(Order, null=True, on_delete=models.PROTECT, related_name="commands")
    key = models.UUIDField(unique=True)
    entered_at = models.DateTimeField()
    entered_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    sequence = models.BigIntegerField(null=True)
    phase = models.CharField(max_length=20, choices=PHASE.choices, help_text="Phase in which it was entered.")
    outcome = models.CharField(max_length=60, blank=True)
    parked = models.CharField(max_length=500, blank=True, help_text="Why it could not be done; a person decides.")

    objects = CommandRows.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["market", "sequence"], name="one_command_per_place"),
            models.CheckConstraint(
                name="command_names_its_order", condition=Q(kind__in=["uncross", "expire"]) | Q(order__isnull=False)
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["market", "id"], condition=Q(sequence__isnull=True, parked=""), name="commands_to_do"),
        ]
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="command_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("market", "kind", "order", "key", "entered_at", "entered_by", "phase"),
            ),
            pgtrigger.Protect(
                name="command_done_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.sequence IS NOT NULL"),
            ),
            pgtrigger.Protect(name="command_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.order_id or ''}".strip()
