"""Posting: moving assets between accounts, once for each key, all of a journal or nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DataError, IntegrityError, connection

from accounts.models import User
from common.database import assert_in_transaction
from common.errors import refuse, require
from common.idempotency import derive_key
from registry.ledger.models import Journal
from registry.ledger.services.refusals import SENTENCES, refuse_with, require_in_range


class Posting(NamedTuple):
    """One transfer to be posted: so much of an asset out of the debit account and into the credit account."""

    key: UUID
    debit_account: int
    credit_account: int
    asset: int
    amount: int


@dataclass(frozen=True)
class Posted:
    """What came of posting: the journal, when it was booked, and whether it had been posted before."""

    journal_id: int
    at: datetime
    repeated: bool


def post(
    *, transfers: Sequence[Posting], kind: str, reference: str, actor: User | None, now: datetime, note: str = ""
) -> Posted:
    """Post transfers as one journal, in the order given; each debit must be covered when its turn comes.

    The same reference with the same transfers returns the stored result; with others it is refused as `key_reused`.
    Balances that do not exist yet are made. Entries are booked at `now`, or at the latest entry of a touched balance
    if that is later, so that instants never go backwards within a balance.
    """
    assert_in_transaction()
    assert transfers, "A journal has at least one transfer."
    require_in_range((transfer.amount for transfer in transfers), minimum=1)
    actor_id = None if actor is None else actor.pk
    if len(transfers) == 1:
        return _call(
            "SELECT * FROM ledger_post_one(%s, %s, %s::uuid, %s, %s, %s::uuid, %s::bigint, %s::bigint, %s::bigint,"
            " %s::bigint)",
            [kind, reference, actor_id, now, note, *transfers[0]],
        )
    return _post_batch(transfers, kind, reference, actor_id, now, note, None)


def reverse(*, journal_id: int, kind: str, reference: str, actor: User | None, now: datetime, note: str = "") -> Posted:
    """Post the opposite of a journal, last transfer first. A journal is reversed at most once.

    Only a reversal takes units out of an account where they were surrendered or cancelled. Who may order one, and
    with whose approval, is the caller's question.
    """
    assert_in_transaction()
    original = Journal.objects.filter(pk=journal_id).select_related("reversed_by").first()
    if original is None:
        refuse("journal_unknown", "There is no such journal to reverse.")
    require(original.reverses_id is None, "reversal_final", "A reversal cannot be reversed. Post a new transfer.")
    earlier = Journal.objects.filter(reverses=original).exclude(reference=reference).first()
    require(earlier is None, "already_reversed", "This journal has been reversed already.")
    opposite = [
        Posting(
            derive_key("reversal", transfer.key),
            transfer.credit.account_id,
            transfer.debit.account_id,
            transfer.asset_id,
            transfer.amount,
        )
        for transfer in original.transfers.select_related("debit", "credit").order_by("-id")
    ]
    return _post_batch(opposite, kind, reference, None if actor is None else actor.pk, now, note, journal_id)


def lock_balances(pairs: Iterable[tuple[int, int]]) -> None:
    """Lock the balances of (account, asset) pairs until the transaction ends, in everybody's order.

    For a service that holds and posts in several steps: it names everything it will touch first, once.
    """
    assert_in_transaction()
    accounts, assets = _columns(pairs)
    with connection.cursor() as cursor:
        cursor.execute("SELECT cardinality(ledger_lock_balances(%s::bigint[], %s::bigint[]))", [accounts, assets])


def _post_batch(
    transfers: Sequence[Posting],
    kind: str,
    reference: str,
    actor_id: UUID | None,
    now: datetime,
    note: str,
    reverses: int | None,
) -> Posted:
    keys, debits, credits, assets, amounts = (list(column) for column in zip(*transfers, strict=True))
    return _call(
        "SELECT * FROM ledger_post(%s, %s, %s::uuid, %s, %s, %s::bigint, %s::uuid[], %s::bigint[], %s::bigint[],"
        " %s::bigint[], %s::bigint[])",
        [kind, reference, actor_id, now, note, reverses, keys, debits, credits, assets, amounts],
    )


def _call(sql: str, parameters: list[Any]) -> Posted:
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            outcome, journal_id, at, _line, account_id = cursor.fetchone()
    except IntegrityError as error:
        # two sessions used one key, or reversed one journal, at the same moment for different balances
        if "ledger_transfer_key" in str(error):
            refuse("key_reused", SENTENCES["key_reused"])
        if "reverses_id" in str(error):
            refuse("already_reversed", "This journal has been reversed already.")
        raise
    except DataError as error:
        if "out of range" in str(error):  # a balance beyond what a bigint holds
            refuse("quantity_out_of_range", SENTENCES["quantity_out_of_range"])
        raise
    if outcome not in {"posted", "repeated"}:
        refuse_with(outcome, account_id)
    return Posted(journal_id, at, repeated=outcome == "repeated")


def _columns(pairs: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    listed = list(pairs)
    return [account for account, _ in listed], [asset for _, asset in listed]
