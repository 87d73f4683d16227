"""The calendar of a scheme over REST: every dated event of its periods. Anybody may read it."""

from typing import ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers

from accounts.api.base import PublicViewSet
from registry import calendars
from registry.api.schemes import PeriodFilter
from registry.models import DueWork, Scheme
from registry.services import due


class CalendarEventSerializer(serializers.ModelSerializer[DueWork]):
    """One dated event of a period."""

    period = serializers.CharField(source="period.code", read_only=True)
    kind = serializers.CharField(read_only=True, help_text="Such as verified_report, surrender or publication.")
    title = serializers.SerializerMethodField(help_text="The event in words.")
    due_at = serializers.DateTimeField(
        read_only=True, help_text="For a deadline, the first instant that is too late; otherwise when it happens."
    )
    state = serializers.SerializerMethodField(help_text="Stopped: a court has stopped the clocks of the scheme.")

    class Meta:
        model = DueWork
        fields: ClassVar = ("period", "kind", "title", "due_at", "state", "done_at")
        read_only_fields: ClassVar = ("done_at",)

    def get_title(self, event: DueWork) -> str:
        """The event in words."""
        return due.label(event.kind)

    @extend_schema_field(serializers.ChoiceField(choices=sorted(due.PUBLIC.values())))
    def get_state(self, event: DueWork) -> str:
        """The state in one word."""
        return due.PUBLIC[event.status]


class CalendarFilters(filters.FilterSet):
    """Narrow the calendar to one period or kind."""

    period = PeriodFilter()
    kind = filters.CharFilter(field_name="kind")


@extend_schema_view(list=extend_schema(summary="Read the calendar of a scheme", operation_id="schemes_calendar"))
class SchemeCalendar(mixins.ListModelMixin, PublicViewSet[DueWork]):
    """Every dated event of a scheme's periods, in the order of their dates. Drafts are not shown."""

    serializer_class = CalendarEventSerializer
    filterset_class = CalendarFilters
    ordering: ClassVar = ("due_at", "id")

    def rows(self) -> QuerySet[DueWork]:
        """Every public event of the scheme in the address."""
        if getattr(self, "swagger_fake_view", False):
            return DueWork.objects.none()
        scheme = Scheme.objects.filter(code=self.kwargs["code"]).first()
        if scheme is None:
            raise Http404
        return calendars.public_events(scheme)
