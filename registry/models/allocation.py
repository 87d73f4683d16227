"""Allocation runs: free permits worked out by published rules from frozen inputs, line by line."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import User
from common.append_only import append_only_triggers
from common.lifecycle import Lifecycle
from registry.ledger.models import Journal
from registry.models.operator import Operator
from registry.models.scheme import Period

ALLOCATION_RUN = Lifecycle(
    "allocation_run", {"draft": {"executed", "discarded"}, "executed": set(), "discarded": set()}
)


class AllocationRun(models.Model):
    """One run: computed as a draft that people can read, executed by approval. Its inputs never change afterwards.

    A period has one executed run of each stage. A settlement repeats the pools of the first stage and moves only what
    is new.
    """

    class Stage(models.TextChoices):
        INITIAL = "INITIAL", "First allocation"
        SETTLEMENT = "SETTLEMENT", "Settlement on verified output"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="allocation_runs")
    stage = models.CharField(max_length=12, choices=Stage.choices, default=Stage.INITIAL)
    status = models.CharField(max_length=20, choices=ALLOCATION_RUN.choices, default=ALLOCATION_RUN.initial)
    inputs = models.JSONField(encoder=DjangoJSONEncoder)
    inputs_sha256 = models.CharField(max_length=64)
    rules_version = models.CharField(
        max_length=40, help_text="Version of the allocation rules that computed the lines."
    )
    by_rules = models.BooleanField(
        default=False, help_text="Whether the registry worked the inputs out; otherwise they were uploaded."
    )
    rules_sha256 = models.CharField(
        max_length=64, blank=True, help_text="The rule book behind the inputs; empty for founding terms."
    )
    cap = models.BigIntegerField()
    free = models.BigIntegerField()
    set_aside = models.BigIntegerField()
    kept = models.BigIntegerField(
        default=0,
        help_text="In reserves, with new entrants, for the next year, cancelled, or delivered by the stage before.",
    )
    auction = models.BigIntegerField()
    drafted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    drafted_at = models.DateTimeField()
    journal = models.OneToOneField(Journal, null=True, on_delete=models.PROTECT, related_name="+")
    executed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["period", "stage"],
                condition=models.Q(status="executed"),
                name="one_executed_allocation_per_period_and_stage",
            ),
            models.CheckConstraint(
                name="allocation_stage_known", condition=models.Q(stage__in=["INITIAL", "SETTLEMENT"])
            ),
            models.CheckConstraint(
                name="allocation_pools_sum_to_cap",
                condition=models.Q(
                    cap=models.F("free") + models.F("set_aside") + models.F("kept") + models.F("auction")
                ),
            ),
            models.CheckConstraint(
                name="executed_allocation_has_journal",
                condition=~models.Q(status="executed") | models.Q(journal__isnull=False, executed_at__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["-drafted_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            ALLOCATION_RUN.trigger(),
            pgtrigger.Protect(
                name="allocation_inputs_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    "inputs",
                    "inputs_sha256",
                    "rules_version",
                    "by_rules",
                    "rules_sha256",
                    "stage",
                    "cap",
                    "free",
                    "set_aside",
                    "kept",
                    "auction",
                    "period",
                ),
            ),
            pgtrigger.Protect(name="allocation_run_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"Allocation {self.period} ({self.status})"


class AllocationLine(models.Model):
    """What one operator gets by one method, with every figure it follows from."""

    id = models.BigAutoField(primary_key=True)
    run = models.ForeignKey(AllocationRun, on_delete=models.PROTECT, related_name="lines")
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="allocation_lines")
    method = models.CharField(max_length=40)
    figures = models.JSONField(encoder=DjangoJSONEncoder, help_text="Each step of the calculation, by name.")
    claim = models.BigIntegerField(help_text="Whole permits claimed before any correction to fit the pool.")
    quantity = models.BigIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "operator", "method"], name="one_line_per_operator_and_method"),
            models.CheckConstraint(
                name="allocation_line_in_range",
                condition=models.Q(quantity__gte=0, claim__gte=0, quantity__lte=10**15),
            ),
        ]
        ordering: ClassVar[list[str]] = ["run", "operator", "method"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator}: {self.quantity} by {self.method}"
