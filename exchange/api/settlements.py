"""Settlement over REST: what each account received and delivered in each batch, so that anybody can add up the nets."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import ScopedViewSet
from common.rest import Digits
from exchange.models import SettlementNet


class SettlementSerializer(serializers.ModelSerializer[SettlementNet]):
    """The net of one account in one asset. The nets of an asset in a batch sum to zero."""

    id = serializers.CharField(read_only=True)
    market = serializers.CharField(source="batch.market.code", read_only=True)
    batch = serializers.IntegerField(source="batch.number", read_only=True, help_text="1, 2, 3 and so on in a market.")
    trades = serializers.IntegerField(source="batch.trade_count", read_only=True, help_text="Trades in the batch.")
    account = serializers.CharField(source="account.number", read_only=True)
    asset = serializers.CharField(source="asset.code", read_only=True)
    net = Digits(help_text="Received; negative for what was delivered.")
    journal = serializers.CharField(source="batch.journal_id", read_only=True, allow_null=True)
    at = serializers.DateTimeField(source="batch.at", read_only=True)

    class Meta:
        model = SettlementNet
        fields: ClassVar = ("id", "market", "batch", "trades", "account", "asset", "net", "journal", "at")


class SettlementFilters(filters.FilterSet):
    """Narrow the list to one market, batch, account or asset."""

    market = filters.CharFilter(field_name="batch__market__code")
    batch = filters.NumberFilter(field_name="batch__number", min_value=1, max_value=2**31 - 1)
    account = filters.CharFilter(field_name="account__number")
    asset = filters.CharFilter(field_name="asset__code")


@extend_schema_view(list=extend_schema(summary="List settlement nets"))
class Settlements(mixins.ListModelMixin, ScopedViewSet[SettlementNet]):
    """Nets of the accounts in scope, latest batch first."""

    serializer_class = SettlementSerializer
    filterset_class = SettlementFilters
    scope_path = "account__owner"
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[SettlementNet]:
        """Every net."""
        return SettlementNet.objects.select_related("batch__market", "account", "asset")
