"""The closing of a period: its steps in order, each done once, with what it did."""

from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from registry.models import Period

STEPS = (
    "halt",
    "final_call",
    "expire_orders",
    "settle",
    "standing_surrenders",
    "deadline_status",
    "sanctions",
    "bank",
    "publish",
)
"""The steps that `exchange.services.closing` takes, in this order. Sealing takes its place before `publish`."""


class PeriodClosing(models.Model):
    """One closing of one period. Started once; resumable at any step."""

    id = models.BigAutoField(primary_key=True)
    period = models.OneToOneField(Period, on_delete=models.PROTECT, related_name="closing")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]

    def __str__(self) -> str:
        return f"Closing of {self.period}"

    @property
    def next_step(self) -> str | None:
        """The first step still to do, or nothing when the closing is finished."""
        done = {step.name for step in self.steps.all()}
        return next((name for name in STEPS if name not in done), None)


class ClosingStep(models.Model):
    """A step that was done, and its result in figures. A step without a row is still to do."""

    id = models.BigAutoField(primary_key=True)
    closing = models.ForeignKey(PeriodClosing, on_delete=models.PROTECT, related_name="steps")
    ordinal = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=40)
    done_at = models.DateTimeField()
    result = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["closing", "name"], name="closing_step_done_once"),
            models.UniqueConstraint(fields=["closing", "ordinal"], name="closing_steps_in_order"),
        ]
        ordering: ClassVar[list[str]] = ["closing", "ordinal"]

    def __str__(self) -> str:
        return self.name
