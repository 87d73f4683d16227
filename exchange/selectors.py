"""Reads of the exchange: the book by price, the print, prices over time, and one organisation's orders and position.

Nothing here names an owner but to the owner: the book is added up by price and trades carry no parties. Each function
takes the same few queries however much there is to read.
"""

from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection
from django.db.models import QuerySet

from accounts.models import Organisation
from accounts.selectors import Scope
from exchange.engine.call_auction import CallOrder, Clearing, indicative
from exchange.models import Command, Market, Order, PeriodClosing, Position, SettlementBatch, Trade
from registry.ledger.models import Balance
from registry.models import Operator, Period

RESTING = ("new", "partially_filled")


@dataclass(frozen=True, slots=True)
class Level:
    """One price of the book: the price in ticks and in minor units, the lots open there, and in how many orders."""

    price: int
    price_minor: int
    lots: int
    orders: int


@dataclass(frozen=True, slots=True)
class BookDepth:
    """Both sides of a book, best price first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Candle:
    """One day of trading, prices in minor units per permit, volume in permits."""

    day: date
    opening: int
    high: int
    low: int
    closing: int
    permits: int
    trades: int


@dataclass(frozen=True, slots=True)
class MarketSummary:
    """A market at a glance, prices in minor units per permit, volume in permits."""

    market: Market
    last_price_minor: int | None
    best_bid_minor: int | None
    best_ask_minor: int | None
    trades: int
    permits: int
    low_minor: int | None
    high_minor: int | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Holding:
    """One balance: what is there, what of it is held (for orders or otherwise), and what is free."""

    balance: int = 0
    held: int = 0

    @property
    def available(self) -> int:
        """What may be spent now."""
        return self.balance - self.held


@dataclass(frozen=True, slots=True)
class PositionView:
    """What an organisation has in one market: permits, cash in minor units, and what is open and unsettled."""

    permits: Holding
    cash: Holding
    open_ask_permits: int
    open_bid_minor: int
    bought_permits: int
    bought_minor: int
    sold_permits: int
    sold_minor: int

    @property
    def permits_after_settlement(self) -> int:
        """Permits once every trade is settled."""
        return self.permits.balance + self.bought_permits - self.sold_permits

    @property
    def cash_after_settlement(self) -> int:
        """Cash once every trade is settled."""
        return self.cash.balance + self.sold_minor - self.bought_minor


# The market's public side -------------------------------------------------------------------------------------------


def book(market: Market, levels: int = 20) -> BookDepth:
    """Return the best prices of each side with everything open there. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT side, price, lots, orders FROM ("
            "  SELECT side, price, sum(quantity - filled - canceled)::bigint AS lots, count(*) AS orders,"
            "         row_number() OVER (PARTITION BY side ORDER BY CASE side WHEN 'buy' THEN -price ELSE price END) n"
            "    FROM exchange_order WHERE market_id = %s AND status IN ('new', 'partially_filled')"
            "   GROUP BY side, price) ranked"
            " WHERE n <= %s ORDER BY side, n",
            [market.pk, levels],
        )
        rows = cursor.fetchall()
    return BookDepth(
        bids=tuple(Level(price, market.price_minor(price), lots, n) for side, price, lots, n in rows if side == "buy"),
        asks=tuple(Level(price, market.price_minor(price), lots, n) for side, price, lots, n in rows if side == "sell"),
    )


def indicative_price(market: Market) -> Clearing:
    """Return what the call would give if it ended now: price in ticks, volume and surplus in lots. One query."""
    resting = Order.objects.filter(market=market, status__in=RESTING).values_list(
        "pk", "side", "price", "quantity", "filled", "canceled", "sequence"
    )
    return indicative(
        (
            CallOrder(pk, "buy" if side == "buy" else "sell", price, quantity - filled - canceled, sequence or 0)
            for pk, side, price, quantity, filled, canceled, sequence in resting
        ),
        market.last_price,
    )


def recent_trades(market: Market, limit: int = 50) -> QuerySet[Trade]:
    """Return the latest trades, newest first, without their parties."""
    return Trade.objects.filter(market=market).order_by("-pk").defer("buyer", "seller")[:limit]


def price_series(market: Market, since: datetime | None = None, limit: int = 1_000) -> list[tuple[datetime, int, int]]:
    """Return the latest trades as (instant, price in minor units per permit, permits), oldest first. One query."""
    trades = Trade.objects.filter(market=market)
    if since is not None:
        trades = trades.filter(at__gte=since)
    latest = trades.order_by("-pk").values_list("at", "price", "lots")[:limit]
    return [(at, market.price_minor(price), lots * market.lot) for at, price, lots in reversed(latest)]


