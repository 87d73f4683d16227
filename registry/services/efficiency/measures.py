"""Efficiency measures: recorded with a measurement before and one after, attested by a verifier, published, withdrawn.

Figures never change after they are recorded. The volumes behind an intensity are for the firm, its verifier and the
regulator; what is published of them is in `league`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Organisation, User
from accounts.permissions import has_role
from accounts.selectors import Scope
from accounts.services import audit, tasks
from common.errors import Forbidden, Refused, Unknown, require, require_none, require_permission
from registry.engine import canonical
from registry.engine import efficiency as engine
from registry.engine.rounding import exact, exact_text
from registry.models import (
    MEASURE,
    AiModel,
    Boundary,
    Counted,
    EfficiencyMeasure,
    EfficiencyMeasurement,
    EfficiencyStatement,
    Operator,
    ReportLine,
    Scheme,
    TaskClass,
    Workload,
)
from registry.permissions import may_report, may_work_the_desk
from registry.services.monitoring import parts
from registry.services.verifying import keys
from registry.services.verifying.accreditations import require_accredited
from registry.services.verifying.appointments import require_independent

SCHEMA = "headroom/efficiency-statement/1"
STATES = (
    "The two measurements are of the same task, complete and representative, and agree with the files named by their "
    "hashes. The intensities follow from them."
)
MOST_QUANTITY, MOST_KWH = 10**24, Decimal(10) ** 17


@dataclass(frozen=True)
class Told:
    """What a firm says of a measure, with the file that proves each measurement: its name and content."""

    scheme: Scheme
    workload: Workload | None
    ai_model: AiModel | None
    title: str
    kinds: Collection[str]
    description: str
    quality_tolerance: Decimal
    before: engine.Measurement
    after: engine.Measurement
    proof_before: tuple[str, bytes]
    proof_after: tuple[str, bytes]


@transaction.atomic(durable=True)
def record_measure(*, actor: User, organisation: Organisation, told: Told, now: datetime) -> EfficiencyMeasure:
    """Record a measure as a draft, or refuse with every reason why before and after cannot be compared."""
    parts.require_reporter(actor, organisation)
    told = _tidy(told)
    require_none(list(_faults(organisation, told, now)))
    measure = EfficiencyMeasure.objects.create(
        organisation=organisation,
        scheme=told.scheme,
        workload=told.workload,
        ai_model=told.ai_model,
        title=told.title,
        kinds=sorted(set(told.kinds)),
        description=told.description,
        quality_tolerance=told.quality_tolerance,
        drafted_by=actor,
        drafted_at=now,
    )
    for moment, measured, proof in (
        ("before", told.before, told.proof_before),
        ("after", told.after, told.proof_after),
    ):
        EfficiencyMeasurement.objects.create(
            measure=measure,
            moment=moment,
            evidence=parts.keep_proof(actor, organisation, *proof, now),
            **{name: getattr(measured, name) for name in engine.Measurement.__dataclass_fields__},
        )
    _record(actor, "recorded", measure, now, kinds=measure.kinds)
    return measure


@transaction.atomic(durable=True)
def submit_measure(
    *, actor: User, measure: EfficiencyMeasure, verifier: Organisation, now: datetime
) -> EfficiencyMeasure:
    """Hand a draft to an accredited, independent verifier of the firm's choice."""
    measure = locked(measure.pk)
    _require_owner(actor, measure)
    MEASURE.require(measure.status, "submitted")
    _require_fit(verifier, measure, now)
    measure.status, measure.verifier, measure.submitted_at = "submitted", verifier, now
    measure.save(update_fields=["status", "verifier", "submitted_at"])
    tasks.open_task(
        key=_task(measure),
        kind="verification",
        organisation=verifier,
        title=f"Attest or leave: {measure.organisation} took the measure “{measure.title}”.",
        link=f"/efficiency/measures/{measure.pk}/",
        now=now,
    )
    _record(actor, "submitted", measure, now, verifier=verifier.name)
    return measure


