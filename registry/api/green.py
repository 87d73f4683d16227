"""Two-tier inference over REST: tariffs and published claims for everybody, one's own forecasts, events and claims."""

import uuid
from dataclasses import replace
from datetime import UTC, date
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import (
    Instant,
    PublicViewSet,
    ScopedViewSet,
    organisation_of,
    read_parameters,
    refused_field,
    user_of,
)
from accounts.api.tokens import OrganisationRef
from accounts.permissions import has_role
from common import clock
from common.rest import DecimalQuantity, Digits, ExactDecimal, WholeQuantity
from registry.models import CLAIM, AvoidedClaim, ClaimStatement, FlexEvent, Forecast, Tariff, TariffPoint, Workload
from registry.services.flexing import claims, events, forecasts, planning, tariffs
from registry.services.flexing.claims import Asked
from registry.services.flexing.events import MOST_EVENTS, EventTold
from registry.services.flexing.planning import BOUNDS, LATER, LOWER, Assumptions

# Tariffs --------------------------------------------------------------------------------------------------------------


class TariffPointSerializer(serializers.ModelSerializer[TariffPoint]):
    """An operating point of a tariff. Number 0 is full quality."""

    accuracy = ExactDecimal()
    latency_ms = ExactDecimal()
    kwh_per_request = ExactDecimal()

    class Meta:
        model = TariffPoint
        fields: ClassVar = ("number", "code", "accuracy", "latency_ms", "kwh_per_request")
        read_only_fields: ClassVar = ("number", "code")


class TariffSerializer(serializers.ModelSerializer[Tariff]):
    """One version of a tariff in the public register."""

    organisation = OrganisationRef(read_only=True)
    discount = ExactDecimal()
    accuracy_floor = ExactDecimal()
    latency_ceiling_ms = ExactDecimal()
    flex_cap = ExactDecimal()
    percentile = ExactDecimal(allow_null=True)
    points = TariffPointSerializer(many=True, read_only=True)

    class Meta:
        model = Tariff
        fields: ClassVar = (
            "id",
            "organisation",
            "name",
            "version",
            "tier",
            "discount",
            "accuracy_floor",
            "latency_ceiling_ms",
            "flex_cap",
            "hours_per_day",
            "percentile",
            "shift_hours",
            "notice_hours",
            "valid_from",
            "valid_until",
            "published_at",
            "points",
        )
        read_only_fields = fields


class TariffFilters(filters.FilterSet):
    """Narrow the register to a tier, a provider, or the versions that hold on a day."""

    tier = filters.ChoiceFilter(choices=Tariff.Tier.choices)
    organisation = filters.UUIDFilter(field_name="organisation_id")
    in_force_on = filters.DateFilter(method="holding_on", help_text="A UTC day.")

    def holding_on(self, rows: QuerySet[Tariff], name: str, day: date) -> QuerySet[Tariff]:
        """Keep the versions that hold on a day."""
        return tariffs.in_force(rows, day)


@extend_schema_view(
    list=extend_schema(summary="List tariffs"), retrieve=extend_schema(summary="Read a version of a tariff")
)
class Tariffs(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[Tariff]):
    """The public register of tariffs, every version of them, the latest published first."""

    serializer_class = TariffSerializer
    filterset_class = TariffFilters
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-published_at", "-id")

    def rows(self) -> QuerySet[Tariff]:
        """Every version."""
        return tariffs.register()


# Forecasts and events -------------------------------------------------------------------------------------------------


class ForecastSerializer(serializers.ModelSerializer[Forecast]):
    """What was expected of a zone's day before it began."""

    id = serializers.CharField(read_only=True)
    organisation = OrganisationRef(read_only=True)
    values = serializers.ListField(child=ExactDecimal(), read_only=True, help_text="g CO2e/kWh of hours 0 to 23 UTC.")

    class Meta:
        model = Forecast
        fields: ClassVar = ("id", "organisation", "zone", "day", "values", "source", "sha256", "published_at")
        read_only_fields: ClassVar = ("zone", "day", "source", "sha256", "published_at")


