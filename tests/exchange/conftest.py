"""A market to trade in, and a short way to place an order in it."""

from uuid import UUID, uuid4

import pytest

from exchange.models import Market, Order
from exchange.services import markets, orders
from registry.models import Period
from tests.cast import OPENING, Party, Regulator
from tests.exchange.trading import Place


@pytest.fixture(autouse=True)
def _no_worker_is_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests drain by themselves; those that want a real worker ring it themselves."""
    monkeypatch.setattr("exchange.services.waking.wake", lambda market: None)


@pytest.fixture
def market(regulator: Regulator, period: Period) -> Market:
    """The market of the period, trading: lots of 10 permits, a tick of 5 cents, collar 20 %, 1,000 lots an order."""
    market = markets.open_market(
        actor=regulator.desk,
        period=period,
        tick_minor=5,
        lot=10,
        collar_bps=2_000,
        max_order_lots=1_000,
        now=OPENING,
    )
    markets.change_phase(
        actor=regulator.monitor, market=market, phase="continuous", reason="The first day.", now=OPENING
    )
    market.refresh_from_db()
    return market


@pytest.fixture
def place(market: Market) -> Place:
    """Place an order of a party: place(acme, "sell", 10, at=500)."""

    def place(
        party: Party, side: str, quantity: int, at: int, time_in_force: str = "gtc", key: UUID | None = None
    ) -> Order:
        return orders.place_order(
            actor=party.trader,
            organisation=party.organisation,
            market=market,
            side=side,
            price=at,
            quantity=quantity,
            time_in_force=time_in_force,
            key=key or uuid4(),
            now=OPENING,
        )

    return place
