"""Ledger accounts and holdings over REST: where assets lie, now or at any instant."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import ScopedViewSet
from accounts.api.tokens import OrganisationRef
from common.rest import Digits
from registry.ledger.models import ACCOUNT, Asset, Balance, LedgerAccount
from registry.models import GRADE, AccountTerms


class TermsSerializer(serializers.ModelSerializer[AccountTerms]):
    """The holder's own rules for sending from an account."""

    transfer_limit = Digits(allow_null=True, help_text="The largest single transfer; null for no limit.")

    class Meta:
        model = AccountTerms
        fields: ClassVar = (
            "second_person_always",
            "outside_list",
            "second_person_for_surrender",
            "confirms_incoming",
            "transfer_limit",
        )
        read_only_fields: ClassVar = (
            "second_person_always",
            "outside_list",
            "second_person_for_surrender",
            "confirms_incoming",
        )


class AccountSerializer(serializers.ModelSerializer[LedgerAccount]):
    """A ledger account. Central accounts have no owner; only those who see everything see them."""

    owner = OrganisationRef(read_only=True, allow_null=True)
    grade = serializers.SerializerMethodField(help_text="What the account may do; see the guide to accounts.")
    grade_reason = serializers.SerializerMethodField()
    terms = serializers.SerializerMethodField(help_text="The holder's own rules.")

    class Meta:
        model = LedgerAccount
        fields: ClassVar = (
            "number",
            "kind",
            "label",
            "status",
            "grade",
            "grade_reason",
            "terms",
            "owner",
            "opened_at",
        )
        read_only_fields: ClassVar = ("number", "kind", "label", "status", "opened_at")

    @extend_schema_field(serializers.ChoiceField(choices=GRADE.choices))
    def get_grade(self, account: LedgerAccount) -> str:
        """Return the grade as it counts: what the ledger froze or closed is so, whatever the terms say."""
        return account.status if account.status != "open" else _terms(account).grade

    def get_grade_reason(self, account: LedgerAccount) -> str:
        """Return why an officer gave it this grade."""
        return _terms(account).grade_reason

    @extend_schema_field(TermsSerializer)
    def get_terms(self, account: LedgerAccount) -> object:
        """Return the rules, the usual ones where none were set."""
        return TermsSerializer(_terms(account)).data


def _terms(account: LedgerAccount) -> AccountTerms:
    terms: AccountTerms = getattr(account, "terms", None) or AccountTerms(account=account)
    return terms


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
        return LedgerAccount.objects.select_related("owner", "terms")


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
