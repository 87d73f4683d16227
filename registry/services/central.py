"""The central ledger accounts of a period and of a currency: opened once, found by their business names."""

from datetime import datetime

from registry.ledger import services as ledger
from registry.ledger.models import Asset, LedgerAccount
from registry.models import Period

ISSUANCE, TOTAL, AUCTION, SET_ASIDE, SURRENDER, CANCELLATION = (
    "issuance",
    "total",
    "auction",
    "set_aside",
    "surrender",
    "cancellation",
)
"""What each central account of a period is for; its reference is this, a colon and the period's code."""
ESCROW = "escrow"
"""Opened only when something has to wait there."""

NEW_ENTRANTS, STABILITY, CONTAINMENT, ESCROW = "new_entrants", "stability", "containment", "escrow"
"""Purposes that only some schemes have: their accounts are opened when they are first used."""

_LABELS = {
    ISSUANCE: "Issuance",
    TOTAL: "Total quantity",
    AUCTION: "Auction",
    SET_ASIDE: "Set-aside",
    SURRENDER: "Surrendered",
    CANCELLATION: "Cancelled",
}
_LABELS_ON_USE = {
    NEW_ENTRANTS: "New entrants reserve",
    STABILITY: "Stability reserve",
    CONTAINMENT: "Cost containment reserve",
    ESCROW: "Escrow",
}
_KINDS = {TOTAL: "reserve"}
"""The ledger's kind where it is not the purpose itself."""


def open_accounts(period: Period, now: datetime) -> None:
    """Open every central account of a period's permits."""
    for purpose, label in _LABELS.items():
        ledger.open_account(
            kind=_KINDS.get(purpose, purpose),
            reference=f"{purpose}:{period.code}",
            label=f"{label}, {period}",
            contra=purpose == ISSUANCE,
            now=now,
        )


def account(period: Period, purpose: str) -> LedgerAccount:
    """Return the central account of a period for a purpose."""
    return LedgerAccount.objects.get(reference=f"{purpose}:{period.code}")


def account_on_use(period: Period, purpose: str, now: datetime) -> LedgerAccount:
    """Return the account of a purpose that only some schemes have, opened if it is not there yet."""
    reference = f"{purpose}:{period.code}"
    return LedgerAccount.objects.filter(reference=reference).first() or ledger.open_account(
        kind=purpose, reference=reference, label=f"{_LABELS_ON_USE[purpose]}, {period}", now=now
    )


def open_bank(currency: Asset, now: datetime) -> LedgerAccount:
    """Open the account that stands for the money at the bank: what it owes is what participants hold."""
    return ledger.open_account(
        kind="bank", reference=bank_reference(currency), label=f"Bank, {currency.code}", contra=True, now=now
    )


def bank(currency: Asset) -> LedgerAccount:
    """Return the bank's account in a currency."""
    return LedgerAccount.objects.get(reference=bank_reference(currency))


def bank_reference(currency: Asset) -> str:
    """Name the bank's account in a currency."""
    return f"bank:{currency.code}"


def held_back(period: Period, now: datetime) -> LedgerAccount:
    """Return the account in which contested or suspended permits of a period wait; open it on first use."""
    return _opened(f"{ESCROW}:{period.code}", kind=ESCROW, label=f"Held back, {period}", now=now)


def sanctions(currency: Asset, now: datetime) -> LedgerAccount:
    """Return the account into which sanctions and charges are paid; open it on first use."""
    return _opened(f"sanctions:{currency.code}", kind="fees", label=f"Sanctions, {currency.code}", now=now)


def proceeds(currency: Asset, now: datetime) -> LedgerAccount:
    """Return the account in which the money of sales lies, opened when it is first used."""
    return _opened(f"proceeds:{currency.code}", kind="fees", label=f"Proceeds of sales, {currency.code}", now=now)


def _opened(reference: str, *, kind: str, label: str, now: datetime) -> LedgerAccount:
    found = LedgerAccount.objects.filter(reference=reference).first()
    return found or ledger.open_account(kind=kind, reference=reference, label=label, now=now)
