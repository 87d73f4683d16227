"""Verification: an independent verifier's opinion on a report, and the obligation that follows from it."""

from datetime import datetime

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import require
from registry.engine.compliance import obligation
from registry.engine.deadlines import end_of_day
from registry.models import Obligation, Operator, Period, Report, Scheme, VerifierStatement
from registry.permissions import verifier_for
from registry.services import compliance, obligations, operators, receipts, regimes, reports


@transaction.atomic(durable=True)
def verify_report(*, actor: User, report: Report, opinion: str, findings: str, now: datetime) -> VerifierStatement:
    """State an opinion on the latest version of a report: positive ones make it count, a negative one returns it."""
    verifier = verifier_for(actor, report)
    require(opinion in VerifierStatement.Opinion.values, "opinion_unknown", "Choose one of the opinions on the list.")
    needs_findings = opinion != VerifierStatement.Opinion.POSITIVE
    require(
        bool(findings.strip()) or not needs_findings,
        "findings_missing",
        "Say what you found: an opinion with comments and a negative one need findings.",
    )
    period, received_at = receipts.receive(report.period_id)
    operator = operators.locked(report.operator)
    report = reports.locked(report)
    require(
        received_at >= end_of_day(period.ends_on, operator.scheme.tz),
        "period_still_running",
        f"{period} has not ended: nobody can verify a year that is not over.",
    )
    newest = Report.objects.filter(operator=operator, period=period, kind="operator").order_by("-version").first()
    require(newest == report, "report_not_latest", "A newer version was submitted. Verify that one.")
    if report.status == "submitted":
        reports.move(report, "under_verification")
    statement = VerifierStatement(
        report=report,
        verifier=verifier,
        signed_by=actor,
        signed_at=received_at,
        opinion=opinion,
        findings=findings.strip(),
    )
    if opinion == VerifierStatement.Opinion.NEGATIVE:
        reports.move(report, "returned", reason=findings)
        obligations.follow(period, now, "The verifier sent the report back.", operator=operator)
    else:
        _put_in_force(report, period, operator, received_at)
        compliance.record_later_status(operator, period, now, f"Version {report.version} of the report was verified.")
    statement.save(force_insert=True)
    audit.record(
        actor,
        f"registry.report.{report.status}",
        report,
        at=now,
        organisation=operator.organisation,
        verifier=verifier.name,
        opinion=opinion,
        received_at=received_at,
    )
    return statement


def _put_in_force(report: Report, period: Period, operator: Operator, received_at: datetime) -> None:
    """Let a verified report take the place of an older one or of an estimate, and say what is owed by it."""
    reports.require_liable(operator, period)
    reports.require_correctable(period, operator)
    replaced = Report.objects.filter(operator=operator, period=period, status__in=["verified", "determined"]).first()
    if replaced is not None:
        reports.move(replaced, "superseded")
    reports.move(report, "verified")
    owe(report, operator, period, received_at)


def owe(report: Report, operator: Operator, period: Period, at: datetime) -> Obligation:
    """Write the next version of an obligation: the report's total over the permit size, by rule R6.

    Under a regime that surrenders nothing, nothing is owed whatever was used.
    """
    regime = regimes.record(operator, period, at)
    latest = Obligation.objects.filter(operator=operator, period=period).order_by("-version").first()
    return Obligation.objects.create(
        operator=operator,
        period=period,
        version=latest.version + 1 if latest else 1,
        report=report,
        quantity=quantity_owed(operator.scheme, report) if regime in regimes.SURRENDERS else 0,
        at=at,
    )


def quantity_in_force(operator: Operator, period: Period) -> int:
    """Return what is owed for a period by the latest version of its obligation."""
    latest = Obligation.objects.filter(operator=operator, period=period).order_by("-version").first()
    return latest.quantity if latest else 0


def quantity_owed(scheme: Scheme, report: Report) -> int:
    """Return the permits that a report means: the scheme's metric decides which of its totals counts."""
    total = report.flop if scheme.metric == Scheme.Metric.FLOP else report.co2e_g
    return obligation(total, scheme.unit_size)
