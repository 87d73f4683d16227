"""Reads about people and organisations, and the one place where tenant scope is decided."""

import uuid
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import F, Model, QuerySet

from accounts.models import ApiToken, Approval, AuditEvent, Membership, Organisation, Task, User
from accounts.permissions import may_see_everything
from common.errors import Unknown

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True)
class Scope:
    """The organisations whose rows a request may see: every one, or those listed."""

    everything: bool
    organisation_ids: frozenset[uuid.UUID]

    def covers(self, organisation_id: uuid.UUID | None) -> bool:
        """Say whether rows of this organisation are inside the scope."""
        return self.everything or organisation_id in self.organisation_ids

    def filter(self, rows: "QuerySet[Row]", field: str) -> "QuerySet[Row]":
        """Keep the rows whose organisation, reached by the field's path, is inside the scope."""
        return rows if self.everything else rows.filter(**{f"{field}__in": self.organisation_ids})


def scope_of(user: User, token: ApiToken | None = None) -> Scope:
    """Return what the user may see. A token narrows that to its organisation, or to that organisation's wide view."""
    if token is not None and token.organisation.kind not in {"regulator", "auditor"}:
        ids = {token.organisation_id} & {organisation.pk for organisation in organisations_of(user)}
        return Scope(everything=False, organisation_ids=frozenset(ids))
    if may_see_everything(user):
        return Scope(everything=True, organisation_ids=frozenset())
    return Scope(everything=False, organisation_ids=frozenset(o.pk for o in organisations_of(user)))


def organisations_of(user: User) -> QuerySet[Organisation]:
    """The organisations in which the user has a live role, suspended ones included: their members may still read."""
    return (
        Organisation.objects.filter(memberships__user=user, memberships__ended_at__isnull=True)
        .exclude(status="closed")
        .distinct()
    )


def roles_in(user: User, organisation: Organisation) -> frozenset[str]:
    """The user's live roles in one organisation."""
    return frozenset(
        Membership.objects.filter(user=user, organisation=organisation, ended_at__isnull=True).values_list(
            "role", flat=True
        )
    )


def organisation_in_scope(scope: Scope, organisation_id: uuid.UUID) -> Organisation:
    """Return the organisation if the scope covers it; otherwise it is as unknown as one that does not exist."""
    organisation = Organisation.objects.filter(pk=organisation_id).first()
    if organisation is None or not scope.covers(organisation.pk):
        raise Unknown("organisation_unknown", "There is no such organisation in your scope. Check the address.")
    return organisation


def approvals_in_scope(scope: Scope) -> QuerySet[Approval]:
    """Approvals of the organisations in scope, newest first."""
    return scope.filter(Approval.objects.select_related("organisation", "proposed_by", "decided_by"), "organisation")


def tasks_in_scope(scope: Scope) -> QuerySet[Task]:
    """Tasks of the organisations in scope, those that are due first before the others."""
    rows = Task.objects.select_related("organisation", "claimed_by", "parent", "approval")
    return scope.filter(rows.order_by(F("due_at").asc(nulls_last=True), "created_at", "id"), "organisation")


def events_of(subject_type: str, subject_id: object) -> QuerySet[AuditEvent]:
    """The audit trail of one thing, newest first."""
    return AuditEvent.objects.filter(subject_type=subject_type, subject_id=str(subject_id)).select_related("actor")
