"""Freezes: of an account, of a scheme or every one but for surrender, and of permit numbers, with public notice.

One officer of the desk may freeze at once, because a thief does not wait. Two people together lift it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Unknown, refuse, require
from registry.grades import grade_of
from registry.ledger import services as ledger
from registry.ledger.models import Asset, LedgerAccount
from registry.ledger.services.serials import derive_serial_blocks
from registry.models import AccountTerms, Freeze, Scheme, SerialFreeze
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services.accounts import set_grade

LIFT_FREEZE = "registry.lift_freeze"
LIFT_SERIAL_FREEZE = "registry.lift_serial_freeze"
_ATTEMPTS = 20


@transaction.atomic(durable=True)
def freeze_account(*, actor: User, account: LedgerAccount, reason: str, now: datetime) -> AccountTerms:
    """Stop everything in an account at once. The ledger itself refuses from then on."""
    regulator_of(actor)
    require(grade_of(account) != "frozen", "account_frozen_already", f"Account {account.number} is frozen already.")
    return set_grade(actor=actor, account_id=account.pk, grade="frozen", reason=reason, now=now)


@transaction.atomic(durable=True)
def freeze_scheme(*, actor: User, scheme: Scheme | None, reason: str, now: datetime) -> Freeze:
    """Stop all movements of a scheme, or of every scheme, but for surrender."""
    regulator_of(actor)
    reason = _reason(reason)
    Scheme.objects.order_by("pk").select_for_update(no_key=True).first()  # one freeze at a time
    require(
        not Freeze.objects.filter(scheme=scheme, lifted_at=None).exists(),
        "frozen_already",
        f"{scheme or 'Every scheme'} is frozen already.",
    )
    freeze = Freeze.objects.create(scheme=scheme, reason=reason, frozen_by=actor, frozen_at=now)
    audit.record(
        actor, "registry.freeze.made", freeze, at=now, scheme=None if scheme is None else scheme.code, reason=reason
    )
    return freeze


def propose_lifting(*, actor: User, freeze: Freeze, reason: str, now: datetime) -> Approval:
    """Propose to let a scheme move again."""
    return approvals.propose(
        actor=actor,
        act=LIFT_FREEZE,
        organisation=regulator_of(actor),
        summary=f"Lift the freeze of {freeze.scheme or 'every scheme'}.",
        parameters={"freeze": str(freeze.pk), "reason": reason.strip()},
        now=now,
    )


def freeze_serials(*, actor: User, asset: Asset, first: int, last: int, reason: str, now: datetime) -> SerialFreeze:
    """Freeze permit numbers wherever they lie, with public notice.

    Exactly these permits stay where they are; their holders may go on with all others. Where they back open orders or
    waiting transfers, the whole account is frozen with them, so that nothing of them can leave.
    """
    regulator_of(actor)
    reason = _reason(reason)
    require(asset.kind == Asset.Kind.PERMIT, "asset_without_serials", "Only permits have numbers.")
    for _ in range(_ATTEMPTS):
        derive_serial_blocks()
        frozen = _freeze_serials(actor, asset, first, last, reason, now)
        if frozen is not None:
            return frozen
    refuse("serials_moving", "These permits move too fast to be frozen. Freeze the account that sends them first.")


@transaction.atomic(durable=True)
def _freeze_serials(
    actor: User, asset: Asset, first: int, last: int, reason: str, now: datetime
) -> SerialFreeze | None:
    freeze = SerialFreeze(asset=asset, first=first, last=last, reason=reason, frozen_by=actor, frozen_at=now)
    parts = ledger.stop_serials(asset_id=asset.pk, first=first, last=last, reference=str(freeze.pk), now=now)
    if parts is None:
        return None
    freeze.save(force_insert=True)
    short = {part.account_id for part in parts if part.held < part.quantity}
    for account in LedgerAccount.objects.filter(pk__in=short).order_by("pk"):
        if grade_of(account) != "frozen":
            set_grade(
                actor=actor,
                account_id=account.pk,
                grade="frozen",
                reason=f"Permits {first:,} to {last:,} of {asset} are frozen and back open orders or transfers here.",
                now=now,
            )
    audit.record(
        actor,
        "registry.serials.frozen",
        freeze,
        at=now,
        asset=asset.code,
        first=first,
        last=last,
        reason=reason,
        found={str(part.account_id): part.quantity for part in parts},
    )
    return freeze


def propose_serial_lifting(*, actor: User, freeze: SerialFreeze, reason: str, now: datetime) -> Approval:
    """Propose to let frozen permit numbers move again."""
    return approvals.propose(
        actor=actor,
        act=LIFT_SERIAL_FREEZE,
        organisation=regulator_of(actor),
        summary=f"Lift the freeze of {freeze}.",
        parameters={"freeze": str(freeze.pk), "reason": reason.strip()},
        now=now,
    )


def freeze_by_id(freeze_id: UUID) -> Freeze:
    """Return a freeze of a scheme."""
    found = Freeze.objects.select_related("scheme").filter(pk=freeze_id).first()
    if found is None:
        raise Unknown("freeze_unknown", "There is no such freeze. Check the address.")
    return found


def serial_freeze_by_id(freeze_id: UUID) -> SerialFreeze:
    """Return a freeze of permit numbers."""
    found = SerialFreeze.objects.select_related("asset").filter(pk=freeze_id).first()
    if found is None:
        raise Unknown("freeze_unknown", "There is no such freeze. Check the address.")
    return found


def _reason(reason: str) -> str:
    require(bool(reason.strip()), "reason_missing", "Say why: the notice is public from the moment it is made.")
    return reason.strip()[:500]


def _check(kind: type[Freeze | SerialFreeze], parameters: Mapping[str, Any]) -> None:
    require(bool(parameters["reason"]), "reason_missing", "Say why it may be lifted.")
    require(
        kind.objects.filter(pk=parameters["freeze"], lifted_at=None).exists(),
        "freeze_lifted_already",
        "This freeze has been lifted already.",
    )


def _check_scheme(parameters: Mapping[str, Any]) -> None:
    _check(Freeze, parameters)


def _check_serials(parameters: Mapping[str, Any]) -> None:
    _check(SerialFreeze, parameters)


def _lift(approval: Approval, now: datetime) -> dict[str, object]:
    freeze = (
        Freeze.objects.select_for_update(of=("self",)).select_related("scheme").get(pk=approval.parameters["freeze"])
    )
    _end(freeze, approval, "registry.freeze.lifted", now)
    return {"scheme": freeze.scheme.code if freeze.scheme else None}


def _lift_serials(approval: Approval, now: datetime) -> dict[str, object]:
    freeze = SerialFreeze.objects.select_for_update().get(pk=approval.parameters["freeze"])
    ledger.release_serials(reference=str(freeze.pk), now=now)
    _end(freeze, approval, "registry.serials.lifted", now)
    return {"first": freeze.first, "last": freeze.last}


def _end(freeze: Freeze | SerialFreeze, approval: Approval, action: str, now: datetime) -> None:
    freeze.lifted_by, freeze.lifted_at = approval.decided_by, now
    freeze.save(update_fields=["lifted_by", "lifted_at"])
    audit.record(approval.decided_by, action, freeze, at=now, reason=approval.parameters["reason"])


ACTS = (
    approvals.Act(
        name=LIFT_FREEZE,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_scheme,
        execute=_lift,
    ),
    approvals.Act(
        name=LIFT_SERIAL_FREEZE,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_serials,
        execute=_lift_serials,
    ),
)
