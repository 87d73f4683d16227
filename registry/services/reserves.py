"""The quantity reserve: its yearly flow, worked out from the books at the end of a year and signed by two officers.

What it takes in leaves the next period's auction account; what it releases goes to auction again, the oldest vintage
first; what lies above its line is cancelled. The run is published with its figures and its spread over the months.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Refused, Unknown, refuse, require, require_none
from common.idempotency import derive_key
from registry.engine import runs as engine
from registry.ledger import selectors as ledger_selectors
from registry.ledger.models import Balance
from registry.models import Obligation, Operator, Period, PublishedRun
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services import central, reminders, runs, transactions

STABILITY_FLOW = "registry.stability_flow"


def stability_document(period: Period, on: date) -> engine.Document:
    """Return the flow that follows a period's year by the rules of a day, or refuse it with every reason."""
    require_none(list(_faults(period)))
    return runs.work_out("stability", period, on, _inputs(period))


def propose_stability(*, actor: User, period: Period, now: datetime) -> Approval:
    """Propose the flow that follows a period's year; another officer approves exactly these figures."""
    regulator = regulator_of(actor)
    period = Period.objects.select_related("scheme__currency").get(pk=period.pk)
    on = now.astimezone(period.scheme.tz).date()
    require(on > period.ends_on, "year_not_over", f"The year of {period} ends on {period.ends_on}. Wait for it.")
    document = stability_document(period, on)
    result = document["result"]
    return approvals.propose(
        actor=actor,
        act=STABILITY_FLOW,
        organisation=regulator,
        summary=f"After {period}: the reserve takes in {int(result['intake']):,}, releases {int(result['release']):,} "
        f"and cancels {int(result['invalidated']):,} permits ({result['reason'].replace('_', ' ').lower()}).",
        parameters={
            "period": str(period.pk),
            "on": on.isoformat(),
            "rules": document["rules"]["version"],
            "inputs": document["inputs"],
            "result": result,
        },
        now=now,
    )


def _period(parameters: Mapping[str, Any]) -> Period:
    period = Period.objects.select_related("scheme__currency").filter(pk=parameters["period"]).first()
    if period is None:
        raise Unknown("period_unknown", "There is no such period. Check the address.")
    return period


def _worked_out(parameters: Mapping[str, Any]) -> engine.Document:
    """Work the flow out anew; refuse where the books or rules have changed since it was proposed."""
    document = stability_document(_period(parameters), date.fromisoformat(parameters["on"]))
    same = (document["rules"]["version"], document["inputs"], document["result"]) == (
        parameters["rules"],
        parameters["inputs"],
        parameters["result"],
    )
    require(same, "stability_changed", "The books or the rules have changed since this was proposed. Propose it again.")
    return document


def _check(parameters: Mapping[str, Any]) -> None:
    _worked_out(parameters)


def _execute(approval: Approval, now: datetime) -> dict[str, object]:
    """Move what the flow says, and publish it. Both periods are locked, the earlier first."""
    found = _period(approval.parameters)
    locked = Period.objects.select_for_update(of=("self",), no_key=True).filter(
        scheme_id=found.scheme_id, year__in=[found.year, found.year + 1]
    )
    periods = {each.year: each for each in locked.select_related("scheme__currency").order_by("year")}
    period, coming = periods[found.year], periods[found.year + 1]
    document = _worked_out(approval.parameters)  # under the lock: two may have been approved at once
    moves = list(_moves(period, coming, document["result"], now))
    journal = None
    if moves:
        posted = transactions.move(
            moves=moves,
            organisation=approval.organisation,
            journal="stability",
            reference=f"stability:{period.code}",
            actor=approval.decided_by,
            now=now,
            note=document["result"]["reason"],
        )
        journal = posted.journal_id
    reminders.withdraw(period.code, "indicator", now)
    published = runs.publish(document, period, actor=approval.decided_by, now=now, approval=approval)
    audit.record(
        approval.decided_by,
        "registry.reserve.moved",
        published,
        at=now,
        organisation=approval.organisation,
        period=period.code,
        intake=document["result"]["intake"],
        release=document["result"]["release"],
        invalidated=document["result"]["invalidated"],
    )
    return {"published": str(published.pk), "journal": journal}


