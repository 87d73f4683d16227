"""Transfers of permits between firms: transactions of the type `transfer`, as the page and REST ask for them.

Small ones are made at once where the scheme does not delay them, large ones by the firm's own second person.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from accounts.models import Approval, Organisation, User
from accounts.services import audit
from common.errors import require_permission
from registry.ledger.models import Asset, Journal, LedgerAccount
from registry.models import Transaction
from registry.permissions import may_initiate
from registry.selectors import holding_account
from registry.services import transactions

LARGE_TRANSFER = transactions.LARGE_TRANSFER


@dataclass(frozen=True)
class TransferOutcome:
    """A transfer that was made, the proposal that waits for the firm's second person, or what waits for its time."""

    journal: Journal | None = None
    approval: Approval | None = None
    transaction: Transaction | None = None


def transfer(
    *,
    actor: User,
    organisation: Organisation,
    to_number: str,
    asset: Asset,
    quantity: object,
    key: uuid.UUID,
    now: datetime,
    note: str = "",
    sender: LedgerAccount | None = None,
    price_minor: int | None = None,
    agreement: str = "",
) -> TransferOutcome:
    """Send permits to another account; from the scheme's large quantity on, propose to send them.

    The same key again returns the first outcome. While a transfer waits, its permits are held.
    """
    require_permission(
        may_initiate(actor, organisation), "Only an initiator or approver of this organisation may transfer."
    )
    request = transactions.Request(
        kind="transfer",
        sender=sender or holding_account(organisation),
        asset=asset,
        quantity=quantity,
        to_number=to_number,
        note=note,
        price_minor=price_minor,
        agreement=agreement,
    )
    made = transactions.propose(actor=actor, organisation=organisation, request=request, key=key, now=now)
    return TransferOutcome(
        journal=made.journal if made.approval is None else None, approval=made.approval, transaction=made
    )


def _made(row: Transaction, locked: object, now: datetime, actor: User | None) -> None:
    """Keep one event of the journal, whoever or whatever carried it out."""
    assert row.journal is not None
    audit.record(
        actor,
        "registry.transfer.made",
        row.journal,
        at=now,
        organisation=row.organisation,
        to=row.receiver.number,
        asset=row.asset.code,
        quantity=row.quantity,
    )


EFFECTS = {"transfer": transactions.Effect(lock=lambda asked: None, done=_made)}
