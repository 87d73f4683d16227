"""The life of a transaction that somebody asks for: proposed, approved, waited for, accepted, carried out or stopped.

    proposed --second person--> delayed --time--> awaiting_receiver --accepted--> completed

Each stage is passed over where the rules and the terms of the accounts do not ask for it. From the proposal on the
permits are held. All checks run at every step; what fails at the end is recorded with its reason and gives them back.
"""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import Approval, Organisation, User
from accounts.services import approvals, audit, tasks
from common.database import assert_in_transaction
from common.errors import Forbidden, Refused, SeveralRefusals, Unknown, require, require_permission
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Hold, LedgerAccount
from registry.ledger.models.account import SINKS
from registry.models import TRANSACTION, Period, Transaction
from registry.permissions import (
    may_approve_transfers,
    may_initiate,
    may_sign_for_the_regulator,
    may_surrender,
    may_work_the_desk,
    regulator_of,
)
from registry.services.transactions import course as courses
from registry.services.transactions.checks import failures, require_all
from registry.services.transactions.course import Course
from registry.services.transactions.facts import HOLD, Asked, Batch, Facts
from registry.services.transactions.types import TYPES, Finds, Starter, TransactionType

log = logging.getLogger(__name__)

PASSING = frozenset({"movements_frozen", "scheme_suspended"})
"""Refusals by orders that stop everything for a while: a transaction whose time has come waits for their end."""
LARGE_TRANSFER, PROPOSED = "registry.large_transfer", "registry.transaction"


@dataclass(frozen=True)
class Request:
    """What somebody asks for. The sender's account is chosen by the caller; the receiver follows as the type says."""

    kind: str
    sender: LedgerAccount
    asset: Asset
    quantity: object
    to_number: str = ""
    note: str = ""
    price_minor: int | None = None
    agreement: str = ""
    beneficiary: str = ""
    reason: str = ""
    period: Period | None = None
    original: Transaction | None = None

    def asked(self, organisation: Organisation) -> Asked:
        """Return it as the checks look at it."""
        named = self.original is None and TYPES[self.kind].finds is Finds.NAMED
        return Asked(
            kind=self.kind,
            sender=self.sender.pk,
            asset=self.asset.pk,
            quantity=self.quantity,
            to_number=self.to_number.strip() if named else None,
            receiver=None if self.original is None else self.original.sender_id,
            period=self.period,
            original=None if self.original is None else self.original.pk,
            beneficiary=self.beneficiary,
            reason=self.reason,
            by_order=not organisation.trades,
        )

    def parameters(self) -> dict[str, Any]:
        """Return what the second person reads and decides on."""
        more = {
            "price_minor": self.price_minor,
            "agreement": self.agreement.strip()[:200],
            "beneficiary": self.beneficiary.strip()[:200],
            "reason": self.reason.strip()[:500],
            "period": None if self.period is None else str(self.period.pk),
            "original": None if self.original is None else str(self.original.pk),
        }
        return {
            "kind": self.kind,
            "from": self.sender.pk,
            "to": self.to_number.strip(),
            "asset": self.asset.code,
            "quantity": parse_whole(self.quantity),
            "note": self.note.strip()[:200],
        } | {name: value for name, value in more.items() if value not in {None, ""}}


@dataclass(frozen=True)
class Effect:
    """What a type does beside moving permits: `lock` before any balance is locked, `done` after they have moved."""

    lock: Callable[[Asked], Any]
    done: Callable[[Transaction, Any, datetime, User | None], None]


_effects: dict[str, Effect] = {}


def on_completion(kind: str, effect: Effect) -> None:
    """Let a service say what completing a type means in its own tables. Each type is said once."""
    assert kind in TYPES and kind not in _effects, kind
    _effects[kind] = effect


# Asking ---------------------------------------------------------------------------------------------------------------


def foresee(
    organisation: Organisation, request: Request, now: datetime, *, checked: bool = True
) -> tuple[Course, list[Refused]]:
    """Return what will happen to a transaction, and what the checks would say, without asking for it."""
    (facts,) = Batch([request.asked(organisation)], now).facts()
    return courses.course(facts), failures(facts) if checked else []


