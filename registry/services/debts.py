"""Debts in permits: what an operator owes beside its obligations, and how new free permits pay it first.

A debt arises from borrowing, from a true-up below zero that the account does not cover, from a sanction in permits, and
from banking above a limit that is deducted later. Its lines only grow; their sum is what is owed, never below zero.
What is paid goes back to the total quantity of the vintage, so that no permit comes into being or disappears.

A free delivery is used in this order: debts, then what a set-off still wants, then, where free permits are suspended,
it waits in escrow; what is left is the operator's.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import require, require_permission
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry.engine.banking import next_delivery
from registry.ledger import services as ledger
from registry.ledger.models import Asset, Balance, Journal
from registry.models import DebtEntry, Enforcement, Operator, Period, Surrender
from registry.permissions import may_surrender
from registry.services import central, enforcement, operators, sanctions, transactions
from registry.standing import records


def owed(operator: Operator) -> int:
    """Return what an operator owes in permits beside its obligations."""
    return DebtEntry.objects.filter(operator=operator).aggregate(sum=Sum("quantity"))["sum"] or 0


def blocked_quantity(operator: Operator, asset: Asset) -> int:
    """Return how much of an asset an operator may not sell, because its debt is not covered by what else it has free.

    A debt leaves the free balance for sale: all that is available in the scheme's permits, less the debt.
    """
    debt = owed(operator)
    if not debt:
        return 0
    balances = Balance.objects.filter(account=operator.account_id, asset__period__scheme=operator.scheme_id)
    available = {balance.asset_id: balance.available for balance in balances}
    free = max(0, sum(available.values()) - debt)
    return max(0, available.get(asset.pk, 0) - free)


def free_for_sale(account_id: int, period_id: uuid.UUID, debt: int) -> int:
    """Return how many permits of a period's scheme an account may still sell beside a debt of its operator."""
    lies = Balance.objects.filter(account=account_id, asset__period__scheme__periods=period_id)
    sums = lies.aggregate(lies=Sum("balance"), held=Sum("held"))
    return max(0, (sums["lies"] or 0) - (sums["held"] or 0) - debt)


def owe(
    operator: Operator,
    period: Period,
    kind: str,
    quantity: int,
    reference: str,
    now: datetime,
    *,
    journal: int | None = None,
) -> DebtEntry:
    """Write down a debt; the same reference again is the same debt. Part of other services."""
    assert_in_transaction()
    entry, is_new = DebtEntry.objects.get_or_create(
        reference=reference,
        defaults={
            "operator": operator,
            "period": period,
            "kind": kind,
            "quantity": quantity,
            "journal_id": journal,
            "at": now,
        },
    )
    if is_new:
        audit.record(
            None,
            f"registry.debt.{kind}",
            entry,
            at=now,
            organisation=operator.organisation,
            period=period.code,
            quantity=quantity,
        )
    return entry


def claw_back(
    operator: Operator, period: Period, quantity: int, reference: str, now: datetime, *, actor: User | None = None
) -> tuple[int, int]:
    """Take free permits back that were given too much: from the account as far as it has them, the rest as a debt.

    Return what was taken and what became a debt. The same reference again changes nothing and gives the same answer.
    """
    assert_in_transaction()
    earlier = Journal.objects.filter(reference=f"claw-back:{reference}").first()
    debt = DebtEntry.objects.filter(reference=f"true-up:{reference}").first()
    if earlier is not None or debt is not None:
        taken = sum(earlier.transfers.values_list("amount", flat=True)) if earlier else 0
        return taken, debt.quantity if debt else 0
    ledger.lock_balances([(operator.account_id, period.permit_id)])
    balance = Balance.objects.filter(account=operator.account_id, asset=period.permit_id, status="open").first()
    taken = min(quantity, balance.available if balance else 0)
    if taken:
        transactions.move(
            moves=[
                transactions.Move(
                    "return_excess",
                    derive_key("claw-back", reference),
                    operator.account_id,
                    central.account(period, central.TOTAL).pk,
                    period.permit_id,
                    taken,
                )
            ],
            organisation=operator.organisation,
            journal="return_excess",
            reference=f"claw-back:{reference}",
            actor=actor,
            now=now,
        )
    if quantity > taken:
        owe(operator, period, DebtEntry.Kind.TRUE_UP, quantity - taken, f"true-up:{reference}", now)
    return taken, quantity - taken


@transaction.atomic(durable=True)
def pay(*, actor: User, operator: Operator, period: Period, quantity: int, key: uuid.UUID, now: datetime) -> DebtEntry:
    """Pay a debt with permits of a period's vintage. The same key again is the same payment."""
    require_permission(
        may_surrender(actor, operator.organisation), "Only a representative of the operator may pay its debts."
    )
    quantity = parse_whole(quantity)
    operator = operators.locked(operator)
    require(
        period.scheme_id == operator.scheme_id, "period_of_another_scheme", "This period belongs to another scheme."
    )
    reference = f"paid:{derive_key('debt', operator.pk, key)}"
    repeated = DebtEntry.objects.filter(reference=reference).first()
    if repeated is not None:
        require(
            (repeated.operator_id, repeated.period_id, repeated.quantity) == (operator.pk, period.pk, -quantity),
            "key_reused",
            "This key was used before for another payment. Use a new one.",
        )
        return repeated
    debt = owed(operator)
    require(debt > 0, "no_debt", "You owe no permits beside your obligations.")
    require(quantity <= debt, "more_than_debt", f"You owe {debt:,} permits: pay no more than that.")
    return _pay(operator, period, quantity, reference, actor, now)


