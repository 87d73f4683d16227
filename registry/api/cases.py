"""Cases and debts over REST: what is contested or found wrong, and what is owed in permits beside the obligations."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import IDEMPOTENCY_HEADER, ScopedViewSet, idempotency_key, refused_field, user_of
from accounts.api.tokens import OrganisationRef
from common import clock
from common.rest import Digits, WholeQuantity
from registry.api.bodies import own_operator, period_in_body
from registry.api.compliance import OperatorFilters
from registry.models import CASE, Case, DebtEntry
from registry.services import cases

REPORT = "report"
"""The subject of a correction; every other one is that of an appeal."""


class CaseSerializer(serializers.ModelSerializer[Case]):
    """A case: what it is about, why, and how two officers decided it."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    quantity = Digits(allow_null=True, help_text="Permits in dispute, or the corrected figure in permits.")

    class Meta:
        model = Case
        fields: ClassVar = (
            "id",
            "organisation",
            "period",
            "kind",
            "subject",
            "grounds",
            "quantity",
            "status",
            "opened_at",
            "due_at",
            "decision",
            "decided_at",
        )
        read_only_fields = fields


class CaseRequest(serializers.Serializer[object]):
    """A case to open: a correction of one's own verified report, or an appeal."""

    period = serializers.CharField(max_length=60, help_text="Code of the period.")
    subject = serializers.ChoiceField(choices=[REPORT, *cases.APPEAL_SUBJECTS])
    grounds = serializers.CharField(max_length=4000)
    quantity = WholeQuantity(
        required=False, help_text="All free permits that should have been given, where an allocation is contested."
    )
    figure = serializers.CharField(
        max_length=60, required=False, default="", help_text="The right total in the scheme's unit, for a report."
    )


class CaseFilters(OperatorFilters):
    """Narrow the list to one period, organisation, kind or state."""

    kind = filters.ChoiceFilter(choices=Case.Kind.choices)
    status = filters.ChoiceFilter(choices=CASE.choices)


@extend_schema_view(list=extend_schema(summary="List cases"), retrieve=extend_schema(summary="Read a case"))
class Cases(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Case]):
    """Cases in scope, latest first; and opening one for the organisation's operator."""

    serializer_class = CaseSerializer
    filterset_class = CaseFilters
    scope_path = "operator__organisation"
    ordering: ClassVar = ("-opened_at", "-id")

    def rows(self) -> QuerySet[Case]:
        """Every case."""
        return Case.objects.select_related("operator__organisation", "period__scheme")

    @extend_schema(
        summary="Open a case",
        description="A correction says that the organisation's own verified report is wrong; an appeal contests an "
        "allocation, an estimate, a status or a sanction. Two officers of the regulator decide.",
        parameters=[IDEMPOTENCY_HEADER],
        request=CaseRequest,
        responses={201: CaseSerializer},
        examples=[
            OpenApiExample(
                "A sanction contested",
                value={"period": "ai-flop-2030", "subject": "sanction", "grounds": "The registry was down."},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Open it."""
        key = idempotency_key(request, "cases")
        asked = CaseRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        period = period_in_body(values["period"])
        operator, actor, now = own_operator(request, period), user_of(request), clock.now()
        if values["subject"] == REPORT:
            opened = cases.open_correction(
                actor=actor,
                operator=operator,
                period=period,
                grounds=values["grounds"],
                figure=values["figure"],
                key=key,
                now=now,
            )
        else:
            if values["subject"] == "allocation" and "quantity" not in values:
                raise refused_field("quantity", "quantity_missing", "Say how many permits should have been given.")
            opened = cases.open_appeal(
                actor=actor,
                operator=operator,
                period=period,
                subject=values["subject"],
                grounds=values["grounds"],
                quantity=values.get("quantity"),
                key=key,
                now=now,
            )
        return Response(CaseSerializer(opened).data, status=status.HTTP_201_CREATED)


class DebtSerializer(serializers.ModelSerializer[DebtEntry]):
    """A line of a debt in permits: above zero is new debt, below zero was paid. The sum of the lines is owed."""

    id = serializers.CharField(read_only=True)
    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    quantity = Digits()

    class Meta:
        model = DebtEntry
        fields: ClassVar = ("id", "organisation", "period", "kind", "quantity", "at")
        read_only_fields: ClassVar = ("kind", "at")


@extend_schema_view(list=extend_schema(summary="List debts in permits"))
class Debts(mixins.ListModelMixin, ScopedViewSet[DebtEntry]):
    """What is owed in permits beside the obligations, line by line, latest first."""

    serializer_class = DebtSerializer
    filterset_class = OperatorFilters
    scope_path = "operator__organisation"
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[DebtEntry]:
        """Every line."""
        return DebtEntry.objects.select_related("operator__organisation", "period__scheme")
