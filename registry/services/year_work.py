"""How the registry's own events of the year are done: it notes, reminds, follows and expires; people decide.

The closing of a period belongs to the exchange and its handlers are registered there. Every handler may run twice.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.models import Organisation
from accounts.services import audit
from common.errors import Refused, SeveralRefusals
from common.idempotency import derive_key
from registry.engine import reserve
from registry.engine.allocation import Stage
from registry.engine.canonical import sha256
from registry.engine.refusals import Refusal
from registry.engine.sanctions import ACTIONS
from registry.ledger import services as ledger
from registry.ledger.models import Balance
from registry.models import AllocationRun, Case, DueWork, Operator, Period, Report
from registry.services import (
    allocation,
    central,
    due,
    enforcement,
    estimates,
    obligations,
    regimes,
    reminders,
    reserves,
    rules,
    transactions,
    year,
)
from registry.services.due import Handler, Result
from registry.standing import records


def _period(work: DueWork) -> Period:
    assert work.period is not None, f"{work.key} belongs to a period"
    return work.period


def _parameters_final(work: DueWork, now: datetime) -> Result:
    """Note which rule book governs the year, so that everybody can check later that it was this one."""
    period = _period(work)
    version = rules.rules_version(period.scheme, period.starts_on)
    audit.record(None, "registry.year.parameters_final", period, at=now, rules_sha256=version)
    return {"rules_sha256": version} if version else {"rules": "the scheme's founding terms"}


def _floor_price(work: DueWork, now: datetime) -> Result:
    """Note the lowest price of the year's auctions: the step of the path by rule R5."""
    period = _period(work)
    path = rules.policy_at(period.scheme, period.starts_on).supply.floor
    if path is None:
        return {"floor": "none"}
    price = reserve.price_in(path, period.starts_on.year)
    if isinstance(price, Refusal):
        raise Refused(price.code, price.sentence)
    audit.record(None, "registry.year.floor_price", period, at=now, price=price)
    return {"floor": str(price)}


def _issue(work: DueWork, now: datetime) -> Result:
    """Issuing needs two officers: remind the desk where they have not done it."""
    period = _period(work)
    if period.status != "draft":
        return {"issued": period.caps.order_by("-version").values_list("quantity", flat=True).first()}
    _remind_desk(period, "issue", f"Publish the cap of {period}, which issues its permits", now)
    return {"reminded": True}


def _allocation(work: DueWork, now: datetime) -> Result:
    """Free permits are due. Who has no report of an earlier year, or an appeal, is named; the others are not kept."""
    period = _period(work)
    if AllocationRun.objects.filter(period=period, status="executed").exists():
        return {"allocated": True}
    appeals = Case.objects.filter(period=period, kind=Case.Kind.APPEAL, subject="allocation", status="open")
    kept_back = {*_overdue_before(period), *appeals.values_list("operator__organisation__name", flat=True)}
    title = f"Allocate the free permits of {period}"
    if kept_back:
        title += f". Keep back, for a missing report or an appeal: {', '.join(sorted(kept_back))}"
    _remind_desk(period, "allocation", title, now)
    return {"reminded": True, "kept_back": len(kept_back)}


def _self_report(work: DueWork, now: datetime) -> Result:
    """Remind every operator that has not filed its report."""
    period = _period(work)
    missing = liable(period).exclude(reports__period=period).select_related("organisation")
    count = reminders.remind_all(
        period.code,
        "report",
        [(operator.organisation, f"File the report for {period}") for operator in missing],
        link="/reports/new/",
        now=now,
        due_at=period.report_due,
    )
    return {"operators_reminded": count}


def _verified_report(work: DueWork, now: datetime) -> Result:
    """Reports were due: put the obligations to their operators, and name to the desk whose report is missing."""
    period = _period(work)
    moves = obligations.follow(period, now, "Verified reports were due.", is_open=True)
    return {"overdue": estimates.remind_desk(period, now), "moves": moves, "regimes": regimes.run_year(period, now)}


def _reminder(what: str, title: str) -> Handler:
    """Return a handler that reminds the desk of something which two officers then do."""

    def work(work: DueWork, now: datetime) -> Result:
        period = _period(work)
        _remind_desk(period, what, title.format(period=period), now)
        return {"reminded": True}

    return Handler(title.format(period="the period"), work)


