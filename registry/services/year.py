"""The year of a period: every dated event of the scheme's calendar, written down as due work.

| event | when | who acts |
|---|---|---|
| parameters_final, floor_price | before the year of use | the registry notes the rules and the floor of the year |
| issue, allocation | at the beginning of the year | two officers; the registry reminds them |
| self_report, verified_report | after the year | operators and verifiers; overdue reports go to the desk |
| true_up, indicator | where the rules have them | the registry works the figures out; two officers act |
| reserve_sale | where the rules have it | the registry reminds the desk |
| surrender_notice | 30 and 7 days before permits are due | operators are told what they still owe |
| close_market, surrender, publication | around the surrender deadline | the closing of the period does them |
| ladder_* | after the surrender deadline | enforcement, step by step |
| end_of_appeals | when nothing can be contested any more | obligations are closed |
| expiry_notice, expiry | where permits expire | owners are told 60, 30 and 7 days before |

Planning again after rules or deadlines changed moves what is not done yet, and never touches what is. The two deadlines
themselves stand in the period: a change of rules does not move them, only an `Extension` does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import transaction
from django.db.models import Q

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from registry.engine import banking, deadlines
from registry.engine.policy import Policy
from registry.engine.sanctions import ladder_dates
from registry.models import DueWork, Period, Scheme
from registry.permissions import regulator_of
from registry.services import due, rules

FINAL_CALL_DAYS = 5
"""The market of a period closes so many working days before its permits are due, with a final call auction."""

SURRENDER_NOTICE_DAYS = (30, 7)
"""Operators who still owe permits are reminded so many days before they are due."""

DROPPED = "The rules do not have it any more."

STOOD = "stood_s"
"""In the figures of work to come: how many seconds the clocks of its scheme have stood since it was planned."""


@dataclass(frozen=True)
class Event:
    """One dated event of a period. `name` tells several of one kind apart."""

    kind: str
    at: datetime
    name: str = ""

    def key(self, period: Period) -> str:
        """Name the event for good, so that it happens once."""
        return ":".join(filter(None, (period.code, self.kind, self.name)))


@dataclass(frozen=True)
class Dates:
    """What the calendar of the rules says about a new period. Days are the last ones in time."""

    starts_on: date
    ends_on: date
    report_due_on: date
    surrender_due_on: date


@dataclass(frozen=True)
class Planned:
    """What planning changed."""

    added: int
    moved: int
    dropped: int


def dates_by_rules(scheme: Scheme, year: int) -> Dates:
    """Return the days of a period by the calendar in force on its first day, moved to working days where rules say."""
    starts_on = date(year, 1, 1)
    policy = rules.policy_at(scheme, starts_on)
    rule = policy.compliance
    last_year = year + policy.time.period_years - 1

    def last_day(entry: tuple[int, str]) -> date:
        day = deadlines.calendar_day(last_year, entry)
        return deadlines.next_working_day(day, rule.holidays) if rule.holiday_moves else day

    return Dates(
        starts_on, date(last_year, 12, 31), last_day(rule.calendar.verified_report), last_day(rule.calendar.surrender)
    )


def plan_year(period: Period, now: datetime) -> Planned:
    """Write down every event of a period that is not done, at the instant that rules and deadlines now say."""
    assert_in_transaction()
    period = Period.objects.select_for_update(no_key=True, of=("self",)).select_related("scheme").get(pk=period.pk)
    policy = rules.policy_at(period.scheme, _rules_day(period, now))
    rows = list(DueWork.objects.select_for_update().filter(period=period).order_by("id"))
    present = {work.key.partition("#")[0]: work for work in rows}  # what came back into the rules has a later row
    stood = timedelta(seconds=max((work.result.get(STOOD, 0) for work in rows), default=0))
    wanted = {event.key(period): event for event in events(period, policy, stood)}
    unknown = {event.kind for event in wanted.values()} - due.HANDLERS.keys()
    assert not unknown, f"nobody can do {unknown}"
    added = [
        DueWork(
            key=_fresh_key(key, present.get(key)),
            kind=event.kind,
            scheme=period.scheme,
            period=period,
            due_at=event.at,
            result={STOOD: int(stood.total_seconds())} if stood else {},
        )
        for key, event in wanted.items()
        if key not in present or _was_dropped(present[key])
    ]
    DueWork.objects.bulk_create(added)
    moved = dropped = 0
    for key, work in present.items():
        if work.status not in {"planned", "failed"}:
            continue  # what is done stays done; what stands still is moved when the clocks run again
        if key not in wanted:
            work.status, work.result = "cancelled", {"reason": DROPPED}
            work.save(update_fields=["status", "result"])
            dropped += 1
        elif work.due_at != wanted[key].at:
            work.due_at, work.retry_at = wanted[key].at, None
            work.save(update_fields=["due_at", "retry_at"])
            moved += 1
    if added or moved or dropped:
        audit.record(None, "registry.year.planned", period, at=now, added=len(added), moved=moved, dropped=dropped)
    return Planned(len(added), moved, dropped)


@transaction.atomic(durable=True)
def plan_again(*, actor: User | None, period: Period, now: datetime) -> Planned:
    """Plan a period's year again, for an officer or, without an actor, by schedule."""
    if actor is not None:
        regulator_of(actor)
    return plan_year(period, now)


