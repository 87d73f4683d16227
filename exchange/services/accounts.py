"""What the exchange knows of an account: what is open there before it may end, and orders of one that may not trade."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from common.errors import Refused
from common.idempotency import derive_key
from exchange.models import ORDER, Command, Market, Order, Position
from exchange.services import locks, waking
from registry.ledger.models import LedgerAccount

RESTING = tuple(state for state in ORDER.states if state not in ORDER.final)
STOPPED = ("restricted", "receive_only", "suspended", "frozen")
"""Grades of accounts whose resting orders are withdrawn; the others have none."""


def still_open(account: LedgerAccount) -> list[Refused]:
    """Return the orders and trades that keep an account from being closed or handed over."""
    found = []
    resting = Order.objects.filter(position__account=account, status__in=RESTING).count()
    if resting:
        found.append(Refused("orders_open", f"Open orders: {resting:,}. Cancel them first."))
    unsettled = Position.objects.filter(account=account).filter(Q(bought_lots__gt=0) | Q(sold_lots__gt=0))
    markets = ", ".join(unsettled.order_by("market__code").values_list("market__code", flat=True))
    if markets:
        found.append(Refused("trades_unsettled", f"Trades are not settled yet in {markets}. Settle the market first."))
    return found


def withdraw_stopped_orders(*, now: datetime) -> int:
    """Ask to cancel the orders that rest from accounts that may not trade any more; return how many were asked for.

    Asking again asks for nothing new: each order is withdrawn under one key.
    """
    open_here = _stopped_positions().values_list("market", "pk").order_by("market", "pk")
    by_market: dict[UUID, list[int]] = {}
    for market_id, position_id in open_here:
        by_market.setdefault(market_id, []).append(position_id)
    return sum(_withdraw(market_id, positions, now) for market_id, positions in by_market.items())


@transaction.atomic(durable=True)
def _withdraw(market_id: UUID, positions: list[int], now: datetime) -> int:
    """Enter the cancels of one market. Orders on their way in are waited for by nobody: the next round finds them."""
    market = Market.objects.get(pk=market_id)
    locks.share_phase(market)
    market.refresh_from_db(fields=["phase"])
    orders = Order.objects.filter(
        position__in=_stopped_positions().filter(pk__in=positions), status__in=RESTING
    ).order_by("pk")
    asked = 0
    for order in orders:
        _, is_new = Command.objects.get_or_create(
            key=derive_key("withdraw", order.pk),
            defaults={
                "market": market,
                "kind": Command.Kind.CANCEL,
                "order": order,
                "entered_at": now,
                "phase": market.phase,
            },
        )
        asked += is_new
    if asked:
        transaction.on_commit(lambda: waking.wake(market))
    return asked


def _stopped_positions() -> QuerySet[Position]:
    return Position.objects.filter(Q(open_ask_lots__gt=0) | Q(open_bid_value__gt=0)).filter(
        Q(account__terms__grade__in=STOPPED) | Q(account__status="frozen")
    )
