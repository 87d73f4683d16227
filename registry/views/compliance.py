"""What operators owe and what they gave: their position, surrender with a check page, standing instructions."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.errors import Unknown, require_permission
from common.forms import refusals_shown_in
from registry import selectors
from registry.engine.refusals import Refusal
from registry.forms import SurrenderForm
from registry.models import ComplianceRecord, Operator, Period, Sanction, Surrender
from registry.services import debts, operators, sanctions, surrenders
from registry.standing import Standing, records

SURRENDERING = ("initiator", "approver", "trader")
INSTRUCTING = ("initiator", "approver")


def compliance_list(request: HttpRequest) -> HttpResponse:
    """Show every period in which somebody in view owes permits, the latest first."""
    acting = acting_in(request)
    require_permission(acting.trades or acting.oversees, "Only firms, labs, the regulator and auditors see this.")
    periods = (
        Period.objects.exclude(status="draft")
        .select_related("scheme__currency", "permit")
        .order_by("-year", "scheme__code")
    )
    if acting.oversees:
        rows = [(period, records(period)) for period in periods]
    else:
        own = periods.filter(scheme__operators__organisation=acting.organisation)
        rows = [(period, records(period, operator=_operator(acting, period))) for period in own]
    return render(request, "registry/compliance.html", {"rows": rows, "by_operator": acting.oversees})


def compliance_period(request: HttpRequest, code: str) -> HttpResponse:
    """Show where an operator stands in one period, or all operators to those who oversee them."""
    acting = acting_in(request)
    period = selectors.period_coded(code)
    if acting.oversees:
        context = {"period": period, "standings": records(period), "letters": LETTERS}
        return render(request, "registry/compliance_all.html", context)
    return _operator_page(request, acting, period, SurrenderForm())


@require_POST
def surrender(request: HttpRequest, code: str) -> HttpResponse:
    """Show what will be surrendered for checking; when that was confirmed, surrender it, or propose to."""
    acting = acting_in(request)
    period = selectors.period_coded(code)
    operator = _operator(acting, period)
    form = SurrenderForm(request.POST)
    form.fields["permits"].queryset = selectors.usable_permits(operator, period)  # type: ignore[attr-defined]
    if not form.is_valid():
        return _operator_page(request, acting, period, form)
    if "confirmed" not in request.POST:
        (standing,) = records(period, operator=operator)
        context = {
            "period": period,
            "form": form,
            "permits": form.cleaned_data["permits"],
            "quantity": form.cleaned_data["quantity"],
            "missing_after": max(0, standing.shortfall - form.cleaned_data["quantity"]),
            "too_many": max(0, form.cleaned_data["quantity"] - standing.shortfall),
            "second_person": surrenders.why_second_person(
                operator,
                surrenders.requested(
                    operator, period, form.cleaned_data["permits"].asset, form.cleaned_data["quantity"]
                ),
                clock.now(),
            ),
        }
        return render(request, "registry/surrender_check.html", context)
    with refusals_shown_in(form):
        outcome = surrenders.ask(
            actor=acting.user,
            operator=operator,
            period=period,
            quantity=form.cleaned_data["quantity"],
            key=form.cleaned_data["key"],
            now=clock.now(),
            asset=form.cleaned_data["permits"].asset,
        )
        waiting, receipt = outcome.transaction, outcome.receipt
        if waiting is not None and waiting.approval_id is not None:
            messages.info(request, WAITS)
            return redirect("approval", waiting.approval_id)
        if receipt is None:  # the terms were changed a moment ago, so that the proposal was carried out at once
            return redirect("compliance-period", code)
        messages.success(
            request,
            f"{receipt.quantity:,} permits were surrendered, received {receipt.received_at:%-d %B %Y, %H:%M:%S} UTC.",
        )
        return redirect("compliance-period", code)
    return _operator_page(request, acting, period, form)


@require_POST
def standing_instruction(request: HttpRequest, code: str) -> HttpResponse:
    """Turn the standing instruction on or off: whether the registry surrenders what is owed when the period closes."""
    acting = acting_in(request)
    on = request.POST.get("on") == "yes"
    operators.set_standing_surrender(
        actor=acting.user, operator=_operator(acting, selectors.period_coded(code)), on=on, now=clock.now()
    )
    messages.success(
        request,
        "The registry will surrender what you owe when a period closes."
        if on
        else "The registry will surrender nothing by itself. Surrender before the deadline yourself.",
    )
    return redirect("compliance-period", code)


def _operator_page(request: HttpRequest, acting: Acting, period: Period, form: SurrenderForm) -> HttpResponse:
    operator = _operator(acting, period)
    (standing,) = records(period, operator=operator)
    permits = list(selectors.usable_permits(operator, period))
    available = sum(balance.available for balance in permits)
    if not form.is_bound:
        form = SurrenderForm(
            initial={"quantity": str(min(standing.shortfall, available)) if standing.shortfall else ""}
        )
    form.fields["permits"].queryset = selectors.usable_permits(operator, period)  # type: ignore[attr-defined]
    now = clock.now()
    is_running = standing.status == "C" and now < period.report_due
    context = {
        "period": period,
        "operator": operator,
        "standing": standing,
        "letter": RUNNING if is_running else LETTERS[standing.status],
        "is_provisional": now < period.surrender_due,
        "is_late": now >= period.surrender_due,
        "available": available,
        "held": sum(balance.held for balance in permits),
        "permits": permits,
        "lacking": max(0, standing.shortfall - available),
        "sanction_minor": _sanction_minor(standing, period),
        "debt": debts.owed(operator),
        "surrenders": Surrender.objects.filter(operator=operator, period=period).select_related("surrendered_by"),
        "letters": ComplianceRecord.objects.filter(operator=operator, period=period).order_by("id"),
        "sanctions": Sanction.objects.filter(operator=operator, period=period),
        "may_surrender": acting.has(*SURRENDERING) and period.status != "draft",
        "may_instruct": acting.has(*INSTRUCTING),
        "form": form,
    }
    return render(request, "registry/compliance_period.html", context, status=422 if form.errors else 200)


def _sanction_minor(standing: Standing, period: Period) -> int:
    """What would be owed in money if nothing more came before the deadline, as far as the price is known by now."""
    if not standing.shortfall_of_the_year:
        return 0
    cost = sanctions.would_cost(standing.operator, period, standing.shortfall_of_the_year)
    return 0 if isinstance(cost, Refusal) else cost.cash_minor


def _operator(acting: Acting, period: Period) -> Operator:
    require_permission(acting.trades, "Only firms and labs surrender permits.")
    operator = (
        Operator.objects.select_related("organisation", "scheme", "account")
        .filter(organisation=acting.organisation, scheme_id=period.scheme_id)
        .first()
    )
    if operator is None:
        raise Unknown("operator_unknown", "Your organisation is not an operator of this scheme. Check the address.")
    return operator


LETTERS = {
    "A": "Enough permits were surrendered for everything owed so far.",
    "B": "Too few permits were surrendered: the missing ones stay owed until they are.",
    "C": "A year has no verified report. An estimate is owed in its place until a report is verified.",
    "EXCLUDED": "The operator is excluded from the scheme for every year so far.",
    "NOT_APPLICABLE": "No year has closed yet in which the operator owes anything.",
}
"""What each status letter means, in a sentence for people."""

WAITS = (
    "A colleague has to approve this surrender, and until then its permits are held. It is received when it is "
    "approved: let that be before the deadline."
)
"""What a person reads whose surrender needs a second one."""

RUNNING = "The period is running. What you owe for it follows from your verified report, which is not due yet."
"""What stands there before a report is due: its absence is no fault yet."""
