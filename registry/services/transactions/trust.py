"""The trusted list of an account: to whom it may send without delay, added by two persons, in force after some days.

Other accounts of the same holder are trusted by themselves. Removing one works at once and needs nobody else: it only
makes sending harder.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.models import Approval, Organisation, User
from accounts.services import approvals, audit
from common.errors import Unknown, require, require_permission
from registry.engine import deadlines
from registry.ledger.models import LedgerAccount
from registry.ledger.models.account import is_account_number
from registry.models import TRUST, Operator, TrustedAccount
from registry.permissions import may_approve_transfers, may_initiate
from registry.services.rules import policy_at

TRUST_ACCOUNT = "registry.trusted_account"
TRUSTABLE = frozenset({"holding", "trading"})


def propose_addition(
    *, actor: User, account: LedgerAccount, number: str, note: str = "", now: datetime, key: uuid.UUID | None = None
) -> TrustedAccount:
    """Propose to trust another holder's account; a second person of the holder approves, then it waits its days."""
    assert account.owner is not None
    approval = approvals.propose(
        actor=actor,
        act=TRUST_ACCOUNT,
        organisation=account.owner,
        summary=f"Trust account {number.strip()} for transfers from {account.number}.",
        parameters={"account": account.pk, "number": number.strip(), "note": note.strip()[:200]},
        key=key,
        now=now,
    )
    return TrustedAccount.objects.get(pk=approval.pk)


def cancel_addition(*, actor: User, trusted_id: uuid.UUID, reason: str, now: datetime) -> TrustedAccount:
    """Stop an addition before it is in force, proposed or waiting, with a reason."""
    found = _found(trusted_id)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that your colleagues can read.")
    if found.status == "proposed":
        approvals.cancel(actor=actor, approval_id=found.pk, reason=reason, now=now)
    else:
        _end_by_person(actor, found, "cancelled", reason, now)
    return _found(trusted_id)


def remove(*, actor: User, trusted_id: uuid.UUID, now: datetime) -> TrustedAccount:
    """Take an account off the list. It works at once."""
    _end_by_person(actor, _found(trusted_id), "removed", "", now)
    return _found(trusted_id)


@transaction.atomic(durable=True)
def activate_due(*, now: datetime) -> int:
    """Mark the additions whose days have passed as active; return how many.

    Only the mark is written here: a transfer asks for the instant, so that a late worker changes nothing.
    """
    due = list(
        TrustedAccount.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("account__owner", "trusted")
        .filter(status="waiting", active_from__lte=now)
        .order_by("active_from", "id")
    )
    for each in due:
        _move(each, "active")
        audit.record(None, "registry.trust.active", each, at=now, organisation=each.account.owner)
    return len(due)


@transaction.atomic(durable=True)
def _end_by_person(actor: User, found: TrustedAccount, status: str, reason: str, now: datetime) -> None:
    row = _locked(found.pk)
    assert row.account.owner is not None
    require_permission(
        may_initiate(actor, row.account.owner), "Only an initiator or approver of the holder may change its list."
    )
    if status == "removed" and row.status == "waiting" and row.active_from is not None and row.active_from <= now:
        _move(row, "active")  # in force already, though no worker has marked it yet
    _move(row, status, ended_at=now)
    audit.record(
        actor, f"registry.trust.{status}", row, at=now, organisation=row.account.owner, number=row.trusted.number,
        reason=reason,
    )  # fmt: skip


def _check(parameters: Mapping[str, Any]) -> None:
    """Refuse a number that is wrong, of nobody, or of somebody who is trusted already."""
    account = LedgerAccount.objects.get(pk=parameters["account"])
    number = parameters["number"]
    require(
        is_account_number(number),
        "account_number_wrong",
        "The check digits do not fit this account number. Compare it with the receiver's.",
    )
    trusted = LedgerAccount.objects.select_related("owner").filter(number=number, kind__in=TRUSTABLE).first()
    if trusted is None or trusted.status == "closed" or trusted.owner is None or trusted.owner.status == "closed":
        raise Unknown("account_unknown", "There is no open account with this number. Compare it with the receiver's.")
    require(
        trusted.owner_id != account.owner_id,
        "own_account_trusted",
        "Accounts of the same holder are trusted already, without being on the list.",
    )


def _require_new(account: int, trusted: LedgerAccount) -> None:
    live = TrustedAccount.objects.filter(account=account, trusted=trusted, status__in=["proposed", "waiting", "active"])
    require(not live.exists(), "trusted_already", f"Account {trusted.number} is on the list already, or waits to be.")


def _reserve(approval: Approval, now: datetime) -> None:
    """Write the addition, under the id of its proposal."""
    account = LedgerAccount.objects.select_for_update(no_key=True).get(pk=approval.parameters["account"])
    if account.owner_id != approval.organisation_id:
        raise Unknown("account_unknown", "There is no such account of yours. Choose one of your own.")
    trusted = LedgerAccount.objects.get(number=approval.parameters["number"])
    _require_new(account.pk, trusted)
    TrustedAccount.objects.create(
        pk=approval.pk,
        account=account,
        trusted=trusted,
        note=approval.parameters["note"],
        added_by=approval.proposed_by,
        added_at=now,
    )


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Let the addition wait for its working days; where the rules ask for none, it is in force."""
    row = _locked(approval.pk)
    at = _active_from(approval.organisation, now)
    _move(row, "active" if at <= now else "waiting", active_from=at)
    audit.record(
        approval.decided_by,
        "registry.trust.approved",
        row,
        at=now,
        organisation=approval.organisation,
        number=row.trusted.number,
        active_from=at,
    )
    return {"trusted_account": str(row.pk), "active_from": at.isoformat()}


def _active_from(organisation: Organisation, now: datetime) -> datetime:
    """Return when an addition of this holder takes effect: by the slowest of the schemes in which it operates."""
    schemes = [
        operator.scheme for operator in Operator.objects.filter(organisation=organisation).select_related("scheme")
    ]
    policies = [policy_at(scheme, now.astimezone(scheme.tz).date()) for scheme in schemes]
    return max(
        (
            deadlines.activation_time(
                now, rule.transactions.activation_days, ZoneInfo(rule.zone), rule.compliance.holidays
            )
            for rule in policies
        ),
        default=now,
    )


def _give_back(approval: Approval, now: datetime) -> None:
    ended = "rejected" if approval.status == "rejected" else "cancelled"
    _move(_locked(approval.pk), ended, ended_at=now)


def _found(trusted_id: uuid.UUID) -> TrustedAccount:
    found = TrustedAccount.objects.select_related("account__owner", "trusted__owner").filter(pk=trusted_id).first()
    if found is None:
        raise Unknown("trusted_account_unknown", "There is no such entry of a trusted list. Check the address.")
    return found


def _locked(trusted_id: uuid.UUID) -> TrustedAccount:
    return (
        TrustedAccount.objects.select_for_update(of=("self",))
        .select_related("account__owner", "trusted")
        .get(pk=trusted_id)
    )


def _move(row: TrustedAccount, status: str, **changes: datetime) -> None:
    TRUST.require(row.status, status)
    row.status = status
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=["status", *changes])


ACTS = (
    approvals.Act(
        name=TRUST_ACCOUNT,
        may_propose=may_initiate,
        may_approve=may_approve_transfers,
        check=_check,
        execute=_execute,
        reserve=_reserve,
        give_back=_give_back,
    ),
)
