"""The regulator's desk: schemes, periods, the cap, allocation runs, estimates. Auditors read the same pages."""

import json
import uuid

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Approval
from common import clock
from common.downloads import stored_file
from common.errors import Unknown, require_permission
from common.forms import refusals_shown_in
from registry import selectors
from registry.forms import CapForm, EstimateForm, InputsForm
from registry.models import AllocationLine, AllocationRun, Cap, Operator, Period, Scheme
from registry.services import allocation, caps, estimates

OFFICERS = ("desk_officer", "senior_officer")


def desk(request: HttpRequest) -> HttpResponse:
    """Show every scheme with its periods and what state they are in."""
    acting = _officer_or_auditor(request)
    periods = Period.objects.select_related("permit").order_by("-year")
    schemes = Scheme.objects.select_related("currency").prefetch_related(
        Prefetch("periods", queryset=periods.prefetch_related("caps"))
    )
    return render(request, "registry/desk.html", {"schemes": schemes, "may_act": acting.has(*OFFICERS)})


def period(request: HttpRequest, code: str) -> HttpResponse:
    """Show one period: calendar, cap, allocation, reports that are missing; an officer acts from here."""
    acting = _officer_or_auditor(request)
    return _period_page(request, acting, selectors.period_coded(code), CapForm())


@require_POST
def propose_cap(request: HttpRequest, code: str) -> HttpResponse:
    """Propose the cap of a draft period for a second officer to approve."""
    acting = _officer_or_auditor(request)
    found = selectors.period_coded(code)
    form = CapForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            approval = caps.propose_cap(
                actor=acting.user, period=found, quantity=form.cleaned_data["quantity"], now=clock.now()
            )
            messages.success(request, "The cap was proposed. Another officer approves it.")
            return redirect("approval", approval.pk)
    return _period_page(request, acting, found, form)


def _period_page(request: HttpRequest, acting: Acting, found: Period, form: CapForm) -> HttpResponse:
    context = {
        "period": found,
        "caps": Cap.objects.filter(period=found).select_related("approval__proposed_by", "approval__decided_by"),
        "proposals": Approval.objects.filter(
            act=caps.PUBLISH_CAP, parameters__period=str(found.pk), status__in=["proposed", "waiting"]
        ),
        "cap_by_rules": caps.cap_by_rules(found) if found.status == "draft" else None,
        "runs": AllocationRun.objects.filter(period=found).select_related("drafted_by"),
        "reporting": selectors.reporting_table(found, clock.now()),
        "may_act": acting.has(*OFFICERS),
        "form": form,
    }
    return render(request, "registry/desk_period.html", context, status=422 if form.errors else 200)


# Allocation -----------------------------------------------------------------------------------------------------------


def draft_allocation(request: HttpRequest, code: str) -> HttpResponse:
    """Work out an allocation from an uploaded inputs document and keep it as a draft that people can read."""
    acting = _officer_or_auditor(request)
    found = selectors.period_coded(code)
    form = InputsForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            run = allocation.draft_run(
                actor=acting.user, period=found, inputs=form.cleaned_data["document"], now=clock.now()
            )
            messages.success(request, "The run was worked out. Read its lines before you propose it.")
            return redirect("allocation-run", run.pk)
    context = {"period": found, "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "registry/allocation_new.html", context, status=422 if form.errors else 200)


def allocation_run(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Show one run with its lines and the figures that each follows from."""
    acting = _officer_or_auditor(request)
    run = _run(run_id)
    lines = AllocationLine.objects.filter(run=run).select_related("operator__organisation", "operator__account")
    context = {
        "run": run,
        "lines": [(line, json.dumps(line.figures, indent=1)) for line in lines],
        "claimed": sum(line.claim for line in lines),
        "given": sum(line.quantity for line in lines),
        "proposals": Approval.objects.filter(act=allocation.RUN_ALLOCATION, parameters__run=str(run.pk)).select_related(
            "proposed_by", "decided_by"
        ),
        "may_act": acting.has(*OFFICERS) and run.status == "draft",
    }
    return render(request, "registry/allocation_run.html", context)


def allocation_inputs(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Return the inputs document of a run, whose hash everybody can check."""
    _officer_or_auditor(request)
    run = _run(run_id)
    return stored_file(f"allocation-inputs-{run.period.code}.json", json.dumps(run.inputs, indent=1).encode())


@require_POST
def propose_allocation(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Propose to execute a draft; another officer approves exactly these inputs."""
    acting = _officer_or_auditor(request)
    approval = allocation.propose_run(actor=acting.user, run=_run(run_id), now=clock.now())
    messages.success(request, "The allocation was proposed. Another officer approves it.")
    return redirect("approval", approval.pk)


@require_POST
def discard_allocation(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Put a draft away."""
    acting = _officer_or_auditor(request)
    run = allocation.discard_run(actor=acting.user, run=_run(run_id), now=clock.now())
    messages.info(request, "The draft was discarded.")
    return redirect("desk-period", run.period.code)


def _run(run_id: uuid.UUID) -> AllocationRun:
    run = (
        AllocationRun.objects.select_related("period__scheme", "period__permit", "drafted_by", "journal", "published")
        .filter(pk=run_id)
        .first()
    )
    if run is None:
        raise Unknown("allocation_run_unknown", "There is no such allocation run. Check the address.")
    return run


# Estimates ------------------------------------------------------------------------------------------------------------


def estimate(request: HttpRequest, code: str, operator_id: uuid.UUID) -> HttpResponse:
    """Set a conservative figure for an operator that did not report in time."""
    acting = _officer_or_auditor(request)
    found = selectors.period_coded(code)
    operator = _operator(found, operator_id)
    form = EstimateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            figure = {"flop" if found.scheme.metric == "flop" else "co2e_g": form.cleaned_data["quantity"]}
            estimates.estimate_report(
                actor=acting.user,
                operator=operator,
                period=found,
                reason=form.cleaned_data["reason"],
                now=clock.now(),
                **figure,
            )
            messages.success(request, "The estimate is what the operator owes until a verified report replaces it.")
            return redirect("desk-period", code)
    context = {"period": found, "operator": operator, "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "registry/estimate.html", context, status=422 if form.errors else 200)


def _operator(found: Period, operator_id: uuid.UUID) -> Operator:
    operator = (
        Operator.objects.select_related("organisation", "scheme")
        .filter(pk=operator_id, scheme_id=found.scheme_id)
        .first()
    )
    if operator is None:
        raise Unknown("operator_unknown", "There is no such operator in this scheme. Check the address.")
    return operator


def _officer_or_auditor(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting
