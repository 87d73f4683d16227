"""Positions: what an account has open and unsettled in a market, and the holds that cover the worst of it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from common.database import assert_in_transaction
from exchange.engine.risk import cash_required, permits_required
from exchange.models import Market, Position
from registry.ledger import services as ledger


class Figures(NamedTuple):
    """A position in figures, or a change of one: lots, and values in minor units."""

    open_ask_lots: int = 0
    open_bid_value: int = 0
    bought_lots: int = 0
    bought_value: int = 0
    sold_lots: int = 0
    sold_value: int = 0

    def plus(self, change: "Figures") -> "Figures":
        """Return the figures after a change."""
        return Figures(*(a + b for a, b in zip(self, change, strict=True)))

    def minus(self, change: "Figures") -> "Figures":
        """Return the figures before a change."""
        return Figures(*(a - b for a, b in zip(self, change, strict=True)))


class Cover(NamedTuple):
    """What must be held, or may be: permits, and cash in minor units."""

    permits: int
    cash: int


def required(lot: int, figures: Figures) -> Cover:
    """Return the worst case of everything open and unsettled."""
    return Cover(
        permits=lot
        * permits_required(
            open_asks=figures.open_ask_lots, sold_unsettled=figures.sold_lots, bought_unsettled=figures.bought_lots
        ),
        cash=cash_required(
            open_bids_value=figures.open_bid_value, bought_value=figures.bought_value, sold_value=figures.sold_value
        ),
    )


class Changed(NamedTuple):
    """A position just changed: its two holds and its figures now."""

    id: int
    permit_hold: int
    cash_hold: int
    figures: Figures


def hold_moves(lot: int, position: Changed, change: Figures) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return for each of the two holds its id, and what it had and has to have before and after the change."""
    before, after = required(lot, position.figures.minus(change)), required(lot, position.figures)
    return (
        (position.permit_hold, before.permits, after.permits),
        (position.cash_hold, before.cash, after.cash),
    )


def lock(position_ids: Iterable[int]) -> None:
    """Lock positions in the order of their ids. Part of other services."""
    assert_in_transaction()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT FROM exchange_position p JOIN unnest(%s::bigint[]) x(id) ON p.id = x.id"
            " ORDER BY p.id FOR NO KEY UPDATE OF p",
            [list(position_ids)],
        )


def change(deltas: Mapping[int, Figures]) -> list[Changed]:
    """Add to the figures of positions; lock them first if there are several. Part of other services."""
    assert_in_transaction()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE exchange_position p SET"
            " open_ask_lots = p.open_ask_lots + x.a, open_bid_value = p.open_bid_value + x.b,"
            " bought_lots = p.bought_lots + x.c, bought_value = p.bought_value + x.d,"
            " sold_lots = p.sold_lots + x.e, sold_value = p.sold_value + x.f"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
            "             %s::bigint[]) x(id, a, b, c, d, e, f)"
            " WHERE p.id = x.id RETURNING p.id, p.permit_hold_id, p.cash_hold_id, p.open_ask_lots, p.open_bid_value,"
            " p.bought_lots, p.bought_value, p.sold_lots, p.sold_value",
            [list(deltas), *(list(column) for column in zip(*deltas.values(), strict=True))],
        )
        return [Changed(row[0], row[1], row[2], Figures(*row[3:])) for row in cursor.fetchall()]


@transaction.atomic(durable=True)
def open_position(*, market: Market, organisation_id: UUID, account_id: int, now: datetime) -> None:
    """Open an account's position with its two standing holds, if it has none.

    In a transaction of its own: everywhere else positions are locked before balances, and here balances come first.
    """
    permit_id, currency_id = market.period.permit_id, market.period.scheme.currency_id
    pairs = [(account_id, permit_id), (account_id, currency_id)]
    ledger.open_balances(pairs)
    ledger.lock_balances(pairs)
    if Position.objects.filter(market=market, account_id=account_id).exists():  # another order came first
        return
    Position.objects.create(
        market=market,
        account_id=account_id,
        organisation_id=organisation_id,
        permit_hold_id=_standing_hold(market, account_id, permit_id, now),
        cash_hold_id=_standing_hold(market, account_id, currency_id, now),
    )


def _standing_hold(market: Market, account_id: int, asset_id: int, now: datetime) -> int:
    assert_in_transaction()
    return ledger.hold(account=account_id, asset=asset_id, quantity=0, purpose="orders", reference=market.code, now=now)
