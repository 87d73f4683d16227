"""The desk's view of monitoring: what is overdue, estimated or odd in a period, and who is accredited."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.acting import acting_in
from common import clock
from common.errors import Unknown, require_permission
from common.forms import refusals_shown_in
from registry import selectors, supervision
from registry.models import ACCREDITATION, Accreditation, Period
from registry.services import plausibility
from registry.services.verifying import accreditations
from registry.verifying_forms import AccreditationForm, AccreditationMoveForm

OFFICERS = ("desk_officer", "senior_officer")


def latest(request: HttpRequest) -> HttpResponse:
    """Go to the latest period of which reports can have come."""
    require_permission(acting_in(request).oversees, "Only the regulator and auditors see this page.")
    today = clock.now().date()
    periods = Period.objects.exclude(status="draft").select_related("scheme").order_by("-year", "scheme__code")
    period = periods.filter(ends_on__lt=today).first() or periods.first()
    if period is None:
        return render(request, "registry/supervision.html", {"period": None})
    return redirect("supervision-period", period.code)


def of_period(request: HttpRequest, code: str) -> HttpResponse:
    """Show every operator of a period with what stands out, and how well the period is measured."""
    require_permission(acting_in(request).oversees, "Only the regulator and auditors see this page.")
    period = selectors.period_coded(code)
    now = clock.now()
    overview = supervision.overview(period, now)
    doubts = plausibility.of_reports([row.report for row in overview.rows if row.report])
    context = {
        "period": period,
        "overview": overview,
        "rows": [(row, len(doubts[row.report.pk]) if row.report else 0) for row in overview.rows],
        "doubted": sum(bool(found) for found in doubts.values()),
        "is_flop": period.scheme.metric == "flop",
        "periods": Period.objects.exclude(status="draft").select_related("scheme").order_by("-year", "scheme__code"),
        "now": now,
    }
    return render(request, "registry/supervision.html", context)


def accreditation_list(request: HttpRequest) -> HttpResponse:
    """Show every accreditation, and let the desk grant, suspend, restore and withdraw them."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see this page.")
    moving = request.method == "POST" and "status" in request.POST
    form = AccreditationForm(request.POST if request.method == "POST" and not moving else None)
    move = AccreditationMoveForm(request.POST) if moving else None
    now = clock.now()
    if form.is_bound and form.is_valid():
        with refusals_shown_in(form):
            granted = accreditations.grant(
                actor=acting.user,
                now=now,
                **{name: form.cleaned_data[name] for name in form.fields if name != "key"},
            )
            messages.success(request, f"{granted.verifier} is accredited until {granted.valid_until:%-d %B %Y}.")
            return redirect("accreditations")
    if move is not None and move.is_valid():
        with refusals_shown_in(move):
            found = Accreditation.objects.filter(pk=move.cleaned_data["accreditation"]).first()
            if found is None:
                raise Unknown("accreditation_unknown", "There is no such accreditation. Load the page again.")
            moved = accreditations.move(
                actor=acting.user,
                accreditation=found,
                status=move.cleaned_data["status"],
                reason=move.cleaned_data["reason"],
                now=now,
            )
            messages.success(request, f"The accreditation of {moved.verifier} is {moved.status} now.")
            return redirect("accreditations")
    rows = Accreditation.objects.select_related("verifier", "scheme").order_by("verifier__name", "-valid_from", "id")
    may_act = acting.has(*OFFICERS)
    context = {
        "listed": [(row, sorted(ACCREDITATION.moves[row.status]) if may_act else []) for row in rows],
        "form": form,
        "move": move,
        "may_act": may_act,
        "today": now.date(),
    }
    refused = form.errors or (move is not None and move.errors)
    return render(request, "registry/accreditations.html", context, status=422 if refused else 200)
