"""Coverage: how much of a report counts, by the activities that the scheme's rules cover."""

from datetime import datetime
from decimal import Decimal

from django.db.models import Sum

from registry.models import Report, ReportLine, Scheme
from registry.services import rules

EVERY_ACTIVITY = frozenset(ReportLine.Activity.values)


def covered_activities(report: Report, at: datetime) -> frozenset[str]:
    """Return the activities that the rules at the beginning of a report's period cover, as known at an instant."""
    return frozenset(rules.policy_at(report.operator.scheme, report.period.starts_on, at).scope.activities)


def covered_total(report: Report, at: datetime) -> Decimal:
    """Return what counts of a report in the scheme's unit. The regulator's own figures are of what is covered."""
    is_flop = report.operator.scheme.metric == Scheme.Metric.FLOP
    total = report.flop if is_flop else report.co2e_g
    if report.kind != Report.Kind.OPERATOR:
        return total
    covered = covered_activities(report, at)
    if covered >= EVERY_ACTIVITY:
        return total
    lines = report.lines.filter(activity__in=covered)
    return lines.aggregate(counts=Sum("flop" if is_flop else "co2e_g"))["counts"] or Decimal(0)
