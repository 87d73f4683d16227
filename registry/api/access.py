"""The access programme over REST: programmes and awards for everybody, and a lab's own applications."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import PublicViewSet, ScopedViewSet, organisation_of, refused_field, user_of
from accounts.api.tokens import OrganisationRef
from common import clock
from common.rest import DecimalQuantity, Digits, ExactDecimal
from registry.api.efficiency import FileRequest
from registry.models import APPLICATION, AWARD, PROGRAMME, AccessApplication, AccessAward, AccessProgramme
from registry.services.access import applications, awards, programmes
from registry.services.access.applications import Asked
from registry.services.monitoring import parts


class CriterionSerializer(serializers.Serializer[object]):
    """What applications are judged by."""

    code = serializers.CharField(read_only=True)
    title = serializers.CharField(read_only=True)
    weight = serializers.IntegerField(read_only=True)


class ProgrammeSerializer(serializers.ModelSerializer[AccessProgramme]):
    """A call for academic labs."""

    period = serializers.CharField(source="period.code", read_only=True)
    permits = Digits()
    flop = Digits()
    criteria = CriterionSerializer(many=True, read_only=True)
    least_score = ExactDecimal()
    received = serializers.IntegerField(read_only=True, help_text="Applications that were not withdrawn.")

    class Meta:
        model = AccessProgramme
        fields: ClassVar = (
            "id",
            "period",
            "name",
            "description",
            "permits",
            "flop",
            "criteria",
            "least_score",
            "deadline_at",
            "report_due_on",
            "status",
            "reason",
            "received",
            "sha256",
        )
        read_only_fields = fields


class ProgrammeFilters(filters.FilterSet):
    """Narrow the list to a state."""

    status = filters.ChoiceFilter(choices=PROGRAMME.choices)


@extend_schema_view(
    list=extend_schema(summary="List access programmes"), retrieve=extend_schema(summary="Read an access programme")
)
class Programmes(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[AccessProgramme]):
    """Every call, the latest first."""

    serializer_class = ProgrammeSerializer
    filterset_class = ProgrammeFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-opened_at", "-id")

    def rows(self) -> QuerySet[AccessProgramme]:
        """Every programme."""
        return programmes.public()


class AwardSerializer(serializers.ModelSerializer[AccessAward]):
    """What an application was given."""

    programme = serializers.UUIDField(source="application.programme_id", read_only=True)
    organisation = OrganisationRef(source="application.organisation", read_only=True)
    title = serializers.CharField(source="application.title", read_only=True)
    permits = Digits()
    flop = Digits()
    report_due_on = serializers.DateField(source="application.programme.report_due_on", read_only=True)
    is_overdue = serializers.SerializerMethodField(help_text="Whether its use report is late.")

    class Meta:
        model = AccessAward
        fields: ClassVar = (
            "id",
            "programme",
            "organisation",
            "title",
            "place",
            "permits",
            "flop",
            "status",
            "granted_at",
            "report_due_on",
            "is_overdue",
        )
        read_only_fields = fields

    @extend_schema_field(bool)
    def get_is_overdue(self, award: AccessAward) -> bool:
        """Judged at this moment."""
        return awards.is_overdue(award, clock.now())


class AwardFilters(filters.FilterSet):
    """Narrow the list to a state, a programme or a lab."""

    status = filters.ChoiceFilter(choices=AWARD.choices)
    programme = filters.UUIDFilter(field_name="application__programme_id")
    organisation = filters.UUIDFilter(field_name="application__organisation_id")


@extend_schema_view(list=extend_schema(summary="List access awards"), retrieve=extend_schema(summary="Read an award"))
class Awards(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[AccessAward]):
    """Every award, the latest first."""

    serializer_class = AwardSerializer
    filterset_class = AwardFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-granted_at", "-id")

    def rows(self) -> QuerySet[AccessAward]:
        """Every award."""
        return programmes.awards()


class ApplicationSerializer(serializers.ModelSerializer[AccessApplication]):
    """What a lab asked for."""

    programme = serializers.UUIDField(source="programme_id", read_only=True)
    organisation = OrganisationRef(read_only=True)
    permits = Digits()
    flop = Digits()

    class Meta:
        model = AccessApplication
        fields: ClassVar = (
            "id",
            "programme",
            "organisation",
            "title",
            "project",
            "team",
            "permits",
            "flop",
            "accepts_part",
            "open_results",
            "status",
            "submitted_at",
        )
        read_only_fields = fields


class ApplicationRequest(serializers.Serializer[object]):
    """A project, what it needs, and the pledge that its results are published openly."""

    programme = serializers.UUIDField()
    title = serializers.CharField(max_length=160)
    project = serializers.CharField(max_length=8000)
    team = serializers.CharField(max_length=2000)
    permits = DecimalQuantity(help_text="A whole number; 0 for none.")
    flop = DecimalQuantity(help_text="A whole number; 0 for none.")
    accepts_part = serializers.BooleanField(help_text="Whether less than asked for is of use.")
    open_results = serializers.BooleanField(help_text="The pledge; without it the application is refused.")
    proof = FileRequest()

    def validate_permits(self, value: Any) -> int:
        """Ask for a whole number."""
        return _whole(value)

    def validate_flop(self, value: Any) -> int:
        """Ask for a whole number."""
        return _whole(value)


class ApplicationFilters(filters.FilterSet):
    """Narrow the list to a state or a programme."""

    status = filters.ChoiceFilter(choices=APPLICATION.choices)
    programme = filters.UUIDFilter(field_name="programme_id")


@extend_schema_view(
    list=extend_schema(summary="List applications"), retrieve=extend_schema(summary="Read an application")
)
class Applications(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[AccessApplication]):
    """A lab's own applications; the regulator and auditors see all of them."""

    serializer_class = ApplicationSerializer
    filterset_class = ApplicationFilters
    scope_path = "organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-submitted_at", "-id")

    def rows(self) -> QuerySet[AccessApplication]:
        """Every application."""
        return AccessApplication.objects.select_related("organisation")

    @extend_schema(
        summary="Apply to a programme",
        description="A project is applied for once: the same title again is refused until the first is withdrawn.",
        request=ApplicationRequest,
        responses={201: ApplicationSerializer},
    )
    def create(self, request: Request) -> Response:
        """Apply for the token's lab."""
        parts.require_reporter(user_of(request), organisation_of(request))
        reader = ApplicationRequest(data=request.data)
        reader.is_valid(raise_exception=True)
        said = dict(reader.validated_data)
        programme = AccessProgramme.objects.filter(pk=said.pop("programme")).first()
        if programme is None:
            raise refused_field("programme", "programme_unknown", "There is no such programme. Compare the list.")
        proof = said.pop("proof")
        made = applications.apply(
            actor=user_of(request),
            organisation=organisation_of(request),
            programme=programme,
            asked=Asked(**said, proof=(proof["name"], proof["content_base64"])),
            now=clock.now(),
        )
        return Response(ApplicationSerializer(made).data, status=status.HTTP_201_CREATED)


def _whole(value: Any) -> int:
    if value != int(value):
        raise serializers.ValidationError("Enter a whole number.", code="quantity_not_whole")
    return int(value)
