"""Surrenders: permits given up for a period, received at an instant that decides whether they were in time.

Each is a transaction of the type `surrender` with a receipt of its own. A reversal is a transaction too, and leaves a
receipt below zero, dated when it happened: the sum up to any instant is what counted then.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import refuse, require, require_permission
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Balance, Transfer
from registry.models import Operator, Period, Surrender, Transaction
from registry.permissions import may_surrender
from registry.services import central, compliance, operators, receipts, suspensions, transactions
from registry.standing import records


@dataclass(frozen=True)
class SurrenderOutcome:
    """A receipt, or the transaction in which a surrender waits for a second person."""

    receipt: Surrender | None = None
    transaction: Transaction | None = None


def ask(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    quantity: int,
    key: uuid.UUID,
    now: datetime,
    asset: Asset | None = None,
) -> SurrenderOutcome:
    """Surrender permits, or propose to where the scheme or the holder wants a second person; then they are held.

    The same key again is the same surrender, however it was made. A proposed one is received when it is approved.
    """
    require_permission(
        may_surrender(actor, operator.organisation), "Only a representative of the operator may surrender its permits."
    )
    quantity = parse_whole(quantity)
    wanted = requested(operator, period, asset or period.permit, quantity)
    is_proposed = Transaction.objects.filter(key=derive_key("surrender", operator.organisation_id, key)).exists()
    is_received = Surrender.objects.filter(key=derive_key("surrender", operator.pk, key)).exists()
    if is_proposed or (not is_received and why_second_person(operator, wanted, now)):
        _require_open_for(operator, period)
        made = transactions.propose(actor=actor, organisation=operator.organisation, request=wanted, key=key, now=now)
        return SurrenderOutcome(transaction=made)
    receipt = surrender(actor=actor, operator=operator, period=period, quantity=quantity, key=key, now=now, asset=asset)
    return SurrenderOutcome(receipt=receipt)


def why_second_person(operator: Operator, request: transactions.Request, now: datetime) -> str:
    """Say why a colleague has to approve a surrender; empty where nobody has to."""
    course, _ = transactions.foresee(operator.organisation, request, now, checked=False)
    return course.second_person


def requested(operator: Operator, period: Period, asset: Asset, quantity: int) -> transactions.Request:
    """Return a surrender out of an operator's first account, as one asks for it."""
    return transactions.Request(
        kind="surrender", sender=operator.account, asset=asset, quantity=quantity, period=period
    )


def _require_open_for(operator: Operator, period: Period) -> None:
    require(
        period.scheme_id == operator.scheme_id, "period_of_another_scheme", "This period belongs to another scheme."
    )
    require(period.status != "draft", "period_not_open", f"{period} is not open yet: nothing is owed for it.")


@transaction.atomic(durable=True)
def surrender(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    quantity: int,
    key: uuid.UUID,
    now: datetime,
    asset: Asset | None = None,
) -> Surrender:
    """Surrender permits of the period, or of an earlier one that were banked. The same key again is the same surrender.

    It stays possible after the deadline: what comes late makes good, and never counts as in time.
    """
    require_permission(
        may_surrender(actor, operator.organisation), "Only a representative of the operator may surrender its permits."
    )
    quantity = parse_whole(quantity)
    period, received_at = receipts.receive(period.pk)
    operator = operators.locked(operator)
    key = derive_key("surrender", operator.pk, key)
    spent = {asset.pk if asset else period.permit_id: quantity}
    repeated = Surrender.objects.filter(key=key).first()
    if repeated is not None:
        _require_same(repeated, period, spent)
        return repeated
    _require_open_for(operator, period)
    _require_one_person_is_enough(operator, period, spent, now)
    receipt = _post(operator, period, spent, key, received_at, actor, now)
    compliance.record_later_status(operator, period, now)
    return receipt


