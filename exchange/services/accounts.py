"""What the exchange knows of an account: what is open there before it may end."""

from django.db.models import Q

from common.errors import Refused
from exchange.models import ORDER, Order, Position
from registry.ledger.models import LedgerAccount

RESTING = tuple(state for state in ORDER.states if state not in ORDER.final)


def still_open(account: LedgerAccount) -> list[Refused]:
    """Return the orders and trades that keep an account from being closed or handed over."""
    found = []
    resting = Order.objects.filter(position__account=account, status__in=RESTING).count()
    if resting:
        found.append(Refused("orders_open", f"{resting:,} orders are open. Cancel them first."))
    unsettled = Position.objects.filter(account=account).filter(Q(bought_lots__gt=0) | Q(sold_lots__gt=0))
    markets = ", ".join(unsettled.order_by("market__code").values_list("market__code", flat=True))
    if markets:
        found.append(Refused("trades_unsettled", f"Trades are not settled yet in {markets}. Settle the market first."))
    return found
