"""Appointments: an operator chooses its verifier for a period, who declares that nothing conflicts, or declines.

Accreditation, independence and rotation are looked at when the operator proposes, again when the verifier accepts, and
again at the opinion (`require_fit`): what was so in spring need not be so in autumn.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts.models import Membership, Organisation, User
from accounts.permissions import has_role
from accounts.services import audit, tasks
from common.errors import Unknown, refuse, require, require_permission
from registry.engine import verification as engine
from registry.models import (
    APPOINTED,
    APPOINTMENT,
    Appointment,
    GroupMember,
    Operator,
    Period,
    Report,
    VerifierStatement,
)
from registry.permissions import may_report
from registry.services import operators, rules
from registry.services.verifying.accreditations import require_accredited


@transaction.atomic(durable=True)
def propose(*, actor: User, operator: Operator, period: Period, verifier: Organisation, now: datetime) -> Appointment:
    """Ask a verifier to verify an operator's reports of a period."""
    operator = operators.locked(operator)
    require_permission(
        may_report(actor, operator.organisation), "Only an initiator or approver of the operator appoints a verifier."
    )
    period = Period.objects.select_related("scheme").get(pk=period.pk)
    require(operator.scheme_id == period.scheme_id, "period_of_other_scheme", "This period is of another scheme.")
    require(period.status != "draft", "period_not_open", f"{period} has not begun. Wait until it has its cap.")
    require(
        not Appointment.objects.filter(operator=operator, period=period, status__in=APPOINTED).exists(),
        "verifier_appointed_already",
        f"A verifier is asked or appointed for {period} already. Cancel or end that first.",
    )
    require_fit(verifier, operator, period, now)
    appointment = Appointment.objects.create(
        operator=operator, period=period, verifier=verifier, proposed_by=actor, proposed_at=now
    )
    tasks.open_task(
        key=_task(appointment),
        kind="verification",
        organisation=verifier,
        title=f"Accept or decline: verify {operator.organisation} for {period}.",
        link=f"/verifying/{appointment.pk}/",
        now=now,
    )
    _record(actor, "proposed", appointment, now)
    return appointment


@transaction.atomic(durable=True)
def accept(
    *, actor: User, appointment: Appointment, conflicts: Mapping[str, bool], note: str, now: datetime
) -> Appointment:
    """Accept, with an answer to every question on conflicts. A yes to any of them is a reason to decline."""
    appointment = _decided(actor, appointment, "accepted")
    require(
        set(conflicts) == set(engine.CONFLICTS),
        "conflicts_unanswered",
        "Answer every question on conflicts of interest with yes or no.",
    )
    require(
        not any(conflicts.values()),
        "conflict_declared",
        "You declare a conflict of interest, so you cannot accept. Decline the appointment.",
    )
    require_fit(appointment.verifier, appointment.operator, appointment.period, now)
    appointment.declaration = _declaration(conflicts, note)
    return _decide(actor, appointment, "accepted", "", now)


@transaction.atomic(durable=True)
def decline(
    *, actor: User, appointment: Appointment, reason: str, now: datetime, conflicts: Mapping[str, bool] | None = None
) -> Appointment:
    """Decline, with a reason that the operator reads; answers on conflicts are kept if they are given."""
    appointment = _decided(actor, appointment, "declined")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the operator can read.")
    appointment.declaration = _declaration(conflicts, "") if conflicts else {}
    return _decide(actor, appointment, "declined", reason, now)


@transaction.atomic(durable=True)
def cancel(*, actor: User, appointment: Appointment, reason: str, now: datetime) -> Appointment:
    """Take a proposal back that nobody has answered."""
    appointment = _locked(appointment.pk)
    require_permission(
        may_report(actor, appointment.operator.organisation), "Only the operator takes its proposal back."
    )
    APPOINTMENT.require(appointment.status, "cancelled")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the verifier can read.")
    return _decide(actor, appointment, "cancelled", reason, now)


@transaction.atomic(durable=True)
def end(*, actor: User, appointment: Appointment, reason: str, now: datetime) -> Appointment:
    """End an appointment: either side may, while no report is under verification."""
    appointment = _locked(appointment.pk)
    require_permission(
        may_report(actor, appointment.operator.organisation) or _may_verify(actor, appointment.verifier),
        "Only the operator or the verifier ends the appointment.",
    )
    APPOINTMENT.require(appointment.status, "ended")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the other side can read.")
    require(
        not Report.objects.filter(
            operator=appointment.operator, period=appointment.period, status="under_verification"
        ).exists(),
        "verification_under_way",
        "A report is under verification. The verifier gives its opinion or returns the report first.",
    )
    appointment.status, appointment.reason = "ended", reason.strip()[:300]
    appointment.ended_by, appointment.ended_at = actor, now
    appointment.save(update_fields=["status", "reason", "ended_by", "ended_at"])
    _record(actor, "ended", appointment, now, reason=reason.strip())
    return appointment


