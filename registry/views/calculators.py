"""Calculators for everybody: an index, one page for each of them, and the published trainings they compare with."""

from itertools import groupby
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.acting import acting_in
from common import clock
from common.errors import require_permission
from common.forms import refusals_shown_in
from registry.calculator_forms import CalculatorForm, ReferenceForm
from registry.models import ReferenceSet
from registry.services import reference
from registry.services.calculators import CALCULATORS
from registry.services.calculators.parts import Calculator, Example
from registry.services.versions import RowsRefused

OFFICERS = ("desk_officer", "senior_officer")
SHOWN_ERRORS = 200
PER_PAGE = 50


@require_safe
@login_not_required
def index(request: HttpRequest) -> HttpResponse:
    """List the calculators by what they are about."""
    groups = [(name, list(of)) for name, of in groupby(CALCULATORS.values(), key=lambda one: one.group)]
    return render(request, "registry/calculators.html", {"groups": groups})


@require_safe
@login_not_required
def calculator(request: HttpRequest, name: str) -> HttpResponse:
    """Show one calculator with its result; the address holds what was typed. Without any, its first example stands."""
    if name not in CALCULATORS:
        raise Http404
    found = CALCULATORS[name]
    names = [one.name for one in found.inputs]
    typed = {one: request.GET[one] for one in names if one in request.GET}
    if not typed:
        typed = dict(found.examples[0].typed)
    form = CalculatorForm(found, typed, clock.now())
    outcome = form.outcome()
    context = {
        "calculator": found,
        "form": form,
        "outcome": outcome,
        "examples": [(one, urlencode(one.typed)) for one in found.examples],
        "example": _example(found, form),
        "address": urlencode({one: value for one, value in form.data.items() if value}),
        "is_untouched": not any(one in request.GET for one in names),
    }
    is_refused = bool(form.errors) and not context["is_untouched"]
    return render(request, "registry/calculator.html", context, status=422 if is_refused else 200)


def _example(found: Calculator, form: CalculatorForm) -> Example | None:
    """Return the example whose figures stand in the form, if one does."""
    typed = dict(form.data)
    return next(
        (
            one
            for one in found.examples
            if {each.name: one.typed.get(each.name, each.default) for each in found.inputs} == typed
        ),
        None,
    )


@require_safe
@login_not_required
def trainings(request: HttpRequest) -> HttpResponse:
    """List the published trainings of the version that counts, the largest first."""
    found = reference.latest()
    rows = found.trainings.order_by("-training_flop", "model") if found else ReferenceSet.objects.none()
    context = {
        "set": found,
        "credit": reference.CREDIT,
        "page_obj": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "registry/trainings.html", context)


def desk(request: HttpRequest) -> HttpResponse:
    """Show the desk every version that was loaded, and load a file."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors may open this page.")
    form = ReferenceForm(request.POST or None, request.FILES or None)
    errors = []
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            try:
                made = reference.load(
                    actor=acting.user,
                    content=form.cleaned_data["file"],
                    retrieved_on=form.cleaned_data["retrieved_on"],
                    now=clock.now(),
                )
                messages.success(request, f"The {made} are loaded: {made.rows:,} models.")
                return redirect("trainings")
            except RowsRefused as refused:
                errors = list(refused.errors)
    sets = ReferenceSet.objects.select_related("loaded_by")
    context = {
        "form": form,
        "page_obj": Paginator(sets, PER_PAGE).get_page(request.GET.get("page")),
        "errors": errors[:SHOWN_ERRORS],
        "error_count": len(errors),
        "credit": reference.CREDIT,
        "may_act": acting.kind == "regulator" and acting.has(*OFFICERS),
    }
    return render(request, "registry/desk_trainings.html", context, status=422 if errors or form.errors else 200)
