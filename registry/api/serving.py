"""Serving records over REST: delivering them as JSON or CSV, reading those that count, and what they come to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Generic, TypeVar

from django.db.models import Exists, Model, OuterRef, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import InstantFilter, ScopedViewSet, organisation_of, read_parameters, user_of
from common import clock
from common.bodies import CsvBytes
from common.problems import BadRequest, RefusedBody
from common.rest import Digits, ExactDecimal
from registry.api.monitoring import reader_of
from registry.api.reports import MAX_ERRORS, rows_as_lines
from registry.importers.serving import MAX_OBJECTS
from registry.models import ServingBatch, ServingRecord, Workload
from registry.services.grid import serving
from registry.services.reports import RowsRefused

Row = TypeVar("Row", bound=Model)

FIRST_YEAR, LAST_YEAR = 2000, 2200


class _ReadByVerifiers(ScopedViewSet[Row], Generic[Row]):
    """Rows that the verifier which an operator appointed sees too."""

    def visible(self) -> "QuerySet[Row]":
        """Those that this request may see."""
        return reader_of(self).filter(self.rows(), self.scope_path)


class BatchSerializer(serializers.ModelSerializer[ServingBatch]):
    """One delivery of records. A later one restates every hour that it names of a stream, whole."""

    class Meta:
        model = ServingBatch
        fields: ClassVar = ("id", "organisation", "sha256", "rows", "restated", "key_id", "received_at")
        read_only_fields = fields


class RecordsRequest(serializers.Serializer[object]):
    """Records of streams, and a signature over the document that names their hash."""

    records = serializers.ListField(
        child=serializers.DictField(),
        max_length=MAX_OBJECTS,
        help_text="Each with stream, hour_utc, zone, tier, operating_point, requests, tokens and energy_kwh.",
    )
    key_id = serializers.CharField(max_length=64, default="", allow_blank=True)
    signature = serializers.CharField(max_length=128, default="", allow_blank=True)


class CsvParameters(serializers.Serializer[object]):
    """What a file of records cannot say by itself."""

    name = serializers.CharField(max_length=200, default="records.csv", help_text="Name of the file.")
    key_id = serializers.CharField(max_length=64, default="", help_text="Key that signed the file.")
    signature = serializers.CharField(max_length=128, default="", help_text="Ed25519 in base64.")


@extend_schema_view(list=extend_schema(summary="List batches of serving records"))
class ServingBatches(mixins.ListModelMixin, _ReadByVerifiers[ServingBatch]):
    """Deliveries of the organisations in scope, the latest first; for a verifier those of who appointed it."""

    serializer_class = BatchSerializer
    scope_path = "organisation"
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[ServingBatch]:
        """Every batch."""
        return ServingBatch.objects.all()

    @extend_schema(
        summary="Deliver serving records",
        description="All records are taken, or none. Energy is that of the site, with the PUE in it, as text so that "
        "no digit is lost. The same records again are the same batch.",
        request=RecordsRequest,
        responses={201: BatchSerializer},
        examples=[
            OpenApiExample(
                "One hour of a stream",
                value={
                    "records": [
                        {
                            "stream": "chat",
                            "hour_utc": "2030-03-01T14:00Z",
                            "zone": "CISO",
                            "tier": "full",
                            "operating_point": "fp16",
                            "requests": 120000,
                            "tokens": 96000000,
                            "energy_kwh": "40.8",
                        }
                    ]
                },
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Take them for the token's organisation."""
        asked = RecordsRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        with _records_as_pointers():
            batch = serving.receive_objects(
                actor=user_of(request),
                organisation=organisation_of(request),
                records=values["records"],
                key_id=values["key_id"],
                signature=values["signature"],
                now=clock.now(),
            )
        return Response(BatchSerializer(batch).data, status=status.HTTP_201_CREATED)


