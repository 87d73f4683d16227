"""Drafts over REST: files are sent as they are, read by a worker while the client asks how far it is, and filed."""

import tempfile
import uuid
from collections.abc import Mapping
from typing import IO, Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ScopedViewSet, organisation_of, read_parameters, refused_field, user_of
from common import clock
from common.problems import BadRequest, BodyTooLarge
from common.rest import Digits, ExactDecimal
from registry import drafted
from registry.api.bodies import own_operator, period_in_body
from registry.api.reports import ReportSerializer
from registry.models import DRAFT, Draft, Report, ReportLine, Upload, Workload
from registry.services.drafting import drafts, filing, reading, uploads

SHOWN = 200
"""How many errors and flags of an upload one answer lists."""


class AnyFile(BaseParser):
    """A body that is a file, of whatever type: it goes to disk in parts, and what it is, is read from its bytes."""

    media_type = "*/*"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the file, opened at its beginning."""
        file: Any = tempfile.SpooledTemporaryFile(max_size=2**20)  # noqa: SIM115  closed when the request is gone
        size = 0
        while part := stream.read(2**16):
            size += len(part)
            if size > reading.MAX_BYTES:
                raise BodyTooLarge
            file.write(part)
        file.seek(0)
        return file


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """A file on its way into a draft. Its lines count from the moment it is read."""

    draft = serializers.UUIDField(source="draft_id", read_only=True)
    name = serializers.CharField(source="file.name", read_only=True)
    sha256 = serializers.CharField(source="file.sha256", read_only=True)
    size = serializers.IntegerField(source="file.size", read_only=True)
    errors = serializers.SerializerMethodField(  # type: ignore[assignment]
        help_text=f"The first {SHOWN}, by line and column."
    )
    flags = serializers.SerializerMethodField(help_text=f"The first {SHOWN}: what a verifier should look at.")

    class Meta:
        model = Upload
        fields: ClassVar = (
            "id", "draft", "name", "sha256", "size", "format", "status", "rows_read", "position", "error_count",
            "errors", "flags", "received_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_errors(self, upload: Upload) -> object:
        """The first errors."""
        return upload.errors[:SHOWN]

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_flags(self, upload: Upload) -> object:
        """The first flags."""
        return upload.flags[:SHOWN]


class DraftSerializer(serializers.ModelSerializer[Draft]):
    """The report that an operator prepares for a period, with what it comes to as it stands."""

    period = serializers.CharField(source="period.code", read_only=True)
    flop = serializers.SerializerMethodField()
    energy_kwh = serializers.SerializerMethodField()
    co2e_g = serializers.SerializerMethodField()
    permits = serializers.SerializerMethodField(help_text="The obligation, if it were verified as it stands.")
    uploads = serializers.SerializerMethodField()
    report = serializers.UUIDField(source="report_id", read_only=True, allow_null=True)

    class Meta:
        model = Draft
        fields: ClassVar = (
            "id", "period", "status", "flop", "energy_kwh", "co2e_g", "permits", "uploads", "report", "created_at",
            "changed_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(Digits())
    def get_flop(self, draft: Draft) -> str:
        """The compute of all lines that count."""
        return f"{filing.totals(draft)['flop']:f}"

    @extend_schema_field(ExactDecimal())
    def get_energy_kwh(self, draft: Draft) -> str:
        """The energy of all lines that count."""
        return f"{filing.totals(draft)['energy_kwh']:f}"

    @extend_schema_field(ExactDecimal())
    def get_co2e_g(self, draft: Draft) -> str:
        """The emissions of all lines that count."""
        return f"{filing.totals(draft)['co2e_g']:f}"

    @extend_schema_field(Digits())
    def get_permits(self, draft: Draft) -> str:
        """By rule R6, from what the rules count."""
        return str(drafted.preview(draft, clock.now()).permits)

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_uploads(self, draft: Draft) -> list[uuid.UUID]:
        """The files of the draft."""
        return list(draft.uploads.exclude(status="removed").values_list("pk", flat=True))


class DraftListSerializer(serializers.ModelSerializer[Draft]):
    """A draft, without what it comes to."""

    period = serializers.CharField(source="period.code", read_only=True)
    report = serializers.UUIDField(source="report_id", read_only=True, allow_null=True)
    status = serializers.ChoiceField(choices=DRAFT.choices, read_only=True)

    class Meta:
        model = Draft
        fields: ClassVar = ("id", "period", "status", "report", "created_at", "changed_at")
        read_only_fields = fields


class DraftRequest(serializers.Serializer[object]):
    """For which period."""

    period = serializers.CharField(max_length=60, help_text="Code of the period.")


class FilingRequest(serializers.Serializer[object]):
    """What the report covers."""

    boundary = serializers.CharField(max_length=200, help_text="What was measured, such as full stack.")


class UploadParameters(serializers.Serializer[object]):
    """What a file cannot say by itself."""

    name = serializers.CharField(max_length=200, help_text="Name of the file.")
    file_format = serializers.CharField(max_length=30, default="", help_text="Recognised by its header unless told.")
    activity = serializers.ChoiceField(choices=ReportLine.Activity.choices, required=False)
    workload = serializers.UUIDField(required=False, help_text="What was measured.")
    options = serializers.CharField(
        max_length=500, default="", help_text="What else the format asks for, as name=value, separated by semicolons."
    )


class OwnDrafts(ScopedViewSet[Draft]):
    """Drafts of the token's organisation: nobody else sees them."""

    scope_path = "operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-changed_at", "-id")

    def rows(self) -> QuerySet[Draft]:
        """Every draft that people work on or worked on."""
        return Draft.objects.select_related(
            "operator__organisation", "operator__scheme", "period__scheme", "period__permit"
        )

    def visible(self) -> QuerySet[Draft]:
        """Those of the token's organisation."""
        return self.rows().filter(operator__organisation=organisation_of(self.request))

    def one(self, pk: uuid.UUID) -> Draft:
        """Return the draft of the address."""
        found = self.visible().filter(pk=pk).first()
        if found is None:
            raise Http404
        return found