def _require_one_person_is_enough(operator: Operator, period: Period, spent: Mapping[int, int], now: datetime) -> None:
    """Refuse where scheme or holder want a second person: that is a proposal and not a receipt."""
    for asset, quantity in spent.items():
        why = why_second_person(operator, requested(operator, period, Asset.objects.get(pk=asset), quantity), now)
        if why:
            refuse("second_person_needed", f"{why} Propose it, so that a colleague approves.")


def surrender_standing(period: Period, now: datetime) -> dict[str, int]:
    """Surrender what is owed by the operators who asked for it, as far as they have it, oldest permits first.

    Part of the closing: does nothing for an operator it has served before.
    """
    assert_in_transaction()
    period, received_at = receipts.receive(period.pk)
    served = Surrender.objects.filter(period=period).values_list("key", flat=True)
    done = set(served)
    standing = list(
        Operator.objects.filter(scheme_id=period.scheme_id, surrenders_automatically=True)
        .exclude(organisation__status="closed")
        .order_by("id")
    )
    owed = {record.operator.pk: record.shortfall for record in records(period)}
    vintages = _usable(period)
    count = total = 0
    for operator in standing:
        key = derive_key("standing-surrender", period.pk, operator.pk)
        if key in done or not owed.get(operator.pk):
            continue
        operator = operators.locked(operator)
        spent = _oldest_first(operator, vintages, owed[operator.pk])
        for number, (asset_id, quantity) in enumerate(spent.items()):
            own_key = derive_key(key, asset_id) if number else key  # a receipt for each vintage
            _post(operator, period, {asset_id: quantity}, own_key, received_at, None, now)
        if spent:
            count, total = count + 1, total + sum(spent.values())
    return {"operators": count, "permits": total}


def _oldest_first(operator: Operator, vintages: Sequence[tuple[int, int]], owed: int) -> dict[int, int]:
    """Choose what an operator gives up: oldest vintage first, never what is held for something else."""
    assets = [asset for asset, _ in vintages]
    ledger.lock_balances([(operator.account_id, asset) for asset in assets])
    available = {
        balance.asset_id: balance.available
        for balance in Balance.objects.filter(account=operator.account_id, asset__in=assets, status="open")
    }
    spent = {}
    for asset in assets:
        quantity = min(owed, available.get(asset, 0))
        if quantity:
            spent[asset] = quantity
            owed -= quantity
    return spent


def receive_row(
    *,
    operator: Operator,
    period: Period,
    account: int,
    asset: int,
    quantity: int,
    key: uuid.UUID,
    received_at: datetime,
    actor: User,
    now: datetime,
) -> Surrender:
    """Receive permits out of any account of an operator, as part of a service that has locked period and operator.

    The caller works out the letters when all of its receipts are kept.
    """
    return _post(operator, period, {asset: quantity}, key, received_at, actor, now, account=account)


def _post(
    operator: Operator,
    period: Period,
    spent: Mapping[int, int],
    key: uuid.UUID,
    received_at: datetime,
    actor: User | None,
    now: datetime,
    account: int | None = None,
) -> Surrender:
    """Move the permits, the operator's own unless told, into the period's surrender account and keep the receipt."""
    sink = central.account(period, central.SURRENDER)
    posted = transactions.move(
        moves=[
            transactions.Move(
                "surrender", derive_key(key, asset), account or operator.account_id, sink.pk, asset, quantity
            )
            for asset, quantity in spent.items()
        ],
        organisation=operator.organisation,
        journal="surrender",
        reference=f"surrender:{key}",
        actor=actor,
        now=now,
        period=period,
        by_order=actor is None,
    )
    return _keep(operator, period, sum(spent.values()), key, posted.journal_id, received_at, actor, now)