def _indicator(work: DueWork, now: datetime) -> Result:
    """Work out what the quantity reserve does after the year, and ask the desk to propose it; two officers sign.

    A scheme without such a reserve has nothing to do. Where figures are missing, the task names them; its page works
    the flow out as soon as they are there.
    """
    period = _period(work)
    on = now.astimezone(period.scheme.tz).date()
    if rules.policy_at(period.scheme, on).supply.msr is None:
        return {"reserve": "none"}
    done = reserves.published_flow(period)
    if done is not None:
        return {"published": done.sha256}
    title = f"Propose what the stability reserve does after {period}"
    page = f"/desk/periods/{period.code}/stability/"
    try:
        document = reserves.stability_document(period, on)
    except Refused as refused:
        return _ask_for_figures(period, "indicator", title, page, refused, now)
    figures = {name: document["result"][name] for name in ("circulation", "intake", "release", "invalidated")}
    title += ": it takes in {intake} permits, releases {release} and cancels {invalidated}".format(**figures)
    _remind_desk(period, "indicator", title, now, page)
    return {**figures, "sha256": sha256(document), "reminded": True}


def _true_up(work: DueWork, now: datetime) -> Result:
    """Work out the settlement on what was verified, and ask the desk to draft it; a draft is always a person's.

    Rules that allocate everything at once have nothing to settle.
    """
    period = _period(work)
    alloc = rules.policy_at(period.scheme, period.starts_on).alloc
    if not alloc.true_up and all(method.pre_share == 1 for method in alloc.methods):
        return {"settlement": "none"}
    settlements = AllocationRun.objects.filter(period=period, stage=Stage.SETTLEMENT)
    if settlements.filter(status="executed").exists():
        return {"settled": True}
    title = f"Settle the free permits of {period} on what was verified"
    page = f"/desk/periods/{period.code}/figures/"
    try:
        foreseen = allocation.foreseen_settlement(period)
    except Refused as refused:
        return _ask_for_figures(period, "true_up", title, page, refused, now)
    title += ": {given} permits are given and {owed_back} are owed back".format(**foreseen)
    _remind_desk(period, "true_up", title, now, page)
    return {**foreseen, "reminded": True}


def _ask_for_figures(period: Period, what: str, title: str, page: str, refused: Refused, now: datetime) -> Result:
    """Ask the desk for what is missing, with the reason of each gap."""
    gaps = refused.refusals if isinstance(refused, SeveralRefusals) else (refused,)
    _remind_desk(period, what, f"{title}. Missing: {' '.join(gap.sentence for gap in gaps)}", now, page)
    return {"missing": [gap.code for gap in gaps], "reminded": True}


def _surrender_notice(work: DueWork, now: datetime) -> Result:
    """Tell every operator that still owes permits how many, and until when."""
    period = _period(work)
    short = [standing for standing in records(period) if standing.shortfall > 0]
    count = reminders.remind_all(
        period.code,
        f"surrender:{work.key.rpartition(':')[2].partition('#')[0]}",
        [
            (standing.operator.organisation, f"Surrender {standing.shortfall:,} permits for {period}")
            for standing in short
        ],
        link=f"/compliance/{period.code}/",
        now=now,
        due_at=period.surrender_due,
    )
    return {"operators_reminded": count, "permits_missing": sum(standing.shortfall for standing in short)}


def _end_of_appeals(work: DueWork, now: datetime) -> Result:
    """Nothing can be appealed any more: close every obligation of which nothing is missing."""
    period = _period(work)
    if period.status != "closed":
        raise Refused("period_not_closed", f"{period} is {period.status}: its closing has to finish first.")
    moves = obligations.follow(period, now, "The time for appeals is over.", is_closed=True)
    return {"moves": moves, "regimes": regimes.run_year(period, now)}


def _expiry_notice(work: DueWork, now: datetime) -> Result:
    """Tell the owners of permits that soon stop counting."""
    period = _period(work)
    days = int(work.key.rpartition(":")[2].partition("#")[0])
    expiry = year.event_at(period, "expiry")
    owned = _unexpired(period).filter(account__owner__isnull=False).select_related("account__owner")
    by_owner: dict[uuid.UUID, int] = {}
    owners = {}
    for balance in owned:
        owner = balance.account.owner
        assert owner is not None
        owners[owner.pk] = owner
        by_owner[owner.pk] = by_owner.get(owner.pk, 0) + balance.balance
    count = reminders.remind_all(
        period.code,
        f"expiry:{days}",
        [
            (owners[pk], f"{quantity:,} permits of {period} expire in {days} days: use or sell them before")
            for pk, quantity in by_owner.items()
        ],
        link="/holdings/",
        now=now,
        due_at=expiry,
    )
    return {"owners_reminded": count, "permits": sum(by_owner.values())}


