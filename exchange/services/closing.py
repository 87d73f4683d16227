"""The end of a compliance period, step by step: from the last trade to the published status of everyone.

    after the last day of use   halt -> final_call -> expire_orders -> settle
    after reports are due       standing_surrenders
    after permits are due       deadline_status -> sanctions -> bank
    on the day of publication   publish

A senior officer starts the closing, on any day after the last day of use; where a scheme has rules, the calendar that
two officers approved starts it some days before permits are due. From then on nobody trades in the period's market.
Calling it again takes whatever steps have become due since, and a schedule does so too, so that nothing waits for a
person who is on holiday. Each step is one durable transaction that ends by writing down that the step is done. Killed
at any instant, a closing goes on where it stopped; what a step did before it was killed never happened.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Count, Sum

from accounts.models import User
from accounts.services import audit
from common.errors import Refused, require, require_permission
from common.idempotency import derive_key
from exchange.models import STEPS, ClosingStep, Command, Market, Order, PeriodClosing
from exchange.permissions import may_close_periods
from exchange.services import locks, markets, matching, settlement
from registry.models import Period
from registry.services import compliance, obligations, reminders, rules, surrenders, suspensions, year

log = logging.getLogger(__name__)

Result = Mapping[str, object]


@transaction.atomic(durable=True)
def start_closing(*, actor: User, period: Period, now: datetime) -> PeriodClosing:
    """Write down that this period is being closed. Starting twice is starting once."""
    require_permission(may_close_periods(actor), "Only a senior officer of the regulator may close a period.")
    return _start(period, actor, now)


@transaction.atomic(durable=True)
def start_by_calendar(*, period: Period, now: datetime) -> PeriodClosing:
    """Start the closing because the calendar of the rules says so; two officers approved it beforehand."""
    return _start(period, None, now)


def _start(period: Period, actor: User | None, now: datetime) -> PeriodClosing:
    period = Period.objects.select_for_update(of=("self",)).select_related("scheme").get(pk=period.pk)
    require(period.status != "draft", "period_not_open", "A period that never opened cannot be closed.")
    suspensions.require_running(period.scheme_id)
    require(
        now >= _end_of_use(period),
        "period_not_over",
        f"The period runs until the end of {period.ends_on:%-d %B %Y}. Close it after that.",
    )
    closing, is_new = PeriodClosing.objects.get_or_create(period=period, defaults={"started_at": now})
    if is_new:
        reminders.withdraw(period.code, "closing", now)
        audit.record(actor, "exchange.closing.started", period, at=now)
    return closing


def close_period(*, actor: User, period: Period, now: datetime) -> PeriodClosing:
    """Start the closing if need be and take every step that is due. `closing.next_step` says what it waits for."""
    closing = start_closing(actor=actor, period=period, now=now)
    return _take_due_steps(closing, actor, now)


def continue_closings(*, now: datetime) -> int:
    """Take the due steps of every closing that was started; return how many closings are still not finished."""
    for closing in PeriodClosing.objects.filter(finished_at__isnull=True).order_by("pk"):
        try:
            _take_due_steps(closing, None, now)
        except Exception:  # one closing that waits for a person must not keep the others waiting
            log.exception("the closing %s cannot go on", closing.pk)
    return PeriodClosing.objects.filter(finished_at__isnull=True).count()


def continue_closing(*, period: Period, now: datetime) -> PeriodClosing | None:
    """Take the due steps of one closing; nothing where nobody has started it."""
    closing = PeriodClosing.objects.filter(period=period).first()
    return None if closing is None else _take_due_steps(closing, None, now)


def due_at(step: str, period: Period) -> datetime:
    """When a step's time comes."""
    return _STEPS[step].due(period)


# The steps, in their order ------------------------------------------------------------------------------------------


