"""Monitoring plans: the list, a version beside another one, the steps in which one is written, the desk's decision."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.errors import Unknown, require_permission
from common.forms import refusals_shown_in
from registry import measuring
from registry.engine import monitoring
from registry.engine.monitoring import STEPS, Content, Difference
from registry.models import PLAN, MonitoringPlan, Operator
from registry.monitoring_forms import (
    ActivitiesStep,
    BoundaryStep,
    CheckStep,
    FactorsStep,
    PlanDecisionForm,
    StepForm,
    SystemsStep,
)
from registry.services.monitoring import plans
from registry.services.monitoring.plans import Checked, PlanIncomplete
from registry.views.sites import may_record, reader_of

PLANS_PER_PAGE = 50
DESK = ("desk_officer", "senior_officer")
PLAIN_STEPS: Mapping[str, type[StepForm]] = {
    "boundary": BoundaryStep,
    "activities": ActivitiesStep,
    "factors": FactorsStep,
}


def plan_list(request: HttpRequest) -> HttpResponse:
    """Show what waits for the desk, or how each of one's operators stands, and every version in view."""
    acting = acting_in(request)
    today = clock.now().date()
    rows = measuring.plans_visible(reader_of(acting, acting.view))
    status = request.GET.get("status", "")
    if status in PLAN.states:
        rows = rows.filter(status=status)
    own = _own_operators(acting)
    newest = {
        plan.operator_id: plan
        for plan in MonitoringPlan.objects.filter(operator__in=own, status__in=["draft", "submitted", "returned"])
        .select_related("operator")
        .order_by("version")
    }
    context = {
        "waiting": measuring.plans_waiting() if acting.oversees else (),
        "operators": [
            {
                "operator": operator,
                "in_force": plans.in_force(operator, today),
                "in_work": newest.get(operator.pk),
                "is_required": plans.is_required(operator.scheme, today),
            }
            for operator in own
        ],
        "page_obj": Paginator(
            rows.order_by("operator__organisation__name", "operator__scheme", "-version"), PLANS_PER_PAGE
        ).get_page(request.GET.get("page")),
        "status": status,
        "statuses": PLAN.states,
        "now": clock.now(),
        "may_record": acting.trades and acting.has("initiator", "approver"),
    }
    return render(request, "registry/plans.html", context)


