"""Reads of the year: what is planned, done and late in a scheme, when its clocks stood, and which deadlines moved."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from registry.models import DueWork, Extension, Outage, Period, Scheme, Suspension

SHOWN = 300
"""A page shows at most so many events of one period or scheme."""


@dataclass(frozen=True)
class SchemeYear:
    """A scheme in the list of calendars."""

    scheme: Scheme
    failed: int
    waiting: int
    next_at: datetime | None
    suspension: Suspension | None
    """The open one, while a court has stopped the scheme."""


def scheme_years() -> list[SchemeYear]:
    """Return every scheme with how its calendar stands, in a fixed number of queries."""
    waiting = Q(due_work__status__in=["planned", "failed", "paused"])
    schemes = Scheme.objects.annotate(
        failed=Count("due_work", filter=Q(due_work__status="failed")),
        waiting=Count("due_work", filter=waiting),
        next_at=Min("due_work__due_at", filter=waiting),
    )
    stopped = {one.scheme_id: one for one in Suspension.objects.filter(resumed_at__isnull=True)}
    return [
        SchemeYear(scheme, scheme.failed, scheme.waiting, scheme.next_at, stopped.get(scheme.pk))
        for scheme in schemes.order_by("code")
    ]


def events_of_scheme(scheme: Scheme, period: Period | None = None) -> QuerySet[DueWork]:
    """Return the events of a scheme or of one of its periods in the order of their dates."""
    events = DueWork.objects.filter(scheme=scheme).select_related("period__scheme", "operator__organisation")
    if period is not None:
        events = events.filter(period=period)
    return events.order_by("due_at", "id")


def public_events(scheme: Scheme) -> QuerySet[DueWork]:
    """Return what everybody may know of a scheme's calendar: the events of periods that are no drafts."""
    return (
        DueWork.objects.filter(scheme=scheme, period__isnull=False)
        .exclude(period__status="draft")
        .exclude(status="cancelled")
        .select_related("period__scheme")
        .order_by("due_at", "id")
    )


def public_events_of(period: Period) -> QuerySet[DueWork]:
    """Return the public events of one period."""
    return public_events(period.scheme).filter(period=period)


def extensions_of(periods: Iterable[Period]) -> QuerySet[Extension]:
    """Return the deadlines of periods that moved, the latest first."""
    return Extension.objects.filter(period__in=periods).select_related("period__scheme", "outage").order_by("-id")


def suspensions_of(scheme: Scheme) -> QuerySet[Suspension]:
    """Return when a scheme's clocks stood, the latest first."""
    return Suspension.objects.filter(scheme=scheme).select_related("stopped_by", "resumed_by").order_by("-stopped_at")


def latest_outages() -> QuerySet[Outage]:
    """Return the recorded outages, the latest first."""
    return Outage.objects.select_related("recorded_by").annotate(moved=Count("extensions")).order_by("-began_at", "id")


def coming(periods: Iterable[Period], now: datetime) -> QuerySet[DueWork]:
    """Return what comes next for the operators of periods: what they must have done, or what is decided then."""
    return (
        DueWork.objects.filter(
            period__in=list(periods), kind__in=FOR_OPERATORS, status__in=["planned", "failed", "paused"], due_at__gt=now
        )
        .select_related("period__scheme")
        .order_by("due_at", "id")
    )


FOR_OPERATORS = ("self_report", "verified_report", "close_market", "surrender", "publication", "expiry")
"""Events that matter to whoever owes permits, and not only to the desk."""