def daily_candles(market: Market) -> list[Candle]:
    """Return each day's prices and volume, days as the scheme's zone has them, oldest first. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (at AT TIME ZONE %s)::date AS day, (array_agg(price ORDER BY id))[1], max(price), min(price),"
            "       (array_agg(price ORDER BY id DESC))[1], sum(lots)::bigint, count(*)"
            "  FROM exchange_trade WHERE market_id = %s GROUP BY day ORDER BY day",
            [market.period.scheme.zone, market.pk],
        )
        rows = cursor.fetchall()
    return [
        Candle(
            day=day,
            opening=market.price_minor(opening),
            high=market.price_minor(high),
            low=market.price_minor(low),
            closing=market.price_minor(closing),
            permits=lots * market.lot,
            trades=trades,
        )
        for day, opening, high, low, closing, lots, trades in rows
    ]


def market_summaries() -> list[MarketSummary]:
    """Return every market at a glance, in the order of their numbers. One query for all, and one for the markets."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.id, o.bid, o.ask, t.trades, t.lots, t.low, t.high, c.waiting FROM exchange_market m"
            " LEFT JOIN LATERAL (SELECT max(price) FILTER (WHERE side = 'buy') AS bid,"
            "                           min(price) FILTER (WHERE side = 'sell') AS ask FROM exchange_order"
            "                     WHERE market_id = m.id AND status IN ('new', 'partially_filled')) o ON true"
            " LEFT JOIN LATERAL (SELECT count(*) AS trades, coalesce(sum(lots), 0)::bigint AS lots, min(price) AS low,"
            "                           max(price) AS high FROM exchange_trade WHERE market_id = m.id) t ON true"
            " LEFT JOIN LATERAL (SELECT count(*) AS waiting FROM exchange_command"
            "                     WHERE market_id = m.id AND sequence IS NULL AND parked = '') c ON true"
        )
        figures = {row[0]: row[1:] for row in cursor.fetchall()}
    markets = Market.objects.select_related("period__scheme__currency", "period__permit").order_by("number")
    return [_summary(market, *figures[market.pk]) for market in markets if market.pk in figures]


def _summary(
    market: Market,
    bid: int | None,
    ask: int | None,
    trades: int,
    lots: int,
    low: int | None,
    high: int | None,
    waiting: int,
) -> MarketSummary:
    def minor(ticks: int | None) -> int | None:
        return None if ticks is None else market.price_minor(ticks)

    return MarketSummary(
        market=market,
        last_price_minor=minor(market.last_price),
        best_bid_minor=minor(bid),
        best_ask_minor=minor(ask),
        trades=trades,
        permits=lots * market.lot,
        low_minor=minor(low),
        high_minor=minor(high),
        waiting=waiting,
    )


def commands_waiting(market: Market) -> int:
    """Return how many commands the market has still to do."""
    return Command.objects.waiting().filter(market=market).count()


# One organisation's side --------------------------------------------------------------------------------------------


def orders_in_scope(scope: Scope) -> QuerySet[Order]:
    """Orders of the organisations in scope, newest first."""
    return scope.filter(
        Order.objects.select_related("market__period__scheme", "organisation"), "organisation"
    ).order_by("-pk")


def own_orders(organisation: Organisation, market: Market, limit: int = 50) -> QuerySet[Order]:
    """Return an organisation's latest orders in one market, newest first."""
    return Order.objects.filter(organisation=organisation, market=market).order_by("-pk")[:limit]


def position(organisation: Organisation, market: Market) -> PositionView | None:
    """Return what an organisation has in a market, or nothing if it is no operator there. Three queries."""
    operator = Operator.objects.filter(organisation=organisation, scheme_id=market.period.scheme_id).first()
    if operator is None:
        return None
    permit, money = market.period.permit_id, market.period.scheme.currency_id
    holdings = {
        asset: Holding(balance, held)
        for asset, balance, held in Balance.objects.filter(
            account=operator.account_id, asset__in=[permit, money]
        ).values_list("asset_id", "balance", "held")
    }
    row = Position.objects.filter(market=market, account=operator.account_id).first() or Position()
    return PositionView(
        permits=holdings.get(permit, Holding()),
        cash=holdings.get(money, Holding()),
        open_ask_permits=row.open_ask_lots * market.lot,
        open_bid_minor=row.open_bid_value,
        bought_permits=row.bought_lots * market.lot,
        bought_minor=row.bought_value,
        sold_permits=row.sold_lots * market.lot,
        sold_minor=row.sold_value,
    )


# The regulator's side -----------------------------------------------------------------------------------------------


def parked_commands() -> QuerySet[Command]:
    """Return the commands that a market monitor has to decide on, oldest first."""
    return Command.objects.exclude(parked="").filter(outcome="").select_related("market", "order").order_by("pk")


def batches(market: Market) -> QuerySet[SettlementBatch]:
    """Return a market's settlement batches, newest first."""
    return SettlementBatch.objects.filter(market=market).select_related("journal").order_by("-number")


def closing_of(period: Period) -> PeriodClosing | None:
    """Return the closing of a period with its steps, or nothing before it was started. Two queries."""
    return PeriodClosing.objects.filter(period=period).prefetch_related("steps").first()
