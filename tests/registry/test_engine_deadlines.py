"""Deadlines: ends of days through clock changes, working days, outages, and the clock of delayed transfers."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.deadlines import (
    DUE_BY,
    MUST_FOLLOW,
    Outage,
    activation_time,
    add_months,
    add_working_days,
    calendar_day,
    calendar_instants,
    continued,
    contradictions,
    deadline,
    due_after,
    end_of_day,
    execution_time,
    extended,
    is_month_day,
    is_working_day,
    next_working_day,
    start_of_day,
)
from registry.engine.policy import Calendar, ComplianceRule, OutageRule, TransactionRule

LONDON, BERLIN, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
CAIRO, LORD_HOWE, TORONTO = ZoneInfo("Africa/Cairo"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("America/Toronto")
CHRISTMAS = frozenset({date(2026, 12, 25), date(2026, 12, 28), date(2027, 1, 1)})
TEN, FOUR = time(10), time(16)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def at(text: str, zone: ZoneInfo = LONDON) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("approved", "trusted", "one_day", "two_days"),
    [
        # The four rows printed for the UK registry; 20 November 2026 is a Friday.
        ("2026-11-20 09:50", "2026-11-20 10:00", "2026-11-23 10:00", "2026-11-24 10:00"),
        ("2026-11-20 15:59", "2026-11-20 15:59", "2026-11-23 15:59", "2026-11-24 15:59"),
        ("2026-11-20 16:01", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        ("2026-11-21 12:00", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        # The days of the week, within the window.
        ("2026-11-16 11:00", "2026-11-16 11:00", "2026-11-17 11:00", "2026-11-18 11:00"),
        ("2026-11-17 11:00", "2026-11-17 11:00", "2026-11-18 11:00", "2026-11-19 11:00"),
        ("2026-11-18 11:00", "2026-11-18 11:00", "2026-11-19 11:00", "2026-11-20 11:00"),
        ("2026-11-19 11:00", "2026-11-19 11:00", "2026-11-20 11:00", "2026-11-23 11:00"),
        ("2026-11-20 11:00", "2026-11-20 11:00", "2026-11-23 11:00", "2026-11-24 11:00"),
        ("2026-11-21 11:00", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        ("2026-11-22 11:00", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        # The edges of the window, of the day and of the weekend.
        ("2026-11-18 00:00", "2026-11-18 10:00", "2026-11-19 10:00", "2026-11-20 10:00"),
        ("2026-11-18 09:59:59", "2026-11-18 10:00", "2026-11-19 10:00", "2026-11-20 10:00"),
        ("2026-11-18 10:00", "2026-11-18 10:00", "2026-11-19 10:00", "2026-11-20 10:00"),
        ("2026-11-18 10:00:01", "2026-11-18 10:00:01", "2026-11-19 10:00:01", "2026-11-20 10:00:01"),
        ("2026-11-18 15:59:59", "2026-11-18 15:59:59", "2026-11-19 15:59:59", "2026-11-20 15:59:59"),
        ("2026-11-18 16:00", "2026-11-19 10:00", "2026-11-20 10:00", "2026-11-23 10:00"),
        ("2026-11-18 23:59:59", "2026-11-19 10:00", "2026-11-20 10:00", "2026-11-23 10:00"),
        ("2026-11-20 23:59:59", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        ("2026-11-22 23:59:59", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        ("2026-11-23 00:00", "2026-11-23 10:00", "2026-11-24 10:00", "2026-11-25 10:00"),
        # Christmas Day is a Friday, Boxing Day is kept on the Monday, New Year is a Friday.
        ("2026-12-24 12:00", "2026-12-24 12:00", "2026-12-29 12:00", "2026-12-30 12:00"),
        ("2026-12-24 16:30", "2026-12-29 10:00", "2026-12-30 10:00", "2026-12-31 10:00"),
        ("2026-12-25 12:00", "2026-12-29 10:00", "2026-12-30 10:00", "2026-12-31 10:00"),
        ("2026-12-26 12:00", "2026-12-29 10:00", "2026-12-30 10:00", "2026-12-31 10:00"),
        ("2026-12-28 12:00", "2026-12-29 10:00", "2026-12-30 10:00", "2026-12-31 10:00"),
        ("2026-12-31 15:00", "2026-12-31 15:00", "2027-01-04 15:00", "2027-01-05 15:00"),
        ("2026-12-31 17:00", "2027-01-04 10:00", "2027-01-05 10:00", "2027-01-06 10:00"),
        # The clocks go forward on Sunday 28 March 2027 and back on Sunday 31 October 2027: local times stay.
        ("2027-03-26 15:00", "2027-03-26 15:00", "2027-03-29 15:00", "2027-03-30 15:00"),
        ("2027-03-26 16:00", "2027-03-29 10:00", "2027-03-30 10:00", "2027-03-31 10:00"),
        ("2027-03-28 00:30", "2027-03-29 10:00", "2027-03-30 10:00", "2027-03-31 10:00"),
        ("2027-10-29 15:00", "2027-10-29 15:00", "2027-11-01 15:00", "2027-11-02 15:00"),
        ("2027-10-29 16:00", "2027-11-01 10:00", "2027-11-02 10:00", "2027-11-03 10:00"),
        ("2027-10-31 01:30", "2027-11-01 10:00", "2027-11-02 10:00", "2027-11-03 10:00"),
    ],
)
def test_a_delayed_transfer_is_carried_out_on_the_clock_of_working_hours(
    approved: str, trusted: str, one_day: str, two_days: str
) -> None:
    found = [execution_time(at(approved), delay, TEN, FOUR, LONDON, CHRISTMAS) for delay in (0, 1, 2)]

    assert found == [at(trusted), at(one_day), at(two_days)]


@pytest.mark.parametrize(
    ("approved", "days", "remainder", "executed"),
    [
        ("2026-11-18 11:00", 1, 2 * HOUR, "2026-11-19 13:00"),  # the EU's 26 hours [EU-REG11]
        ("2026-11-18 14:30", 1, 2 * HOUR, "2026-11-20 10:00"),  # the end is moved into the next window
        ("2026-11-20 14:00", 1, 2 * HOUR, "2026-11-24 10:00"),  # 16:00 is no longer in the window
        ("2026-11-18 11:00", 0, 30 * MINUTE, "2026-11-18 11:30"),
        ("2026-11-20 15:45", 0, 30 * MINUTE, "2026-11-23 10:00"),
    ],
)
def test_a_delay_may_have_hours_beside_whole_days(
    approved: str, days: int, remainder: timedelta, executed: str
) -> None:
    assert execution_time(at(approved), days, TEN, FOUR, LONDON, remainder=remainder) == at(executed)


def test_a_working_day_over_a_clock_change_is_23_or_25_hours_longer_than_the_weekend() -> None:
    spring = execution_time(at("2027-03-26 15:00"), 1, TEN, FOUR, LONDON) - at("2027-03-26 15:00")
    autumn = execution_time(at("2027-10-29 15:00"), 1, TEN, FOUR, LONDON) - at("2027-10-29 15:00")

    assert (spring, autumn) == (71 * HOUR, 73 * HOUR)


@pytest.mark.parametrize(
    ("approved", "executed"),
    [
        # Cairo's clocks skip the first hour of Friday 30 April 2027: the window opens at the change.
        ("2027-04-29T20:00", "2027-04-29T22:00"),
        ("2027-04-29T22:10", "2027-04-29T22:10"),
    ],
)
def test_a_window_that_opens_in_a_skipped_hour_opens_at_the_change(approved: str, executed: str) -> None:
    found = execution_time(utc(approved), 0, time(0, 30), time(1, 30), CAIRO)

    assert found == utc(executed)


approvals = st.integers(0, 3 * 365 * 24 * 3600).map(lambda seconds: utc("2026-01-01") + seconds * SECOND)
zones = st.sampled_from([LONDON, BERLIN, NEW_YORK, CAIRO, LORD_HOWE])


@given(approvals, st.integers(0, 5), zones)
def test_a_transfer_is_carried_out_later_in_a_window_of_a_working_day(
    approved: datetime, days: int, zone: ZoneInfo
) -> None:
    executed = execution_time(approved, days, TEN, FOUR, zone, CHRISTMAS)

    local = executed.astimezone(zone)
    assert executed >= approved
    assert TEN <= local.time() < FOUR
    assert is_working_day(local.date(), CHRISTMAS)


@given(approvals, st.timedeltas(timedelta(0), timedelta(days=9)), st.integers(0, 5), zones)
def test_who_is_approved_first_is_carried_out_first(
    approved: datetime, later: timedelta, days: int, zone: ZoneInfo
) -> None:
    first = execution_time(approved, days, TEN, FOUR, zone, CHRISTMAS)

    assert first <= execution_time(approved + later, days, TEN, FOUR, zone, CHRISTMAS)
    assert first <= execution_time(approved, days + 1, TEN, FOUR, zone, CHRISTMAS)


@pytest.mark.parametrize(
    ("approved", "days", "hour", "active"),
    [
        ("2026-11-20 11:00", 4, time(12), "2026-11-26 12:00"),  # Austria: noon of the 4th working day [AT-REG]
        ("2026-12-24 11:00", 1, time(0), "2026-12-29 00:00"),
        ("2026-11-21 11:00", 0, time(0), "2026-11-21 11:00"),
    ],
)
def test_a_trusted_account_becomes_active_after_working_days(approved: str, days: int, hour: time, active: str) -> None:
    assert activation_time(at(approved), days, LONDON, CHRISTMAS, at=hour) == at(active)


@pytest.mark.parametrize(
    ("day", "count", "found"),
    [
        (date(2026, 11, 20), 0, date(2026, 11, 20)),
        (date(2026, 11, 21), 0, date(2026, 11, 23)),
        (date(2026, 11, 20), 1, date(2026, 11, 23)),
        (date(2026, 11, 21), 1, date(2026, 11, 23)),
        (date(2026, 11, 20), 5, date(2026, 11, 27)),
        (date(2026, 11, 21), 5, date(2026, 11, 27)),
        (date(2026, 12, 24), 1, date(2026, 12, 29)),
        (date(2026, 12, 24), 4, date(2027, 1, 4)),
        (date(2026, 12, 25), 0, date(2026, 12, 29)),
    ],
)
def test_working_days_leave_out_weekends_and_holidays(day: date, count: int, found: date) -> None:
    assert add_working_days(day, count, CHRISTMAS) == found


@given(st.dates(date(2026, 1, 1), date(2029, 1, 1)), st.integers(1, 30))
def test_as_many_working_days_pass_as_were_asked_for(day: date, count: int) -> None:
    found = add_working_days(day, count, CHRISTMAS)

    passed = [day + timedelta(days=n) for n in range(1, (found - day).days + 1)]
    assert sum(is_working_day(one, CHRISTMAS) for one in passed) == count
    assert is_working_day(found, CHRISTMAS)


@pytest.mark.parametrize(
    ("day", "zone", "ends"),
    [
        (date(2028, 9, 30), BERLIN, "2028-09-30T22:00"),
        (date(2028, 1, 31), BERLIN, "2028-01-31T23:00"),
        (date(2027, 3, 27), BERLIN, "2027-03-27T23:00"),  # the last midnight of winter time
        (date(2027, 3, 28), BERLIN, "2027-03-28T22:00"),  # a day of 23 hours
        (date(2027, 10, 31), BERLIN, "2027-10-31T23:00"),  # a day of 25 hours
        (date(2027, 4, 29), CAIRO, "2027-04-29T22:00"),  # midnight is skipped: the day ends at the change
        (date(2027, 10, 28), CAIRO, "2027-10-28T22:00"),  # 23:00 to 24:00 comes twice and belongs to the day both times
        (date(2027, 11, 1), NEW_YORK, "2027-11-02T04:00"),
        (date(2027, 11, 8), NEW_YORK, "2027-11-09T05:00"),
    ],
)
def test_a_day_ends_at_the_first_instant_of_the_next(day: date, zone: ZoneInfo, ends: str) -> None:
    assert end_of_day(day, zone) == utc(ends)
    assert start_of_day(day + timedelta(days=1), zone) == utc(ends)
    assert end_of_day(day, zone).astimezone(zone).date() == day + timedelta(days=1)
    assert (end_of_day(day, zone) - SECOND).astimezone(zone).date() == day


@given(st.dates(date(2020, 1, 1), date(2035, 1, 1)), zones)
def test_a_day_ends_where_plain_arithmetic_says(day: date, zone: ZoneInfo) -> None:
    plainly = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone).astimezone(UTC)

    assert end_of_day(day, zone) == plainly


@pytest.mark.parametrize(
    ("year", "entry", "moves", "last_day"),
    [
        (2027, (1, "09-30"), True, date(2028, 10, 2)),  # 30 September 2028 is a Saturday
        (2027, (1, "09-30"), False, date(2028, 9, 30)),
        (2026, (1, "09-30"), True, date(2027, 9, 30)),
        (2025, (1, "11-01"), True, date(2026, 11, 2)),  # CA and QC: 1 November 2026 is a Sunday
        (2024, (2, "12-25"), True, date(2026, 12, 29)),
        (2027, (-1, "09-30"), True, date(2026, 9, 30)),
    ],
)
def test_a_deadline_on_a_weekend_or_holiday_moves_if_the_rule_says_so(
    year: int, entry: tuple[int, str], moves: bool, last_day: date
) -> None:
    assert deadline(year, entry, TORONTO, CHRISTMAS, moves=moves) == end_of_day(last_day, TORONTO)


def test_the_calendar_ends_what_is_due_and_begins_what_runs() -> None:
    found = calendar_instants(2027, ComplianceRule(), BERLIN)

    assert found == {
        "parameters_final": utc("2026-09-30T22:00"),
        "floor_price": utc("2026-11-30T23:00"),
        "issue": utc("2026-12-31T23:00"),
        "allocation": utc("2028-02-28T23:00") - timedelta(days=366),
        "self_report": utc("2028-01-31T23:00"),
        "verified_report": utc("2028-03-31T22:00"),
        "true_up": utc("2028-05-14T22:00"),
        "indicator": utc("2028-05-31T22:00"),
        "reserve_sale": utc("2028-09-15T22:00"),
        "surrender": utc("2028-10-02T22:00"),
        "set_off": utc("2029-01-31T23:00"),
        "publication": utc("2028-10-30T23:00"),
    }


def test_a_calendar_that_does_not_move_keeps_its_saturday() -> None:
    found = calendar_instants(2027, ComplianceRule(holiday_moves=False), BERLIN)

    assert found["surrender"] == utc("2028-09-30T22:00")


@pytest.mark.parametrize(
    ("day", "months", "found"),
    [
        (date(2027, 3, 15), 6, date(2027, 9, 15)),
        (date(2027, 8, 31), 6, date(2028, 2, 29)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2027, 12, 31), 0, date(2027, 12, 31)),
        (date(2027, 12, 1), 1, date(2028, 1, 1)),
        (date(2027, 11, 30), 13, date(2028, 12, 30)),
        (date(2027, 7, 15), 17, date(2028, 12, 15)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last(day: date, months: int, found: date) -> None:
    assert add_months(day, months) == found


@pytest.mark.parametrize(
    ("event", "days", "months", "moves", "last_day"),
    [
        (date(2028, 2, 1), 60, 0, True, date(2028, 4, 3)),  # the shutdown report: 1 April 2028 is a Saturday
        (date(2028, 2, 1), 60, 0, False, date(2028, 4, 1)),
        (date(2027, 3, 15), 0, 6, True, date(2027, 9, 15)),  # an offset to be replaced
        (date(2026, 11, 25), 30, 0, True, date(2026, 12, 29)),  # an appeal that ends on Christmas Day
        (date(2026, 11, 20), 0, 0, True, date(2026, 11, 20)),
    ],
)
def test_what_an_event_asks_for_is_due_at_the_end_of_a_day(
    event: date, days: int, months: int, moves: bool, last_day: date
) -> None:
    found = due_after(event, BERLIN, days=days, months=months, holidays=CHRISTMAS, moves=moves)

    assert found == end_of_day(last_day, BERLIN)


@pytest.mark.parametrize(
    ("due", "found"),
    [
        ("2028-10-02T22:00", "2028-10-12T22:00"),
        ("2028-09-01T00:00:01", "2028-09-11T00:00:01"),
        ("2028-09-01T00:00", "2028-09-01T00:00"),
        ("2028-08-01T00:00", "2028-08-01T00:00"),
    ],
)
def test_a_clock_that_a_court_stopped_goes_on_with_what_was_left(due: str, found: str) -> None:
    assert continued(utc(due), utc("2028-09-01T00:00"), utc("2028-09-11T00:00")) == utc(found)


DUE = utc("2028-10-02T22:00")


def outage(hours_before: float, minutes: float) -> Outage:
    began = DUE - timedelta(hours=hours_before)
    return Outage(began, began + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("outages", "hours"),
    [
        ([], 0),
        ([outage(5, 29)], 0),
        ([outage(5, 30)], 0),  # more than 30 minutes
        ([Outage(DUE - 5 * HOUR, DUE - 5 * HOUR + 30 * MINUTE + SECOND)], 1),
        ([outage(5, 60)], 1),
        ([outage(5, 61)], 2),
        ([outage(5, 120)], 2),
        ([outage(5, 20), outage(3, 20)], 0),  # each is too short
        ([outage(5, 20), outage(4 + 2 / 3, 20)], 1),  # but these touch
        ([outage(5, 31), outage(3, 31)], 2),  # 62 minutes, rounded up once
        ([outage(5, 40), outage(3, 20), outage(2, 35)], 2),
        ([outage(5, 60), outage(4.5, 60)], 2),  # overlapping: 90 minutes
        ([outage(5, 60), outage(5, 60)], 1),
        ([outage(30, 60)], 0),  # over before the last 24 hours
        ([outage(24.5, 60)], 0),  # 30 minutes of it lie in the window
        ([outage(25, 120)], 1),
        ([outage(24, 60)], 1),
        ([outage(1, 180)], 3),  # it lasts beyond the deadline
        ([outage(0, 60)], 0),  # begins when it is too late anyhow
        ([outage(1, 60), outage(-0.5, 40)], 2),  # a second one in the hour gained
        ([outage(1, 60), outage(-1, 40)], 1),
    ],
)
def test_an_outage_moves_the_deadline_by_its_length_in_full_hours(outages: list[Outage], hours: int) -> None:
    assert extended(DUE, outages) == DUE + hours * HOUR
    assert extended(DUE, reversed(outages)) == DUE + hours * HOUR


def test_the_outage_rule_is_data() -> None:
    generous = OutageRule(minutes=5, window_hours=48, round_up_minutes=15)

    assert extended(DUE, [outage(30, 6)], generous) == DUE + 15 * MINUTE


outage_lists = st.lists(st.builds(outage, st.floats(-3, 50), st.floats(0, 300)), max_size=5)


@given(outage_lists, st.builds(outage, st.floats(-3, 50), st.floats(0, 300)))
def test_more_outages_never_bring_a_deadline_forward(outages: list[Outage], another: Outage) -> None:
    before = extended(DUE, outages)

    assert DUE <= before <= extended(DUE, [*outages, another])
    assert (before - DUE) % HOUR == timedelta(0)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("01-31", True),
        ("12-31", True),
        ("02-28", True),
        ("02-29", False),
        ("02-30", False),
        ("13-01", False),
        ("00-10", False),
        ("1-31", False),
        ("01/31", False),
        ("", False),
        ("0a-10", False),
        ("0\u0661-10", False),
        ("+1-10", False),
        ("01-310", False),
    ],
)
def test_a_day_of_the_calendar_exists_in_every_year(text: str, is_one: bool) -> None:
    assert is_month_day(text) is is_one


def test_the_default_calendar_contradicts_nothing() -> None:
    assert contradictions(ComplianceRule(), TransactionRule()) == []


@pytest.mark.parametrize(("earlier", "later"), MUST_FOLLOW)
def test_each_pair_out_of_order_is_found(earlier: str, later: str) -> None:
    offset, _ = getattr(Calendar(), earlier)
    swapped = replace(Calendar(), **{later: (offset - 1, "01-01")})

    codes = [(one.code, one.sentence.split()[0]) for one in contradictions(ComplianceRule(calendar=swapped))]

    assert ("calendar_out_of_order", later) in codes


def test_all_contradictions_of_a_calendar_and_its_clocks_are_listed_at_once() -> None:
    rule = ComplianceRule(
        calendar=Calendar(surrender=(1, "02-29"), verified_report=(1, "12-31"), set_off=(1, "09-01")),
        outage=OutageRule(minutes=-1, window_hours=0, round_up_minutes=0),
    )
    clock = TransactionRule(opens=time(16), closes=time(10), delay_days=-1, activation_days=-1, large_transfer=0)

    assert [one.code for one in contradictions(rule, clock)] == [
        "calendar_day_unknown",
        "calendar_out_of_order",
        "calendar_out_of_order",
        "outage_window_empty",
        "outage_step_not_positive",
        "transfer_window_empty",
        "transfer_delay_negative",
        "large_transfer_not_positive",
    ]


@pytest.mark.parametrize(
    ("clock", "codes"),
    [
        (TransactionRule(opens=time(10), closes=time(10)), ["transfer_window_empty"]),
        (TransactionRule(opens=time(10), closes=time(10, 0, 1), large_transfer=1), []),
        (TransactionRule(delay_days=0, activation_days=0), []),
    ],
)
def test_a_window_for_transfers_has_some_length(clock: TransactionRule, codes: list[str]) -> None:
    assert [one.code for one in contradictions(ComplianceRule(), clock)] == codes


def test_what_is_due_at_once_is_due_at_the_end_of_its_day() -> None:
    assert due_after(date(2026, 11, 20), BERLIN) == end_of_day(date(2026, 11, 20), BERLIN)


def test_every_entry_named_in_the_rules_is_one_of_the_calendar() -> None:
    names = {one.name for one in fields(Calendar)}

    assert names >= DUE_BY
    assert names >= {name for pair in MUST_FOLLOW for name in pair}


def test_the_year_of_a_calendar_day_is_counted_from_the_year_of_use() -> None:
    assert [calendar_day(2027, (n, "06-01")).year for n in (-1, 0, 1, 2)] == [2026, 2027, 2028, 2029]


def test_a_working_day_is_its_own_next_working_day() -> None:
    assert next_working_day(date(2026, 11, 20)) == date(2026, 11, 20)
