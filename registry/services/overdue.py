"""Whose report is overdue: a question that every transaction asks, apart from the services that work on reports."""

from datetime import datetime

from registry.models import Operator, Period, Report
from registry.services import rules

IN_FORCE = ("verified", "determined")
"""States of a report that says what is owed."""


def blocked_by_missing_report(operator: Operator, now: datetime) -> bool:
    """Say whether an operator may not send permits because a report of it is overdue; surrender stays open.

    An estimate is no report. Schemes with founding terms only block nobody.
    """
    if not rules.rules_version(operator.scheme, now.astimezone(operator.scheme.tz).date()):
        return False
    last = operator.last_year if operator.last_year is not None else 9999
    overdue = Period.objects.filter(
        scheme_id=operator.scheme_id, report_due__lte=now, year__gte=operator.first_year, year__lte=last
    ).exclude(status="draft")
    told = Report.objects.filter(operator=operator, status__in=IN_FORCE).exclude(kind="estimate")
    return overdue.exclude(year__in=operator.excluded_years).exclude(pk__in=told.values("period_id")).exists()
