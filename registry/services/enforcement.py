"""Enforcement: the ladder of a scheme against who was short at the deadline, step by step until the permits are there.

    BLOCK_TRANSFERS   the account may surrender and return, and send nothing else
    AUTO_DEDUCT       free permits are taken, oldest first, as a late surrender
    CASH              the sanction falls due: the operator is told, and the desk sees it
    SET_OFF           the next free delivery covers what is still missing, before it is the operator's
    SUSPEND_FREE      free deliveries are held back until the permits are there
    PROSECUTE         the desk is told to hand the case over

Each step is a row planned at the deadline by the rules in force then. It is done once, held while an appeal or an
insolvency runs, and cancelled when the shortfall is made good.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts.models import Organisation
from accounts.services import audit, tasks
from common.database import assert_in_transaction
from common.errors import Refused
from common.idempotency import derive_key
from registry.engine.sanctions import LadderDate, ladder_dates
from registry.ledger import services as ledger
from registry.ledger.models import Balance
from registry.models import (
    ENFORCEMENT,
    AccountTerms,
    Case,
    Enforcement,
    Operator,
    Period,
    Sanction,
    Surrender,
    Suspension,
)
from registry.services import accounts, central, operators, receipts, transactions
from registry.services.sanctions import policy_at_deadline
from registry.standing import Standing, records

log = logging.getLogger(__name__)

BLOCKED = "Permits are missing after the deadline."
"""The reason kept with an account that enforcement restricted; only such an account is opened again by a cure."""

UNBLOCKED = "The missing permits were made good."

AGAINST_THE_ESTATE = frozenset({"AUTO_DEDUCT", "SET_OFF"})
"""Steps that take what belongs to the creditors of an insolvent operator."""

Result = Mapping[str, Any]


def plan(period: Period, short: Iterable[Standing], now: datetime) -> int:
    """Write down every step against who was short at the deadline. Planning twice is planning once."""
    assert_in_transaction()
    dates = _ladder(period)
    rows = [
        Enforcement(operator=standing.operator, period=period, action=step.action, due_at=step.at)
        for standing in short
        for step in dates
    ]
    Enforcement.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def sanction_due_at(period: Period) -> datetime | None:
    """Return when the cash sanction of a period falls due by its ladder; nothing where the ladder has no such step."""
    return next((step.at for step in _ladder(period) if step.action == "CASH"), None)


def run_due(*, now: datetime) -> int:
    """Take every step whose time has come, each in its own transaction; return how many were done."""
    return sum(_run_one(pk, now) for pk in list(_due(now).values_list("pk", flat=True)))


def _try(step_id: int, now: datetime) -> bool:
    """Take one step; what a check refuses stays planned and is tried at the next round, and stops no other step."""
    try:
        with transaction.atomic():
            return _take(step_id, now)
    except Refused as refusal:
        log.warning("Step %s of the ladder waits: %s", step_id, refusal.sentence)
        return False


def take_steps(period: Period, now: datetime) -> dict[str, int]:
    """Take every due step of one period inside the caller's transaction; return how many of each were done."""
    assert_in_transaction()
    done: dict[str, int] = {}
    for step in list(_due(now).filter(period=period)):
        if _try(step.pk, now):
            done[step.action] = done.get(step.action, 0) + 1
    return done


@transaction.atomic(durable=True)
def _run_one(step_id: int, now: datetime) -> bool:
    return _try(step_id, now)


