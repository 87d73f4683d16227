"""How the story's parties trade: a few simple habits over what anyone can see, and their own position.

Every choice comes from the seed, the day and the market's own state, so that the same seed gives the same orders.
"""

from dataclasses import dataclass
from random import Random

ANCHOR = 60
"""What a permit seems worth before anybody has traded, in ticks. Whoever is short pays up to twice that at the end."""


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
    if view.spare < 0:
        intentions = _buy_before_the_deadline(view, chance)
    elif habit == "quoter":
        intentions = _quote(view, chance)
    else:
        intentions = _sell_surplus(view, chance, patience=2 if habit == "lab" else 4)
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
    worth = round(ANCHOR * (1 + urgency))
    price = min(round(reference * (1 + chance.uniform(-0.04, 0.03))), worth)
    if view.best_ask is not None and view.best_ask <= worth and (urgency > 0.6 or chance.random() < 0.4):
        return [Intention("buy", view.best_ask, lots, "ioc" if chance.random() < 0.5 else "gtc")]
    return [Intention("buy", price, lots)]


def _sell_surplus(view: View, chance: Random, patience: int) -> list[Intention]:
    """Offer part of the surplus, a little above the market, and take a good bid when there is one."""
    free = view.spare - view.own_ask_lots
    if free <= 0 or chance.random() < 0.15:
        return []
    lots = max(1, free // max(patience, view.days - view.day - patience))
    reference = view.last_price or ANCHOR
    price = max(round(reference * (1 + chance.uniform(-0.03, 0.04))), ANCHOR * 3 // 4)
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
