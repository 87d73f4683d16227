"""Tariffs: what a firm or lab offers its subscribers, in the public register, version by version."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Organisation, User
from accounts.services import audit
from common.errors import Refused, Unknown, require, require_none, require_permission
from registry.engine import flexing as engine
from registry.engine.grid import pico_kwh
from registry.models import Tariff, TariffPoint
from registry.permissions import may_report

MAX_POINTS = 12
SHARE_PLACES, LATENCY_PLACES, KWH_PLACES = 5, 3, 12

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", re.ASCII)


@dataclass(frozen=True)
class PointOffered:
    """An operating point as it is published."""

    code: str
    accuracy: Decimal
    latency_ms: Decimal
    kwh_per_request: Decimal


@dataclass(frozen=True)
class Offered:
    """The terms of a tariff. Its first point is full quality."""

    tier: str
    discount: Decimal
    accuracy_floor: Decimal
    latency_ceiling_ms: Decimal
    points: Sequence[PointOffered]
    flex_cap: Decimal = Decimal(0)
    hours_per_day: int | None = None
    percentile: Decimal | None = None
    shift_hours: int = 0
    notice_hours: int = 0


@transaction.atomic(durable=True)
def publish_tariff(
    *,
    actor: User,
    organisation: Organisation,
    name: str,
    offered: Offered,
    valid_from: date,
    valid_until: date | None = None,
    now: datetime,
) -> Tariff:
    """Publish a tariff, or its next version, which ends the one before on the day before its own first."""
    require_permission(may_report(actor, organisation), "Only an initiator or approver may publish its tariffs.")
    require_none(list(_wrong(offered)))
    name = " ".join(name.split())
    require(0 < len(name) <= 120 and name.isprintable(), "name_missing", "Name the tariff in at most 120 characters.")
    require(valid_from >= now.date(), "tariff_backdated", "A tariff begins today (UTC) or later.")
    require(
        valid_until is None or valid_until >= valid_from,
        "tariff_days_out_of_order",
        "The last day is the first or a later one.",
    )
    Organisation.objects.select_for_update(no_key=True).get(pk=organisation.pk)  # one version at a time
    before = Tariff.objects.filter(organisation=organisation, name=name).order_by("-version").first()
    if before is not None:
        _make_room(before, valid_from, offered)
    tariff = Tariff.objects.create(
        organisation=organisation,
        name=name,
        version=before.version + 1 if before else 1,
        tier=offered.tier,
        discount=offered.discount,
        accuracy_floor=offered.accuracy_floor,
        latency_ceiling_ms=offered.latency_ceiling_ms,
        flex_cap=offered.flex_cap,
        hours_per_day=offered.hours_per_day,
        percentile=offered.percentile,
        shift_hours=offered.shift_hours,
        notice_hours=offered.notice_hours,
        valid_from=valid_from,
        valid_until=valid_until,
        published_by=actor,
        published_at=now,
    )
    TariffPoint.objects.bulk_create(
        TariffPoint(
            tariff=tariff,
            number=number,
            code=point.code,
            accuracy=point.accuracy,
            latency_ms=point.latency_ms,
            kwh_per_request=point.kwh_per_request,
        )
        for number, point in enumerate(offered.points)
    )
    audit.record(
        actor,
        "registry.tariff.published",
        tariff,
        at=now,
        organisation=organisation,
        name=name,
        version=tariff.version,
        valid_from=valid_from.isoformat(),
    )
    return tariff


@transaction.atomic(durable=True)
def end_tariff(*, actor: User, tariff: Tariff, last_day: date, now: datetime) -> Tariff:
    """Let a tariff end on a day that is not over. A last day stands once it is published."""
    tariff = Tariff.objects.select_for_update(of=("self",)).select_related("organisation").get(pk=tariff.pk)
    require_permission(may_report(actor, tariff.organisation), "Only an initiator or approver may end its tariffs.")
    require(tariff.valid_until is None, "tariff_ends_already", f"{tariff} ends on {tariff.valid_until} already.")
    require(
        last_day >= max(tariff.valid_from, now.date()),
        "tariff_backdated",
        "A tariff ends today (UTC) or later, and not before it begins.",
    )
    tariff.valid_until = last_day
    tariff.save(update_fields=["valid_until"])
    audit.record(
        actor,
        "registry.tariff.ended",
        tariff,
        at=now,
        organisation=tariff.organisation,
        last_day=last_day.isoformat(),
    )
    return tariff


def register() -> QuerySet[Tariff]:
    """Every version of every tariff, for everybody."""
    return Tariff.objects.select_related("organisation").prefetch_related("points").order_by("-published_at", "id")


def in_force(rows: QuerySet[Tariff], day: date) -> QuerySet[Tariff]:
    """Keep the versions that hold on a day."""
    return rows.filter(Q(valid_until__isnull=True) | Q(valid_until__gte=day), valid_from__lte=day)


def tariff_by_id(tariff_id: UUID) -> Tariff:
    """Return a version of a tariff with its points."""
    found = register().filter(pk=tariff_id).first()
    if found is None:
        raise Unknown("tariff_unknown", "There is no such tariff. Compare the register.")
    return found


def terms_of(tariff: Tariff) -> engine.Terms:
    """Return a tariff as the engine judges by it."""
    return engine.Terms(
        tariff=f"{tariff.name} v{tariff.version}",
        high=engine.HighHours(tariff.hours_per_day, tariff.percentile),
        flex_cap=tariff.flex_cap,
        accuracy_floor=tariff.accuracy_floor,
        latency_ceiling_ms=tariff.latency_ceiling_ms,
        shift_hours=tariff.shift_hours,
        notice_hours=tariff.notice_hours,
        valid_from=tariff.valid_from,
        valid_until=tariff.valid_until,
        points=tuple(
            engine.Point(point.code, point.accuracy, point.latency_ms, pico_kwh(point.kwh_per_request))
            for point in sorted(tariff.points.all(), key=lambda point: point.number)
        ),
    )


def _make_room(before: Tariff, valid_from: date, offered: Offered) -> None:
    """End the version before, so that one version holds on each day."""
    require(
        before.tier == offered.tier, "tier_differs", f"{before} is of the other tier. Publish under a name of its own."
    )
    require(
        valid_from > before.valid_from,
        "tariff_version_too_early",
        f"{before} begins on {before.valid_from}: a later version begins after it.",
    )
    if before.valid_until is None:
        before.valid_until = valid_from - timedelta(days=1)
        before.save(update_fields=["valid_until"])
    require(
        before.valid_until < valid_from,
        "tariff_version_too_early",
        f"{before} ends on {before.valid_until}: a later version begins after it.",
    )


def _wrong(offered: Offered) -> Collection[Refused]:
    """List what cannot be published, all of it."""
    found: list[Refused] = []

    def demand(holds: bool, code: str, sentence: str) -> None:
        if not holds:
            found.append(Refused(code, sentence))

    green = offered.tier == Tariff.Tier.GREEN
    demand(offered.tier in Tariff.Tier.values, "tier_unknown", "Choose the tier full or green.")
    demand(
        _is_share(offered.discount) and offered.discount < 1,
        "discount_out_of_range",
        "Give the discount as a share of the full price: from 0 to below 1, with at most five places.",
    )
    for code, value in (("accuracy_floor", offered.accuracy_floor), ("flex_cap", offered.flex_cap)):
        demand(_is_share(value), f"{code}_out_of_range", f"Give the {code.replace('_', ' ')} as a share from 0 to 1.")
    demand(
        _is_latency(offered.latency_ceiling_ms),
        "latency_ceiling_out_of_range",
        "Give the longest latency in milliseconds: above 0, at most a day, with at most three places.",
    )
    demand(0 <= offered.notice_hours <= 48, "notice_out_of_range", "Give a notice of 0 to 48 hours.")
    if green:
        demand(
            (offered.hours_per_day is None) != (offered.percentile is None),
            "high_hours_missing",
            "Say which hours are high-carbon: how many of a day, or above which percentile; one of the two.",
        )
        demand(
            offered.hours_per_day is None or 1 <= offered.hours_per_day <= 24,
            "hours_per_day_out_of_range",
            "Choose 1 to 24 high-carbon hours a day.",
        )
        demand(
            offered.percentile is None
            or (0 <= offered.percentile <= 100 and offered.percentile == round(offered.percentile, 2)),
            "percentile_out_of_range",
            "Give a percentile from 0 to 100 with at most two places.",
        )
        demand(0 <= offered.shift_hours <= 23, "shift_hours_out_of_range", "Requests may be put off by 0 to 23 hours.")
        demand(
            offered.shift_hours > 0 or len(offered.points) > 1,
            "nothing_to_flex",
            "Publish a second operating point, or let requests be put off: otherwise nothing can be flexed.",
        )
        demand(offered.flex_cap > 0, "flex_cap_out_of_range", "Say what share of green requests may be flexed.")
    else:
        demand(
            not offered.flex_cap
            and offered.hours_per_day is None
            and offered.percentile is None
            and not offered.shift_hours,
            "full_tier_never_flexes",
            "The full tier is never flexed: leave cap, hours and delay empty.",
        )
    found += _wrong_points(offered)
    return found


def _wrong_points(offered: Offered) -> list[Refused]:
    points = offered.points
    if not 1 <= len(points) <= MAX_POINTS:
        return [Refused("points_missing", f"Publish 1 to {MAX_POINTS} operating points, full quality first.")]
    found = []
    codes = [point.code for point in points]
    if len(set(codes)) < len(codes) or not all(_CODE.fullmatch(code) for code in codes):
        found.append(
            Refused(
                "point_code_malformed",
                "Name each operating point differently, with letters, digits, dots and hyphens, such as int8.",
            )
        )
    for point in points:
        if not _is_share(point.accuracy) or not _is_latency(point.latency_ms):
            sentence = f"Give {point.code} an accuracy from 0 to 1 and a latency above 0 ms."
            found.append(Refused("point_quality_out_of_range", sentence))
        if not 0 < point.kwh_per_request < 10**6 or point.kwh_per_request != round(point.kwh_per_request, KWH_PLACES):
            sentence = f"Give {point.code} its energy in kWh per request: above 0, with at most {KWH_PLACES} places."
            found.append(Refused("point_energy_out_of_range", sentence))
    full = points[0]
    if any(point.accuracy > full.accuracy for point in points):
        found.append(Refused("full_not_best", "The first point is full quality: no other is more accurate."))
    if full.accuracy < offered.accuracy_floor or full.latency_ms > offered.latency_ceiling_ms:
        found.append(Refused("full_below_floor", "Full quality itself has to keep the floor of the tariff."))
    return found


def _is_share(value: Decimal) -> bool:
    return 0 <= value <= 1 and value == round(value, SHARE_PLACES)


def _is_latency(value: Decimal) -> bool:
    return 0 < value <= 86_400_000 and value == round(value, LATENCY_PLACES)
