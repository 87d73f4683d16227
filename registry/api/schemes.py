"""Schemes and their periods over REST: what is counted, the calendar, and the cap in force. Anybody may read them."""

from typing import ClassVar

from django.db.models import Prefetch, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import PublicViewSet
from common.rest import Digits, ExactDecimal
from registry.models import PERIOD, Cap, Period, Scheme


class PeriodFilter(filters.CharFilter):
    """Narrows rows to one period by its code; `field_name` is the path to the period."""

    def filter(self, qs: "QuerySet[Period]", value: str) -> "QuerySet[Period]":
        """Keep the rows of the period whose permits have this code, which is its own."""
        if not value:
            return qs
        return qs.filter(**{f"{self.field_name}__permit__code": value})


class SchemeSerializer(serializers.ModelSerializer[Scheme]):
    """A scheme: what it counts, how much one permit covers, and its money."""

    unit = serializers.CharField(source="unit_name", read_only=True, help_text="The unit of unit_size and of reports.")
    unit_size = ExactDecimal(help_text="How much one permit covers.")
    currency = serializers.CharField(source="currency.code", read_only=True)
    large_transfer = Digits(help_text="Transfers of this many permits or more need a second person.")
    sanction_minor = Digits(help_text="For each missing permit, in minor units of the currency.")

    class Meta:
        model = Scheme
        fields: ClassVar = (
            "code",
            "name",
            "metric",
            "unit",
            "unit_size",
            "currency",
            "zone",
            "large_transfer",
            "sanction_minor",
        )


@extend_schema_view(list=extend_schema(summary="List schemes"), retrieve=extend_schema(summary="Read a scheme"))
class Schemes(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[Scheme]):
    """Cap-and-trade programmes."""

    serializer_class = SchemeSerializer
    lookup_field = "code"
    lookup_value_converter = "slug"
    ordering: ClassVar = ("code",)

    def rows(self) -> QuerySet[Scheme]:
        """Every scheme."""
        return Scheme.objects.select_related("currency")


class CapSerializer(serializers.ModelSerializer[Cap]):
    """A cap as two officers published it."""

    quantity = Digits()

    class Meta:
        model = Cap
        fields: ClassVar = ("version", "quantity", "published_at")


class PeriodSerializer(serializers.ModelSerializer[Period]):
    """A compliance period: its calendar, the permits of its vintage, and the cap in force."""

    code = serializers.CharField(read_only=True)
    scheme = serializers.CharField(source="scheme.code", read_only=True)
    permit = serializers.CharField(source="permit.code", read_only=True, help_text="The asset of this vintage.")
    cap = serializers.SerializerMethodField(help_text="Empty until one is published.")

    class Meta:
        model = Period
        fields: ClassVar = (
            "code",
            "scheme",
            "year",
            "starts_on",
            "ends_on",
            "report_due",
            "surrender_due",
            "status",
            "permit",
            "cap",
        )

    @extend_schema_field(CapSerializer(allow_null=True))
    def get_cap(self, period: Period) -> object:
        """The latest version."""
        caps = list(period.caps.all())
        return CapSerializer(caps[0]).data if caps else None


class PeriodFilters(filters.FilterSet):
    """Narrow the list to one scheme, year or state."""

    scheme = filters.CharFilter(field_name="scheme__code")
    year = filters.NumberFilter(min_value=1, max_value=9999)
    status = filters.ChoiceFilter(choices=PERIOD.choices)


@extend_schema_view(list=extend_schema(summary="List periods"), retrieve=extend_schema(summary="Read a period"))
class Periods(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[Period]):
    """Compliance periods, latest year first. A draft is not shown."""

    serializer_class = PeriodSerializer
    filterset_class = PeriodFilters
    lookup_field = "permit__code"
    lookup_url_kwarg = "code"
    lookup_value_converter = "slug"
    ordering: ClassVar = ("-year", "id")

    def rows(self) -> QuerySet[Period]:
        """Every period that is not a draft."""
        latest_first = Prefetch("caps", queryset=Cap.objects.order_by("-version"))
        return Period.objects.exclude(status="draft").select_related("scheme", "permit").prefetch_related(latest_first)
