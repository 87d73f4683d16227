"""Orders over REST: one's own, placed one by one or many at once, and cancelled."""

import uuid
from collections.abc import Sequence
from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from accounts.api.base import (
    IDEMPOTENCY_HEADER,
    InstantFilter,
    ScopedViewSet,
    idempotency_key,
    organisation_of,
    refused_field,
    user_of,
)
from common import clock
from common.errors import refuse
from common.idempotency import derive_key
from common.rest import Digits, WholeQuantity
from exchange.models import ORDER, Command, Market, Order
from exchange.services import orders
from exchange.services.orders import OrderInput


class OrderSerializer(serializers.ModelSerializer[Order]):
    """An order. Status and time in force have their FIX names."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    organisation = serializers.UUIDField(source="organisation_id", read_only=True)
    market = serializers.CharField(source="market.code", read_only=True)
    price = Digits(help_text="Limit in ticks.")
    price_minor = serializers.SerializerMethodField(help_text="Limit in minor units of the currency per permit.")
    currency = serializers.CharField(source="market.period.scheme.currency.code", read_only=True)
    quantity = Digits(help_text="Lots.")
    filled = Digits(help_text="Lots traded.")
    canceled = Digits(help_text="Lots cancelled, expired or rejected.")
    open = Digits(help_text="Lots that may still trade.")
    sequence = Digits(allow_null=True, help_text="Its place in the market's sequence, once it has one.")

    class Meta:
        model = Order
        fields: ClassVar = (
            "id",
            "organisation",
            "market",
            "side",
            "price",
            "price_minor",
            "currency",
            "quantity",
            "time_in_force",
            "status",
            "filled",
            "canceled",
            "open",
            "reason",
            "sequence",
            "entered_at",
        )
        read_only_fields: ClassVar = ("side", "time_in_force", "status", "reason", "entered_at")

    def get_price_minor(self, order: Order) -> str:
        """The limit in money."""
        return str(order.market.price_minor(order.price))


class OrderTerms(serializers.Serializer[object]):
    """The terms of an order."""

    side = serializers.ChoiceField(choices=Order.Side.choices)
    price = WholeQuantity(help_text="Limit in ticks of the market.")
    quantity = WholeQuantity(help_text="Lots of the market.")
    time_in_force = serializers.ChoiceField(choices=Order.TimeInForce.choices, default=Order.TimeInForce.GTC)


class OrderRequest(OrderTerms):
    """An order to place."""

    market = serializers.CharField(max_length=60, help_text="Code of the market.")


class OrderBatchRequest(serializers.Serializer[object]):
    """Many orders to place in one market at once. A rejected one does not undo the others."""

    market = serializers.CharField(max_length=60, help_text="Code of the market.")
    orders = serializers.ListField(child=OrderTerms(), allow_empty=False, max_length=orders.MAX_BATCH)


class OrderBatchAnswer(serializers.Serializer[object]):
    """The orders as they were placed, in the order given."""

    orders = OrderSerializer(many=True, read_only=True)


class CancelAnswer(serializers.Serializer[Command]):
    """A cancellation that was accepted. The market does it in its turn; what trades before stays traded."""

    command = serializers.CharField(source="pk", read_only=True)
    order = serializers.UUIDField(source="order.public_id", read_only=True)
    entered_at = serializers.DateTimeField(read_only=True)


class OrderFilters(filters.FilterSet):
    """Narrow the list by market, side, state, organisation or time."""

    market = filters.CharFilter(field_name="market__code")
    organisation = filters.UUIDFilter()
    side = filters.ChoiceFilter(choices=Order.Side.choices)
    status = filters.MultipleChoiceFilter(choices=ORDER.choices)
    entered_from = InstantFilter(field_name="entered_at", lookup_expr="gte")
    entered_to = InstantFilter(field_name="entered_at", lookup_expr="lt")


@extend_schema_view(list=extend_schema(summary="List orders"), retrieve=extend_schema(summary="Read an order"))
class Orders(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Order]):
    """Orders of the organisations in scope, latest first."""

    serializer_class = OrderSerializer
    filterset_class = OrderFilters
    scope_path = "organisation"
    lookup_field = "public_id"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[Order]:
        """Every order."""
        return Order.objects.select_related("market__period__scheme__currency")

    @extend_schema(
        summary="Place an order",
        description="The answer comes when the order is stored and covered; the market matches it in its turn. An "
        "order that the rules of trading turn down is stored too: its status is rejected and its reason says why.",
        parameters=[IDEMPOTENCY_HEADER],
        request=OrderRequest,
        responses={201: OrderSerializer},
        examples=[
            OpenApiExample(
                "Buy ten lots",
                value={"market": "ai-flop-2030", "side": "buy", "price": "2500", "quantity": "10"},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Place it."""
        key = idempotency_key(request, "orders")
        asked = OrderRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        terms = dict(asked.validated_data)
        order = orders.place_order(
            actor=user_of(request),
            organisation=organisation_of(request),
            market=_market(terms.pop("market")),
            **terms,
            key=key,
            now=clock.now(),
        )
        location = reverse("order-detail", kwargs={"public_id": order.public_id}, request=request)
        return Response(OrderSerializer(order).data, status=status.HTTP_201_CREATED, headers={"Location": location})

    @extend_schema(
        summary="Place many orders at once",
        description="All are stored or none; then each is accepted or rejected by itself. Up to 10,000.",
        parameters=[IDEMPOTENCY_HEADER],
        request=OrderBatchRequest,
        responses={201: OrderBatchAnswer},
        examples=[
            OpenApiExample(
                "A bid and an offer",
                value={
                    "market": "ai-flop-2030",
                    "orders": [
                        {"side": "buy", "price": "2490", "quantity": "5"},
                        {"side": "sell", "price": "2510", "quantity": "5"},
                    ],
                },
                request_only=True,
            )
        ],
    )
    def create_batch(self, request: Request) -> Response:
        """Place them."""
        batch = idempotency_key(request, "orders/batch")
        asked = OrderBatchRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        keys = [derive_key(batch, place) for place in range(len(values["orders"]) + 1)]
        _require_same_length(request, keys)
        placed = orders.place_orders(
            actor=user_of(request),
            organisation=organisation_of(request),
            market=_market(values["market"]),
            orders=[OrderInput(**terms, key=key) for terms, key in zip(values["orders"], keys, strict=False)],
            now=clock.now(),
        )
        return Response(OrderBatchAnswer({"orders": placed}).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Cancel an order",
        parameters=[IDEMPOTENCY_HEADER],
        responses={202: OpenApiResponse(CancelAnswer, "Accepted; the market does it in its turn.")},
    )
    def destroy(self, request: Request, public_id: uuid.UUID) -> Response:
        """Ask the market to cancel what is left."""
        command = orders.cancel_order(
            actor=user_of(request),
            order_id=public_id,
            organisation=organisation_of(request),
            key=idempotency_key(request, "orders/cancel"),
            now=clock.now(),
        )
        return Response(CancelAnswer(command).data, status=status.HTTP_202_ACCEPTED)


def _market(code: str) -> Market:
    market = Market.objects.select_related("period__scheme__currency").filter(code=code).first()
    if market is None:
        raise refused_field("market", "market_unknown", "There is no market of this code. Compare /markets/.")
    return market


def _require_same_length(request: Request, keys: Sequence[uuid.UUID]) -> None:
    """Refuse a batch whose key came before with fewer or more orders. The last key is one past the batch's end."""
    known = set(Order.objects.filter(organisation=organisation_of(request), key__in=keys).values_list("key", flat=True))
    if known and known != set(keys[:-1]):
        refuse("key_reused", "This Idempotency-Key was used before for another batch. Use a new one.")