def require_fit(verifier: Organisation, operator: Operator, period: Period, now: datetime) -> None:
    """Refuse a verifier that is not accredited, not independent of the operator, or has served it too long."""
    require(
        verifier.kind == "verifier" and verifier.status == "active",
        "not_a_verifier",
        "Choose an active verifier from the list.",
    )
    day = now.astimezone(operator.scheme.tz).date()
    policy = rules.policy_at(operator.scheme, day)
    require_accredited(verifier, operator.scheme, policy.scope.activities, day)
    require_independent(verifier, operator, now)
    refusal = engine.rotation(policy.verification, years_served(verifier, operator, but=period), period.year)
    if refusal is not None:
        refuse(refusal.code, refusal.sentence)


def require_independent(verifier: Organisation, operator: Operator, now: datetime) -> None:
    """Refuse a verifier that shares people or a group with the operator."""
    people = Membership.objects.filter(ended_at__isnull=True)
    shared = people.filter(
        organisation=verifier, user__in=people.filter(organisation=operator.organisation_id).values("user")
    )
    groups = GroupMember.objects.filter(until__isnull=True)
    same_group = groups.filter(
        organisation=verifier, group__in=groups.filter(organisation=operator.organisation_id).values("group")
    )
    require(
        not shared.exists() and not same_group.exists(),
        "verifier_not_independent",
        f"{verifier} shares people or a group with the operator. Choose another verifier.",
    )


def years_served(verifier: Organisation, operator: Operator, *, but: Period) -> set[int]:
    """Return the years for which a verifier is or was engaged by an operator, or stated an opinion on it."""
    engaged = Appointment.objects.filter(verifier=verifier, operator=operator, status="accepted").exclude(period=but)
    judged = VerifierStatement.objects.filter(verifier=verifier, report__operator=operator).exclude(report__period=but)
    return set(engaged.values_list("period__year", flat=True)) | set(
        judged.values_list("report__period__year", flat=True)
    )


def accepted(operator: Operator, period: Period) -> Appointment | None:
    """Return the appointment under which reports of a period are verified."""
    return (
        Appointment.objects.filter(operator=operator, period=period, status="accepted")
        .select_related("verifier")
        .first()
    )


def _may_verify(user: User, verifier: Organisation) -> bool:
    return verifier.kind == "verifier" and has_role(user, verifier, "verifier")


def _decided(actor: User, appointment: Appointment, status: str) -> Appointment:
    appointment = _locked(appointment.pk)
    require_permission(_may_verify(actor, appointment.verifier), "Only the verifier that was asked decides on this.")
    APPOINTMENT.require(appointment.status, status)
    return appointment


def _decide(actor: User, appointment: Appointment, status: str, reason: str, now: datetime) -> Appointment:
    appointment.status, appointment.reason = status, reason.strip()[:300]
    appointment.decided_by, appointment.decided_at = actor, now
    appointment.save(update_fields=["status", "reason", "declaration", "decided_by", "decided_at"])
    outcome = "cancelled" if status == "cancelled" else "completed"
    tasks.end_task(key=_task(appointment), actor=actor, now=now, status=outcome)
    _record(actor, status, appointment, now, reason=reason.strip())
    return appointment


def _declaration(conflicts: Mapping[str, bool], note: str) -> dict[str, object]:
    """Keep each question in the words in which it was asked."""
    return {
        "answers": [
            {"code": code, "question": question, "answer": "yes" if conflicts[code] else "no"}
            for code, question in engine.CONFLICTS.items()
            if code in conflicts
        ],
        "note": note.strip()[:2000],
    }


def _task(appointment: Appointment) -> str:
    return f"appointment:{appointment.pk}"


def _record(actor: User, what: str, appointment: Appointment, now: datetime, **details: object) -> None:
    audit.record(
        actor,
        f"registry.appointment.{what}",
        appointment,
        at=now,
        organisation=appointment.operator.organisation,
        verifier=appointment.verifier.name,
        period=appointment.period.code,
        **details,
    )


def _locked(appointment_id: UUID) -> Appointment:
    found = (
        Appointment.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "operator__scheme", "period__scheme", "verifier")
        .filter(pk=appointment_id)
        .first()
    )
    if found is None:
        raise Unknown("appointment_unknown", "There is no such appointment. Check the address.")
    return found