def cure(operator: Operator, now: datetime) -> None:
    """Cancel what is planned against an operator that has made good, and open its account again.

    The step that collects a sanction stays until the sanction is paid or waived: permits do not pay it.
    """
    assert_in_transaction()
    waiting = list(
        Enforcement.objects.filter(operator=operator, status__in=["planned", "held"]).select_related("period__scheme")
    )
    lasting = list(
        Enforcement.objects.filter(
            operator=operator, action__in=["BLOCK_TRANSFERS", "SUSPEND_FREE"], status="done"
        ).select_related("period__scheme")
    )
    short: dict[object, bool] = {}
    periods = {step.period_id: step.period for step in [*waiting, *lasting]}
    for period in periods.values():
        short[period.pk] = records(period, operator=operator)[0].shortfall > 0
    unpaid = set(
        Sanction.objects.filter(operator=operator, status__in=["due", "in_appeal"], amount_minor__gt=0).values_list(
            "period_id", flat=True
        )
    )
    for step in waiting:
        collects = step.action in {"CASH", "PROSECUTE"} and step.period_id in unpaid
        if not short[step.period_id] and not collects:
            move(step, "cancelled", now, {"reason": "The missing permits were made good."})
    if lasting and not any(short.values()):
        from registry.services import debts

        _unblock(operator, now)
        debts.release_held_back(operator, now)


def hold(operator: Operator, period: Period, now: datetime, *, actions: frozenset[str] | None = None) -> int:
    """Let planned steps wait while an appeal runs, or those that an insolvency forbids."""
    return _move_all(operator, period, "planned", "held", now, actions)


def resume(operator: Operator, period: Period, now: datetime) -> int:
    """Let held steps go on; what became due in the meantime is taken at the next round."""
    return _move_all(operator, period, "held", "planned", now, None)


def cancel(operator: Operator, period: Period, reason: str, now: datetime) -> int:
    """Strike out everything planned against an operator for a period, as after an appeal that was right."""
    assert_in_transaction()
    waiting = _locked_steps(operator, period).filter(status__in=["planned", "held"])
    steps = list(waiting)
    for step in steps:
        move(step, "cancelled", now, {"reason": reason})
    _unblock(operator, now)
    return len(steps)


def is_suspended(operator: Operator) -> bool:
    """Say whether free deliveries to an operator are held back: a step said so, and permits are still missing."""
    return _still_short(operator, "SUSPEND_FREE") is not None


def period_to_set_off(operator: Operator) -> Period | None:
    """Return the oldest period whose missing permits the next free delivery covers, if a step said so.

    While a court has stopped the scheme nothing is surrendered, and the delivery is the operator's.
    """
    if Suspension.objects.filter(scheme=operator.scheme_id, resumed_at__isnull=True).exists():
        return None
    return _still_short(operator, "SET_OFF")


def surrender_late(
    operator: Operator, period: Period, spent: Mapping[int, int], kind: str, key: object, now: datetime
) -> Surrender:
    """Take permits from an operator as a late surrender, without its act. The same key again is the same surrender."""
    assert_in_transaction()
    unique = derive_key(kind, operator.pk, period.pk, key)
    repeated = Surrender.objects.filter(key=unique).first()
    if repeated is not None:
        return repeated
    period, received_at = receipts.receive(period.pk)
    sink = central.account(period, central.SURRENDER)
    posted = transactions.move(
        moves=[
            transactions.Move("surrender", derive_key(unique, asset), operator.account_id, sink.pk, asset, quantity)
            for asset, quantity in spent.items()
        ],
        organisation=operator.organisation,
        journal="surrender",
        reference=f"surrender:{unique}",
        actor=None,
        now=max(now, period.surrender_due),  # as the receipt: what is late is never dated before the deadline
        note=kind,
        details={"kind": kind},
        period=period,
    )
    receipt = Surrender.objects.create(
        operator=operator,
        period=period,
        quantity=sum(spent.values()),
        key=unique,
        journal_id=posted.journal_id,
        received_at=max(received_at, period.surrender_due),
        kind=kind,
    )
    audit.record(
        None,
        f"registry.surrender.{kind}",
        receipt,
        at=now,
        organisation=operator.organisation,
        period=period.code,
        quantity=receipt.quantity,
    )
    return receipt