@extend_schema_view(list=extend_schema(summary="List drafts", responses=DraftListSerializer(many=True)))
class Drafts(mixins.ListModelMixin, OwnDrafts):
    """Reports in the making, the latest changed first."""

    serializer_class = DraftListSerializer

    @extend_schema(
        operation_id="drafts_create",
        summary="Open a draft",
        description="There is one open draft for each period: whoever asks again gets it.",
        request=DraftRequest,
        responses={201: DraftSerializer},
    )
    def create(self, request: Request) -> Response:
        """Open it for the organisation's operator in the period's scheme."""
        asked = DraftRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        period = period_in_body(asked.validated_data["period"])
        draft = drafts.open_draft(
            actor=user_of(request), operator=own_operator(request, period), period=period, now=clock.now()
        )
        return Response(DraftSerializer(self.one(draft.pk)).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="drafts_retrieve", summary="Read a draft", responses=DraftSerializer)
    def retrieve(self, request: Request, pk: uuid.UUID) -> Response:
        """Return it with its totals and its obligation."""
        return Response(DraftSerializer(self.one(pk)).data)

    @extend_schema(operation_id="drafts_destroy", summary="Discard a draft", responses={204: None})
    def destroy(self, request: Request, pk: uuid.UUID) -> Response:
        """Give it up; the files that were received are kept."""
        drafts.discard(actor=user_of(request), draft=self.one(pk), now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class DraftFiling(OwnDrafts):
    """Filing a draft as the next version of its report."""

    serializer_class = DraftListSerializer

    @extend_schema(
        operation_id="drafts_filing_create",
        summary="File a draft",
        description="Every file has to be read, and none refused. Filing again gives the same report.",
        request=FilingRequest,
        responses={201: ReportSerializer},
        filters=False,
    )
    def create(self, request: Request, pk: uuid.UUID) -> Response:
        """Turn its lines into a version."""
        asked = FilingRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        report = drafts.file_draft(
            actor=user_of(request), draft=self.one(pk), boundary=asked.validated_data["boundary"], now=clock.now()
        )
        stored = Report.objects.select_related("operator__organisation", "period__scheme", "evidence").get(pk=report.pk)
        return Response(ReportSerializer(stored).data, status=status.HTTP_201_CREATED)


class DraftUploads(OwnDrafts):
    """Files for a draft."""

    parser_classes = (AnyFile,)
    serializer_class = DraftListSerializer

    @extend_schema(
        operation_id="drafts_uploads_create",
        summary="Send a file into a draft",
        description="The body is the file itself. It is kept, and a worker reads it: ask for the upload until its "
        "status is read or refused. The same file again is the upload of before.",
        parameters=[UploadParameters],
        request={"application/octet-stream": OpenApiTypes.BINARY, "text/csv": OpenApiTypes.BINARY},
        responses={202: UploadSerializer},
        filters=False,
    )
    def create(self, request: Request, pk: uuid.UUID) -> Response:
        """Take the file."""
        draft = self.one(pk)
        asked = read_parameters(request, UploadParameters)
        sent: Any = request.data
        if not hasattr(sent, "read"):
            raise BadRequest("body_missing", "Send the file as the body.")
        upload = uploads.receive(
            actor=user_of(request),
            draft=draft,
            name=asked["name"],
            file=sent,
            format=asked["file_format"],
            options=_options(asked),
            workload=_workload(draft, asked.get("workload")),
            now=clock.now(),
        )
        return Response(UploadSerializer(upload).data, status=status.HTTP_202_ACCEPTED)


class Uploads(ScopedViewSet[Upload]):
    """How far a file is."""

    serializer_class = UploadSerializer
    scope_path = "draft__operator__organisation"

    def rows(self) -> QuerySet[Upload]:
        """Every upload."""
        return Upload.objects.select_related("file", "draft__operator__organisation", "draft__operator__scheme")

    def _one(self, request: Request, pk: uuid.UUID) -> Upload:
        found = self.rows().filter(pk=pk, draft__operator__organisation=organisation_of(request)).first()
        if found is None:
            raise Http404
        return found

    @extend_schema(
        operation_id="uploads_retrieve", summary="Ask how far an upload is", responses=UploadSerializer, filters=False
    )
    def retrieve(self, request: Request, pk: uuid.UUID) -> Response:
        """Return its progress, its errors and its flags."""
        return Response(UploadSerializer(self._one(request, pk)).data)

    @extend_schema(
        operation_id="uploads_destroy", summary="Take a file out of a draft", responses={204: None}, filters=False
    )
    def destroy(self, request: Request, pk: uuid.UUID) -> Response:
        """Remove its lines; the file stays with the organisation."""
        uploads.remove(actor=user_of(request), upload=self._one(request, pk), now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _options(asked: Mapping[str, Any]) -> dict[str, str]:
    """Read what the format asks for."""
    options = {}
    for pair in filter(None, asked["options"].split(";")):
        name, separator, value = pair.partition("=")
        if not separator:
            raise BadRequest("parameter_invalid", "Write options as name=value, separated by semicolons.")
        options[name.strip()] = value.strip()
    return options | {"activity": asked.get("activity", "")}


def _workload(draft: Draft, pk: uuid.UUID | None) -> Workload | None:
    if pk is None:
        return None
    found = drafted.workloads_of(draft.operator).filter(pk=pk).first()
    if found is None:
        raise refused_field("workload", "workload_unknown", "You have no such workload. Compare /workloads/.")
    return found
