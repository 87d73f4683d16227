"""The year of a period: what is planned from which rules, what moves it, and what opening a period by rules gives."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction

from common.errors import Refused
from registry.engine.deadlines import end_of_day
from registry.engine.policy import (
    Calendar,
    ComplianceRule,
    LadderStep,
    Policy,
    PricePath,
    SanctionRule,
    StabilityReserve,
    SupplyRule,
    TimeRule,
)
from registry.models import DueWork, Extension, Period, Scheme
from registry.services import due, outages, rules, schemes, year
from tests.cast import OPENING, Regulator

BERLIN = ZoneInfo("Europe/Berlin")

FOUNDING_YEAR = [
    ("parameters_final", "2025-10-01 00:00"),  # due by 30 September: the first instant that is too late
    ("issue", "2026-01-01 00:00"),
    ("allocation", "2026-02-28 00:00"),
    ("self_report", "2027-02-02 00:00"),  # 31 January 2027 is a Sunday
    ("verified_report", "2027-04-01 00:00"),
    ("surrender_notice:30", "2027-09-01 00:00"),
    ("close_market", "2027-09-23 00:00"),  # five working days before Thursday 30 September
    ("surrender_notice:7", "2027-09-24 00:00"),
    ("surrender", "2027-10-01 00:00"),
    ("publication", "2027-10-31 00:00"),
    ("end_of_appeals", "2027-11-02 00:00"),  # 30 days after the deadline are a Saturday
]

FULL_RULES = {
    "supply": SupplyRule(
        msr=StabilityReserve(upper=833, lower=400, intake=Decimal("0.24"), release=100),
        floor=PricePath(2026, Decimal("9.00"), Decimal("0.07")),
    ),
    "time": TimeRule(expires_after=3),
    "sanction": SanctionRule(
        ladder=(LadderStep("AUTO_DEDUCT", business_days=5), LadderStep("SET_OFF", on=(2, "01-31")))
    ),
}
"""A scheme that has everything that founding terms do not."""


def planned(period: Period) -> list[tuple[str, str]]:
    """Return the events of a period with their local times, in order."""
    prefix = f"{period.code}:"
    return [
        (work.key.removeprefix(prefix), f"{work.due_at.astimezone(BERLIN):%Y-%m-%d %H:%M}")
        for work in DueWork.objects.filter(period=period).exclude(status="cancelled")
    ]


def plan(period: Period, now: datetime = OPENING) -> year.Planned:
    """Plan a year again."""
    return year.plan_again(actor=None, period=period, now=now)


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give every scheme other rules: rule(supply=...)."""
    founding = rules.policy_at

    def rule(**parts: object) -> None:
        def policy_at(scheme: Scheme, on: date) -> Policy:
            return replace(founding(scheme, on), **parts)  # type: ignore[arg-type]

        monkeypatch.setattr(rules, "policy_at", policy_at)

    return rule


def test_opening_a_period_writes_its_year_down(draft_period: Period) -> None:
    assert planned(draft_period) == FOUNDING_YEAR


def test_every_kind_of_event_can_be_done(draft_period: Period, rule: Callable[..., None]) -> None:
    rule(**FULL_RULES)

    plan(draft_period)

    assert set(DueWork.objects.values_list("kind", flat=True)) <= due.HANDLERS.keys()


def test_rules_bring_the_events_they_need(draft_period: Period, rule: Callable[..., None]) -> None:
    rule(**FULL_RULES)

    changed = plan(draft_period)

    assert changed == year.Planned(added=8, moved=0, dropped=0)
    assert sorted(set(planned(draft_period)) - set(FOUNDING_YEAR)) == [
        ("expiry", "2030-01-01 00:00"),
        ("expiry_notice:30", "2029-12-01 00:00"),
        ("expiry_notice:60", "2029-11-01 00:00"),
        ("expiry_notice:7", "2029-12-24 00:00"),
        ("floor_price", "2025-12-01 00:00"),
        ("indicator", "2027-06-01 00:00"),
        ("ladder_auto_deduct", "2027-10-08 00:00"),
        ("ladder_set_off", "2028-02-01 00:00"),
    ]


def test_what_the_rules_drop_is_struck_out_and_may_come_back(draft_period: Period, rule: Callable[..., None]) -> None:
    rule(**FULL_RULES)
    plan(draft_period)

    rule()
    assert plan(draft_period) == year.Planned(added=0, moved=0, dropped=8)
    assert planned(draft_period) == FOUNDING_YEAR

    rule(**FULL_RULES)
    assert plan(draft_period) == year.Planned(added=8, moved=0, dropped=0)
    assert DueWork.objects.get(key=f"{draft_period.code}:indicator#2").status == "planned"
    assert plan(draft_period) == year.Planned(added=0, moved=0, dropped=0)


def test_what_an_officer_struck_out_stays_out(regulator: Regulator, draft_period: Period) -> None:
    work = DueWork.objects.get(kind="self_report")
    due.cancel(actor=regulator.desk, work_id=work.pk, reason="Reports come by meter this year.", now=OPENING)

    assert plan(draft_period) == year.Planned(added=0, moved=0, dropped=0)


