"""Opening organisations, giving and ending roles, suspending and restoring."""

from datetime import datetime

from django.db import transaction

from accounts.models import ORGANISATION, Membership, Organisation, User
from accounts.permissions import is_senior_officer
from accounts.services import audit
from common.errors import require, require_permission


@transaction.atomic(durable=True)
def establish_regulator(*, name: str, officer: User, now: datetime) -> Organisation:
    """Make the first regulator and its first senior officer: the one act for which nobody can have a role yet."""
    require(
        not Organisation.objects.filter(kind=Organisation.Kind.REGULATOR).exists(),
        "regulator_exists",
        "A regulator is already established. Ask one of its senior officers to add you.",
    )
    organisation = Organisation.objects.create(name=name, kind=Organisation.Kind.REGULATOR, created_at=now)
    Membership.objects.create(
        user=officer, organisation=organisation, role=Membership.Role.SENIOR_OFFICER, granted_at=now
    )
    audit.record(officer, "accounts.regulator.established", organisation, at=now, organisation=organisation)
    return organisation


@transaction.atomic(durable=True)
def open_organisation(*, actor: User, name: str, kind: str, now: datetime) -> Organisation:
    """Admit an organisation. Only a senior officer of the regulator may, after checking who it is."""
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may admit organisations.")
    require(kind in Organisation.Kind.values, "organisation_kind_unknown", "Choose one of the kinds of organisation.")
    name = " ".join(name.split())
    require(0 < len(name) <= 200, "organisation_name_missing", "Give the organisation's legal name.")
    require(
        not Organisation.objects.filter(name__iexact=name).exists(),
        "organisation_exists",
        "An organisation of this name exists already. Open it instead.",
    )
    organisation = Organisation.objects.create(name=name, kind=kind, created_at=now)
    audit.record(actor, "accounts.organisation.opened", organisation, at=now, organisation=organisation, kind=kind)
    return organisation


@transaction.atomic(durable=True)
def grant_role(*, actor: User, user: User, organisation: Organisation, role: str, now: datetime) -> Membership:
    """Give a person a role in an organisation. A role given twice is the same role."""
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may give roles.")
    require(
        role in Membership.ROLES_OF_KIND[organisation.kind],
        "role_not_for_this_kind",
        f"A {organisation.get_kind_display().lower()} has no such role. Choose one that it has.",
    )
    Organisation.objects.select_for_update().get(pk=organisation.pk)
    membership, is_new = Membership.objects.get_or_create(
        user=user, organisation=organisation, role=role, ended_at=None, defaults={"granted_at": now}
    )
    if is_new:
        audit.record(
            actor, "accounts.role.granted", membership, at=now, organisation=organisation, user=str(user.pk), role=role
        )
    return membership


@transaction.atomic(durable=True)
def end_role(*, actor: User, membership: Membership, now: datetime) -> None:
    """End a person's role at once."""
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may end roles.")
    live = Membership.objects.select_for_update().filter(pk=membership.pk, ended_at__isnull=True).first()
    require(live is not None, "role_already_ended", "This role has ended already.")
    Membership.objects.filter(pk=membership.pk).update(ended_at=now)
    audit.record(
        actor, "accounts.role.ended", membership, at=now, organisation=membership.organisation, role=membership.role
    )


@transaction.atomic(durable=True)
def change_status(*, actor: User, organisation: Organisation, status: str, reason: str, now: datetime) -> Organisation:
    """Suspend, restore or close an organisation, with the reason that its members will read."""
    require_permission(is_senior_officer(actor), "Only a senior officer of the regulator may change this.")
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the organisation can read.")
    locked = Organisation.objects.select_for_update().get(pk=organisation.pk)
    ORGANISATION.require(locked.status, status)
    Organisation.objects.filter(pk=locked.pk).update(status=status)
    audit.record(
        actor, f"accounts.organisation.{status}", locked, at=now, organisation=locked, reason=reason, was=locked.status
    )
    locked.status = status
    return locked