def propose(*, actor: User, organisation: Organisation, request: Request, key: uuid.UUID, now: datetime) -> Transaction:
    """Ask for a transaction on behalf of an organisation. The same key again is the same transaction.

    It is carried out at once, or waits for a second person, its time or the receiver, with its permits held.
    """
    type_ = known_type(request.kind)
    require_permission(
        may_start(actor, organisation, type_),
        f"Your role does not let you begin this: {type_.title.lower()}. Ask a colleague who may.",
    )
    if organisation.trades and request.sender.owner_id != organisation.pk:
        raise Unknown("sender_unknown", "There is no such account to send from. Choose one of your own.")
    _check_words(type_, request)
    key = derive_key(request.kind, organisation.pk, key)
    earlier = _earlier(key, request)
    if earlier is not None:
        return earlier
    (facts,) = Batch([request.asked(organisation)], now).facts()
    if not courses.second_person(facts):
        return _start(actor, organisation, request, key, now)
    require_all(facts)
    assert facts.receiver is not None
    approval = approvals.propose(
        actor=actor,
        act=type_.act,
        organisation=organisation,
        summary=f"{type_.title} of {facts.quantity:,} {request.asset.code} to {facts.receiver.number}.",
        parameters=request.parameters() | {"key": str(key)},
        key=key,
        now=now,
    )
    return Transaction.objects.select_related("approval", "journal").get(approval=approval)


def reverse(*, actor: User, original: Transaction, reason: str, key: uuid.UUID, now: datetime) -> Transaction:
    """Propose to undo what was done, in full, by the regulator's order; another officer approves."""
    regulator = regulator_of(actor)
    kind = known_type(original.kind).reversed_by
    require(bool(kind), "not_reversible", f"{known_type(original.kind).title}: nothing undoes this.")
    original = Transaction.objects.select_related("receiver", "asset").get(pk=original.pk)
    request = Request(
        kind=kind,
        sender=original.receiver,
        asset=original.asset,
        quantity=original.quantity,
        reason=reason,
        original=original,
    )
    return propose(actor=actor, organisation=regulator, request=request, key=key, now=now)


def known_type(kind: str) -> TransactionType:
    """Return the type of a name, or refuse."""
    if kind not in TYPES:
        raise Unknown("type_unknown", f"There is no such type of transaction. Known are: {', '.join(TYPES)}.")
    return TYPES[kind]


def may_start(user: User, organisation: Organisation, type_: TransactionType) -> bool:
    """Say whether the user may begin a transaction of a type for an organisation."""
    if organisation.kind == Organisation.Kind.REGULATOR:
        return Starter.DESK in type_.starters and may_work_the_desk(user, organisation)
    return (Starter.INITIATOR in type_.starters and may_initiate(user, organisation)) or (
        Starter.TRADER in type_.starters and may_surrender(user, organisation)
    )


def _check_words(type_: TransactionType, request: Request) -> None:
    """Refuse words and figures that cannot be kept, before anything else is looked at."""
    require(
        not type_.needs_reason or bool(request.reason.strip()),
        "reason_missing",
        "Say why, in a sentence that those concerned can read.",
    )
    if request.price_minor is not None:
        parse_whole(request.price_minor, minimum=0)


def _earlier(key: uuid.UUID, request: Request) -> Transaction | None:
    """Return the transaction of a key. The receiver may have been closed since: what was asked for stays so."""
    earlier = Transaction.objects.select_related("receiver", "journal", "approval").filter(key=key).first()
    if earlier is None:
        return None
    try:
        quantity = parse_whole(request.quantity)
    except Refused:
        quantity = 0
    same = (earlier.sender_id, earlier.asset_id, earlier.quantity) == (request.sender.pk, request.asset.pk, quantity)
    same = same and (not request.to_number or request.to_number.strip() == earlier.receiver.number)
    same = same and earlier.beneficiary == request.beneficiary.strip()[:200]
    same = same and str(earlier.details.get("period", "")) == ("" if request.period is None else str(request.period.pk))
    require(same, "key_reused", f"This key was used before for another {request.kind}. Use a new one.")
    return earlier


