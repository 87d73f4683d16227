"""The tables of the exchange: markets, orders and the commands about them, positions, trades, settlement, closing."""

from exchange.models.closing import STEPS, ClosingStep, PeriodClosing
from exchange.models.market import PHASE, Market
from exchange.models.order import ORDER, Command, Order
from exchange.models.position import Position
from exchange.models.settlement import SettlementBatch, SettlementNet
from exchange.models.trade import Trade

__all__ = [
    "ORDER",
    "PHASE",
    "STEPS",
    "ClosingStep",
    "Command",
    "Market",
    "Order",
    "PeriodClosing",
    "Position",
    "SettlementBatch",
    "SettlementNet",
    "Trade",
]
