"""Questions that the registry asks of an app above it: the exchange knows what was traded and at which price.

Each question is answered by a function that the answering app registers when Django starts. Without an answer the
registry goes on as if nothing had been traded, and a rule that needs the figure says that it is missing.
"""

import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from fractions import Fraction
from typing import NamedTuple

from registry.models import Period


class NetTrade(NamedTuple):
    """What one organisation sold and bought in settled trades, in permits."""

    sold: int
    bought: int


class Quote(NamedTuple):
    """What somebody paid for one permit, in minor units, and when."""

    price_minor: int
    at: datetime


AveragePrice = Callable[[Period, datetime, datetime], Fraction | None]
"""The average price of settled trades in a period's permits between two instants, in minor units, by volume."""
NetTrades = Callable[[Period, Collection[uuid.UUID]], Mapping[uuid.UUID, NetTrade]]
"""What organisations sold and bought of a period's permits in settled trades."""

LatestPrice = Callable[[Period], "Quote | None"]
"""The price of the latest trade in a period's permits."""

_average_price: list[AveragePrice] = []
_net_trades: list[NetTrades] = []
_latest_price: list[LatestPrice] = []


def answer(*, average_price: AveragePrice, net_trades: NetTrades, latest_price: LatestPrice) -> None:
    """Register who answers. There is one market; whoever registers last answers."""
    _average_price[:], _net_trades[:], _latest_price[:] = [average_price], [net_trades], [latest_price]


def average_price(period: Period, since: datetime, until: datetime) -> Fraction | None:
    """Return the average price of a permit in minor units, or nothing where nobody traded."""
    return _average_price[0](period, since, until) if _average_price else None


def net_trades(period: Period, organisations: Collection[uuid.UUID]) -> Mapping[uuid.UUID, NetTrade]:
    """Return what organisations sold and bought; those who did not trade are missing."""
    return _net_trades[0](period, organisations) if _net_trades else {}


def latest_price(period: Period) -> Quote | None:
    """Return what a permit cost in the latest trade, or nothing where nobody traded."""
    return _latest_price[0](period) if _latest_price else None