def statement_document(measure: EfficiencyMeasure, findings: str) -> dict[str, Any]:
    """Return what a verifier signs: the figures, the hashes of the files behind them, and what was found."""
    compared = comparison(measure)
    return {
        "schema": SCHEMA,
        "measure": str(measure.pk),
        "organisation": str(measure.organisation_id),
        "verifier": str(measure.verifier_id),
        "title": measure.title,
        "kinds": list(measure.kinds),
        "measurements": {
            row.moment: {
                **{name: _plain(getattr(row, name)) for name in engine.Measurement.__dataclass_fields__},
                "evidence_sha256": row.evidence.sha256,
            }
            for row in measure.measurements.all()
        },
        "before_wh": exact_text(compared.before_wh),
        "after_wh": exact_text(compared.after_wh),
        "quality_tolerance": exact_text(measure.quality_tolerance),
        "quality_change": exact_text(compared.quality_change),
        "findings": findings.strip(),
        "states": STATES,
    }


@transaction.atomic(durable=True)
def attest_measure(
    *,
    actor: User,
    measure: EfficiencyMeasure,
    findings: str,
    key_id: str,
    now: datetime,
    signature: str = "",
    passphrase: str = "",
) -> EfficiencyMeasure:
    """Sign a measure as its verifier: with a key that is kept here and its passphrase, or by a signature made outside.

    Accreditation and independence are looked at once more: they may have changed since the firm chose.
    """
    measure = locked(measure.pk)
    MEASURE.require(measure.status, "attested")
    verifier = verifier_for(actor, measure)
    _require_fit(verifier, measure, now)
    require(
        0 < len(findings.strip()) <= 4000,
        "findings_missing",
        "Say what you looked at and what you found, in at most 4,000 characters.",
    )
    document = statement_document(measure, findings)
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
    EfficiencyStatement.objects.create(
        measure=measure,
        verifier=verifier,
        signed_by=actor,
        signed_at=now,
        findings=findings.strip(),
        document=document,
        sha256=canonical.sha256(document),
        key_id=key.key_id,
        signature=signature,
    )
    measure.status = "attested"
    measure.save(update_fields=["status"])
    tasks.end_task(key=_task(measure), actor=actor, now=now)
    _record(actor, "attested", measure, now, verifier=verifier.name, key_id=key.key_id)
    return measure


@transaction.atomic(durable=True)
def publish_measure(*, actor: User, measure: EfficiencyMeasure, now: datetime) -> EfficiencyMeasure:
    """Put an attested measure into the public league table of its task class."""
    measure = locked(measure.pk)
    _require_owner(actor, measure)
    MEASURE.require(measure.status, "published")
    measure.status, measure.published_by, measure.published_at = "published", actor, now
    measure.save(update_fields=["status", "published_by", "published_at"])
    _record(actor, "published", measure, now)
    return measure


@transaction.atomic(durable=True)
def withdraw_measure(*, actor: User, measure: EfficiencyMeasure, reason: str, now: datetime) -> EfficiencyMeasure:
    """Withdraw a measure: the firm at any time, its verifier before signing, the regulator whenever it must.

    One that was published stays on its page, marked, and so do the labels that it has.
    """
    measure = locked(measure.pk)
    require_permission(
        may_report(actor, measure.organisation) or _is_desk(actor) or may_attest(actor, measure),
        "Only the firm, its verifier before signing, or the regulator may withdraw a measure.",
    )
    MEASURE.require(measure.status, "withdrawn")
    reason = " ".join(reason.split())
    require(0 < len(reason) <= 500, "reason_missing", "Say why in at most 500 characters: the public page shows it.")
    measure.status, measure.withdrawn_by, measure.withdrawn_at = "withdrawn", actor, now
    measure.withdrawal_reason = reason
    measure.save(update_fields=["status", "withdrawn_by", "withdrawn_at", "withdrawal_reason"])
    tasks.end_task(key=_task(measure), actor=actor, now=now, status="cancelled")
    _record(actor, "withdrawn", measure, now, reason=reason)
    return measure


