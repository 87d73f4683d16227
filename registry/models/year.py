"""The year of a scheme: work that becomes due, outages, deadlines that moved, and where each obligation stands."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.engine.compliance import MOVES
from registry.models.operator import Operator
from registry.models.scheme import Period, Scheme

DUE_WORK = Lifecycle(
    "due_work",
    {"planned": {"done", "failed", "cancelled", "paused"}, "failed": {"done", "cancelled", "paused"},
     "paused": {"planned", "cancelled"}, "done": set(), "cancelled": set()},
)  # fmt: skip


class DueWork(models.Model):
    """One piece of scheduled work: what, for which period, when it is due, and what came of it. Doing it twice is
    doing it once: `key` names the work, and a row that is done is never taken again."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=160, unique=True)
    kind = models.CharField(max_length=40)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="due_work")
    period = models.ForeignKey(Period, null=True, on_delete=models.PROTECT, related_name="due_work")
    operator = models.ForeignKey(Operator, null=True, on_delete=models.PROTECT, related_name="due_work")
    due_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=DUE_WORK.choices, default=DUE_WORK.initial)
    remaining_s = models.BigIntegerField(null=True, help_text="Seconds that were left when the clock was stopped.")
    attempts = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, help_text="When work that failed is tried again.")
    done_at = models.DateTimeField(null=True)
    result = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["due_at", "id"], name="due_work_waiting", condition=models.Q(status__in=["planned", "failed"])
            ),
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="done_work_has_its_time", condition=~models.Q(status="done") | models.Q(done_at__isnull=False)
            ),
        ]
        ordering: ClassVar[list[str]] = ["due_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            DUE_WORK.trigger(),
            pgtrigger.Protect(name="due_work_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.kind} due {self.due_at:%Y-%m-%d %H:%M} ({self.status})"


class Outage(models.Model):
    """A time in which the registry could not take surrenders. Long ones move the deadlines they touch. Append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    reason = models.CharField(max_length=500)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="outage_in_order", condition=models.Q(ended_at__gt=models.F("began_at"))),
        ]
        ordering: ClassVar[list[str]] = ["-began_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"Outage from {self.began_at:%Y-%m-%d %H:%M}"


class Extension(models.Model):
    """A deadline of a period that was moved, always later, with why. Append-only; the period has the new instant."""

    id = models.BigAutoField(primary_key=True)
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="extensions")
    deadline = models.CharField(max_length=20, help_text="report_due or surrender_due.")
    was = models.DateTimeField()
    becomes = models.DateTimeField()
    reason = models.CharField(max_length=500)
    outage = models.ForeignKey(Outage, null=True, on_delete=models.PROTECT, related_name="extensions")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="deadline_moves_later_only", condition=models.Q(becomes__gt=models.F("was"))),
            models.CheckConstraint(
                name="deadline_known", condition=models.Q(deadline__in=["report_due", "surrender_due"])
            ),
        ]
        ordering: ClassVar[list[str]] = ["period", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.period} {self.deadline} to {self.becomes:%Y-%m-%d %H:%M}"


class Suspension(models.Model):
    """A time in which a court or the law stopped a scheme: its clocks stand, and nothing is surrendered.

    While one is open, `resumed_at` is empty; a scheme has at most one open at a time. Only its end is ever filled in.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="suspensions")
    stopped_at = models.DateTimeField()
    trading = models.BooleanField(help_text="Whether permits may still be traded while the scheme stands.")
    reason = models.CharField(max_length=500, help_text="The order and the court, as the public reads it.")
    stopped_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    resumed_at = models.DateTimeField(null=True)
    resumed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    resumed_because = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["scheme"], condition=models.Q(resumed_at__isnull=True), name="one_open_suspension_per_scheme"
            ),
            models.CheckConstraint(
                name="suspension_in_order",
                condition=models.Q(resumed_at__isnull=True, resumed_by__isnull=True)
                | models.Q(resumed_at__gte=models.F("stopped_at"), resumed_by__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["-stopped_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="suspension_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("scheme", "stopped_at", "trading", "reason", "stopped_by"),
            ),
            pgtrigger.Protect(
                name="suspension_ends_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__resumed_at__isnull=False),
            ),
            pgtrigger.Protect(name="suspension_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.scheme} stopped at {self.stopped_at:%Y-%m-%d %H:%M}"


OBLIGATION = Lifecycle(
    "obligation", {state.lower(): {following.lower() for following in moves} for state, moves in MOVES.items()}
)
"""The engine's table of moves: who derives a state and who keeps its log go by the same one."""


class ObligationEvent(models.Model):
    """A move in the life of one operator's obligation for one period: the newest is where it stands. Append-only."""

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="obligation_events")
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="obligation_events")
    was = models.CharField(max_length=20, blank=True)
    state = models.CharField(max_length=20, choices=OBLIGATION.choices)
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["period", "operator", "-id"], name="obligation_events_newest"),
        ]
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} {self.period.year}: {self.state}"
