"""The page of a draft: files dropped on it and read while one watches, typed lines, the preview, and filing."""

import uuid
from typing import Any, Literal

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.downloads import csv_file, stored_file, streamed_file
from common.errors import Refused, Unknown
from common.forms import ActForm, refusals_shown_in
from registry import compared, coverage, drafted, measuring, selectors
from registry.draft_forms import AttachForm, FileDraftForm, UploadForm
from registry.forms import LineForms
from registry.importers import template
from registry.models import Draft, DraftFile, Period, ReportFile, Upload
from registry.services import plausibility
from registry.services.drafting import drafts, evidence, uploads
from registry.services.reports import RowsRefused
from registry.views.reports import visible_report

ERRORS_PER_PAGE = 100
SHOWN_ERRORS = 200
SHOWN_FLAGS = 50


def page(request: HttpRequest, code: str) -> HttpResponse:
    """Show the draft of a period; where there is none yet, the first file or line opens it."""
    return _page(request, _period(request, code))


def progress(request: HttpRequest, code: str) -> HttpResponse:
    """Return how far the files are and what the draft comes to, for a page that asks again and again."""
    period = _period(request, code)
    context = _state(request, _found(request, period))
    if not context["is_reading"]:
        context |= {"coverage": _coverage(request, period, context["draft"]), "swaps": True}
    return render(request, "registry/draft_state.html", context)


@require_POST
def upload(request: HttpRequest, code: str) -> HttpResponse:
    """Take a file; a worker reads it, and the page shows how far it is."""
    period = _period(request, code)
    acting = acting_in(request)
    operator = drafted.own_operator(acting.scope, period)
    form = UploadForm(
        request.POST, request.FILES, metric=period.scheme.metric, workloads=drafted.workloads_of(operator)
    )
    if form.is_valid():
        with refusals_shown_in(form):
            sent = form.cleaned_data["file"]
            received = uploads.receive(
                actor=acting.user,
                draft=_opened(request, period),
                name=sent.name or "",
                file=sent.file,
                format=form.cleaned_data["format"],
                options=form.options(),
                workload=form.cleaned_data["workload"],
                now=clock.now(),
            )
            messages.success(request, f"{received.file.name} was received and is being read.")
            return redirect("draft", code)
    return _page(request, period, upload_form=form)


@require_POST
def type_lines(request: HttpRequest, code: str) -> HttpResponse:
    """Keep typed lines; `more` only gives more empty rows, and keeps what was typed."""
    period = _period(request, code)
    lines = LineForms(request.POST, prefix="line")
    if "more" in request.POST:
        typed = [{name: form[name].value() for name in form.fields} for form in lines if form.has_changed()]
        return _page(request, period, lines=LineForms(prefix="line", initial=typed))
    if lines.is_valid():
        try:
            count = drafts.type_lines(
                actor=acting_in(request).user,
                draft=_opened(request, period),
                lines=[line.line() for line in lines if line.has_changed()],
                now=clock.now(),
            )
        except RowsRefused as refusal:
            return _page(request, period, lines=lines, errors=refusal.errors)
        messages.success(request, f"{count} typed line{'s are' if count != 1 else ' is'} in the draft.")
        return redirect("draft", code)
    return _page(request, period, lines=lines)


@require_POST
def attach(request: HttpRequest, code: str) -> HttpResponse:
    """Keep a further file with the draft."""
    period = _period(request, code)
    form = AttachForm(request.POST, request.FILES, prefix="further")
    if form.is_valid():
        with refusals_shown_in(form):
            sent = form.cleaned_data["file"]
            drafts.attach(
                actor=acting_in(request).user,
                draft=_opened(request, period),
                name=sent.name or "",
                file=sent.file,
                purpose=form.cleaned_data["purpose"],
                now=clock.now(),
            )
            messages.success(request, "The file is kept with the draft.")
            return redirect("draft", code)
    return _page(request, period, attach_form=form)


@require_POST
def detach(request: HttpRequest, code: str, file_id: int) -> HttpResponse:
    """Take a further file out."""
    drafts.detach(
        actor=acting_in(request).user,
        draft=_existing(request, _period(request, code)),
        file_id=file_id,
        now=clock.now(),
    )
    return redirect("draft", code)


@require_POST
def file_draft(request: HttpRequest, code: str) -> HttpResponse:
    """File the draft as the next version of the report."""
    period = _period(request, code)
    form = FileDraftForm(request.POST, prefix="filing")
    if form.is_valid():
        with refusals_shown_in(form):
            report = drafts.file_draft(
                actor=acting_in(request).user,
                draft=_existing(request, period),
                boundary=form.cleaned_data["boundary"],
                now=clock.now(),
            )
            messages.success(request, f"Version {report.version} was received at {report.received_at:%H:%M:%S} UTC.")
            return redirect("report", report.pk)
    return _page(request, period, filing_form=form)


@require_POST
def discard(request: HttpRequest, code: str) -> HttpResponse:
    """Give the draft up."""
    drafts.discard(actor=acting_in(request).user, draft=_existing(request, _period(request, code)), now=clock.now())
    messages.success(request, "The draft was discarded. The files that were received are kept.")
    return redirect("reports")


def upload_detail(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    """Show one upload with every error and flag."""
    found = _upload(request, upload_id)
    context = {
        "upload": found,
        "page_obj": Paginator(found.errors, ERRORS_PER_PAGE).get_page(request.GET.get("page")),
        "may_change": _may_report(acting_in(request)) and found.draft.status == "open",
    }
    return render(request, "registry/upload.html", context)


def upload_errors(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    """Return every error of an upload as a table."""
    found = _upload(request, upload_id)
    columns = ("line", "column", "code", "sentence")
    return csv_file("errors", columns, [[error[name] for name in columns] for error in found.errors])


@require_POST
def remove_upload(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    """Take an upload and its lines out of the draft."""
    found = _upload(request, upload_id)
    uploads.remove(actor=acting_in(request).user, upload=found, now=clock.now())
    messages.success(request, f"{found.file.name} was taken out of the draft.")
    return redirect("draft", found.draft.period.code)


def template_file(request: HttpRequest, kind: Literal["csv", "xlsx"]) -> HttpResponse:
    """Return the plain table to fill in."""
    content = template.template_csv() if kind == "csv" else template.template_xlsx()
    return stored_file(f"activities.{kind}", content)


def report_file(request: HttpRequest, report_id: uuid.UUID, file_id: int) -> StreamingHttpResponse:
    """Return a file that is kept with a report, to be saved."""
    report = visible_report(request, report_id)
    kept = get_object_or_404(ReportFile.objects.select_related("file"), pk=file_id, report=report)
    return streamed_file(kept.file.name, evidence.read(kept.file), kept.file.size)


def draft_file(request: HttpRequest, file_id: int) -> StreamingHttpResponse:
    """Return a further file of a draft, to be saved by the operator's own people."""
    own = acting_in(request).scope.organisation_ids
    kept = get_object_or_404(
        DraftFile.objects.select_related("file"), pk=file_id, draft__operator__organisation__in=own
    )
    return streamed_file(kept.file.name, evidence.read(kept.file), kept.file.size)


# Parts ----------------------------------------------------------------------------------------------------------------


def _period(request: HttpRequest, code: str) -> Period:
    """Return a period for which the organisation one acts for may report."""
    found = selectors.reportable_periods(acting_in(request).for_organisation()).filter(permit__code=code).first()
    if found is None:
        raise Unknown("period_unknown", "There is no such period to report for. Check the address.")
    return found


def _found(request: HttpRequest, period: Period) -> Draft | None:
    acting = acting_in(request)
    return (
        drafted.drafts_visible(acting.scope)
        .filter(period=period, operator__organisation=acting.for_organisation())
        .first()
    )


def _existing(request: HttpRequest, period: Period) -> Draft:
    found = _found(request, period)
    if found is None:
        raise Refused("draft_missing", "There is no open draft for this period. Add a file or a line first.")
    return found


def _opened(request: HttpRequest, period: Period) -> Draft:
    """Return the open draft, opening it where nobody did."""
    acting = acting_in(request)
    operator = drafted.own_operator(acting.scope, period)
    return drafts.open_draft(actor=acting.user, operator=operator, period=period, now=clock.now())


def _upload(request: HttpRequest, upload_id: uuid.UUID) -> Upload:
    found = drafted.uploads_visible(acting_in(request).scope).filter(pk=upload_id).first()
    if found is None:
        raise Unknown("upload_unknown", "There is no such upload of yours. Check the address.")
    return found


def _may_report(acting: Acting) -> bool:
    return acting.trades and acting.has("initiator", "approver")


def _state(request: HttpRequest, draft: Draft | None) -> dict[str, Any]:
    """What changes while files are read: the uploads, the sources, the preview."""
    acting = acting_in(request)
    sent = list(draft.uploads.exclude(status="removed").select_related("file")) if draft else []
    is_reading = any(one.status in {"received", "reading"} for one in sent)
    return {
        "draft": draft,
        "uploads": [
            (one, 100 if one.ended_at else min(99, 100 * one.position // max(one.file.size, 1))) for one in sent
        ],
        "is_reading": is_reading,
        "sources": drafted.sources_of(draft) if draft else [],
        "preview": drafted.preview(draft, clock.now()) if draft else None,
        "doubts": plausibility.of_draft(draft) if draft and not is_reading else None,
        "shows_cost": "cost" in request.GET,
        "may_report": _may_report(acting),
        "flags": [(one.file, flag) for one in sent for flag in one.flags][:SHOWN_FLAGS],
        "comparison": compared.compare(draft) if draft else None,
    }


def _coverage(request: HttpRequest, period: Period, draft: Draft | None) -> coverage.Coverage:
    """The calendar of missing data; while a file is read it is not asked for again and again."""
    operator = drafted.own_operator(acting_in(request).scope, period)
    plan = measuring.plan_in_force(operator, period.ends_on)
    return coverage.coverage(operator, period, draft, plan, clock.now())


def _page(request: HttpRequest, period: Period, *, errors: Any = (), **forms: Any) -> HttpResponse:
    draft = _found(request, period)
    operator = drafted.own_operator(acting_in(request).scope, period)
    given: dict[str, ActForm] = {name: form for name, form in forms.items() if name != "lines"}
    lines = forms.get("lines")
    initial = {"boundary": draft.boundary if draft else ""}
    context = {
        "period": period,
        "is_flop": period.scheme.metric == "flop",
        "upload_form": UploadForm(metric=period.scheme.metric, workloads=drafted.workloads_of(operator)),
        "attach_form": AttachForm(prefix="further"),
        "filing_form": FileDraftForm(prefix="filing", initial=initial),
        "lines": lines or LineForms(prefix="line", initial=_typed(draft)),
        "errors": errors[:SHOWN_ERRORS],
        "error_count": len(errors),
        "further_files": list(draft.files.select_related("file")) if draft else [],
        "coverage": _coverage(request, period, draft),
        **given,
        **_state(request, draft),
    }
    is_refused = any(form.errors for form in given.values()) or (lines is not None and lines.is_bound)
    return render(request, "registry/draft.html", context, status=422 if is_refused else 200)


def _typed(draft: Draft | None) -> list[dict[str, object]]:
    """Return the lines that were typed before, for the form."""
    if draft is None:
        return []
    typed = draft.lines.filter(upload__isnull=True, key__startswith=drafts.TYPED).order_by("source_line")
    return [
        {
            "label": line.label,
            "activity": line.activity,
            "flop": int(line.flop) or "",
            "energy_kwh": f"{line.energy_kwh.normalize():f}" if line.energy_kwh else "",
            "country": line.zone,
        }
        for line in typed
    ]
