"""Assets: what the ledger counts, each one permit type or one currency."""

from typing import ClassVar

import pgtrigger
from django.core.validators import RegexValidator
from django.db import models


class Asset(models.Model):
    """One permit type (scheme and vintage) or one currency. Currency is counted in minor units, a hundredth each."""

    class Kind(models.TextChoices):
        PERMIT = "permit", "Permit"
        CURRENCY = "currency", "Currency"

    code = models.CharField(
        max_length=60,
        unique=True,
        validators=[RegexValidator(r"\A[a-z0-9][a-z0-9-]*\Z", "Use small letters, digits and hyphens.")],
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="asset_kind_known", condition=models.Q(kind__in=["permit", "currency"])),
            models.CheckConstraint(
                name="asset_code_is_a_slug", condition=models.Q(code__regex=r"^[a-z0-9][a-z0-9-]*$")
            ),
        ]
        ordering: ClassVar[list[str]] = ["code"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            pgtrigger.Protect(name="asset_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="asset_frozen_facts",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("code", "kind"),
            ),
        ]

    def __str__(self) -> str:
        return self.code
