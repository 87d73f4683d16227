"""Operators: organisations as participants of a scheme, each with its ledger account and its years of liability."""

import uuid
from typing import ClassVar

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models import Approval, Organisation
from common.append_only import append_only_triggers
from registry.ledger.models import Journal, LedgerAccount
from registry.models.scheme import Scheme


class Operator(models.Model):
    """An organisation's part in one scheme. Its account may serve several schemes: the ledger keeps assets apart.

    Its years, reports and debts stay with it when a new holder takes it over. The trigger `operator_changes_by_record`
    lets holder and account change only as a `HolderChange` says, which is written first.
    """

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
    contracted_capacity = models.DecimalField(
        max_digits=40,
        decimal_places=6,
        null=True,
        blank=True,
        help_text="The most that its contracts let it use in a year, in the scheme's unit; estimates rest on it.",
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
                condition=pgtrigger.AnyChange("scheme", "first_year"),
            ),
            pgtrigger.Trigger(
                name="operator_changes_by_record",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("organisation", "account"),
                func="""
                    IF NOT EXISTS (SELECT FROM registry_holderchange h
                                    WHERE h.operator_id = NEW.id AND h.from_account_id = OLD.account_id
                                      AND h.to_account_id = NEW.account_id
                                      AND h.to_organisation_id = NEW.organisation_id) THEN
                        RAISE EXCEPTION 'Cannot change the holder of an operator without a record of it'
                          USING ERRCODE = '0A000';
                    END IF;
                    RETURN NEW;
                """,
            ),
            pgtrigger.Protect(name="operator_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.organisation} in {self.scheme}"


class HolderChange(models.Model):
    """An operator that went over to a new holder, with the account that took the place of the old one. Append-only."""

    id = models.BigAutoField(primary_key=True)
    operator = models.ForeignKey(Operator, on_delete=models.PROTECT, related_name="holder_changes")
    from_organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    to_organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    from_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    to_account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    journal = models.ForeignKey(Journal, null=True, on_delete=models.PROTECT, related_name="+")
    approval = models.ForeignKey(Approval, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["operator", "from_account"], name="an_account_is_handed_over_once"),
        ]
        ordering: ClassVar[list[str]] = ["operator", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.operator}: from {self.from_organisation} to {self.to_organisation}"