def settle_delivery(
    period: Period, delivered: Mapping[uuid.UUID, int], now: datetime, *, run: object
) -> dict[str, int]:
    """Let a free delivery pay debts first, then what a set-off wants, and hold the rest back where it is suspended.

    `delivered` says how many permits of the period each operator has just got; `run` names the delivery, so that it is
    used once. Part of an allocation.
    """
    assert_in_transaction()
    sums = {"debts": 0, "set_off": 0, "held_back": 0}
    for operator in _with_claims(delivered):
        operator = operators.locked(operator)
        left = delivered[operator.pk]
        debt_paid = next_delivery(left, debt=owed(operator)).debt_paid
        reference = f"paid:{run}:{operator.pk}"
        if debt_paid and not DebtEntry.objects.filter(reference=reference).exists():
            _pay(operator, period, debt_paid, reference, None, now)
        left -= debt_paid
        sums["debts"] += debt_paid
        set_off = _set_off(operator, period, left, run, now)
        left -= set_off
        sums["set_off"] += set_off
        if left and enforcement.is_suspended(operator):
            _hold_back(operator, period, left, run, now)
            sums["held_back"] += left
    return sums


def release_held_back(operator: Operator, now: datetime) -> int:
    """Deliver what was held back while permits were missing. Part of a cure."""
    assert_in_transaction()
    released = 0
    steps = Enforcement.objects.select_for_update(of=("self",)).filter(
        operator=operator, action="SUSPEND_FREE", status="done"
    )
    for step in steps.order_by("pk"):
        for waiting in step.result.pop("waiting", []):
            period = Period.objects.select_related("scheme").get(pk=waiting["period"])
            transactions.move(
                moves=[
                    transactions.Move(
                        "allocate",
                        derive_key("release-held-back", step.pk, waiting["run"]),
                        central.held_back(period, now).pk,
                        operator.account_id,
                        period.permit_id,
                        waiting["quantity"],
                    )
                ],
                organisation=operator.organisation,
                journal="release",
                reference=f"held-back-released:{waiting['run']}:{operator.pk}",
                actor=None,
                now=now,
            )
            released += waiting["quantity"]
        if released:
            step.result["released"] = released
            step.save(update_fields=["result"])
    return released


def _with_claims(delivered: Mapping[uuid.UUID, int]) -> Sequence[Operator]:
    """Return those of the operators whose delivery is wanted by a debt or by enforcement, in order of their ids."""
    indebted = DebtEntry.objects.filter(operator__in=delivered).values("operator").annotate(sum=Sum("quantity"))
    wanted = set(indebted.order_by().filter(sum__gt=0).values_list("operator", flat=True)) | set(
        Enforcement.objects.filter(
            operator__in=delivered, action__in=["SET_OFF", "SUSPEND_FREE"], status="done"
        ).values_list("operator", flat=True)
    )
    return list(Operator.objects.filter(pk__in=wanted).order_by("pk"))


def _pay(
    operator: Operator, period: Period, quantity: int, reference: str, actor: User | None, now: datetime
) -> DebtEntry:
    """Return permits to the total quantity and write the one line that pays: the type's own line is not written here.

    The measure is the whole debt, whatever it came from, so that the registry and not the type's check says how much.
    """
    posted = transactions.move(
        moves=[
            transactions.Move(
                "return_excess",
                derive_key("debt", reference),
                operator.account_id,
                central.account(period, central.TOTAL).pk,
                period.permit_id,
                quantity,
            )
        ],
        organisation=operator.organisation,
        journal="debt",
        reference=f"debt-{reference}",
        actor=actor,
        now=now,
    )
    entry = DebtEntry.objects.create(
        operator=operator,
        period=period,
        kind=DebtEntry.Kind.PAID,
        quantity=-quantity,
        reference=reference,
        journal_id=posted.journal_id,
        at=now,
    )
    audit.record(
        actor,
        "registry.debt.paid",
        entry,
        at=now,
        organisation=operator.organisation,
        period=period.code,
        quantity=quantity,
    )
    if not owed(operator):
        sanctions.settle_permits(operator, actor, now)
    return entry


def _set_off(operator: Operator, period: Period, left: int, run: object, now: datetime) -> int:
    """Cover missing permits of an earlier period with new ones; as a sanction it may use a later vintage [CA-95856]."""
    short = enforcement.period_to_set_off(operator)
    if short is None or not left:
        return 0
    from registry.services import compliance

    quantity = min(left, records(short, operator=operator)[0].shortfall)
    enforcement.surrender_late(operator, short, {period.permit_id: quantity}, Surrender.Kind.SET_OFF, run, now)
    compliance.record_later_status(operator, short, now)
    return quantity


def _hold_back(operator: Operator, period: Period, quantity: int, run: object, now: datetime) -> None:
    step = (
        Enforcement.objects.select_for_update(of=("self",))
        .filter(operator=operator, action="SUSPEND_FREE", status="done")
        .order_by("pk")[:1]
        .get()
    )
    waiting = step.result.setdefault("waiting", [])
    if any(one["run"] == str(run) for one in waiting):
        return
    # No type moves a holder's permits into escrow: this is the other half of the delivery that it has just got, and
    # what reaches it in the end leaves a transaction of its own when it is released.
    ledger.post(
        transfers=[
            ledger.Posting(
                derive_key("hold-back", run, operator.pk),
                operator.account_id,
                central.held_back(period, now).pk,
                period.permit_id,
                quantity,
            )
        ],
        kind="hold_back",
        reference=f"held-back:{run}:{operator.pk}",
        actor=None,
        now=now,
    )
    waiting.append({"run": str(run), "period": str(period.pk), "quantity": quantity})
    step.save(update_fields=["result"])
    audit.record(
        None,
        "registry.allocation.held_back",
        step,
        at=now,
        organisation=operator.organisation,
        period=period.code,
        quantity=quantity,
    )
