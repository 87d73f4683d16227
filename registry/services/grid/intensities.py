"""Grid factor sets: loading a file as a set or its next version, and reading the intensity of a zone hour by hour.

A set never changes. What reports are computed with is decided by an instant: of each code the latest version that was
published by then. Loading a set for obligations proposes its publication, and another officer approves it. Such sets
never overlap, so one zone and hour have one figure.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.errors import Unknown, require
from registry.engine.factors import BUILT_IN, Factor
from registry.engine.grid import (
    Fill,
    IntensitySeries,
    fill_intensities,
    first_hour,
    hour_at,
    hour_number,
    micro_grams,
)
from registry.importers import hourly
from registry.importers.grid_factors import read_country_factors
from registry.importers.hourly import HourFigure
from registry.importers.table import BadFile, sha256_hex
from registry.models import AnnualIntensity, FactorSet, FactorSetPublication, HourlyIntensity
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.services.versions import RowsRefused

PUBLISH_FACTORS = "registry.publish_factors"

AROUND = 31 * 24
"""Hours before and after the asked ones that the rules for missing hours look at: more than any month has."""
MOST_HOURS = 10 * 8784

_NUMBERING = 71_204
"""The advisory lock under which sets are loaded, one after the other."""

_IMPLAUSIBLY_OLD = date(1990, 1, 1)


@dataclass(frozen=True)
class Qualifiers:
    """What a table of figures says about itself, without which it means nothing."""

    kind: str
    basis: str
    perspective: str
    method: str
    source: str
    licence: str
    retrieved_on: date
    country: str = ""
    for_obligations: bool = True
    note: str = ""


@transaction.atomic(durable=True)
def load_hourly(*, actor: User, code: str, qualifiers: Qualifiers, content: bytes, now: datetime) -> FactorSet:
    """Load hourly intensities as a new set, or as the next version of a code that is there; all of it or nothing.

    A set for obligations counts once another officer approved its publication, which this proposes. The same file with
    the same words again is the set that it made; where its publication was turned down, it is proposed again.
    """
    regulator_of(actor)
    read = hourly.parse_hourly(content)
    if isinstance(read, BadFile):
        raise RowsRefused(read.errors)
    for name, said in read.qualifiers.items():
        require(
            said == getattr(qualifiers, name),
            "qualifier_differs",
            f"The file says {name} {said}, and you say {getattr(qualifiers, name)}: correct one of them.",
        )
    made, is_new = _new_set(actor, code, FactorSet.Resolution.HOUR, qualifiers, read.sha256, _spans(read.figures), now)
    if is_new:
        with connection.cursor() as cursor, cursor.copy(_COPY_HOURS) as copy:
            for figure in read.figures:
                copy.write_row((made.pk, figure.zone, hour_at(figure.hour), figure.g_per_kwh))
        _record(actor, made, now)
    _propose(actor, made, now)
    return made


@transaction.atomic(durable=True)
def load_annual(*, actor: User, code: str, qualifiers: Qualifiers, content: bytes, now: datetime) -> FactorSet:
    """Load yearly intensities of countries as a new set, or as the next version of a code that is there."""
    regulator_of(actor)
    read = read_country_factors(content)
    if isinstance(read, BadFile):
        raise RowsRefused(read.errors)
    made, is_new = _new_set(actor, code, FactorSet.Resolution.YEAR, qualifiers, sha256_hex(content), _years(read), now)
    if is_new:
        AnnualIntensity.objects.bulk_create(
            (AnnualIntensity(factor_set=made, zone=one.zone, year=one.year, g_per_kwh=one.g_per_kwh) for one in read),
            batch_size=1000,
        )
        _record(actor, made, now)
    _propose(actor, made, now)
    return made


def series(
    zone: str,
    start: datetime,
    end: datetime,
    *,
    at: datetime,
    country: str = "",
    sets: Collection[UUID] | None = None,
) -> IntensitySeries:
    """Return the intensity of a zone for every hour that begins from `start` to before `end`, as known at an instant.

    Hours that no set knows are filled and say so. `country` is whose yearly figure stands in; without one it is that
    of the set, or the zone itself. `sets` pins the sets, for working out again what was computed before.
    """
    return with_sets(zone, start, end, at=at, country=country, sets=sets)[0]


def with_sets(
    zone: str,
    start: datetime,
    end: datetime,
    *,
    at: datetime,
    country: str = "",
    sets: Collection[UUID] | None = None,
) -> tuple[IntensitySeries, list[FactorSet]]:
    """Return a series with the sets that it rests on."""
    first, until = first_hour(start), first_hour(end)
    require(first < until, "hours_empty", "Ask for at least one full hour: the end lies after the start.")
    require(until - first <= MOST_HOURS, "hours_too_many", "Ask for at most ten years at once.")
    effective = _pinned(sets) if sets is not None else effective_sets(at)
    around = (first - AROUND, until + AROUND)
    used = [one for one in effective if one.resolution == "hour" and _spans_over(one, zone, *around)]
    known = _known_hours(used, zone, *around)
    country = country or next((one.country for one in used if one.country), zone[:3])
    years, yearly = _years_of(effective, country)
    found = fill_intensities(zone, first, until, known, years, tuple(str(one) for one in used))
    if {Fill.COUNTRY, Fill.ANNUAL} & set(found.fills):
        used = [*used, *yearly]
        names = tuple(str(one) for one in used) or (BUILT_IN.version,)
        found = IntensitySeries(found.zone, found.start, found.micro_g_per_kwh, found.fills, names)
    return found, used


def effective_sets(at: datetime) -> list[FactorSet]:
    """The sets that reports were computed with at an instant: of each code the latest version published by then."""
    published = FactorSet.objects.filter(publication__published_at__lte=at)
    return list(published.order_by("code", "-version").distinct("code"))


def factor_set(code: str, version: int | None = None) -> FactorSet:
    """Return a set by its code: a version of it, or the latest."""
    rows = FactorSet.objects.filter(code=code).order_by("-version").select_related("publication")
    found = rows.first() if version is None else rows.filter(version=version).first()
    if found is None:
        raise Unknown("factor_set_unknown", "There is no such set of grid factors. Compare the list.")
    return found


def hours_of(
    found: FactorSet, zone: str, start: datetime | None = None, end: datetime | None = None
) -> list[tuple[datetime, Decimal | None]]:
    """Return the hours of a zone as they were loaded, missing ones among them."""
    if zone not in found.zones or found.resolution != FactorSet.Resolution.HOUR:
        raise Unknown("zone_unknown", f"{found} has no hours of such a zone. Compare the list of its zones.")
    rows = HourlyIntensity.objects.filter(factor_set=found, zone=zone)
    if start is not None:
        rows = rows.filter(hour__gte=start)
    if end is not None:
        rows = rows.filter(hour__lt=end)
    return list(rows.order_by("hour").values_list("hour", "g_per_kwh"))


def zones_with_hours(at: datetime) -> dict[str, FactorSet]:
    """Return the zones of which hours are known for obligations, each with its set."""
    return {
        zone: one for one in effective_sets(at) if one.resolution == FactorSet.Resolution.HOUR for zone in one.zones
    }


# Publishing -----------------------------------------------------------------------------------------------------------


def _propose(actor: User, made: FactorSet, now: datetime) -> None:
    """Propose that a set counts, unless it is information, counts already, or waits for its second officer."""
    if not made.for_obligations or hasattr(made, "publication"):
        return
    asked = {"set": str(made.pk), "name": str(made), "sha256": made.sha256}
    if Approval.objects.filter(act=PUBLISH_FACTORS, status="proposed", parameters=asked).exists():
        return
    zones = f"{len(made.zones):,} zones" if len(made.zones) != 1 else "one zone"
    approvals.propose_beside(
        actor=actor,
        act=PUBLISH_FACTORS,
        organisation=regulator_of(actor),
        summary=f"Publish the grid factors {made}: {made.rows:,} rows of {zones}, from {made.source}"
        f"{f'. {made.note}' if made.note else ''}",
        parameters=asked,
        now=now,
    )


def _check_publication(parameters: Mapping[str, Any]) -> None:
    made = FactorSet.objects.get(pk=parameters["set"])
    require(not hasattr(made, "publication"), "factor_set_published", f"{made} is published already.")
    later = FactorSet.objects.filter(code=made.code, version__gt=made.version, publication__isnull=False).first()
    require(later is None, "factor_set_overtaken", f"{later} is published already. Load a version after it.")


def _recheck_publication(approval: Approval, now: datetime) -> None:
    made = FactorSet.objects.get(pk=approval.parameters["set"])
    _require_no_overlap(made.code, made.resolution, made.zones, now)


def _execute_publication(approval: Approval, now: datetime) -> dict[str, object]:
    """Let the set count from now on; what was computed before keeps the sets it names."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERING])
    _check_publication(approval.parameters)  # under the lock: two sets for one zone may have been approved at once
    _recheck_publication(approval, now)
    made = FactorSet.objects.get(pk=approval.parameters["set"])
    FactorSetPublication.objects.create(factor_set=made, approval=approval, published_at=now)
    audit.record(
        approval.decided_by,
        "registry.factors.published",
        made,
        at=now,
        organisation=approval.organisation,
        code=made.code,
        version=made.version,
        sha256=made.sha256,
    )
    return {"set": str(made.pk), "name": str(made)}