def plan(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Show one version, what it says differently from another, and what may be done with it."""
    return _plan_page(request, _one(request, plan_id))


@require_POST
def new_plan(request: HttpRequest, operator_id: uuid.UUID) -> HttpResponse:
    """Begin the next version, or go on with the draft."""
    acting = acting_in(request)
    operator = get_object_or_404(_own_operators(acting), pk=operator_id)
    opened = plans.open_plan(actor=acting.user, operator=operator, now=clock.now())
    return redirect("plan-step", opened.pk, "boundary")


@require_POST
def decide(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Approve a plan or send it back."""
    found = _one(request, plan_id)
    form = PlanDecisionForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            decided = plans.decide_plan(
                actor=acting_in(request).user,
                plan=found,
                outcome=form.cleaned_data["outcome"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            done = "approved" if decided.status == "approved" else "sent back"
            messages.success(request, f"Version {decided.version} was {done}.")
            return redirect("plan", found.pk)
    return _plan_page(request, found, form)


@require_POST
def discard(request: HttpRequest, plan_id: uuid.UUID) -> HttpResponse:
    """Throw a draft away, or take back what waits for the desk."""
    found = _one(request, plan_id)
    plans.discard_plan(actor=acting_in(request).user, plan=found, now=clock.now())
    messages.success(request, f"Version {found.version} was taken back and never counts.")
    return redirect("plans")


# The steps ------------------------------------------------------------------------------------------------------------


def step(request: HttpRequest, plan_id: uuid.UUID, name: str) -> HttpResponse:
    """Show a step of a draft; what is typed is saved before one goes to another step, finished or not."""
    acting = acting_in(request)
    found = _one(request, plan_id)
    if name not in STEPS:
        raise Unknown("step_unknown", "A plan has no such step. Check the address.")
    if found.status != "draft":
        return redirect("plan", found.pk)
    require_permission(
        may_record(acting, found.operator.organisation_id), "Only an initiator or approver writes the plan."
    )
    checked = plans.check(found)
    form = _form(name, checked, found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            written = plans.write_draft(
                actor=acting.user,
                plan=found,
                said=form.said(),
                valid_from=form.cleaned_data.get("valid_from"),
                now=clock.now(),
            )
            target = request.POST.get("go", "")
            if target == "submit":
                return _submitted(request, written, form)
            return redirect("plans") if target == "stop" else redirect("plan-step", found.pk, _next(name, target))
    return _step_page(request, found, name, checked, form)


def _submitted(request: HttpRequest, draft: MonitoringPlan, form: StepForm) -> HttpResponse:
    try:
        sent = plans.submit_plan(actor=acting_in(request).user, plan=draft, now=clock.now())
    except PlanIncomplete:
        return _step_page(request, draft, "check", plans.check(draft), form, status=422)
    messages.success(request, f"Version {sent.version} was submitted. The regulator's desk decides on it.")
    return redirect("plan", sent.pk)


def _next(name: str, target: str) -> str:
    order = list(STEPS)
    if target in STEPS:
        return target
    step_by = -1 if target == "back" else 1
    return order[min(max(order.index(name) + step_by, 0), len(order) - 1)]


def _form(name: str, checked: Checked, found: MonitoringPlan, sent: Any) -> StepForm:
    if name == "systems":
        return SystemsStep.for_systems(checked.content, checked.systems, sent)
    if name == "check":
        return CheckStep.for_draft(checked.content, found.valid_from, sent, follows=checked.predecessor is not None)
    form_class = PLAIN_STEPS[name]
    return form_class(sent) if sent is not None else form_class.of(checked.content)


def _step_page(
    request: HttpRequest, found: MonitoringPlan, name: str, checked: Checked, form: StepForm, status: int = 0
) -> HttpResponse:
    lacking = {key: [lack for lack in checked.lacks if lack.step == key] for key in STEPS}
    order = list(STEPS)
    context = {
        "plan": found,
        "step": name,
        "title": STEPS[name],
        "number": order.index(name) + 1,
        "count": len(order),
        "steps": [(key, label, len(lacking[key]), key == name) for key, label in STEPS.items()],
        "lacks": [(STEPS[lack.step], lack) for lack in checked.lacks],
        "lacks_here": lacking[name],
        "is_first": name == order[0],
        "is_last": name == order[-1],
        "form": form,
        "row_errors": any(row.errors for _, row in getattr(form, "rows", ())),
        "predecessor": checked.predecessor,
        **_spoken(checked.content, {str(system.pk): (system.name, system.site.name) for system in checked.systems}),
    }
    refused = form.is_bound and not form.is_valid()
    return render(request, "registry/plan_step.html", context, status=status or (422 if refused else 200))


# Parts ----------------------------------------------------------------------------------------------------------------


def _plan_page(request: HttpRequest, found: MonitoringPlan, form: PlanDecisionForm | None = None) -> HttpResponse:
    acting = acting_in(request)
    versions = list(
        measuring.plans_visible(reader_of(acting, acting.scope)).filter(operator=found.operator).order_by("-version")
    )
    other = _other(request, found, versions)
    content = plans.content_of(found)
    systems = {
        key: (row.get("name", ""), row.get("site", "")) for key, row in found.document.get("systems", {}).items()
    }
    if found.status == "draft":
        systems = {
            str(system.pk): (system.name, system.site.name)
            for system in measuring.open_systems(found.operator.organisation)
        }
    own = may_record(acting, found.operator.organisation_id)
    context = {
        "plan": found,
        "versions": versions,
        "others": [version for version in versions if version != found],
        "other": other,
        "differences": _differences(other, found),
        "counts_from_the_past": found.valid_from is not None and found.valid_from < clock.now().date(),
        "may_write": own and found.status == "draft",
        "may_discard": own and PLAN.allows(found.status, "discarded"),
        "may_begin": own and found.status in {"approved", "returned"} and versions[0] == found,
        "may_decide": found.status == "submitted" and acting.oversees and acting.has(*DESK),
        "decision_form": form or PlanDecisionForm(),
        "reports": found.reports.select_related("period").order_by("-received_at")[:20],
        **_spoken(content, systems),
    }
    return render(request, "registry/plan.html", context, status=422 if form is not None else 200)


def _spoken(content: Content, systems: Mapping[str, tuple[str, str]]) -> dict[str, object]:
    """Return what a plan says in words for its page."""
    return {
        "content": content,
        "boundary_label": monitoring.BOUNDARIES.get(content.boundary, ""),
        "activity_labels": [monitoring.ACTIVITIES[activity] for activity in content.activities],
        "factors_label": monitoring.FACTORS.get(content.factors, ""),
        "measured": [
            (name, site, monitoring.METHODS.get(measured.method, ""), measured.tier, measured.meter)
            for key, (name, site) in systems.items()
            if (measured := content.systems.get(key, monitoring.Measured()))
        ],
    }


def _other(request: HttpRequest, found: MonitoringPlan, versions: list[MonitoringPlan]) -> MonitoringPlan | None:
    """Return the version to compare with: the one asked for, or the newest before this one that was ever in force."""
    asked = request.GET.get("with", "")
    chosen = [version for version in versions if str(version.version) == asked and version != found]
    before = [
        version
        for version in versions
        if version.version < found.version and version.status in {"approved", "superseded"}
    ]
    return next(iter(chosen or before), None)


def _differences(other: MonitoringPlan | None, found: MonitoringPlan) -> tuple[Difference, ...]:
    if other is None:
        return ()
    names = {
        key: f"{row['name']}, {row['site']}"
        for version in (other, found)
        for key, row in version.document.get("systems", {}).items()
        if "name" in row
    }
    return monitoring.differences(plans.content_of(other), plans.content_of(found), names)


def _own_operators(acting: Acting) -> Any:
    """Return the operators of the firm one acts for, by scheme."""
    rows = Operator.objects.select_related("scheme", "organisation").order_by("scheme__code")
    return rows.filter(organisation=acting.organisation) if acting.trades else rows.none()


def _one(request: HttpRequest, plan_id: uuid.UUID) -> MonitoringPlan:
    acting = acting_in(request)
    found = (
        measuring.plans_visible(reader_of(acting, acting.scope))
        .select_related("submitted_by", "decided_by", "created_by")
        .filter(pk=plan_id)
        .first()
    )
    if found is None:
        raise Unknown("plan_unknown", "There is no such plan in your scope. Check the address.")
    return found
