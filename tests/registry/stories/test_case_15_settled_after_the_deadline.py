"""Late case 15: a trade struck before the deadline and settled after it. Permits count from their settlement."""

from uuid import uuid4

import pytest

from common.errors import Refused
from exchange.models import Market
from exchange.services import markets, matching, orders, settlement
from registry.models import ComplianceRecord, Period
from tests.cast import BOREALIS_PERMITS, MICROSECOND, OPENING, Clock, Party, Regulator
from tests.registry.stories.told import close_registry, give, log, owe

NEEDED = BOREALIS_PERMITS + 100


@pytest.fixture
def market(regulator: Regulator, period: Period, monkeypatch: pytest.MonkeyPatch) -> Market:
    """The market of the period, in continuous trading; the test drains it by itself."""
    monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)
    market = markets.open_market(
        actor=regulator.desk, period=period, tick_minor=5, lot=10, collar_bps=2_000, max_order_lots=1_000, now=OPENING
    )
    return markets.change_phase(
        actor=regulator.monitor, market=market, phase="continuous", reason="The first day.", now=OPENING
    )


def trade(market: Market, seller: Party, buyer: Party, lots: int, clock: Clock) -> None:
    """Let two parties trade now."""
    for party, side in ((seller, "sell"), (buyer, "buy")):
        orders.place_order(
            actor=party.trader,
            organisation=party.organisation,
            market=market,
            side=side,
            price=500,
            quantity=lots,
            time_in_force="gtc",
            key=uuid4(),
            now=clock.now(),
        )
    matching.drain(market.pk)


def test_permits_that_were_bought_in_time_and_settled_late_make_good(
    regulator: Regulator, period: Period, market: Market, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    """Borealis lacks 100 permits and buys them in the last minute; they are delivered a microsecond too late."""
    owe(borealis, verity, period, NEEDED, clock)
    give(borealis, period, BOREALIS_PERMITS, clock)
    clock.move_to(period.surrender_due - MICROSECOND)
    trade(market, acme, borealis, 10, clock)

    with pytest.raises(Refused) as not_there_yet:
        give(borealis, period, 100, clock)
    clock.move_to(period.surrender_due)
    batch = settlement.settle_market(actor=regulator.desk, market=market, now=clock.now())
    receipt = give(borealis, period, 100, clock)

    assert not_there_yet.value.code == "insufficient_available"
    assert batch is not None
    assert batch.trade_count == 1
    assert receipt.received_at == period.surrender_due
    close_registry(period, clock, period.surrender_due)
    letters = ComplianceRecord.objects.filter(operator=borealis.operator).order_by("id")
    assert list(letters.values_list("occasion", "status")) == [("deadline", "B"), ("later", "A")]
    assert log(borealis, period)[-2:] == ["short", "cured_late"]


def test_permits_that_were_settled_in_time_count(
    regulator: Regulator, period: Period, market: Market, acme: Party, borealis: Party, verity: Party, clock: Clock
) -> None:
    owe(borealis, verity, period, NEEDED, clock)
    give(borealis, period, BOREALIS_PERMITS, clock)
    clock.move_to(period.surrender_due - MICROSECOND)
    trade(market, acme, borealis, 10, clock)

    settlement.settle_market(actor=regulator.desk, market=market, now=clock.now())
    give(borealis, period, 100, clock)

    close_registry(period, clock, period.surrender_due)
    assert ComplianceRecord.objects.get(operator=borealis.operator).status == "A"
