"""Efficiency over REST: league tables, labels and published measures for everybody; one's own measures, new ones."""

import base64
import binascii
import uuid
from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import (
    PublicViewSet,
    ScopedViewSet,
    organisation_of,
    refuse_unknown_parameters,
    refused_field,
    user_of,
)
from accounts.api.tokens import OrganisationRef
from common import clock
from common.rest import DecimalQuantity, ExactDecimal
from registry.engine.efficiency import Measurement
from registry.models import (
    MEASURE,
    AiModel,
    Boundary,
    Counted,
    EfficiencyLabel,
    EfficiencyMeasure,
    LabelEdition,
    Scheme,
    TaskClass,
    Workload,
)
from registry.services.efficiency import league, measures
from registry.services.efficiency.measures import Told
from registry.services.monitoring import parts


class FileRequest(serializers.Serializer[object]):
    """A file within a JSON body."""

    name = serializers.CharField(max_length=200)
    content_base64 = serializers.CharField(
        max_length=parts.MAX_PROOF_BYTES * 4 // 3 + 4,
        help_text="PDF, image, CSV or JSON in base64. The whole body has at most 3 MB.",
    )

    def validate_content_base64(self, value: str) -> bytes:
        """Return the bytes."""
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise serializers.ValidationError(
                "Send the file in base64 without line breaks.", code="not_base64"
            ) from error


class FieldSerializer(serializers.Serializer[object]):
    """What figures have in common that are held against each other."""

    task_class = serializers.ChoiceField(choices=TaskClass.choices, read_only=True)
    counted = serializers.ChoiceField(choices=Counted.choices, read_only=True)
    boundary = serializers.ChoiceField(choices=Boundary.choices, read_only=True)


class EfficiencyFiguresSerializer(serializers.Serializer[object]):
    """What is published of a measure: Wh per 1,000 requests or per million tokens with three digits, and shares."""

    before_wh = ExactDecimal()
    after_wh = ExactDecimal()
    saving_percent = serializers.SerializerMethodField()
    quality_percent = serializers.SerializerMethodField()
    within_tolerance = serializers.BooleanField(read_only=True)

    def get_saving_percent(self, figures: league.Figures) -> str:
        """With one place; below zero where more energy is needed than before."""
        return f"{figures.saving_percent:f}"

    def get_quality_percent(self, figures: league.Figures) -> str:
        """With one place; below zero where quality was lost."""
        return f"{figures.quality_percent:f}"


class PublishedMeasureSerializer(serializers.ModelSerializer[EfficiencyMeasure]):
    """A measure without volumes, energy, sizes or hardware."""

    organisation = OrganisationRef(read_only=True)
    verifier = OrganisationRef(read_only=True, allow_null=True)
    field = serializers.SerializerMethodField()
    figures = serializers.SerializerMethodField()
    statement_sha256 = serializers.SerializerMethodField(help_text="Of what the verifier signed; empty before.")

    class Meta:
        model = EfficiencyMeasure
        fields: ClassVar = (
            "id",
            "organisation",
            "title",
            "kinds",
            "status",
            "verifier",
            "field",
            "figures",
            "statement_sha256",
            "published_at",
            "withdrawn_at",
            "withdrawal_reason",
        )
        read_only_fields = fields

    @extend_schema_field(FieldSerializer)
    def get_field(self, measure: EfficiencyMeasure) -> object:
        """Where it is ranked."""
        return FieldSerializer(league.field_of(measure)).data

    @extend_schema_field(EfficiencyFiguresSerializer)
    def get_figures(self, measure: EfficiencyMeasure) -> object:
        """What it saved."""
        return EfficiencyFiguresSerializer(league.figures(measure)).data

    def get_statement_sha256(self, measure: EfficiencyMeasure) -> str:
        """The hash of the signed statement."""
        statement = getattr(measure, "statement", None)
        return statement.sha256 if statement else ""


class MeasureFilters(filters.FilterSet):
    """Narrow the list to a state, an organisation or a task class."""

    status = filters.ChoiceFilter(choices=MEASURE.choices)
    organisation = filters.UUIDFilter(field_name="organisation_id")
    task_class = filters.ChoiceFilter(choices=TaskClass.choices, method="of_class")

    def of_class(self, rows: QuerySet[EfficiencyMeasure], name: str, value: str) -> QuerySet[EfficiencyMeasure]:
        """Keep the measures of one task class."""
        return rows.filter(measurements__moment="after", measurements__task_class=value)


