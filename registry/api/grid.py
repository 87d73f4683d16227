"""Grid factors over REST, for everybody: the sets with their qualifiers, their hours, and the series that counts."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import Instant, PublicViewSet, read_parameters
from common import clock
from common.errors import require
from common.rest import ExactDecimal
from registry.engine.grid import Fill
from registry.models import FactorSet, HourlyIntensity
from registry.models.site import ZONE
from registry.services.grid import intensities

MOST_DAYS = 366


class FactorSetSerializer(serializers.ModelSerializer[FactorSet]):
    """One version of a table of intensities. It never changes; of one code the latest version counts."""

    zones = serializers.JSONField(
        read_only=True, help_text="For each zone: first and last hour or year, rows, and how many are missing."
    )

    published_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="From when obligations use it; null where they do not."
    )

    class Meta:
        model = FactorSet
        fields: ClassVar = (
            "id",
            "code",
            "version",
            "resolution",
            "kind",
            "basis",
            "perspective",
            "method",
            "source",
            "licence",
            "retrieved_on",
            "country",
            "for_obligations",
            "note",
            "zones",
            "rows",
            "sha256",
            "loaded_at",
            "published_at",
        )
        read_only_fields = fields


class FactorSetFilters(filters.FilterSet):
    """Narrow the list to one code, or to sets by hour or by year."""

    code = filters.CharFilter(field_name="code")
    resolution = filters.ChoiceFilter(choices=FactorSet.Resolution.choices)
    for_obligations = filters.BooleanFilter()


@extend_schema_view(list=extend_schema(summary="List sets of grid factors"))
class FactorSets(mixins.ListModelMixin, PublicViewSet[FactorSet]):
    """Every version of every set, the latest loaded first."""

    serializer_class = FactorSetSerializer
    filterset_class = FactorSetFilters
    ordering: ClassVar = ("-loaded_at", "-id")

    def rows(self) -> QuerySet[FactorSet]:
        """Every set."""
        return FactorSet.objects.select_related("publication")


class HourSerializer(serializers.ModelSerializer[HourlyIntensity]):
    """One hour of a zone as it was loaded; null where it is missing."""

    g_per_kwh = ExactDecimal(allow_null=True)

    class Meta:
        model = HourlyIntensity
        fields: ClassVar = ("zone", "hour", "g_per_kwh")
        read_only_fields = fields


class HourFilters(filters.FilterSet):
    """Narrow the hours to one zone."""

    zone = filters.CharFilter(field_name="zone")


@extend_schema_view(list=extend_schema(summary="List the hours of a set of grid factors"))
class FactorHours(mixins.ListModelMixin, PublicViewSet[HourlyIntensity]):
    """The hours of one set as they were loaded, missing ones among them."""

    serializer_class = HourSerializer
    filterset_class = HourFilters
    ordering: ClassVar = ("zone", "hour", "id")

    def rows(self) -> QuerySet[HourlyIntensity]:
        """The hours of the set in the address."""
        if getattr(self, "swagger_fake_view", False):
            return HourlyIntensity.objects.none()
        found = intensities.factor_set(self.kwargs["code"], self.kwargs["version"])
        return HourlyIntensity.objects.filter(factor_set=found)


class SeriesParameters(serializers.Serializer[object]):
    """Which hours of which zone."""

    zone = serializers.CharField(validators=[ZONE], help_text="Grid zone in capital letters.")
    start = Instant(help_text="The first hour begins then or after it.")
    end = Instant(help_text="The first instant that no hour begins at any more; at most 366 days later.")


class SeriesHour(serializers.Serializer[Any]):
    """One hour with its intensity and how that is known."""

    hour = serializers.DateTimeField(read_only=True)
    g_per_kwh = ExactDecimal()
    fill = serializers.ChoiceField(choices=[(fill.value, fill.says) for fill in Fill], read_only=True)


class SeriesAnswer(serializers.Serializer[Any]):
    """The hours that obligations are computed with today, without a gap."""

    zone = serializers.CharField(read_only=True)
    factor_sets = serializers.ListField(child=serializers.CharField(), read_only=True)
    hours = SeriesHour(many=True, read_only=True)


class IntensitySeriesView(PublicViewSet[FactorSet]):
    """The intensity of a zone hour by hour, as reports are computed with it now."""

    @extend_schema(
        operation_id="intensities_read",
        summary="Read the intensity of a zone hour by hour",
        description="Missing hours are filled by the stated rules, and each says by which. A zone without an hourly "
        "series has the yearly figure of its country.",
        parameters=[SeriesParameters],
        responses=SeriesAnswer,
        filters=False,
    )
    def read(self, request: Request) -> Response:
        """The hours with the sets they are of."""
        asked = read_parameters(request, SeriesParameters)
        require(
            (asked["end"] - asked["start"]).days <= MOST_DAYS,
            "hours_too_many",
            f"Ask for at most {MOST_DAYS} days at once.",
        )
        series = intensities.series(asked["zone"], asked["start"], asked["end"], at=clock.now())
        hours = [
            {"hour": hour, "g_per_kwh": value, "fill": fill.value}
            for hour, value, fill in zip(series.hours, series.values, series.fills, strict=True)
        ]
        return Response(SeriesAnswer({"zone": series.zone, "factor_sets": list(series.versions), "hours": hours}).data)

    def rows(self) -> QuerySet[FactorSet]:
        """The sets that may be asked."""
        return FactorSet.objects.filter(for_obligations=True)
