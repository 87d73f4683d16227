"""Acts that need two people: proposed by one, decided by another, checked again at the moment they are done.

An app registers each of its acts here by name when Django starts. The parameters are frozen at the proposal, so that
the second person decides on exactly what will be done.
"""

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from accounts.models import APPROVAL, Approval, Organisation, User
from accounts.services import audit, tasks
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, require, require_permission
from common.idempotency import canonical_json, fingerprint

Parameters = Mapping[str, Any]


def _nothing(approval: Approval, now: datetime) -> None:
    """Most acts reserve nothing while they wait."""


@dataclass(frozen=True)
class Act:
    """What the approvals need to know of one act.

    `check` refuses what the rules forbid and changes nothing; it runs at proposal, at approval and at execution.
    `recheck` runs beside it at approval, for checks that need the proposal itself and the time. `execute` does the act
    inside the open transaction and returns what the record keeps of the result.
    `reserve` sets aside what the act will need, in the transaction of the proposal, and `give_back` returns it when the
    proposal is rejected, cancelled or fails. `delay` is how long an approved act waits, so that it can be cancelled.
    """

    name: str
    may_propose: Callable[[User, Organisation], bool]
    may_approve: Callable[[User, Organisation], bool]
    check: Callable[[Parameters], None]
    execute: Callable[[Approval, datetime], Mapping[str, Any]]
    reserve: Callable[[Approval, datetime], None] = _nothing
    give_back: Callable[[Approval, datetime], None] = _nothing
    delay: timedelta = timedelta(0)
    recheck: Callable[[Approval, datetime], None] = _nothing


_acts: dict[str, Act] = {}


def register(act: Act) -> None:
    """Make an act known under its name. Each name is registered once."""
    assert act.name not in _acts, f"{act.name} is registered twice."
    _acts[act.name] = act


def may_decide(user: User, approval: Approval) -> bool:
    """Say whether the user is a second person who may approve or reject this proposal."""
    return approval.proposed_by_id != user.pk and _acts[approval.act].may_approve(user, approval.organisation)


@transaction.atomic(durable=True)
def propose(
    *,
    actor: User,
    act: str,
    organisation: Organisation,
    summary: str,
    parameters: Parameters,
    now: datetime,
    key: uuid.UUID | None = None,
) -> Approval:
    """Propose an act on behalf of an organisation; nothing is done until another person approves.

    The same key again returns the first proposal if it is for the same, and is refused otherwise.
    """
    return propose_beside(
        actor=actor, act=act, organisation=organisation, summary=summary, parameters=parameters, now=now, key=key
    )


def propose_beside(
    *,
    actor: User,
    act: str,
    organisation: Organisation,
    summary: str,
    parameters: Parameters,
    now: datetime,
    key: uuid.UUID | None = None,
) -> Approval:
    """Propose as part of a service that owns the transaction, because it writes something else beside the proposal."""
    assert_in_transaction()
    known = _act(act)
    require_permission(known.may_propose(actor, organisation), "Your role does not let you propose this.")
    frozen: Parameters = json.loads(canonical_json(parameters))
    sha256 = fingerprint(frozen)
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)  # one proposal at a time, for the key
    repeated = Approval.objects.filter(key=key).first() if key else None
    if repeated is not None:
        require(
            (repeated.act, repeated.organisation_id, repeated.parameters_sha256) == (act, organisation.pk, sha256),
            "key_reused",
            "This key was used before for another proposal. Use a new one.",
        )
        return repeated
    known.check(frozen)
    approval = Approval.objects.create(
        key=key,
        act=act,
        organisation=organisation,
        summary=summary[:300],
        parameters=frozen,
        parameters_sha256=sha256,
        proposed_by=actor,
        proposed_at=now,
    )
    known.reserve(approval, now)
    tasks.open_task(
        key=tasks.approval_key(approval),
        kind="approval",
        organisation=organisation,
        title=approval.summary,
        link=f"/approvals/{approval.pk}/",
        approval=approval,
        now=now,
    )
    audit.record(
        actor, "accounts.approval.proposed", approval, at=now, organisation=organisation, act=act, summary=summary
    )
    return approval


@transaction.atomic(durable=True)
def approve(*, actor: User, approval_id: uuid.UUID, now: datetime) -> Approval:
    """Approve as the second person. The act is done at once, or waits for its delay."""
    approval = _locked(approval_id)
    act = _act(approval.act)
    _require_second_person(act, actor, approval)
    APPROVAL.require(approval.status, "approved")
    act.check(approval.parameters)
    act.recheck(approval, now)
    approval.decided_by, approval.decided_at = actor, now
    tasks.end_task(key=tasks.approval_key(approval), actor=actor, now=now)
    _move(approval, "approved")
    audit.record(
        actor, "accounts.approval.approved", approval, at=now, organisation=approval.organisation, act=approval.act
    )
    if act.delay:
        approval.execute_after = now + act.delay
        _move(approval, "waiting")
    else:
        _execute(act, approval, actor, now)
    return approval


