"""What is always true of the exchange: after every pass, after every fault, and here asked of all rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import zip_longest
from typing import Any

from django.db import connection

from common.invariants import Finding, Invariant, sql_invariant
from exchange.engine import netting
from exchange.engine.session import Changes, Command, Session
from exchange.models import STEPS, Market, SettlementBatch, SettlementNet

_ORDERS = "SELECT count(*) FROM exchange_order"
_TRADES = "SELECT count(*) FROM exchange_trade"
_POSITIONS = "SELECT count(*) FROM exchange_position"
_BATCHES = "SELECT count(*) FROM exchange_settlementbatch WHERE at <= %(as_of)s::timestamptz"


def _nets_follow_from_trades(as_of: datetime | None) -> Finding:
    """Let the auditor's side of the netting engine recompute each batch."""
    batches = SettlementBatch.objects.select_related("market__period__scheme").order_by("pk")
    if as_of is not None:
        batches = batches.filter(at__lte=as_of)
    checked = 0
    for batch in batches:
        posted = [
            netting.Net(*row)
            for row in SettlementNet.objects.filter(batch=batch).values_list("account_id", "asset_id", "net")
        ]
        checked += len(posted)
        differences = netting.differences(_trades_of(batch), posted)
        if differences:
            return checked, {"batch": batch.pk, **differences[0]._asdict()}
    return checked, None


def _trades_of(batch: SettlementBatch) -> Iterator[netting.Trade]:
    market = batch.market
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT b.account_id, s.account_id, t.price, sum(t.lots)::bigint FROM exchange_trade t"
            "  JOIN exchange_position b ON b.id = t.buyer_id JOIN exchange_position s ON s.id = t.seller_id"
            " WHERE t.batch_id = %s GROUP BY 1, 2, 3",
            [batch.pk],
        )
        for buyer, seller, price, lots in cursor.fetchall():
            yield netting.Trade(
                buyer,
                seller,
                market.period.permit_id,
                market.period.scheme.currency_id,
                lots * market.lot,
                market.price_minor(price),
            )


def _replay_gives_the_same(as_of: datetime | None) -> Finding:
    """Run every market's commands again from the first and compare trades and orders with the rows."""
    checked = 0
    for market in Market.objects.order_by("number"):
        session, changes = Session(), Changes()
        for sequence, command in _commands(market):
            session.run(command, changes)
            checked += 1
            if session.sequence != sequence:
                return checked, {"market": market.code, "sequence": sequence, "replayed": session.sequence}
        stored = _rows(
            "SELECT sequence, ordinal, price, lots, buy_order_id, sell_order_id, buyer_id, seller_id, taker"
            "  FROM exchange_trade WHERE market_id = %s ORDER BY sequence, ordinal",
            market,
        )
        offender = _first_difference(market, "trade", stored, changes.trades)
        if offender is None:
            finished = _rows(
                "SELECT id, status, filled, canceled, sequence FROM exchange_order"
                " WHERE market_id = %s AND sequence IS NOT NULL ORDER BY id",
                market,
            )
            replayed = sorted((o.order_id, o.status, o.filled, o.canceled, o.sequence) for o in changes.orders.values())
            offender = _first_difference(market, "order", finished, replayed)
        if offender is not None:
            return checked, offender
    return checked, None


def _commands(market: Market) -> Iterator[tuple[int, Command]]:
    for row in _rows(
        "SELECT c.sequence, c.id, c.kind, c.phase, o.id, o.position_id, o.side, o.price, o.quantity, o.time_in_force"
        "  FROM exchange_command c LEFT JOIN exchange_order o ON o.id = c.order_id"
        " WHERE c.market_id = %s AND c.sequence IS NOT NULL ORDER BY c.sequence",
        market,
    ):
        yield row[0], Command(*row[1:])


def _rows(sql: str, market: Market) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [market.pk])
        return list(cursor.fetchall())


def _first_difference(
    market: Market, what: str, stored: Iterable[tuple[object, ...]], replayed: Iterable[tuple[object, ...]]
) -> Mapping[str, object] | None:
    for one, other in zip_longest(stored, replayed):
        if one is None or other is None or tuple(one) != tuple(other):
            return {"market": market.code, f"stored {what}": one, f"replayed {what}": other}
    return None


def _closings_step_by_step(as_of: datetime | None) -> Finding:
    done: dict[int, list[str]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, c.finished_at IS NOT NULL, s.name FROM exchange_periodclosing c"
            "  LEFT JOIN exchange_closingstep s ON s.closing_id = c.id ORDER BY c.id, s.ordinal"
        )
        finished = {}
        for closing, is_finished, name in cursor.fetchall():
            finished[closing] = is_finished
            done[closing] += [name] if name else []
    for closing, names in done.items():
        if tuple(names) != STEPS[: len(names)] or finished[closing] != (tuple(names) == STEPS):
            return len(done), {"closing": closing, "steps": names, "finished": finished[closing]}
    return len(done), None


INVARIANTS: list[Invariant] = [
    sql_invariant(
        "Each order was filled by exactly the lots of its trades",
        counted=_ORDERS,
        breaches="""
            SELECT o.id AS order_id, o.quantity, o.filled, o.canceled, t.lots
              FROM exchange_order o
              LEFT JOIN (SELECT order_id, sum(lots) AS lots
                           FROM (SELECT buy_order_id AS order_id, lots FROM exchange_trade
                                 UNION ALL SELECT sell_order_id, lots FROM exchange_trade) legs
                          GROUP BY order_id) t ON t.order_id = o.id
             WHERE o.filled <> coalesce(t.lots, 0) OR o.filled + o.canceled > o.quantity
             ORDER BY o.id""",
        present_only=True,
    ),
    sql_invariant(
        "The status of each order fits its filled, open and cancelled lots",
        counted=_ORDERS,
        breaches="""
            SELECT id AS order_id, status, quantity, filled, canceled, sequence, reason FROM exchange_order
             WHERE NOT CASE status
                   WHEN 'pending_new' THEN filled = 0 AND canceled = 0 AND sequence IS NULL
                   WHEN 'new' THEN filled = 0 AND canceled = 0 AND sequence IS NOT NULL
                   WHEN 'partially_filled' THEN filled BETWEEN 1 AND quantity - 1 AND canceled = 0
                   WHEN 'filled' THEN filled = quantity
                   WHEN 'rejected' THEN canceled = quantity AND reason <> ''
                   ELSE canceled >= 1 AND filled + canceled = quantity AND reason <> '' END
             ORDER BY id""",
        present_only=True,
    ),
    sql_invariant(
        "No trade lies outside the limit of either order, or joins what does not belong together",
        counted=f"{_TRADES} WHERE at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT t.id AS trade_id, t.price, b.price AS bid, s.price AS ask
              FROM exchange_trade t
              JOIN exchange_order b ON b.id = t.buy_order_id
              JOIN exchange_order s ON s.id = t.sell_order_id
             WHERE t.at <= %(as_of)s::timestamptz
               AND (t.price > b.price OR t.price < s.price OR b.side <> 'buy' OR s.side <> 'sell'
                    OR b.market_id <> t.market_id OR s.market_id <> t.market_id
                    OR b.position_id <> t.buyer_id OR s.position_id <> t.seller_id
                    OR b.organisation_id = s.organisation_id)
             ORDER BY t.id""",
    ),
    sql_invariant(
        "Each trade stands at the instant of the command that made it",
        counted=_TRADES,
        breaches="""
            SELECT t.id AS trade_id, t.sequence, t.at, c.entered_at
              FROM exchange_trade t
              LEFT JOIN exchange_command c ON c.market_id = t.market_id AND c.sequence = t.sequence
             WHERE c.id IS NULL OR c.entered_at <> t.at OR c.phase IN ('halted', 'closed') AND c.kind <> 'uncross'
             ORDER BY t.id""",
        present_only=True,
    ),
    sql_invariant(
        "Each command has its own place, and each market's sequence has no gap",
        counted="SELECT count(*) FROM exchange_command WHERE sequence IS NOT NULL",
        breaches="""
            SELECT m.code, m.sequence, c.done, c.last
              FROM exchange_market m
              LEFT JOIN (SELECT market_id, count(sequence) AS done, max(sequence) AS last FROM exchange_command
                          GROUP BY market_id) c ON c.market_id = m.id
             WHERE m.sequence <> coalesce(c.done, 0) OR m.sequence <> coalesce(c.last, 0)
             ORDER BY m.number""",
        present_only=True,
    ),
    sql_invariant(
        "Each position is the sum of its open orders and unsettled trades",
        counted=_POSITIONS,
        breaches="""
            SELECT p.id AS position_id, p.open_ask_lots, o.asks, p.open_bid_value, o.bids, p.bought_lots,
                   b.lots AS bought, p.bought_value, b.value AS paid, p.sold_lots, s.lots AS sold, p.sold_value,
                   s.value AS received
              FROM exchange_position p
              JOIN exchange_market m ON m.id = p.market_id
              CROSS JOIN LATERAL (
                SELECT coalesce(sum(quantity - filled - canceled) FILTER (WHERE side = 'sell'), 0) AS asks,
                       coalesce(sum((quantity - filled - canceled) * price) FILTER (WHERE side = 'buy'), 0)
                       * m.tick_minor * m.lot AS bids
                  FROM exchange_order
                 WHERE position_id = p.id AND status IN ('pending_new', 'new', 'partially_filled')) o
              CROSS JOIN LATERAL (
                SELECT coalesce(sum(lots), 0) AS lots, coalesce(sum(lots * price), 0) * m.tick_minor * m.lot AS value
                  FROM exchange_trade WHERE buyer_id = p.id AND batch_id IS NULL) b
              CROSS JOIN LATERAL (
                SELECT coalesce(sum(lots), 0) AS lots, coalesce(sum(lots * price), 0) * m.tick_minor * m.lot AS value
                  FROM exchange_trade WHERE seller_id = p.id AND batch_id IS NULL) s
             WHERE (p.open_ask_lots, p.open_bid_value, p.bought_lots, p.bought_value, p.sold_lots, p.sold_value)
                   <> (o.asks, o.bids, b.lots, b.value, s.lots, s.value)
             ORDER BY p.id""",
        present_only=True,
    ),
    sql_invariant(
        "What is held for orders is exactly the worst case of what is open and unsettled",
        counted="SELECT 2 * count(*) FROM exchange_position",
        breaches="""
            SELECT p.id AS position_id, w.permits, h.quantity AS permits_held, w.cash, c.quantity AS cash_held
              FROM exchange_position p
              JOIN exchange_market m ON m.id = p.market_id
              JOIN ledger_hold h ON h.id = p.permit_hold_id
              JOIN ledger_hold c ON c.id = p.cash_hold_id
              CROSS JOIN LATERAL (
                SELECT m.lot * greatest(0, p.open_ask_lots + p.sold_lots - p.bought_lots) AS permits,
                       greatest(0, p.open_bid_value + p.bought_value - p.sold_value) AS cash) w
             WHERE h.quantity <> w.permits OR c.quantity <> w.cash OR h.status <> 'open' OR c.status <> 'open'
             ORDER BY p.id""",
        present_only=True,
    ),
    sql_invariant(
        "No book in continuous trading is crossed",
        counted="SELECT count(*) FROM exchange_market WHERE phase = 'continuous'",
        breaches="""
            SELECT m.code, b.bid, b.ask
              FROM exchange_market m
              CROSS JOIN LATERAL (
                SELECT max(price) FILTER (WHERE side = 'buy') AS bid, min(price) FILTER (WHERE side = 'sell') AS ask
                  FROM exchange_order WHERE market_id = m.id AND status IN ('new', 'partially_filled')) b
             WHERE m.phase = 'continuous' AND b.bid >= b.ask
               AND NOT EXISTS (SELECT FROM exchange_command c
                                WHERE c.market_id = m.id AND c.sequence IS NULL AND c.kind = 'uncross')
             ORDER BY m.number""",
        present_only=True,
    ),
    sql_invariant(
        "Each batch counts the trades that it settled",
        counted=_BATCHES,
        breaches="""
            SELECT b.id AS batch_id, b.trade_count, t.trades, b.lots, t.lots AS lots_found, b.value_minor, t.value
              FROM exchange_settlementbatch b
              JOIN exchange_market m ON m.id = b.market_id
              CROSS JOIN LATERAL (
                SELECT count(*) AS trades, coalesce(sum(lots), 0) AS lots,
                       coalesce(sum(lots * price), 0) * m.tick_minor * m.lot AS value,
                       count(*) FILTER (WHERE market_id <> b.market_id) AS strangers
                  FROM exchange_trade WHERE batch_id = b.id) t
             WHERE (b.trade_count, b.lots, b.value_minor) <> (t.trades, t.lots, t.value) OR t.strangers > 0
             ORDER BY b.id""",
        present_only=True,
    ),
    Invariant("The nets of each batch follow from its trades", _nets_follow_from_trades),
    sql_invariant(
        "The nets of each batch are the transfers of its journal, through the clearing account",
        counted="SELECT count(*) FROM exchange_settlementnet",
        breaches="""
            SELECT n.batch_id, n.account_id, n.asset_id, n.net, t.account_id AS moved_for, t.asset_id AS moved_asset,
                   t.moved
              FROM (SELECT b.journal_id, x.* FROM exchange_settlementnet x
                      JOIN exchange_settlementbatch b ON b.id = x.batch_id) n
              FULL JOIN (
                SELECT r.journal_id, r.asset_id, CASE WHEN d.account_id = m.clearing_id THEN c.account_id
                                                      ELSE d.account_id END AS account_id,
                       sum(CASE WHEN d.account_id = m.clearing_id THEN r.amount ELSE -r.amount END) AS moved
                  FROM exchange_settlementbatch b
                  JOIN exchange_market m ON m.id = b.market_id
                  JOIN ledger_transfer r ON r.journal_id = b.journal_id
                  JOIN ledger_balance d ON d.id = r.debit_id
                  JOIN ledger_balance c ON c.id = r.credit_id
                 GROUP BY 1, 2, 3) t
                ON t.journal_id = n.journal_id AND t.account_id = n.account_id AND t.asset_id = n.asset_id
             WHERE n.net IS DISTINCT FROM t.moved
             ORDER BY n.batch_id, n.account_id""",
        present_only=True,
    ),
    Invariant("Replaying the commands gives the same trades and orders", _replay_gives_the_same, present_only=True),
    Invariant("Each closing took its steps in order, each once", _closings_step_by_step, present_only=True),
]
