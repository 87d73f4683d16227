"""Sanctions: what a breach costs by the rules at the deadline, and how it is paid or waived.

The figures come from `registry.engine.sanctions`; each row keeps the steps by which they follow, with the price and its
source where the rule asks for one. Money goes from the operator's cash to the sanctions account, or comes by bank and
is recorded by two officers; permits are a debt (`registry.services.debts`). A waiver needs two officers and a reason.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import transaction

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, refuse, require, require_permission
from common.idempotency import derive_key
from common.quantities import format_money, parse_decimal
from registry import ports
from registry.engine import sanctions as engine
from registry.engine.deadlines import start_of_day
from registry.engine.policy import Policy, SanctionMode
from registry.engine.refusals import Refusal
from registry.engine.rounding import cash_sanction_minor, exact_text
from registry.ledger import services as ledger
from registry.ledger.models import Journal
from registry.models import SANCTION, Case, DebtEntry, Operator, Period, Sanction
from registry.permissions import may_sign_for_the_regulator, may_surrender, may_work_the_desk, regulator_of
from registry.services import central, rules

SET_REFERENCE_PRICE = "registry.set_reference_price"
RECORD_PAYMENT = "registry.record_sanction_payment"
WAIVE = "registry.waive_sanction"

FACTORS = ("culpability", "size", "gain", "history", "force_majeure")
"""What an officer weighs before a waiver, each recorded with a sentence [UK-EA][DE]."""


@dataclass(frozen=True)
class ReferencePrice:
    """The average price of a year of use in minor units, and where it comes from."""

    price_minor: Fraction
    source: str


def deadline_day(period: Period) -> date:
    """Return the last day on which permits could still be surrendered, in the scheme's zone: its rules decide."""
    return (period.surrender_due - timedelta(microseconds=1)).astimezone(period.scheme.tz).date()


def policy_at_deadline(period: Period) -> Policy:
    """Return the rules in force at a period's surrender deadline."""
    return rules.policy_at(period.scheme, deadline_day(period))


def reference_price(period: Period) -> ReferencePrice | None:
    """Return the price of which a sanction is a multiple: as two officers recorded, else of settled trades."""
    recorded = (
        Approval.objects.filter(act=SET_REFERENCE_PRICE, status="executed", parameters__period=str(period.pk))
        .order_by("-executed_at", "-pk")
        .first()
    )
    if recorded is not None:
        return ReferencePrice(Fraction(recorded.parameters["price_minor"]), recorded.parameters["source"])
    since = start_of_day(period.starts_on, period.scheme.tz)
    traded = ports.average_price(period, since, period.use_ends_at)
    return None if traded is None else ReferencePrice(traded, "settled trades of the year of use, by volume")


def would_cost(operator: Operator, period: Period, short: int) -> engine.Sanction | Refusal:
    """Return what this many missing permits would cost by the rules at the deadline, before it is imposed."""
    return _work_out(operator, period, short, _price_asked(period))


def impose(
    operator: Operator,
    period: Period,
    short: int,
    now: datetime,
    *,
    kind: str = Sanction.Kind.SHORTFALL,
    case: Case | None = None,
    due_at: datetime | None = None,
) -> Sanction:
    """Impose what missing permits cost; permits beyond the missing ones become a debt. Part of other services."""
    assert_in_transaction()
    price = _price_asked(period)
    cost = _work_out(operator, period, short, price)
    if isinstance(cost, Refusal):
        raise Refused(cost.code, cost.sentence)
    rule = policy_at_deadline(period).sanction
    extra = max(0, cost.permits_owed - short)
    sanction = Sanction.objects.create(
        operator=operator,
        period=period,
        kind=kind,
        case=case,
        make_good=rule.make_good or cost.mode is SanctionMode.PERMITS,
        shortfall=short,
        amount_minor=cost.cash_minor,
        mode=cost.mode.value,
        permits=extra,
        steps=_steps(cost, price, is_first=cost.is_waived),
        status="waived" if cost.is_waived else SANCTION.initial,
        imposed_at=now,
        due_at=due_at,
        ended_at=now if cost.is_waived else None,
        reason="The first shortfall: the rules waive its sanction." if cost.is_waived else "",
    )
    if extra:
        DebtEntry.objects.create(
            operator=operator,
            period=period,
            kind=DebtEntry.Kind.SANCTION,
            quantity=extra,
            reference=f"sanction:{sanction.pk}",
            at=now,
        )
    audit.record(
        None,
        "registry.sanction.imposed",
        sanction,
        at=now,
        organisation=operator.organisation,
        period=period.code,
        kind=kind,
        shortfall=short,
        amount_minor=cost.cash_minor,
        permits=extra,
        waived=cost.is_waived,
    )
    return sanction


