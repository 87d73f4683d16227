"""Markets: the list, one market's page with its live parts, and placing and cancelling orders.

The parts that change while one looks (`live`: book and trades; `own`: own orders and position; `prices`: the chart) are
fetched again every few seconds. Each request carries the tag of what is shown, and while that is still so the answer
is 304 after one small query: neither the book is read nor the page touched.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from django.contrib import messages
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Organisation
from common import clock
from common.charts import Chart, Series
from common.errors import Refused, Unknown
from common.forms import refusals_shown_in
from common.idempotency import derive_key
from common.quantities import format_money
from exchange import selectors
from exchange.engine.risk import cash_required, permits_required
from exchange.forms import TicketForm
from exchange.models import ORDER, Command, Market, Order, Position
from exchange.permissions import may_see_position, may_trade
from exchange.sentences import sentence
from exchange.services import orders
from registry.ledger.models import Balance
from registry.models import Operator

LEVELS = 12
TRADES = 30
FINISHED_ORDERS = 15
SERIES = 500


def market_list(request: HttpRequest) -> HttpResponse:
    """Show every market at a glance."""
    return render(request, "exchange/markets.html", {"summaries": selectors.market_summaries()})


@require_GET
def market(request: HttpRequest, code: str) -> HttpResponse:
    """Show one market: prices, book, trades, the ticket, own orders and position."""
    return _market_page(request, _market(code), None)


# The live parts -------------------------------------------------------------------------------------------------------


@require_GET
def live(request: HttpRequest, code: str) -> HttpResponse:
    """Return the book and the trades, or 304 while they are as shown."""
    found = _market(code)
    tag = _live_tag(found)
    if request.headers.get("HX-PTag") == tag:
        return HttpResponse(status=304)
    return _tagged(render(request, "exchange/market.html#live", _live(found)), tag)


@require_GET
def own(request: HttpRequest, code: str) -> HttpResponse:
    """Return one's own orders and position, or 304 while they are as shown."""
    found, acting = _market(code), acting_in(request)
    tag = _own_tag(found, acting.organisation)
    if request.headers.get("HX-PTag") == tag:
        return HttpResponse(status=304)
    return _tagged(render(request, "exchange/market.html#own", _own(found, acting)), tag)


@require_GET
def prices(request: HttpRequest, code: str) -> HttpResponse:
    """Return the price chart, or 304 while there was no trade."""
    found = _market(code)
    tag = _prices_tag(found)
    if request.headers.get("HX-PTag") == tag:
        return HttpResponse(status=304)
    context = {"market": found, "chart": price_chart(found), "prices_tag": tag}
    return _tagged(render(request, "exchange/market.html#prices", context), tag)


def _tagged(response: HttpResponse, tag: str) -> HttpResponse:
    response["HX-PTag"] = tag
    response["Cache-Control"] = "no-store"  # the tag replaces the browser's cache, which would hide a 304 from the page
    return response


def _live_tag(found: Market) -> str:
    """Name the state of the book: every command that changes anything raises the sequence."""
    return f"{found.sequence}.{found.version}.{found.phase}"


def _prices_tag(found: Market) -> str:
    last = found.trades.aggregate(last=Max("pk"))["last"] or 0
    return f"p{last}"


def _own_tag(found: Market, organisation: Organisation | None) -> str:
    """Name the state of one organisation's orders and balances."""
    newest = Order.objects.filter(organisation=organisation, market=found).aggregate(last=Max("pk"))["last"] or 0
    asked = (
        Command.objects.filter(market=found, order__organisation=organisation).aggregate(last=Max("pk"))["last"] or 0
    )
    moved = Balance.objects.filter(account__owner=organisation).aggregate(n=Sum("entries"), held=Sum("held"))
    return f"{_live_tag(found)}.{newest}.{asked}.{moved['n'] or 0}.{moved['held'] or 0}"


def _live(found: Market) -> dict[str, object]:
    book = selectors.book(found, LEVELS)
    deepest = max((level.lots for level in (*book.bids, *book.asks)), default=1)
    context: dict[str, object] = {
        "market": found,
        "bids": [(level, level.lots * found.lot, _tenths(level.lots, deepest)) for level in book.bids],
        "asks": [(level, level.lots * found.lot, _tenths(level.lots, deepest)) for level in book.asks],
        "best_bid_minor": book.bids[0].price_minor if book.bids else None,
        "best_ask_minor": book.asks[0].price_minor if book.asks else None,
        "spread_minor": book.asks[0].price_minor - book.bids[0].price_minor if book.bids and book.asks else None,
        "last_minor": None if found.last_price is None else found.price_minor(found.last_price),
        "trades": [
            (trade, found.price_minor(trade.price), trade.lots * found.lot)
            for trade in selectors.recent_trades(found, TRADES)
        ],
        "live_tag": _live_tag(found),
    }
    if found.phase == "call":
        clearing = selectors.indicative_price(found)
        context["indicative_minor"] = None if clearing.price is None else found.price_minor(clearing.price)
        context["indicative_permits"] = clearing.volume * found.lot
    return context


