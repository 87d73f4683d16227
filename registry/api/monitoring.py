"""How operators measure, over REST: sites with their PUE, systems, models, workloads, and monitoring plans."""

import uuid
from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.base import ScopedViewSet, organisation_of, refused_field, user_of
from accounts.api.tokens import OrganisationRef
from accounts.permissions import has_role
from common import clock
from common.rest import DecimalQuantity, Digits, ExactDecimal
from registry import measuring
from registry.engine import monitoring
from registry.measuring import Reader
from registry.models import PLAN, AiModel, MonitoringPlan, Operator, ReportLine, Site, SitePue, System, Workload
from registry.services.monitoring import ai_models, parts, plans, sites, systems, workloads


def reader_of(view: "ScopedViewSet[Any]") -> Reader:
    """Return for whom a view reads, with the organisations that appointed the token's verifier."""
    organisation = organisation_of(view.request)
    is_verifier = organisation.kind == "verifier" and has_role(user_of(view.request), organisation, "verifier")
    return Reader(view.scope, organisation if is_verifier else None)


class CountedPueSerializer(serializers.Serializer[object]):
    """The PUE of a year: what was recorded last, and what counts by it."""

    year = serializers.IntegerField(read_only=True)
    value = ExactDecimal()
    counts = ExactDecimal(help_text="What energy of the IT equipment is multiplied with.")
    is_proven = serializers.BooleanField(read_only=True)


class SiteSerializer(serializers.ModelSerializer[Site]):
    """A place where an organisation computes."""

    organisation = OrganisationRef(read_only=True)
    pues = serializers.SerializerMethodField(help_text="The latest year first. A year without one counts as 1.5.")

    class Meta:
        model = Site
        fields: ClassVar = ("id", "organisation", "name", "country", "zone", "opened_on", "closed_on", "pues")
        read_only_fields = fields

    @extend_schema_field(CountedPueSerializer(many=True))
    def get_pues(self, site: Site) -> object:
        """The newest record of each year."""
        newest: dict[int, SitePue] = {}
        for record in site.pues.all():  # the newest of a year first
            newest.setdefault(record.year, record)
        rows = [
            {
                "year": record.year,
                "value": record.value,
                "counts": sites.counted(record)[0],
                "is_proven": sites.counted(record)[1],
            }
            for record in newest.values()
        ]
        return CountedPueSerializer(rows, many=True).data


class SiteRequest(serializers.Serializer[object]):
    """A new site."""

    name = serializers.CharField(max_length=120)
    country = serializers.CharField(max_length=3, help_text="Three letters, such as FRA.")
    zone = serializers.CharField(max_length=20, default="", allow_blank=True, help_text="The country unless told.")
    opened_on = serializers.DateField()


class OpenFilter(filters.FilterSet):
    """Narrow the list to one organisation, or to what is open or not any more."""

    organisation = filters.UUIDFilter(field_name="organisation")
    is_open = filters.BooleanFilter(field_name="closed_on", lookup_expr="isnull")


