"""Holds: reserving part of a balance so that nothing else can spend it, and giving it back or paying with it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from accounts.models import User
from common.database import assert_in_transaction
from registry.ledger.models import Hold
from registry.ledger.services.posting import Posted, Posting, lock_balances, post
from registry.ledger.services.refusals import refuse_with, require_in_range


class HoldChange(NamedTuple):
    """The quantity that one open hold shall have from now on."""

    hold: int
    quantity: int


def hold(*, account: int, asset: int, quantity: int, purpose: str, reference: str, now: datetime) -> int:
    """Reserve a quantity of a balance and return the hold's id; zero opens a standing hold for `set_holds` to move.

    The same purpose and reference again return the same hold if its quantity is the same, ended or not; another
    quantity is refused as `key_reused`.
    """
    assert_in_transaction()
    require_in_range([quantity], minimum=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM ledger_open_hold(%s::bigint, %s::bigint, %s::bigint, %s, %s, %s)",
            [account, asset, quantity, purpose, reference, now],
        )
        outcome, hold_id = cursor.fetchone()
    if outcome != "held":
        refuse_with(outcome, account)
    return int(hold_id)


def set_holds(changes: Iterable[HoldChange]) -> None:
    """Give open holds new quantities, all or none. Lowering always works; raising needs enough available.

    What one change of a balance frees, another change of it in the same call may use. Each hold is named once.
    """
    assert_in_transaction()
    listed = list(changes)
    require_in_range((change.quantity for change in listed), minimum=0)
    if len(listed) == 1:
        _call("SELECT * FROM ledger_set_hold(%s::bigint, %s::bigint)", [*listed[0]])
    elif listed:
        _call(
            "SELECT * FROM ledger_set_holds(%s::bigint[], %s::bigint[], NULL, NULL)",
            [[change.hold for change in listed], [change.quantity for change in listed]],
        )


def release(*, hold_ids: Sequence[int], now: datetime) -> None:
    """End open holds and give back what they reserved. Each keeps its last quantity as a record."""
    _end(hold_ids, "released", now)


def capture(
    *,
    hold_ids: Sequence[int],
    transfers: Sequence[Posting],
    kind: str,
    reference: str,
    actor: User | None,
    now: datetime,
    note: str = "",
) -> Posted:
    """End open holds and spend what they reserved, in one step.

    Repeating a capture finds its journal posted and its holds captured, and returns the stored result.
    """
    assert_in_transaction()
    holds = Hold.objects.filter(pk__in=hold_ids)
    reserved = set(holds.values_list("balance__account_id", "balance__asset_id"))
    touched = {(leg.debit_account, leg.asset) for leg in transfers} | {
        (leg.credit_account, leg.asset) for leg in transfers
    }
    lock_balances(reserved | touched)
    captured = holds.filter(status="captured").count() == len(hold_ids)
    with transaction.atomic():  # if the posting is refused, the holds are not ended either
        if not captured:
            _end(hold_ids, "captured", now)
        return post(transfers=transfers, kind=kind, reference=reference, actor=actor, now=now, note=note)


def _end(hold_ids: Sequence[int], ending: str, now: datetime) -> None:
    assert_in_transaction()
    if hold_ids:
        _call(
            "SELECT * FROM ledger_set_holds(%s::bigint[], %s::bigint[], %s, %s)",
            [list(hold_ids), [0] * len(hold_ids), ending, now],
        )


def _call(sql: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        outcome, _line, account_id = cursor.fetchone()
    if outcome != "held":
        refuse_with(outcome, account_id)
