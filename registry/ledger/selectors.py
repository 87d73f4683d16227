"""Reading the ledger: what an account holds, held at any instant, and how it got there."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import BooleanField, Count, QuerySet, Sum
from django.db.models.expressions import RawSQL

from registry.ledger.models import Balance, LedgerAccount, Reconciliation, SerialBlock


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


class Turnover(NamedTuple):
    """The entries of a period by number, above `before` and up to `last`, with the balances before and after them."""

    before: int
    last: int
    opening: int
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
    turn = turnover(account_id, asset_id, start, end)
    entries = entries_between(account_id, asset_id, after=turn.before, up_to=turn.last)
    return Statement(account_id, asset_id, start, end, turn.opening, entries, turn.closing)


def turnover(account_id: int, asset_id: int, start: datetime | None, end: datetime | None) -> Turnover:
    """Return the numbers of the entries of a period and the balances at both ends, without reading the entries.

    No start is the beginning, and no end is the last entry.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH x AS MATERIALIZED (SELECT id, CASE WHEN %(start)s::timestamptz IS NULL THEN 0"
            "                       ELSE ledger_entries_by(id, %(start)s, false) END AS before,"
            "                  CASE WHEN %(end)s::timestamptz IS NULL THEN entries"
            "                       ELSE ledger_entries_by(id, %(end)s, false) END AS last"
            " FROM ledger_balance WHERE account_id = %(account)s AND asset_id = %(asset)s)"
            " SELECT before, last, ledger_balance_after(id, before), ledger_balance_after(id, last) FROM x",
            {"start": start, "end": end, "account": account_id, "asset": asset_id},
        )
        return Turnover(*(cursor.fetchone() or (0, 0, 0, 0)))


def entries_between(account_id: int, asset_id: int, *, after: int, up_to: int) -> list[Entry]:
    """Return the entries of one account and asset with numbers above `after` and up to `up_to`, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT e.seq, e.at, e.amount, e.balance_after, a.number, j.kind, j.reference, e.key"
            " FROM ledger_balance b"
            " JOIN ledger_entry e ON e.balance_id = b.id"
            " JOIN ledger_journal j ON j.id = e.journal_id"
            " JOIN ledger_balance o ON o.id = e.other_balance_id"
            " JOIN ledger_account a ON a.id = o.account_id"
            " WHERE b.account_id = %s AND b.asset_id = %s AND e.seq > %s AND e.seq <= %s ORDER BY e.seq",
            [account_id, asset_id, after, up_to],
        )
        return [Entry(*row) for row in cursor.fetchall()]


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


def totals_before(asset_ids: Iterable[int], kinds: Iterable[str], instant: datetime) -> dict[str, int]:
    """Return how much of some assets lay in the accounts of each kind before an instant. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.kind, sum(ledger_balance_after(b.id, ledger_entries_by(b.id, %s, false)))"
            " FROM ledger_balance b JOIN ledger_account a ON a.id = b.account_id"
            " WHERE b.asset_id = ANY(%s::bigint[]) AND a.kind = ANY(%s::text[]) GROUP BY a.kind",
            [instant, list(asset_ids), list(kinds)],
        )
        found = dict(cursor.fetchall())
    return {kind: int(found.get(kind) or 0) for kind in kinds}


def central_account(reference: str) -> LedgerAccount:
    """Return the central account with this business name, such as issuance:ai-2030."""
    return LedgerAccount.objects.get(reference=reference)


class Possession(NamedTuple):
    """A run of serial numbers in one account, from the transfer that brought it until the one that took it away."""

    first: int
    last: int
    account: LedgerAccount
    since: int
    until: int | None


def holder_of_serial(asset_id: int, number: int) -> Possession | None:
    """Return where a permit is now, as far as the transfers have been read; None if it was never issued."""
    found = _blocks_with(asset_id, number).filter(until__isnull=True).first()
    return None if found is None else _possession(found)


def history_of_serial(asset_id: int, number: int) -> list[Possession]:
    """Return every account in which a permit has been, in order."""
    return [_possession(block) for block in _blocks_with(asset_id, number).order_by("since")]


def serial_blocks(account_id: int, asset_id: int) -> list[Possession]:
    """Return the serial numbers that an account has now, in the order in which it will pass them on."""
    blocks = SerialBlock.objects.filter(balance__account=account_id, balance__asset=asset_id, until__isnull=True)
    return [_possession(block) for block in blocks.select_related("balance__account").order_by("since", "first")]


def _blocks_with(asset_id: int, number: int) -> QuerySet[SerialBlock]:
    """Find blocks by the index that also keeps them apart."""
    contains = RawSQL("int8range(first, last, '[]') @> %s::bigint", [number], output_field=BooleanField())
    blocks = SerialBlock.objects.filter(asset_id=asset_id).alias(contains=contains).filter(contains=True)
    return blocks.select_related("balance__account__owner")


def _possession(block: SerialBlock) -> Possession:
    return Possession(block.first, block.last, block.balance.account, block.since, block.until)


def _position(account_id: int, asset_id: int) -> tuple[int, int]:
    found = Balance.objects.filter(account_id=account_id, asset_id=asset_id).values_list("balance", "held").first()
    return found or (0, 0)


def differs(account_id: int) -> bool:
    """Say whether the newest reconciliation found a difference between an account's books and the second tally."""
    newest = Reconciliation.objects.order_by("-pk").first()
    return newest is not None and newest.found.filter(account_id=account_id).exists()
