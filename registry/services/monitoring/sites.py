"""Sites: where an organisation computes, on which grid, and how much energy the building adds in each year."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from accounts.models import Organisation, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Unknown, refuse, require
from registry.engine.monitoring import DEFAULT_PUE
from registry.models import ReportLine, Site, SitePue, System, Workload
from registry.services.monitoring import parts

LEAST_PUE, MOST_PUE = Decimal("1.02"), Decimal(3)
"""No data centre is known to need less, and none that runs needs more."""


@transaction.atomic(durable=True)
def open_site(
    *,
    actor: User,
    organisation: Organisation,
    name: str,
    country: str,
    opened_on: date,
    now: datetime,
    zone: str = "",
) -> Site:
    """Record a place where the organisation computes."""
    parts.require_reporter(actor, organisation)
    name, country = parts.name_of(name), parts.country_of(country)
    zone = parts.zone_of(zone, country)
    parts.require_opening(opened_on, now)
    Organisation.objects.select_for_update(of=("self",), no_key=True).get(pk=organisation.pk)
    _require_new_name(organisation, name)
    site = Site.objects.create(
        organisation=organisation,
        name=name,
        country=country,
        zone=zone,
        opened_on=opened_on,
        created_by=actor,
        created_at=now,
    )
    audit.record(
        actor,
        "registry.site.opened",
        site,
        at=now,
        organisation=organisation,
        name=name,
        country=country,
        zone=zone,
        opened_on=opened_on,
    )
    return site


@transaction.atomic(durable=True)
def change_site(*, actor: User, site: Site, name: str, country: str, now: datetime, zone: str = "") -> Site:
    """Put the name or the place of a site right. Its place stays once a report has lines of it."""
    site = locked(site.pk)
    parts.require_reporter(actor, site.organisation)
    _require_open(site)
    name, country = parts.name_of(name), parts.country_of(country)
    zone = parts.zone_of(zone, country)
    if name != site.name:
        _require_new_name(site.organisation, name)
    require(
        (country, zone) == (site.country, site.zone)
        or not ReportLine.objects.filter(workload__system__site=site).exists(),
        "site_in_reports",
        "Reports rest on the place of this site. Close it, and open another one.",
    )
    before = {"name": site.name, "country": site.country, "zone": site.zone}
    site.name, site.country, site.zone = name, country, zone
    site.save(update_fields=["name", "country", "zone"])
    after = {"name": name, "country": country, "zone": zone}
    audit.record(
        actor, "registry.site.changed", site, at=now, organisation=site.organisation, before=before, after=after
    )
    return site


@transaction.atomic(durable=True)
def close_site(*, actor: User, site: Site, closed_on: date, now: datetime) -> Site:
    """Record that a site runs no more. Its systems and their workloads end on the same day, if they had not before."""
    site = locked(site.pk)
    parts.require_reporter(actor, site.organisation)
    _require_open(site)
    parts.require_end(site.opened_on, closed_on, now)
    systems = System.objects.select_for_update(of=("self",)).filter(site=site, closed_on__isnull=True)
    late = max((system.opened_on for system in systems.order_by("pk")), default=closed_on)
    require(late <= closed_on, "system_opened_later", f"A system of this site was opened on {late}. Give a later day.")
    ended = Workload.objects.filter(system__site=site, ended_on__isnull=True).update(ended_on=closed_on)
    closed = System.objects.filter(site=site, closed_on__isnull=True).update(closed_on=closed_on)
    site.closed_on = closed_on
    site.save(update_fields=["closed_on"])
    audit.record(
        actor,
        "registry.site.closed",
        site,
        at=now,
        organisation=site.organisation,
        closed_on=closed_on,
        systems=closed,
        workloads=ended,
    )
    return site


@transaction.atomic(durable=True)
def record_pue(
    *,
    actor: User,
    site: Site,
    year: int,
    value: Decimal,
    now: datetime,
    proof: tuple[str, bytes] | None = None,
) -> SitePue:
    """Record the power usage effectiveness of a site in a year; the newest record of a year counts.

    Without a file that proves it, the default counts in its place, or the recorded figure where that is higher.
    """
    site = locked(site.pk)
    parts.require_reporter(actor, site.organisation)
    last = site.closed_on.year if site.closed_on else now.year
    require(
        site.opened_on.year <= year <= last,
        "year_without_site",
        f"Give a year in which the site ran, from {site.opened_on.year} to {last}.",
    )
    if not value.is_finite() or not LEAST_PUE <= value <= MOST_PUE:
        refuse(
            "pue_implausible",
            f"Enter the energy of the whole site over that of its IT equipment, from {LEAST_PUE} to {MOST_PUE}.",
        )
    require(value == round(value, 3), "pue_too_precise", "Enter at most three places after the point, rounded up.")
    record = SitePue.objects.create(
        site=site,
        year=year,
        value=value,
        evidence=parts.keep_proof(actor, site.organisation, *proof, now) if proof else None,
        recorded_by=actor,
        recorded_at=now,
    )
    audit.record(
        actor,
        "registry.site.pue_recorded",
        site,
        at=now,
        organisation=site.organisation,
        year=year,
        value=value,
        sha256=record.evidence.sha256 if record.evidence else "",
    )
    return record


def pue(site: Site, year: int) -> tuple[Decimal, bool]:
    """Return what energy of the IT equipment is multiplied with, and whether the figure is proven.

    A figure without proof never lowers the default.
    """
    return counted(SitePue.objects.filter(site=site, year=year).order_by("-id").first())


def pues(site_ids: Iterable[UUID], year: int) -> dict[UUID, tuple[Decimal, bool]]:
    """Return the same for many sites, in one query."""
    wanted = list(site_ids)
    newest = SitePue.objects.filter(site__in=wanted, year=year).order_by("site_id", "-id").distinct("site_id")
    found = {record.site_id: record for record in newest}
    return {site_id: counted(found.get(site_id)) for site_id in wanted}


def counted(record: SitePue | None) -> tuple[Decimal, bool]:
    """Return the figure that counts by a record, and whether it is proven."""
    if record is None:
        return DEFAULT_PUE, False
    if record.evidence_id is None:
        return max(DEFAULT_PUE, record.value), False
    return record.value, True


def locked(site_id: UUID) -> Site:
    """Lock a site."""
    assert_in_transaction()
    site = Site.objects.select_for_update(of=("self",)).select_related("organisation").filter(pk=site_id).first()
    if site is None:
        raise Unknown("site_unknown", "There is no such site. Check the address.")
    return site


def _require_open(site: Site) -> None:
    require(site.closed_on is None, "site_closed", f"{site.name} was closed on {site.closed_on}.")


def _require_new_name(organisation: Organisation, name: str) -> None:
    require(
        not Site.objects.filter(organisation=organisation, name=name).exists(),
        "name_taken",
        "You have a site of this name already. Choose another name.",
    )