ACTS = (
    approvals.Act(
        name=PUBLISH_FACTORS,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_publication,
        recheck=_recheck_publication,
        execute=_execute_publication,
    ),
)


# Loading --------------------------------------------------------------------------------------------------------------

_COPY_HOURS = "COPY registry_hourlyintensity (factor_set_id, zone, hour, g_per_kwh) FROM STDIN"


def _new_set(
    actor: User,
    code: str,
    resolution: str,
    said: Qualifiers,
    sha256: str,
    zones: Mapping[str, Mapping[str, object]],
    now: datetime,
) -> tuple[FactorSet, bool]:
    """Number the set under a lock, or return the one that this very file made."""
    _require_plausible(code, said, now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERING])
    earlier = FactorSet.objects.filter(code=code).order_by("-version").first()
    words = {
        "resolution": resolution,
        "kind": said.kind,
        "basis": said.basis,
        "perspective": said.perspective,
        "method": said.method.strip(),
        "source": said.source.strip(),
        "licence": said.licence.strip(),
        "country": said.country,
        "for_obligations": said.for_obligations,
    }
    if earlier is not None:
        if earlier.sha256 == sha256 and all(getattr(earlier, name) == word for name, word in words.items()):
            return earlier, False
        for name in ("resolution", "kind", "basis", "perspective", "for_obligations"):
            require(
                getattr(earlier, name) == words[name],
                "factor_set_of_another_kind",
                f"{earlier} is another kind of table ({name}): load this one under a code of its own.",
            )
        require(
            bool(said.note.strip()),
            "note_missing",
            f"{earlier} is there already. Say what this version corrects, or give the table a code of its own.",
        )
    if said.for_obligations:
        _require_no_overlap(code, resolution, zones, now)
    made = FactorSet.objects.create(
        code=code,
        version=earlier.version + 1 if earlier else 1,
        retrieved_on=said.retrieved_on,
        note=said.note.strip(),
        zones=zones,
        rows=sum(int(str(zone["rows"])) for zone in zones.values()),
        sha256=sha256,
        loaded_by=actor,
        loaded_at=now,
        **words,
    )
    return made, True


