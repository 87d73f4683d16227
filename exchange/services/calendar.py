"""The exchange's part of the year: what the calendar asks of the closing, and what a court's order asks of the markets.

The closing is the one place that halts, settles, decides letters, imposes sanctions, banks and publishes. The
calendar's events around the surrender deadline only let it take its steps, and note what came of them.
"""

from datetime import datetime

from django.db import transaction

from accounts.models import User
from common.errors import Refused
from exchange.models import Market, PeriodClosing
from exchange.services import closing, locks, markets
from registry.models import DueWork, Period, Scheme, Suspension
from registry.services import due, reminders, rules, suspensions
from registry.services.due import Handler, Result

TRADING_PHASES = frozenset({"continuous", "call"})


@transaction.atomic(durable=True)
def suspend_scheme(*, actor: User, scheme: Scheme, trading: bool, reason: str, now: datetime) -> Suspension:
    """Stop a scheme by order of a court: its clocks and surrenders, and, unless trading goes on, its markets."""
    suspension = suspensions.stop_clocks(actor=actor, scheme=scheme, trading=trading, reason=reason, now=now)
    if not trading:
        for market in Market.objects.filter(period__scheme=scheme).order_by("number"):
            locked = locks.change_phase(market)
            if locked.phase in TRADING_PHASES:
                markets.move_phase(locked, "halted", actor=actor, reason=suspension.reason, now=now)
    return suspension


@transaction.atomic(durable=True)
def resume_scheme(*, actor: User, scheme: Scheme, reason: str, now: datetime) -> Suspension:
    """Let a scheme go on. A market monitor opens its markets again, when participants have been told."""
    return suspensions.resume_clocks(actor=actor, scheme=scheme, reason=reason, now=now)


def _let_the_calendar_close(work: DueWork, now: datetime) -> None:
    """Start the closing where the rules say when, and take every step that is due."""
    period = _period(work)
    if rules.rules_version(period.scheme, period.starts_on):
        closing.start_by_calendar(period=period, now=now)
    closing.continue_closing(period=period, now=now)


def _continue(work: DueWork, now: datetime) -> None:
    closing.continue_closing(period=_period(work), now=now)


def _close_market(work: DueWork, now: datetime) -> Result:
    """The market closes with its final call; without rules, an officer has to start that."""
    return _progress(_period(work), now)


def _surrender(work: DueWork, now: datetime) -> Result:
    """Permits were due: the letters are out when the closing has taken that step."""
    period = _period(work)
    return _noted(period, "deadline_status", now)


def _publication(work: DueWork, now: datetime) -> Result:
    """Results are public when the closing has taken its last step."""
    period = _period(work)
    return _noted(period, "publish", now)


def _noted(period: Period, step: str, now: datetime) -> Result:
    """Return what a step of the closing did; without a closing, remind the desk to start it."""
    found = PeriodClosing.objects.filter(period=period).first()
    if found is None:
        return _progress(period, now)
    done = found.steps.filter(name=step).first()
    if done is None:
        raise Refused("closing_unfinished", f"The closing of {period} waits at {found.next_step}. Look at its page.")
    return {"step": step, **done.result}


def _progress(period: Period, now: datetime) -> Result:
    found = PeriodClosing.objects.filter(period=period).first()
    if found is not None:
        return {"steps_done": found.steps.count(), "next_step": found.next_step or ""}
    title = f"Start the closing of {period}: nothing closes it by itself, as its scheme has no rules of its own"
    reminders.remind_regulator(
        period.code,
        "closing",
        title=title,
        link=f"/desk/periods/{period.code}/closing/",
        now=now,
        due_at=period.surrender_due,
    )
    return {"reminded": True}


def _period(work: DueWork) -> Period:
    assert work.period is not None, f"{work.key} belongs to a period"
    return work.period


def register_all() -> None:
    """Make the exchange's work of the year known. Called once, when the app is ready."""
    due.register("close_market", Handler("Market closes with its final call", _close_market, _let_the_calendar_close))
    due.register("surrender", Handler("Permits are due", _surrender, _let_the_calendar_close))
    due.register("publication", Handler("Results are published", _publication, _continue))