@extend_schema_view(list=extend_schema(summary="List sites"), retrieve=extend_schema(summary="Read a site"))
class Sites(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Site]):
    """Sites in scope with their PUE by year; for a verifier those of operators that appointed it."""

    serializer_class = SiteSerializer
    filterset_class = OpenFilter
    scope_path = "organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[Site]:
        """Every site."""
        return Site.objects.all()

    def visible(self) -> QuerySet[Site]:
        """Those that this request may see."""
        newest_first = SitePue.objects.order_by("-year", "-id")
        return measuring.sites_visible(reader_of(self)).prefetch_related(Prefetch("pues", queryset=newest_first))

    @extend_schema(
        summary="Add a site",
        description="A name is used once: adding it again is refused.",
        request=SiteRequest,
        responses={201: SiteSerializer},
        examples=[
            OpenApiExample(
                "A site",
                value={"name": "Paris North", "country": "FRA", "opened_on": "2025-05-01"},
                request_only=True,
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Add it for the token's organisation."""
        values = _read(SiteRequest, request)
        site = sites.open_site(actor=user_of(request), organisation=organisation_of(request), now=clock.now(), **values)
        return Response(SiteSerializer(site).data, status=status.HTTP_201_CREATED)


class SystemSerializer(serializers.ModelSerializer[System]):
    """Machines of one kind at a site, measured in one way. A tier above 0 is proven by a file."""

    organisation = OrganisationRef(source="site.organisation", read_only=True)
    site = serializers.UUIDField(source="site_id", read_only=True)
    watts_per_device = ExactDecimal()
    peak_flop_per_second = Digits(allow_null=True)

    class Meta:
        model = System
        fields: ClassVar = (
            "id",
            "organisation",
            "site",
            "name",
            "hardware",
            "devices",
            "watts_per_device",
            "peak_flop_per_second",
            "number_format",
            "tier",
            "meter",
            "opened_on",
            "closed_on",
        )
        read_only_fields = fields


class SystemRequest(serializers.Serializer[object]):
    """A new system at tier 0. Proof of a better tier is added on its page, as a file."""

    site = serializers.UUIDField(help_text="Id of one of the organisation's sites.")
    name = serializers.CharField(max_length=120)
    hardware = serializers.CharField(max_length=120, help_text="As in H100 SXM.")
    devices = serializers.IntegerField(min_value=1, max_value=systems.MOST_DEVICES)
    watts_per_device = DecimalQuantity(help_text="Rated power of one device in W.")
    peak_flop_per_second = DecimalQuantity(required=False, help_text="Of one device, dense.")
    number_format = serializers.CharField(max_length=20, default="", allow_blank=True)
    meter = serializers.CharField(max_length=200, default="", allow_blank=True)
    opened_on = serializers.DateField()


class SystemFilters(filters.FilterSet):
    """Narrow the list to one organisation or site, or to what is open or not any more."""

    organisation = filters.UUIDFilter(field_name="site__organisation")
    site = filters.UUIDFilter(field_name="site")
    is_open = filters.BooleanFilter(field_name="closed_on", lookup_expr="isnull")


@extend_schema_view(list=extend_schema(summary="List systems"), retrieve=extend_schema(summary="Read a system"))
class Systems(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[System]):
    """Systems in scope, the newest first."""

    serializer_class = SystemSerializer
    filterset_class = SystemFilters
    scope_path = "site__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[System]:
        """Every system."""
        return System.objects.all()

    def visible(self) -> QuerySet[System]:
        """Those that this request may see."""
        return measuring.systems_visible(reader_of(self))

    @extend_schema(
        summary="Add a system",
        description="It begins at tier 0. A name is used once at a site: adding it again is refused.",
        request=SystemRequest,
        responses={201: SystemSerializer},
    )
    def create(self, request: Request) -> Response:
        """Add it at one of the organisation's sites."""
        parts.require_reporter(user_of(request), organisation_of(request))
        values = _read(SystemRequest, request)
        site = Site.objects.filter(organisation=organisation_of(request), pk=values.pop("site")).first()
        if site is None:
            raise refused_field("site", "site_unknown", "Your organisation has no such site. Compare /sites/.")
        system = systems.open_system(actor=user_of(request), site=site, now=clock.now(), **values)
        return Response(SystemSerializer(system).data, status=status.HTTP_201_CREATED)


class AiModelSerializer(serializers.ModelSerializer[AiModel]):
    """A model that is trained or served."""

    organisation = OrganisationRef(read_only=True)
    parameters = Digits(allow_null=True)
    active_parameters = Digits(allow_null=True, help_text="Those that one token uses.")
    upstream = serializers.UUIDField(source="upstream_id", read_only=True, allow_null=True)

    class Meta:
        model = AiModel
        fields: ClassVar = (
            "id",
            "organisation",
            "name",
            "architecture",
            "parameters",
            "active_parameters",
            "task_class",
            "upstream",
        )
        read_only_fields = fields


class AiModelRequest(serializers.Serializer[object]):
    """A new model."""

    name = serializers.CharField(max_length=120)
    architecture = serializers.ChoiceField(choices=list(ai_models.ARCHITECTURES.items()))
    parameters = DecimalQuantity(required=False)
    active_parameters = DecimalQuantity(required=False, help_text="Needed for a mixture of experts.")
    task_class = serializers.CharField(max_length=40, default="", allow_blank=True)
    upstream = serializers.UUIDField(required=False, help_text="Id of the own model that it was made from.")


class OwnerFilter(filters.FilterSet):
    """Narrow the list to one organisation."""

    organisation = filters.UUIDFilter(field_name="organisation")


@extend_schema_view(list=extend_schema(summary="List models"), retrieve=extend_schema(summary="Read a model"))
class AiModels(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[AiModel]):
    """Models in scope, the newest first."""

    serializer_class = AiModelSerializer
    filterset_class = OwnerFilter
    scope_path = "organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[AiModel]:
        """Every model."""
        return AiModel.objects.all()

    def visible(self) -> QuerySet[AiModel]:
        """Those that this request may see."""
        return measuring.models_visible(reader_of(self))

    @extend_schema(
        summary="Add a model",
        description="A name is used once: adding it again is refused.",
        request=AiModelRequest,
        responses={201: AiModelSerializer},
    )
    def create(self, request: Request) -> Response:
        """Add it for the token's organisation."""
        parts.require_reporter(user_of(request), organisation_of(request))
        values = _read(AiModelRequest, request)
        values["upstream"] = _own_model(request, "upstream", values.get("upstream"))
        model = ai_models.register_model(
            actor=user_of(request), organisation=organisation_of(request), now=clock.now(), **values
        )
        return Response(AiModelSerializer(model).data, status=status.HTTP_201_CREATED)


class WorkloadSerializer(serializers.ModelSerializer[Workload]):
    """A run or a serving stream: one activity of one model on one system."""

    organisation = OrganisationRef(source="system.site.organisation", read_only=True)
    system = serializers.UUIDField(source="system_id", read_only=True)
    model = serializers.UUIDField(source="ai_model_id", read_only=True, allow_null=True)

    class Meta:
        model = Workload
        fields: ClassVar = ("id", "organisation", "system", "model", "name", "kind", "activity", "ended_on")
        read_only_fields = fields


class WorkloadRequest(serializers.Serializer[object]):
    """A new workload."""

    system = serializers.UUIDField(help_text="Id of one of the organisation's systems.")
    model = serializers.UUIDField(required=False, help_text="Id of one of the organisation's models.")
    name = serializers.CharField(max_length=160)
    kind = serializers.ChoiceField(choices=Workload.Kind.choices)
    activity = serializers.ChoiceField(choices=ReportLine.Activity.choices)


class WorkloadFilters(filters.FilterSet):
    """Narrow the list to one organisation, system or activity, or to what runs or not any more."""

    organisation = filters.UUIDFilter(field_name="system__site__organisation")
    system = filters.UUIDFilter(field_name="system")
    activity = filters.ChoiceFilter(choices=ReportLine.Activity.choices)
    is_running = filters.BooleanFilter(field_name="ended_on", lookup_expr="isnull")


@extend_schema_view(list=extend_schema(summary="List workloads"), retrieve=extend_schema(summary="Read a workload"))
class Workloads(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Workload]):
    """Workloads in scope, the newest first."""

    serializer_class = WorkloadSerializer
    filterset_class = WorkloadFilters
    scope_path = "system__site__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[Workload]:
        """Every workload."""
        return Workload.objects.all()

    def visible(self) -> QuerySet[Workload]:
        """Those that this request may see."""
        return measuring.workloads_visible(reader_of(self))

    @extend_schema(
        summary="Add a workload",
        description="A name is used once on a system: adding it again is refused.",
        request=WorkloadRequest,
        responses={201: WorkloadSerializer},
    )
    def create(self, request: Request) -> Response:
        """Add it on one of the organisation's systems."""
        organisation = organisation_of(request)
        parts.require_reporter(user_of(request), organisation)
        values = _read(WorkloadRequest, request)
        system = System.objects.filter(site__organisation=organisation, pk=values["system"]).first()
        if system is None:
            raise refused_field("system", "system_unknown", "Your organisation has no such system. Compare /systems/.")
        workload = workloads.open_workload(
            actor=user_of(request),
            system=system,
            name=values["name"],
            kind=values["kind"],
            activity=values["activity"],
            ai_model=_own_model(request, "model", values.get("model")),
            now=clock.now(),
        )
        return Response(WorkloadSerializer(workload).data, status=status.HTTP_201_CREATED)


# Plans ----------------------------------------------------------------------------------------------------------------


class MonitoringPlanSerializer(serializers.ModelSerializer[MonitoringPlan]):
    """One version of a monitoring plan. From its submission on it never changes; the hash is that of the document."""

    organisation = OrganisationRef(source="operator.organisation", read_only=True)
    scheme = serializers.CharField(source="operator.scheme.code", read_only=True)
    document = serializers.JSONField(read_only=True, help_text="What the plan says; headroom.monitoring-plan/1.")

    class Meta:
        model = MonitoringPlan
        fields: ClassVar = (
            "id",
            "organisation",
            "scheme",
            "version",
            "status",
            "boundary",
            "valid_from",
            "document",
            "content_sha256",
            "submitted_at",
            "decided_at",
            "decision",
        )
        read_only_fields = fields


class MeasuredRequest(serializers.Serializer[object]):
    """How one system is measured."""

    method = serializers.ChoiceField(choices=list(monitoring.METHODS.items()))
    tier = serializers.IntegerField(min_value=0, max_value=5)
    meter = serializers.CharField(max_length=monitoring.LINE, default="", allow_blank=True)


class MonitoringPlanRequest(serializers.Serializer[object]):
    """What a draft is to say. What is left out stays as it is."""

    scheme = serializers.CharField(max_length=60, help_text="Code of the scheme.")
    valid_from = serializers.DateField(required=False, help_text="The day from which the plan counts.")
    boundary = serializers.ChoiceField(choices=list(monitoring.BOUNDARIES.items()), required=False)
    boundary_words = serializers.CharField(max_length=monitoring.LINE, required=False)
    activities = serializers.ListField(
        child=serializers.ChoiceField(choices=list(monitoring.ACTIVITIES.items())), required=False
    )
    left_out = serializers.CharField(max_length=monitoring.WORDS, required=False, allow_blank=True)
    systems = serializers.DictField(
        child=MeasuredRequest(), required=False, help_text="For the id of each system, how it is measured."
    )
    factors = serializers.ChoiceField(choices=list(monitoring.FACTORS.items()), required=False)
    measures = serializers.CharField(max_length=monitoring.LINE, required=False)
    checks = serializers.CharField(max_length=monitoring.LINE, required=False)
    gaps = serializers.CharField(max_length=monitoring.WORDS, required=False)
    changes = serializers.CharField(max_length=monitoring.WORDS, required=False, allow_blank=True)


class DecisionRequest(serializers.Serializer[object]):
    """The desk's decision."""

    outcome = serializers.ChoiceField(choices=plans.OUTCOMES)
    reason = serializers.CharField(max_length=500, help_text="The operator reads it.")


class PlanFilters(filters.FilterSet):
    """Narrow the list to one organisation, scheme or state."""

    organisation = filters.UUIDFilter(field_name="operator__organisation")
    scheme = filters.CharFilter(field_name="operator__scheme__code")
    status = filters.ChoiceFilter(choices=PLAN.choices)


@extend_schema_view(
    list=extend_schema(summary="List monitoring plans"), retrieve=extend_schema(summary="Read a monitoring plan")
)
class Plans(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[MonitoringPlan]):
    """Versions of plans in scope, the newest first; drafts only of the token's own organisation."""

    serializer_class = MonitoringPlanSerializer
    filterset_class = PlanFilters
    scope_path = "operator__organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[MonitoringPlan]:
        """Every version."""
        return MonitoringPlan.objects.all()

    def visible(self) -> QuerySet[MonitoringPlan]:
        """Those that this request may see."""
        return measuring.plans_visible(reader_of(self))

    @extend_schema(
        summary="Write the draft of a plan",
        description="Begins the next version, as a copy of the one in force, or goes on with the draft that is there. "
        "The same request again changes nothing.",
        request=MonitoringPlanRequest,
        responses={201: MonitoringPlanSerializer},
    )
    def create(self, request: Request) -> Response:
        """Write it for the organisation's operator in the scheme."""
        organisation, actor, now = organisation_of(request), user_of(request), clock.now()
        parts.require_reporter(actor, organisation)
        values = _read(MonitoringPlanRequest, request)
        operator = Operator.objects.filter(organisation=organisation, scheme__code=values.pop("scheme")).first()
        if operator is None:
            raise refused_field("scheme", "operator_unknown", "Your organisation is no operator of such a scheme.")
        valid_from = values.pop("valid_from", None)
        draft = plans.open_plan(actor=actor, operator=operator, now=now)
        draft = plans.write_draft(actor=actor, plan=draft, said=values, valid_from=valid_from, now=now)
        return Response(MonitoringPlanSerializer(draft).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Submit a plan",
        description="Freezes the draft. An incomplete one is refused with everything that it lacks.",
        request=None,
        responses={200: MonitoringPlanSerializer},
        filters=False,
    )
    def submit(self, request: Request, pk: uuid.UUID) -> Response:
        """Submit it to the regulator's desk."""
        plan = plans.submit_plan(actor=user_of(request), plan=self._one(pk), now=clock.now())
        return Response(MonitoringPlanSerializer(plan).data)

    @extend_schema(
        summary="Take a plan back",
        description="Throws a draft away, or takes back what waits for the desk. The version is kept and never counts.",
        request=None,
        responses={200: MonitoringPlanSerializer},
        filters=False,
    )
    def discard(self, request: Request, pk: uuid.UUID) -> Response:
        """Take it back."""
        plan = plans.discard_plan(actor=user_of(request), plan=self._one(pk), now=clock.now())
        return Response(MonitoringPlanSerializer(plan).data)

    @extend_schema(
        summary="Decide on a plan",
        description="For officers at the regulator's desk who had no hand in it.",
        request=DecisionRequest,
        responses={200: MonitoringPlanSerializer},
        filters=False,
    )
    def decide(self, request: Request, pk: uuid.UUID) -> Response:
        """Approve it, or send it back."""
        values = _read(DecisionRequest, request)
        plan = plans.decide_plan(actor=user_of(request), plan=self._one(pk), now=clock.now(), **values)
        return Response(MonitoringPlanSerializer(plan).data)

    def _one(self, pk: uuid.UUID) -> MonitoringPlan:
        plan = self.get_queryset().filter(pk=pk).first()
        if plan is None:
            raise Http404
        return plan


# Parts ----------------------------------------------------------------------------------------------------------------


def _read(expected: type[serializers.Serializer[object]], request: Request) -> dict[str, Any]:
    asked = expected(data=request.data)
    asked.is_valid(raise_exception=True)
    values: dict[str, Any] = asked.validated_data
    return values


def _own_model(request: Request, field: str, model_id: uuid.UUID | None) -> AiModel | None:
    """Return the organisation's own model that a field names, if it names one."""
    if model_id is None:
        return None
    model = AiModel.objects.filter(organisation=organisation_of(request), pk=model_id).first()
    if model is None:
        raise refused_field(field, "model_unknown", "Your organisation has no such model. Compare /models/.")
    return model
