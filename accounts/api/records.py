"""Approvals and audit events over REST: who proposed, who decided, and what was done to which thing."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import InstantFilter, OversightViewSet, ScopedViewSet
from accounts.api.tokens import OrganisationRef
from accounts.models import APPROVAL, TASK, Approval, AuditEvent, Task, User


class PersonRef(serializers.ModelSerializer[User]):
    """A person as colleagues and auditors see them."""

    class Meta:
        model = User
        fields: ClassVar = ("id", "name")


class ApprovalSerializer(serializers.ModelSerializer[Approval]):
    """An act that needs two people, with its frozen parameters and what became of it."""

    organisation = OrganisationRef(read_only=True)
    proposed_by = PersonRef(read_only=True)
    decided_by = PersonRef(read_only=True, allow_null=True)
    parameters = serializers.DictField(read_only=True)
    result = serializers.DictField(read_only=True, allow_null=True)

    class Meta:
        model = Approval
        fields: ClassVar = (
            "id",
            "act",
            "organisation",
            "summary",
            "parameters",
            "parameters_sha256",
            "status",
            "proposed_by",
            "proposed_at",
            "decided_by",
            "decided_at",
            "reason",
            "execute_after",
            "executed_at",
            "failure_code",
            "failure",
            "result",
        )
        read_only_fields = fields


class ApprovalFilters(filters.FilterSet):
    """Narrow the list by state, act and organisation."""

    status = filters.ChoiceFilter(choices=APPROVAL.choices)
    act = filters.CharFilter()
    organisation = filters.UUIDFilter()
    proposed_from = InstantFilter(field_name="proposed_at", lookup_expr="gte")
    proposed_to = InstantFilter(field_name="proposed_at", lookup_expr="lt")


@extend_schema_view(list=extend_schema(summary="List approvals"), retrieve=extend_schema(summary="Read an approval"))
class Approvals(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Approval]):
    """Acts that need two people, of the organisations in scope, newest first."""

    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilters
    scope_path = "organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-proposed_at", "-id")

    def rows(self) -> QuerySet[Approval]:
        """Every approval."""
        return Approval.objects.select_related("organisation", "proposed_by", "decided_by")


class TaskSerializer(serializers.ModelSerializer[Task]):
    """Something a person has to do, who has taken it on, and by when it is due."""

    organisation = OrganisationRef(read_only=True)
    claimed_by = PersonRef(read_only=True, allow_null=True)
    part_of = serializers.UUIDField(source="parent_id", read_only=True, allow_null=True)
    approval = serializers.UUIDField(source="approval_id", read_only=True, allow_null=True)

    class Meta:
        model = Task
        fields: ClassVar = (
            "id",
            "kind",
            "organisation",
            "title",
            "status",
            "claimed_by",
            "note",
            "part_of",
            "approval",
            "created_at",
            "due_at",
            "reminders",
            "ended_at",
        )
        read_only_fields = fields


class TaskFilters(filters.FilterSet):
    """Narrow the list by state, kind, organisation and deadline."""

    status = filters.ChoiceFilter(choices=TASK.choices)
    kind = filters.CharFilter()
    organisation = filters.UUIDFilter()
    due_before = InstantFilter(field_name="due_at", lookup_expr="lt")


@extend_schema_view(list=extend_schema(summary="List tasks"), retrieve=extend_schema(summary="Read a task"))
class Tasks(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet[Task]):
    """What waits for the people of the organisations in scope, newest first."""

    serializer_class = TaskSerializer
    filterset_class = TaskFilters
    scope_path = "organisation"
    lookup_value_converter = "uuid"
    ordering: ClassVar = ("-created_at", "-id")

    def rows(self) -> QuerySet[Task]:
        """Every task."""
        return Task.objects.select_related("organisation", "claimed_by")


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """One state change. No actor means that the system acted by itself, on a rule or a schedule."""

    id = serializers.CharField(read_only=True)
    actor = PersonRef(read_only=True, allow_null=True)
    organisation = OrganisationRef(read_only=True, allow_null=True)
    details = serializers.DictField(read_only=True)

    class Meta:
        model = AuditEvent
        fields: ClassVar = ("id", "at", "actor", "action", "subject_type", "subject_id", "organisation", "details")
        read_only_fields = fields


class AuditEventFilters(filters.FilterSet):
    """Narrow the list to one subject, action, organisation or time."""

    action = filters.CharFilter()
    subject_type = filters.CharFilter()
    subject_id = filters.CharFilter()
    organisation = filters.UUIDFilter()
    at_from = InstantFilter(field_name="at", lookup_expr="gte")
    at_to = InstantFilter(field_name="at", lookup_expr="lt")


@extend_schema_view(list=extend_schema(summary="List audit events"))
class AuditEvents(mixins.ListModelMixin, OversightViewSet[AuditEvent]):
    """Every state change of every organisation, newest first. For the regulator and auditors."""

    serializer_class = AuditEventSerializer
    filterset_class = AuditEventFilters
    ordering: ClassVar = ("-id",)

    def rows(self) -> QuerySet[AuditEvent]:
        """Every event."""
        return AuditEvent.objects.select_related("actor", "organisation")
