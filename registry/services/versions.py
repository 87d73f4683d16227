"""Report versions: who may file one, for what, and how a version moves along its lifecycle."""

from collections.abc import Sequence

from django.db.models import Q

from accounts.models import User
from common.errors import Refused, require, require_permission
from registry.importers.table import RowError
from registry.models import REPORT, Case, Operator, Period, Report, Scheme
from registry.permissions import may_report


class RowsRefused(Refused):
    """Lines or a file with errors: each is named with its line and column, and nothing was stored."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        first = errors[0]
        count = "One error" if len(errors) == 1 else f"{len(errors):,} errors"
        super().__init__(
            "rows_refused",
            f"{count}; nothing was stored. Line {first.line}, {first.column}: {first.sentence}",
        )
        self.errors = tuple(errors)


def locked(report: Report) -> Report:
    """Lock a report for a move of its status."""
    return (
        Report.objects.select_for_update(of=("self",))
        .select_related("operator__organisation", "operator__scheme", "period")
        .get(pk=report.pk)
    )


def move(report: Report, status: str, *, reason: str = "") -> None:
    """Move a locked report along its lifecycle."""
    REPORT.require(report.status, status)
    report.status, report.return_reason = status, reason.strip()[:500]
    report.save(update_fields=["status", "return_reason"])


def require_reporter(actor: User, operator: Operator) -> None:
    """Refuse whoever may not report for an operator."""
    require_permission(may_report(actor, operator.organisation), "Only an initiator or approver may report for it.")


def require_metric(scheme: Scheme, metric: str, sentence: str) -> None:
    """Refuse a source that does not measure what a scheme counts."""
    require(scheme.metric == metric, "metric_not_measured", f"{sentence} Send another file, or enter the lines.")


def require_correctable(period: Period, operator: Operator) -> None:
    """Refuse to touch a verified figure once the closing has begun; a missing one may still come, however late.

    A correction case that two officers upheld lets one corrected report in.
    """
    figures = Report.objects.filter(operator=operator, period=period).filter(
        Q(status="verified") | Q(status="determined", kind="determination")
    )
    admitted = Case.objects.filter(
        operator=operator, period=period, kind=Case.Kind.CORRECTION, status="upheld", details__admits_report=True
    )
    require(
        period.status == "open" or not figures.exists() or admitted.exists(),
        "period_closed",
        f"{period} is closing: a verified report cannot be corrected any more. Ask the regulator to open a case.",
    )


def require_liable(operator: Operator, period: Period) -> None:
    """Refuse figures for a period in which the operator is not liable."""
    require(
        period.scheme_id == operator.scheme_id, "period_of_another_scheme", "This period belongs to another scheme."
    )
    require(period.status != "draft", "period_not_open", f"{period} is not open yet: reports come later.")
    last = operator.last_year if operator.last_year is not None else period.year
    require(
        operator.first_year <= period.year <= last and period.year not in operator.excluded_years,
        "operator_not_liable",
        f"{operator.organisation} does not report for {period.year}.",
    )
