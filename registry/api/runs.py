"""Published runs over REST: allocations, reserves and letters with their rules, inputs and result, for everybody."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import PublicViewSet
from common import clock
from registry.api.schemes import PeriodFilter
from registry.models import PublishedRun
from registry.services import runs


class RunSerializer(serializers.ModelSerializer[PublishedRun]):
    """One published run. Its document is read by itself; `sha256` is the hash of its canonical form."""

    period = serializers.CharField(source="period.code", read_only=True)

    class Meta:
        model = PublishedRun
        fields: ClassVar = ("id", "kind", "period", "number", "sha256", "rules_sha256", "published_at")
        read_only_fields = fields


class RunFilters(filters.FilterSet):
    """Narrow the list to one period or kind."""

    period = PeriodFilter()
    kind = filters.ChoiceFilter(choices=PublishedRun.Kind.choices)


@extend_schema_view(
    list=extend_schema(summary="List published runs"), retrieve=extend_schema(summary="Read a published run")
)
class Runs(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[PublishedRun]):
    """Allocations, flows of reserves, sales and letters as they were published. Letters come when names are public."""

    serializer_class = RunSerializer
    filterset_class = RunFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-published_at", "-id")

    def rows(self) -> QuerySet[PublishedRun]:
        """Every run that everybody may read, without its document."""
        return runs.public(clock.now()).defer("document")


class RunDocuments(PublicViewSet[PublishedRun]):
    """The document of a run: rules, inputs and result. `manage.py recompute` works it out again from the file alone."""

    def rows(self) -> QuerySet[PublishedRun]:
        """Every run that everybody may read."""
        return runs.public(clock.now())

    @extend_schema(
        operation_id="runs_document",
        summary="Read the document of a published run",
        responses=OpenApiTypes.OBJECT,
        filters=False,
    )
    def read(self, request: Request, pk: Any) -> Response:
        """The document whose hash the run names."""
        run = self.get_queryset().filter(pk=pk).first()
        if run is None:
            raise Http404
        return Response(run.document)
