"""Where accounts stand: grade and terms, what is frozen, and which accounts belong to an operator. Read by checks.

The ledger knows open, frozen and closed, and refuses by them whatever anybody forgot to ask. A grade says more finely
what a holder may still do, and is asked by the checks of transactions and at the entrance of an order.
"""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.db.models import Q, QuerySet

from registry.ledger.models import Asset, LedgerAccount, SerialStop
from registry.ledger.services.stops import stopped_quantities
from registry.models import AccountTerms, Freeze, IdentityDocument, Operator, Scheme

OPEN = "open"
BY_OPERATOR = frozenset({"compliance", "consignment"})
"""Kinds of accounts that belong to one operator of a scheme, beside its main account."""


def terms_of(account: LedgerAccount) -> AccountTerms:
    """Return the terms of an account; one that was never given any has the usual ones, which are not stored."""
    return AccountTerms.objects.filter(account=account).first() or AccountTerms(account=account)


def grade_of(account: LedgerAccount) -> str:
    """Return the grade of an account as it counts: what the ledger froze or closed is so, whatever the terms say."""
    return grades([account])[account.pk]


def grades(accounts: Iterable[LedgerAccount]) -> dict[int, str]:
    """Return the grade of each account, by one query."""
    listed = list(accounts)
    known = dict(AccountTerms.objects.filter(account__in=listed).values_list("account_id", "grade"))
    return {account.pk: account.status if account.status != OPEN else known.get(account.pk, OPEN) for account in listed}


def freeze_of(scheme: Scheme) -> Freeze | None:
    """Return the freeze that stops a scheme, its own or that of every scheme, or None. Surrender goes on."""
    return Freeze.objects.filter(Q(scheme=scheme) | Q(scheme=None), lifted_at=None).order_by("frozen_at").first()


def is_frozen(scheme: Scheme) -> bool:
    """Say whether all movements of a scheme but surrender are stopped."""
    return freeze_of(scheme) is not None


def frozen_quantity(account_id: int, asset_id: int) -> int:
    """Return how many permits with frozen numbers lie in an account. The ledger holds them besides."""
    return stopped_quantities([account_id]).get((account_id, asset_id), 0)


def is_serial_frozen(asset: Asset, number: int) -> bool:
    """Say whether a permit number may not move now."""
    return SerialStop.objects.filter(asset=asset, until=None, first__lte=number, last__gte=number).exists()


def reference_of(kind: str, operator: Operator) -> str:
    """Return how the names of an operator's accounts of a kind begin; the newest of them is the live one."""
    assert kind in BY_OPERATOR
    return f"{kind}:{operator.pk}"


def accounts_of(operator: Operator) -> QuerySet[LedgerAccount]:
    """The live accounts that belong to an operator alone: for compliance, and for consignment."""
    named = Q()
    for kind in sorted(BY_OPERATOR):
        named |= Q(kind=kind, reference__startswith=reference_of(kind, operator))
    return LedgerAccount.objects.filter(named, owner=operator.organisation_id).exclude(status="closed").order_by("pk")


def operator_account(operator: Operator, kind: str) -> LedgerAccount | None:
    """Return the live account of a kind that belongs to an operator, if it has one."""
    return accounts_of(operator).filter(kind=kind).first()


def outstanding_identity(holder_id: UUID) -> QuerySet[IdentityDocument]:
    """Identity documents that were asked for and not accepted yet."""
    return IdentityDocument.objects.filter(
        organisation=holder_id, status__in=["requested", "received", "refused"]
    ).order_by("due_on", "id")


def active_days(operator: Operator, first: date, last: date) -> tuple[int, int]:
    """Return on how many days of a span an operator was active, and how many there were; both ends included.

    Free permits of a year stop pro rata by day when an operator closes: allocation x active / all, cut to whole
    permits (R2) [late case 8].
    """
    assert first <= last
    until = last if operator.closed_on is None else min(last, operator.closed_on)
    return max(0, (until - first).days + 1), (last - first).days + 1
