"""Ledger accounts: the places where assets lie, each with a number that catches typing mistakes."""

from typing import ClassVar

import pgtrigger
from django.db import models

from accounts.models import Organisation
from common.lifecycle import Lifecycle

ACCOUNT = Lifecycle("account", {"open": {"frozen", "closed"}, "frozen": {"open"}, "closed": set()})

SINKS = frozenset({"surrender", "cancellation"})
"""Kinds that units never leave, but by a reversal."""

_TYPE_CODES = {
    "holding": "100",
    "trading": "110",
    "compliance": "120",
    "consignment": "130",
    "delivery": "140",
    "issuance": "200",
    "auction": "210",
    "set_aside": "220",
    "reserve": "230",
    "new_entrants": "240",
    "stability": "250",
    "containment": "260",
    "escrow": "270",
    "surrender": "300",
    "cancellation": "310",
    "bank": "400",
    "clearing": "500",
    "fees": "510",
}


def account_number(kind: str, serial: int) -> str:
    """Return an account's number, such as HR-100-0000042-17. The last two digits check the rest (ISO 7064, mod 97)."""
    type_code = _TYPE_CODES[kind]
    return f"HR-{type_code}-{serial:07d}-{98 - _spelled_in_digits(type_code, serial, '00') % 97:02d}"


def is_account_number(text: str) -> bool:
    """Say whether a typed number has the right form and the right check digits. It may still be nobody's."""
    parts = text.split("-")
    if len(parts) != 4 or parts[0] != "HR" or not all(part.isascii() and part.isdigit() for part in parts[1:]):
        return False
    _, type_code, serial, check = parts
    if type_code not in _TYPE_CODES.values() or len(serial) < 7 or len(check) != 2:
        return False
    return 2 <= int(check) <= 98 and _spelled_in_digits(type_code, int(serial), check) % 97 == 1


def _spelled_in_digits(type_code: str, serial: int, check: str) -> int:
    """Write the number with H as 17 and R as 27, as in an IBAN."""
    return int(f"1727{type_code}{serial:07d}{check}")


class LedgerAccount(models.Model):
    """A place where assets lie. It may hold any number of assets, one balance for each.

    A contra account may go below zero: what an issuance account owes is what has been issued. Its status is copied
    to its balances by the trigger in `sql/0001_balances.sql`, so that posting reads it under the lock it takes anyway.
    """

    class Kind(models.TextChoices):
        HOLDING = "holding", "Holding"
        TRADING = "trading", "Trading"
        COMPLIANCE = "compliance", "Compliance"
        CONSIGNMENT = "consignment", "Consignment"
        DELIVERY = "delivery", "Auction delivery"
        ISSUANCE = "issuance", "Issuance"
        AUCTION = "auction", "Auction"
        SET_ASIDE = "set_aside", "Set-aside"
        RESERVE = "reserve", "Reserve"
        NEW_ENTRANTS = "new_entrants", "New entrants reserve"
        STABILITY = "stability", "Stability reserve"
        CONTAINMENT = "containment", "Cost containment reserve"
        ESCROW = "escrow", "Escrow"
        SURRENDER = "surrender", "Surrender"
        CANCELLATION = "cancellation", "Cancellation"
        BANK = "bank", "Bank"
        CLEARING = "clearing", "Clearing"
        FEES = "fees", "Fees"

    id = models.BigAutoField(primary_key=True)
    number = models.CharField(max_length=30, unique=True)
    owner = models.ForeignKey(
        Organisation,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="ledger_accounts",
        help_text="Empty for the central accounts of a scheme.",
    )
    kind = models.CharField(max_length=20, choices=Kind.choices)
    reference = models.CharField(
        max_length=100,
        null=True,
        blank=True,
        unique=True,
        help_text="The business name of a central account, such as issuance:ai-2030.",
    )
    label = models.CharField(max_length=200)
    contra = models.BooleanField(default=False, help_text="May go below zero.")
    status = models.CharField(max_length=10, choices=ACCOUNT.choices, default=ACCOUNT.initial)
    opened_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_account"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="account_kind_known", condition=models.Q(kind__in=sorted(_TYPE_CODES))),
            models.CheckConstraint(name="account_status_known", condition=models.Q(status__in=ACCOUNT.states)),
            models.CheckConstraint(
                name="account_has_owner_or_reference",
                condition=models.Q(owner__isnull=False) | models.Q(reference__isnull=False),
            ),
        ]
        ordering: ClassVar[list[str]] = ["id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            ACCOUNT.trigger(),
            pgtrigger.Protect(
                name="account_frozen_facts",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("number", "owner", "kind", "contra"),
            ),
            pgtrigger.Protect(name="account_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.number} {self.label}"
