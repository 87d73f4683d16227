"""What is there of a period before it is reported: the days that each workload has figures for, and where they are
missing.

Figures come from the lines of the draft that say when they were measured, from serving records and from what meters
sent, whether or not these were taken into the draft yet. They are merged in the database into stretches of time, so
that a million lines cost one query.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from uuid import UUID

from django.db import connection
from django.db.models import Count, QuerySet

from registry.drafted import counting
from registry.engine.deadlines import end_of_day, start_of_day
from registry.models import Draft, MonitoringPlan, Operator, Period, System, Workload

SHOWN_GAPS = 6
"""How many gaps of a workload are listed."""

SECONDS_OF_A_DAY = 86_400

Stretch = tuple[datetime, datetime]


@dataclass(frozen=True)
class Month:
    """One month of a workload: how many of its days have figures."""

    first: date
    days: int
    """Days of the month that are over and in the period."""
    covered: int
    part: int
    """Days of a serving stream of which only some hours have figures."""
    is_asked: bool = True
    """Whether figures are expected: not of a workload that had ended, nor by the day where lines have no dates."""

    @property
    def state(self) -> str:
        """How well the month is covered, in a word."""
        if not self.days:
            return "later"
        if not self.is_asked and not self.covered and not self.part:
            return "unasked"
        if not self.covered and not self.part:
            return "none"
        return "all" if self.covered == self.days else "some"


@dataclass(frozen=True)
class Row:
    """A workload, or the lines that name none, over the months of a period."""

    workload: Workload | None
    months: tuple[Month, ...]
    gaps: tuple[tuple[date, date], ...]
    """Days without figures between the first and the last that should have some, both ends included."""
    undated: int
    """Lines of the draft that do not say when they were measured."""

    @property
    def shown_gaps(self) -> tuple[tuple[date, date], ...]:
        """The gaps that are listed."""
        return self.gaps[:SHOWN_GAPS]

    @property
    def more_gaps(self) -> int:
        """How many gaps are not listed."""
        return max(0, len(self.gaps) - SHOWN_GAPS)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all."""
        return not self.undated and all(month.state in {"none", "later", "unasked"} for month in self.months)


@dataclass(frozen=True)
class Coverage:
    """The calendar of a period."""

    months: tuple[date, ...]
    rows: tuple[Row, ...]
    silent: tuple[System, ...]
    """Systems of the plan that have no figure of any kind."""


def coverage(
    operator: Operator, period: Period, draft: Draft | None, plan: MonitoringPlan | None, now: datetime
) -> Coverage:
    """Return the calendar of an operator's period, as far as its days are over."""
    zone = period.scheme.tz
    begins, until = start_of_day(period.starts_on, zone), min(end_of_day(period.ends_on, zone), now.astimezone(UTC))
    workloads = list(_workloads(operator, period))
    told = _stretches(operator, draft, [one.pk for one in workloads], begins, max(begins, until))
    undated = _undated(draft)
    months = tuple(_months(period.starts_on, period.ends_on))
    today = now.astimezone(zone).date()
    rows = [_row(one, told.get(one.pk, []), undated.get(one.pk, 0), months, period, today) for one in workloads]
    if told.get(None) or undated.get(None):
        rows.append(_row(None, told.get(None, []), undated.get(None, 0), months, period, today))
    heard = {row.workload.system_id for row in rows if row.workload and not row.is_empty}
    return Coverage(months, tuple(rows), tuple(_silent(operator, period, plan, heard)))


def _workloads(operator: Operator, period: Period) -> QuerySet[Workload]:
    """Workloads of the operator whose system ran in the period and that had not ended before."""
    return (
        Workload.objects.filter(
            system__site__organisation_id=operator.organisation_id, system__opened_on__lte=period.ends_on
        )
        .exclude(system__closed_on__lt=period.starts_on)
        .exclude(ended_on__lt=period.starts_on)
        .select_related("system__site")
        .order_by("system__site__name", "system__name", "name", "pk")
    )


def _silent(
    operator: Operator, period: Period, plan: MonitoringPlan | None, heard: Collection[UUID]
) -> Iterable[System]:
    if plan is None:
        return ()
    named = System.objects.filter(
        pk__in=list(plan.document.get("systems", {})),
        site__organisation_id=operator.organisation_id,
        opened_on__lte=period.ends_on,
    )
    return named.exclude(closed_on__lt=period.starts_on).exclude(pk__in=heard).select_related("site").order_by("name")


def _undated(draft: Draft | None) -> dict[UUID | None, int]:
    if draft is None:
        return {}
    lines = counting(draft).filter(started_at__isnull=True).order_by()
    return dict(lines.values_list("workload").annotate(Count("pk")))


