"""Forecasts of a zone's next days: what was expected before a day began, dated by our receipt."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common import clock
from common.errors import require, require_permission
from registry.engine import canonical
from registry.engine.flexing import DayAhead
from registry.engine.grid import micro_grams
from registry.models import Forecast
from registry.models.site import ZONE
from registry.permissions import may_report

HOURS = 24
HIGHEST = Decimal(1500)
MOST_DAYS_AHEAD = 14


@transaction.atomic(durable=True)
def publish_forecast(
    *,
    actor: User,
    organisation: Organisation,
    zone: str,
    day: date,
    values: Sequence[Decimal],
    source: str,
    now: datetime,
) -> Forecast:
    """Publish what is expected of the 24 UTC hours of a day that has not begun. A later one in time replaces it.

    The forecast that is the latest already, sent again, is itself: a client may repeat what it is not sure of.
    """
    require_permission(may_report(actor, organisation), "Only an initiator or approver may publish its forecasts.")
    try:
        ZONE(zone)
    except ValidationError:
        require(False, "zone_malformed", "Write the grid zone in capital letters, as in CISO or FRA.")
    require(
        len(values) == HOURS, "forecast_incomplete", f"Give one figure for each of the 24 UTC hours, not {len(values)}."
    )
    for hour, value in enumerate(values):
        require(
            value.is_finite() and 0 <= value <= HIGHEST and value == round(value, 3),
            "forecast_out_of_range",
            f"Hour {hour}: give g CO2e per kWh from 0 to {HIGHEST} with at most three places.",
        )
    source = " ".join(source.split())
    require(0 < len(source) <= 200, "source_missing", "Say in at most 200 characters who made the forecast and how.")
    published_at = clock.receipt_instant()
    require(
        published_at < day_begins(day),
        "forecast_in_hindsight",
        f"{day} has begun (UTC). A forecast counts only when it is published before its day.",
    )
    require(
        day_begins(day) - published_at <= timedelta(days=MOST_DAYS_AHEAD),
        "forecast_too_early",
        f"Publish forecasts at most {MOST_DAYS_AHEAD} days ahead.",
    )
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)  # one forecast at a time
    latest = (
        Forecast.objects.filter(organisation=organisation, zone=zone, day=day).order_by("published_at", "id").last()
    )
    if latest is not None and (latest.values, latest.source) == (list(values), source):
        return latest
    said = {
        "schema": "headroom/forecast/1",
        "organisation": str(organisation.pk),
        "zone": zone,
        "day": day.isoformat(),
        "values": [f"{value:.3f}" for value in values],
        "source": source,
        "published_at": published_at.astimezone(UTC).isoformat(),
    }
    forecast = Forecast.objects.create(
        organisation=organisation,
        zone=zone,
        day=day,
        values=list(values),
        source=source,
        sha256=canonical.sha256(said),
        published_by=actor,
        published_at=published_at,
    )
    audit.record(
        actor,
        "registry.forecast.published",
        forecast,
        at=now,
        organisation=organisation,
        zone=zone,
        day=day.isoformat(),
        sha256=forecast.sha256,
    )
    return forecast


def of_days(organisation: Organisation, zone: str, first: date, last: date) -> list[DayAhead]:
    """Return the forecasts of an organisation for a zone's days, as the engine judges by them. One query."""
    rows = Forecast.objects.filter(organisation=organisation, zone=zone, day__gte=first, day__lte=last)
    return [as_day_ahead(row) for row in rows.order_by("day", "published_at", "id")]


def as_day_ahead(forecast: Forecast) -> DayAhead:
    """Return a forecast as a plain value."""
    values = tuple(micro_grams(value) for value in forecast.values)
    return DayAhead(forecast.pk, forecast.day, forecast.published_at, values)


def day_begins(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time(), UTC)
