"""Reads about transactions: which of them somebody may see, what happened to one, and what a certificate says."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q, QuerySet

from accounts.models import AuditEvent
from accounts.selectors import Scope, events_of
from common.errors import Unknown
from registry.ledger.models import Asset, Balance, LedgerAccount, SerialBlock, Transfer
from registry.models import Period, Transaction, TrustedAccount
from registry.services.transactions.types import HOLDER_KINDS, STORES

SHOWN_TO_RECEIVER = ("awaiting_receiver", "completed", "reversed")
"""Before these states a transaction is its sender's own affair."""


def transactions_in(scope: Scope) -> QuerySet[Transaction]:
    """Return the transactions that somebody may see: their own, those out of their accounts, and those that arrived."""
    rows = Transaction.objects.select_related(
        "organisation", "sender__owner", "receiver__owner", "asset", "approval", "proposed_by", "journal"
    )
    if scope.everything:
        return rows
    own = scope.organisation_ids
    arrived = Q(receiver__owner__in=own) & (
        Q(status__in=SHOWN_TO_RECEIVER) | Q(status="rejected", confirmed_by__isnull=False)
    )
    return rows.filter(Q(organisation__in=own) | Q(sender__owner__in=own) | arrived)


def transaction_in(scope: Scope, transaction_id: uuid.UUID) -> Transaction:
    """Return one transaction that somebody may see; what they may not see looks like nothing."""
    found = transactions_in(scope).filter(pk=transaction_id).first()
    if found is None:
        raise Unknown("transaction_unknown", "There is no such transaction in your scope. Check the address.")
    return found


def own_accounts(organisation_id: uuid.UUID) -> QuerySet[LedgerAccount]:
    """Return the accounts that a holder has and that are not closed, its first one first."""
    return (
        LedgerAccount.objects.filter(owner=organisation_id, kind__in=HOLDER_KINDS)
        .exclude(status="closed")
        .order_by("id")
    )


def central_accounts() -> QuerySet[LedgerAccount]:
    """Return the central accounts that permits may leave again."""
    return LedgerAccount.objects.filter(kind__in=sorted(STORES), owner=None).exclude(status="closed").order_by("id")


def sendable(organisation_id: uuid.UUID, kinds: Sequence[str]) -> QuerySet[Balance]:
    """Return the permits that a holder has in accounts of some kinds."""
    return (
        Balance.objects.filter(
            account__owner=organisation_id, account__kind__in=kinds, asset__kind=Asset.Kind.PERMIT, balance__gt=0
        )
        .select_related("asset", "account")
        .order_by("account_id", "asset__code")
    )


def trusted_in(scope: Scope) -> QuerySet[TrustedAccount]:
    """Return the entries of the trusted lists that somebody may see."""
    rows = TrustedAccount.objects.select_related("account__owner", "trusted__owner", "added_by")
    return scope.filter(rows, "account__owner")


@dataclass(frozen=True)
class Moment:
    """One line of a transaction's history. No person means that the registry acted by itself."""

    at: datetime
    what: str
    who: str
    says: str


_WHAT = {
    "registry.transaction.proposed": "Proposed; its permits are held",
    "registry.transaction.delayed": "Approved; waits for its time",
    "registry.transaction.awaiting_receiver": "Waits for the receiver",
    "registry.transaction.completed": "Carried out",
    "registry.transaction.rejected": "Turned down",
    "registry.transaction.cancelled": "Cancelled",
    "registry.transaction.failed": "Failed",
    "accounts.approval.approved": "Approved by the second person",
    "accounts.approval.rejected": "Rejected by the second person",
}


def timeline(row: Transaction) -> list[Moment]:
    """Return what happened to a transaction, oldest first, from its audit trail and that of its approval."""
    events: list[AuditEvent] = list(events_of("registry.transaction", row.pk))
    if row.approval_id is not None:
        events += [event for event in events_of("accounts.approval", row.approval_id) if event.action in _WHAT]
    known = sorted((event for event in events if event.action in _WHAT), key=lambda event: event.pk)
    moments = [
        Moment(
            event.at,
            _WHAT[event.action],
            event.actor.name if event.actor else "The registry",
            str(event.details.get("reason") or ""),
        )
        for event in known
    ]
    if not moments and row.ended_at is not None:  # part of a larger act, such as an allocation, which has its own trail
        moments = [Moment(row.ended_at, "Carried out", row.proposed_by.name if row.proposed_by else "The registry", "")]
    undoing = row.reversals.filter(status="completed").select_related("proposed_by").first()
    if undoing is not None and undoing.ended_at is not None:
        who = undoing.proposed_by.name if undoing.proposed_by else "The registry"
        moments.append(Moment(undoing.ended_at, "Undone", who, str(undoing.details.get("reason") or "")))
    return moments


class Run(NamedTuple):
    """Permit numbers that follow on each other, both ends included."""

    first: int
    last: int


@dataclass(frozen=True)
class Certificate:
    """What the public may know of a voluntary cancellation."""

    id: uuid.UUID
    beneficiary: str
    quantity: int
    vintage: int
    scheme: str
    permit: str
    cancelled_by: str
    cancelled_at: datetime
    agreement: str
    reversed: bool
    serials: tuple[Run, ...]
    """Numbers of the permits; empty until they are worked out."""


def certificate(transaction_id: uuid.UUID) -> Certificate:
    """Return the certificate of a cancellation that was carried out. It stays readable when that is undone."""
    row = (
        Transaction.objects.filter(pk=transaction_id, kind="cancel", status__in=["completed", "reversed"])
        .select_related("organisation", "asset")
        .first()
    )
    if row is None or row.ended_at is None:
        raise Unknown(
            "certificate_unknown", "There is no certificate of this number. Compare it with the one you have."
        )
    period = Period.objects.select_related("scheme").get(permit=row.asset_id)
    arrived = Transfer.objects.filter(key=row.key).values("pk")
    blocks = SerialBlock.objects.filter(asset=row.asset_id, since__in=arrived).order_by("first")
    return Certificate(
        id=row.pk,
        beneficiary=row.beneficiary,
        quantity=row.quantity,
        vintage=period.year,
        scheme=period.scheme.name,
        permit=row.asset.code,
        cancelled_by=row.organisation.name,
        cancelled_at=row.ended_at,
        agreement=row.agreement,
        reversed=row.status == "reversed",
        serials=tuple(Run(block.first, block.last) for block in blocks),
    )