# Reading --------------------------------------------------------------------------------------------------------------


def rows() -> QuerySet[EfficiencyMeasure]:
    """Measures with what their pages show."""
    return EfficiencyMeasure.objects.select_related(
        "organisation", "scheme", "verifier", "workload__system__site", "ai_model", "statement__signed_by"
    ).prefetch_related("measurements__evidence")


def visible(scope: Scope) -> QuerySet[EfficiencyMeasure]:
    """Measures of the organisations in scope, and those that were handed to verifiers among them."""
    found = rows().order_by("-drafted_at", "id")
    if scope.everything:
        return found
    ids = scope.organisation_ids
    return found.filter(Q(organisation__in=ids) | Q(verifier__in=ids, submitted_at__isnull=False))


def side(measure: EfficiencyMeasure, moment: str) -> EfficiencyMeasurement:
    """Return one of the two measurements, from what was read along."""
    return next(row for row in measure.measurements.all() if row.moment == moment)


def comparison(measure: EfficiencyMeasure) -> engine.Comparison:
    """Return what the two measurements say, exactly."""
    return engine.compare(
        measured(side(measure, "before")), measured(side(measure, "after")), measure.quality_tolerance
    )


def measured(row: EfficiencyMeasurement) -> engine.Measurement:
    """Return a measurement as the engine takes it."""
    values = {name: getattr(row, name) for name in engine.Measurement.__dataclass_fields__}
    return engine.Measurement(**{**values, "quantity": int(row.quantity)})


def may_attest(actor: User, measure: EfficiencyMeasure) -> bool:
    """Say whether the person acts for the verifier that a measure waits for."""
    return (
        measure.status == "submitted"
        and measure.verifier is not None
        and measure.drafted_by_id != actor.pk
        and has_role(actor, measure.verifier, "verifier")
    )


def verifier_for(actor: User, measure: EfficiencyMeasure) -> Organisation:
    """Return the verifier for which the person may sign a measure, or turn the person away."""
    if not may_attest(actor, measure):
        raise Forbidden("not_permitted", "Only the verifier that the firm chose may attest this measure.")
    assert measure.verifier is not None
    return measure.verifier


def locked(measure_id: UUID) -> EfficiencyMeasure:
    """Lock a measure and return it with what its checks need."""
    found = (
        EfficiencyMeasure.objects.select_for_update(of=("self",))
        .select_related("organisation", "scheme", "verifier", "workload")
        .prefetch_related("measurements__evidence")
        .filter(pk=measure_id)
        .first()
    )
    if found is None:
        raise Unknown("measure_unknown", "There is no such measure in your scope. Check the address.")
    return found


# Parts ----------------------------------------------------------------------------------------------------------------


def _tidy(told: Told) -> Told:
    """Return what was told as it is kept: no idle spaces, number formats and zones in capital letters."""

    def side_of(one: engine.Measurement) -> engine.Measurement:
        return replace(
            one,
            number_format=parts.words_of(one.number_format, 20).upper(),
            hardware=parts.words_of(one.hardware, 120),
            zone=parts.zone_of(one.zone, ""),
            quality_measure=parts.words_of(one.quality_measure, 60),
        )

    return replace(
        told,
        title=parts.name_of(told.title),
        description=told.description.strip(),
        before=side_of(told.before),
        after=side_of(told.after),
    )