def impose_charge(
    operator: Operator,
    period: Period,
    *,
    kind: str,
    permits: int,
    amount_minor: int,
    steps: list[dict[str, str]],
    now: datetime,
    case: Case | None = None,
) -> Sanction:
    """Impose a sum that is no sanction on missing permits: a fine, or a charge of a lighter regime."""
    assert_in_transaction()
    sanction = Sanction.objects.create(
        operator=operator,
        period=period,
        kind=kind,
        case=case,
        shortfall=permits,
        amount_minor=amount_minor,
        mode=SanctionMode.CASH.value,
        steps=steps,
        imposed_at=now,
    )
    audit.record(
        None,
        "registry.sanction.imposed",
        sanction,
        at=now,
        organisation=operator.organisation,
        period=period.code,
        kind=kind,
        amount_minor=amount_minor,
    )
    return sanction


def fine_misreport(case: Case, understated: int, gravity: Decimal, now: datetime) -> Sanction | None:
    """Fine a report found too low by the gravity that the officers decided; nothing where the rules know no fine."""
    assert_in_transaction()
    rule = policy_at_deadline(case.period).sanction
    amount = engine.misreport_fine_minor(rule, understated=understated, gravity=gravity)
    if not amount:
        return None
    steps = [
        {"step": "understated", "value": str(understated)},
        {"step": "fine_minor", "value": str(rule.misreport_fine_minor)},
        {"step": "gravity", "value": str(gravity)},
    ]
    return impose_charge(
        case.operator,
        case.period,
        kind=Sanction.Kind.MISREPORT,
        permits=understated,
        amount_minor=amount,
        steps=steps,
        now=now,
        case=case,
    )


@transaction.atomic(durable=True)
def pay(*, actor: User, sanction: Sanction, now: datetime) -> Sanction:
    """Pay a sanction from the operator's cash in the ledger. Paying twice is paying once."""
    sanction = locked(sanction.pk)
    operator = sanction.operator
    require_permission(
        may_surrender(actor, operator.organisation), "Only a representative of the operator may pay its sanctions."
    )
    if sanction.status == "paid":
        return sanction
    _require_money_due(sanction)
    currency = operator.scheme.currency
    posted = ledger.post(
        transfers=[
            ledger.Posting(
                derive_key("sanction", sanction.pk),
                operator.account_id,
                central.sanctions(currency, now).pk,
                currency.pk,
                sanction.amount_minor,
            )
        ],
        kind="sanction",
        reference=f"sanction:{sanction.pk}",
        actor=actor,
        now=now,
    )
    _paid(sanction, posted.journal_id, actor, now, how="from the account")
    return sanction


def propose_payment(*, actor: User, sanction: Sanction, reference: str, now: datetime) -> Approval:
    """Propose to record that the money of a sanction came by bank; the reference is the statement's line."""
    return approvals.propose(
        actor=actor,
        act=RECORD_PAYMENT,
        organisation=regulator_of(actor),
        summary=f"Record {_money(sanction)} from {sanction.operator.organisation} as paid, {reference.strip()}.",
        parameters={"sanction": str(sanction.pk), "reference": reference.strip()},
        now=now,
    )


