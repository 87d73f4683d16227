"""The calendar and the closing: what the rules start by themselves, what an officer has to start, and what is noted."""

from datetime import timedelta

import pytest

from accounts.models import Task
from exchange.models import ClosingStep, Market, PeriodClosing
from exchange.services import closing
from registry.models import ComplianceRecord, DueWork, ObligationEvent, Period
from registry.services import due, rules
from tests.cast import Clock, Party, Regulator
from tests.registry.stories.told import give, owe


@pytest.fixture
def has_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every scheme have rules that two officers approved."""
    monkeypatch.setattr(rules, "rules_version", lambda scheme, on: "ab" * 32)


def at(kind: str, clock: Clock) -> DueWork:
    """Let the clock come to an event and everything be done that is due by then."""
    work = DueWork.objects.get(kind=kind)
    due.run_due(now=clock.move_to(work.due_at))
    work.refresh_from_db()
    return work


@pytest.mark.usefixtures("has_rules")
def test_a_scheme_with_rules_closes_by_its_calendar(
    period: Period, market: Market, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    owe(acme, verity, period, 100, clock)
    owe(borealis, verity, period, 50, clock)
    give(acme, period, 100, clock)

    market_closed = at("close_market", clock)
    market.refresh_from_db()
    assert (market.phase, market_closed.result["next_step"]) == ("closed", "deadline_status")
    assert not ComplianceRecord.objects.exists()

    letters = at("surrender", clock)
    assert letters.result == {"step": "deadline_status", "A": 1, "B": 1}
    period.refresh_from_db()
    assert (period.status, PeriodClosing.objects.get().next_step) == ("closing", "publish")

    published = at("publication", clock)
    period.refresh_from_db()
    assert (published.result["step"], period.status) == ("publish", "closed")
    assert PeriodClosing.objects.get().finished_at == published.due_at

    at("end_of_appeals", clock)
    states = dict(
        ObligationEvent.objects.order_by("operator_id", "-id")
        .distinct("operator_id")
        .values_list("operator__organisation__name", "state")
    )
    assert states == {"Acme": "closed", "Borealis": "short"}


def test_without_rules_an_officer_has_to_start_it_and_is_reminded(
    regulator: Regulator, period: Period, market: Market, clock: Clock
) -> None:
    assert at("close_market", clock).result == {"reminded": True}
    assert at("surrender", clock).result == {"reminded": True}
    assert not PeriodClosing.objects.exists()
    assert Task.objects.get(kind="year_closing").status == "unclaimed"

    closing.close_period(actor=regulator.senior, period=period, now=clock.now())

    assert Task.objects.get(kind="year_closing").status == "completed"
    assert at("publication", clock).result["step"] == "publish"


def test_a_closing_that_an_officer_started_is_continued_and_noted(
    regulator: Regulator, period: Period, market: Market, clock: Clock
) -> None:
    clock.move_to(period.report_due)
    closing.close_period(actor=regulator.senior, period=period, now=clock.now())

    letters = at("surrender", clock)

    assert letters.result == {"step": "deadline_status", "C": 2}
    assert ClosingStep.objects.filter(name="deadline_status").count() == 1


@pytest.mark.usefixtures("has_rules")
def test_a_closing_that_breaks_fails_the_event_and_goes_on_later(
    period: Period, market: Market, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def broken(*args: object, **kwargs: object) -> None:
            raise ConnectionError("the power went")

        patch.setattr("exchange.services.settlement.settle", broken)
        failed = at("close_market", clock)
        assert (failed.status, failed.result["failure"]) == ("failed", "the power went")
        assert PeriodClosing.objects.get().next_step == "settle"

    due.run_due(now=clock.move_to(clock.now() + timedelta(minutes=1)))

    failed.refresh_from_db()
    assert (failed.status, failed.attempts) == ("done", 2)
    assert PeriodClosing.objects.get().next_step == "deadline_status"


def test_one_closing_that_breaks_does_not_stop_the_others(
    regulator: Regulator, period: Period, market: Market, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing.close_period(actor=regulator.senior, period=period, now=clock.move_to(period.report_due))

    def broken(*args: object) -> None:
        raise ConnectionError("the power went")

    monkeypatch.setattr("exchange.services.closing._take_due_steps", broken)

    assert closing.continue_closings(now=clock.now()) == 1