class ForecastRequest(serializers.Serializer[object]):
    """A forecast of the 24 UTC hours of a day that has not begun."""

    zone = serializers.CharField(max_length=20)
    day = serializers.DateField()
    values = serializers.ListField(child=DecimalQuantity(), min_length=24, max_length=24)
    source = serializers.CharField(max_length=200)  # type: ignore[assignment]


class ForecastFilters(filters.FilterSet):
    """Narrow the list to a zone or a day."""

    zone = filters.CharFilter()
    day = filters.DateFilter()


@extend_schema_view(list=extend_schema(summary="List forecasts"))
class Forecasts(mixins.ListModelMixin, ScopedViewSet[Forecast]):
    """Forecasts in scope, the latest received first; and publishing one."""

    serializer_class = ForecastSerializer
    filterset_class = ForecastFilters
    scope_path = "organisation"
    ordering: ClassVar = ("-published_at", "-id")

    def rows(self) -> QuerySet[Forecast]:
        """Every forecast."""
        return Forecast.objects.select_related("organisation")

    @extend_schema(
        summary="Publish a forecast",
        description="It is dated by its receipt. The same forecast again is the one that is there; another one for "
        "the same day takes its place, as long as it comes in time.",
        request=ForecastRequest,
        responses={201: ForecastSerializer},
    )
    def create(self, request: Request) -> Response:
        """Publish it."""
        asked = ForecastRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        made = forecasts.publish_forecast(
            actor=user_of(request), organisation=organisation_of(request), now=clock.now(), **asked.validated_data
        )
        return Response(ForecastSerializer(made).data, status=status.HTTP_201_CREATED)


class FlexEventSerializer(serializers.ModelSerializer[FlexEvent]):
    """Requests of one hour that were served at a lower point, or put off."""

    id = serializers.CharField(read_only=True)
    point = serializers.CharField(source="point.code", read_only=True)
    requests = Digits()
    forecast = serializers.CharField(source="forecast_id", read_only=True)
    forecast_g_per_kwh = ExactDecimal()
    actual_g_per_kwh = ExactDecimal(allow_null=True)

    class Meta:
        model = FlexEvent
        fields: ClassVar = (
            "id",
            "tariff",
            "workload",
            "hour",
            "kind",
            "point",
            "served_at",
            "requests",
            "forecast",
            "forecast_g_per_kwh",
            "actual_g_per_kwh",
            "recorded_at",
        )
        read_only_fields = fields


class EventRequest(serializers.Serializer[object]):
    """Requests that came in one hour, the point at which and the hour in which they were served."""

    hour = Instant(help_text="The beginning of a full UTC hour.")
    point = serializers.CharField(max_length=40)
    requests = WholeQuantity()
    served_at = Instant(required=False, allow_null=True, default=None, help_text="Where they were put off.")


class EventsRequest(serializers.Serializer[object]):
    """Flex events of one stream under one tariff: all are recorded, or none."""

    tariff = serializers.UUIDField()
    workload = serializers.UUIDField(help_text="A serving stream of yours.")
    events = serializers.ListField(child=EventRequest(), allow_empty=False, max_length=MOST_EVENTS)


class EventFilters(filters.FilterSet):
    """Narrow the list to a stream or a tariff."""

    workload = filters.UUIDFilter(field_name="workload_id")
    tariff = filters.UUIDFilter(field_name="tariff_id")