def propose_waiver(
    *, actor: User, sanction: Sanction, reason: str, now: datetime, factors: Mapping[str, str] | None = None
) -> Approval:
    """Propose to waive a sanction, with the reason and the factors that were weighed."""
    return approvals.propose(
        actor=actor,
        act=WAIVE,
        organisation=regulator_of(actor),
        summary=f"Waive {_money(sanction)} of {sanction.operator.organisation}: {reason.strip()}",
        parameters={"sanction": str(sanction.pk), "reason": reason.strip(), "factors": dict(factors or {})},
        now=now,
    )


def propose_reference_price(*, actor: User, period: Period, price: str, source: str, now: datetime) -> Approval:
    """Propose the average price of a year, such as 61.50, where the market of this registry does not tell it."""
    price_minor = parse_decimal(price) * 100
    return approvals.propose(
        actor=actor,
        act=SET_REFERENCE_PRICE,
        organisation=regulator_of(actor),
        summary=f"Take {price} as the average price of {period}, by {source.strip()}.",
        parameters={"period": str(period.pk), "price_minor": str(price_minor), "source": source.strip()},
        now=now,
    )


def hold(operator: Operator, period: Period, now: datetime) -> None:
    """Keep the sanctions of a period from being collected while an appeal runs."""
    _move_all(operator, period, "due", "in_appeal", now)


def resume(operator: Operator, period: Period, now: datetime) -> None:
    """Let the sanctions of a period be collected again."""
    _move_all(operator, period, "in_appeal", "due", now)


def waive(sanction: Sanction, reason: str, actor: User | None, now: datetime) -> None:
    """Waive a locked sanction; what is still owed of its permits is forgiven with it."""
    assert_in_transaction()
    SANCTION.require(sanction.status, "waived")
    sanction.status, sanction.ended_at, sanction.reason = "waived", now, reason.strip()[:500]
    sanction.save(update_fields=["status", "ended_at", "reason"])
    _forgive_permits(sanction, now)
    audit.record(
        actor,
        "registry.sanction.waived",
        sanction,
        at=now,
        organisation=sanction.operator.organisation,
        reason=reason.strip(),
    )


def settle_permits(operator: Operator, actor: User | None, now: datetime) -> None:
    """Mark sanctions in permits as paid once nothing is owed in permits any more. Part of paying debts."""
    assert_in_transaction()
    due = Sanction.objects.filter(operator=operator, status="due", permits__gt=0, amount_minor=0)
    for sanction in due.select_for_update(of=("self",)).order_by("imposed_at", "pk"):
        _paid(sanction, None, actor, now, how="in permits")


def locked(sanction_id: uuid.UUID) -> Sanction:
    """Lock a sanction for a move."""
    sanction = (
        Sanction.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "operator__scheme__currency", "period__scheme")
        .filter(pk=sanction_id)
        .first()
    )
    if sanction is None:
        raise Unknown("sanction_unknown", "There is no such sanction. Check the address.")
    return sanction


def recomputed(sanction: Sanction) -> tuple[int, int]:
    """Work a shortfall's sanction out again from its kept inputs: money, and permits beyond the missing."""
    kept = {step["step"]: step["value"] for step in sanction.steps}
    price = ReferencePrice(Fraction(kept["average_price_minor"]), "") if "average_price_minor" in kept else None
    cost = _work_out(sanction.operator, sanction.period, sanction.shortfall, price)
    assert not isinstance(cost, Refusal), cost
    return cost.cash_minor, max(0, cost.permits_owed - sanction.shortfall)


def _price_asked(period: Period) -> ReferencePrice | None:
    """Return the reference price where the rules at the deadline ask for one."""
    is_asked = policy_at_deadline(period).sanction.mode is SanctionMode.PRICE_MULT
    return reference_price(period) if is_asked else None


