"""Deadlines: which instant ends a day, which days count as working days, and when a waiting transfer is carried out.

Everything is decided in the scheme's zone and answered in UTC. A deadline is the first instant that is too late: the
first of the next day, so that 23:59:59.999 is in time (policy chapter 2.1; the receipt instant decides).

| question | function | rule |
|---|---|---|
| when does a day end? | `end_of_day` | at the first instant of the next day, whatever the clocks did that night |
| which day is meant? | `calendar_day`, `deadline` | MM-DD from the year of use; by flag the next working day [QC-21] |
| what does an outage change? | `extended` | over 30 minutes in the last 24 h: its length, in full hours [QC-21] |
| when is something due after an event? | `due_after`, `continued` | days or months later; a stopped clock goes on |
| when is a transfer carried out? | `execution_time` | the working-hours clock of the UK registry [UK-REG] |

Working days are Monday to Friday without the scheme's holidays.
"""

import re
from calendar import monthrange
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from registry.engine.policy import Calendar, ComplianceRule, OutageRule, TransactionRule
from registry.engine.refusals import Refusal

ONE_DAY = timedelta(days=1)
SATURDAY = 5

DUE_BY = frozenset({"parameters_final", "self_report", "verified_report", "reserve_sale", "surrender", "set_off"})
"""The entries of a calendar by which somebody must have acted: they end with their day and may move to a working day.
Every other entry is something the registry does itself, at the beginning of its day and on whatever weekday that is."""

MUST_FOLLOW = (
    ("parameters_final", "issue"),
    ("floor_price", "issue"),
    ("issue", "allocation"),
    ("self_report", "verified_report"),
    ("verified_report", "true_up"),
    ("verified_report", "indicator"),
    ("verified_report", "surrender"),
    ("reserve_sale", "surrender"),
    ("surrender", "set_off"),
    ("surrender", "publication"),
)
"""Pairs of calendar entries of which the first comes no later than the second: rules before permits, reports before
what is worked out from them, the last sale before the day on which its permits are needed (policy chapter 2.1)."""


@dataclass(frozen=True)
class Outage:
    """A time when the registry could not be reached. One that goes on ends, for a caller, at its `now`."""

    began_at: datetime
    ended_at: datetime


def is_working_day(day: date, holidays: Collection[date] = ()) -> bool:
    """Say whether offices are open: Monday to Friday, and no holiday."""
    return day.weekday() < SATURDAY and day not in holidays


def next_working_day(day: date, holidays: Collection[date] = ()) -> date:
    """Return the day itself if it is a working day, else the first one after it."""
    while not is_working_day(day, holidays):
        day += ONE_DAY
    return day


def add_working_days(day: date, count: int, holidays: Collection[date] = ()) -> date:
    """Return the `count`-th working day after a day, which is not counted itself; with 0, the day or the next open one.

    Five working days after a Friday are the Friday of the next week; after a Saturday, the same Friday.
    """
    assert count >= 0
    if count == 0:
        return next_working_day(day, holidays)
    for _ in range(count):
        day = next_working_day(day + ONE_DAY, holidays)
    return day