def available_oldest_first(operator: Operator, period: Period, wanted: int) -> dict[int, int]:
    """Choose what can be taken from an operator's account for a period: usable vintages, oldest first, nothing held."""
    assets = list(
        Period.objects.filter(scheme_id=period.scheme_id, year__lte=period.year)
        .order_by("year")
        .values_list("permit_id", flat=True)
    )
    ledger.lock_balances([(operator.account_id, asset) for asset in assets])
    balances = Balance.objects.filter(account=operator.account_id, asset__in=assets, status="open")
    available = {balance.asset_id: balance.available for balance in balances}
    spent = {}
    for asset in assets:
        quantity = min(wanted, available.get(asset, 0))
        if quantity > 0:
            spent[asset] = quantity
            wanted -= quantity
    return spent


def move(step: Enforcement, status: str, now: datetime, result: Result | None = None) -> None:
    """Move a locked step and write down what it did."""
    ENFORCEMENT.require(step.status, status)
    step.status = status
    if status == "done":
        step.done_at = now
    if result is not None:
        step.result = dict(result)
    step.save(update_fields=["status", "done_at", "result"])
    audit.record(
        None,
        f"registry.enforcement.{status}",
        step,
        at=now,
        organisation=step.operator.organisation,
        period=step.period.code,
        step=step.action,
        result=step.result,
    )


def _ladder(period: Period) -> tuple[LadderDate, ...]:
    policy = policy_at_deadline(period)
    return ladder_dates(
        policy.sanction,
        year=period.ends_on.year,
        deadline=period.surrender_due,
        zone=period.scheme.tz,
        holidays=policy.compliance.holidays,
        moves=policy.compliance.holiday_moves,
    )


def _due(now: datetime) -> QuerySet[Enforcement]:
    """Steps whose time has come, of schemes whose clocks run."""
    stopped = Suspension.objects.filter(scheme=OuterRef("period__scheme"), resumed_at__isnull=True)
    return Enforcement.objects.filter(~Exists(stopped), status="planned", due_at__lte=now).order_by("due_at", "id")


def _take(step_id: int, now: datetime) -> bool:
    """Take one step unless somebody did, an appeal holds it, or the shortfall is gone. Period, operator, then step."""
    named = Enforcement.objects.values_list("operator_id", "period_id").get(pk=step_id)
    period, _ = receipts.receive(named[1])
    operator = operators.locked(Operator(pk=named[0]))
    step = Enforcement.objects.select_for_update(of=("self",)).get(pk=step_id)
    if step.status != "planned":
        return False
    step.operator, step.period = operator, period
    if _is_contested(operator, period, step.action):
        move(step, "held", now, {"reason": "An open case holds it."})
        return False
    (standing,) = records(period, operator=operator)
    sanction = Sanction.objects.filter(operator=operator, period=period, status="due", amount_minor__gt=0).first()
    if not standing.shortfall and not (sanction and step.action in {"CASH", "PROSECUTE"}):
        move(step, "cancelled", now, {"reason": "The missing permits were made good."})
        return False
    result = _DO[step.action](step, standing, now)
    move(step, "done", now, result)
    if result.get("taken"):
        _changed(step, now)  # after the step is done: a cure strikes out what is still planned
    return True


def _is_contested(operator: Operator, period: Period, action: str) -> bool:
    open_cases = Case.objects.filter(operator=operator, status="open")
    if open_cases.filter(period=period, kind=Case.Kind.APPEAL).exclude(subject="allocation").exists():
        return True
    return action in AGAINST_THE_ESTATE and open_cases.filter(kind=Case.Kind.INSOLVENCY).exists()


def _block(step: Enforcement, standing: Standing, now: datetime) -> Result:
    account = step.operator.account
    grade = AccountTerms.objects.filter(account=account).values_list("grade", flat=True).first() or "open"
    if grade == "open":
        grade = accounts.set_grade(actor=None, account_id=account.pk, grade="restricted", reason=BLOCKED, now=now).grade
    return {"account": account.number, "grade": grade}