def test_a_moved_deadline_moves_what_follows_from_it_and_nothing_that_is_done(
    regulator: Regulator, draft_period: Period
) -> None:
    DueWork.objects.filter(kind="close_market").update(status="done", done_at=OPENING)

    regulator.approve(
        outages.propose_extension(
            actor=regulator.desk,
            period=draft_period,
            deadline="surrender_due",
            last_day=date(2027, 11, 15),
            reason="The auction had to be repeated.",
            now=OPENING,
        )
    )

    draft_period.refresh_from_db()
    assert draft_period.surrender_due == datetime(2027, 11, 15, 23, 0, tzinfo=UTC)
    moved = dict(planned(draft_period))
    assert {kind: at for kind, at in moved.items() if at != dict(FOUNDING_YEAR)[kind]} == {
        "surrender_notice:30": "2027-10-17 00:00",
        "surrender_notice:7": "2027-11-09 00:00",
        "surrender": "2027-11-16 00:00",
        "publication": "2027-11-16 00:00",
        "end_of_appeals": "2027-12-16 00:00",
    }
    assert Extension.objects.get().reason == "The auction had to be repeated."


@pytest.mark.parametrize(
    ("deadline", "last_day", "code"),
    [
        ("surrender_due", date(2027, 9, 30), "deadline_not_later"),
        ("report_due", date(2027, 9, 30), "report_due_too_late"),
        ("year_end", date(2027, 12, 31), "deadline_unknown"),
    ],
)
def test_a_deadline_moves_later_only(
    regulator: Regulator, draft_period: Period, deadline: str, last_day: date, code: str
) -> None:
    with pytest.raises(Refused) as refusal:
        outages.propose_extension(
            actor=regulator.desk,
            period=draft_period,
            deadline=deadline,
            last_day=last_day,
            reason="To be kind.",
            now=OPENING,
        )

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("of", "holidays", "report_due_on", "surrender_due_on"),
    [
        (2026, (), date(2027, 3, 31), date(2027, 9, 30)),
        (2028, (), date(2029, 4, 2), date(2029, 10, 1)),  # a Saturday and a Sunday
        (2028, (date(2029, 4, 2),), date(2029, 4, 3), date(2029, 10, 1)),  # then Easter Monday
    ],
)
def test_opening_by_rules_takes_the_calendar_and_moves_to_working_days(
    regulator: Regulator,
    scheme: Scheme,
    rule: Callable[..., None],
    of: int,
    holidays: tuple[date, ...],
    report_due_on: date,
    surrender_due_on: date,
) -> None:
    rule(compliance=ComplianceRule(holidays=holidays))

    period = schemes.open_period_by_rules(actor=regulator.desk, scheme=scheme, year=of, now=OPENING)

    assert (period.starts_on, period.ends_on) == (date(of, 1, 1), date(of, 12, 31))
    assert period.report_due == end_of_day(report_due_on, scheme.tz)
    assert period.surrender_due == end_of_day(surrender_due_on, scheme.tz)


def test_a_deadline_need_not_move_from_a_holiday(
    regulator: Regulator, scheme: Scheme, rule: Callable[..., None]
) -> None:
    rule(compliance=ComplianceRule(calendar=Calendar(surrender=(1, "10-31")), holiday_moves=False))

    period = schemes.open_period_by_rules(actor=regulator.desk, scheme=scheme, year=2026, now=OPENING)

    # Sunday 31 October 2027, when Berlin's clocks go back: the day has 25 hours and ends at 23:00 UTC
    assert period.surrender_due == datetime(2027, 10, 31, 23, 0, tzinfo=UTC)


def test_a_rule_that_changes_later_reaches_the_calendar_on_its_day(
    draft_period: Period, monkeypatch: pytest.MonkeyPatch
) -> None:
    founding, changed_on = rules.policy_at, date(2027, 5, 1)

    def policy_at(scheme: Scheme, on: date) -> Policy:
        later = ComplianceRule(calendar=Calendar(publication=(1, "12-01")))
        return replace(founding(scheme, on), compliance=later if on >= changed_on else ComplianceRule())

    monkeypatch.setattr(rules, "policy_at", policy_at)

    assert plan(draft_period, datetime(2027, 4, 30, tzinfo=UTC)).moved == 0
    assert plan(draft_period, datetime(2027, 5, 2, tzinfo=UTC)).moved == 2
    assert dict(planned(draft_period))["publication"] == "2027-12-01 00:00"


def test_planning_everything_leaves_closed_years_alone(draft_period: Period) -> None:
    assert year.plan_all(now=OPENING) == 1

    with transaction.atomic():
        for work in DueWork.objects.all():
            work.status, work.done_at = "done", OPENING
            work.save()
        for status in ("open", "closing", "closed"):
            Period.objects.filter(pk=draft_period.pk).update(status=status)

    assert year.plan_all(now=OPENING + timedelta(days=1)) == 0