def _expiry(work: DueWork, now: datetime) -> Result:
    """Cancel the permits that stopped counting. What is held or frozen stays for the desk to look at."""
    period = _period(work)
    balances = list(_unexpired(period).exclude(account__kind="cancellation"))
    ledger.lock_balances([(balance.account_id, period.permit_id) for balance in balances])
    balances = list(_unexpired(period).exclude(account__kind="cancellation").select_related("account"))
    sink = central.account(period, central.CANCELLATION)
    free = [balance for balance in balances if balance.available and balance.status == "open"]
    if free:
        transactions.move(
            moves=[
                transactions.Move(
                    "expire",
                    derive_key("expiry", period.pk, balance.account_id),
                    balance.account_id,
                    sink.pk,
                    period.permit_id,
                    balance.available,
                )
                for balance in free
            ],
            organisation=Organisation.objects.filter(kind="regulator").order_by("id")[:1].get(),
            journal="expiry",
            reference=f"expiry:{period.code}",
            actor=None,
            now=now,
        )
    expired = sum(balance.available for balance in free)
    left = sum(balance.balance for balance in balances) - expired
    if left:
        _remind_desk(period, "expiry", f"{left:,} expired permits of {period} are held or frozen: decide on them", now)
    return {"expired": expired, "accounts": len(free), "held_or_frozen": left}


def _ladder(action: str) -> Handler:
    """Return the handler of one step of the ladder, which enforcement takes against every operator that is short."""

    def work(work: DueWork, now: datetime) -> Result:
        taken: dict[str, object] = dict(enforcement.take_steps(_period(work), now))
        return taken or {"steps": 0}

    return Handler(f"Enforcement: {action.replace('_', ' ').lower()}", work)


def overdue_operators(period: Period) -> list[Operator]:
    """Return the liable operators without a verified report or an estimate of the period, by name."""
    in_force = Report.objects.filter(period=period, status__in=["verified", "determined"]).values("operator")
    missing = liable(period).exclude(pk__in=in_force).select_related("organisation")
    return list(missing.order_by("organisation__name", "pk"))


def liable(period: Period) -> QuerySet[Operator]:
    """Operators that have to report for a period."""
    return (
        Operator.objects.filter(scheme_id=period.scheme_id, first_year__lte=period.year)
        .filter(Q(last_year__isnull=True) | Q(last_year__gte=period.year))
        .exclude(excluded_years__contains=[period.year])
    )


def _overdue_before(period: Period) -> Iterable[str]:
    """Name the operators without a figure for the last year whose reports were due."""
    earlier = Period.objects.filter(scheme_id=period.scheme_id, year__lt=period.year).exclude(status="draft")
    for before in earlier.filter(due_work__kind="verified_report", due_work__status="done").order_by("-year")[:1]:
        return [str(operator.organisation) for operator in overdue_operators(before)]
    return []


def _unexpired(period: Period) -> QuerySet[Balance]:
    """Permits of a vintage that are still to be used or sold: not those surrendered, cancelled or never issued."""
    return (
        Balance.objects.filter(asset=period.permit_id, balance__gt=0, contra=False, sink=False)
        .exclude(account__kind="surrender")
        .order_by("pk")
    )


def _remind_desk(period: Period, what: str, title: str, now: datetime, link: str = "") -> None:
    page = link or f"/desk/periods/{period.code}/"
    reminders.remind_regulator(period.code, what, title=title, link=page, now=now)


def register_all() -> None:
    """Make every kind of work of the registry known. Called once, when the app is ready."""
    for kind, handler in {
        "parameters_final": Handler("Rules of the year are final", _parameters_final),
        "floor_price": Handler("Floor price of the year", _floor_price),
        "issue": Handler("Permits are issued", _issue),
        "allocation": Handler("Free permits are allocated", _allocation),
        "self_report": Handler("Operators' reports are due", _self_report),
        "verified_report": Handler("Verified reports are due", _verified_report),
        "true_up": Handler("Free permits are settled on what was verified", _true_up),
        "indicator": Handler("The stability reserve is worked out", _indicator),
        "reserve_sale": _reminder("reserve_sale", "The last sale from the reserve before permits of {period} are due"),
        "surrender_notice": Handler("Operators are told what they still owe", _surrender_notice),
        "end_of_appeals": Handler("The time for appeals is over", _end_of_appeals),
        "expiry_notice": Handler("Owners are told that permits expire", _expiry_notice),
        "expiry": Handler("Permits expire", _expiry),
        **{year.ladder_kind(action): _ladder(action) for action in ACTIONS},
    }.items():
        due.register(kind, handler)
