"""Ledger accounts and holdings over REST: where assets lie, now or at any instant."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import ScopedViewSet
from accounts.api.tokens import OrganisationRef
from common.rest import Digits
from registry.ledger.models import ACCOUNT, Asset, Balance, LedgerAccount


class AccountSerializer(serializers.ModelSerializer[LedgerAccount]):
    """A ledger account. Central accounts have no owner; only those who see everything see them."""

    owner = OrganisationRef(read_only=True, allow_null=True)

    class Meta:
        model = LedgerAccount
        fields: ClassVar = ("number", "kind", "label", "status", "owner", "opened_at")
        read_only_fields = fields


class AccountFilters(filters.FilterSet):
    """Narrow the list by kind, state or owner."""

    kind = filters.ChoiceFilter(choices=LedgerAccount.Kind.choices)
    status = filters.ChoiceFilter(choices=ACCOUNT.choices)
    owner = filters.UUIDFilter()


@extend_schema_view(list=extend_schema(summary="List accounts"), retrieve=extend_schema(summary="Read an account"))
class Accounts(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[LedgerAccount]):
    """Accounts of the organisations in scope."""

    serializer_class = AccountSerializer
    filterset_class = AccountFilters
    scope_path = "owner"
    lookup_field = "number"
    lookup_value_converter = "slug"
    ordering: ClassVar = ("id",)

    def rows(self) -> QuerySet[LedgerAccount]:
        """Every account."""
        return LedgerAccount.objects.select_related("owner")


class HoldingSerializer(serializers.ModelSerializer[Balance]):
    """How much of one asset lies in one account, and how much of that is held for orders or waiting transfers."""

    account = serializers.CharField(source="account.number", read_only=True)
    asset = serializers.CharField(source="asset.code", read_only=True)
    asset_kind = serializers.ChoiceField(source="asset.kind", choices=Asset.Kind.choices, read_only=True)
    balance = Digits(help_text="Permits, or minor units of a currency.")
    held = Digits()
    available = Digits(help_text="The balance less what is held.")
    entries = serializers.IntegerField(read_only=True, help_text="How many transfers there were.")

    class Meta:
        model = Balance
        fields: ClassVar = ("account", "asset", "asset_kind", "balance", "held", "available", "entries", "last_at")
        read_only_fields: ClassVar = ("last_at",)


class HoldingFilters(filters.FilterSet):
    """Narrow the list by account or asset."""

    account = filters.CharFilter(field_name="account__number")
    asset = filters.CharFilter(field_name="asset__code")
    asset_kind = filters.ChoiceFilter(field_name="asset__kind", choices=Asset.Kind.choices)


@extend_schema_view(list=extend_schema(summary="List holdings"))
class Holdings(mixins.ListModelMixin, ScopedViewSet[Balance]):
    """What the accounts in scope hold now, one row for each account and asset."""

    serializer_class = HoldingSerializer
    filterset_class = HoldingFilters
    scope_path = "account__owner"
    ordering: ClassVar = ("id",)

    def rows(self) -> QuerySet[Balance]:
        """Every balance."""
        return Balance.objects.select_related("account", "asset")
