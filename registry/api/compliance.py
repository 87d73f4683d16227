"""Compliance over REST: letters of closed periods for everybody; obligations, surrenders and sanctions in scope."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import IDEMPOTENCY_HEADER, PublicViewSet, ScopedViewSet, idempotency_key, user_of
from accounts.api.tokens import OrganisationRef
from common import clock
from common.rest import Digits, WholeQuantity
from registry import movements
from registry.api.bodies import own_operator, period_in_body, permits_in_body
from registry.api.schemes import PeriodFilter
from registry.api.transactions import TransactionSerializer
from registry.models import ComplianceRecord, Obligation, Sanction, Surrender
from registry.models.compliance import SANCTION
from registry.selectors import public_letters
from registry.services import surrenders


class LetterSerializer(serializers.ModelSerializer[ComplianceRecord]):
    """A status letter. The figures behind it are shown to those in whose scope the organisation is."""

    id = serializers.CharField(read_only=True)
    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    owed = serializers.SerializerMethodField(help_text="Obligations of all years so far; null outside one's scope.")
    surrendered = serializers.SerializerMethodField(help_text="Permits surrendered so far; null outside one's scope.")

    class Meta:
        model = ComplianceRecord
        fields: ClassVar = ("id", "organisation", "period", "occasion", "status", "owed", "surrendered", "at")
        read_only_fields: ClassVar = ("occasion", "status", "at")

    @extend_schema_field(Digits(allow_null=True))
    def get_owed(self, record: ComplianceRecord) -> str | None:
        """Permits owed."""
        return str(record.owed) if self._is_in_scope(record) else None

    @extend_schema_field(Digits(allow_null=True))
    def get_surrendered(self, record: ComplianceRecord) -> str | None:
        """Permits surrendered."""
        return str(record.surrendered) if self._is_in_scope(record) else None

    def _is_in_scope(self, record: ComplianceRecord) -> bool:
        view = self.context["view"]
        assert isinstance(view, Letters)
        return view.scope.covers(record.operator.organisation_id)


class LetterFilters(filters.FilterSet):
    """Narrow the list to one period, organisation, occasion or letter."""

    period = PeriodFilter()
    organisation = filters.UUIDFilter(field_name="operator__organisation")
    occasion = filters.ChoiceFilter(choices=ComplianceRecord.Occasion.choices)
    status = filters.CharFilter()


@extend_schema_view(list=extend_schema(summary="List status letters of closed periods"))
class Letters(mixins.ListModelMixin, PublicViewSet[ComplianceRecord]):
    """Status letters of closed periods: at the deadline, and later when an operator put it right.

    A scheme's rules may keep names back until the time to appeal is over.
    """

    serializer_class = LetterSerializer
    filterset_class = LetterFilters
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[ComplianceRecord]:
        """Every letter of a closed period that is public by name."""
        return public_letters(clock.now()).select_related("operator__organisation", "period__scheme")


class OperatorFilters(filters.FilterSet):
    """Narrow the list to one period or organisation."""

    period = PeriodFilter()
    organisation = filters.UUIDFilter(field_name="operator__organisation")


class ObligationSerializer(serializers.ModelSerializer[Obligation]):
    """How many permits an operator owes for one period, and the report that says so."""

    id = serializers.CharField(read_only=True)
    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    quantity = Digits(help_text="Whole permits.")
    report = serializers.UUIDField(source="report_id", read_only=True)

    class Meta:
        model = Obligation
        fields: ClassVar = ("id", "organisation", "period", "version", "quantity", "report", "at")
        read_only_fields: ClassVar = ("version", "at")


@extend_schema_view(list=extend_schema(summary="List obligations"))
class Obligations(mixins.ListModelMixin, ScopedViewSet[Obligation]):
    """Obligations in scope. A corrected report gives a new version, and the latest version is what is owed."""

    serializer_class = ObligationSerializer
    filterset_class = OperatorFilters
    scope_path = "operator__organisation"
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[Obligation]:
        """Every obligation."""
        return Obligation.objects.select_related("operator__organisation", "period__scheme")


class SurrenderSerializer(serializers.ModelSerializer[Surrender]):
    """Permits given up for a period, with the instant of receipt, which decides whether they came in time."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    quantity = Digits()
    journal = serializers.CharField(source="journal_id", read_only=True)

    class Meta:
        model = Surrender
        fields: ClassVar = ("id", "organisation", "period", "quantity", "journal", "received_at")
        read_only_fields: ClassVar = ("id", "received_at")