def _unblock(operator: Operator, now: datetime) -> None:
    terms = AccountTerms.objects.filter(account=operator.account_id).first()
    if terms is None or (terms.grade, terms.grade_reason) != ("restricted", BLOCKED):
        return
    others = Enforcement.objects.filter(
        operator__account=operator.account_id, action="BLOCK_TRANSFERS", status="done"
    ).exclude(operator=operator)
    for step in others.select_related("operator", "period__scheme"):
        if records(step.period, operator=step.operator)[0].shortfall:
            return
    accounts.set_grade(actor=None, account_id=operator.account_id, grade="open", reason=UNBLOCKED, now=now)


def _deduct(step: Enforcement, standing: Standing, now: datetime) -> Result:
    spent = available_oldest_first(step.operator, step.period, standing.shortfall)
    if not spent:
        return {"taken": 0, "missing": standing.shortfall}
    taken = surrender_late(step.operator, step.period, spent, Surrender.Kind.AUTO_DEDUCTED, step.pk, now).quantity
    return {"taken": taken, "missing": standing.shortfall - taken}


def _collect(step: Enforcement, standing: Standing, now: datetime) -> Result:
    sanctions = Sanction.objects.filter(operator=step.operator, period=step.period, status="due", amount_minor__gt=0)
    amount = sum(sanctions.values_list("amount_minor", flat=True))
    if amount:
        tasks.open_task(
            key=f"sanction:{step.operator_id}:{step.period_id}",
            kind="sanction",
            organisation=step.operator.organisation,
            title=f"Pay the sanction for {step.period}.",
            link=f"/compliance/{step.period.code}/",
            now=now,
        )
    return {"amount_minor": amount}


def _set_off(step: Enforcement, standing: Standing, now: datetime) -> Result:
    return {"missing": standing.shortfall, "from": "the next free delivery"}


def _suspend(step: Enforcement, standing: Standing, now: datetime) -> Result:
    return {"missing": standing.shortfall, "held_back": "free deliveries"}


def _prosecute(step: Enforcement, standing: Standing, now: datetime) -> Result:
    for office in Organisation.objects.filter(kind="regulator", status="active").order_by("id")[:1]:
        tasks.open_task(
            key=f"prosecute:{step.operator_id}:{step.period_id}",
            kind="prosecute",
            organisation=office,
            title=f"Hand over the case of {step.operator.organisation} for {step.period}.",
            link=f"/desk/operators/{step.operator_id}/enforcement/",
            now=now,
        )
    return {"missing": standing.shortfall}


_DO: Mapping[str, Callable[[Enforcement, Standing, datetime], Result]] = {
    "BLOCK_TRANSFERS": _block,
    "AUTO_DEDUCT": _deduct,
    "CASH": _collect,
    "SET_OFF": _set_off,
    "SUSPEND_FREE": _suspend,
    "PROSECUTE": _prosecute,
}
"""What each step does."""


def _changed(step: Enforcement, now: datetime) -> None:
    from registry.services import compliance

    compliance.record_later_status(step.operator, step.period, now)


def _still_short(operator: Operator, action: str) -> Period | None:
    """Return the oldest period of which a step was taken while permits are still missing."""
    done = Enforcement.objects.filter(operator=operator, action=action, status="done").select_related("period__scheme")
    for step in done.order_by("period__year"):
        if records(step.period, operator=operator)[0].shortfall:
            return step.period
    return None


def _move_all(
    operator: Operator, period: Period, was: str, becomes: str, now: datetime, actions: frozenset[str] | None
) -> int:
    assert_in_transaction()
    found = _locked_steps(operator, period).filter(status=was)
    if actions is not None:
        found = found.filter(action__in=actions)
    steps = list(found)
    for step in steps:
        move(step, becomes, now)
    return len(steps)


def _locked_steps(operator: Operator, period: Period) -> QuerySet[Enforcement]:
    return (
        Enforcement.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "period__scheme")
        .filter(operator=operator, period=period)
        .order_by("id")
    )
