"""Surrendered permits that come back: by a reversal that is dated, kept beside the surrender, and of the same vintages.

A surrender account is left by a reversal only. Where a part comes back, the whole surrender is reversed and what is
kept is surrendered anew in the same transaction, so that each unit counts once at every instant.
"""

from collections.abc import Mapping
from datetime import datetime

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.idempotency import derive_key
from registry.ledger import services as ledger
from registry.ledger.models import Transfer
from registry.models import TRANSACTION, Operator, Period, Surrender, Transaction
from registry.services import central, receipts, transactions


def give_back(
    operator: Operator, period: Period, quantity: int, *, reason: str, actor: User | None, now: datetime
) -> int:
    """Return surrendered permits of a period to their operator, the last ones first; return how many came back."""
    assert_in_transaction()
    left = quantity
    standing = Surrender.objects.filter(operator=operator, period=period, quantity__gt=0, reversal__isnull=True)
    for receipt in standing.order_by("-received_at", "-journal_id"):
        if not left:
            break
        part = min(left, receipt.quantity)
        take_out(receipt, part, kind=Surrender.Kind.REVERSED, reason=reason, actor=actor, now=now)
        left -= part
    return quantity - left


def take_out(
    receipt: Surrender, quantity: int, *, kind: str, reason: str, actor: User | None, now: datetime
) -> Mapping[int, int]:
    """Take permits of one surrender back to the account they came from, the newest vintage first, by asset."""
    assert_in_transaction()
    assert 0 < quantity <= receipt.quantity
    period, received_at = receipts.receive(receipt.period_id)
    moved = list(
        Transfer.objects.filter(journal_id=receipt.journal_id)
        .order_by("asset__period__year", "id")
        .values_list("asset_id", "amount", "debit__account_id")
    )
    # Posted directly, as the type undoes one movement in full and by two officers, and this answers a case that they
    # have decided, for a surrender of several vintages; the rows below keep it in the list of transactions.
    posted = ledger.reverse(
        journal_id=receipt.journal_id,
        kind="reverse_surrender",
        reference=f"surrender-reversed:{receipt.pk}",
        actor=actor,
        now=now,
        note=reason[:200],
    )
    _undo_rows(receipt, posted.journal_id, reason, actor, now)
    back = Surrender.objects.create(
        operator_id=receipt.operator_id,
        period=period,
        quantity=-receipt.quantity,
        key=derive_key("surrender-reversed", receipt.pk),
        journal_id=posted.journal_id,
        received_at=received_at,
        surrendered_by=actor,
        kind=kind,
        reverses=receipt,
        reason=reason.strip()[:500],
    )
    keep = receipt.quantity - quantity
    kept, returned = _divide([(asset, amount) for asset, amount, _ in moved], keep)
    if keep:
        _surrender_again(receipt, back, kept, moved[0][2], received_at, actor, now)
    audit.record(
        actor,
        f"registry.surrender.{kind}",
        back,
        at=now,
        organisation=receipt.operator.organisation,
        period=period.code,
        quantity=quantity,
        reason=reason.strip(),
    )
    return returned


def _undo_rows(receipt: Surrender, journal: int, reason: str, actor: User | None, now: datetime) -> None:
    """Leave a transaction for each one that is undone, and mark those."""
    undone = list(Transaction.objects.select_for_update().filter(journal=receipt.journal_id, status="completed"))
    for row in undone:
        TRANSACTION.require(row.status, "reversed")
        row.status = "reversed"
        row.save(update_fields=["status"])
    Transaction.objects.bulk_create(
        Transaction(
            kind="reverse_surrender",
            key=derive_key("surrender-reversed", row.pk),
            organisation_id=row.organisation_id,
            sender_id=row.receiver_id,
            receiver_id=row.sender_id,
            asset_id=row.asset_id,
            quantity=row.quantity,
            details={"reason": reason.strip()[:500], "period": str(receipt.period_id)},
            status="completed",
            proposed_by=actor,
            proposed_at=now,
            ended_at=now,
            journal_id=journal,
            reverses=row,
        )
        for row in undone
    )


def _divide(moved: list[tuple[int, int]], keep: int) -> tuple[dict[int, int], dict[int, int]]:
    """Keep the oldest vintages and return the rest."""
    kept: dict[int, int] = {}
    returned: dict[int, int] = {}
    for asset, amount in moved:
        part = min(keep, amount)
        keep -= part
        if part:
            kept[asset] = kept.get(asset, 0) + part
        if amount > part:
            returned[asset] = returned.get(asset, 0) + amount - part
    return kept, returned


def _surrender_again(
    receipt: Surrender,
    back: Surrender,
    kept: Mapping[int, int],
    account: int,
    received_at: datetime,
    actor: User | None,
    now: datetime,
) -> None:
    key = derive_key("surrender-kept", back.pk)
    posted = transactions.move(
        moves=[
            transactions.Move(
                "surrender",
                derive_key(key, asset),
                account,
                central.account(receipt.period, central.SURRENDER).pk,
                asset,
                quantity,
            )
            for asset, quantity in kept.items()
        ],
        organisation=receipt.operator.organisation,
        journal="surrender",
        reference=f"surrender:{key}",
        actor=actor,
        now=now,
        period=receipt.period,
    )
    Surrender.objects.create(
        operator_id=receipt.operator_id,
        period_id=receipt.period_id,
        quantity=sum(kept.values()),
        key=key,
        journal_id=posted.journal_id,
        received_at=received_at,
        surrendered_by=actor,
        kind=Surrender.Kind.REMAINDER,
    )
