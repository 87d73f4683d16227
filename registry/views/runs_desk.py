"""The desk's pages for work by the rules: figures, allocation, settlement, the reserve's flow, and sales."""

from collections.abc import Sequence
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.acting import Acting, acting_in
from common import clock
from common.downloads import csv_file
from common.errors import Refused, SeveralRefusals, require_permission
from common.forms import refusals_shown_in
from registry import selectors
from registry.engine.allocation import Stage
from registry.importers.allocation_table import COLUMNS
from registry.importers.table import RowError
from registry.models import AllocationTable, Period
from registry.run_forms import SaleForm, TableForm
from registry.services import allocation, allocation_data, caps, reserves, sales
from registry.services.reports import RowsRefused

OFFICERS = ("desk_officer", "senior_officer")
MOST_ERRORS = 200


@require_POST
def propose_cap(request: HttpRequest, code: str) -> HttpResponse:
    """Propose the cap that the rules give."""
    acting = _officer_or_auditor(request)
    approval = caps.propose_cap_by_rules(actor=acting.user, period=selectors.period_coded(code), now=clock.now())
    messages.success(request, "The cap was proposed. Another officer approves it.")
    return redirect("approval", approval.pk)


def figures(request: HttpRequest, code: str) -> HttpResponse:
    """Show the tables of a scheme, take a new one, and work out an allocation by the rules."""
    acting = _officer_or_auditor(request)
    found = selectors.period_coded(code)
    form = TableForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _figures_page(request, acting, found, form)
    name, content = form.cleaned_data["table"]
    with refusals_shown_in(form):
        try:
            table = allocation_data.upload_table(
                actor=acting.user, scheme=found.scheme, name=name, content=content, now=clock.now()
            )
        except RowsRefused as refused:
            return _figures_page(request, acting, found, TableForm(), refused.errors)
        messages.success(request, f"Table {table.version} was taken: {table.rows:,} rows.")
        return redirect("allocation-figures", code)
    return _figures_page(request, acting, found, form)


@require_POST
def draft_by_rules(request: HttpRequest, code: str) -> HttpResponse:
    """Work out an allocation, or its settlement, by the rules; show everything that is missing where it cannot be."""
    acting = _officer_or_auditor(request)
    found = selectors.period_coded(code)
    stage = Stage.SETTLEMENT if request.POST.get("stage") == Stage.SETTLEMENT else Stage.INITIAL
    try:
        run = allocation.draft_by_rules(actor=acting.user, period=found, now=clock.now(), stage=stage)
    except SeveralRefusals as refused:
        return _figures_page(request, acting, found, TableForm(), gaps=refused.refusals)
    messages.success(request, "The run was worked out. Read its lines before you propose it.")
    return redirect("allocation-run", run.pk)


@require_safe
def template(request: HttpRequest, code: str) -> HttpResponse:
    """Return an empty table with the operators and products of the scheme."""
    _officer_or_auditor(request)
    found = selectors.period_coded(code)
    return csv_file(f"figures-{found.code}", COLUMNS, allocation_data.template_rows(found))


def _figures_page(
    request: HttpRequest,
    acting: Acting,
    found: Period,
    form: TableForm,
    errors: Sequence[RowError] = (),
    gaps: Sequence[Refused] = (),
) -> HttpResponse:
    context = {
        "period": found,
        "form": form,
        "tables": AllocationTable.objects.filter(scheme=found.scheme).select_related("uploaded_by")[:50],
        "errors": errors[:MOST_ERRORS],
        "error_count": len(errors),
        "gaps": gaps,
        "may_act": acting.has(*OFFICERS),
        "stages": Stage,
    }
    wrong = bool(errors or gaps or form.errors)
    return render(request, "registry/allocation_figures.html", context, status=422 if wrong else 200)


# The reserve ----------------------------------------------------------------------------------------------------------


def stability(request: HttpRequest, code: str) -> HttpResponse:
    """Show how the flow of the reserve follows from the books, and propose it."""
    acting = _officer_or_auditor(request)
    found, now = selectors.period_coded(code), clock.now()
    if request.method == "POST":
        approval = reserves.propose_stability(actor=acting.user, period=found, now=now)
        messages.success(request, "The flow was proposed. Another officer approves it.")
        return redirect("approval", approval.pk)
    document, gaps = _flow(found, now)
    context = {
        "period": found,
        "gaps": gaps,
        "inputs": document["inputs"] if document else {},
        "result": document["result"] if document else {},
        "may_act": acting.has(*OFFICERS) and document is not None,
    }
    return render(request, "registry/stability.html", context)


def _flow(found: Period, now: datetime) -> tuple[dict[str, dict[str, object]] | None, Sequence[Refused]]:
    on = now.astimezone(found.scheme.tz).date()
    if on <= found.ends_on:
        return None, [Refused("year_not_over", f"The year of {found} ends on {found.ends_on}. Wait for it.")]
    try:
        return reserves.stability_document(found, on), ()
    except SeveralRefusals as refused:
        return None, refused.refusals


# Sales ----------------------------------------------------------------------------------------------------------------


def sale(request: HttpRequest, code: str) -> HttpResponse:
    """Take the sealed bids of a sale and propose what they come to."""
    acting = _officer_or_auditor(request)
    found = selectors.period_coded(code)
    form = SaleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            approval = sales.propose_sale(
                actor=acting.user,
                period=found,
                offered=form.cleaned_data["offered"],
                bids=form.cleaned_data["bids"],
                now=clock.now(),
            )
            messages.success(request, "The sale was proposed. Nothing moves before another officer approves it.")
            return redirect("approval", approval.pk)
    context = {"period": found, "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "registry/sale.html", context, status=422 if form.errors else 200)


def _officer_or_auditor(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting
