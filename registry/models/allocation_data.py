"""Data for allocations: verified figures of operators as uploaded tables, every version kept with its hash."""

import uuid
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import User
from common.append_only import append_only_triggers
from registry.models.operator import Operator
from registry.models.scheme import Scheme


class AllocationTable(models.Model):
    """One table as it was uploaded for a scheme. Append-only: a corrected row comes with a later table."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="allocation_tables")
    version = models.PositiveIntegerField(help_text="Counts the tables of one scheme.")
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    uploaded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    uploaded_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scheme", "version"], name="allocation_tables_numbered_per_scheme"),
        ]
        ordering: ClassVar[list[str]] = ["scheme", "-version"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.scheme} table {self.version}"


class AllocationFigure(models.Model):
    """One row: what an operator made and used of a product in a year, and what else its allocation rests on.

    The row of the latest table counts for an operator, year and product. `output` and `historical_level` are in units
    of the product (FLOP for an AI allowance), `use` in the scheme's base unit: FLOP, or tonnes of CO2e. Class, need,
    conditions and application are those of the year. Append-only.
    """

    id = models.BigAutoField(primary_key=True)
    table = models.ForeignKey(AllocationTable, on_delete=models.PROTECT, related_name="figures")
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="allocation_figures")
    year = models.PositiveSmallIntegerField()
    product = models.CharField(max_length=80, blank=True)
    output = models.DecimalField(max_digits=60, decimal_places=20, null=True)
    use = models.DecimalField(max_digits=60, decimal_places=20, null=True)
    historical_level = models.DecimalField(max_digits=60, decimal_places=20, null=True)
    own_j_per_flop = models.DecimalField(max_digits=50, decimal_places=40, null=True)
    leakage_class = models.CharField(max_length=80, blank=True)
    proven_need = models.BigIntegerField(null=True)
    conditions = ArrayField(models.CharField(max_length=80), default=list)
    first_day = models.DateField(null=True)
    applied_at = models.DateTimeField(null=True)
    applied_permits = models.BigIntegerField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["table", "operator", "year", "product"], name="one_row_per_table_operator_year_product"
            ),
            models.CheckConstraint(
                name="allocation_figures_in_range",
                condition=(models.Q(output__isnull=True) | models.Q(output__gte=0, output__lt=10**40))
                & (models.Q(use__isnull=True) | models.Q(use__gte=0, use__lt=10**40))
                & (
                    models.Q(historical_level__isnull=True)
                    | models.Q(historical_level__gte=0, historical_level__lt=10**40)
                )
                & (models.Q(own_j_per_flop__isnull=True) | models.Q(own_j_per_flop__gt=0, own_j_per_flop__lt=10**9))
                & (models.Q(proven_need__isnull=True) | models.Q(proven_need__gte=0, proven_need__lte=10**15))
                & (
                    models.Q(applied_permits__isnull=True)
                    | models.Q(applied_permits__gte=1, applied_permits__lte=10**15)
                ),
            ),
        ]
        ordering: ClassVar[list[str]] = ["table", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator} {self.year} {self.product}"