@extend_schema_view(
    list=extend_schema(summary="List published measures"), retrieve=extend_schema(summary="Read a published measure")
)
class PublishedMeasures(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[EfficiencyMeasure]):
    """Measures that were published; withdrawn ones stay, marked."""

    serializer_class = PublishedMeasureSerializer
    filterset_class = MeasureFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-published_at", "-id")

    def rows(self) -> QuerySet[EfficiencyMeasure]:
        """Every measure that was published."""
        return league.public()


class LabelSerializer(serializers.ModelSerializer[EfficiencyLabel]):
    """One to five stars, by an edition."""

    edition = serializers.UUIDField(source="edition_id", read_only=True)
    issued_on = serializers.DateField(source="edition.issued_on", read_only=True)
    rule = serializers.ChoiceField(source="edition.rule", choices=LabelEdition.Rule.choices, read_only=True)
    sha256 = serializers.CharField(source="edition.sha256", read_only=True, help_text="Of the edition's field.")
    measure = serializers.UUIDField(source="measure_id", read_only=True)
    organisation = OrganisationRef(source="measure.organisation", read_only=True)
    wh = ExactDecimal()

    class Meta:
        model = EfficiencyLabel
        fields: ClassVar = ("id", "edition", "issued_on", "rule", "sha256", "measure", "organisation", "stars", "wh")
        read_only_fields = fields


class LabelFilters(filters.FilterSet):
    """Narrow the list to a measure, an edition, or a task class."""

    measure = filters.UUIDFilter(field_name="measure_id")
    edition = filters.UUIDFilter(field_name="edition_id")
    task_class = filters.ChoiceFilter(choices=TaskClass.choices, field_name="edition__task_class")


@extend_schema_view(list=extend_schema(summary="List labels"), retrieve=extend_schema(summary="Read a label"))
class Labels(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[EfficiencyLabel]):
    """Every label of every edition; a label keeps its date."""

    serializer_class = LabelSerializer
    filterset_class = LabelFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-edition__issued_at", "-id")

    def rows(self) -> QuerySet[EfficiencyLabel]:
        """Every label."""
        return EfficiencyLabel.objects.select_related("edition", "measure__organisation")


class LeagueRowSerializer(serializers.Serializer[object]):
    """One place of a league table."""

    place = serializers.IntegerField(read_only=True)
    measure = PublishedMeasureSerializer(read_only=True)
    stars = serializers.IntegerField(source="label.stars", read_only=True, allow_null=True, default=None)
    label_id = serializers.UUIDField(source="label.id", read_only=True, allow_null=True, default=None)


class LeagueSerializer(serializers.Serializer[object]):
    """A league table. Equal figures share a place."""

    field = FieldSerializer(read_only=True)
    rows = LeagueRowSerializer(many=True, read_only=True)


class LeagueFieldSerializer(FieldSerializer):
    """A field in which measures stand published."""

    slug = serializers.CharField(read_only=True, help_text="The league table's name in addresses.")


class Leagues(PublicViewSet[EfficiencyMeasure]):
    """League tables by task class, unit and boundary."""

    def rows(self) -> QuerySet[EfficiencyMeasure]:
        """Every measure that was published."""
        return league.public()

    @extend_schema(summary="List league tables", responses=LeagueFieldSerializer(many=True), filters=False)
    def index(self, request: Request) -> Response:
        """Every field in which something stands published."""
        refuse_unknown_parameters(request, set())
        return Response(LeagueFieldSerializer([field for field, _, _ in league.fields()], many=True).data)

    @extend_schema(summary="Read a league table", responses=LeagueSerializer, filters=False)
    def read(self, request: Request, slug: str) -> Response:
        """The ranking of a field, the least energy first."""
        refuse_unknown_parameters(request, set())
        return Response(LeagueSerializer(league.league(league.field_named(slug))).data)


