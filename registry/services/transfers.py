"""Transfers of permits between firms: small ones at once, large ones by the firm's own second person."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Approval, Organisation, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Unknown, refuse, require, require_permission
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Journal, LedgerAccount
from registry.ledger.models.account import is_account_number
from registry.models import Period
from registry.permissions import may_approve_transfers, may_initiate
from registry.selectors import holding_account
from registry.services import reservations

LARGE_TRANSFER = "registry.large_transfer"


@dataclass(frozen=True)
class TransferOutcome:
    """A transfer that was made, or the proposal that waits for the firm's second person."""

    journal: Journal | None = None
    approval: Approval | None = None


def transfer(
    *,
    actor: User,
    organisation: Organisation,
    to_number: str,
    asset: Asset,
    quantity: int,
    key: uuid.UUID,
    now: datetime,
    note: str = "",
) -> TransferOutcome:
    """Send permits to another participant's account; from the scheme's large quantity on, propose to send them.

    The same key again returns the first outcome. While a proposal waits, its permits are held.
    """
    require_permission(
        may_initiate(actor, organisation), "Only an initiator or approver of this organisation may transfer."
    )
    quantity = parse_whole(quantity)
    key = derive_key("transfer", organisation.pk, key)
    parameters = {
        "from": holding_account(organisation).pk,
        "to": to_number.strip(),
        "asset": asset.code,
        "quantity": quantity,
        "note": note.strip()[:200],
    }
    if quantity < _period_of(asset).scheme.large_transfer:
        return TransferOutcome(journal=_transfer_now(actor, organisation, parameters, key, now))
    approval = approvals.propose(
        actor=actor,
        act=LARGE_TRANSFER,
        organisation=organisation,
        summary=f"Transfer {quantity:,} {asset.code} to {parameters['to']}.",
        parameters=parameters | {"key": str(key)},
        key=key,
        now=now,
    )
    return TransferOutcome(approval=approval)


@transaction.atomic(durable=True)
def _transfer_now(
    actor: User, organisation: Organisation, parameters: Mapping[str, Any], key: uuid.UUID, now: datetime
) -> Journal:
    earlier = Journal.objects.filter(reference=f"transfer:{key}").first()
    if earlier is not None:
        _require_same(earlier, parameters)
        return earlier
    posting = _posting(parameters, key)
    posted = ledger.post(
        transfers=[posting],
        kind="transfer",
        reference=f"transfer:{key}",
        actor=actor,
        now=now,
        note=parameters["note"],
    )
    journal = Journal.objects.get(pk=posted.journal_id)
    if not posted.repeated:
        _record(actor, organisation, parameters, journal, now)
    return journal


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    key = uuid.UUID(approval.parameters["key"])
    journal_id = reservations.spend(
        approval,
        posting=_posting(approval.parameters, key),
        kind="transfer",
        reference=f"transfer:{key}",
        now=now,
        note=approval.parameters["note"],
    )
    assert approval.decided_by is not None
    journal = Journal.objects.get(pk=journal_id)
    _record(approval.decided_by, approval.organisation, approval.parameters, journal, now)
    return {"journal": journal_id}


def _posting(parameters: Mapping[str, Any], key: uuid.UUID) -> ledger.Posting:
    receiver = _receiver(parameters)
    asset = Asset.objects.get(code=parameters["asset"])
    return ledger.Posting(key, parameters["from"], receiver.pk, asset.pk, parameters["quantity"])


def _require_same(earlier: Journal, parameters: Mapping[str, Any]) -> None:
    """Refuse a key that moved something else. The receiver may have been closed since: what was done stays done."""
    moved = earlier.transfers.values_list("debit__account", "credit__account__number", "asset__code", "amount")
    asked = (parameters["from"], parameters["to"], parameters["asset"], parameters["quantity"])
    require(list(moved) == [asked], "key_reused", "This key was used before for another transfer. Use a new one.")


def _check(parameters: Mapping[str, Any]) -> None:
    parse_whole(parameters["quantity"])
    _period_of(Asset.objects.get(code=parameters["asset"]))
    _receiver(parameters)


def _receiver(parameters: Mapping[str, Any]) -> LedgerAccount:
    """Return the account that a number names, if it may receive from this sender."""
    number = parameters["to"]
    require(
        is_account_number(number),
        "account_number_wrong",
        "The check digits do not fit this account number. Compare it with the receiver's.",
    )
    account = LedgerAccount.objects.select_related("owner").filter(number=number, kind="holding").first()
    if account is None or account.owner is None or account.status == "closed" or account.owner.status == "closed":
        # a closed account and an unknown one look the same to others
        raise Unknown("account_unknown", "There is no open account with this number. Compare it with the receiver's.")
    require(account.pk != parameters["from"], "same_account", "This is your own account. Enter the receiver's number.")
    require(account.status == "open", "account_frozen", f"Account {number} cannot receive at present.")
    require(
        account.owner.status == "active",
        "receiver_suspended",
        f"The owner of {number} is suspended and cannot receive.",
    )
    return account


def _period_of(asset: Asset) -> Period:
    """Return the period whose permits these are; money never moves between firms outside a trade."""
    period = Period.objects.select_related("scheme").filter(permit=asset).first()
    if period is None:
        refuse(
            "cash_not_transferable", "Only permits can be transferred. Money moves by trades, deposits and payments."
        )
    return period


def _reserve(approval: Approval, now: datetime) -> None:
    parameters = approval.parameters
    reservations.reserve(
        approval,
        account=parameters["from"],
        asset=Asset.objects.get(code=parameters["asset"]).pk,
        quantity=parameters["quantity"],
        now=now,
    )


def _record(
    actor: User, organisation: Organisation, parameters: Mapping[str, Any], journal: Journal, now: datetime
) -> None:
    assert_in_transaction()
    audit.record(
        actor,
        "registry.transfer.made",
        journal,
        at=now,
        organisation=organisation,
        to=parameters["to"],
        asset=parameters["asset"],
        quantity=parameters["quantity"],
    )


ACTS = (
    approvals.Act(
        name=LARGE_TRANSFER,
        may_propose=may_initiate,
        may_approve=may_approve_transfers,
        check=_check,
        execute=_execute,
        reserve=_reserve,
        give_back=reservations.give_back,
    ),
)
