"""Reports: filing one from a measured file or by typing it, reading it, and the verifier's work on it."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import BaseFormSet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.downloads import streamed_file
from common.errors import Unknown
from common.forms import refusals_shown_in
from registry import selectors
from registry.forms import (
    FileReportForm,
    LineForm,
    LineForms,
    PublishedReportForm,
    ReportForm,
    ReturnForm,
)
from registry.importers.table import RowError
from registry.models import AWAITS_OPINION, REPORT, Operator, Period, Report, VerifierStatement
from registry.services import plausibility, reports, verification
from registry.services.drafting import evidence
from registry.services.verifying import findings

PER_PAGE = 50
LINES_PER_PAGE = 100
SHOWN_ERRORS = 200


def report_list(request: HttpRequest) -> HttpResponse:
    """Show the reports in view, those that wait for somebody first."""
    acting = acting_in(request)
    rows = selectors.reports_visible(acting.view, to_a_verifier=acting.is_verifier)
    status = request.GET.get("status", "")
    if status in REPORT.states:
        rows = rows.filter(status=status)
    context = {
        "page_obj": Paginator(rows.order_by("-received_at", "id"), PER_PAGE).get_page(request.GET.get("page")),
        "status": status,
        "statuses": REPORT.states,
        "may_report": acting.trades and acting.has("initiator", "approver"),
    }
    return render(request, "registry/reports.html", context)


# Filing ---------------------------------------------------------------------------------------------------------------


def new_report(request: HttpRequest) -> HttpResponse:
    """Offer the two ways to file: a measured file, or typed lines."""
    return _new_report_page(request, acting_in(request))


@require_POST
def file_report(request: HttpRequest) -> HttpResponse:
    """File what CodeCarbon measured; a file with any error comes back with all of them and nothing is stored."""
    acting = acting_in(request)
    periods = selectors.reportable_periods(acting.for_organisation())
    form = FileReportForm(request.POST, request.FILES, periods=_counting(periods, "co2e"))
    errors: Sequence[RowError] = ()
    if form.is_valid():
        name, content = form.cleaned_data["file"]
        with _row_errors(form) as errors:
            report = reports.submit_codecarbon(
                actor=acting.user,
                operator=_own_operator(acting, form.cleaned_data["period"]),
                period=form.cleaned_data["period"],
                name=name,
                content=content,
                boundary=form.cleaned_data["boundary"],
                activity=form.cleaned_data["activity"],
                now=clock.now(),
            )
            return _filed(request, report)
    return _new_report_page(request, acting, file_form=form, errors=errors)


@require_POST
def published_report(request: HttpRequest) -> HttpResponse:
    """File the training compute that Epoch AI's data give the organisation, refused as a whole like a measured file."""
    acting = acting_in(request)
    periods = selectors.reportable_periods(acting.for_organisation())
    form = PublishedReportForm(request.POST, request.FILES, periods=_counting(periods, "flop"), prefix="published")
    errors: Sequence[RowError] = ()
    if form.is_valid():
        name, content = form.cleaned_data["file"]
        with _row_errors(form) as errors:
            report = reports.submit_epoch(
                actor=acting.user,
                operator=_own_operator(acting, form.cleaned_data["period"]),
                period=form.cleaned_data["period"],
                name=name,
                content=content,
                organisation=form.cleaned_data["organisation"],
                year=form.cleaned_data["year"],
                boundary=form.cleaned_data["boundary"],
                now=clock.now(),
            )
            return _filed(request, report)
    return _new_report_page(request, acting, published_form=form, errors=errors)


@require_POST
def type_report(request: HttpRequest) -> HttpResponse:
    """File typed lines; `more` only gives more empty rows, and keeps what was typed."""
    acting = acting_in(request)
    form = ReportForm(request.POST, periods=selectors.reportable_periods(acting.for_organisation()), prefix="typed")
    lines = LineForms(request.POST, prefix="line")
    if "more" in request.POST:
        return _new_report_page(request, acting, lines=_with_more_rows(lines))
    errors: Sequence[RowError] = ()
    if form.is_valid() and lines.is_valid():
        with _row_errors(form) as errors:
            report = reports.submit_lines(
                actor=acting.user,
                operator=_own_operator(acting, form.cleaned_data["period"]),
                period=form.cleaned_data["period"],
                lines=[line.line() for line in lines if line.has_changed()],
                boundary=form.cleaned_data["boundary"],
                now=clock.now(),
            )
            return _filed(request, report)
    return _new_report_page(request, acting, typed_form=form, lines=lines, errors=errors)


@contextmanager
def _row_errors(form: ReportForm) -> Iterator[list[RowError]]:
    """Show a refusal in the form, and collect the errors by line and column that it may come with."""
    errors: list[RowError] = []
    with refusals_shown_in(form):
        try:
            yield errors
        except reports.RowsRefused as refusal:
            errors += refusal.errors
            raise


def _filed(request: HttpRequest, report: Report) -> HttpResponse:
    flags = f" {len(report.flags)} flags are for the verifier to look at." if report.flags else ""
    messages.success(request, f"Version {report.version} was received at {report.received_at:%H:%M:%S} UTC.{flags}")
    return redirect("report", report.pk)