def _require_plausible(code: str, said: Qualifiers, now: datetime) -> None:
    require(
        0 < len(code) <= 40 and code.isascii() and code == code.lower() and code.replace("-", "").isalnum(),
        "code_malformed",
        "Write the code in small letters, digits and hyphens, such as us-hourly-2022.",
    )
    for name, allowed in (
        ("kind", FactorSet.Kind.values),
        ("basis", FactorSet.Basis.values),
        ("perspective", FactorSet.Perspective.values),
    ):
        require(getattr(said, name) in allowed, f"{name}_unknown", f"Say the {name}: {' or '.join(allowed)}.")
    for name, most in (("method", 120), ("source", 300), ("licence", 120)):
        text = getattr(said, name).strip()
        require(0 < len(text) <= most, f"{name}_missing", f"Say the {name} in at most {most} characters.")
    require(len(said.note.strip()) <= 300, "note_too_long", "Say what is corrected in at most 300 characters.")
    require(
        not said.country or (len(said.country) == 3 and said.country.isascii() and said.country.isupper()),
        "not_a_country",
        "Write the country in three capital letters, or leave it out.",
    )
    require(
        _IMPLAUSIBLY_OLD <= said.retrieved_on <= now.date(),
        "retrieved_on_implausible",
        "Say on which day the file was fetched from its source: a day that has come.",
    )
    require(
        not said.for_obligations or said.kind == FactorSet.Kind.AVERAGE,
        "marginal_is_information",
        "Obligations use average factors. Load a marginal one as information.",
    )