@transaction.atomic(durable=True)
def _start(actor: User, organisation: Organisation, request: Request, key: uuid.UUID, now: datetime) -> Transaction:
    """Begin what no second person has to approve."""
    locked = _lock_first(request.asked(organisation))
    (facts,) = _locked(request.asked(organisation), now)
    earlier = _earlier(key, request)  # under the locks: whoever sent the same a moment ago has finished
    if earlier is not None:
        return earlier
    require_all(facts)
    row = _row(request, facts, organisation, actor, key, now)
    Transaction.objects.bulk_create([row], ignore_conflicts=True)
    require(
        Transaction.objects.filter(pk=row.pk).exists(),
        "key_reused",
        f"This key was used before for another {request.kind}. Use a new one.",
    )
    _go_on(row, facts, now, actor, locked=locked)
    return row


def _locked(asked: Asked, now: datetime) -> list[Facts]:
    """Lock what will be touched, then read the facts."""
    (before,) = Batch([asked], now).facts()
    ledger.lock_balances([(account.pk, asked.asset) for account in (before.sender, before.receiver) if account])
    return Batch([asked], now).facts()


def _row(
    request: Request, facts: Facts, organisation: Organisation, actor: User, key: uuid.UUID, now: datetime
) -> Transaction:
    assert facts.sender is not None and facts.receiver is not None and facts.quantity is not None
    details: dict[str, object] = {"note": request.note.strip()[:200], "reason": request.reason.strip()[:500]}
    if request.period is not None:
        details["period"] = request.period.pk
    return Transaction(
        kind=request.kind,
        key=key,
        organisation=organisation,
        sender=facts.sender,
        receiver=facts.receiver,
        asset=request.asset,
        quantity=facts.quantity,
        price_minor=request.price_minor,
        agreement=request.agreement.strip()[:200],
        beneficiary=request.beneficiary.strip()[:200],
        details={name: value for name, value in details.items() if value},
        proposed_by=actor,
        proposed_at=now,
        reverses=request.original,
    )


# Two persons ----------------------------------------------------------------------------------------------------------


def _check_parameters(parameters: Mapping[str, Any]) -> None:
    known_type(parameters["kind"])


def _reserve(approval: Approval, now: datetime) -> None:
    """Check everything under the locks, write the transaction and hold what it will spend."""
    request = _request_of(approval.parameters)
    (facts,) = _locked(request.asked(approval.organisation), now)
    require_all(facts)
    row = _row(request, facts, approval.organisation, approval.proposed_by, uuid.UUID(approval.parameters["key"]), now)
    row.approval = approval
    row.save(force_insert=True)
    _hold(row, now)
    _record(row, approval.proposed_by, "proposed", now)


def _recheck(approval: Approval, now: datetime) -> None:
    row = _of(approval)
    require_all(_facts_again(row, now))


def _execute_approved(approval: Approval, now: datetime) -> dict[str, object]:
    """Go on with what the second person has approved: carry it out, or let it wait for its time or the receiver."""
    row = _of(approval)
    require(
        may_start(approval.proposed_by, approval.organisation, TYPES[row.kind]),
        "proposer_no_longer_entitled",
        "The person who proposed this may not propose it any more. Let a colleague propose it again.",
    )
    facts, locked = _locked_again(row, now)
    require_all(facts)
    _go_on(row, facts, now, approval.decided_by, locked=locked)
    return {"transaction": str(row.pk), "journal": row.journal_id}


def _give_back(approval: Approval, now: datetime) -> None:
    """End the transaction as its proposal ended, and give back what it held."""
    row = _of(approval)
    row.reason_code, row.reason = approval.failure_code, approval.failure or approval.reason
    _end(row, approval.status, approval.decided_by, now)


def _of(approval: Approval) -> Transaction:
    return _lock(Transaction.objects.values_list("pk", flat=True).get(approval=approval))


def _request_of(parameters: Mapping[str, Any]) -> Request:
    original = parameters.get("original")
    period = parameters.get("period")
    return Request(
        kind=parameters["kind"],
        sender=LedgerAccount.objects.get(pk=parameters["from"]),
        asset=Asset.objects.get(code=parameters["asset"]),
        quantity=parameters["quantity"],
        to_number=parameters["to"],
        note=parameters["note"],
        price_minor=parameters.get("price_minor"),
        agreement=parameters.get("agreement", ""),
        beneficiary=parameters.get("beneficiary", ""),
        reason=parameters.get("reason", ""),
        period=Period.objects.get(pk=period) if period else None,
        original=Transaction.objects.get(pk=original) if original else None,
    )