def start_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the first instant of a day in a zone, in UTC; where midnight is skipped, the instant of the change."""
    return _instant(day, time.min, zone)


def end_of_day(day: date, zone: tzinfo) -> datetime:
    """Return the instant at which a day ends in a zone: the first that belongs to the next day, in UTC.

    Where the clocks change at midnight, the day ends at the change; an hour that comes twice belongs to it both times.
    """
    return start_of_day(day + ONE_DAY, zone)


def calendar_day(year: int, entry: tuple[int, str]) -> date:
    """Return the day of a calendar entry for a year of use; the entry must have passed `contradictions`."""
    offset, month_day = entry
    month, day = month_day.split("-")
    return date(year + offset, int(month), int(day))


def deadline(
    year: int, entry: tuple[int, str], zone: tzinfo, holidays: Collection[date] = (), *, moves: bool = True
) -> datetime:
    """Return the instant at which it is too late: the end of the entry's day or, where it moves, of the next working
    day [QC-21, CA-95856]."""
    day = calendar_day(year, entry)
    return end_of_day(next_working_day(day, holidays) if moves else day, zone)


def calendar_instants(year: int, rule: ComplianceRule, zone: tzinfo) -> dict[str, datetime]:
    """Return the instant of every calendar entry of a year of use: the end of what is due, the beginning of what runs.

    Example: the permits of 2027 are issued at the first instant of 1 January 2027 in the scheme's zone.
    """
    entries: Mapping[str, tuple[int, str]] = {
        one.name: getattr(rule.calendar, one.name) for one in fields(rule.calendar)
    }
    return {
        name: deadline(year, entry, zone, rule.holidays, moves=rule.holiday_moves)
        if name in DUE_BY
        else start_of_day(calendar_day(year, entry), zone)
        for name, entry in entries.items()
    }


def extended(due: datetime, outages: Iterable[Outage], rule: OutageRule | None = None) -> datetime:
    """Return a deadline moved by the outages of its last hours (policy chapter 2.3 case 5) [QC-21].

    Outages that touch are one. Of each, the part after the beginning of the window counts, to its very end; one that
    does not last longer than `minutes` there is forgotten. The lengths are added and rounded up once, to full hours as
    the rule says. An outage that begins in the time so gained counts too; the window's beginning stays.
    """
    rule = rule or OutageRule()
    opened = due - timedelta(hours=rule.window_hours)
    long_enough = [
        (max(began, opened), ended)
        for began, ended in _merged(outages)
        if ended - max(began, opened) > timedelta(minutes=rule.minutes)
    ]
    step, lost, moved = timedelta(minutes=rule.round_up_minutes), timedelta(0), due
    for began, ended in long_enough:
        if began < moved:
            lost += ended - began
            moved = due + -(-lost // step) * step
    return moved


def add_months(day: date, months: int) -> date:
    """Return the same day some months later, or the last day of that month where it is shorter: 31 August to 28 or 29
    February after six."""
    assert months >= 0
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def due_after(
    event_on: date,
    zone: tzinfo,
    *,
    days: int = 0,
    months: int = 0,
    holidays: Collection[date] = (),
    moves: bool = True,
) -> datetime:
    """Return when something is due that an event of a day asks for: the end of the day so many months and days later.

    The shutdown report comes 60 days after closing, an appeal 30 after the notice, and the replacement of an offset six
    months after it was found invalid (policy chapter 2.3 cases 7, 8 and 10) [CA-95857].
    """
    assert days >= 0
    last = add_months(event_on, months) + timedelta(days=days)
    return end_of_day(next_working_day(last, holidays) if moves else last, zone)


def continued(due: datetime, stopped_at: datetime, resumed_at: datetime) -> datetime:
    """Return a deadline whose clock stood still, as when a court suspends a scheme (policy chapter 2.3 case 17).

    The time that was left when the clock stopped is left when it goes on; what was over by then stays over.
    """
    assert stopped_at <= resumed_at
    return due if due <= stopped_at else due + (resumed_at - stopped_at)


def execution_time(
    approved_at: datetime,
    delay_days: int,
    opens: time,
    closes: time,
    zone: tzinfo,
    holidays: Collection[date] = (),
    *,
    remainder: timedelta = timedelta(0),
) -> datetime:
    """Return when an approved transfer is carried out on the clock of working hours, in UTC [UK-REG].

    The window of a working day is `opens` <= local time < `closes`. The clock starts at the approval or, outside the
    window, when the next one opens. Then come `delay_days` whole working days to the same local time and `remainder`
    (the EU's 26 hours are one day and two hours), and an end outside the window waits for the next one to open. A
    trusted receiver has no delay, but the window binds all the same. Approved on Friday at 09:50, a transfer with one
    day of delay starts at 10:00 and is carried out on Monday at 10:00.
    """
    assert delay_days >= 0 and remainder >= timedelta(0) and opens < closes
    started = _into_window(approved_at.astimezone(UTC), opens, closes, zone, holidays)
    if delay_days:
        local = started.astimezone(zone)
        later = add_working_days(local.date(), delay_days, holidays)
        started = _instant(later, local.time(), zone)
    return _into_window(started + remainder, opens, closes, zone, holidays)


def activation_time(
    approved_at: datetime, delay_days: int, zone: tzinfo, holidays: Collection[date] = (), *, at: time = time.min
) -> datetime:
    """Return when an addition to a trusted list takes effect: `at` of the `delay_days`-th working day after approval.

    Austria lets an addition take effect at noon of the fourth working day [AT-REG]. Without a delay it is immediate.
    """
    assert delay_days >= 0
    if not delay_days:
        return approved_at.astimezone(UTC)
    return _instant(add_working_days(approved_at.astimezone(zone).date(), delay_days, holidays), at, zone)


def is_month_day(text: str) -> bool:
    """Say whether a text is a day MM-DD that every year has; 29 February is none."""
    if not re.fullmatch("[0-9]{2}-[0-9]{2}", text):
        return False
    try:
        date(2027, int(text[:2]), int(text[3:]))
    except ValueError:
        return False
    return True


def contradictions(rule: ComplianceRule, transactions: TransactionRule | None = None) -> list[Refusal]:
    """List everything that is wrong with a calendar, its outage rule and the transfer clock."""
    return [
        *_calendar_faults(rule.calendar),
        *_outage_faults(rule.outage),
        *([] if transactions is None else _clock_faults(transactions)),
    ]


def _calendar_faults(calendar: Calendar) -> list[Refusal]:
    entries: dict[str, tuple[int, str]] = {one.name: getattr(calendar, one.name) for one in fields(calendar)}
    unread = {name for name, (_, month_day) in entries.items() if not is_month_day(month_day)}
    found = [
        Refusal("calendar_day_unknown", f"{name}: {entries[name][1]!r} is no day MM-DD that every year has.")
        for name in entries
        if name in unread
    ]
    found += [
        Refusal(
            "calendar_out_of_order",
            f"{later} ({entries[later][1]}, year {entries[later][0]:+d}) comes before {earlier} "
            f"({entries[earlier][1]}, year {entries[earlier][0]:+d}): put it on the same day or later.",
        )
        for earlier, later in MUST_FOLLOW
        if not {earlier, later} & unread and calendar_day(2000, entries[later]) < calendar_day(2000, entries[earlier])
    ]
    return found


def _outage_faults(outage: OutageRule) -> list[Refusal]:
    found = []
    if outage.minutes < 0 or outage.window_hours <= 0:
        found.append(Refusal("outage_window_empty", "An outage needs a length of 0 minutes or more and a window."))
    if outage.round_up_minutes <= 0:
        found.append(Refusal("outage_step_not_positive", "Round an outage up to at least one minute."))
    return found


def _clock_faults(transactions: TransactionRule) -> list[Refusal]:
    found = []
    if transactions.opens >= transactions.closes:
        found.append(Refusal("transfer_window_empty", "Transfers must open before they close on the same day."))
    if transactions.delay_days < 0 or transactions.activation_days < 0:
        found.append(Refusal("transfer_delay_negative", "A delay is zero or more working days."))
    if transactions.large_transfer <= 0:
        found.append(Refusal("large_transfer_not_positive", "A second person is asked for from one permit upwards."))
    return found


def _merged(outages: Iterable[Outage]) -> list[tuple[datetime, datetime]]:
    """Return the outages in order of time, those that overlap or touch as one."""
    merged: list[tuple[datetime, datetime]] = []
    for outage in sorted(outages, key=lambda one: one.began_at):
        assert outage.began_at <= outage.ended_at
        if merged and outage.began_at <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], outage.ended_at))
        else:
            merged.append((outage.began_at, outage.ended_at))
    return merged


def _into_window(at: datetime, opens: time, closes: time, zone: tzinfo, holidays: Collection[date]) -> datetime:
    """Return the instant itself if it lies in a window, else the instant when the next window opens."""
    day = next_working_day(at.astimezone(zone).date(), holidays)
    while True:
        opened, closed = _instant(day, opens, zone), _instant(day, closes, zone)
        if at < closed and opened < closed:
            return max(at, opened)
        day = next_working_day(day + ONE_DAY, holidays)


def _instant(day: date, at: time, zone: tzinfo) -> datetime:
    """Return the first instant, in UTC, at which the clocks of a zone show a local time or later on a day.

    A time that comes twice means its first coming. A time that is skipped means the instant of the change, found by
    halving, for a zone tells its offsets but not its changes.
    """
    local = datetime.combine(day, at.replace(fold=0), tzinfo=zone)
    found = local.astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return found
    before = local.replace(fold=1).astimezone(UTC)
    offset_before = before.astimezone(zone).utcoffset()
    low, high = before, found
    while high - low > timedelta(microseconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == offset_before:
            low = middle
        else:
            high = middle
    return high if high.astimezone(zone).utcoffset() != offset_before else found