def _faults(organisation: Organisation, told: Told, now: datetime) -> list[Refused]:
    found: list[Refused] = []

    def expect(condition: bool, code: str, sentence: str) -> None:
        if not condition:
            found.append(Refused(code, sentence))

    owner = told.workload.system.site.organisation_id if told.workload else None
    if told.ai_model:
        owner = told.ai_model.organisation_id
    expect(
        (told.workload is None) != (told.ai_model is None) and owner == organisation.pk,
        "subject_unknown",
        "Choose one of your own workloads, or one of your own models.",
    )
    expect(
        Operator.objects.filter(scheme=told.scheme, organisation=organisation).exists(),
        "not_an_operator",
        f"{organisation} is no operator in {told.scheme}. Choose a scheme that you take part in.",
    )
    expect(
        bool(told.kinds) and set(told.kinds) <= set(EfficiencyMeasure.Kind.values),
        "kind_unknown",
        f"Choose at least one of: {', '.join(EfficiencyMeasure.Kind.values)}.",
    )
    expect(
        0 < len(told.description) <= 4000,
        "description_missing",
        "Describe what was done in at most 4,000 characters. The verifier and the regulator read it.",
    )
    expect(
        0 <= told.quality_tolerance <= 1 and _fits(told.quality_tolerance, 5),
        "tolerance_out_of_range",
        "Enter the quality that may be lost as a share from 0 to 1 with at most five places: 0.01 for one percent.",
    )
    for one in (told.before, told.after):
        known = one.task_class in TaskClass.values and one.counted in Counted.values and one.boundary in Boundary.values
        expect(known, "choice_unknown", "Choose task class, unit and boundary from the lists.")
        if not known:
            return found
        expect(
            one.ended_on <= now.date(),
            "measured_in_the_future",
            f"A measurement that ends on {one.ended_on} is not over.",
        )
        expect(
            one.started_on >= parts.FIRST_DAY, "day_implausible", f"Measurements begin on {parts.FIRST_DAY} or later."
        )
        expect(one.quantity < MOST_QUANTITY, "quantity_out_of_range", "Enter fewer than 10^24 requests or tokens.")
        expect(
            one.energy_kwh < MOST_KWH and _fits(one.energy_kwh, 12),
            "energy_out_of_range",
            "Enter the energy in kWh with at most 12 places, below 10^17.",
        )
        expect(_fits(one.quality, 6), "quality_too_precise", "Enter the quality with at most six places.")
    found += [Refused(fault.code, fault.sentence) for fault in engine.faults(told.before, told.after, told.kinds)]
    return found


def _require_fit(verifier: Organisation, measure: EfficiencyMeasure, now: datetime) -> None:
    """Refuse a verifier that is not accredited for the activity, or not independent of the firm."""
    require(
        verifier.kind == "verifier" and verifier.status == "active",
        "not_a_verifier",
        "Choose an active verifier from the list.",
    )
    activity = measure.workload.activity if measure.workload else ReportLine.Activity.INFERENCE
    require_accredited(verifier, measure.scheme, [activity], now.astimezone(measure.scheme.tz).date())
    operator = Operator.objects.get(scheme=measure.scheme, organisation=measure.organisation)
    require_independent(verifier, operator, now)


def _require_owner(actor: User, measure: EfficiencyMeasure) -> None:
    require_permission(
        may_report(actor, measure.organisation), "Only an initiator or approver of the firm may do this."
    )


def _is_desk(actor: User) -> bool:
    desks = Organisation.objects.filter(kind="regulator", memberships__user=actor, memberships__ended_at__isnull=True)
    return any(may_work_the_desk(actor, desk) for desk in desks.distinct())


def _fits(value: Decimal, places: int) -> bool:
    """Say whether a number needs no more than so many places; rounding it would need a precision of its own."""
    scaled: Fraction = exact(value) * Fraction(10) ** places
    return scaled.denominator == 1


def _plain(value: object) -> object:
    """Write a figure or a day as text, and leave text and small counts as they are."""
    if isinstance(value, Decimal):
        return exact_text(value)
    return value if isinstance(value, str | int) else str(value)


def _task(measure: EfficiencyMeasure) -> str:
    return f"efficiency:{measure.pk}"


def _record(actor: User, what: str, measure: EfficiencyMeasure, now: datetime, **details: object) -> None:
    audit.record(actor, f"registry.measure.{what}", measure, at=now, organisation=measure.organisation, **details)