def _work_out(
    operator: Operator, period: Period, short: int, price: ReferencePrice | None
) -> engine.Sanction | Refusal:
    earlier = Sanction.objects.filter(
        operator=operator, kind=Sanction.Kind.SHORTFALL, period__year__lt=period.year
    ).exists()
    return engine.sanction(
        policy_at_deadline(period).sanction,
        short=short,
        year=period.year,
        average_price_minor=None if price is None else price.price_minor,
        cohorts=(operator.cohort,),
        is_first=not earlier,
    )


def _steps(cost: engine.Sanction, price: ReferencePrice | None, *, is_first: bool) -> list[dict[str, str]]:
    steps = [{"step": "mode", "value": cost.mode.value}, {"step": "missing", "value": str(cost.short_permits)}]
    if price is not None:
        steps.append({"step": "average_price_minor", "value": exact_text(price.price_minor), "source": price.source})
    if cost.mode is not SanctionMode.PERMITS:
        steps.append({"step": "rate_minor", "value": exact_text(cost.rate_minor)})
        full = cash_sanction_minor(cost.short_permits, cost.rate_minor)
        steps.append({"step": "cash_minor", "value": str(full), "rounding": "R8"})
    steps.append({"step": "permits_owed", "value": str(cost.permits_owed)})
    if cost.least_allowances:
        steps.append({"step": "least_allowances", "value": str(cost.least_allowances)})
    if is_first:
        steps.append({"step": "first_time", "value": "waived"})
    return steps


def _require_money_due(sanction: Sanction) -> None:
    SANCTION.require(sanction.status, "paid")
    require(
        sanction.amount_minor > 0,
        "sanction_in_permits",
        "This sanction is owed in permits. Pay it under debts, or let the next free permits cover it.",
    )


def _paid(sanction: Sanction, journal_id: int | None, actor: User | None, now: datetime, *, how: str) -> None:
    SANCTION.require(sanction.status, "paid")
    sanction.status, sanction.ended_at, sanction.journal_id = "paid", now, journal_id
    sanction.save(update_fields=["status", "ended_at", "journal"])
    audit.record(
        actor,
        "registry.sanction.paid",
        sanction,
        at=now,
        organisation=sanction.operator.organisation,
        amount_minor=sanction.amount_minor,
        how=how,
    )
    if not sanction.make_good:
        from registry.services import compliance

        compliance.record_later_status(sanction.operator, sanction.period, now)


def _forgive_permits(sanction: Sanction, now: datetime) -> None:
    """Take what is left of a sanction's permits off the debt; what was paid already stays paid."""
    if not sanction.permits:
        return
    lines = DebtEntry.objects.filter(operator=sanction.operator).values_list("quantity", flat=True)
    left = min(sanction.permits, sum(lines))
    if left > 0:
        DebtEntry.objects.create(
            operator=sanction.operator,
            period=sanction.period,
            kind=DebtEntry.Kind.PAID,
            quantity=-left,
            reference=f"sanction-waived:{sanction.pk}",
            at=now,
        )


def _move_all(operator: Operator, period: Period, was: str, becomes: str, now: datetime) -> None:
    assert_in_transaction()
    found = Sanction.objects.select_for_update(of=("self",)).filter(operator=operator, period=period, status=was)
    for sanction in found.order_by("pk"):
        sanction.status = becomes
        sanction.save(update_fields=["status"])
        audit.record(
            None, f"registry.sanction.{becomes}", sanction, at=now, organisation=sanction.operator.organisation
        )


def _money(sanction: Sanction) -> str:
    currency = sanction.operator.scheme.currency.code.upper()
    return (
        f"{format_money(sanction.amount_minor)} {currency}"
        if sanction.amount_minor
        else f"{sanction.permits:,} permits"
    )


# Acts of two officers -------------------------------------------------------------------------------------------------


