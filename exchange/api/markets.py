"""Market data over REST: markets, the order book by price, and the print of trades. Nobody's name is in them."""

from typing import ClassVar

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import InstantFilter, PublicViewSet, read_parameters
from common.rest import Digits
from exchange import selectors
from exchange.models import PHASE, Market, Order, Trade

MAX_DEPTH = 200


class MarketSerializer(serializers.ModelSerializer[Market]):
    """A market: one period's permits against money. Prices are counted in ticks and quantities in lots."""

    period = serializers.CharField(source="period.code", read_only=True)
    permit = serializers.CharField(source="period.permit.code", read_only=True)
    currency = serializers.CharField(source="period.scheme.currency.code", read_only=True)
    tick_minor = Digits(help_text="One tick, in minor units of the currency per permit.")
    lot = Digits(help_text="Permits in one lot.")
    max_order_lots = Digits()
    last_price = Digits(allow_null=True, help_text="Price of the last trade, in ticks.")
    version = Digits(help_text="Changes with the book.")

    class Meta:
        model = Market
        fields: ClassVar = (
            "code",
            "period",
            "permit",
            "currency",
            "phase",
            "tick_minor",
            "lot",
            "max_order_lots",
            "collar_bps",
            "last_price",
            "version",
            "opened_at",
        )
        read_only_fields = fields


class LevelSerializer(serializers.Serializer[object]):
    """One price of the book."""

    price = Digits(help_text="Ticks.")
    price_minor = Digits(help_text="Minor units of the currency per permit.")
    quantity = Digits(source="lots", help_text="Lots.")
    orders = serializers.IntegerField(read_only=True, help_text="How many orders.")


class BookSerializer(serializers.Serializer[object]):
    """The resting orders of a market, summed by price, best first."""

    market = serializers.CharField(read_only=True)
    phase = serializers.CharField(read_only=True)
    sequence = Digits(help_text="The last command that the market has done.")
    version = Digits()
    last_price = Digits(allow_null=True)
    bids = LevelSerializer(many=True, read_only=True)
    asks = LevelSerializer(many=True, read_only=True)


class BookParameters(serializers.Serializer[object]):
    """How deep to look."""

    depth = serializers.IntegerField(
        min_value=1, max_value=MAX_DEPTH, default=20, help_text="Prices on each side, 1 to 200."
    )


class MarketFilters(filters.FilterSet):
    """Narrow the list by phase or scheme."""

    phase = filters.ChoiceFilter(choices=PHASE.choices)
    scheme = filters.CharFilter(field_name="period__scheme__code")


@extend_schema_view(list=extend_schema(summary="List markets"), retrieve=extend_schema(summary="Read a market"))
class Markets(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[Market]):
    """The markets of the exchange."""

    serializer_class = MarketSerializer
    filterset_class = MarketFilters
    lookup_field = "code"
    lookup_value_converter = "slug"
    ordering: ClassVar = ("number",)

    def rows(self) -> QuerySet[Market]:
        """Every market."""
        return Market.objects.select_related("period__permit", "period__scheme__currency")

    @extend_schema(
        summary="Read the order book of a market", parameters=[BookParameters], responses=BookSerializer, filters=False
    )
    @action(detail=True, filter_backends=())
    def book(self, request: Request, code: str) -> Response:
        """Prices with their quantities, best first."""
        depth = read_parameters(request, BookParameters)["depth"]
        market = self.get_object()
        levels = selectors.book(market, depth)
        return Response(
            BookSerializer(
                {
                    "market": market.code,
                    "phase": market.phase,
                    "sequence": market.sequence,
                    "version": market.version,
                    "last_price": market.last_price,
                    "bids": levels.bids,
                    "asks": levels.asks,
                }
            ).data
        )


class TradeSerializer(serializers.ModelSerializer[Trade]):
    """One trade of the print. An order is named to those in whose scope it is, and to nobody else."""

    id = serializers.CharField(read_only=True)
    market = serializers.CharField(source="market.code", read_only=True)
    sequence = Digits(help_text="The command that made it.")
    price = Digits(help_text="Ticks.")
    price_minor = serializers.SerializerMethodField(help_text="Minor units of the currency per permit.")
    currency = serializers.CharField(source="market.period.scheme.currency.code", read_only=True)
    quantity = Digits(source="lots", help_text="Lots.")
    buy_order = serializers.SerializerMethodField(help_text="One's own order; null outside one's scope.")
    sell_order = serializers.SerializerMethodField(help_text="One's own order; null outside one's scope.")
    settled = serializers.SerializerMethodField(help_text="Whether permits and money have changed hands.")

    class Meta:
        model = Trade
        fields: ClassVar = (
            "id",
            "market",
            "sequence",
            "ordinal",
            "price",
            "price_minor",
            "currency",
            "quantity",
            "taker",
            "buy_order",
            "sell_order",
            "settled",
            "at",
        )
        read_only_fields: ClassVar = ("ordinal", "taker", "at")

    def get_price_minor(self, trade: Trade) -> str:
        """The price in money."""
        return str(trade.market.price_minor(trade.price))

    def get_settled(self, trade: Trade) -> bool:
        """Whether it is in a settlement batch."""
        return trade.batch_id is not None

    def get_buy_order(self, trade: Trade) -> str | None:
        """The buyer's order."""
        return self._if_in_scope(trade.buy_order)

    def get_sell_order(self, trade: Trade) -> str | None:
        """The seller's order."""
        return self._if_in_scope(trade.sell_order)

    def _if_in_scope(self, order: Order) -> str | None:
        view = self.context["view"]
        assert isinstance(view, Trades)
        return str(order.public_id) if view.scope.covers(order.organisation_id) else None


class TradeFilters(filters.FilterSet):
    """Narrow the list to one market, a time, or the trades of one's own orders."""

    market = filters.CharFilter(field_name="market__code")
    at_from = InstantFilter(field_name="at", lookup_expr="gte")
    at_to = InstantFilter(field_name="at", lookup_expr="lt")
    own = filters.BooleanFilter(method="only_own", label="Only trades of orders in one's scope.")

    def only_own(self, rows: "QuerySet[Trade]", name: str, value: bool) -> "QuerySet[Trade]":
        """Keep the trades of which a side is in scope."""
        if not value:
            return rows
        view = self.request.parser_context["view"]
        assert isinstance(view, Trades)
        if view.scope.everything:
            return rows
        ids = view.scope.organisation_ids
        return rows.filter(Q(buyer__organisation__in=ids) | Q(seller__organisation__in=ids))


@extend_schema_view(list=extend_schema(summary="List trades"))
class Trades(mixins.ListModelMixin, PublicViewSet[Trade]):
    """The public print of trades, latest first."""

    serializer_class = TradeSerializer
    filterset_class = TradeFilters
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[Trade]:
        """Every trade."""
        return Trade.objects.select_related("market__period__scheme__currency", "buy_order", "sell_order")