@transaction.atomic(durable=True)
def reject(*, actor: User, approval_id: uuid.UUID, reason: str, now: datetime) -> Approval:
    """Turn a proposal down as the second person, with a reason for the first."""
    approval = _locked(approval_id)
    _require_second_person(_act(approval.act), actor, approval)
    return _end(approval, "rejected", actor, reason, now)


@transaction.atomic(durable=True)
def cancel(*, actor: User, approval_id: uuid.UUID, reason: str, now: datetime) -> Approval:
    """Take a proposal back, or stop an approved act while it waits. Either of the two persons may."""
    approval = _locked(approval_id)
    act = _act(approval.act)
    require_permission(
        approval.proposed_by_id == actor.pk or act.may_approve(actor, approval.organisation),
        "Only the person who proposed this, or one who may approve it, may cancel it.",
    )
    return _end(approval, "cancelled", actor, reason, now)


def execute_due(*, now: datetime) -> int:
    """Do every approved act whose delay has passed, each in its own transaction; return how many were tried."""
    due = list(
        Approval.objects.filter(status="waiting", execute_after__lte=now)
        .order_by("execute_after", "id")
        .values_list("pk", flat=True)
    )
    for approval_id in due:
        _execute_waiting(approval_id, now)
    return len(due)


@transaction.atomic(durable=True)
def _execute_waiting(approval_id: uuid.UUID, now: datetime) -> None:
    approval = _locked(approval_id)
    if approval.status == "waiting":  # another worker, or a cancellation, may have come first
        _execute(_act(approval.act), approval, None, now)


def _execute(act: Act, approval: Approval, actor: User | None, now: datetime) -> None:
    """Check again and do the act. A refusal now is recorded as a failure; the act itself leaves nothing behind."""
    try:
        with transaction.atomic():
            _require_both_still_entitled(act, approval)
            act.check(approval.parameters)
            approval.result = dict(act.execute(approval, now))
    except Refused as refusal:
        approval.failure_code, approval.failure = refusal.code, refusal.sentence[:500]
        _move(approval, "failed")
        act.give_back(approval, now)
        audit.record(
            actor, "accounts.approval.failed", approval, at=now, organisation=approval.organisation, code=refusal.code
        )
        return
    approval.executed_at = now
    _move(approval, "executed")
    audit.record(
        actor, "accounts.approval.executed", approval, at=now, organisation=approval.organisation, act=approval.act
    )


def _require_both_still_entitled(act: Act, approval: Approval) -> None:
    """Refuse to do an act whose two persons are not both entitled at this moment: much can happen during a delay."""
    assert approval.decided_by is not None
    require(
        act.may_propose(approval.proposed_by, approval.organisation),
        "proposer_no_longer_entitled",
        "The person who proposed this may not propose it any more. Let a colleague propose it again.",
    )
    require(
        act.may_approve(approval.decided_by, approval.organisation),
        "approver_no_longer_entitled",
        "The person who approved this may not approve it any more. Propose it again.",
    )


def _end(approval: Approval, status: str, actor: User, reason: str, now: datetime) -> Approval:
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the other person can read.")
    APPROVAL.require(approval.status, status)
    if approval.decided_by_id is None:
        approval.decided_by, approval.decided_at = actor, now
    approval.reason = reason.strip()[:500]
    _move(approval, status)
    tasks.end_task(
        key=tasks.approval_key(approval),
        actor=actor,
        now=now,
        status="cancelled" if status == "cancelled" else "completed",
    )
    _act(approval.act).give_back(approval, now)
    audit.record(
        actor, f"accounts.approval.{status}", approval, at=now, organisation=approval.organisation, reason=reason
    )
    return approval


def _require_second_person(act: Act, actor: User, approval: Approval) -> None:
    require(
        approval.proposed_by_id != actor.pk,
        "second_person_needed",
        "You proposed this yourself. Ask a colleague who may approve it.",
    )
    require_permission(act.may_approve(actor, approval.organisation), "Your role does not let you decide this.")
    tasks.require_not_claimed_by_another(approval, actor)


def _move(approval: Approval, status: str) -> None:
    APPROVAL.require(approval.status, status)
    approval.status = status
    approval.save()


def _locked(approval_id: uuid.UUID) -> Approval:
    approval = (
        Approval.objects.select_for_update(of=("self",)).select_related("organisation").filter(pk=approval_id).first()
    )
    if approval is None:
        raise Unknown("approval_unknown", "There is no such proposal. Check the address.")
    return approval


def _act(name: str) -> Act:
    if name not in _acts:
        raise Unknown("act_unknown", "There is no such act. Choose one from the list.")
    return _acts[name]
