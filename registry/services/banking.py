"""Banking: what may be carried over at the end of a period, and what may be borrowed from the next delivery.

The limits are the engine's (`registry.engine.banking`). What is above a limit lapses into the cancellation account or,
where the rules deduct it, stays and becomes a debt that the next free delivery pays. Nothing here makes a permit.
"""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from django.db import transaction
from django.db.models import Sum

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, require, require_permission
from common.idempotency import derive_key
from common.quantities import parse_whole
from registry import ports
from registry.engine import banking as engine
from registry.engine.policy import BankingMode
from registry.engine.refusals import Refusal
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Transfer
from registry.models import AllocationLine, AllocationRun, DebtEntry, Operator, Period
from registry.permissions import may_report
from registry.services import central, debts, operators, rules, transactions
from registry.services.sanctions import policy_at_deadline


def apply_limit(period: Period, now: datetime) -> dict[str, int]:
    """Apply the banking limit at the end of a period to every operator; return what lapsed and what became a debt."""
    assert_in_transaction()
    rule = policy_at_deadline(period).time.banking
    sums = {"lapsed": 0, "deducted": 0}
    if rule.mode is BankingMode.UNLIMITED:
        return sums
    firms = list(Operator.objects.filter(scheme_id=period.scheme_id).select_related("organisation").order_by("pk"))
    allocated = _average_allocations(period)
    traded = ports.net_trades(period, [firm.organisation_id for firm in firms])
    held = _holdings(period, firms)
    moves: list[transactions.Move] = []
    for firm in firms:
        net = traded.get(firm.organisation_id, ports.NetTrade(0, 0))
        limit = engine.banking_limit(
            rule, average_yearly_allocation=allocated.get(firm.pk, Fraction(0)), sold=net.sold, bought=net.bought
        )
        unused = held[firm.account_id]
        outcome = engine.carry_over(
            sum(balance.balance for _, balance in unused), limit, deduct_excess=rule.deduct_excess
        )
        legs, left = _lapse(period, firm, unused, outcome.lapsed)
        moves += legs
        sums["lapsed"] += outcome.lapsed - left
        owes = outcome.deduct_next + left  # what is held for something else cannot lapse now, so it is owed
        if owes:
            debts.owe(firm, period, DebtEntry.Kind.EXCESS, owes, f"banking:{period.code}:{firm.pk}", now)
            sums["deducted"] += owes
    if moves:
        transactions.move(
            moves=moves,
            organisation=firms[0].organisation,
            journal="expire",
            reference=f"banking:{period.code}",
            actor=None,
            now=now,
        )
    audit.record(None, "registry.period.banking_limited", period, at=now, mode=rule.mode.value, figures=sums)
    return sums


@transaction.atomic(durable=True)
def borrow(
    *, actor: User, operator: Operator, period: Period, quantity: int, key: uuid.UUID, now: datetime
) -> DebtEntry:
    """Borrow permits from the next free delivery, within the share that the rules allow, with their interest.

    They come out of what is left of the period for auction, and the debt is paid back from new free permits first. The
    same key again is the same loan.
    """
    require_permission(
        may_report(actor, operator.organisation), "Only an initiator or approver of the operator may borrow."
    )
    quantity = parse_whole(quantity)
    period = Period.objects.select_for_update(no_key=True, of=("self",)).select_related("scheme").get(pk=period.pk)
    operator = operators.locked(operator)
    reference = f"borrowed:{derive_key('borrow', operator.pk, key)}"
    repeated = DebtEntry.objects.filter(reference=reference).first()
    if repeated is not None:
        return repeated
    require(
        period.scheme_id == operator.scheme_id, "period_of_another_scheme", "This period belongs to another scheme."
    )
    require(
        period.status in {"open", "closing"} and now < period.surrender_due,
        "borrowing_over",
        f"Permits of {period} are not lent any more: its deadline has passed.",
    )
    rule = rules.policy_at(period.scheme, now.astimezone(period.scheme.tz).date()).time
    loan = engine.borrow(
        rule, wanted=quantity, next_allocation=_next_allocation(operator, period), already=_borrowed(operator, period)
    )
    if isinstance(loan, Refusal):
        raise Refused(loan.code, loan.sentence)
    # No type lends: an allocation never comes out of the auction account, and a loan is undone by its debt alone.
    posted = ledger.post(
        transfers=[
            ledger.Posting(
                derive_key("borrow", reference),
                central.account(period, central.AUCTION).pk,
                operator.account_id,
                period.permit_id,
                loan.borrowed,
            )
        ],
        kind="borrow",
        reference=reference,
        actor=actor,
        now=now,
    )
    return debts.owe(operator, period, DebtEntry.Kind.BORROWED, loan.debt, reference, now, journal=posted.journal_id)