def _require_no_overlap(code: str, resolution: str, zones: Mapping[str, Mapping[str, object]], now: datetime) -> None:
    """Refuse a second figure for the same zone and time: nobody could say which one counts."""
    for other in effective_sets(now):
        if other.code == code or other.resolution != resolution:
            continue
        for zone, span in zones.items():
            there = other.zones.get(zone)
            if there and str(there["first"]) <= str(span["last"]) and str(span["first"]) <= str(there["last"]):
                require(
                    False,
                    "zone_told_already",
                    f"{zone} is told by {other} from {there['first']} to {there['last']}: load this file as a later "
                    "version of that set, or as information.",
                )


def _spans(figures: Sequence[HourFigure]) -> dict[str, dict[str, object]]:
    """Return for each zone its first and last hour, its rows, and how many of the hours between are not known."""
    by_zone: dict[str, list[HourFigure]] = {}
    for figure in figures:
        by_zone.setdefault(figure.zone, []).append(figure)
    return {
        zone: {
            "first": f"{hour_at(rows[0].hour):%Y-%m-%dT%H:%MZ}",
            "last": f"{hour_at(rows[-1].hour):%Y-%m-%dT%H:%MZ}",
            "rows": len(rows),
            "missing": rows[-1].hour - rows[0].hour + 1 - sum(row.g_per_kwh is not None for row in rows),
        }
        for zone, rows in sorted(by_zone.items())
    }


def _years(factors: Iterable[Factor]) -> dict[str, dict[str, object]]:
    by_zone: dict[str, list[int]] = {}
    for factor in factors:
        by_zone.setdefault(factor.zone, []).append(factor.year)
    return {
        zone: {"first": str(min(years)), "last": str(max(years)), "rows": len(years), "missing": 0}
        for zone, years in sorted(by_zone.items())
    }


def _record(actor: User, made: FactorSet, now: datetime) -> None:
    audit.record(
        actor,
        "registry.factors.loaded",
        made,
        at=now,
        organisation=regulator_of(actor),
        code=made.code,
        version=made.version,
        rows=made.rows,
        sha256=made.sha256,
        note=made.note,
    )


# Reading --------------------------------------------------------------------------------------------------------------


def _pinned(sets: Collection[UUID]) -> list[FactorSet]:
    return list(FactorSet.objects.filter(pk__in=sets).order_by("code", "version"))


def _spans_over(one: FactorSet, zone: str, first: int, until: int) -> bool:
    """Say whether a set has hours of a zone between two hours."""
    there = one.zones.get(zone)
    if not there:
        return False
    begins, ends = (hour_number(datetime.fromisoformat(str(there[name]))) for name in ("first", "last"))
    return bool(begins < until and ends >= first)


def _known_hours(sets: Collection[FactorSet], zone: str, first: int, until: int) -> dict[int, int]:
    """Return the hours that the sets know, by number; the figures as whole numbers."""
    if not sets:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT array_agg(extract(epoch FROM hour)::bigint / 3600), array_agg((g_per_kwh * 1000000)::bigint)
                 FROM registry_hourlyintensity
                WHERE factor_set_id = ANY(%s) AND zone = %s AND hour >= %s AND hour < %s AND g_per_kwh IS NOT NULL""",
            [[one.pk for one in sets], zone, hour_at(first), hour_at(until)],
        )
        hours, figures = cursor.fetchone()
    return dict(zip(hours or (), figures or (), strict=True))


def _years_of(sets: Collection[FactorSet], country: str) -> tuple[dict[int, int], list[FactorSet]]:
    """Return the yearly figures of a country with their sets; without any, what the registry came with."""
    yearly = [one for one in sets if one.resolution == FactorSet.Resolution.YEAR and country in one.zones]
    rows = AnnualIntensity.objects.filter(factor_set__in=yearly, zone=country).values_list("year", "g_per_kwh")
    years = {year: micro_grams(value) for year, value in rows}
    if years:
        return years, yearly
    built_in = BUILT_IN.factor(country)
    return {built_in.year: micro_grams(built_in.g_per_kwh)}, []