def _with_more_rows(lines: "BaseFormSet[LineForm]") -> "BaseFormSet[LineForm]":
    """Return the rows that have something in them with empty ones after them, without judging what is typed so far."""
    typed = [{name: form[name].value() for name in form.fields} for form in lines if form.has_changed()]
    return LineForms(prefix="line", initial=typed)


def _new_report_page(
    request: HttpRequest,
    acting: Acting,
    *,
    file_form: FileReportForm | None = None,
    published_form: PublishedReportForm | None = None,
    typed_form: ReportForm | None = None,
    lines: "BaseFormSet[LineForm] | None" = None,
    errors: Sequence[RowError] = (),
) -> HttpResponse:
    periods = selectors.reportable_periods(acting.for_organisation())
    measured, counted = _counting(periods, "co2e"), _counting(periods, "flop")
    is_refused = any(form is not None and form.errors for form in (file_form, published_form, typed_form)) or (
        lines is not None and lines.is_bound
    )
    context = {
        "periods": periods,
        "measured_periods": measured,
        "counted_periods": counted,
        "file_form": file_form or FileReportForm(periods=measured),
        "published_form": published_form or PublishedReportForm(periods=counted, prefix="published"),
        "typed_form": typed_form or ReportForm(periods=periods, prefix="typed"),
        "lines": lines or LineForms(prefix="line"),
        "errors": errors[:SHOWN_ERRORS],
        "error_count": len(errors),
        "may_report": acting.trades and acting.has("initiator", "approver"),
    }
    return render(request, "registry/report_new.html", context, status=422 if is_refused else 200)


def _counting(periods: "QuerySet[Period]", metric: str) -> "QuerySet[Period]":
    """Keep the periods of schemes that count this: CodeCarbon measures energy, and Epoch's file gives FLOP."""
    return periods.filter(scheme__metric=metric)


def _own_operator(acting: Acting, period: Period) -> Operator:
    operator = (
        Operator.objects.select_related("organisation", "scheme")
        .filter(organisation=acting.organisation, scheme_id=period.scheme_id)
        .first()
    )
    if operator is None:
        raise Unknown("operator_unknown", "Your organisation is not an operator of this scheme.")
    return operator


# Reading and verifying ------------------------------------------------------------------------------------------------


def report_detail(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """Show one version with its lines, evidence, flags, and what the verifier said."""
    return _report_page(request, visible_report(request, report_id))


def report_evidence(request: HttpRequest, report_id: uuid.UUID) -> StreamingHttpResponse:
    """Return the file as it was received, to be saved."""
    report = visible_report(request, report_id)
    if report.evidence is None:
        raise Unknown("evidence_unknown", "This report came without a file.")
    return streamed_file(report.evidence.name, evidence.read(report.evidence), report.evidence.size)


@require_POST
def return_report(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """Send a report back with a reason."""
    report = visible_report(request, report_id)
    form = ReturnForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            reports.return_report(
                actor=acting_in(request).user, report=report, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "The report was returned to the operator with your reason.")
            return redirect("report", report_id)
    return _report_page(request, report, return_form=form)


def _report_page(
    request: HttpRequest,
    report: Report,
    return_form: ReturnForm | None = None,
) -> HttpResponse:
    acting = acting_in(request)
    is_waiting = report.status in AWAITS_OPINION
    statement: VerifierStatement | None = getattr(report, "statement", None)
    context = {
        "report": report,
        "is_flop": report.operator.scheme.metric == "flop",
        "shows_emissions": report.energy_kwh > 0 or report.operator.scheme.metric == "co2e",
        "page_obj": Paginator(report.lines.order_by("number"), LINES_PER_PAGE).get_page(request.GET.get("page")),
        "doubts": plausibility.of_report(report),
        "kept_files": report.files.select_related("file"),
        "sums": selectors.claimed_sums(report),
        "versions": Report.objects.filter(operator=report.operator, period=report.period).order_by("-version"),
        "may_verify": is_waiting and acting.is_verifier,
        "statement_problem": verification.holds(statement) if statement is not None else "",
        "findings": findings.of_period(report.operator, report.period),
        "may_return": is_waiting and (acting.has("verifier") or acting.has("desk_officer", "senior_officer")),
        "return_form": return_form or ReturnForm(prefix=None),
    }
    is_refused = return_form is not None and bool(return_form.errors)
    return render(request, "registry/report.html", context, status=422 if is_refused else 200)


def visible_report(request: HttpRequest, report_id: uuid.UUID) -> Report:
    """Return a report that the person may see."""
    acting = acting_in(request)
    report = (
        selectors.reports_visible(acting.scope, to_a_verifier=acting.is_verifier)
        .select_related(
            "evidence",
            "statement__verifier",
            "statement__signed_by",
            "statement__key",
            "statement__receipt_key",
            "obligation",
            "submitted_by",
        )
        .filter(pk=report_id)
        .first()
    )
    if report is None:
        raise Unknown("report_unknown", "There is no such report in your scope. Check the address.")
    return report
