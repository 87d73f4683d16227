"""Positions: what an account has open and unsettled in a market, and the holds that cover the worst of it."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

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


def hold_changes(
    lot: int, before: Figures, after: Figures, permit_hold: int, cash_hold: int
) -> list[ledger.HoldChange]:
    """Return the holds that a change of figures moves, with their new quantities."""
    was, will_be = required(lot, before), required(lot, after)
    changes = []
    if will_be.permits != was.permits:
        changes.append(ledger.HoldChange(permit_hold, will_be.permits))
    if will_be.cash != was.cash:
        changes.append(ledger.HoldChange(cash_hold, will_be.cash))
    return changes


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
