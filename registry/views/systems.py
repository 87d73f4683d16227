"""One system with the proof of its tier and its workloads, the acts of the firm's reporters on it, and models."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import acting_in
from common import clock
from common.downloads import streamed_file
from common.errors import Unknown
from common.forms import ActForm, refusals_shown_in
from registry import measuring
from registry.models import AiModel, System, SystemEvidence, Workload
from registry.monitoring_forms import (
    ClosingForm,
    EndForm,
    LowerTierForm,
    ModelForm,
    ProofForm,
    SystemForm,
    WorkloadForm,
    whole,
)
from registry.services.drafting import evidence
from registry.services.monitoring import ai_models, systems, workloads
from registry.views.sites import may_record, reader_of

WORKLOADS_PER_PAGE = 50
MODELS_PER_PAGE = 50


def system(request: HttpRequest, system_id: uuid.UUID) -> HttpResponse:
    """Show a system: its machines, its tier with the proof, its workloads."""
    return _page(request, _one(request, system_id))


@require_POST
def change(request: HttpRequest, system_id: uuid.UUID) -> HttpResponse:
    """Record other machines or another meter."""
    found = _one(request, system_id)
    form = SystemForm(request.POST, prefix="change")
    if form.is_valid():
        with refusals_shown_in(form):
            facts = {name: value for name, value in form.cleaned_data.items() if name != "key"}
            systems.change_system(actor=acting_in(request).user, system=found, now=clock.now(), **facts)
            messages.success(request, "Changed. If the plan says otherwise, submit a new version.")
            return redirect("system", found.pk)
    return _page(request, found, change_form=form)


@require_POST
def record_proof(request: HttpRequest, system_id: uuid.UUID) -> HttpResponse:
    """Add proof of a tier."""
    found = _one(request, system_id)
    form = ProofForm(request.POST, request.FILES, prefix="proof")
    if form.is_valid():
        with refusals_shown_in(form):
            name, content = form.cleaned_data["proof"]
            systems.record_proof(
                actor=acting_in(request).user,
                system=found,
                tier=form.cleaned_data["tier"],
                name=name,
                content=content,
                note=form.cleaned_data["note"],
                now=clock.now(),
            )
            messages.success(request, f"The proof was kept. The system has tier {form.cleaned_data['tier']} now.")
            return redirect("system", found.pk)
    return _page(request, found, proof_form=form)


@require_POST
def lower_tier(request: HttpRequest, system_id: uuid.UUID) -> HttpResponse:
    """Record that a system is measured less well."""
    found = _one(request, system_id)
    form = LowerTierForm(request.POST, prefix="lower")
    if form.is_valid():
        with refusals_shown_in(form):
            systems.lower_tier(
                actor=acting_in(request).user,
                system=found,
                tier=form.cleaned_data["tier"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, "The tier was lowered. If the plan says otherwise, submit a new version.")
            return redirect("system", found.pk)
    return _page(request, found, lower_form=form)


@require_POST
def close(request: HttpRequest, system_id: uuid.UUID) -> HttpResponse:
    """Record that a system runs no more."""
    found = _one(request, system_id)
    form = ClosingForm(request.POST, prefix="close")
    if form.is_valid():
        with refusals_shown_in(form):
            systems.close_system(
                actor=acting_in(request).user, system=found, closed_on=form.cleaned_data["closed_on"], now=clock.now()
            )
            messages.success(request, f"{found.name} is closed, with its workloads.")
            return redirect("system", found.pk)
    return _page(request, found, close_form=form)


@require_POST
def new_workload(request: HttpRequest, system_id: uuid.UUID) -> HttpResponse:
    """Record a run or a serving stream."""
    found = _one(request, system_id)
    form = WorkloadForm(request.POST, prefix="workload", models=_models(found))
    if form.is_valid():
        with refusals_shown_in(form):
            facts = {name: value for name, value in form.cleaned_data.items() if name != "key"}
            workloads.open_workload(actor=acting_in(request).user, system=found, now=clock.now(), **facts)
            messages.success(request, f"{form.cleaned_data['name']} was added.")
            return redirect("system", found.pk)
    return _page(request, found, workload_form=form)


def end_workload(request: HttpRequest, workload_id: uuid.UUID) -> HttpResponse:
    """Record that a workload is over."""
    acting = acting_in(request)
    workload = measuring.workloads_visible(reader_of(acting, acting.scope)).filter(pk=workload_id).first()
    if workload is None:
        raise Unknown("workload_unknown", "There is no such workload in your scope. Check the address.")
    form = EndForm(request.POST or None, initial={"ended_on": clock.now().date()})
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            workloads.end_workload(
                actor=acting.user, workload=workload, ended_on=form.cleaned_data["ended_on"], now=clock.now()
            )
            messages.success(request, f"{workload.name} has ended.")
            return redirect("system", workload.system_id)
    context = {
        "form": form,
        "workload": workload,
        "may_record": may_record(acting, workload.system.site.organisation_id),
    }
    return render(request, "registry/workload_end.html", context, status=422 if form.errors else 200)


def proof(request: HttpRequest, system_id: uuid.UUID, proof_id: int) -> StreamingHttpResponse:
    """Return a file that proves a tier, to be saved and never shown."""
    found = _one(request, system_id)
    record = SystemEvidence.objects.select_related("file").filter(system=found, pk=proof_id).first()
    if record is None:
        raise Unknown("file_unknown", "There is no such file. Check the address.")
    return streamed_file(record.file.name, evidence.read(record.file), record.file.size)


def _page(request: HttpRequest, found: System, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    rows = Workload.objects.filter(system=found).select_related("ai_model").order_by("ended_on", "name", "pk")
    initial = {name: getattr(found, name) for name in ("hardware", "devices", "number_format", "meter")} | {
        "watts_per_device": whole(found.watts_per_device),
        "peak_flop_per_second": whole(found.peak_flop_per_second),
    }
    context = {
        "system": found,
        "proofs": found.proofs.select_related("file", "recorded_by"),
        "page_obj": Paginator(rows, WORKLOADS_PER_PAGE).get_page(request.GET.get("page")),
        "may_record": may_record(acting, found.site.organisation_id),
        "change_form": SystemForm(prefix="change", initial=initial),
        "proof_form": ProofForm(prefix="proof", initial={"tier": min(found.tier + 1, 5)}),
        "lower_form": LowerTierForm(prefix="lower", initial={"tier": max(found.tier - 1, 0)}),
        "close_form": ClosingForm(prefix="close", initial={"closed_on": clock.now().date()}),
        "workload_form": WorkloadForm(prefix="workload", models=_models(found)),
        **forms,
    }
    return render(request, "registry/system.html", context, status=422 if forms else 200)


def _one(request: HttpRequest, system_id: uuid.UUID) -> System:
    acting = acting_in(request)
    found = measuring.systems_visible(reader_of(acting, acting.scope)).filter(pk=system_id).first()
    if found is None:
        raise Unknown("system_unknown", "There is no such system in your scope. Check the address.")
    return found


def _models(found: System) -> QuerySet[AiModel]:
    return AiModel.objects.filter(organisation=found.site.organisation_id).order_by("name")


# Models ---------------------------------------------------------------------------------------------------------------


def model_list(request: HttpRequest) -> HttpResponse:
    """Show the models in view; a reporter adds one here."""
    acting = acting_in(request)
    may_add = acting.trades and acting.has("initiator", "approver")
    own = AiModel.objects.filter(organisation=acting.organisation).order_by("name")
    form = ModelForm(request.POST or None, models=own)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            model = ai_models.register_model(
                actor=acting.user, organisation=acting.for_organisation(), now=clock.now(), **form.facts
            )
            messages.success(request, f"{model.name} was added.")
            return redirect("models")
    rows = measuring.models_visible(reader_of(acting, acting.view))
    context = {
        "page_obj": Paginator(rows, MODELS_PER_PAGE).get_page(request.GET.get("page")),
        "form": form,
        "may_record": may_add,
        "by_owner": acting.oversees or acting.is_verifier,
    }
    return render(request, "registry/ai_models.html", context, status=422 if form.errors else 200)


def model(request: HttpRequest, model_id: uuid.UUID) -> HttpResponse:
    """Show a model with what was made from it; a reporter puts it right here."""
    acting = acting_in(request)
    found = measuring.models_visible(reader_of(acting, acting.scope)).filter(pk=model_id).first()
    if found is None:
        raise Unknown("model_unknown", "There is no such model in your scope. Check the address.")
    others = AiModel.objects.filter(organisation=found.organisation_id).exclude(pk=found.pk).order_by("name")
    initial = {name: getattr(found, name) for name in ("name", "architecture", "task_class", "upstream")} | {
        "parameters": whole(found.parameters),
        "active_parameters": whole(found.active_parameters),
    }
    form = ModelForm(request.POST or None, models=others, initial=initial)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            ai_models.change_model(actor=acting.user, model=found, now=clock.now(), **form.facts)
            messages.success(request, "Changed.")
            return redirect("model", found.pk)
    context = {
        "model": found,
        "form": form,
        "downstream": found.downstream.order_by("name"),
        "workloads": found.workloads.select_related("system__site").order_by("ended_on", "name")[:MODELS_PER_PAGE],
        "may_record": may_record(acting, found.organisation_id),
    }
    return render(request, "registry/ai_model.html", context, status=422 if form.errors else 200)
