"""What the exchange answers when the registry asks about trading: prices, and who sold and bought how much.

Only settled trades count, and a trade between members of one corporate group is no sale: nothing left the group.
"""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from fractions import Fraction

from django.db.models import F, QuerySet, Sum

from exchange.models import Trade
from registry import ports
from registry.models import GroupMember, Period


def register() -> None:
    """Let the registry ask. Called once, when the app is ready."""
    ports.answer(average_price=average_price, net_trades=net_trades, latest_price=latest_price)


def average_price(period: Period, since: datetime, until: datetime) -> Fraction | None:
    """Return the average price of settled trades in a period's permits, in minor units a permit, by volume; exact."""
    settled = _settled(period).filter(at__gte=since, at__lt=until)
    sums = settled.aggregate(value=Sum(F("price") * F("lots")), traded=Sum("lots"))
    if not sums["traded"]:
        return None
    tick_minor = settled.values_list("market__tick_minor", flat=True)[:1].get()
    return Fraction(int(sums["value"]) * tick_minor, int(sums["traded"]))


def latest_price(period: Period) -> ports.Quote | None:
    """Return the price of the latest trade in a period's permits, settled or not: it is what a buyer sees today."""
    trade = Trade.objects.filter(market__period=period).select_related("market").order_by("-pk").first()
    return ports.Quote(trade.market.price_minor(trade.price), trade.at) if trade is not None else None


def net_trades(period: Period, organisations: Collection[uuid.UUID]) -> Mapping[uuid.UUID, ports.NetTrade]:
    """Return what each organisation sold and bought of a period's permits outside its own group."""
    groups = dict(
        GroupMember.objects.filter(until__isnull=True, organisation__in=organisations).values_list(
            "organisation_id", "group_id"
        )
    )
    pairs = (
        _settled(period)
        .order_by()
        .values("seller__organisation_id", "buyer__organisation_id", "market__lot")
        .annotate(sum=Sum("lots"))
    )
    sold: dict[uuid.UUID, int] = {}
    bought: dict[uuid.UUID, int] = {}
    for row in pairs:
        seller, buyer = row["seller__organisation_id"], row["buyer__organisation_id"]
        if groups.get(seller, seller) == groups.get(buyer, buyer):
            continue
        permits = int(row["sum"]) * row["market__lot"]
        sold[seller] = sold.get(seller, 0) + permits
        bought[buyer] = bought.get(buyer, 0) + permits
    wanted = set(organisations) & (sold.keys() | bought.keys())
    return {one: ports.NetTrade(sold.get(one, 0), bought.get(one, 0)) for one in wanted}


def _settled(period: Period) -> QuerySet[Trade]:
    return Trade.objects.filter(market__period=period, batch__isnull=False)
