"""What clients measured, over REST: projects, experiments and runs, for the operator's own people and who checks them.

Clients write through the API that they speak themselves; nothing is written here.
"""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import InstantFilter, ScopedViewSet
from accounts.api.tokens import OrganisationRef
from common.rest import ExactDecimal
from registry import meters
from registry.api.monitoring import reader_of
from registry.models import MeterExperiment, MeterProject, MeterRun


class MeterProjectSerializer(serializers.ModelSerializer[MeterProject]):
    """Clients that report for one operator, mostly those of one site."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    scheme = serializers.SlugField(source="operator.scheme.code", read_only=True)

    class Meta:
        model = MeterProject
        fields: ClassVar = ("id", "organisation", "scheme", "site", "name", "description", "created_at")
        read_only_fields = fields


class MeterProjectFilters(filters.FilterSet):
    """Narrow the list to one organisation."""

    organisation = filters.UUIDFilter(field_name="operator__organisation")


@extend_schema_view(
    list=extend_schema(summary="List meter projects"), retrieve=extend_schema(summary="Read a meter project")
)
class MeterProjects(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[MeterProject]):
    """Projects in scope; for a verifier those of operators that appointed it."""

    serializer_class = MeterProjectSerializer
    filterset_class = MeterProjectFilters
    scope_path = "operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[MeterProject]:
        """Every project."""
        return MeterProject.objects.all()

    def visible(self) -> QuerySet[MeterProject]:
        """Those that this request may see."""
        return meters.projects_visible(reader_of(self))


class MeterExperimentSerializer(serializers.ModelSerializer[MeterExperiment]):
    """The runs of one activity in one country, and the workload they belong to."""

    class Meta:
        model = MeterExperiment
        fields: ClassVar = (
            "id",
            "project",
            "workload",
            "activity",
            "name",
            "description",
            "country",
            "region",
            "on_cloud",
            "cloud_provider",
            "cloud_region",
            "created_at",
        )
        read_only_fields = fields


class MeterExperimentFilters(filters.FilterSet):
    """Narrow the list to one project."""

    project = filters.UUIDFilter(field_name="project")


@extend_schema_view(
    list=extend_schema(summary="List meter experiments"), retrieve=extend_schema(summary="Read a meter experiment")
)
class MeterExperiments(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[MeterExperiment]):
    """Experiments of the projects in scope."""

    serializer_class = MeterExperimentSerializer
    filterset_class = MeterExperimentFilters
    scope_path = "project__operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[MeterExperiment]:
        """Every experiment."""
        return MeterExperiment.objects.all()

    def visible(self) -> QuerySet[MeterExperiment]:
        """Those that this request may see."""
        return reader_of(self).filter(self.rows(), self.scope_path)


class MeterRunSerializer(serializers.ModelSerializer[MeterRun]):
    """One run with what it measured: the sum of its readings, or its own latest totals."""

    readings = serializers.IntegerField(source="reading_count", read_only=True)
    last_reading_at = serializers.DateTimeField(read_only=True, allow_null=True)
    energy_kwh = ExactDecimal(
        allow_null=True, help_text="At the site: the PUE that the client was given is in it. Null without a reading."
    )
    claimed_co2e_kg = ExactDecimal(allow_null=True, help_text="By the client's own factors: kept, never counted.")

    class Meta:
        model = MeterRun
        fields: ClassVar = (
            "id",
            "experiment",
            "source",
            "client_run",
            "label",
            "country",
            "cpu_model",
            "gpu_count",
            "gpu_model",
            "client_version",
            "tracking_mode",
            "pue",
            "started_at",
            "received_at",
            "content_sha256",
            "readings",
            "last_reading_at",
            "energy_kwh",
            "claimed_co2e_kg",
        )
        read_only_fields = fields


class MeterRunFilters(filters.FilterSet):
    """Narrow the list to a project, an experiment, or a time of receipt."""

    project = filters.UUIDFilter(field_name="experiment__project")
    experiment = filters.UUIDFilter(field_name="experiment")
    received_from = InstantFilter(field_name="received_at", lookup_expr="gte")
    received_to = InstantFilter(field_name="received_at", lookup_expr="lt")


@extend_schema_view(list=extend_schema(summary="List meter runs"), retrieve=extend_schema(summary="Read a meter run"))
class MeterRuns(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[MeterRun]):
    """Runs of the projects in scope, the latest received first."""

    serializer_class = MeterRunSerializer
    filterset_class = MeterRunFilters
    scope_path = "experiment__project__operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-received_at", "-id")

    def rows(self) -> QuerySet[MeterRun]:
        """Every run with what it measured."""
        return meters.with_figures(MeterRun.objects.all())

    def visible(self) -> QuerySet[MeterRun]:
        """Those that this request may see."""
        return reader_of(self).filter(self.rows(), self.scope_path)