def _moves(period: Period, coming: Period, result: Mapping[str, Any], now: datetime) -> Iterator[transactions.Move]:
    """Yield the movements: in from the coming auctions, out to auction, and above the line into the cancellation."""
    intake, release, invalidated = (int(result[name]) for name in ("intake", "release", "invalidated"))
    key = ("stability", period.pk)
    reserve = central.account_on_use(coming, central.STABILITY, now).pk
    if intake:
        auction = central.account(coming, central.AUCTION).pk
        yield transactions.Move(
            "move_to_reserve", derive_key(*key, "intake"), auction, reserve, coming.permit_id, intake
        )
    stock = _stock(period)
    if intake:
        stock.append((reserve, coming, intake))
    for kind, purpose, wanted in (
        ("release", central.AUCTION, release),
        ("expire", central.CANCELLATION, invalidated),
    ):
        for place, (account, vintage, held) in enumerate(stock):
            part = min(wanted, held)
            wanted -= part
            stock[place] = (account, vintage, held - part)
            if part:
                receiver = central.account(vintage, purpose).pk
                yield transactions.Move(
                    kind, derive_key(*key, kind, vintage.pk, account), account, receiver, vintage.permit_id, part
                )
        if wanted:
            refuse("reserve_short", f"The reserve holds {wanted:,} permits less than at the end of the year.")


def _stock(period: Period) -> list[tuple[int, Period, int]]:
    """Return what the reserve holds, the oldest vintage first: account, vintage and permits."""
    balances = Balance.objects.filter(
        account__kind="stability", asset__period__scheme_id=period.scheme_id, balance__gt=0
    ).select_related("asset__period__scheme")
    return [
        (balance.account_id, balance.asset.period, balance.available)
        for balance in balances.order_by("asset__period__year", "pk")
    ]


def _inputs(period: Period) -> dict[str, str]:
    """Return the figures of the books as of the end of the period's year, and what the coming auctions offer."""
    scheme, coming = period.scheme, _coming(period)
    assert coming is not None
    end = datetime.combine(period.ends_on + timedelta(days=1), time(0), tzinfo=scheme.tz)
    vintages = Period.objects.filter(scheme=scheme, year__lte=period.year).values_list("permit_id", flat=True)
    then = ledger_selectors.totals_before(vintages, ["issuance", "cancellation"], end)
    every = Period.objects.filter(scheme=scheme).values_list("permit_id", flat=True)
    reserve = ledger_selectors.totals_before(every, ["stability"], end)["stability"]
    offered = Balance.objects.filter(account=central.account(coming, central.AUCTION), asset=coming.permit_id).first()
    return {
        "minted": str(-then["issuance"]),
        "imported": "0",
        "verified_use": str(sum(_verified_use(period).values())),
        "cancelled": str(then["cancellation"]),
        "reserve": str(reserve),
        "auction_volume": str(offered.available if offered else 0),
    }


def _verified_use(period: Period) -> dict[tuple[uuid.UUID, uuid.UUID], int]:
    """Return what is owed by operator and year up to the period's, by the latest versions."""
    versions = Obligation.objects.filter(period__scheme_id=period.scheme_id, period__year__lte=period.year)
    rows = versions.order_by("version").values_list("operator_id", "period_id", "quantity")
    return {(operator, of): quantity for operator, of, quantity in rows}


def _coming(period: Period) -> Period | None:
    return Period.objects.select_related("scheme").filter(scheme_id=period.scheme_id, year=period.year + 1).first()


def published_flow(period: Period) -> PublishedRun | None:
    """Return the flow that followed a period, once it is published."""
    flows = PublishedRun.objects.filter(period=period, kind=PublishedRun.Kind.RESERVE, document__kind="stability")
    return flows.first()


def _faults(period: Period) -> Iterator[Refused]:
    """List why no flow can be worked out yet, or not again."""
    if published_flow(period) is not None:
        yield Refused("stability_done_already", f"The flow after {period} was published already.")
    coming = _coming(period)
    if coming is None or coming.status != "open":
        yield Refused("next_period_not_open", "Publish the next period's cap first: the flow concerns its auctions.")
    known = {operator for operator, of in _verified_use(period) if of == period.pk}
    liable = Operator.objects.filter(scheme_id=period.scheme_id, first_year__lte=period.year)
    missing = liable.exclude(last_year__lt=period.year).exclude(excluded_years__contains=[period.year])
    names = missing.exclude(pk__in=known).order_by("organisation__name").values_list("organisation__name", flat=True)
    if names:
        yield Refused(
            "use_not_verified",
            f"The use of {period.year} is not known of: {', '.join(names)}. Have it verified, or estimate it.",
        )


ACTS = (
    approvals.Act(
        name=STABILITY_FLOW,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check,
        execute=_execute,
    ),
)