class ServingFiles(ScopedViewSet[ServingBatch]):
    """Files of serving records."""

    parser_classes = (CsvBytes,)
    scope_path = "organisation"

    @extend_schema(
        operation_id="serving_batches_csv_create",
        summary="Deliver a file of serving records",
        description="The body is the CSV file itself. A file with any error is refused with all of them by line and "
        "column, and nothing is stored. The same file again is the same batch.",
        parameters=[CsvParameters],
        request={"text/csv": OpenApiTypes.BINARY},
        responses={201: BatchSerializer},
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """Take it for the token's organisation."""
        asked = read_parameters(request, CsvParameters)
        if not isinstance(request.data, bytes):
            raise BadRequest("body_missing", "Send the file as the body, with Content-Type: text/csv.")
        with rows_as_lines():
            batch = serving.receive_file(
                actor=user_of(request),
                organisation=organisation_of(request),
                name=asked["name"],
                content=request.data,
                key_id=asked["key_id"],
                signature=asked["signature"],
                now=clock.now(),
            )
        return Response(BatchSerializer(batch).data, status=status.HTTP_201_CREATED)


class RecordSerializer(serializers.ModelSerializer[ServingRecord]):
    """What a stream served in one hour, for one tier at one operating point."""

    requests = Digits()
    tokens = Digits(allow_null=True)
    energy_kwh = ExactDecimal()

    class Meta:
        model = ServingRecord
        fields: ClassVar = (
            "workload",
            "hour",
            "zone",
            "tier",
            "operating_point",
            "requests",
            "tokens",
            "energy_kwh",
            "batch",
        )
        read_only_fields = fields


class RecordFilters(filters.FilterSet):
    """Narrow the records to a stream, a tier, or a time."""

    workload = filters.UUIDFilter(field_name="workload")
    tier = filters.ChoiceFilter(choices=ServingRecord.Tier.choices)
    start = InstantFilter(field_name="hour", lookup_expr="gte")
    end = InstantFilter(field_name="hour", lookup_expr="lt")


@extend_schema_view(list=extend_schema(summary="List the serving records that count"))
class ServingRecords(mixins.ListModelMixin, _ReadByVerifiers[ServingRecord]):
    """Of each hour of a stream the records of the latest batch."""

    serializer_class = RecordSerializer
    filterset_class = RecordFilters
    scope_path = "batch__organisation"
    ordering: ClassVar = ("hour", "id")

    def rows(self) -> QuerySet[ServingRecord]:
        """Every record that no later batch restated."""
        later = ServingRecord.objects.filter(
            workload=OuterRef("workload"), hour=OuterRef("hour"), batch__gt=OuterRef("batch")
        )
        return ServingRecord.objects.filter(~Exists(later))


class FiguresParameters(serializers.Serializer[object]):
    """Which year, and which stream."""

    year = serializers.IntegerField(min_value=FIRST_YEAR, max_value=LAST_YEAR, help_text="Calendar year in UTC.")
    workload = serializers.UUIDField(required=False, help_text="One stream; without it all of them, at most 200.")


class FiguresSerializer(serializers.Serializer[Any]):
    """One stream in one zone: emissions hour by hour, and what the average of the same hours would have given."""

    workload = serializers.UUIDField(source="workload.pk", read_only=True)
    name = serializers.CharField(source="workload.name", read_only=True)
    zone = serializers.CharField(read_only=True)
    factor_sets = serializers.ListField(source="intensity.versions", child=serializers.CharField(), read_only=True)
    hours = serializers.IntegerField(source="result.hours", read_only=True)
    hours_without_record = serializers.IntegerField(source="result.hours_without_record", read_only=True)
    hours_without_intensity = serializers.IntegerField(source="result.hours_without_intensity", read_only=True)
    requests = Digits()
    energy_kwh = ExactDecimal(source="result.energy_kwh")
    co2e_g = ExactDecimal(source="result.grams", help_text="Hour by hour, with every digit.")
    annual_co2e_g = ExactDecimal(source="result.annual_grams", help_text="By the average of the same hours.")


class ServingFigures(_ReadByVerifiers[Workload]):
    """What streams drew and emitted in a year."""

    scope_path = "system__site__organisation"
    MOST: ClassVar = 200

    def rows(self) -> QuerySet[Workload]:
        """Every stream."""
        return serving.all_streams()

    @extend_schema(
        operation_id="serving_figures_list",
        summary="Read what streams drew and emitted in a year",
        parameters=[FiguresParameters],
        responses=FiguresSerializer(many=True),
        filters=False,
    )
    def read(self, request: Request) -> Response:
        """The figures by stream and zone."""
        asked = read_parameters(request, FiguresParameters)
        streams = self.get_queryset().order_by("name", "pk")
        if "workload" in asked:
            streams = streams.filter(pk=asked["workload"])
        found = serving.figures_of_year(list(streams[: self.MOST]), asked["year"], clock.now())
        return Response(FiguresSerializer(found, many=True).data)


@contextmanager
def _records_as_pointers() -> Iterator[None]:
    """Name the errors of records by their place in the body."""
    try:
        yield
    except RowsRefused as refusal:
        errors = [
            {"pointer": f"/records/{error.line - 1}/{error.column}", "code": error.code, "detail": error.sentence}
            for error in refusal.errors[:MAX_ERRORS]
        ]
        raise RefusedBody(refusal.code, refusal.sentence, errors) from refusal
