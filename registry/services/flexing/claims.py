"""Claims of avoided emissions: drafted from frozen inputs, submitted, attested by the verifier, published, withdrawn.

A claim is a statement about past hours and nothing else: no service here posts to the ledger, gives out a permit or
changes what is owed. Lower emissions lower the obligation by themselves, through the serving records.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.models import Organisation, User
from accounts.selectors import Scope
from accounts.services import audit, tasks
from common.errors import Forbidden, Refused, Unknown, require, require_none, require_permission
from registry.engine import canonical
from registry.engine import flexing as engine
from registry.engine.flexing import Assessment, Facts, hours_in_words
from registry.engine.grid import Fill, first_hour, hour_at, hour_number, micro_grams, pico_kwh
from registry.models import (
    CLAIM,
    Appointment,
    AvoidedClaim,
    ClaimHour,
    ClaimStatement,
    FactorSet,
    FlexEvent,
    HourlyIntensity,
    ServingRecord,
    Tariff,
    Workload,
)
from registry.permissions import live_appointments, may_report, may_work_the_desk
from registry.services.flexing import forecasts, tariffs
from registry.services.grid import intensities, serving
from registry.services.verifying import keys
from registry.services.verifying.appointments import require_fit

SCHEMA = "headroom/avoided-claim-statement/1"
MOST_HOURS = 8784
YEAR_OF_HOURS = 365 * 24
MAX_SUBSCRIBERS = 2**31 - 1

_NUMBERING = 71_310
"""The advisory lock under which claims are numbered, one after the other."""


@dataclass(frozen=True)
class Asked:
    """What a claim is to be about: a stream, the green tariff, full UTC hours, and how many subscribed."""

    tariff: Tariff
    workload: Workload
    starts_at: datetime
    ends_at: datetime
    subscribers: int
    subscribers_before: int | None = None


# Before there is a claim ----------------------------------------------------------------------------------------------


def assess_claim(*, actor: User, asked: Asked, now: datetime) -> Assessment:
    """Work out what a claim would say, with every check, and store nothing."""
    _require_claimable(actor, asked, now)
    return engine.assess(facts_of(asked, now))


@transaction.atomic(durable=True)
def draft_claim(*, actor: User, asked: Asked, now: datetime) -> AvoidedClaim:
    """Freeze the inputs of a claim with its figures, or refuse with every check that does not hold and its hours."""
    organisation = _require_claimable(actor, asked, now)
    Workload.objects.select_for_update(no_key=True).get(pk=asked.workload.pk)  # one claim of a stream at a time
    _require_unclaimed(asked)
    facts = facts_of(asked, now)
    judged = engine.assess(facts)
    require_none([Refused(check.code, check.sentence) for check in judged.failed])
    figures = judged.figures
    assert figures is not None, "Every check holds."
    frozen = engine.document(facts)
    claim = AvoidedClaim.objects.create(
        organisation=organisation,
        workload=asked.workload,
        tariff=asked.tariff,
        zone=facts.zone,
        starts_at=asked.starts_at,
        ends_at=asked.ends_at,
        baseline_rule=engine.BASELINE_RULE,
        baseline_g=grams(figures.baseline_ug),
        actual_g=grams(figures.actual_ug),
        avoided_g=grams(figures.avoided_ug),
        energy_effect_g=grams(figures.energy_ug),
        timing_effect_g=grams(figures.timing_ug),
        not_credited_g=grams(figures.not_credited_ug),
        requests=figures.requests,
        flexed=figures.flexed,
        subscribers=asked.subscribers,
        subscribers_before=asked.subscribers_before,
        requests_before=facts.requests_before,
        marginal_g=None if figures.marginal_ug is None else grams(figures.marginal_ug),
        checks=[[check.code, check.question, check.sentence] for check in judged.checks],
        inputs=frozen,
        inputs_sha256=canonical.sha256(frozen),
        drafted_by=actor,
        drafted_at=now,
    )
    ClaimHour.objects.bulk_create(
        (
            ClaimHour(
                claim=claim,
                workload=asked.workload,
                hour=hour_at(row.hour),
                is_high=row.is_high,
                is_filled=row.is_filled,
                requests=row.requests,
                flexed=row.flexed,
                kwh=Decimal(row.pico_kwh).scaleb(-12),
                forecast_g_per_kwh=None if row.forecast is None else Decimal(row.forecast).scaleb(-6),
                actual_g_per_kwh=Decimal(row.intensity).scaleb(-6),
                actual_g=grams(row.actual_ug),
                avoided_g=grams(row.avoided_ug),
            )
            for row in figures.hours
        ),
        batch_size=2000,
    )
    _record(actor, "drafted", claim, now, avoided_g=str(claim.avoided_g), inputs=claim.inputs_sha256)
    return claim


def facts_of(asked: Asked, now: datetime) -> Facts:
    """Gather what a claim is judged by, as it is known now. Queries do not grow with the hours."""
    site = asked.workload.system.site
    organisation = asked.tariff.organisation
    first, end = hour_number(asked.starts_at), hour_number(asked.ends_at)
    records = list(
        serving.counting([asked.workload], asked.starts_at, asked.ends_at)
        .select_related("batch")
        .order_by("hour", "tier", "operating_point")
    )
    series = intensities.series(site.zone, asked.starts_at, asked.ends_at, at=now, country=site.country)
    events = FlexEvent.objects.filter(
        workload=asked.workload, tariff=asked.tariff, hour__gte=asked.starts_at, hour__lt=asked.ends_at
    )
    lots = events.order_by("hour", "id").values_list("hour", "served_at", "point__code", "requests", "forecast_id")
    last_day = hour_at(end - 1).date()
    return Facts(
        stream=str(asked.workload.pk),
        zone=site.zone,
        first=first,
        end=end,
        terms=tariffs.terms_of(asked.tariff),
        served=tuple(_served(row) for row in records),
        flexed=tuple(
            engine.Flexed(hour_number(came), hour_number(left), point, requests, forecast)
            for came, left, point, requests, forecast in lots
        ),
        forecasts=tuple(forecasts.of_days(organisation, site.zone, hour_at(first).date(), last_day)),
        intensity=series.micro_g_per_kwh,
        is_filled=tuple(fill is not Fill.KNOWN for fill in series.fills),
        versions=series.versions,
        batches=tuple(sorted({row.batch.sha256 for row in records})),
        marginal=_marginal(site.zone, asked.starts_at, asked.ends_at, end - first, now),
        subscribers=asked.subscribers,
        subscribers_before=asked.subscribers_before,
        requests_before=_requests_before(asked.workload, first, end),
    )


# The life of a claim --------------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def submit_claim(*, actor: User, claim: AvoidedClaim, now: datetime) -> AvoidedClaim:
    """Hand a draft to the verifier. It is worked out again: what has changed since has to be drafted anew."""
    claim = locked(claim.pk)
    _require_claimant(actor, claim)
    CLAIM.require(claim.status, "submitted")
    asked = Asked(
        claim.tariff, claim.workload, claim.starts_at, claim.ends_at, claim.subscribers, claim.subscribers_before
    )
    now_frozen = canonical.sha256(engine.document(facts_of(asked, now)))
    require(
        now_frozen == claim.inputs_sha256,
        "claim_inputs_changed",
        "Records, events, forecasts or intensities of these hours have changed since the draft. Withdraw it and draft "
        "the claim anew.",
    )
    claim.status, claim.submitted_by, claim.submitted_at = "submitted", actor, now
    claim.save(update_fields=["status", "submitted_by", "submitted_at"])
    for verifier in {appointment.verifier for appointment in _appointments(claim)}:
        tasks.open_task(
            key=_task(claim, verifier),
            kind="verification",
            organisation=verifier,
            title=f"Attest or leave: {claim.organisation} claims avoided emissions of {claim.workload.name}.",
            link=f"/green/claims/{claim.pk}/",
            now=now,
        )
    _record(actor, "submitted", claim, now)
    return claim


def statement_document(claim: AvoidedClaim, verifier: Organisation, findings: str) -> dict[str, Any]:
    """Return what a verifier signs: the claim with its figures, the hash of its inputs, and what was found."""
    return {
        "schema": SCHEMA,
        "claim": str(claim.pk),
        "claimant": str(claim.organisation_id),
        "verifier": str(verifier.pk),
        "stream": str(claim.workload_id),
        "zone": claim.zone,
        "starts_at": claim.starts_at.astimezone(UTC).isoformat(),
        "ends_at": claim.ends_at.astimezone(UTC).isoformat(),
        "baseline_rule": claim.baseline_rule,
        "baseline_g": f"{claim.baseline_g:f}",
        "actual_g": f"{claim.actual_g:f}",
        "avoided_g": f"{claim.avoided_g:f}",
        "inputs_sha256": claim.inputs_sha256,
        "findings": findings.strip(),
        "states": "The quantity follows from the inputs by the baseline rule. It is no permit.",
    }


@transaction.atomic(durable=True)
def attest_claim(
    *,
    actor: User,
    claim: AvoidedClaim,
    findings: str,
    key_id: str,
    now: datetime,
    signature: str = "",
    passphrase: str = "",
) -> AvoidedClaim:
    """Sign a claim as its verifier: with a key that is kept here and its passphrase, or with a signature made outside.

    The figures are worked out from the frozen inputs once more, so that nobody signs what does not follow from them.
    """
    claim = locked(claim.pk)
    appointment = appointment_of(actor, claim)
    verifier = appointment.verifier
    CLAIM.require(claim.status, "attested")
    require_fit(verifier, appointment.operator, appointment.period, now)
    require(
        0 < len(findings.strip()) <= 4000,
        "findings_missing",
        "Say what you looked at and what you found, in at most 4,000 characters.",
    )
    require(is_reproduced(claim), "claim_not_reproduced", "The figures do not follow from the frozen inputs.")
    document = statement_document(claim, verifier, findings)
    content = canonical.canonical_json(document)
    key, signature = keys.sign(
        actor=actor,
        organisation=verifier,
        key_id=key_id,
        content=content,
        signature=signature,
        passphrase=passphrase,
        at=now,
    )
    ClaimStatement.objects.create(
        claim=claim,
        verifier=verifier,
        signed_by=actor,
        signed_at=now,
        findings=findings.strip(),
        document=document,
        sha256=canonical.sha256(document),
        key_id=key.key_id,
        signature=signature,
    )
    claim.status = "attested"
    claim.save(update_fields=["status"])
    tasks.end_task(key=_task(claim, verifier), actor=actor, now=now)
    _record(actor, "attested", claim, now, verifier=verifier.name, key_id=key.key_id)
    return claim


@transaction.atomic(durable=True)
def publish_claim(*, actor: User, claim: AvoidedClaim, now: datetime) -> AvoidedClaim:
    """Publish an attested claim under the next serial number of its zone and year. Numbers are never used twice."""
    claim = locked(claim.pk)
    _require_claimant(actor, claim)
    CLAIM.require(claim.status, "published")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_NUMBERING])
    series = f"AVE-{claim.zone}-{claim.starts_at.astimezone(UTC).year}-"
    number = AvoidedClaim.objects.filter(serial__startswith=series).count() + 1  # numbered claims are never deleted
    claim.serial = f"{series}{number:06d}"
    claim.status, claim.published_by, claim.published_at = "published", actor, now
    claim.save(update_fields=["serial", "status", "published_by", "published_at"])
    _record(actor, "published", claim, now, serial=claim.serial, avoided_g=str(claim.avoided_g))
    return claim


@transaction.atomic(durable=True)
def withdraw_claim(*, actor: User, claim: AvoidedClaim, reason: str, now: datetime) -> AvoidedClaim:
    """Withdraw a claim: the claimant at any time, the verifier before it has signed, the regulator whenever it must.

    A published claim stays in the public list, marked, with its number. Its hours may be claimed anew.
    """
    claim = locked(claim.pk)
    require_permission(
        may_report(actor, claim.organisation) or _is_desk(actor) or may_send_back(actor, claim),
        "Only the claimant, its verifier before signing, or the regulator may withdraw a claim.",
    )
    CLAIM.require(claim.status, "withdrawn")
    reason = " ".join(reason.split())
    require(0 < len(reason) <= 500, "reason_missing", "Say why in at most 500 characters: the public list shows it.")
    claim.status, claim.withdrawn_by, claim.withdrawn_at, claim.withdrawal_reason = "withdrawn", actor, now, reason
    claim.save(update_fields=["status", "withdrawn_by", "withdrawn_at", "withdrawal_reason"])
    claim.hours.update(is_live=False)
    for verifier in {appointment.verifier for appointment in _appointments(claim)}:
        tasks.end_task(key=_task(claim, verifier), actor=actor, now=now, status="cancelled")
    _record(actor, "withdrawn", claim, now, reason=reason)
    return claim


# Reading --------------------------------------------------------------------------------------------------------------


def public() -> QuerySet[AvoidedClaim]:
    """Claims that were published, the withdrawn ones among them, the latest first. Inputs are not read along."""
    return _rows().exclude(serial="").order_by("-published_at", "id")


def public_claim(serial: str) -> AvoidedClaim:
    """Return a published claim by its number."""
    found = public().filter(serial=serial).first()
    if found is None:
        raise Unknown("claim_unknown", "There is no published claim of this number. Compare the list.")
    return found


def visible(scope: Scope, user: User | None = None) -> QuerySet[AvoidedClaim]:
    """Claims of the organisations in scope, and those handed to a verifier who is appointed for them."""
    rows = _rows().order_by("-drafted_at", "id")
    if scope.everything:
        return rows
    own = rows.filter(organisation__in=scope.organisation_ids)
    if user is None:
        return own
    handed = live_appointments(user).values("operator__organisation")
    return rows.filter(pk__in=own.values("pk")) | rows.filter(organisation__in=handed, submitted_at__isnull=False)


def is_reproduced(claim: AvoidedClaim) -> bool:
    """Say whether the frozen inputs are those that were hashed, and give the figures of the claim and of its hours."""
    if canonical.sha256(claim.inputs) != claim.inputs_sha256:
        return False
    figures = reproduced(claim).figures
    if figures is None:
        return False
    hours = list(claim.hours.order_by("hour").values_list("avoided_g", "actual_g"))
    return (
        claim.baseline_rule == engine.BASELINE_RULE
        and (claim.baseline_g, claim.actual_g, claim.avoided_g)
        == (grams(figures.baseline_ug), grams(figures.actual_ug), grams(figures.avoided_ug))
        and hours == [(grams(row.avoided_ug), grams(row.actual_ug)) for row in figures.hours]
    )


def reproduced(claim: AvoidedClaim) -> Assessment:
    """Judge a claim again by its frozen inputs alone."""
    return engine.assess(engine.facts_from_document(claim.inputs))


def appointment_of(actor: User, claim: AvoidedClaim) -> Appointment:
    """Return the appointment under which the person may attest a claim, or turn the person away.

    It is whom the claimant appointed for a period that all of the claimed hours lie in: independent, and accredited.
    """
    found = [one for one in _appointments(claim) if one.pk in _mine(actor)]
    if not found or claim.drafted_by_id == actor.pk:
        raise Forbidden(
            "not_permitted", "Only the verifier that the claimant appointed for the period of these hours may do this."
        )
    return found[0]


def may_attest(actor: User, claim: AvoidedClaim) -> bool:
    """Say whether the person is the verifier of a claim that waits for one."""
    if claim.status != "submitted":
        return False
    try:
        appointment_of(actor, claim)
    except Forbidden:
        return False
    return True


may_send_back = may_attest
"""Whoever may sign a claim may also refuse it."""


def grams(micrograms: int) -> Decimal:
    """Return micrograms as grams."""
    return Decimal(micrograms).scaleb(-6)


def no_streams() -> QuerySet[Workload]:
    """No stream at all, for those who have none to claim for."""
    return Workload.objects.none()


def claimable_streams(organisation: Organisation) -> QuerySet[Workload]:
    """The serving streams of an organisation."""
    return (
        Workload.objects.filter(kind="stream", system__site__organisation=organisation)
        .select_related("system__site")
        .order_by("name", "id")
    )


# Parts ----------------------------------------------------------------------------------------------------------------


def locked(claim_id: UUID) -> AvoidedClaim:
    """Lock a claim and return it with all that its checks need."""
    found = (
        AvoidedClaim.objects.select_for_update(of=("self",))
        .select_related("organisation", "tariff__organisation", "workload__system__site")
        .filter(pk=claim_id)
        .first()
    )
    if found is None:
        raise Unknown("claim_unknown", "There is no such claim in your scope. Check the address.")
    return found


def _rows() -> QuerySet[AvoidedClaim]:
    return AvoidedClaim.objects.select_related(
        "organisation", "tariff", "workload__system__site", "statement__verifier", "statement__signed_by"
    ).defer("inputs")


def _require_claimable(actor: User, asked: Asked, now: datetime) -> Organisation:
    organisation = asked.tariff.organisation
    require_permission(may_report(actor, organisation), "Only an initiator or approver may claim for it.")
    require(asked.tariff.tier == Tariff.Tier.GREEN, "tariff_not_green", "Choose a green tariff.")
    require(
        asked.workload.kind == "stream" and asked.workload.system.site.organisation_id == organisation.pk,
        "stream_unknown",
        "Choose one of your own serving streams.",
    )
    require(
        all(_is_full_hour(moment) for moment in (asked.starts_at, asked.ends_at)),
        "hour_not_full",
        "Claim full UTC hours, such as 2026-03-02T00:00:00Z to 2026-03-03T00:00:00Z.",
    )
    require(asked.starts_at < asked.ends_at, "hours_out_of_order", "The end lies after the start.")
    require(asked.ends_at <= now, "hours_not_over", "Claim hours that are over.")
    require(
        first_hour(asked.ends_at) - first_hour(asked.starts_at) <= MOST_HOURS,
        "hours_too_many",
        "Claim at most one year at once.",
    )
    for count in (asked.subscribers, asked.subscribers_before):
        require(
            count is None or 0 < count <= MAX_SUBSCRIBERS,
            "subscribers_out_of_range",
            "Say how many subscribed: a whole number above 0.",
        )
    return organisation


def _require_unclaimed(asked: Asked) -> None:
    """Refuse hours of the stream that a claim has already."""
    taken = ClaimHour.objects.filter(
        workload=asked.workload, is_live=True, hour__gte=asked.starts_at, hour__lt=asked.ends_at
    )
    hours = [hour_number(hour) for hour in taken.values_list("hour", flat=True)]
    require(
        not hours, "hours_claimed_already", f"Another claim has these hours of the stream: {hours_in_words(hours)}."
    )


def _require_claimant(actor: User, claim: AvoidedClaim) -> None:
    require_permission(
        may_report(actor, claim.organisation), "Only an initiator or approver of the claimant may do this."
    )


def _served(row: ServingRecord) -> engine.Served:
    return engine.Served(
        hour=hour_number(row.hour),
        zone=row.zone,
        tier=row.tier,
        point=row.operating_point,
        requests=row.requests,
        pico_kwh=pico_kwh(row.energy_kwh),
        is_signed=bool(row.batch.signature),
    )


def _marginal(zone: str, start: datetime, end: datetime, hours: int, now: datetime) -> tuple[int, ...]:
    """Return the marginal factors of the hours where a set knows them all, of the latest version loaded by now."""
    sets = FactorSet.objects.filter(
        kind=FactorSet.Kind.MARGINAL, resolution=FactorSet.Resolution.HOUR, loaded_at__lte=now, zones__has_key=zone
    )
    for one in sets.order_by("code", "-version").distinct("code"):
        values = HourlyIntensity.objects.filter(
            factor_set=one, zone=zone, hour__gte=start, hour__lt=end, g_per_kwh__isnull=False
        ).order_by("hour")
        found = tuple(micro_grams(value) for value in values.values_list("g_per_kwh", flat=True) if value is not None)
        if len(found) == hours:
            return found
    return ()


def _requests_before(workload: Workload, first: int, end: int) -> int | None:
    """Return the requests of the same hours a year earlier, where the records tell every one of them."""
    told = serving.told([workload.pk], first - YEAR_OF_HOURS, end - YEAR_OF_HOURS).get(workload.pk)
    return sum(told.requests.values()) if told is not None and len(told.requests) == end - first else None


def _appointments(claim: AvoidedClaim) -> Sequence[Appointment]:
    """The accepted appointments of the claimant for periods that all of the hours lie in."""
    first, last = claim.starts_at.astimezone(UTC).date(), hour_at(hour_number(claim.ends_at) - 1).date()
    return list(
        Appointment.objects.filter(
            status="accepted",
            operator__organisation=claim.organisation_id,
            period__starts_on__lte=first,
            period__ends_on__gte=last,
        )
        .select_related("verifier", "operator__scheme", "operator__organisation", "period__scheme")
        .order_by("period__starts_on", "id")
    )


def _mine(actor: User) -> set[UUID]:
    return set(live_appointments(actor).values_list("pk", flat=True))


def _is_desk(actor: User) -> bool:
    desks = Organisation.objects.filter(kind="regulator", memberships__user=actor, memberships__ended_at__isnull=True)
    return any(may_work_the_desk(actor, desk) for desk in desks.distinct())


def _is_full_hour(moment: datetime) -> bool:
    return moment.tzinfo is not None and moment.minute == moment.second == moment.microsecond == 0


def _task(claim: AvoidedClaim, verifier: Organisation) -> str:
    return f"claim:{claim.pk}:{verifier.pk}"


def _record(actor: User, what: str, claim: AvoidedClaim, now: datetime, **details: object) -> None:
    audit.record(actor, f"registry.claim.{what}", claim, at=now, organisation=claim.organisation, **details)
