"""Pre-trade risk: whether an order may enter the market, and what must be held to cover everything an account has open.

Source: exchange rules, section 5c (order of work) and 7; the worst-case holds are those of the design, section 6.
Prices are minor units of money per permit, quantities are permits, values are minor units of money. All are whole
numbers.
"""

from dataclasses import dataclass
from typing import Literal

from exchange.engine.words import Side

Standing = Literal["good", "buy_only", "suspended"]

RiskCode = Literal[
    "standing_suspended",
    "standing_buy_only",
    "quantity_not_positive",
    "quantity_off_lot",
    "quantity_too_large",
    "price_not_positive",
    "price_off_tick",
    "price_too_high",
    "value_too_large",
    "price_outside_collar",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one market accepts in one order.

    The collar reaches `collar_bps` basis points from the reference price to either side, but never less than
    `collar_minimum`: a percentage alone would close the market at low prices.
    """

    lot: int
    tick: int
    maximum_quantity: int
    maximum_price: int
    maximum_value: int
    collar_bps: int
    collar_minimum: int

    def __post_init__(self) -> None:
        assert self.lot > 0 and self.tick > 0 and self.collar_bps >= 0 and self.collar_minimum >= 0
        assert self.maximum_quantity > 0 and self.maximum_price > 0 and self.maximum_value > 0


def check_order(
    limits: Limits, *, standing: Standing, side: Side, price: int, quantity: int, reference: int | None
) -> RiskCode | None:
    """Return None if the order may enter, else the first reason why not.

    Looked at in this order: standing, quantity, price, value, collar. `standing` is "buy_only" for an account that
    may cure a shortfall but not sell. `reference` None, a market without any price yet, has no collar.
    """
    if standing == "suspended":
        return "standing_suspended"
    if standing == "buy_only" and side == "sell":
        return "standing_buy_only"
    return _check_quantity(limits, quantity) or _check_price(limits, price, quantity, reference)


def collar(limits: Limits, reference: int) -> tuple[int, int]:
    """Return the lowest and the highest price that an order may have around this reference price."""
    assert reference > 0
    width = max(limits.collar_minimum, reference * limits.collar_bps // 10_000)
    return reference - width, reference + width


def permits_required(*, open_asks: int, sold_unsettled: int, bought_unsettled: int) -> int:
    """Return the permits an account must hold back, if all its open asks should trade.

    Permits bought but not yet settled count, so that they can be sold on: the netted settlement delivers them first.
    """
    assert open_asks >= 0 and sold_unsettled >= 0 and bought_unsettled >= 0
    return max(0, open_asks + sold_unsettled - bought_unsettled)


def cash_required(*, open_bids_value: int, bought_value: int, sold_value: int) -> int:
    """Return the money an account must hold back, if all its open bids should trade at their limits.

    `bought_value` and `sold_value` are of trades not yet settled; money from unsettled sales counts, as above.
    """
    assert open_bids_value >= 0 and bought_value >= 0 and sold_value >= 0
    return max(0, open_bids_value + bought_value - sold_value)


def _check_quantity(limits: Limits, quantity: int) -> RiskCode | None:
    if quantity <= 0:
        return "quantity_not_positive"
    if quantity % limits.lot:
        return "quantity_off_lot"
    if quantity > limits.maximum_quantity:
        return "quantity_too_large"
    return None


def _check_price(limits: Limits, price: int, quantity: int, reference: int | None) -> RiskCode | None:
    if price <= 0:
        return "price_not_positive"
    if price % limits.tick:
        return "price_off_tick"
    if price > limits.maximum_price:
        return "price_too_high"
    if price * quantity > limits.maximum_value:
        return "value_too_large"
    if reference is not None:
        low, high = collar(limits, reference)
        if not low <= price <= high:
            return "price_outside_collar"
    return None
