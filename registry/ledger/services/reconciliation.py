"""Reconciliation: count everything again by another path, write down what differs, and freeze it.

The books are read first: each balance with its number of entries, each open serial block with the mark up to which it
was derived. Then every transfer is read, and only those that the books had by then are counted, so that nobody has to
stop trading for it. An account that differs stays frozen until a later reconciliation finds it in order again.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.db import connection, transaction

from accounts.services import audit
from registry.ledger.models import Asset, Balance, Difference, LedgerAccount, Reconciliation, SerialStop, Transfer
from registry.ledger.services.accounts import freeze_account
from registry.ledger.services.serials import MARK
from registry.ledger.tally import Movement, Range, Stop, count, in_both, same_numbers, tally

BALANCE, ENTRIES, SERIALS = "balance", "entries", "serials"
_ROWS_AT_A_TIME = 10_000


def reconcile(*, now: datetime) -> Reconciliation:
    """Count every account, asset and serial block again, and freeze the accounts that differ."""
    booked = list(Balance.objects.values_list("pk", "account_id", "asset_id", "balance", "entries", "contra"))
    blocks, numbered_up_to = _blocks()
    permits = frozenset(Asset.objects.filter(kind=Asset.Kind.PERMIT).values_list("pk", flat=True))
    last = Transfer.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    counted = tally(
        _movements(),
        entries_booked={pk: entries for pk, _, _, _, entries, _ in booked},
        numbered_assets=permits,
        numbered_up_to=numbered_up_to,
        issuers=frozenset(pk for pk, *_, contra in booked if contra),
        stops=[
            Stop(asset, (first, last), since, until)
            for asset, first, last, since, until in SerialStop.objects.values_list(
                "asset_id", "first", "last", "since", "until"
            )
        ],
    )

    differences: list[Difference] = []
    for pk, account, asset, balance, entries, _ in booked:
        of_this = {"account_id": account, "asset_id": asset}
        if counted.totals[pk] != balance:
            differences.append(Difference(**of_this, what=BALANCE, booked=balance, counted=counted.totals[pk]))
        if counted.entries[pk] != entries:
            differences.append(Difference(**of_this, what=ENTRIES, booked=entries, counted=counted.entries[pk]))
        stored, derived = blocks.get(pk, []), counted.serials.get(pk, ())
        if not same_numbers(stored, derived) or pk in counted.unissued:
            there, derived_there = count(stored), count(derived)
            agreed = derived_there if derived_there != there else in_both(stored, derived)
            differences.append(Difference(**of_this, what=SERIALS, booked=there, counted=agreed))
    return _record(differences, last, len(booked), sum(map(len, blocks.values())), now)


@transaction.atomic(durable=True)
def _record(differences: list[Difference], up_to: int, balances: int, blocks: int, now: datetime) -> Reconciliation:
    done = Reconciliation.objects.create(
        started_at=now, up_to=up_to, balances=balances, blocks=blocks, differences=len(differences)
    )
    for difference in differences:
        difference.reconciliation = done
    Difference.objects.bulk_create(differences)
    for account in LedgerAccount.objects.filter(pk__in={d.account_id for d in differences}).order_by("pk"):
        if account.status == "open":
            freeze_account(account_id=account.pk)
        audit.record(None, "ledger.reconciliation.differed", account, at=now, reconciliation=done.pk)
    audit.record(None, "ledger.reconciliation.done", done, at=now, balances=balances, differences=len(differences))
    return done


def _movements() -> Iterator[Movement]:
    rows = Transfer.objects.order_by("pk").values_list(
        "pk", "asset_id", "debit_id", "credit_id", "amount", "debit_seq", "credit_seq"
    )
    for row in rows.iterator(chunk_size=_ROWS_AT_A_TIME):
        yield Movement(*row)


def _blocks() -> tuple[dict[int, list[Range]], int]:
    """Return the open serial blocks by balance and how far they were derived, both in one statement's snapshot."""
    blocks: defaultdict[int, list[Range]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.up_to, b.balance_id, b.first, b.last FROM ledger_mark m"
            " LEFT JOIN ledger_serial_block b ON b.until IS NULL WHERE m.name = %s",
            [MARK],
        )
        rows = cursor.fetchall()
    for _, balance, first, last in rows:
        if balance is not None:
            blocks[balance].append((first, last))
    return blocks, rows[0][0] if rows else 0
