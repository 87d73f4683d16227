"""Who may do what in the registry, in terms of the roles people have in an organisation."""

from django.db.models import QuerySet

from accounts.models import Membership, Organisation, User
from accounts.permissions import has_role, has_role_anywhere
from common.errors import Forbidden
from registry.models import Appointment, Report


def may_work_the_desk(user: User, organisation: Organisation) -> bool:
    """Prepares the regulator's acts: schemes, caps, allocations, estimates, records of cash."""
    return organisation.kind == "regulator" and has_role(user, organisation, "desk_officer", "senior_officer")


def may_sign_for_the_regulator(user: User, organisation: Organisation) -> bool:
    """Approves what the desk proposed."""
    return organisation.kind == "regulator" and has_role(user, organisation, "senior_officer")


def may_initiate(user: User, organisation: Organisation) -> bool:
    """Starts transfers for a firm or lab."""
    return organisation.trades and has_role(user, organisation, "initiator", "approver")


def may_approve_transfers(user: User, organisation: Organisation) -> bool:
    """Approves the firm's own large transfers, as the second person."""
    return organisation.trades and has_role(user, organisation, "approver")


def may_report(user: User, organisation: Organisation) -> bool:
    """Files reports and gives instructions for a firm or lab."""
    return organisation.trades and has_role(user, organisation, "initiator", "approver")


def may_surrender(user: User, organisation: Organisation) -> bool:
    """Gives up permits for a firm or lab: any of its representatives may do what the law demands of it."""
    return organisation.trades and has_role(user, organisation, "initiator", "approver", "trader")


def regulator_of(user: User) -> Organisation:
    """Return the regulator at whose desk the user works, or turn the user away."""
    membership = (
        Membership.objects.filter(
            user=user,
            role__in=["desk_officer", "senior_officer"],
            ended_at__isnull=True,
            organisation__kind="regulator",
            organisation__status="active",
        )
        .select_related("organisation")
        .order_by("organisation_id")
        .first()
    )
    if membership is None or not user.is_active:
        raise Forbidden("not_permitted", "Only an officer at the regulator's desk may do this.")
    return membership.organisation


def live_appointments(user: User) -> QuerySet[Appointment]:
    """Appointments under which the user may judge now: accepted by a verifier in which the user has that role."""
    if not user.is_active:
        return Appointment.objects.none()
    return Appointment.objects.filter(
        status="accepted",
        verifier__kind="verifier",
        verifier__status="active",
        verifier__memberships__user=user,
        verifier__memberships__role="verifier",
        verifier__memberships__ended_at__isnull=True,
    ).exclude(
        operator__organisation__in=Membership.objects.filter(user=user, ended_at__isnull=True).values("organisation")
    )


def appointment_for(user: User, report: Report) -> Appointment:
    """Return the appointment under which the user may judge this report, or turn the user away.

    Reporter and verifier are two parties, and the person who judges is not the one who filed the report.
    """
    reporter = report.operator.organisation_id
    belongs_to_reporter = Membership.objects.filter(user=user, organisation_id=reporter, ended_at__isnull=True).exists()
    appointment = (
        live_appointments(user)
        .filter(operator=report.operator_id, period=report.period_id)
        .select_related("verifier", "operator__organisation", "operator__scheme", "period__scheme")
        .first()
    )
    if (belongs_to_reporter or report.submitted_by_id == user.pk) and has_role_anywhere(user, "verifier"):
        raise Forbidden("verifier_not_independent", "You are part of the organisation that reported. Ask a colleague.")
    if appointment is None:
        raise Forbidden("not_permitted", "Only the verifier that the operator appointed for this period may do this.")
    return appointment