def _halt(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Let no new order in. Orders on their way in are waited for; cancels stay allowed."""
    if market is None:
        return {}
    market = locks.change_phase(market)
    if market.phase in {"continuous", "call"}:
        markets.move_phase(market, "halted", actor=actor, reason=f"The period {period.year} is closing.", now=now)
    return {"waiting": Command.objects.waiting().filter(market=market).count()}


def _final_call(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Note the final auction, which `_run` has held. It trades after a call phase; a continuous book is not crossed."""
    if market is None:
        return {}
    command = Command.objects.get(key=_key(market, Command.Kind.UNCROSS))
    assert command.sequence is not None, "the market has done it"
    sums = market.trades.filter(sequence=command.sequence).aggregate(trades=Count("pk"), lots=Sum("lots"))
    return {"outcome": command.outcome, "trades": sums["trades"], "lots": sums["lots"] or 0}


def _expire_orders(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Note what `_run` has expired, and shut the market."""
    if market is None:
        return {}
    market = locks.change_phase(market)
    if market.phase != "closed":
        markets.move_phase(market, "closed", actor=actor, reason=f"The period {period.year} has ended.", now=now)
    return {"expired": Order.objects.filter(market=market, status="expired").count()}


def _settle(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Deliver permits against payment for every trade not settled yet."""
    batch = None if market is None else settlement.settle(market=market, actor=actor, now=now)
    if batch is None:
        return {"trades": 0}
    return {"batch": batch.number, "trades": batch.trade_count, "lots": batch.lots, "value_minor": batch.value_minor}


def _standing_surrenders(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Take no more corrections of reports, and surrender for those who asked for it once and for all."""
    compliance.begin_closing(period, now, actor)
    result = surrenders.surrender_standing(period, now)
    obligations.follow_all_onwards(period, now, "The period is closing.")
    return result


def _deadline_status(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Write down everyone's status from what was received in time."""
    return compliance.record_deadline_status(period, now)


def _sanctions(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Impose the penalty for each missing permit."""
    return compliance.impose_sanctions(period, now)


def _bank(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Note what is carried over to the next period."""
    return compliance.bank_permits(period, now)


def _publish(market: Market | None, period: Period, actor: User | None, now: datetime) -> Result:
    """Publish the results and shut the period for good."""
    return compliance.publish(period, now)


def _end_of_use(period: Period) -> datetime:
    return period.use_ends_at


def _reports_are_due(period: Period) -> datetime:
    return period.report_due


def _permits_are_due(period: Period) -> datetime:
    return period.surrender_due


def _figures_are_due(period: Period) -> datetime:
    """Where a scheme has rules, its calendar says when results are published; else they are once permits were due."""
    if not rules.rules_version(period.scheme, period.starts_on):
        return period.surrender_due
    return max(period.surrender_due, year.event_at(period, "publication") or period.surrender_due)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step: when it is due, the command that the market must have done before it, if any, and its work."""

    due: Callable[[Period], datetime]
    work: Callable[[Market | None, Period, User | None, datetime], Result]
    command: str = ""


_STEPS = {
    "halt": _Step(_end_of_use, _halt),
    "final_call": _Step(_end_of_use, _final_call, Command.Kind.UNCROSS),
    "expire_orders": _Step(_end_of_use, _expire_orders, Command.Kind.EXPIRE),
    "settle": _Step(_end_of_use, _settle),
    "standing_surrenders": _Step(_reports_are_due, _standing_surrenders),
    "deadline_status": _Step(_permits_are_due, _deadline_status),
    "sanctions": _Step(_permits_are_due, _sanctions),
    "bank": _Step(_permits_are_due, _bank),
    "publish": _Step(_figures_are_due, _publish),
}
assert tuple(_STEPS) == STEPS, "the table of steps and the model name the same ones in the same order"


# Taking them --------------------------------------------------------------------------------------------------------


def _take_due_steps(closing: PeriodClosing, actor: User | None, now: datetime) -> PeriodClosing:
    period = Period.objects.select_related("scheme").get(pk=closing.period_id)
    market = Market.objects.select_related("period__scheme").filter(period=period).first()
    if suspensions.is_suspended(period.scheme_id):  # no step of a scheme that stands by order of a court is due
        return closing
    done = set(closing.steps.values_list("name", flat=True))
    for name, step in _STEPS.items():
        if name in done:
            continue
        if now < step.due(period):
            break
        if market is not None and step.command:
            _run(market, step.command, actor, now)
        _take(closing, name, market, actor, now)
    closing.refresh_from_db()
    return closing


def _run(market: Market, kind: str, actor: User | None, now: datetime) -> None:
    """Let the market do a command of the closing, and all that was entered before it. Safe to repeat."""
    _enter(market, kind, actor, now)
    while matching.drain(market.pk, wait=True).is_unfinished:
        pass
    if Command.objects.filter(market=market, outcome="").exclude(parked="").exists():
        raise Refused(
            "commands_parked",
            f"Commands of {market.code} are parked after a fault. Mend or discard them, then continue the closing.",
        )


@transaction.atomic(durable=True)
def _enter(market: Market, kind: str, actor: User | None, now: datetime) -> None:
    market.refresh_from_db(fields=["phase"])
    matching.enter(market, kind, key=_key(market, kind), actor=actor, now=now)


def _key(market: Market, kind: str) -> UUID:
    return derive_key("closing", market.pk, kind)


@transaction.atomic(durable=True)
def _take(closing: PeriodClosing, name: str, market: Market | None, actor: User | None, now: datetime) -> None:
    closing = PeriodClosing.objects.select_for_update(of=("self",)).select_related("period__scheme").get(pk=closing.pk)
    if closing.steps.filter(name=name).exists():  # somebody else was closing the same period
        return
    result = dict(_STEPS[name].work(market, closing.period, actor, now))
    ClosingStep.objects.create(closing=closing, ordinal=STEPS.index(name), name=name, done_at=now, result=result)
    if name == STEPS[-1]:
        closing.finished_at = now
        closing.save(update_fields=["finished_at"])
    audit.record(actor, f"exchange.closing.{name}", closing.period, at=now, result=result)