def _keep(
    operator: Operator,
    period: Period,
    quantity: int,
    key: uuid.UUID,
    journal_id: int,
    received_at: datetime,
    actor: User | None,
    now: datetime,
) -> Surrender:
    """Write the receipt of permits that were moved."""
    suspensions.require_running(period.scheme_id)
    receipt = Surrender.objects.create(
        operator=operator,
        period=period,
        quantity=quantity,
        key=key,
        journal_id=journal_id,
        received_at=received_at,
        surrendered_by=actor,
    )
    audit.record(
        actor,
        "registry.surrender.received",
        receipt,
        at=now,
        organisation=operator.organisation,
        period=period.code,
        quantity=receipt.quantity,
        received_at=received_at,
    )
    return receipt


@dataclass(frozen=True)
class _Receiving:
    """What is locked while a surrender is received or undone."""

    operator: Operator
    period: Period
    received_at: datetime


def _lock_for_proposed(asked: transactions.Asked) -> _Receiving:
    """Lock what a surrender that two persons made is received under."""
    target = asked.period or Period.objects.filter(permit=asked.asset).first()
    operator = None
    if target is not None:
        period, received_at = receipts.receive(target.pk)
        operator = Operator.objects.filter(account=asked.sender, scheme=period.scheme_id).first() or (
            Operator.objects.filter(organisation__ledger_accounts=asked.sender, scheme=period.scheme_id).first()
        )
    if target is None or operator is None:
        refuse("operator_unknown", "The holder of this account is no operator of the scheme. Choose another account.")
    require(period.status != "draft", "period_not_open", f"{period} is not open yet: nothing is owed for it.")
    return _Receiving(operators.locked(operator), period, received_at)


def _proposed_came(row: Transaction, locked: _Receiving, now: datetime, actor: User | None) -> None:
    """Keep the receipt of a surrender that two persons made: the permits were received when they moved."""
    assert row.journal_id is not None
    _keep(
        locked.operator, locked.period, row.quantity, row.key, row.journal_id, locked.received_at, row.proposed_by, now
    )
    compliance.record_later_status(locked.operator, locked.period, now)


def _lock_for_reversal(asked: transactions.Asked) -> _Receiving:
    """Lock what the undone surrender was received under."""
    original = Transaction.objects.filter(pk=asked.original).first() if asked.original else None
    receipt = None if original is None else Surrender.objects.filter(journal=original.journal_id).first()
    if receipt is None:
        refuse("original_unknown", "There is no such surrender to undo. Check its number.")
    period, received_at = receipts.receive(receipt.period_id)
    return _Receiving(operators.locked(receipt.operator), period, received_at)


def _undone(row: Transaction, locked: _Receiving, now: datetime, actor: User | None) -> None:
    """Keep that the surrender came back, dated when it did, and work out the letters that have changed with it."""
    assert row.reverses is not None and row.journal_id is not None
    receipt = Surrender.objects.get(journal=row.reverses.journal_id)
    Surrender.objects.create(
        operator=locked.operator,
        period=locked.period,
        quantity=-receipt.quantity,
        key=row.key,
        journal_id=row.journal_id,
        received_at=locked.received_at,
        surrendered_by=row.proposed_by,
        kind=Surrender.Kind.REVERSED,
        reverses=receipt,
        reason=str(row.details.get("reason", "")),
    )
    compliance.record_later_status(locked.operator, locked.period, now)


EFFECTS = {
    "surrender": transactions.Effect(lock=_lock_for_proposed, done=_proposed_came),
    "reverse_surrender": transactions.Effect(lock=_lock_for_reversal, done=_undone),
}


def _usable(period: Period) -> list[tuple[int, int]]:
    """Return the permits that count for a period, as (asset, vintage), oldest first: its own and earlier ones."""
    return list(
        Period.objects.filter(scheme_id=period.scheme_id, year__lte=period.year)
        .order_by("year")
        .values_list("permit_id", "year")
    )


def _require_same(earlier: Surrender, period: Period, spent: Mapping[int, int]) -> None:
    moved = dict(Transfer.objects.filter(journal_id=earlier.journal_id).values_list("asset_id", "amount"))
    require(
        earlier.period_id == period.pk and moved == dict(spent),
        "key_reused",
        "This key was used before for another surrender. Use a new one.",
    )
