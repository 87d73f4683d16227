"""Freezes: the public notice, the desk where they are made and lifted, and the search for one permit number."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Approval
from common import clock
from common.errors import require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry.account_forms import SchemeFreezeForm, SerialFreezeForm, SerialSearchForm
from registry.grades import is_serial_frozen
from registry.ledger import selectors as ledger
from registry.models import Freeze, SerialFreeze
from registry.services import freezes

OFFICERS = ("desk_officer", "senior_officer")
LIFTED_SHOWN = 50


@login_not_required
def notices(request: HttpRequest) -> HttpResponse:
    """Show everybody what is frozen and what was, and whether one permit number may move."""
    form = SerialSearchForm(request.GET or None)
    asked = form.cleaned_data if form.is_valid() else {}
    context = {
        **_lists(),
        "form": form,
        "asked": asked,
        "is_frozen": bool(asked) and is_serial_frozen(asked["asset"], asked["number"]),
    }
    return render(request, "registry/freezes.html", context, status=422 if form.errors else 200)


def desk(request: HttpRequest) -> HttpResponse:
    """Show the freezes with the acts that officers have."""
    return _desk(request, _overseer(request))


def _desk(request: HttpRequest, acting: Acting, **forms: ActForm) -> HttpResponse:
    context = {
        **_lists(),
        "scheme_form": SchemeFreezeForm(prefix="scheme"),
        "serial_form": SerialFreezeForm(prefix="serials"),
        "may_act": acting.has(*OFFICERS),
        "proposals": Approval.objects.filter(
            act__in=[freezes.LIFT_FREEZE, freezes.LIFT_SERIAL_FREEZE], status="proposed"
        ).select_related("proposed_by"),
        **forms,
    }
    return render(request, "registry/desk_freezes.html", context, status=422 if forms else 200)


@require_POST
def freeze_scheme(request: HttpRequest) -> HttpResponse:
    """Stop a scheme, or every one, but for surrender."""
    acting = _overseer(request)
    form = SchemeFreezeForm(request.POST, prefix="scheme")
    if form.is_valid():
        with refusals_shown_in(form):
            freezes.freeze_scheme(
                actor=acting.user,
                scheme=form.cleaned_data["scheme"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, "Frozen. The notice is public from now on.")
            return redirect("desk-freezes")
    return _desk(request, acting, scheme_form=form)


@require_POST
def freeze_serials(request: HttpRequest) -> HttpResponse:
    """Stop permit numbers wherever they lie."""
    acting = _overseer(request)
    form = SerialFreezeForm(request.POST, prefix="serials")
    if form.is_valid():
        with refusals_shown_in(form):
            freezes.freeze_serials(
                actor=acting.user,
                asset=form.cleaned_data["asset"],
                first=form.cleaned_data["first"],
                last=form.cleaned_data["last"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, "These permits stay where they are. The notice is public from now on.")
            return redirect("desk-freezes")
    return _desk(request, acting, serial_form=form)


def lift(request: HttpRequest, freeze_id: uuid.UUID) -> HttpResponse:
    """Propose to let a scheme move again."""
    acting = _overseer(request)
    freeze = freezes.freeze_by_id(freeze_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            approval = freezes.propose_lifting(
                actor=acting.user, freeze=freeze, reason=form.cleaned_data["reason"], now=clock.now()
            )
            return _proposed(request, approval)
    return _lift_page(request, acting, freeze, form)


def lift_serials(request: HttpRequest, freeze_id: uuid.UUID) -> HttpResponse:
    """Propose to let frozen permit numbers move again."""
    acting = _overseer(request)
    freeze = freezes.serial_freeze_by_id(freeze_id)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            approval = freezes.propose_serial_lifting(
                actor=acting.user, freeze=freeze, reason=form.cleaned_data["reason"], now=clock.now()
            )
            return _proposed(request, approval)
    return _lift_page(request, acting, freeze, form)


def serials(request: HttpRequest) -> HttpResponse:
    """Show which account holds a permit number now, and its whole path. For the regulator and auditors."""
    _overseer(request)
    form = SerialSearchForm(request.GET or None)
    asked = form.cleaned_data if form.is_valid() else {}
    path = list(ledger.history_of_serial(asked["asset"].pk, asked["number"])) if asked else []
    context = {
        "form": form,
        "asked": asked,
        "path": path,
        "is_frozen": bool(asked) and is_serial_frozen(asked["asset"], asked["number"]),
    }
    return render(request, "registry/serials.html", context, status=422 if form.errors else 200)


def _lists() -> dict[str, object]:
    schemes = Freeze.objects.select_related("scheme")
    numbers = SerialFreeze.objects.select_related("asset")
    return {
        "schemes": schemes.filter(lifted_at=None),
        "numbers": numbers.filter(lifted_at=None),
        "past_schemes": schemes.exclude(lifted_at=None).order_by("-lifted_at")[:LIFTED_SHOWN],
        "past_numbers": numbers.exclude(lifted_at=None).order_by("-lifted_at")[:LIFTED_SHOWN],
    }


def _lift_page(request: HttpRequest, acting: Acting, freeze: Freeze | SerialFreeze, form: ReasonForm) -> HttpResponse:
    context = {"freeze": freeze, "form": form, "may_act": acting.has(*OFFICERS) and freeze.lifted_at is None}
    return render(request, "registry/freeze_lift.html", context, status=422 if form.errors else 200)


def _proposed(request: HttpRequest, approval: Approval) -> HttpResponse:
    messages.success(request, "Proposed. A senior officer decides.")
    return redirect("approval", approval.pk)


def _overseer(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting
