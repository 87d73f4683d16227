"""What is always true of proposals, roles and the audit trail, whoever wrote the rows."""

from datetime import datetime

from accounts.models import Approval, Membership
from common.idempotency import fingerprint
from common.invariants import Finding, Invariant, sql_invariant

_DECIDED = "status IN ('approved', 'waiting', 'executed', 'failed')"


def _parameters_are_as_proposed(as_of: datetime | None) -> Finding:
    proposals = Approval.objects.order_by("proposed_at", "id")
    if as_of is not None:
        proposals = proposals.filter(proposed_at__lte=as_of)
    checked = 0
    for approval in proposals.iterator():
        checked += 1
        found = fingerprint(approval.parameters)
        if found != approval.parameters_sha256:
            return checked, {"approval_id": approval.pk, "sha256": approval.parameters_sha256, "found": found}
    return checked, None


def _roles_fit_their_organisations(as_of: datetime | None) -> Finding:
    memberships = Membership.objects.select_related("organisation").order_by("granted_at", "id")
    if as_of is not None:
        memberships = memberships.filter(granted_at__lte=as_of)
    checked = 0
    for membership in memberships.iterator():
        checked += 1
        if membership.role not in Membership.ROLES_OF_KIND[membership.organisation.kind]:
            return checked, {
                "membership_id": membership.pk,
                "role": membership.role,
                "kind": membership.organisation.kind,
            }
    return checked, None


INVARIANTS: list[Invariant] = [
    sql_invariant(
        "Each approved act was proposed by one person and approved by another",
        counted=f"SELECT count(*) FROM accounts_approval WHERE {_DECIDED} AND decided_at <= %(as_of)s::timestamptz",  # noqa: S608
        breaches=f"""
            SELECT id AS approval_id, act, status, proposed_by_id, decided_by_id FROM accounts_approval
             WHERE {_DECIDED} AND decided_at <= %(as_of)s::timestamptz
               AND (decided_by_id IS NULL OR decided_by_id = proposed_by_id)
             ORDER BY id""",  # noqa: S608
    ),
    Invariant("Each proposal's parameters are those that were proposed", _parameters_are_as_proposed),
    sql_invariant(
        "Each step of a proposal left one event",
        counted="SELECT count(*) FROM accounts_approval WHERE proposed_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT a.id AS approval_id, a.status, e.proposed, e.ended FROM accounts_approval a
              LEFT JOIN (
                SELECT subject_id,
                       count(*) FILTER (WHERE action = 'accounts.approval.proposed') AS proposed,
                       count(*) FILTER (WHERE action = 'accounts.approval.approved') AS approved,
                       count(*) FILTER (WHERE action = 'accounts.approval.executed') AS executed,
                       count(*) FILTER (WHERE action IN ('accounts.approval.executed', 'accounts.approval.failed',
                              'accounts.approval.rejected', 'accounts.approval.cancelled')) AS ended
                  FROM accounts_auditevent WHERE subject_type = 'accounts.approval' GROUP BY subject_id) e
                ON e.subject_id = a.id::text
             WHERE coalesce(e.proposed, 0) <> 1
                OR coalesce(e.ended, 0) <> (a.status IN ('executed', 'failed', 'rejected', 'cancelled'))::int
                OR coalesce(e.executed, 0) <> (a.status = 'executed')::int
                OR (a.status IN ('executed', 'failed', 'waiting')) AND coalesce(e.approved, 0) <> 1
             ORDER BY a.id""",
        present_only=True,
    ),
    Invariant("Each role is one that its kind of organisation has", _roles_fit_their_organisations),
]
