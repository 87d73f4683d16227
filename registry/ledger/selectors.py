"""Reading the ledger: what an account holds, held at any instant, and how it got there."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Count, QuerySet, Sum

from registry.ledger.models import Balance, LedgerAccount


class Entry(NamedTuple):
    """One line of a statement: what came in (or, negative, went out) and the balance after it."""

    seq: int
    at: datetime
    amount: int
    balance_after: int
    other_account: str
    kind: str
    reference: str
    key: UUID


@dataclass(frozen=True)
class Statement:
    """An account's movements of one asset from `start` up to but not including `end`.

    The closing balance of one period is the opening balance of the next.
    """

    account_id: int
    asset_id: int
    start: datetime
    end: datetime
    opening: int
    entries: list[Entry]
    closing: int


class KindTotal(NamedTuple):
    """How much of one asset lies in all the accounts of one kind."""

    asset_id: int
    asset_code: str
    kind: str
    accounts: int
    balance: int
    held: int


def balance_of(account_id: int, asset_id: int) -> int:
    """Return the present balance, held parts included."""
    return _position(account_id, asset_id)[0]


def available(account_id: int, asset_id: int) -> int:
    """Return what may be spent now: the present balance less what is held."""
    balance, held = _position(account_id, asset_id)
    return balance - held


def balance_at(account_id: int, asset_id: int, instant: datetime) -> int:
    """Return the balance after every entry booked up to and including an instant."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_balance_after(b.id, ledger_entries_by(b.id, %s, true))"
            " FROM ledger_balance b WHERE b.account_id = %s AND b.asset_id = %s",
            [instant, account_id, asset_id],
        )
        found = cursor.fetchone()
    return 0 if found is None else int(found[0])


def statement(account_id: int, asset_id: int, start: datetime, end: datetime) -> Statement:
    """Return the statement of one account and asset for a period, from an index at any size of the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT x.id, x.before, x.last, ledger_balance_after(x.id, x.before), ledger_balance_after(x.id, x.last)"
            " FROM (SELECT b.id, ledger_entries_by(b.id, %s, false) AS before,"
            " ledger_entries_by(b.id, %s, false) AS last"
            " FROM ledger_balance b WHERE b.account_id = %s AND b.asset_id = %s) x",
            [start, end, account_id, asset_id],
        )
        balance_id, before, last, opening, closing = cursor.fetchone() or (0, 0, 0, 0, 0)
        cursor.execute(
            "SELECT e.seq, e.at, e.amount, e.balance_after, a.number, j.kind, j.reference, t.key"
            " FROM ledger_entry e"
            " JOIN ledger_transfer t ON t.id = e.transfer_id"
            " JOIN ledger_journal j ON j.id = e.journal_id"
            " JOIN ledger_balance o ON o.id = e.other_balance_id"
            " JOIN ledger_account a ON a.id = o.account_id"
            " WHERE e.balance_id = %s AND e.seq > %s AND e.seq <= %s ORDER BY e.seq",
            [balance_id, before, last],
        )
        entries = [Entry(*row) for row in cursor.fetchall()]
    return Statement(account_id, asset_id, start, end, opening, entries, closing)


def holdings(account_ids: Iterable[int]) -> QuerySet[Balance]:
    """Return the balances of accounts with their assets, by account and asset code."""
    return (
        Balance.objects.filter(account_id__in=list(account_ids))
        .select_related("account", "asset")
        .order_by("account_id", "asset__code")
    )


def totals_by_kind(asset_ids: Iterable[int] | None = None) -> list[KindTotal]:
    """Return where every unit of the assets is, by kind of account; each asset sums to zero over all kinds."""
    balances = Balance.objects.all()
    if asset_ids is not None:
        balances = balances.filter(asset_id__in=list(asset_ids))
    rows = (
        balances.values("asset_id", "asset__code", "account__kind")
        .annotate(accounts=Count("id"), total=Sum("balance"), held_total=Sum("held"))
        .order_by("asset__code", "account__kind")
    )
    return [
        KindTotal(
            row["asset_id"],
            row["asset__code"],
            row["account__kind"],
            row["accounts"],
            int(row["total"]),
            int(row["held_total"]),
        )
        for row in rows
    ]


def central_account(reference: str) -> LedgerAccount:
    """Return the central account with this business name, such as issuance:ai-2030."""
    return LedgerAccount.objects.get(reference=reference)


def _position(account_id: int, asset_id: int) -> tuple[int, int]:
    found = Balance.objects.filter(account_id=account_id, asset_id=asset_id).values_list("balance", "held").first()
    return found or (0, 0)
