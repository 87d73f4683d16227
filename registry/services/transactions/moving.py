"""Movements that are part of another act, such as an allocation: checked by the table, posted in one journal."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from accounts.models import Organisation, User
from common.database import assert_in_transaction
from common.errors import Refused
from registry.ledger import services as ledger
from registry.ledger.models import Journal
from registry.models import Period, Transaction
from registry.services.transactions.checks import failures, refuse_with
from registry.services.transactions.facts import Asked, Batch
from registry.services.transactions.types import TYPES


class Move(NamedTuple):
    """One movement of a type between two accounts. The key is that of its transfer, and lets it happen once."""

    kind: str
    key: uuid.UUID
    sender: int
    receiver: int
    asset: int
    quantity: int
    price_minor: int | None = None
    agreement: str = ""


def move(
    *,
    moves: Sequence[Move],
    organisation: Organisation,
    journal: str,
    reference: str,
    actor: User | None,
    now: datetime,
    note: str = "",
    details: Mapping[str, object] | None = None,
    period: Period | None = None,
    by_order: bool = True,
    proposed_by: User | None = None,
) -> ledger.Posted:
    """Check movements by the table, post them in order as one journal, and leave a transaction for each.

    Part of a service that owns the database transaction and has asked who may. The number of queries does not depend
    on the number of movements. The same reference again is the journal that was posted then. A transaction belongs to
    the owner of the accounts, or to `organisation` where both are central. `period` is the one that a surrender meets.
    `proposed_by` is who asked for it, where that is not the actor.
    """
    assert_in_transaction()
    postings = [ledger.Posting(one.key, one.sender, one.receiver, one.asset, one.quantity) for one in moves]
    ledger.lock_balances(
        {(one.sender, one.asset) for one in moves} | {(one.receiver, one.asset) for one in moves},
    )
    repeated = Journal.objects.filter(reference=reference).exists()
    batch = Batch([_asked(one, period, by_order) for one in moves], now)
    if not repeated:
        refuse_with(_refusals(batch))
    posted = ledger.post(transfers=postings, kind=journal, reference=reference, actor=actor, now=now, note=note)
    if not posted.repeated:
        Transaction.objects.bulk_create(
            _done(one, batch, organisation, posted.journal_id, proposed_by or actor, now, details or {})
            for one in moves
        )
    return posted


def _asked(one: Move, period: Period | None, by_order: bool) -> Asked:
    return Asked(
        kind=one.kind,
        sender=one.sender,
        receiver=one.receiver,
        asset=one.asset,
        quantity=one.quantity,
        period=period,
        by_order=by_order,
    )


def _refusals(batch: Batch) -> list[Refused]:
    """Check one movement after the other, each with what those before it have brought and taken; each refusal once."""
    found: dict[tuple[str, str], Refused] = {}
    for facts in batch.facts():
        for refusal in failures(facts):
            found.setdefault((refusal.code, refusal.sentence), refusal)
        batch.count(facts)
    return list(found.values())


def _done(
    one: Move,
    batch: Batch,
    organisation: Organisation,
    journal_id: int,
    proposed_by: User | None,
    now: datetime,
    details: Mapping[str, object],
) -> Transaction:
    owner = batch.accounts[one.sender].owner_id or batch.accounts[one.receiver].owner_id or organisation.pk
    assert one.kind in TYPES
    return Transaction(
        kind=one.kind,
        key=one.key,
        organisation_id=owner,
        sender_id=one.sender,
        receiver_id=one.receiver,
        asset_id=one.asset,
        quantity=one.quantity,
        price_minor=one.price_minor,
        agreement=one.agreement,
        details=dict(details),
        status="completed",
        proposed_by=proposed_by,
        proposed_at=now,
        ended_at=now,
        journal_id=journal_id,
    )
