"""Closing a period: steps in order, each when its time has come, each once, wherever it was interrupted."""

from datetime import timedelta

import pytest

from common.errors import Forbidden, Refused
from exchange.models import STEPS, ClosingStep, Command, Market, PeriodClosing, SettlementBatch
from exchange.services import closing, markets, matching
from registry.models import Period
from tests.cast import LATE_FOR_REPORTS, MICROSECOND, OPENING, REPORTING, Clock, Party, Regulator
from tests.exchange.trading import Place, held, state

TRADING_STEPS = list(STEPS[:4])


def close(regulator: Regulator, period: Period, clock: Clock) -> PeriodClosing:
    return closing.close_period(actor=regulator.senior, period=period, now=clock.now())


def steps_done(period: Period) -> list[str]:
    return list(ClosingStep.objects.filter(closing__period=period).order_by("ordinal").values_list("name", flat=True))


def test_each_step_waits_for_its_time(
    regulator: Regulator, period: Period, market: Market, place: Place, acme: Party, clock: Clock
) -> None:
    resting = place(acme, "sell", 3, at=500)

    clock.move_to(REPORTING)
    assert close(regulator, period, clock).next_step == "standing_surrenders"
    assert steps_done(period) == TRADING_STEPS
    assert state(resting) == ("expired", 0, 3)

    clock.move_to(LATE_FOR_REPORTS)
    assert close(regulator, period, clock).next_step == "deadline_status"

    clock.move_to(period.surrender_due - MICROSECOND)
    assert close(regulator, period, clock).next_step == "deadline_status"

    clock.move_to(period.surrender_due)
    finished = close(regulator, period, clock)
    assert (finished.next_step, finished.finished_at) == (None, period.surrender_due)
    assert steps_done(period) == list(STEPS)
    period.refresh_from_db()
    assert period.status == "closed"


def test_a_period_is_not_closed_before_its_last_day_of_use_is_over(
    regulator: Regulator, period: Period, market: Market, clock: Clock
) -> None:
    end = closing.due_at("halt", period)
    clock.move_to(end - MICROSECOND)

    with pytest.raises(Refused) as refusal:
        close(regulator, period, clock)

    assert refusal.value.code == "period_not_over"
    clock.move_to(end)
    assert close(regulator, period, clock).next_step == "standing_surrenders"


def test_what_was_entered_before_the_halt_is_still_matched_settled_and_then_expired(
    regulator: Regulator, period: Period, market: Market, place: Place, acme: Party, borealis: Party, clock: Clock
) -> None:
    ask, bid = place(acme, "sell", 5, at=500), place(borealis, "buy", 2, at=500)
    clock.move_to(REPORTING)

    close(regulator, period, clock)

    assert (state(ask), state(bid)) == (("expired", 2, 3), ("filled", 2, 0))
    assert SettlementBatch.objects.get().trade_count == 1
    assert (held(market, acme), held(market, borealis)) == ((0, 0), (0, 0))
    market.refresh_from_db()
    assert market.phase == "closed"


def test_a_call_is_uncrossed_by_the_closing(
    regulator: Regulator, period: Period, market: Market, place: Place, acme: Party, borealis: Party, clock: Clock
) -> None:
    markets.change_phase(actor=regulator.monitor, market=market, phase="call", reason="The weekly call.", now=OPENING)
    place(acme, "sell", 5, at=480)
    place(borealis, "buy", 5, at=520)
    clock.move_to(REPORTING)

    close(regulator, period, clock)

    result = ClosingStep.objects.get(name="final_call").result
    assert result == {"outcome": "uncrossed", "trades": 1, "lots": 5}
    assert market.trades.get().taker == "call"


def test_nobody_trades_or_reopens_the_market_once_the_closing_has_started(
    regulator: Regulator, period: Period, market: Market, place: Place, acme: Party, clock: Clock
) -> None:
    clock.move_to(REPORTING)
    close(regulator, period, clock)

    late = place(acme, "sell", 1, at=500)

    assert (late.status, late.reason) == ("rejected", "market_closed")
    with pytest.raises(Refused) as refusal:
        markets.change_phase(
            actor=regulator.monitor, market=market, phase="continuous", reason="A friend asked.", now=clock.now()
        )
    assert refusal.value.code == "period_not_open"


@pytest.mark.parametrize("broken", STEPS)
def test_a_closing_that_broke_goes_on_where_it_stopped(
    broken: str,
    regulator: Regulator,
    period: Period,
    market: Market,
    place: Place,
    acme: Party,
    borealis: Party,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place(acme, "sell", 5, at=500)
    place(borealis, "buy", 2, at=500)
    clock.move_to(period.surrender_due)
    create = ClosingStep.objects.create

    def create_or_break(**fields: object) -> ClosingStep:
        if fields["name"] == broken:
            raise ConnectionError("the power went")
        return create(**fields)

    with monkeypatch.context() as patch:
        patch.setattr(ClosingStep.objects, "create", create_or_break)
        with pytest.raises(ConnectionError):
            close(regulator, period, clock)
    assert steps_done(period) == list(STEPS[: STEPS.index(broken)])

    finished = close(regulator, period, clock)

    assert finished.next_step is None
    assert SettlementBatch.objects.get().trade_count == 1
    assert Command.objects.filter(kind__in=["uncross", "expire"]).count() == 2
    assert (held(market, acme), held(market, borealis)) == ((0, 0), (0, 0))


def test_closing_twice_is_closing_once(
    regulator: Regulator, period: Period, market: Market, place: Place, acme: Party, clock: Clock
) -> None:
    clock.move_to(period.surrender_due)
    close(regulator, period, clock)
    done = list(ClosingStep.objects.values())

    close(regulator, period, clock)

    assert list(ClosingStep.objects.values()) == done


def test_started_closings_go_on_by_schedule(regulator: Regulator, period: Period, market: Market, clock: Clock) -> None:
    clock.move_to(REPORTING)
    close(regulator, period, clock)

    assert closing.continue_closings(now=period.surrender_due - timedelta(days=1)) == 1
    clock.move_to(period.surrender_due)
    assert closing.continue_closings(now=period.surrender_due) == 0
    assert steps_done(period) == list(STEPS)


def test_a_period_without_a_market_is_closed_all_the_same(regulator: Regulator, period: Period, clock: Clock) -> None:
    clock.move_to(period.surrender_due)

    assert close(regulator, period, clock).next_step is None


def test_a_parked_command_stops_the_closing_until_a_person_has_decided(
    regulator: Regulator, period: Period, market: Market, place: Place, acme: Party, clock: Clock
) -> None:
    order = place(acme, "sell", 5, at=500)
    command = Command.objects.get(order=order)
    Command.objects.filter(pk=command.pk).update(parked="ValueError: broken")
    clock.move_to(REPORTING)

    with pytest.raises(Refused) as refusal:
        close(regulator, period, clock)
    assert refusal.value.code == "commands_parked"

    matching.discard_parked(
        actor=regulator.monitor, command_id=command.pk, reason="It cannot be mended.", now=clock.now()
    )
    assert close(regulator, period, clock).next_step == "standing_surrenders"
    assert state(order) == ("canceled", 0, 5)


def test_only_a_senior_officer_closes_a_period(regulator: Regulator, period: Period, clock: Clock) -> None:
    clock.move_to(REPORTING)

    with pytest.raises(Forbidden):
        closing.close_period(actor=regulator.desk, period=period, now=clock.now())
