"""How the story ended, in tables: where every permit is, prices, who earned, and every operator's letter."""

from django.db.models import Count, F, Max, Min, Sum

from common.quantities import format_money
from demo.cast import PARTIES, PASSWORD
from demo.tables import Teller
from exchange.models import Market, SettlementNet, Trade
from registry import selectors
from registry.models import Period

SCHEMES = ("ai-flop", "ai-co2e")

LOGINS = (
    ("a firm that trades", "trader@marlowe.example"),
    ("its initiator (reports, surrenders)", "initiator@marlowe.example"),
    ("an academic lab's trader", "trader@aldermere.example"),
    ("the verifier", "verifier@verity.example"),
    ("the regulator's desk", "desk@regulator.example"),
    ("a senior officer (approves)", "senior@regulator.example"),
    ("the market monitor", "monitor@regulator.example"),
    ("the auditor", "auditor@audit.example"),
)


def tell(teller: Teller) -> None:
    """Print the end of every period of the story."""
    periods = Period.objects.filter(scheme__code__in=SCHEMES).exclude(status="draft")
    for period in periods.select_related("scheme", "permit").order_by("year", "scheme"):
        teller.chapter(f"{period.scheme.name} {period.year} ({period.status})")
        _permits(teller, period)
        market = Market.objects.filter(period=period).first()
        if market is not None:
            _prices(teller, market)
        if period.status == "closed":
            _net_sellers(teller, period)
            _letters(teller, period)


def tell_logins(teller: Teller) -> None:
    """Say who can log in, and how."""
    teller.chapter("Log in as")
    teller.table(["who", "e-mail", "password"], [[who, email, PASSWORD] for who, email in LOGINS])
    teller.line(f"Every firm and lab has initiator@, approver@ and trader@ ({len(PARTIES)} organisations).")


def _permits(teller: Teller, period: Period) -> None:
    teller.line("Where every permit is")
    found = selectors.where_every_permit_is(period)
    assert found.adds_up, "A permit is missing or one is too many."
    rows = [[place.label, place.quantity] for place in found.places if place.quantity]
    teller.table(["place", "permits"], [*rows, [f"sum (the cap is {found.cap:,})", found.total]])


def _prices(teller: Teller, market: Market) -> None:
    print_of = Trade.objects.filter(market=market)
    figures = print_of.aggregate(
        trades=Count("id"), volume=Sum("lots"), low=Min("price"), high=Max("price"), value=Sum(F("price") * F("lots"))
    )
    if not figures["trades"]:
        return
    first, last = print_of.order_by("id")[0], print_of.order_by("-id")[0]
    teller.line("Prices, EUR for one permit")
    teller.table(
        ["orders", "trades", "permits traded", "first", "low", "high", "last", "average"],
        [
            [
                market.orders.count(),
                figures["trades"],
                figures["volume"] * market.lot,
                *(
                    format_money(market.price_minor(ticks))
                    for ticks in (first.price, figures["low"], figures["high"], last.price)
                ),
                format_money(market.price_minor(figures["value"] // figures["volume"])),
            ]
        ],
    )


def _net_sellers(teller: Teller, period: Period) -> None:
    teller.line("Who sold and who bought, settled")
    nets: dict[str, dict[bool, int]] = {}
    for row in (
        SettlementNet.objects.filter(batch__market__period=period)
        .values("account__owner__name", "asset_id")
        .annotate(total=Sum("net"))
        .order_by("account__owner__name")
    ):
        mine = nets.setdefault(row["account__owner__name"], {True: 0, False: 0})
        mine[row["asset_id"] == period.permit_id] += row["total"]
    cohorts = {party.name: party.cohort for party in PARTIES}
    ranked = sorted(nets.items(), key=lambda item: -item[1][False])
    teller.table(
        ["organisation", "cohort", "permits", "money, EUR"],
        [[name, cohorts.get(name, ""), net[True], format_money(net[False])] for name, net in ranked],
    )


def _letters(teller: Teller, period: Period) -> None:
    teller.line("Compliance")
    teller.table(
        ["operator", "at the deadline", "today", "owed", "surrendered", "sanction, EUR"],
        [
            [
                row.operator.organisation.name,
                row.deadline_status,
                row.present_status,
                row.owed,
                row.surrendered,
                format_money(row.sanction_minor) if row.sanction_minor else "",
            ]
            for row in selectors.compliance_table(period)
        ],
    )
