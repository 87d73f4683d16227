"""Estimates: what an operator owes when no verified report came, set conservatively by the regulator."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import require
from common.idempotency import fingerprint
from common.quantities import MAX_FLOP
from registry.engine.rounding import exact, half_up
from registry.models import Operator, Period, Report, Scheme
from registry.permissions import regulator_of
from registry.services import compliance, operators, receipts, reports, verification


@transaction.atomic(durable=True)
def estimate_report(
    *,
    actor: User,
    operator: Operator,
    period: Period,
    reason: str,
    now: datetime,
    flop: Decimal | int = 0,
    co2e_g: Decimal | int = 0,
) -> Report:
    """Set what an operator owes without a report of its own. Its letter stays C until a proper report is verified."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say what the estimate rests on.")
    period, received_at = receipts.receive(period.pk)
    operator = operators.locked(operator)
    reports.require_liable(operator, period)
    figure = flop if operator.scheme.metric == Scheme.Metric.FLOP else co2e_g
    require(0 < figure < MAX_FLOP, "quantity_out_of_range", f"Estimate above 0, in {operator.scheme.unit_name}.")
    require(received_at >= period.report_due, "reports_not_due", f"{period} takes reports until {period.report_due}.")
    in_force = Report.objects.filter(operator=operator, period=period, status__in=["verified", "determined"]).first()
    require(in_force is None, "report_in_force", "There is a figure for this period already.")
    latest = Report.objects.filter(operator=operator, period=period).order_by("-version").first()
    report = Report.objects.create(
        operator=operator,
        period=period,
        version=latest.version + 1 if latest else 1,
        kind=Report.Kind.ESTIMATE,
        status="determined",
        boundary=f"Estimate: {reason.strip()}"[:200],
        flop=Decimal(half_up(exact(flop))),
        co2e_g=Decimal(half_up(exact(co2e_g) * 10**6)).scaleb(-6),
        flags=[],
        content_sha256=fingerprint({"flop": str(flop), "co2e_g": str(co2e_g), "reason": reason.strip()}),
        submitted_by=actor,
        received_at=received_at,
    )
    obligation = verification.owe(report, operator, period, received_at)
    compliance.record_later_status(operator, period, now, "The regulator estimated what is owed.")
    audit.record(
        actor,
        "registry.report.estimated",
        report,
        at=now,
        organisation=operator.organisation,
        reason=reason.strip(),
        owed=obligation.quantity,
    )
    return report
