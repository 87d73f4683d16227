"""Operators: organisations as participants of a scheme, each with its ledger account and its years of liability."""

import uuid
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Organisation
from registry.ledger.models import LedgerAccount
from registry.models.scheme import Scheme


class Operator(models.Model):
    """An organisation's part in one scheme. Its account may serve several schemes: the ledger keeps assets apart."""

    class Cohort(models.TextChoices):
        LARGE = "large", "Large firm"
        MID = "mid", "Mid-size firm"
        SMALL = "small", "Small firm"
        ACADEMIC = "academic", "Academic lab"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="operators")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="operators")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    cohort = models.CharField(max_length=20, choices=Cohort.choices)
    first_year = models.PositiveSmallIntegerField()
    last_year = models.PositiveSmallIntegerField(null=True, blank=True)
    excluded_years = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True)
    closed_on = models.DateField(
        null=True, blank=True, help_text="The day on which the operator stopped for good; free permits stop with it."
    )
    surrenders_automatically = models.BooleanField(
        default=False, help_text="Standing instruction: surrender what is owed when the period closes."
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scheme", "organisation"], name="one_operator_per_scheme"),
            models.CheckConstraint(
                name="operator_years_in_order",
                condition=models.Q(last_year__isnull=True) | models.Q(last_year__gte=models.F("first_year")),
            ),
        ]
        ordering: ClassVar[list[str]] = ["scheme", "organisation__name"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(
                name="operator_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("scheme", "organisation", "account", "first_year"),
            ),
            pgtrigger.Protect(name="operator_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.organisation} in {self.scheme}"