@extend_schema_view(list=extend_schema(summary="List flex events"))
class FlexEvents(mixins.ListModelMixin, ScopedViewSet[FlexEvent]):
    """Flex events in scope, the latest hours first; and recording them."""

    serializer_class = FlexEventSerializer
    filterset_class = EventFilters
    scope_path = "tariff__organisation"
    ordering: ClassVar = ("-hour", "-id")

    def rows(self) -> QuerySet[FlexEvent]:
        """Every event."""
        return FlexEvent.objects.select_related("point")

    @extend_schema(
        summary="Record flex events",
        description="An hour is recorded once for each point. Whether the tariff was kept is judged with the claim.",
        request=EventsRequest,
        responses={201: FlexEventSerializer(many=True)},
    )
    def create(self, request: Request) -> Response:
        """Record them."""
        asked = EventsRequest(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        made = events.record_events(
            actor=user_of(request),
            tariff=_own_tariff(request, values["tariff"]),
            workload=_own_stream(request, values["workload"]),
            told=[EventTold(**event) for event in values["events"]],
            now=clock.now(),
        )
        return Response(FlexEventSerializer(made, many=True).data, status=status.HTTP_201_CREATED)


# Claims ---------------------------------------------------------------------------------------------------------------


class ClaimStatementSerializer(serializers.ModelSerializer[ClaimStatement]):
    """What the verifier signed."""

    verifier = OrganisationRef(read_only=True)
    document = serializers.JSONField(read_only=True)

    class Meta:
        model = ClaimStatement
        fields: ClassVar = ("verifier", "signed_at", "findings", "document", "sha256", "key_id", "signature")
        read_only_fields = fields


class ClaimSerializer(serializers.ModelSerializer[AvoidedClaim]):
    """A claim of avoided emissions in g CO2e. It is a statement about past hours and never a permit."""

    organisation = OrganisationRef(read_only=True)
    baseline_g = ExactDecimal()
    actual_g = ExactDecimal()
    avoided_g = ExactDecimal()
    energy_effect_g = serializers.CharField(read_only=True, help_text="May be below zero.")
    timing_effect_g = serializers.CharField(read_only=True, help_text="May be below zero.")
    not_credited_g = ExactDecimal()
    marginal_g = serializers.CharField(read_only=True, allow_null=True, help_text="Information only.")
    requests = Digits()
    flexed = Digits()
    requests_before = Digits(allow_null=True)
    checks = serializers.JSONField(read_only=True, help_text="Code, question and what was found.")
    statement = serializers.SerializerMethodField(help_text="The verifier's, once it was signed.")

    class Meta:
        model = AvoidedClaim
        fields: ClassVar = (
            "id",
            "serial",
            "organisation",
            "workload",
            "tariff",
            "zone",
            "starts_at",
            "ends_at",
            "status",
            "baseline_rule",
            "baseline_g",
            "actual_g",
            "avoided_g",
            "energy_effect_g",
            "timing_effect_g",
            "not_credited_g",
            "marginal_g",
            "requests",
            "flexed",
            "subscribers",
            "subscribers_before",
            "requests_before",
            "checks",
            "inputs_sha256",
            "drafted_at",
            "submitted_at",
            "published_at",
            "withdrawn_at",
            "withdrawal_reason",
            "statement",
        )
        read_only_fields = fields

    @extend_schema_field(ClaimStatementSerializer(allow_null=True))
    def get_statement(self, claim: AvoidedClaim) -> object:
        """The statement, if there is one."""
        statement = getattr(claim, "statement", None)
        return ClaimStatementSerializer(statement).data if statement is not None else None


class ClaimRequest(serializers.Serializer[object]):
    """Full UTC hours of a stream to claim, under a green tariff."""

    tariff = serializers.UUIDField()
    workload = serializers.UUIDField(help_text="A serving stream of yours.")
    starts_at = Instant()
    ends_at = Instant(help_text="The first instant that is not claimed any more.")
    subscribers = serializers.IntegerField(min_value=1, max_value=claims.MAX_SUBSCRIBERS)
    subscribers_before = serializers.IntegerField(
        min_value=1, max_value=claims.MAX_SUBSCRIBERS, required=False, allow_null=True, default=None
    )


class AttestRequest(serializers.Serializer[object]):
    """The verifier's signature over the document of this claim with these findings."""

    findings = serializers.CharField(max_length=4000)
    key_id = serializers.CharField(max_length=64)
    signature = serializers.CharField(max_length=200, help_text="Ed25519 over the canonical document, in base64.")


class FindingsParameter(serializers.Serializer[object]):
    """What the verifier is about to sign."""

    findings = serializers.CharField(max_length=4000)


class WithdrawalRequest(serializers.Serializer[object]):
    """Why a claim is withdrawn."""

    reason = serializers.CharField(max_length=500)


class ClaimFilters(filters.FilterSet):
    """Narrow the list to a state or a zone."""

    status = filters.ChoiceFilter(choices=CLAIM.choices)
    zone = filters.CharFilter()


@extend_schema_view(
    list=extend_schema(summary="List published claims"), retrieve=extend_schema(summary="Read a published claim")
)
class PublishedClaims(mixins.ListModelMixin, mixins.RetrieveModelMixin, PublicViewSet[AvoidedClaim]):
    """Claims that were published, by their serial numbers; withdrawn ones stay, marked. None of them is a permit."""

    serializer_class = ClaimSerializer
    filterset_class = ClaimFilters
    lookup_field = "serial"
    lookup_value_converter = "slug"
    ordering: ClassVar = ("-published_at", "-id")

    def rows(self) -> QuerySet[AvoidedClaim]:
        """Every published claim."""
        return claims.public()


@extend_schema_view(list=extend_schema(summary="List claims"), retrieve=extend_schema(summary="Read a claim"))
class Claims(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[AvoidedClaim]):
    """Claims in scope and those handed to the verifier, in every state; and bringing one to the public list."""

    serializer_class = ClaimSerializer
    filterset_class = ClaimFilters
    scope_path = "organisation"
    ordering: ClassVar = ("-drafted_at", "-id")

    def rows(self) -> QuerySet[AvoidedClaim]:
        """Every claim; the scope is asked in visible()."""
        return AvoidedClaim.objects.select_related("organisation", "statement__verifier").defer("inputs")

    def visible(self) -> QuerySet[AvoidedClaim]:
        """Those in scope, and to a verifier those of the claimants that appointed it."""
        organisation, user = organisation_of(self.request), user_of(self.request)
        is_verifier = organisation.kind == "verifier" and has_role(user, organisation, "verifier")
        return claims.visible(self.scope, user if is_verifier else None)

    @extend_schema(
        summary="Draft a claim",
        description="The registry works the claim out from serving records, flex events, forecasts and intensities "
        "and freezes these inputs. Every check that does not hold is named with its hours, and then nothing is kept.",
        request=ClaimRequest,
        responses={201: ClaimSerializer},
    )
    def create(self, request: Request) -> Response:
        """Draft it."""
        body = ClaimRequest(data=request.data)
        body.is_valid(raise_exception=True)
        values = body.validated_data
        asked = Asked(
            tariff=_own_tariff(request, values["tariff"]),
            workload=_own_stream(request, values["workload"]),
            starts_at=values["starts_at"].astimezone(UTC),
            ends_at=values["ends_at"].astimezone(UTC),
            subscribers=values["subscribers"],
            subscribers_before=values["subscribers_before"],
        )
        made = claims.draft_claim(actor=user_of(request), asked=asked, now=clock.now())
        return Response(ClaimSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="avoided_claims_inputs",
        summary="Read the frozen inputs of a claim",
        responses=OpenApiTypes.OBJECT,
        filters=False,
    )
    def inputs(self, request: Request, pk: Any) -> Response:
        """The document whose hash the claim names."""
        return Response(self._found(pk).inputs)

    @extend_schema(
        operation_id="avoided_claims_unsigned",
        summary="Read the document that the verifier signs",
        description="Sign its canonical form: keys in order, no spaces, UTF-8.",
        parameters=[OpenApiParameter("findings", str, required=True, description="What you found, in words.")],
        responses=OpenApiTypes.OBJECT,
        filters=False,
    )
    def unsigned(self, request: Request, pk: Any) -> Response:
        """The statement with the findings given."""
        findings = read_parameters(request, FindingsParameter)["findings"]
        found = self._found(pk)
        verifier = claims.appointment_of(user_of(request), found).verifier
        return Response(claims.statement_document(found, verifier, findings))

    @extend_schema(summary="Submit a claim to its verifier", request=None, responses=ClaimSerializer)
    def submit(self, request: Request, pk: Any) -> Response:
        """Submit it."""
        return _shown(claims.submit_claim(actor=user_of(request), claim=self._found(pk), now=clock.now()))

    @extend_schema(summary="Attest a claim as its verifier", request=AttestRequest, responses=ClaimSerializer)
    def attest(self, request: Request, pk: Any) -> Response:
        """Sign it."""
        body = AttestRequest(data=request.data)
        body.is_valid(raise_exception=True)
        found = self._found(pk)
        return _shown(claims.attest_claim(actor=user_of(request), claim=found, now=clock.now(), **body.validated_data))

    @extend_schema(summary="Publish an attested claim", request=None, responses=ClaimSerializer)
    def publish(self, request: Request, pk: Any) -> Response:
        """Put it on the public list under the next number."""
        return _shown(claims.publish_claim(actor=user_of(request), claim=self._found(pk), now=clock.now()))

    @extend_schema(summary="Withdraw a claim", request=WithdrawalRequest, responses=ClaimSerializer)
    def withdraw(self, request: Request, pk: Any) -> Response:
        """Withdraw it."""
        body = WithdrawalRequest(data=request.data)
        body.is_valid(raise_exception=True)
        found = self._found(pk)
        return _shown(
            claims.withdraw_claim(
                actor=user_of(request), claim=found, reason=body.validated_data["reason"], now=clock.now()
            )
        )

    def _found(self, pk: Any) -> AvoidedClaim:
        found = self.get_queryset().filter(pk=pk).first()
        if found is None:
            raise Http404
        return found


def _shown(claim: AvoidedClaim) -> Response:
    return Response(ClaimSerializer(claim).data)


def _own_tariff(request: Request, tariff_id: uuid.UUID) -> Tariff:
    found = tariffs.register().filter(pk=tariff_id, organisation=organisation_of(request)).first()
    if found is None:
        raise refused_field("tariff", "tariff_unknown", "There is no such tariff of yours. Compare /tariffs/.")
    return found


def _own_stream(request: Request, workload_id: uuid.UUID) -> Workload:
    found = claims.claimable_streams(organisation_of(request)).filter(pk=workload_id).first()
    if found is None:
        raise refused_field("workload", "stream_unknown", "There is no such serving stream of yours. See /workloads/.")
    return found


# Planning -------------------------------------------------------------------------------------------------------------


class PlanRequest(serializers.Serializer[object]):
    """A zone, a year and the assumptions; what is left out is as in the worked example of the guide."""

    zone = serializers.CharField(max_length=20)
    year = serializers.IntegerField(min_value=1990, max_value=2200)
    mode = serializers.ChoiceField(choices=[LOWER, LATER], default=LOWER)

    def get_fields(self) -> dict[str, Any]:
        """Add a field for each assumption."""
        fields = super().get_fields()
        for name in BOUNDS:
            fields[name] = DecimalQuantity(required=False)
        return fields


class EstimateSerializer(serializers.Serializer[object]):
    """What an offer would have done in the year, estimated in binary floats: mass in kg CO2e, money in yours."""

    hours_per_day = serializers.IntegerField(source="offer.hours_per_day")
    flexed_share = serializers.FloatField(source="offer.flexed_share")
    estimated_baseline_kg = serializers.FloatField()
    estimated_avoided_kg = serializers.FloatField()
    estimated_energy_effect_kg = serializers.FloatField()
    estimated_timing_effect_kg = serializers.FloatField()
    estimated_share = serializers.FloatField(help_text="Of the baseline.")
    estimated_flexed_requests = serializers.FloatField()
    estimated_saving = serializers.FloatField()
    estimated_discount = serializers.FloatField()
    estimated_margin = serializers.FloatField()
    estimated_threshold = serializers.FloatField(help_text="Consciousness above which nobody needs a discount.")
    is_viable = serializers.BooleanField()


class PlanSerializer(serializers.Serializer[object]):
    """A plan beside the best one of its kind, and the best for each number of hours a day."""

    zone = serializers.CharField()
    year = serializers.IntegerField()
    days = serializers.IntegerField(help_text="Complete UTC days that were planned with.")
    days_left_out = serializers.IntegerField()
    factor_sets = serializers.ListField(child=serializers.CharField())
    plan = EstimateSerializer()
    best = EstimateSerializer(allow_null=True)
    by_hours = EstimateSerializer(many=True)


class SensitivityStepSerializer(serializers.Serializer[object]):
    """One value of an assumption, and what follows."""

    value = serializers.FloatField(source="estimated_value")
    change_percent = serializers.IntegerField(source="percent", allow_null=True)
    estimated_share = serializers.FloatField(source="result.estimated_share")
    estimated_avoided_kg = serializers.FloatField(source="result.estimated_avoided_kg")
    estimated_margin = serializers.FloatField(source="result.estimated_margin")


class SensitivitySerializer(serializers.Serializer[object]):
    """One assumption over its values, all others as they are."""

    code = serializers.CharField()
    symbol = serializers.CharField()
    name = serializers.CharField(source="label")
    steps = SensitivityStepSerializer(many=True)


class PlaceSerializer(serializers.Serializer[object]):
    """A zone and a year whose hours are loaded."""

    zone = serializers.CharField()
    year = serializers.IntegerField()


PLAN_PARAMETERS = [
    OpenApiParameter("zone", str, required=True),
    OpenApiParameter("year", int, required=True),
    OpenApiParameter("mode", str, enum=[LOWER, LATER]),
    *(OpenApiParameter(name, str, description=f"{each.label}: {each.unit}.") for name, each in BOUNDS.items()),
]


class Planning(PublicViewSet[Tariff]):
    """Planning a green tariff on a year of a zone. Nothing is stored, and nothing of it can be claimed."""

    def rows(self) -> QuerySet[Tariff]:
        """No rows: everything is worked out."""
        return Tariff.objects.none()

    @extend_schema(
        operation_id="planning_read",
        summary="Plan a green tariff",
        parameters=PLAN_PARAMETERS,
        responses=PlanSerializer,
        filters=False,
    )
    def read(self, request: Request) -> Response:
        """Work out what it would have done."""
        loaded, assumed = _assumed(request)
        found = planning.plan(loaded, assumed)
        return Response(
            PlanSerializer(
                {
                    "zone": loaded.zone,
                    "year": loaded.year,
                    "days": len(loaded.grid.days),
                    "days_left_out": loaded.days_left_out,
                    "factor_sets": loaded.versions,
                    "plan": found.asked,
                    "best": found.best,
                    "by_hours": found.by_hours,
                }
            ).data
        )

    @extend_schema(
        operation_id="planning_sensitivity",
        summary="Read how a plan answers to each assumption",
        parameters=PLAN_PARAMETERS,
        responses=SensitivitySerializer(many=True),
        filters=False,
    )
    def sensitivity(self, request: Request) -> Response:
        """Change each assumption by itself."""
        loaded, assumed = _assumed(request)
        return Response(SensitivitySerializer(planning.sensitivity(loaded, assumed), many=True).data)

    @extend_schema(
        operation_id="planning_places",
        summary="List the zones and years that can be planned with",
        responses=PlaceSerializer(many=True),
        filters=False,
    )
    def places(self, request: Request) -> Response:
        """Every zone and year whose hours are loaded."""
        found = planning.zones_and_years(clock.now())
        return Response([{"zone": zone, "year": year} for zone, year in found])


def _assumed(request: Request) -> tuple[planning.Loaded, Assumptions]:
    said = read_parameters(request, PlanRequest)
    zone, year = said.pop("zone"), said.pop("year")
    return planning.load(zone, year, clock.now()), replace(Assumptions(), **said)