def _may_propose(user: User, organisation: Organisation) -> bool:
    if organisation.kind == Organisation.Kind.REGULATOR:
        return may_work_the_desk(user, organisation)
    return may_surrender(user, organisation)


def _may_approve(user: User, organisation: Organisation) -> bool:
    if organisation.kind == Organisation.Kind.REGULATOR:
        return may_sign_for_the_regulator(user, organisation)
    return may_approve_transfers(user, organisation)


# Going on -------------------------------------------------------------------------------------------------------------


def _go_on(row: Transaction, facts: Facts, now: datetime, actor: User | None, *, locked: Any) -> None:
    """Carry out an approved transaction, or let it wait with its permits held."""
    at = courses.carried_out_at(facts)
    if at is not None:
        row.execute_after = at
        _hold(row, now)
        _move(row, "delayed", "execute_after")
        _record(row, actor, "delayed", now, until=at)
    else:
        _arrive(row, facts, now, actor, locked=locked)


def _arrive(row: Transaction, facts: Facts, now: datetime, actor: User | None, *, locked: Any) -> None:
    """Ask the receiver where that is needed; else carry the transaction out."""
    if courses.needs_confirmation(facts):
        _hold(row, now)
        _move(row, "awaiting_receiver")
        _ask_receiver(row, now)
        _record(row, actor, "awaiting_receiver", now)
    else:
        _complete(row, now, actor, locked)


def _ask_receiver(row: Transaction, now: datetime) -> None:
    """Put the question into the inbox of the receiver."""
    assert row.receiver.owner is not None
    tasks.open_task(
        key=_task_key(row),
        kind="confirmation",
        organisation=row.receiver.owner,
        title=f"Accept or turn down {row.quantity:,} {row.asset.code} from {row.organisation}.",
        link=f"/transactions/{row.pk}/",
        now=now,
    )


def _task_key(row: Transaction) -> str:
    return f"confirmation:{row.pk}"


def _complete(row: Transaction, now: datetime, actor: User | None, locked: Any) -> None:
    """Move the permits, end the transaction, and do what its type does besides."""
    type_ = TYPES[row.kind]
    signed = actor or (row.approval.decided_by if row.approval else row.proposed_by)
    reference = f"{type_.journal_kind}:{row.key}"
    note = str(row.details.get("note") or row.details.get("reason") or "")
    if row.reverses is not None and row.sender.kind in SINKS:
        assert row.reverses.journal_id is not None
        posted = ledger.reverse(
            journal_id=row.reverses.journal_id,
            kind=type_.journal_kind,
            reference=reference,
            actor=signed,
            now=now,
            note=note,
        )
    else:
        posting = ledger.Posting(row.key, row.sender_id, row.receiver_id, row.asset_id, row.quantity)
        posted = ledger.capture(
            hold_ids=_open_holds(row),
            transfers=[posting],
            kind=type_.journal_kind,
            reference=reference,
            actor=signed,
            now=now,
            note=note,
        )
    row.journal_id, row.ended_at = posted.journal_id, now
    _move(row, "completed", "journal", "ended_at")
    if row.reverses is not None:
        _undo(row.reverses)
    if row.kind in _effects:
        _effects[row.kind].done(row, locked, now, actor)
    _record(row, actor, "completed", now, journal=row.journal_id)


def _undo(original: Transaction) -> None:
    original = _lock(original.pk)
    _move(original, "reversed")


# Time and people ------------------------------------------------------------------------------------------------------


def execute_due(*, now: datetime) -> int:
    """Carry out every transaction whose time has come, each by itself; return how many were tried.

    Two workers at once carry nothing out twice: each locks the row and looks again. What meets a freeze, or a scheme
    that a court has stopped, stays delayed with its permits held and is tried again: those orders end, and say nothing
    against the transfer itself.
    """
    due = list(
        Transaction.objects.filter(status="delayed", execute_after__lte=now)
        .order_by("execute_after", "id")
        .values_list("pk", flat=True)
    )
    for transaction_id in due:
        try:
            _execute_waiting(transaction_id, now)
        except Exception:  # one that breaks must not keep the others waiting
            log.exception("Transaction %s could not be carried out.", transaction_id)
    return len(due)


