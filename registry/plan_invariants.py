"""What is always true of monitoring plans: versions are what was hashed, and reports cite what was in force."""

from datetime import datetime

from common.invariants import Finding, Invariant, sql_invariant
from registry.engine.canonical import sha256
from registry.models import MonitoringPlan


def _versions_are_what_was_submitted(as_of: datetime | None) -> Finding:
    versions = MonitoringPlan.objects.exclude(submitted_at=None).order_by("submitted_at", "id")
    if as_of is not None:
        versions = versions.filter(submitted_at__lte=as_of)
    checked = 0
    for version in versions.iterator():
        checked += 1
        found = sha256(version.document)
        if found != version.content_sha256:
            return checked, {"plan_id": version.pk, "content_sha256": version.content_sha256, "found": found}
    return checked, None


INVARIANTS: list[Invariant] = [
    Invariant("Each version of a monitoring plan is the document that was submitted", _versions_are_what_was_submitted),
    sql_invariant(
        "Each plan that a report cites is its operator's, was approved, and counts in the period",
        counted="SELECT count(*) FROM registry_report"
        " WHERE plan_id IS NOT NULL AND received_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT r.id AS report_id, m.id AS plan_id, m.status, m.decided_at, m.valid_from
              FROM registry_report r
              JOIN registry_monitoringplan m ON m.id = r.plan_id
              JOIN registry_period p ON p.id = r.period_id
             WHERE r.received_at <= %(as_of)s::timestamptz
               AND NOT (m.operator_id = r.operator_id AND m.status IN ('approved', 'superseded')
                        AND m.valid_from <= p.ends_on)
             ORDER BY r.received_at, r.id""",
    ),
]
