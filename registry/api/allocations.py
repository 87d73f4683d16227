"""Allocation over REST: the runs that were executed, their frozen inputs, and each line with its figures."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import OversightViewSet, PublicViewSet, ScopedViewSet
from accounts.api.tokens import OrganisationRef
from common.rest import Digits
from registry.api.schemes import PeriodFilter
from registry.models import AllocationLine, AllocationRun


class AllocationSerializer(serializers.ModelSerializer[AllocationRun]):
    """One executed run: how a cap was divided, by which rules and from which inputs."""

    period = serializers.CharField(source="period.code", read_only=True)
    cap = Digits()
    free = Digits(help_text="Permits given to operators.")
    set_aside = Digits(help_text="Permits kept for academic and small labs.")
    auction = Digits(help_text="Permits to be sold.")
    journal = serializers.CharField(source="journal_id", read_only=True)

    class Meta:
        model = AllocationRun
        fields: ClassVar = (
            "id",
            "period",
            "rules_version",
            "inputs_sha256",
            "cap",
            "free",
            "set_aside",
            "auction",
            "journal",
            "executed_at",
        )
        read_only_fields = fields


class AllocationFilters(filters.FilterSet):
    """Narrow the list to one period."""

    period = PeriodFilter()


@extend_schema_view(
    list=extend_schema(summary="List executed allocations"), retrieve=extend_schema(summary="Read an allocation")
)
class Allocations(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[AllocationRun]):
    """Allocations that were executed. Anybody may read how a cap was divided."""

    serializer_class = AllocationSerializer
    filterset_class = AllocationFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-executed_at", "-id")

    def rows(self) -> QuerySet[AllocationRun]:
        """Every executed run."""
        return AllocationRun.objects.filter(status="executed").select_related("period__permit", "period__scheme")


class AllocationInputs(OversightViewSet[AllocationRun]):
    """The frozen inputs of a run, which hold figures of every operator. For the regulator and auditors."""

    def rows(self) -> QuerySet[AllocationRun]:
        """Every run."""
        return AllocationRun.objects.all()

    @extend_schema(
        operation_id="allocations_inputs",
        summary="Read the frozen inputs of an allocation",
        responses=OpenApiTypes.OBJECT,
        filters=False,
    )
    def read(self, request: Request, pk: Any) -> Response:
        """The document whose hash the run names."""
        run = self.get_queryset().filter(pk=pk).first()
        if run is None:
            raise Http404
        return Response(run.inputs)


class AllocationLineSerializer(serializers.ModelSerializer[AllocationLine]):
    """What one operator got by one method, with each step of the calculation."""

    id = serializers.CharField(read_only=True)
    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    figures = serializers.DictField(read_only=True, help_text="Each step of the calculation, by name.")
    claim = Digits(help_text="Permits claimed before any correction to fit the pool.")
    quantity = Digits()

    class Meta:
        model = AllocationLine
        fields: ClassVar = ("id", "organisation", "method", "figures", "claim", "quantity")
        read_only_fields: ClassVar = ("method",)


@extend_schema_view(list=extend_schema(summary="List the lines of an allocation"))
class AllocationLines(mixins.ListModelMixin, ScopedViewSet[AllocationLine]):
    """Lines of an executed run for the organisations in scope."""

    serializer_class = AllocationLineSerializer
    scope_path = "operator__organisation"
    ordering: ClassVar = ("id",)

    def rows(self) -> QuerySet[AllocationLine]:
        """Every line of the run in the address."""
        if getattr(self, "swagger_fake_view", False):
            return AllocationLine.objects.none()
        if not AllocationRun.objects.filter(pk=self.kwargs["pk"], status="executed").exists():
            raise Http404
        return AllocationLine.objects.filter(run=self.kwargs["pk"]).select_related("operator__organisation")