@transaction.atomic(durable=True)
def _execute_waiting(transaction_id: uuid.UUID, now: datetime) -> None:
    row = _lock(transaction_id)
    if row.status != "delayed" or row.execute_after is None or row.execute_after > now:
        return  # another worker, or a cancellation, came first
    try:
        with transaction.atomic():
            facts, locked = _locked_again(row, now)
            require_all(facts)
            _arrive(row, facts, now, None, locked=locked)
    except Refused as refusal:
        codes = {each.code for each in (refusal.refusals if isinstance(refusal, SeveralRefusals) else (refusal,))}
        if codes <= PASSING:
            log.info("Transaction %s waits on: %s", transaction_id, refusal.code)
            return
        row = _lock(transaction_id)
        row.reason_code, row.reason = refusal.code, refusal.sentence[:500]
        _end(row, "failed", None, now)


def cancel(*, actor: User, transaction_id: uuid.UUID, reason: str, now: datetime) -> Transaction:
    """Stop a transaction that waits: its holder's initiators and approvers may, and the regulator; with a reason."""
    found = Transaction.objects.filter(pk=transaction_id).select_related("organisation", "approval").first()
    if found is None:
        raise Unknown("transaction_unknown", "There is no such transaction. Check the address.")
    _require_may_stop(actor, found)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that those concerned can read.")
    if found.status == "proposed" and found.approval is not None:
        approvals.cancel(actor=actor, approval_id=found.approval.pk, reason=reason, now=now)
        return Transaction.objects.get(pk=transaction_id)
    return _cancel_waiting(actor, transaction_id, reason, now)


@transaction.atomic(durable=True)
def _cancel_waiting(actor: User, transaction_id: uuid.UUID, reason: str, now: datetime) -> Transaction:
    row = _lock(transaction_id)
    row.reason_code, row.reason = "cancelled", reason.strip()[:500]
    _end(row, "cancelled", actor, now)
    return row


def may_stop(user: User, row: Transaction) -> bool:
    """Say whether the user may cancel this transaction while it waits."""
    try:
        _require_may_stop(user, row)
    except Forbidden:
        return False
    return True


def _require_may_stop(actor: User, row: Transaction) -> None:
    if (
        row.organisation.trades
        and _may_propose(actor, row.organisation)
        and may_start(actor, row.organisation, TYPES[row.kind])
    ):
        return
    try:
        regulator_of(actor)
    except Forbidden as error:
        raise Forbidden(
            "not_permitted", "Only an initiator or approver of the sender, or the regulator, may cancel this."
        ) from error


@transaction.atomic(durable=True)
def accept(*, actor: User, transaction_id: uuid.UUID, now: datetime) -> Transaction:
    """Accept what arrives, as the receiver: it is carried out at once, if every check still passes."""
    row = _lock(transaction_id)
    _require_receiver(actor, row)
    facts, locked = _locked_again(row, now)
    require_all(facts)
    row.confirmed_by = actor
    row.save(update_fields=["confirmed_by"])
    tasks.end_task(key=_task_key(row), actor=actor, now=now)
    _complete(row, now, actor, locked)
    return row


@transaction.atomic(durable=True)
def decline(*, actor: User, transaction_id: uuid.UUID, reason: str, now: datetime) -> Transaction:
    """Turn down what arrives, as the receiver, with a reason; the sender has its permits back."""
    row = _lock(transaction_id)
    _require_receiver(actor, row)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the sender can read.")
    row.confirmed_by = actor
    row.save(update_fields=["confirmed_by"])
    tasks.end_task(key=_task_key(row), actor=actor, now=now)
    row.reason_code, row.reason = "declined", reason.strip()[:500]
    _end(row, "rejected", actor, now)
    return row


def may_confirm(user: User, row: Transaction) -> bool:
    """Say whether the user may accept or turn down what arrives: an initiator or approver of the receiver."""
    owner = row.receiver.owner
    return owner is not None and row.proposed_by_id != user.pk and may_initiate(user, owner)