def _stretches(
    operator: Operator, draft: Draft | None, workloads: Collection[UUID], begins: datetime, until: datetime
) -> dict[UUID | None, list[Stretch]]:
    """Return for each workload the stretches of time that have figures, merged and in order.

    Lines taken from serving records span the gaps between them, so that the records speak for themselves.
    """
    found: defaultdict[UUID | None, list[Stretch]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH told AS (
                SELECT l.workload_id,
                       tstzrange(l.started_at, greatest(l.ended_at, l.started_at + interval '1 second')) AS at
                  FROM registry_draftline l LEFT JOIN registry_upload u ON u.id = l.upload_id
                 WHERE l.draft_id = %(draft)s AND l.started_at IS NOT NULL AND l.method <> %(served)s
                   AND coalesce(u.status, 'read') = 'read'
                UNION ALL
                SELECT r.workload_id, tstzrange(r.hour, r.hour + interval '1 hour')
                  FROM registry_servingrecord r
                 WHERE r.workload_id = ANY(%(workloads)s) AND r.hour >= %(begins)s AND r.hour < %(until)s
                UNION ALL
                SELECT e.workload_id,
                       tstzrange(g.measured_at - least(coalesce(g.duration_s, 0), 31622400) * interval '1 second',
                                 g.measured_at + interval '1 second')
                  FROM registry_meterreading g
                  JOIN registry_meterrun m ON m.id = g.run_id
                  JOIN registry_meterexperiment e ON e.id = m.experiment_id
                  JOIN registry_meterproject p ON p.id = e.project_id
                 WHERE p.operator_id = %(operator)s AND g.measured_at >= %(begins)s AND g.measured_at < %(until)s
            )
            SELECT workload_id, lower(stretch), upper(stretch)
              FROM (SELECT workload_id,
                           unnest(range_agg(at) * tstzmultirange(tstzrange(%(begins)s, %(until)s))) AS stretch
                      FROM told GROUP BY workload_id) merged
             ORDER BY workload_id, lower(stretch)""",
            {
                "draft": draft.pk if draft else None,
                "served": SERVED,
                "workloads": list(workloads),
                "operator": operator.pk,
                "begins": begins,
                "until": until,
            },
        )
        for workload, start, end in cursor.fetchall():
            found[workload].append((start, end))
    return dict(found)


SERVED = "serving_hourly"
"""The method of lines that were taken from serving records."""


def _row(
    workload: Workload | None,
    stretches: list[Stretch],
    undated: int,
    months: Iterable[date],
    period: Period,
    today: date,
) -> Row:
    is_stream = workload is not None and workload.kind == Workload.Kind.STREAM
    zone = UTC if is_stream else period.scheme.tz  # records of streams are of UTC hours
    covered = _seconds_by_day(stretches, zone)
    whole = {day for day, seconds in covered.items() if not is_stream or seconds >= SECONDS_OF_A_DAY}
    over = min(period.ends_on, today - timedelta(days=1))
    ended_on = workload.ended_on if workload else None
    listed = []
    for first in months:
        last = min(_last_of_month(first), over)
        days = max(0, (last - first).days + 1)
        own = [day for day in covered if first <= day <= last]
        is_asked = (bool(covered) or not undated) and (ended_on is None or first <= ended_on)
        listed.append(
            Month(first, days, sum(day in whole for day in own), sum(day not in whole for day in own), is_asked)
        )
    return Row(workload, tuple(listed), tuple(_gaps(workload, covered, whole, is_stream, over)), undated)


def _gaps(
    workload: Workload | None, covered: Mapping[date, int], whole: Collection[date], is_stream: bool, over: date
) -> Iterator[tuple[date, date]]:
    """Stretches of days without figures: of a stream until it ends, of anything else until its last figure."""
    if not covered:
        return
    last = max(covered)
    if is_stream and workload is not None:
        last = min(over, workload.ended_on or over)
    day, begun = min(covered), None
    while day <= last:
        if day not in whole and begun is None:
            begun = day
        elif day in whole and begun is not None:
            yield begun, day - timedelta(days=1)
            begun = None
        day += timedelta(days=1)
    if begun is not None:
        yield begun, last


def _seconds_by_day(stretches: Iterable[Stretch], zone: tzinfo) -> dict[date, int]:
    """Spread stretches over the days of a zone."""
    seconds: defaultdict[date, int] = defaultdict(int)
    for start, end in stretches:
        day = start.astimezone(zone).date()
        while (midnight := start_of_day(day, zone)) < end:
            inside = min(end, end_of_day(day, zone)) - max(start, midnight)
            seconds[day] += max(1, int(inside.total_seconds()))
            day += timedelta(days=1)
    return dict(seconds)


def _months(first: date, last: date) -> Iterator[date]:
    """The first day of each month of a period; a period may begin within one."""
    day = first
    while day <= last:
        yield day
        day = _last_of_month(day) + timedelta(days=1)


def _last_of_month(day: date) -> date:
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