def _tenths(lots: int, deepest: int) -> int:
    """Return how long a level's bar is, in tenths of the deepest: the policy allows no style in the page itself."""
    return max(1, lots * 10 // deepest)


def _own(found: Market, acting: Acting) -> dict[str, object]:
    organisation = acting.organisation
    shown = organisation is not None and acting.trades and may_see_position(acting.user, organisation)
    rows = _open_first(organisation, found) if organisation is not None and shown else []
    return {
        "market": found,
        "own_orders": [
            OwnOrder(
                order,
                found.price_minor(order.price),
                order.quantity * found.lot,
                order.filled * found.lot,
                order.open * found.lot,
                sentence(order.reason) if order.status == "rejected" else "",
            )
            for order in rows
        ],
        "position": selectors.position(organisation, found) if organisation is not None and shown else None,
        "may_trade": organisation is not None and may_trade(acting.user, organisation),
        "own_tag": _own_tag(found, organisation),
    }


def _open_first(organisation: Organisation, found: Market) -> list[Order]:
    """Return every order that may still trade, however old, and after them the latest that are finished."""
    mine = Order.objects.filter(organisation=organisation, market=found).order_by("-pk")
    return [*mine.exclude(status__in=ORDER.final), *mine.filter(status__in=ORDER.final)[:FINISHED_ORDERS]]


@dataclass(frozen=True)
class OwnOrder:
    """One of one's own orders in permits and money."""

    order: Order
    price_minor: int
    permits: int
    filled: int
    open: int
    reason: str


def price_chart(found: Market) -> Chart:
    """Return the chart of the latest trades, or of the days once there are more trades than a chart can show."""
    currency = found.period.scheme.currency.code.upper()
    series = selectors.price_series(found, limit=SERIES + 1)
    if len(series) > SERIES:
        candles = selectors.daily_candles(found)
        return Chart(
            key="price-chart",
            title=f"Price, {currency} per permit, by day",
            summary=_summary([candle.closing for candle in candles], currency),
            x_label="Day",
            series=[
                Series("Close", kind="money"),
                Series("High", line="2", kind="money"),
                Series("Low", line="3", kind="money"),
            ],
            rows=[
                (datetime.combine(candle.day, time.min, tzinfo=UTC), [candle.closing, candle.high, candle.low])
                for candle in candles
            ],
        )
    return Chart(
        key="price-chart",
        title=f"Price, {currency} per permit",
        summary=_summary([price for _, price, _ in series], currency),
        x_label="Time (UTC)",
        series=[Series("Price", draw="stepped", kind="money")],
        rows=[(at, [price]) for at, price, _ in series],
    )


def _summary(shown: list[int], currency: str) -> str:
    if not shown:
        return "Nothing has traded here yet. The first trade begins the chart."
    first, last, low, high = (format_money(minor) for minor in (shown[0], shown[-1], min(shown), max(shown)))
    return f"From {first} to {last} {currency}, between {low} and {high}."


# Orders ---------------------------------------------------------------------------------------------------------------


@require_POST
def place(request: HttpRequest, code: str) -> HttpResponse:
    """Place an order, or with `check` only show what it would cost and hold."""
    found, acting = _market(code), acting_in(request)
    form = TicketForm(request.POST, market=found)
    if form.is_valid() and "check" not in request.POST:
        with refusals_shown_in(form):
            order = orders.place_order(
                actor=acting.user,
                organisation=acting.for_organisation(),
                market=found,
                side=form.cleaned_data["side"],
                price=form.cleaned_data["price"],
                quantity=form.cleaned_data["quantity"],
                time_in_force=form.cleaned_data["time_in_force"],
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
            if order.status == "rejected":  # it is a row with its reason, and the trader reads that beside the field
                raise Refused(order.reason, sentence(order.reason))
            messages.success(request, _received(order, found))
            return _placed(request, found, acting, order)
    if request.htmx:  # type: ignore[attr-defined]
        status = 422 if form.errors else 200
        return render(request, "exchange/market.html#ticket", _ticket(found, acting, form), status=status)
    return _market_page(request, found, form)


@require_POST
def preview(request: HttpRequest, code: str) -> HttpResponse:
    """Return what an order would cost and hold while it is typed. A POST, so that nothing typed is in an address."""
    found, acting = _market(code), acting_in(request)
    form = TicketForm(request.POST, market=found)
    form.is_valid()
    context = {"preview": _preview(found, acting, form), "market": found}
    return render(request, "exchange/market.html#preview", context)


@require_POST
def cancel(request: HttpRequest, code: str, order_id: uuid.UUID) -> HttpResponse:
    """Ask the market to cancel what is left of an order. Asking twice is asking once."""
    found, acting = _market(code), acting_in(request)
    try:
        orders.cancel_order(
            actor=acting.user,
            order_id=order_id,
            organisation=acting.for_organisation(),
            key=derive_key("page-cancel", order_id),
            now=clock.now(),
        )
    except Unknown:
        raise
    except Refused as refusal:  # it was filled or cancelled while one looked: nothing to correct, only to know
        messages.warning(request, refusal.sentence)
    else:
        messages.success(request, "The market was asked to cancel the order. What traded before stays traded.")
    if request.htmx:  # type: ignore[attr-defined]
        context = _own(found, acting) | {"oob": True, "messages": messages.get_messages(request)}
        return render(request, "exchange/market.html#own_and_messages", context)
    return redirect("market", code)


def _placed(request: HttpRequest, found: Market, acting: Acting, order: Order) -> HttpResponse:
    if not request.htmx:  # type: ignore[attr-defined]
        return redirect("market", found.code)
    fresh = TicketForm(market=found, initial={"side": order.side, "time_in_force": order.time_in_force})
    fresh.fields["quantity"].widget.attrs["autofocus"] = True  # whoever works by the keyboard goes on from here
    context = (
        _ticket(found, acting, fresh) | _own(found, acting) | {"oob": True, "messages": messages.get_messages(request)}
    )
    response = render(request, "exchange/market.html#placed", context)
    response["HX-Reswap"] = "outerHTML"  # a morph would keep what was typed, and a second Enter would order it again
    return response


def _received(order: Order, found: Market) -> str:
    side = "Buy" if order.side == "buy" else "Sell"
    return f"{side} order for {order.quantity * found.lot:,} permits was received and takes its turn in the market."


def _market_page(request: HttpRequest, found: Market, form: TicketForm | None) -> HttpResponse:
    acting = acting_in(request)
    ticket = form or TicketForm(market=found)
    context = (
        _live(found)
        | _own(found, acting)
        | _ticket(found, acting, ticket)
        | {"chart": price_chart(found), "prices_tag": _prices_tag(found), "page": True}
    )
    return render(request, "exchange/market.html", context, status=422 if ticket.errors else 200)


# The ticket -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """What an order would do to the account that places it, permits and minor units."""

    value_minor: int
    is_buy: bool
    held_before: int
    held_after: int
    balance: int

    @property
    def is_covered(self) -> bool:
        """Whether the balance covers what would be held."""
        return self.held_after <= self.held_before or self.held_after <= self.balance


def _ticket(found: Market, acting: Acting, form: TicketForm) -> dict[str, object]:
    return {
        "market": found,
        "form": form,
        "may_trade": acting.organisation is not None and may_trade(acting.user, acting.organisation),
        "preview": _preview(found, acting, form) if form.is_bound else None,
    }


def _preview(found: Market, acting: Acting, form: TicketForm) -> Preview | None:
    """Work out what the typed order would hold; nothing while it is not a whole order yet."""
    typed: Mapping[str, object] = getattr(form, "cleaned_data", {})
    price, lots, side = typed.get("price"), typed.get("quantity"), typed.get("side")
    operator = Operator.objects.filter(organisation=acting.organisation, scheme_id=found.period.scheme_id).first()
    if not isinstance(price, int) or not isinstance(lots, int) or operator is None:
        return None
    row = Position.objects.filter(market=found, account_id=operator.account_id).first() or Position()
    is_buy = side == "buy"
    asset = found.period.scheme.currency_id if is_buy else found.period.permit_id
    balance = Balance.objects.filter(account_id=operator.account_id, asset_id=asset).first() or Balance()
    needed_before = _needed(found, row, is_buy, 0)
    needed_after = _needed(found, row, is_buy, price * lots * found.lot_tick_minor if is_buy else lots)
    return Preview(
        value_minor=price * lots * found.lot_tick_minor,
        is_buy=is_buy,
        held_before=balance.held,
        held_after=balance.held - needed_before + needed_after,
        balance=balance.balance,
    )


def _needed(found: Market, row: Position, is_buy: bool, more: int) -> int:
    """Return what a position must hold if so much more were open."""
    if is_buy:
        return cash_required(
            open_bids_value=row.open_bid_value + more, bought_value=row.bought_value, sold_value=row.sold_value
        )
    return found.lot * permits_required(
        open_asks=row.open_ask_lots + more, sold_unsettled=row.sold_lots, bought_unsettled=row.bought_lots
    )


def _market(code: str) -> Market:
    found = Market.objects.select_related("period__scheme__currency", "period__permit").filter(code=code).first()
    if found is None:
        raise Unknown("market_unknown", "There is no such market. Choose one from the list.")
    return found
