"""Short ways to cancel, drain and look, for the tests of the exchange."""

from collections.abc import Callable
from uuid import uuid4

from exchange.models import Command, Market, Order, Position
from exchange.services import matching, orders
from tests.cast import OPENING, Party

Place = Callable[..., Order]
"""place(acme, "sell", 10, at=500): ten lots at a limit of 500 ticks."""


def cancel(party: Party, order: Order) -> Command:
    """Cancel an order of a party."""
    return orders.cancel_order(
        actor=party.trader, order_id=order.public_id, organisation=party.organisation, key=uuid4(), now=OPENING
    )


def drain(market: Market) -> matching.DrainResult:
    """Do everything that waits."""
    result = matching.drain(market.pk)
    market.refresh_from_db()
    return result


def state(order: Order) -> tuple[str, int, int]:
    """Status, lots filled and lots cancelled, as they are stored now."""
    order.refresh_from_db()
    return order.status, order.filled, order.canceled


def held(market: Market, party: Party) -> tuple[int, int]:
    """Permits and cash held for a party's orders, and check that its balances say the same."""
    position = Position.objects.select_related("permit_hold__balance", "cash_hold__balance").get(
        market=market, organisation=party.organisation
    )
    for hold in (position.permit_hold, position.cash_hold):
        assert hold.balance.held == hold.quantity
    return position.permit_hold.quantity, position.cash_hold.quantity
