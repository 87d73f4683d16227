"""How the story's parties trade: a few simple habits over what anyone can see, and their own position.

Every choice comes from the seed, the day and the market's own state, so that the same seed gives the same orders.
"""

from dataclasses import dataclass
from random import Random

ANCHOR = 60
"""Where a first price is guessed, in ticks, before anybody has traded."""


@dataclass(frozen=True)
class View:
    """What a trader sees before the day's decision. Quantities in lots, prices in ticks."""

    day: int
    days: int
    last_price: int | None
    best_bid: int | None
    best_ask: int | None
    spare: int
    """Lots it could sell and still cover its own need; negative when it is short."""
    cash_lots: int
    """Lots it could pay for at the last price."""
    own_bid_lots: int
    own_ask_lots: int
    lowest: int
    highest: int
    """The band of prices that the market accepts today."""


@dataclass(frozen=True)
class Intention:
    """An order the trader wants to enter."""

    side: str
    price: int
    lots: int
    time_in_force: str = "gtc"


def decide(habit: str, view: View, chance: Random) -> list[Intention]:
    """Return the day's orders of one trader by its habit."""
    match habit:
        case "quoter":
            intentions = _quote(view, chance)
        case "lab":
            intentions = _sell_surplus(view, chance, patience=2)
        case _ if view.spare < 0:
            intentions = _buy_before_the_deadline(view, chance)
        case _:
            intentions = _sell_surplus(view, chance, patience=4)
    return [
        Intention(one.side, min(max(one.price, view.lowest), view.highest), one.lots, one.time_in_force)
        for one in intentions
        if one.lots > 0
    ]


def _buy_before_the_deadline(view: View, chance: Random) -> list[Intention]:
    """Buy an even share of what is missing each day; bid higher as the end comes near, and cross at the end."""
    missing = -view.spare - view.own_bid_lots
    if missing <= 0:
        return []
    days_left = max(1, view.days - view.day)
    lots = min(-(-missing // days_left) + chance.randint(0, 2), missing, max(0, view.cash_lots))
    urgency = view.day / view.days
    reference = view.last_price or ANCHOR
    price = reference + round(reference * (urgency * 0.08 + chance.uniform(-0.05, 0.03)))
    if view.best_ask is not None and (urgency > 0.5 or chance.random() < 0.4):
        return [Intention("buy", max(price, view.best_ask), lots, "ioc" if chance.random() < 0.5 else "gtc")]
    return [Intention("buy", price, lots)]


def _sell_surplus(view: View, chance: Random, patience: int) -> list[Intention]:
    """Offer part of the surplus, a little above the market, and take a good bid when there is one."""
    free = view.spare - view.own_ask_lots
    if free <= 0 or chance.random() < 0.15:
        return []
    lots = max(1, free // max(patience, view.days - view.day - patience))
    reference = view.last_price or ANCHOR
    price = reference + round(reference * chance.uniform(-0.02, 0.06))
    if view.best_bid is not None and view.best_bid >= reference and chance.random() < 0.5:
        return [Intention("sell", view.best_bid, lots, "ioc")]
    return [Intention("sell", price, lots)]


def _quote(view: View, chance: Random) -> list[Intention]:
    """Quote both sides around the last price while the surplus lasts."""
    reference = view.last_price or ANCHOR
    width = max(1, round(reference * 0.03))
    lots = max(0, min(view.spare - view.own_ask_lots, 40))
    bid_lots = min(20 + chance.randint(0, 10), max(0, view.cash_lots)) if view.own_bid_lots < 200 else 0
    return [
        Intention("sell", reference + width, lots // 2 or lots),
        Intention("buy", max(1, reference - width), bid_lots),
    ]