class MeasurementRequest(serializers.Serializer[object]):
    """What was counted and measured on one side."""

    task_class = serializers.ChoiceField(choices=TaskClass.choices)
    counted = serializers.ChoiceField(choices=Counted.choices)
    boundary = serializers.ChoiceField(choices=Boundary.choices)
    started_on = serializers.DateField()
    ended_on = serializers.DateField(help_text="The last day.")
    quantity = DecimalQuantity(help_text="Requests or tokens, a whole number.")
    energy_kwh = DecimalQuantity()
    batch_size = serializers.IntegerField(min_value=1, max_value=1_000_000)
    number_format = serializers.CharField(max_length=20)
    hardware = serializers.CharField(max_length=120)
    zone = serializers.CharField(max_length=20)
    quality_measure = serializers.CharField(max_length=60)
    quality = DecimalQuantity(help_text="Higher is better.")
    proof = FileRequest()

    def validate_quantity(self, value: Any) -> int:
        """Ask for a whole number."""
        if value != int(value):
            raise serializers.ValidationError("Enter a whole number.", code="quantity_not_whole")
        return int(value)


class MeasureRequest(serializers.Serializer[object]):
    """A measure on a workload or on a model, with the same task measured before and after it."""

    scheme = serializers.SlugField(max_length=50, help_text="Code of a scheme that the organisation takes part in.")
    workload = serializers.UUIDField(required=False, help_text="Id of one of the organisation's workloads.")
    model = serializers.UUIDField(required=False, help_text="Or of one of its models.")
    title = serializers.CharField(max_length=120, help_text="Published with the measure.")
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=EfficiencyMeasure.Kind.choices), min_length=1)
    description = serializers.CharField(max_length=4000, help_text="Never published.")
    quality_tolerance = DecimalQuantity(help_text="The share of the quality that may be lost.")
    before = MeasurementRequest()
    after = MeasurementRequest()


@extend_schema_view(list=extend_schema(summary="List measures"), retrieve=extend_schema(summary="Read a measure"))
class Measures(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[EfficiencyMeasure]):
    """Measures in scope in every state, and those handed to the token's verifier."""

    serializer_class = PublishedMeasureSerializer
    filterset_class = MeasureFilters
    scope_path = "organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-drafted_at", "-id")

    def rows(self) -> QuerySet[EfficiencyMeasure]:
        """Every measure; the scope is asked in visible()."""
        return measures.rows()

    def visible(self) -> QuerySet[EfficiencyMeasure]:
        """Those in scope."""
        return measures.visible(self.scope)

    @extend_schema(
        summary="Record a measure",
        description="Refused with every reason why before and after cannot be compared; then nothing is kept.",
        request=MeasureRequest,
        responses={201: PublishedMeasureSerializer},
    )
    def create(self, request: Request) -> Response:
        """Record it for the token's organisation, as a draft."""
        parts.require_reporter(user_of(request), organisation_of(request))
        reader = MeasureRequest(data=request.data)
        reader.is_valid(raise_exception=True)
        told = _told(request, dict(reader.validated_data))
        made = measures.record_measure(
            actor=user_of(request), organisation=organisation_of(request), told=told, now=clock.now()
        )
        found = measures.rows().get(pk=made.pk)
        return Response(PublishedMeasureSerializer(found).data, status=status.HTTP_201_CREATED)


def _told(request: Request, said: dict[str, Any]) -> Told:
    organisation = organisation_of(request)
    scheme = Scheme.objects.filter(code=said["scheme"]).first()
    if scheme is None:
        raise refused_field("scheme", "scheme_unknown", "There is no such scheme. Compare /schemes/.")
    workload, model = said.get("workload"), said.get("model")
    sides, proofs = {}, {}
    for moment in ("before", "after"):
        proof = said[moment].pop("proof")
        proofs[moment] = (proof["name"], proof["content_base64"])
        sides[moment] = Measurement(**said[moment])
    return Told(
        scheme=scheme,
        workload=_own_workload(organisation.pk, workload) if workload else None,
        ai_model=_own_model(organisation.pk, model) if model else None,
        title=said["title"],
        kinds=said["kinds"],
        description=said["description"],
        quality_tolerance=said["quality_tolerance"],
        before=sides["before"],
        after=sides["after"],
        proof_before=proofs["before"],
        proof_after=proofs["after"],
    )


def _own_workload(owner: uuid.UUID, pk: uuid.UUID) -> Workload:
    rows = Workload.objects.select_related("system__site").filter(system__site__organisation=owner)
    found = rows.filter(pk=pk).first()
    if found is None:
        raise refused_field("workload", "workload_unknown", "Your organisation has no such workload.")
    return found


def _own_model(owner: uuid.UUID, pk: uuid.UUID) -> AiModel:
    found = AiModel.objects.filter(organisation=owner, pk=pk).first()
    if found is None:
        raise refused_field("model", "model_unknown", "Your organisation has no such model. Compare /models/.")
    return found
