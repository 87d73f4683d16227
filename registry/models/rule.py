"""The rules of a scheme as data: each value with its validity, source, and the change that two officers approved."""

import uuid
from typing import ClassVar

import pgtrigger
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models

from accounts.models import Approval
from common.append_only import append_only_triggers
from registry.models.scheme import Scheme


class RuleChange(models.Model):
    """One change of a scheme's rules: values that came into force together. Append-only.

    `book_sha256` is the hash of the whole rule book after the change; runs name it as the version of their rules.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="rule_changes")
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=200)
    reason_code = models.CharField(max_length=40, blank=True, help_text="Why rules change that were locked or past.")
    book_sha256 = models.CharField(max_length=64)
    approval = models.OneToOneField(Approval, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["scheme", "number"], name="rule_changes_numbered_per_scheme"),
        ]
        ordering: ClassVar[list[str]] = ["scheme", "-number"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.scheme} change {self.number}: {self.title}"


class Rule(models.Model):
    """One value of one named parameter, from one day on. A later change supersedes it from its own first day.

    `valid_to` is the first day on which the value does not hold any more; without one it holds until superseded.
    """

    id = models.BigAutoField(primary_key=True)
    scheme = models.ForeignKey(Scheme, on_delete=models.PROTECT, related_name="rules")
    change = models.ForeignKey(RuleChange, on_delete=models.PROTECT, related_name="rules")
    name = models.CharField(max_length=80)
    value = models.JSONField(encoder=DjangoJSONEncoder, help_text="Quantities and rates are exact text.")
    unit = models.CharField(max_length=40, blank=True)
    rounding = models.CharField(max_length=2, blank=True, help_text="R1 to R8, where the value is rounded.")
    valid_from = models.DateField()
    valid_to = models.DateField(null=True)
    source = models.CharField(max_length=500)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["change", "name", "valid_from"], name="one_value_per_change_name_and_day"),
            models.CheckConstraint(
                name="rule_validity_in_order",
                condition=models.Q(valid_to__isnull=True) | models.Q(valid_to__gt=models.F("valid_from")),
            ),
            models.CheckConstraint(name="rule_names_its_source", condition=~models.Q(source="")),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["scheme", "name", "valid_from"], name="rules_by_name_and_day"),
        ]
        ordering: ClassVar[list[str]] = ["scheme", "name", "valid_from", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = append_only_triggers()

    def __str__(self) -> str:
        return f"{self.name} from {self.valid_from}"
