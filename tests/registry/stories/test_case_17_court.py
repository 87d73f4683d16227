"""Late case 17: a court stops the scheme. Clocks stand, nothing is surrendered, and later the rest of the time runs."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from common.errors import Forbidden, Refused
from exchange.models import Market
from exchange.services import calendar, closing, markets
from registry.models import ComplianceRecord, DueWork, Extension, Period, Scheme, Suspension
from registry.services import due, outages, year
from tests import cast
from tests.cast import OPENING, Clock, Party, Regulator
from tests.registry.stories.told import give, owe

STOPPED = datetime(2027, 9, 20, 12, 0, 0, 400_000, tzinfo=UTC)
"""A Monday, ten days and ten hours before permits are due."""
RESUMED = datetime(2027, 12, 1, 9, 30, tzinfo=UTC)


def stop(regulator: Regulator, scheme: Scheme, clock: Clock, *, trading: bool = True) -> Suspension:
    """Let a court stop the scheme now."""
    clock.move_to(STOPPED)
    return calendar.suspend_scheme(
        actor=regulator.senior, scheme=scheme, trading=trading, reason="Administrative Court, 7 K 12/27", now=STOPPED
    )


def go_on(regulator: Regulator, scheme: Scheme, clock: Clock, at: datetime = RESUMED) -> Suspension:
    """Let the scheme go on."""
    clock.move_to(at)
    return calendar.resume_scheme(actor=regulator.senior, scheme=scheme, reason="The order was lifted.", now=at)


def code_of(refused: "pytest.ExceptionInfo[Refused]") -> str:
    return refused.value.code


def test_while_the_scheme_stands_nothing_is_surrendered_or_decided(
    regulator: Regulator, period: Period, scheme: Scheme, acme: Party, verity: Party, clock: Clock
) -> None:
    """The deadline of 30 September comes and goes while a court looks at the scheme."""
    owe(acme, verity, period, 100, clock)
    due.run_due(now=clock.move_to(period.report_due))
    closing.close_period(actor=regulator.senior, period=period, now=clock.now())
    suspension = stop(regulator, scheme, clock)

    with pytest.raises(Refused) as no_surrender:
        give(acme, period, 100, clock)
    clock.move_to(period.surrender_due + timedelta(days=3))
    with pytest.raises(Refused) as no_closing:
        closing.close_period(actor=regulator.senior, period=period, now=clock.now())
    closing.continue_closings(now=clock.now())

    assert code_of(no_surrender) == code_of(no_closing) == "scheme_suspended"
    assert due.run_due(now=clock.now()) == due.Ran(0, 0)
    assert not ComplianceRecord.objects.exists()
    left = dict(DueWork.objects.filter(status="paused").values_list("kind", "remaining_s"))
    assert left["surrender"] == (10 * 24 + 10) * 3600  # the fraction of a second that had begun is given too
    assert set(left) == {"surrender_notice", "close_market", "surrender", "publication", "end_of_appeals"}
    assert suspension.resumed_at is None


def test_when_it_goes_on_the_time_that_was_left_is_left(
    regulator: Regulator, period: Period, scheme: Scheme, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    """71 days and 21.5 hours later the scheme goes on: ten days and ten hours lead to 11 December, a Saturday."""
    owe(acme, verity, period, 100, clock)
    due.run_due(now=clock.move_to(period.report_due))
    stop(regulator, scheme, clock)

    go_on(regulator, scheme, clock)

    period.refresh_from_db()
    monday = datetime(2027, 12, 13, 23, 0, tzinfo=UTC)
    assert period.surrender_due == monday
    assert period.report_due == datetime(2027, 3, 31, 22, 0, tzinfo=UTC)  # it had passed
    assert Extension.objects.get().reason.startswith("The scheme stood from 2027-09-20 12:00 UTC: Administrative Court")
    dates = dict(DueWork.objects.filter(status="planned").values_list("kind", "due_at"))
    assert dates["surrender"] == monday
    publication = datetime(2027, 10, 30, 22, 0, tzinfo=UTC) + timedelta(days=71, hours=21, minutes=30)
    assert dates["publication"] == publication
    with transaction.atomic():
        assert year.plan_year(period, RESUMED) == year.Planned(0, 0, 0)

    clock.move_to(monday - cast.MICROSECOND)
    give(acme, period, 100, clock)
    clock.move_to(monday)
    closing.close_period(actor=regulator.senior, period=period, now=monday)
    assert ComplianceRecord.objects.get(operator=acme.operator, occasion="deadline").status == "A"


def test_a_scheme_may_be_stopped_twice(regulator: Regulator, period: Period, scheme: Scheme, clock: Clock) -> None:
    stop(regulator, scheme, clock)
    with pytest.raises(Refused) as twice:
        stop(regulator, scheme, clock)
    go_on(regulator, scheme, clock, STOPPED + timedelta(days=1))
    with pytest.raises(Refused) as never:
        go_on(regulator, scheme, clock)

    stop(regulator, scheme, clock)
    go_on(regulator, scheme, clock, STOPPED + timedelta(days=2))

    assert (code_of(twice), code_of(never)) == ("scheme_suspended_already", "scheme_not_suspended")
    period.refresh_from_db()
    # one day and two days, each to the end of a working day: Friday 1 October, then Sunday becomes Monday
    assert [f"{extension.becomes:%Y-%m-%d %H}" for extension in Extension.objects.all()] == [
        "2027-10-01 22",
        "2027-10-04 22",
    ]
    assert period.surrender_due == datetime(2027, 10, 4, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize("trading", [True, False])
def test_trading_goes_on_unless_the_court_stops_it_too(
    regulator: Regulator, period: Period, scheme: Scheme, clock: Clock, trading: bool
) -> None:
    market = markets.open_market(
        actor=regulator.desk, period=period, tick_minor=5, lot=10, collar_bps=2_000, max_order_lots=1_000, now=OPENING
    )
    markets.change_phase(actor=regulator.monitor, market=market, phase="continuous", reason="Day one.", now=OPENING)

    stop(regulator, scheme, clock, trading=trading)

    market = Market.objects.get()
    assert market.phase == ("continuous" if trading else "halted")
    if not trading:
        with pytest.raises(Refused) as refusal:
            markets.change_phase(
                actor=regulator.monitor, market=market, phase="continuous", reason="Why not.", now=STOPPED
            )
        assert code_of(refusal) == "scheme_suspended"
        go_on(regulator, scheme, clock)
        markets.change_phase(
            actor=regulator.monitor, market=market, phase="continuous", reason="Told everybody.", now=RESUMED
        )


def test_another_scheme_goes_on(regulator: Regulator, period: Period, scheme: Scheme, clock: Clock) -> None:
    other = cast.co2e_scheme(regulator)
    cast.period_of(regulator, other)

    stop(regulator, scheme, clock)

    assert set(DueWork.objects.filter(scheme=other).values_list("status", flat=True)) == {"planned"}


def test_only_a_senior_officer_carries_out_an_order(
    regulator: Regulator, period: Period, scheme: Scheme, acme: Party
) -> None:
    for actor in (regulator.desk, acme.approver):
        with pytest.raises(Forbidden):
            calendar.suspend_scheme(actor=actor, scheme=scheme, trading=True, reason="An order.", now=STOPPED)


def test_an_outage_of_a_scheme_that_stands_moves_nothing(
    regulator: Regulator, period: Period, scheme: Scheme, clock: Clock
) -> None:
    stop(regulator, scheme, clock)

    _, moved = outages.record_outage(
        actor=regulator.desk,
        began_at=period.surrender_due - timedelta(hours=3),
        ended_at=period.surrender_due,
        reason="A disk failed.",
        now=period.surrender_due,
    )

    assert moved == []