def _average_allocations(period: Period) -> Mapping[uuid.UUID, Fraction]:
    """Return each operator's average free allocation over the years so far, exact."""
    runs = AllocationRun.objects.filter(
        status="executed", period__scheme_id=period.scheme_id, period__year__lte=period.year
    )
    years = runs.count()
    lines = AllocationLine.objects.filter(run__in=runs).order_by().values("operator_id").annotate(sum=Sum("quantity"))
    return {row["operator_id"]: Fraction(row["sum"], years) for row in lines}


def _holdings(period: Period, firms: Sequence[Operator]) -> Mapping[int, list[tuple[Period, Balance]]]:
    """Return what each account holds of the vintages so far, oldest first, and lock it."""
    vintages = list(
        Period.objects.filter(scheme_id=period.scheme_id, year__lte=period.year)
        .select_related("scheme")
        .order_by("year")
    )
    ledger.lock_balances([(firm.account_id, vintage.permit_id) for firm in firms for vintage in vintages])
    balances = Balance.objects.filter(
        account__in=[firm.account_id for firm in firms], asset__in=[vintage.permit_id for vintage in vintages]
    )
    by_pair = {(balance.account_id, balance.asset_id): balance for balance in balances}
    held: defaultdict[int, list[tuple[Period, Balance]]] = defaultdict(list)
    for vintage in vintages:
        for firm in firms:
            balance = by_pair.get((firm.account_id, vintage.permit_id))
            if balance is not None and balance.balance > 0:
                held[firm.account_id].append((vintage, balance))
    return held


def _lapse(
    period: Period, firm: Operator, unused: Sequence[tuple[Period, Balance]], quantity: int
) -> tuple[list[transactions.Move], int]:
    """Cancel the oldest permits first; return the movements and what could not be taken."""
    moves = []
    for vintage, balance in unused:
        part = min(quantity, balance.available if balance.status == "open" else 0)
        if part > 0:
            moves.append(
                transactions.Move(
                    "expire",
                    derive_key("banking", period.pk, firm.pk, vintage.pk),
                    firm.account_id,
                    central.account(vintage, central.CANCELLATION).pk,
                    vintage.permit_id,
                    part,
                )
            )
            quantity -= part
    return moves, quantity


def _next_allocation(operator: Operator, period: Period) -> int:
    """Return the free permits of the next year as far as they are known: its newest run, else this year's."""
    runs = AllocationRun.objects.filter(period__scheme_id=period.scheme_id).exclude(status="discarded")
    following = runs.filter(period__year=period.year + 1).order_by("-drafted_at").first()
    known = following or runs.filter(period=period, status="executed").first()
    if known is None:
        return 0
    return AllocationLine.objects.filter(run=known, operator=operator).aggregate(sum=Sum("quantity"))["sum"] or 0


def _borrowed(operator: Operator, period: Period) -> int:
    """Return what was lent to an operator in a period, without interest."""
    loans = DebtEntry.objects.filter(operator=operator, period=period, kind=DebtEntry.Kind.BORROWED)
    lent = Transfer.objects.filter(journal__in=loans.values("journal"))
    return lent.aggregate(sum=Sum("amount"))["sum"] or 0
