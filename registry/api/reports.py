"""Reports over REST: versions with their totals, their lines, and what the verifier said; and filing them."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import ClassVar

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ScopedViewSet, organisation_of, read_parameters, user_of
from accounts.api.tokens import OrganisationRef
from accounts.permissions import has_role
from common import clock
from common.bodies import CsvBytes
from common.downloads import streamed_file
from common.problems import BadRequest, RefusedBody
from common.rest import DecimalQuantity, Digits, ExactDecimal
from registry.api.bodies import own_operator, period_in_body
from registry.api.schemes import PeriodFilter
from registry.models import REPORT, EvidenceFile, Report, ReportLine, VerifierStatement
from registry.selectors import open_to_verifiers
from registry.services import reports
from registry.services.drafting import evidence
from registry.services.reports import LineInput, RowsRefused

MAX_ERRORS = 200
"""How many errors of a file one answer lists."""


class EvidenceSerializer(serializers.ModelSerializer[EvidenceFile]):
    """The file behind a report, by its fingerprint."""

    class Meta:
        model = EvidenceFile
        fields: ClassVar = ("id", "name", "sha256", "size", "received_at")


class VerifierStatementSerializer(serializers.ModelSerializer[VerifierStatement]):
    """What the verifier says of a report."""

    verifier = OrganisationRef(read_only=True)

    class Meta:
        model = VerifierStatement
        fields: ClassVar = ("verifier", "opinion", "findings", "signed_at")


class ReportSerializer(serializers.ModelSerializer[Report]):
    """One version of what an operator used in one period. A correction is a new version."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    flop = Digits()
    energy_kwh = ExactDecimal()
    co2e_g = ExactDecimal()
    flags = serializers.JSONField(read_only=True, help_text="What a reader should look at twice.")
    evidence = EvidenceSerializer(read_only=True, allow_null=True)
    plan = serializers.UUIDField(
        source="plan_id", read_only=True, allow_null=True, help_text="Id of the monitoring plan that it cites."
    )
    statement = serializers.SerializerMethodField(help_text="The verifier's, once there is one.")

    class Meta:
        model = Report
        fields: ClassVar = (
            "id",
            "organisation",
            "period",
            "version",
            "kind",
            "status",
            "boundary",
            "flop",
            "energy_kwh",
            "co2e_g",
            "flags",
            "plan",
            "evidence",
            "received_at",
            "return_reason",
            "statement",
        )
        read_only_fields = fields

    @extend_schema_field(VerifierStatementSerializer(allow_null=True))
    def get_statement(self, report: Report) -> object:
        """The opinion, if it was given."""
        statement = getattr(report, "statement", None)
        return VerifierStatementSerializer(statement).data if statement is not None else None


class ReportLineSerializer(serializers.ModelSerializer[ReportLine]):
    """One activity of a report: claimed and recomputed figures side by side."""

    flop = Digits()
    energy_kwh = ExactDecimal()
    co2e_g = ExactDecimal(help_text="Recomputed with the registry's own factor.")
    claimed_co2e_g = ExactDecimal(allow_null=True)
    factor_g_per_kwh = ExactDecimal(allow_null=True)

    class Meta:
        model = ReportLine
        fields: ClassVar = (
            "number",
            "label",
            "activity",
            "method",
            "flop",
            "energy_kwh",
            "co2e_g",
            "claimed_co2e_g",
            "factor_g_per_kwh",
            "factor_source",
        )
        read_only_fields = fields


class ReportFilters(filters.FilterSet):
    """Narrow the list to one period, organisation, state or kind."""

    period = PeriodFilter()
    organisation = filters.UUIDFilter(field_name="operator__organisation")
    status = filters.ChoiceFilter(choices=REPORT.choices)
    kind = filters.ChoiceFilter(choices=Report.Kind.choices)


def visible_reports(view: "ScopedViewSet[Report] | ScopedViewSet[ReportLine]") -> "QuerySet[Report]":
    """The reports that a request may see: those in scope; a verifier sees those that it is appointed to check."""
    rows = Report.objects.select_related("operator__organisation", "period__scheme")
    organisation = organisation_of(view.request)
    if organisation.kind == "verifier" and has_role(user_of(view.request), organisation, "verifier"):
        return rows.filter(open_to_verifiers([organisation.pk]))
    return view.scope.filter(rows, "operator__organisation")


class LineRequest(serializers.Serializer[object]):
    """One activity: its FLOP, its energy at the site, and the country that energy came from."""

    label = serializers.CharField(max_length=200, help_text="Names the run or service.")  # type: ignore[assignment]
    activity = serializers.ChoiceField(choices=ReportLine.Activity.choices)
    flop = DecimalQuantity(default=Decimal(0), help_text="A whole number.")
    energy_kwh = DecimalQuantity(default=Decimal(0))
    country = serializers.CharField(
        max_length=3, default="", allow_blank=True, help_text="Three capital letters; the world average unless told."
    )
    claimed_co2e_g = DecimalQuantity(required=False, help_text="What the client's own tool says; kept beside ours.")


class ReportRequest(serializers.Serializer[object]):
    """A report of typed figures. Totals are worked out by the registry."""

    period = serializers.CharField(max_length=60, help_text="Code of the period.")
    boundary = serializers.CharField(max_length=200, help_text="What was measured, such as full stack.")
    lines = serializers.ListField(child=LineRequest(), max_length=reports.MAX_LINES)


