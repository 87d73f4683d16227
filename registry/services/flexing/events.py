"""Flex events: requests that were served at a lower point or put off, with what was forecast and what then came."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.errors import Refused, require, require_none, require_permission
from registry.engine.flexing import DayAhead, high_hours
from registry.engine.grid import HOUR, Fill
from registry.models import FlexEvent, Tariff, TariffPoint, Workload
from registry.permissions import may_report
from registry.services.flexing import forecasts, tariffs
from registry.services.grid import intensities

MOST_EVENTS = 10_000
MOST_REQUESTS = 10**15
SHOWN_REFUSALS = 50


@dataclass(frozen=True)
class EventTold:
    """Requests of one hour: the point at which they were served, and the hour in which, where it was a later one."""

    hour: datetime
    point: str
    requests: int
    served_at: datetime | None = None


@transaction.atomic(durable=True)
def record_events(
    *, actor: User, tariff: Tariff, workload: Workload, told: Sequence[EventTold], now: datetime
) -> list[FlexEvent]:
    """Record what was flexed, all of it or nothing. Whether the tariff was kept is judged with the claim, not here."""
    organisation = tariff.organisation
    require_permission(may_report(actor, organisation), "Only an initiator or approver may record its flex events.")
    require(tariff.tier == Tariff.Tier.GREEN, "full_tier_never_flexes", "Choose a green tariff: the full one is kept.")
    site = workload.system.site
    require(
        workload.kind == "stream" and site.organisation_id == organisation.pk,
        "stream_unknown",
        "Choose one of your own serving streams.",
    )
    require(0 < len(told) <= MOST_EVENTS, "events_out_of_range", f"Send 1 to {MOST_EVENTS:,} events at once.")
    Workload.objects.select_for_update(no_key=True).get(pk=workload.pk)  # one list at a time, so that none is twice
    points = {point.code: point for point in tariff.points.all()}
    refusals = [
        refusal for number, event in enumerate(told, 1) for refusal in _wrong(number, event, tariff, points, now)
    ]
    require_none(refusals[:SHOWN_REFUSALS])
    require_none(list(_repeated(workload, told, points))[:SHOWN_REFUSALS])
    days = {event.hour.astimezone(UTC).date() for event in told}
    rests_on = _forecasts_of(organisation, site.zone, days, tariff)
    actual = _actual(site.zone, site.country, told, now)
    made = FlexEvent.objects.bulk_create(
        (
            FlexEvent(
                tariff=tariff,
                workload=workload,
                forecast_id=rests_on[event.hour.astimezone(UTC).date()].id,
                hour=event.hour,
                kind=FlexEvent.Kind.SHIFT if _served_at(event) > event.hour else FlexEvent.Kind.DEGRADE,
                point=points[event.point],
                served_at=_served_at(event),
                requests=event.requests,
                forecast_g_per_kwh=_forecast_at(rests_on, event.hour),
                actual_g_per_kwh=actual.get(event.hour),
                recorded_by=actor,
                recorded_at=now,
            )
            for event in told
        ),
        batch_size=1000,
    )
    audit.record(
        actor,
        "registry.flex_events.recorded",
        workload,
        at=now,
        organisation=organisation,
        tariff=str(tariff),
        events=len(made),
        requests=sum(event.requests for event in told),
    )
    return made


def was_high(events: Sequence[FlexEvent]) -> dict[int, bool]:
    """Say of each event whether the forecast that it names made its hour a high-carbon one."""
    found = {}
    for event in events:
        rule = tariffs.terms_of(event.tariff).high
        found[event.pk] = event.hour.astimezone(UTC).hour in high_hours(
            forecasts.as_day_ahead(event.forecast).values, rule
        )
    return found


def _wrong(
    number: int, event: EventTold, tariff: Tariff, points: Mapping[str, TariffPoint], now: datetime
) -> Iterator[Refused]:
    served_at = _served_at(event)
    where = f"Event {number}:"
    if not _is_full_hour(event.hour) or not _is_full_hour(served_at):
        yield Refused("hour_not_full", f"{where} give hours as 2026-03-02T04:00:00Z, the beginning of a full UTC hour.")
        return
    if max(event.hour, served_at) + HOUR > now:
        yield Refused("hour_not_over", f"{where} record an hour once it is over.")
    day = event.hour.astimezone(UTC).date()
    if day < tariff.valid_from or (tariff.valid_until is not None and day > tariff.valid_until):
        yield Refused("tariff_not_valid", f"{where} {tariff} was not valid on {day}.")
    if event.point not in points:
        yield Refused("point_unknown", f"{where} {tariff} has no point {event.point!r}, but {', '.join(points)}.")
    elif served_at == event.hour and points[event.point].number == 0:
        yield Refused("nothing_flexed", f"{where} full quality at once is not flexed. Name the point or a later hour.")
    if served_at < event.hour:
        yield Refused("served_before", f"{where} requests are served after they came.")
    if not 0 < event.requests <= MOST_REQUESTS:
        yield Refused("requests_out_of_range", f"{where} give a whole number of requests above 0.")


def _repeated(workload: Workload, told: Sequence[EventTold], points: Mapping[str, TariffPoint]) -> Iterator[Refused]:
    """Refuse what was recorded already, and what is in the list twice."""
    keys = Counter((event.hour, points[event.point].pk, _served_at(event)) for event in told)
    hours = {event.hour for event in told}
    there = set(
        FlexEvent.objects.filter(workload=workload, hour__gte=min(hours), hour__lte=max(hours)).values_list(
            "hour", "point_id", "served_at"
        )
    )
    for key, count in keys.items():
        if count > 1 or key in there:
            yield Refused(
                "event_recorded_already",
                f"The hour {key[0].astimezone(UTC):%Y-%m-%d %H:%M} UTC is recorded already at this point.",
            )


def _forecasts_of(organisation: Organisation, zone: str, days: set[date], tariff: Tariff) -> dict[date, DayAhead]:
    """Return the forecast that each day rests on: the last in time for the notice promised, or the last there is."""
    found: dict[date, DayAhead] = {}
    in_time: dict[date, DayAhead] = {}
    notice = timedelta(hours=tariff.notice_hours)
    for each in forecasts.of_days(organisation, zone, min(days), max(days)):
        found[each.day] = each
        if each.published_at <= forecasts.day_begins(each.day) - notice:
            in_time[each.day] = each
    missing = sorted(day.isoformat() for day in days if day not in found)
    require(
        not missing,
        "forecast_missing",
        f"No forecast for {zone} was published before these days began: {', '.join(missing[:8])}. "
        "What was flexed on them cannot be claimed.",
    )
    return found | in_time


def _forecast_at(rests_on: Mapping[date, DayAhead], hour: datetime) -> Decimal:
    at = hour.astimezone(UTC)
    return Decimal(rests_on[at.date()].values[at.hour]).scaleb(-6)


def _actual(zone: str, country: str, told: Sequence[EventTold], now: datetime) -> dict[datetime, Decimal]:
    """Return the intensity of the hours as far as it is known by now."""
    hours = [event.hour for event in told]
    series = intensities.series(zone, min(hours), max(hours) + HOUR, at=now, country=country)
    known = zip(series.hours, series.values, series.fills, strict=True)
    return {hour: value for hour, value, fill in known if fill is Fill.KNOWN}


def _served_at(event: EventTold) -> datetime:
    return event.served_at if event.served_at is not None else event.hour


def _is_full_hour(moment: datetime) -> bool:
    return moment.tzinfo is not None and moment.minute == moment.second == moment.microsecond == 0
