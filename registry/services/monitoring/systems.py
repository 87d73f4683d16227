"""Systems: machines of one kind at a site, how they are measured, and the proof that they are measured so well."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Unknown, require
from registry.models import Site, System, SystemEvidence, Workload
from registry.services.monitoring import parts, sites

MOST_DEVICES = 10_000_000
MOST_WATTS = Decimal(100_000)
MOST_FLOP_PER_SECOND = Decimal(10) ** 21
"""A device beyond these bounds is a typing mistake: an accelerator of today draws 1 kW and does 10^16 FLOP/s."""


@transaction.atomic(durable=True)
def open_system(
    *,
    actor: User,
    site: Site,
    name: str,
    hardware: str,
    devices: int,
    watts_per_device: Decimal,
    opened_on: date,
    now: datetime,
    peak_flop_per_second: Decimal | None = None,
    number_format: str = "",
    meter: str = "",
    tier: int = 0,
    proof: tuple[str, bytes] | None = None,
) -> System:
    """Record machines of one kind at a site. A tier above 0 needs a file that proves it."""
    site = sites.locked(site.pk)
    parts.require_reporter(actor, site.organisation)
    require(site.closed_on is None, "site_closed", f"{site.name} was closed on {site.closed_on}.")
    name = parts.name_of(name)
    require(
        not System.objects.filter(site=site, name=name).exists(),
        "name_taken",
        f"{site.name} has a system of this name already. Choose another name.",
    )
    require(
        opened_on >= site.opened_on,
        "opening_day_implausible",
        f"{site.name} was opened on {site.opened_on}. Give a day from then on.",
    )
    parts.require_opening(opened_on, now)
    _require_tier(tier)
    require(
        tier == 0 or proof is not None,
        "tier_not_proven",
        "Tiers above 0 need proof: a certificate of the meter, a bill, or a sample of the log. Add a file.",
    )
    system = System.objects.create(
        site=site,
        name=name,
        **_described(hardware, devices, watts_per_device, peak_flop_per_second, number_format, meter),
        tier=tier,
        opened_on=opened_on,
        created_by=actor,
        created_at=now,
    )
    audit.record(
        actor,
        "registry.system.opened",
        system,
        at=now,
        organisation=site.organisation,
        site=site.name,
        name=name,
        devices=devices,
        tier=tier,
    )
    if tier and proof is not None:
        _prove(actor, system, tier, proof, "", now)
    return system


@transaction.atomic(durable=True)
def change_system(
    *,
    actor: User,
    system: System,
    hardware: str,
    devices: int,
    watts_per_device: Decimal,
    now: datetime,
    peak_flop_per_second: Decimal | None = None,
    number_format: str = "",
    meter: str = "",
) -> System:
    """Record that machines were added, taken away or exchanged, or that another meter measures them."""
    system = locked(system.pk)
    parts.require_reporter(actor, system.site.organisation)
    _require_open(system)
    described = _described(hardware, devices, watts_per_device, peak_flop_per_second, number_format, meter)
    before = {name: str(getattr(system, name)) for name, value in described.items() if getattr(system, name) != value}
    for name, value in described.items():
        setattr(system, name, value)
    system.save(update_fields=list(described))
    audit.record(
        actor,
        "registry.system.changed",
        system,
        at=now,
        organisation=system.site.organisation,
        before=before,
        after={name: str(described[name]) for name in before},
    )
    return system


@transaction.atomic(durable=True)
def record_proof(
    *, actor: User, system: System, tier: int, name: str, content: bytes, now: datetime, note: str = ""
) -> SystemEvidence:
    """Record a file that shows at which tier a system is measured; from now on it has this tier, higher or lower."""
    system = locked(system.pk)
    parts.require_reporter(actor, system.site.organisation)
    _require_open(system)
    _require_tier(tier)
    require(tier > 0, "tier_needs_no_proof", "Tier 0 needs no proof: lower the tier instead.")
    return _prove(actor, system, tier, (name, content), note, now)


@transaction.atomic(durable=True)
def lower_tier(*, actor: User, system: System, tier: int, reason: str, now: datetime) -> System:
    """Record that a system is measured less well than before, because a meter failed or a proof ran out."""
    system = locked(system.pk)
    parts.require_reporter(actor, system.site.organisation)
    _require_open(system)
    _require_tier(tier)
    require(tier < system.tier, "tier_not_lower", f"The system has tier {system.tier}. Add proof to raise it.")
    reason = parts.words_of(reason)
    require(bool(reason), "reason_missing", "Say why, in a sentence that the verifier can read.")
    before, system.tier = system.tier, tier
    system.save(update_fields=["tier"])
    audit.record(
        actor,
        "registry.system.tier_lowered",
        system,
        at=now,
        organisation=system.site.organisation,
        before=before,
        tier=tier,
        reason=reason,
    )
    return system


@transaction.atomic(durable=True)
def close_system(*, actor: User, system: System, closed_on: date, now: datetime) -> System:
    """Record that a system runs no more. Its workloads end on the same day, if they had not before."""
    system = locked(system.pk)
    parts.require_reporter(actor, system.site.organisation)
    _require_open(system)
    parts.require_end(system.opened_on, closed_on, now)
    ended = Workload.objects.filter(system=system, ended_on__isnull=True).update(ended_on=closed_on)
    system.closed_on = closed_on
    system.save(update_fields=["closed_on"])
    audit.record(
        actor,
        "registry.system.closed",
        system,
        at=now,
        organisation=system.site.organisation,
        closed_on=closed_on,
        workloads=ended,
    )
    return system


def locked(system_id: UUID) -> System:
    """Lock a system, after its site: whoever closes the site holds that first."""
    assert_in_transaction()
    site_id = System.objects.filter(pk=system_id).values_list("site_id", flat=True).first()
    if site_id is None:
        raise Unknown("system_unknown", "There is no such system. Check the address.")
    site = sites.locked(site_id)
    system = System.objects.select_for_update(of=("self",)).get(pk=system_id)
    system.site = site
    return system


def _prove(
    actor: User, system: System, tier: int, proof: tuple[str, bytes], note: str, now: datetime
) -> SystemEvidence:
    organisation = system.site.organisation
    record = SystemEvidence.objects.create(
        system=system,
        tier=tier,
        file=parts.keep_proof(actor, organisation, *proof, now),
        note=parts.words_of(note),
        recorded_by=actor,
        recorded_at=now,
    )
    system.tier = tier
    system.save(update_fields=["tier"])
    audit.record(
        actor,
        "registry.system.proof_recorded",
        system,
        at=now,
        organisation=organisation,
        tier=tier,
        sha256=record.file.sha256,
    )
    return record


def _described(
    hardware: str,
    devices: int,
    watts_per_device: Decimal,
    peak_flop_per_second: Decimal | None,
    number_format: str,
    meter: str,
) -> dict[str, object]:
    """Return what a system is, within its bounds."""
    require(
        1 <= devices <= MOST_DEVICES, "devices_out_of_range", f"Enter from 1 to {MOST_DEVICES:,} devices of this kind."
    )
    require(
        watts_per_device.is_finite()
        and 0 < watts_per_device <= MOST_WATTS
        and watts_per_device == round(watts_per_device, 2),
        "watts_out_of_range",
        f"Enter the rated power of one device in W, above 0 and up to {MOST_WATTS:,}, with at most two places.",
    )
    require(
        peak_flop_per_second is None
        or (
            peak_flop_per_second.is_finite()
            and 0 < peak_flop_per_second <= MOST_FLOP_PER_SECOND
            and peak_flop_per_second == int(peak_flop_per_second)
        ),
        "peak_out_of_range",
        "Enter the peak of one device in FLOP/s, as a whole number up to 10^21, or leave it empty.",
    )
    return {
        "hardware": parts.name_of(hardware),
        "devices": devices,
        "watts_per_device": watts_per_device,
        "peak_flop_per_second": peak_flop_per_second,
        "number_format": parts.words_of(number_format, 20),
        "meter": parts.words_of(meter),
    }


def _require_tier(tier: int) -> None:
    require(tier in System.Tier.values, "tier_unknown", "Choose one of the tiers on the list, from 0 to 5.")


def _require_open(system: System) -> None:
    require(system.closed_on is None, "system_closed", f"{system.name} was closed on {system.closed_on}.")
