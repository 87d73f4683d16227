"""Opening markets and steering their phases."""

import pytest

from accounts.models import AuditEvent
from common.errors import Forbidden, Refused
from exchange.models import PHASE, Market
from exchange.services import markets
from registry.models import Period
from tests.cast import OPENING, Party, Regulator

UNITS = {"tick_minor": 5, "lot": 10, "collar_bps": 2_000, "max_order_lots": 1_000}


def test_a_market_opens_closed_with_an_empty_clearing_account(regulator: Regulator, period: Period) -> None:
    market = markets.open_market(actor=regulator.desk, period=period, now=OPENING, **UNITS)

    assert (market.code, market.number, market.phase, market.sequence) == (period.code, 1, "closed", 0)
    assert market.clearing.kind == "clearing"
    assert AuditEvent.objects.get(action="exchange.market.opened").subject_id == str(market.pk)


def test_a_period_has_one_market(regulator: Regulator, period: Period, market: Market) -> None:
    with pytest.raises(Refused) as refusal:
        markets.open_market(actor=regulator.desk, period=period, now=OPENING, **UNITS)

    assert refusal.value.code == "market_exists"


def test_a_draft_period_has_no_market(regulator: Regulator, draft_period: Period) -> None:
    with pytest.raises(Refused) as refusal:
        markets.open_market(actor=regulator.desk, period=draft_period, now=OPENING, **UNITS)

    assert refusal.value.code == "period_not_open"


@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("size", [0, -1, 2**31])
def test_units_have_bounds(unit: str, size: int, regulator: Regulator, period: Period) -> None:
    with pytest.raises(Refused) as refusal:
        markets.open_market(actor=regulator.desk, period=period, now=OPENING, **(UNITS | {unit: size}))

    assert refusal.value.code == "market_unit_out_of_range"


def test_only_the_desk_opens_and_only_the_monitor_steers(
    regulator: Regulator, period: Period, market: Market, acme: Party
) -> None:
    for stranger in (acme.trader, regulator.monitor):
        with pytest.raises(Forbidden):
            markets.open_market(actor=stranger, period=period, now=OPENING, **UNITS)
    for stranger in (acme.trader, regulator.desk):
        with pytest.raises(Forbidden):
            markets.change_phase(actor=stranger, market=market, phase="halted", reason="Mine.", now=OPENING)


@pytest.mark.parametrize("before", PHASE.states)
@pytest.mark.parametrize("after", PHASE.states)
def test_phases_follow_their_table(before: str, after: str, regulator: Regulator, market: Market) -> None:
    if before != "continuous":
        markets.change_phase(actor=regulator.monitor, market=market, phase=before, reason="First.", now=OPENING)
    events = AuditEvent.objects.count()

    if PHASE.allows(before, after):
        moved = markets.change_phase(
            actor=regulator.monitor, market=market, phase=after, reason="A strange price.", now=OPENING
        )
        event = AuditEvent.objects.latest("pk")
        assert moved.phase == Market.objects.get(pk=market.pk).phase == after
        assert event.details == {"reason": "A strange price.", "was": before}
    else:
        with pytest.raises(Refused):
            markets.change_phase(actor=regulator.monitor, market=market, phase=after, reason="No.", now=OPENING)
        assert AuditEvent.objects.count() == events


def test_a_halt_needs_a_reason(regulator: Regulator, market: Market) -> None:
    with pytest.raises(Refused) as refusal:
        markets.change_phase(actor=regulator.monitor, market=market, phase="halted", reason="  ", now=OPENING)

    assert refusal.value.code == "reason_missing"