class CodeCarbonParameters(serializers.Serializer[object]):
    """What a CodeCarbon file cannot say by itself."""

    period = serializers.CharField(max_length=60, help_text="Code of the period.")
    boundary = serializers.CharField(max_length=200, help_text="What was measured, such as GPUs of one cluster.")
    activity = serializers.ChoiceField(choices=ReportLine.Activity.choices)
    name = serializers.CharField(max_length=200, default="emissions.csv", help_text="Name of the file.")


@extend_schema_view(list=extend_schema(summary="List reports"), retrieve=extend_schema(summary="Read a report"))
class Reports(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Report]):
    """Reports of the organisations in scope, latest received first."""

    serializer_class = ReportSerializer
    filterset_class = ReportFilters
    scope_path = "operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-received_at", "-id")

    def rows(self) -> QuerySet[Report]:
        """Every report."""
        return Report.objects.all()

    def visible(self) -> QuerySet[Report]:
        """Those that this request may see."""
        return visible_reports(self).select_related("evidence", "statement__verifier")

    @extend_schema(
        summary="File a report of typed figures",
        description="The same content again is the same report; other content is a new version.",
        request=ReportRequest,
        responses={201: ReportSerializer},
        examples=[
            OpenApiExample(
                "One training run",
                value={
                    "period": "ai-flop-2030",
                    "boundary": "full stack",
                    "lines": [{"label": "base model", "activity": "training", "flop": "2150000000000000000000000"}],
                },
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """File it for the organisation's operator in the period's scheme."""
        asked = ReportRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        period = period_in_body(values["period"])
        with rows_as_pointers():
            report = reports.submit_lines(
                actor=user_of(request),
                operator=own_operator(request, period),
                period=period,
                lines=[LineInput(**line) for line in values["lines"]],
                boundary=values["boundary"],
                now=clock.now(),
            )
        return _filed(report)


class CodeCarbonFiles(ScopedViewSet[Report]):
    """Files as CodeCarbon writes them, of any of its versions."""

    parser_classes = (CsvBytes,)
    scope_path = "operator__organisation"

    @extend_schema(
        operation_id="reports_codecarbon_create",
        summary="File what CodeCarbon measured",
        description="The body is the emissions.csv itself. Emissions are recomputed with the registry's own factors. "
        "A file with any error is refused with all of them, and nothing is stored. The same file again is the same "
        "report; another file is a new version.",
        parameters=[CodeCarbonParameters],
        request={"text/csv": OpenApiTypes.BINARY},
        responses={201: ReportSerializer},
        filters=False,
    )
    def create(self, request: Request) -> Response:
        """File it for the organisation's operator in the period's scheme."""
        asked = read_parameters(request, CodeCarbonParameters)
        if not isinstance(request.data, bytes):
            raise BadRequest("body_missing", "Send the file as the body, with Content-Type: text/csv.")
        period = period_in_body(asked["period"])
        with rows_as_lines():
            report = reports.submit_codecarbon(
                actor=user_of(request),
                operator=own_operator(request, period),
                period=period,
                name=asked["name"],
                content=request.data,
                boundary=asked["boundary"],
                activity=asked["activity"],
                now=clock.now(),
            )
        return _filed(report)


class ReportEvidence(ScopedViewSet[Report]):
    """The file behind a report, byte for byte as it was received."""

    scope_path = "operator__organisation"

    @extend_schema(
        operation_id="reports_evidence",
        summary="Download the evidence of a report",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
        filters=False,
    )
    def read(self, request: Request, pk: uuid.UUID) -> StreamingHttpResponse:
        """Saved, never shown: its type is not believed."""
        report = visible_reports(self).select_related("evidence").filter(pk=pk, evidence__isnull=False).first()
        if report is None or report.evidence is None:
            raise Http404
        return streamed_file(report.evidence.name, evidence.read(report.evidence), report.evidence.size)


def _filed(report: Report) -> Response:
    stored = Report.objects.select_related("operator__organisation", "period__scheme", "evidence").get(pk=report.pk)
    return Response(ReportSerializer(stored).data, status=status.HTTP_201_CREATED)


@contextmanager
def rows_as_pointers() -> Iterator[None]:
    """Name the errors of typed lines by their place in the body."""
    try:
        yield
    except RowsRefused as refusal:
        errors = [
            {"pointer": f"/lines/{error.line - 1}/{error.column}", "code": error.code, "detail": error.sentence}
            for error in refusal.errors[:MAX_ERRORS]
        ]
        raise RefusedBody(refusal.code, refusal.sentence, errors) from refusal


@contextmanager
def rows_as_lines() -> Iterator[None]:
    """Name the errors of a file by line and column."""
    try:
        yield
    except RowsRefused as refusal:
        errors = [
            {"line": str(error.line), "column": error.column, "code": error.code, "detail": error.sentence}
            for error in refusal.errors[:MAX_ERRORS]
        ]
        raise RefusedBody(refusal.code, refusal.sentence, errors) from refusal


@extend_schema_view(list=extend_schema(summary="List the lines of a report"))
class ReportLines(mixins.ListModelMixin, ScopedViewSet[ReportLine]):
    """The activities that a report is made of, in the order of its source."""

    serializer_class = ReportLineSerializer
    scope_path = "report__operator__organisation"
    ordering: ClassVar = ("number",)

    def visible(self) -> QuerySet[ReportLine]:
        """Those of a report that this request may see."""
        return self.rows()

    def rows(self) -> QuerySet[ReportLine]:
        """Every line of the report in the address, if there is such a report for this request."""
        if getattr(self, "swagger_fake_view", False):
            return ReportLine.objects.none()
        if not visible_reports(self).filter(pk=self.kwargs["pk"]).exists():
            raise Http404
        return ReportLine.objects.filter(report=self.kwargs["pk"])