def _check_payment(parameters: Mapping[str, Any]) -> None:
    sanction = _found(parameters)
    _require_money_due(sanction)
    require(bool(parameters["reference"]), "reference_missing", "Give the reference of the bank statement's line.")
    require(len(parameters["reference"]) <= 80, "reference_too_long", "Shorten the reference to 80 characters.")
    require(
        not Journal.objects.filter(reference=_bank_reference(sanction, parameters)).exists(),
        "cash_recorded_already",
        f"{parameters['reference']} was recorded already. Check the bank statement.",
    )


def _record_payment(approval: Approval, now: datetime) -> Mapping[str, Any]:
    sanction = locked(uuid.UUID(approval.parameters["sanction"]))
    _check_payment(approval.parameters)
    currency = sanction.operator.scheme.currency
    posted = ledger.post(
        transfers=[
            ledger.Posting(
                derive_key("sanction-by-bank", approval.pk),
                central.bank(currency).pk,
                central.sanctions(currency, now).pk,
                currency.pk,
                sanction.amount_minor,
            )
        ],
        kind="sanction",
        reference=_bank_reference(sanction, approval.parameters),
        actor=approval.decided_by,
        now=now,
        note=approval.parameters["reference"],
    )
    _paid(sanction, posted.journal_id, approval.decided_by, now, how="by bank")
    return {"sanction": str(sanction.pk), "journal": posted.journal_id}


def _check_waiver(parameters: Mapping[str, Any]) -> None:
    SANCTION.require(_found(parameters).status, "waived")
    require(bool(parameters["reason"]), "reason_missing", "Say why, in a sentence that auditors can read.")
    unknown = sorted(set(parameters["factors"]) - set(FACTORS))
    require(not unknown, "factor_unknown", f"{', '.join(unknown)}: choose among {', '.join(FACTORS)}.")


def _waive(approval: Approval, now: datetime) -> Mapping[str, Any]:
    sanction = locked(uuid.UUID(approval.parameters["sanction"]))
    waive(sanction, approval.parameters["reason"], approval.decided_by, now)
    return {"sanction": str(sanction.pk)}


def _check_price(parameters: Mapping[str, Any]) -> None:
    period = Period.objects.select_related("scheme").filter(pk=parameters["period"]).first()
    if period is None:
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    require(Fraction(parameters["price_minor"]) > 0, "price_not_positive", "An average price is above zero.")
    require(bool(parameters["source"]), "source_missing", "Name where the price comes from, such as an index.")
    if Sanction.objects.filter(period=period, mode=SanctionMode.PRICE_MULT.value).exists():
        refuse("price_used_already", f"Sanctions of {period} rest on a price already. Decide on them one by one.")


def _set_price(approval: Approval, now: datetime) -> Mapping[str, Any]:
    period = Period.objects.get(pk=approval.parameters["period"])
    audit.record(
        approval.decided_by,
        "registry.reference_price.set",
        period,
        at=now,
        organisation=approval.organisation,
        price_minor=approval.parameters["price_minor"],
        source=approval.parameters["source"],
    )
    return {"period": str(period.pk)}


def _found(parameters: Mapping[str, Any]) -> Sanction:
    sanction = (
        Sanction.objects.select_related("operator__scheme__currency", "operator__organisation")
        .filter(pk=parameters["sanction"])
        .first()
    )
    if sanction is None:
        raise Unknown("sanction_unknown", "There is no such sanction. Check the address.")
    return sanction


def _bank_reference(sanction: Sanction, parameters: Mapping[str, Any]) -> str:
    return f"sanction:{sanction.operator.scheme.currency.code}:{parameters['reference']}"


ACTS = (
    approvals.Act(
        name=RECORD_PAYMENT,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_payment,
        execute=_record_payment,
    ),
    approvals.Act(
        name=WAIVE,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_waiver,
        execute=_waive,
    ),
    approvals.Act(
        name=SET_REFERENCE_PRICE,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_price,
        execute=_set_price,
    ),
)