def plan_all(*, now: datetime) -> int:
    """Plan again every period that has something left to happen, so that changed rules reach it; return how many."""
    unfinished = Period.objects.filter(~Q(status="closed") | Q(due_work__status__in=["planned", "failed", "paused"]))
    periods = list(unfinished.order_by("id").distinct())
    for period in periods:
        plan_again(actor=None, period=period, now=now)
    return len(periods)


def events(period: Period, policy: Policy, stood: timedelta = timedelta(0)) -> Iterator[Event]:
    """List the events of a period by a policy; the two deadlines are the period's own.

    `stood` is how long the scheme's clocks have stood: every other day of the calendar comes so much later.
    """
    zone, rule = period.scheme.tz, policy.compliance
    before = {name: at + stood for name, at in deadlines.calendar_instants(period.starts_on.year, rule, zone).items()}
    after = {name: at + stood for name, at in deadlines.calendar_instants(period.ends_on.year, rule, zone).items()}
    surrender_day = _last_day(period.surrender_due, period)
    yield Event("parameters_final", before["parameters_final"])
    if policy.supply.floor is not None:
        yield Event("floor_price", before["floor_price"])
    yield Event("issue", before["issue"])
    yield Event("allocation", before["allocation"])
    yield Event("self_report", min(after["self_report"], period.report_due))
    yield Event("verified_report", period.report_due)
    if policy.alloc.true_up or any(method.pre_share < 1 for method in policy.alloc.methods):
        yield Event("true_up", max(after["true_up"], period.report_due))
    if policy.supply.msr is not None:
        yield Event("indicator", max(after["indicator"], period.report_due))
    if policy.supply.ceiling is not None or policy.supply.ccr:
        yield Event("reserve_sale", min(after["reserve_sale"], period.surrender_due))
    for days in SURRENDER_NOTICE_DAYS:
        yield Event("surrender_notice", deadlines.end_of_day(surrender_day - timedelta(days=days), zone), str(days))
    yield Event("close_market", _market_closes(period, surrender_day, rule.holidays))
    yield Event("surrender", period.surrender_due)
    for step in ladder_dates(
        policy.sanction,
        year=period.ends_on.year,
        deadline=period.surrender_due,
        zone=zone,
        holidays=rule.holidays,
        moves=rule.holiday_moves,
    ):
        yield Event(ladder_kind(step.action), max(step.at, period.surrender_due))
    published_at = max(after["publication"], period.surrender_due)
    yield Event("publication", published_at)
    yield Event(
        "end_of_appeals",
        max(
            published_at,
            deadlines.due_after(
                surrender_day, zone, days=rule.appeal_days, holidays=rule.holidays, moves=rule.holiday_moves
            ),
        ),
    )
    yield from _expiry(period, policy)


def ladder_kind(action: str) -> str:
    """Name the kind of work that is one step of the ladder."""
    return f"ladder_{action.lower()}"


def event_at(period: Period, kind: str) -> datetime | None:
    """Return when a kind of event of a period is planned or was due; nothing where it is not planned or was struck."""
    work = DueWork.objects.filter(period=period, kind=kind).exclude(status="cancelled").order_by("-id").first()
    return None if work is None else work.due_at


def _expiry(period: Period, policy: Policy) -> Iterator[Event]:
    """Permits stop counting after their last day; their owners are told in time."""
    last = banking.expires_on(policy.time, period.year)
    if last is None:
        return
    for days, day in zip(banking.NOTICE_DAYS, banking.notice_days(policy.time, period.year), strict=True):
        yield Event("expiry_notice", deadlines.start_of_day(day, period.scheme.tz), str(days))
    yield Event("expiry", deadlines.end_of_day(last, period.scheme.tz))


def _market_closes(period: Period, surrender_day: date, holidays: tuple[date, ...]) -> datetime:
    """Return the beginning of the working day on which the final call is held, but not before the use is over."""
    day = surrender_day
    for _ in range(FINAL_CALL_DAYS):
        day -= timedelta(days=1)
        while not deadlines.is_working_day(day, holidays):
            day -= timedelta(days=1)
    zone = period.scheme.tz
    return max(deadlines.start_of_day(day, zone), period.use_ends_at, period.report_due)


def _rules_day(period: Period, now: datetime) -> date:
    """Return the day whose rules the calendar follows: today, but none before the period or after its deadline."""
    today = now.astimezone(period.scheme.tz).date()
    return min(max(period.starts_on, today), _last_day(period.surrender_due, period))


def _last_day(instant: datetime, period: Period) -> date:
    """Return the last day that lies before a deadline, in the scheme's zone."""
    return (instant.astimezone(UTC) - timedelta(microseconds=1)).astimezone(period.scheme.tz).date()


def _was_dropped(work: DueWork) -> bool:
    return work.status == "cancelled" and work.result.get("reason") == DROPPED


def _fresh_key(key: str, last: DueWork | None) -> str:
    """Return the event's key, or the next one after a row that was struck out for good."""
    if last is None:
        return key
    _, _, number = last.key.partition("#")
    return f"{key}#{int(number or 1) + 1}"