class SurrenderRequest(serializers.Serializer[object]):
    """Permits to surrender for a period from the organisation's own account."""

    period = serializers.CharField(max_length=60, help_text="Code of the period.")
    quantity = WholeQuantity()
    permit = serializers.CharField(
        max_length=60, required=False, help_text="Code of the permits: those of the period, unless told."
    )


@extend_schema_view(list=extend_schema(summary="List surrenders"))
class Surrenders(mixins.ListModelMixin, ScopedViewSet[Surrender]):
    """Surrenders in scope, latest received first."""

    serializer_class = SurrenderSerializer
    filterset_class = OperatorFilters
    scope_path = "operator__organisation"
    ordering: ClassVar = ("-received_at", "-id")

    def rows(self) -> QuerySet[Surrender]:
        """Every surrender."""
        return Surrender.objects.select_related("operator__organisation", "period__scheme")

    @extend_schema(
        summary="Surrender permits",
        description="The instant of receipt decides whether they came in time. What comes late still makes good. "
        "Where the scheme or the holder wants a second person, it is proposed, and received when a colleague approves.",
        parameters=[IDEMPOTENCY_HEADER],
        request=SurrenderRequest,
        responses={
            201: OpenApiResponse(SurrenderSerializer, "It was received."),
            202: OpenApiResponse(TransactionSerializer, "It waits for a second person."),
        },
        examples=[
            OpenApiExample("Twelve permits", value={"period": "ai-flop-2030", "quantity": "12"}, request_only=True)
        ],
    )
    def create(self, request: Request) -> Response:
        """Surrender them for the organisation's operator in the period's scheme."""
        key = idempotency_key(request, "surrenders")
        asked = SurrenderRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        period = period_in_body(values["period"])
        outcome = surrenders.ask(
            actor=user_of(request),
            operator=own_operator(request, period),
            period=period,
            quantity=values["quantity"],
            key=key,
            now=clock.now(),
            asset=permits_in_body("permit", values["permit"]) if "permit" in values else None,
        )
        if outcome.transaction is not None:
            shown = movements.transactions_in(self.scope).get(pk=outcome.transaction.pk)
            return Response(TransactionSerializer(shown).data, status=status.HTTP_202_ACCEPTED)
        return Response(SurrenderSerializer(outcome.receipt).data, status=status.HTTP_201_CREATED)


class SanctionSerializer(serializers.ModelSerializer[Sanction]):
    """What a breach costs, in money or in permits, such as permits missing at the deadline."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    period = serializers.CharField(source="period.code", read_only=True)
    shortfall = Digits(help_text="Permits that the sanction is about, such as those that were missing.")
    permits = Digits(help_text="Permits owed as the sanction itself.")
    amount_minor = Digits(help_text="In minor units of the currency.")
    currency = serializers.CharField(source="period.scheme.currency.code", read_only=True)
    steps = serializers.ListField(
        child=serializers.DictField(child=serializers.CharField()), read_only=True, help_text="How the figures follow."
    )

    class Meta:
        model = Sanction
        fields: ClassVar = (
            "id",
            "organisation",
            "period",
            "kind",
            "shortfall",
            "amount_minor",
            "currency",
            "mode",
            "permits",
            "steps",
            "status",
            "imposed_at",
            "due_at",
        )
        read_only_fields: ClassVar = ("id", "kind", "mode", "status", "imposed_at", "due_at")


class SanctionFilters(OperatorFilters):
    """Narrow the list to one period, organisation or state."""

    status = filters.ChoiceFilter(choices=SANCTION.choices)


@extend_schema_view(list=extend_schema(summary="List sanctions"))
class Sanctions(mixins.ListModelMixin, ScopedViewSet[Sanction]):
    """Sanctions in scope, latest first."""

    serializer_class = SanctionSerializer
    filterset_class = SanctionFilters
    scope_path = "operator__organisation"
    ordering: ClassVar = ("-imposed_at", "-id")

    def rows(self) -> QuerySet[Sanction]:
        """Every sanction."""
        return Sanction.objects.select_related("operator__organisation", "period__scheme__currency")
