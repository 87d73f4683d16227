"""People, organisations, proposals and the audit trail in the admin, with the acts of a senior officer."""

from datetime import datetime
from typing import ClassVar

from django import forms
from django.contrib import admin

from accounts.looking import AdminAct, Answers, LookOnlyAdmin, LookOnlyInline
from accounts.models import Approval, AuditEvent, Membership, Organisation, User
from accounts.services import approvals, organisations, people
from common.forms import ActForm, ReasonForm


class PersonForm(ActForm):
    """Whom to admit. They choose their own password by "Forgot your password?" on the log-in page."""

    name = forms.CharField(max_length=200)
    email = forms.EmailField(label="E-mail")
    field_of: ClassVar = {"email_taken": "email", "email_malformed": "email", "person_name_missing": "name"}


class OpenOrganisationForm(ActForm):
    """Whom to admit."""

    name = forms.CharField(max_length=200, label="Legal name")
    kind = forms.ChoiceField(choices=Organisation.Kind.choices)
    field_of: ClassVar = {"organisation_exists": "name", "organisation_name_missing": "name"}


class RoleForm(ActForm):
    """Who gets which role."""

    user = forms.ModelChoiceField(User.objects.filter(is_active=True))
    role = forms.ChoiceField(choices=Membership.Role.choices)
    field_of: ClassVar = {"role_not_for_this_kind": "role"}


class StatusForm(ReasonForm):
    """Which status, and why."""

    status = forms.ChoiceField(choices=[("suspended", "suspended"), ("active", "active"), ("closed", "closed")])


def _admit(actor: User, row: None, answers: Answers, now: datetime) -> User:
    return people.admit_person(actor=actor, email=answers["email"], name=answers["name"], now=now)


def _block(actor: User, row: User, answers: Answers, now: datetime) -> User:
    return people.change_access(actor=actor, user=row, may_log_in=False, reason=answers["reason"], now=now)


def _restore(actor: User, row: User, answers: Answers, now: datetime) -> User:
    return people.change_access(actor=actor, user=row, may_log_in=True, reason=answers["reason"], now=now)


def _open(actor: User, row: None, answers: Answers, now: datetime) -> Organisation:
    return organisations.open_organisation(actor=actor, name=answers["name"], kind=answers["kind"], now=now)


def _grant(actor: User, row: Organisation, answers: Answers, now: datetime) -> Organisation:
    organisations.grant_role(actor=actor, user=answers["user"], organisation=row, role=answers["role"], now=now)
    return row


def _change_status(actor: User, row: Organisation, answers: Answers, now: datetime) -> Organisation:
    return organisations.change_status(
        actor=actor, organisation=row, status=answers["status"], reason=answers["reason"], now=now
    )


def _end_role(actor: User, row: Membership, answers: Answers, now: datetime) -> Membership:
    organisations.end_role(actor=actor, membership=row, now=now)
    return row


def _approve(actor: User, row: Approval, answers: Answers, now: datetime) -> Approval:
    return approvals.approve(actor=actor, approval_id=row.pk, now=now)


def _reject(actor: User, row: Approval, answers: Answers, now: datetime) -> Approval:
    return approvals.reject(actor=actor, approval_id=row.pk, reason=answers["reason"], now=now)


def _cancel(actor: User, row: Approval, answers: Answers, now: datetime) -> Approval:
    return approvals.cancel(actor=actor, approval_id=row.pk, reason=answers["reason"], now=now)


def _is_proposed(approval: Approval) -> bool:
    return approval.status == "proposed"


@admin.register(User)
class UserAdmin(LookOnlyAdmin):
    """People; their password hashes stay where they are."""

    list_display = ("email", "name", "is_active", "joined_at")
    search_fields = ("email", "name")
    fields = ("email", "name", "is_active", "joined_at", "last_login")
    acts = (
        AdminAct("admit", "Admit a person", _admit, PersonForm, on_list=True),
        AdminAct("block", "Block", _block, ReasonForm, offered=lambda user: user.is_active),
        AdminAct("restore", "Let in again", _restore, ReasonForm, offered=lambda user: not user.is_active),
    )


class MembershipInline(LookOnlyInline):
    """The roles in an organisation, ended ones included."""

    model = Membership
    fields = ("user", "role", "granted_at", "ended_at")


@admin.register(Organisation)
class OrganisationAdmin(LookOnlyAdmin):
    """Organisations and the roles in them."""

    list_display = ("name", "kind", "status", "created_at")
    list_filter = ("kind", "status")
    search_fields = ("name",)
    inlines = (MembershipInline,)
    acts = (
        AdminAct("open", "Admit an organisation", _open, OpenOrganisationForm, on_list=True),
        AdminAct("grant-role", "Give a role", _grant, RoleForm),
        AdminAct("change-status", "Suspend, restore or close", _change_status, StatusForm),
    )


@admin.register(Membership)
class MembershipAdmin(LookOnlyAdmin):
    """Roles, live and ended."""

    list_display = ("user", "organisation", "role", "granted_at", "ended_at")
    list_filter = ("role",)
    list_select_related = ("user", "organisation")
    search_fields = ("user__email", "organisation__name")
    acts = (AdminAct("end", "End this role", _end_role, offered=lambda membership: membership.ended_at is None),)


@admin.register(Approval)
class ApprovalAdmin(LookOnlyAdmin):
    """Acts that need two people; the second one decides here."""

    list_display = ("summary", "act", "status", "organisation", "proposed_by", "proposed_at", "decided_by")
    list_filter = ("status", "act")
    list_select_related = ("organisation", "proposed_by", "decided_by")
    acts = (
        AdminAct("approve", "Approve", _approve, offered=_is_proposed),
        AdminAct("reject", "Reject", _reject, ReasonForm, offered=_is_proposed),
        AdminAct("cancel", "Cancel", _cancel, ReasonForm, offered=lambda a: a.status in {"proposed", "waiting"}),
    )


@admin.register(AuditEvent)
class AuditEventAdmin(LookOnlyAdmin):
    """The audit trail, newest first."""

    list_display = ("at", "action", "actor", "organisation", "subject_type", "subject_id")
    list_select_related = ("actor", "organisation")
    search_fields = ("action", "subject_id")