def _require_receiver(actor: User, row: Transaction) -> None:
    require_permission(
        may_confirm(actor, row), "Only an initiator or approver of the receiver, who did not propose it, may decide."
    )
    require(
        row.status == "awaiting_receiver",
        "nothing_to_confirm",
        f"This transaction is {row.status.replace('_', ' ')} and does not wait for the receiver. Reload the page.",
    )


# Parts ----------------------------------------------------------------------------------------------------------------


def _lock(transaction_id: uuid.UUID) -> Transaction:
    """Lock a transaction, so that one thing happens to it at a time."""
    assert_in_transaction()
    row = (
        Transaction.objects.select_for_update(of=("self",))
        .select_related(
            "organisation", "sender", "receiver__owner", "asset", "approval__decided_by", "reverses__sender"
        )
        .filter(pk=transaction_id)
        .first()
    )
    if row is None:
        raise Unknown("transaction_unknown", "There is no such transaction. Check the address.")
    return row


def _lock_first(asked: Asked) -> Any:
    """Take the locks that come before those of balances."""
    return _effects[asked.kind].lock(asked) if asked.kind in _effects else None


def _facts_again(row: Transaction, now: datetime) -> Facts:
    """Read the facts of a transaction as they are now."""
    (facts,) = Batch([_asked_again(row)], now).facts()
    return facts


def _locked_again(row: Transaction, now: datetime) -> tuple[Facts, Any]:
    """Take every lock that carrying out a transaction needs, in everybody's order, and read its facts."""
    asked = _asked_again(row)
    locked = _lock_first(asked)
    (facts,) = _locked(asked, now)
    return facts, locked


def _asked_again(row: Transaction) -> Asked:
    """Return a stored transaction as the checks look at it."""
    period = row.details.get("period")
    return Asked(
        kind=row.kind,
        sender=row.sender_id,
        receiver=row.receiver_id,
        asset=row.asset_id,
        quantity=row.quantity,
        period=Period.objects.select_related("scheme").get(pk=period) if period else None,
        original=row.reverses_id,
        beneficiary=row.beneficiary,
        reason=str(row.details.get("reason", "")),
        by_order=not row.organisation.trades,
        transaction=row.pk,
    )


def _hold(row: Transaction, now: datetime) -> None:
    """Hold what the transaction will spend. What was surrendered or cancelled cannot be spent by anybody anyway."""
    if row.sender.kind not in SINKS:
        ledger.hold(
            account=row.sender_id,
            asset=row.asset_id,
            quantity=row.quantity,
            purpose=HOLD,
            reference=str(row.pk),
            now=now,
        )


def _open_holds(row: Transaction) -> list[int]:
    return list(Hold.objects.filter(purpose=HOLD, reference=str(row.pk), status="open").values_list("pk", flat=True))


def _end(row: Transaction, status: str, actor: User | None, now: datetime) -> None:
    """End a transaction without moving anything, and give back what it held."""
    if row.status == "awaiting_receiver":
        tasks.end_task(key=_task_key(row), actor=actor, now=now, status="cancelled")
    row.ended_at = now
    _move(row, status, "ended_at", "reason_code", "reason")
    ledger.release(hold_ids=_open_holds(row), now=now)
    _record(row, actor, status, now, code=row.reason_code, reason=row.reason)


def _move(row: Transaction, status: str, *changed: str) -> None:
    TRANSACTION.require(row.status, status)
    row.status = status
    row.save(update_fields=["status", *changed])


def _record(row: Transaction, actor: User | None, what: str, now: datetime, **details: object) -> None:
    audit.record(
        actor,
        f"registry.transaction.{what}",
        row,
        at=now,
        organisation=row.organisation,
        kind=row.kind,
        asset=row.asset.code,
        quantity=row.quantity,
        to=row.receiver.number,
        **details,
    )


def _act(name: str, may_propose: Callable[[User, Organisation], bool]) -> approvals.Act:
    return approvals.Act(
        name=name,
        may_propose=may_propose,
        may_approve=_may_approve,
        check=_check_parameters,
        recheck=_recheck,
        execute=_execute_approved,
        reserve=_reserve,
        give_back=_give_back,
    )


ACTS = (_act(LARGE_TRANSFER, may_initiate), _act(PROPOSED, _may_propose))
