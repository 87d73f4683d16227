"""The regulator's side of the exchange: the phase of a market, and the closing of a period with its progress."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.selectors import events_of
from common import clock
from common.errors import Refused, Unknown, require_permission
from common.forms import refusals_shown_in
from exchange import selectors
from exchange.forms import PhaseForm
from exchange.models import STEPS, ClosingStep, Market, PeriodClosing
from exchange.permissions import may_close_periods, may_steer_markets
from exchange.services import closing, markets
from registry.models import Period
from registry.selectors import period_coded


def market(request: HttpRequest, code: str) -> HttpResponse:
    """Show a market to those who watch it: phase and its history, settlement batches, parked commands."""
    acting = _overseer(request)
    found = _market(code)
    form = PhaseForm(request.POST or None, market=found)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            markets.change_phase(
                actor=acting.user,
                market=found,
                phase=form.cleaned_data["phase"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, f"{found.period} is now in the phase: {form.cleaned_data['phase']}.")
            return redirect("desk-market", code)
    context = {
        "market": found,
        "form": form,
        "may_steer": may_steer_markets(acting.user),
        "batches": selectors.batches(found),
        "parked": selectors.parked_commands().filter(market=found),
        "waiting": selectors.commands_waiting(found),
        "events": events_of("exchange.market", found.pk)[:50],
    }
    return render(request, "exchange/desk_market.html", context, status=422 if form.errors else 200)


# The closing ----------------------------------------------------------------------------------------------------------

STEP_LABELS = {
    "halt": "Halt the market",
    "final_call": "Final call auction",
    "expire_orders": "Expire what is left in the book",
    "settle": "Settle every trade, delivery against payment",
    "standing_surrenders": "Standing surrender instructions",
    "deadline_status": "Status letters at the deadline",
    "sanctions": "Sanctions for missing permits",
    "bank": "Bank unused permits",
    "publish": "Publish",
}
"""What each step does, for people."""


@dataclass(frozen=True)
class Progress:
    """One step of a closing: done, due or not due yet."""

    label: str
    due_at: datetime
    step: ClosingStep | None
    is_due: bool
    figures: tuple[tuple[str, object], ...]

    @property
    def state(self) -> str:
        """In one word."""
        if self.step is not None:
            return "completed"
        return "pending" if self.is_due else "not_due"


def closing_progress(request: HttpRequest, code: str) -> HttpResponse:
    """Show how far the closing of a period has come, step by step."""
    acting = _overseer(request)
    return _closing_page(request, acting, period_coded(code))


@require_POST
def close_period(request: HttpRequest, code: str) -> HttpResponse:
    """Take every step of the closing that is due now; doing it twice is doing it once."""
    acting = _overseer(request)
    period = period_coded(code)
    try:
        closed = closing.close_period(actor=acting.user, period=period, now=clock.now())
    except Refused as refusal:
        if refusal.code == "not_permitted":
            raise
        messages.error(request, refusal.sentence)
        return _closing_page(request, acting, period, status=422)
    if closed.finished_at is not None:
        messages.success(request, "The period is closed and its figures are public.")
    else:
        messages.info(request, "Every step that is due was taken. The others follow when their time comes.")
    return redirect("closing", code)


def _closing_page(request: HttpRequest, acting: Acting, period: Period, status: int = 200) -> HttpResponse:
    found = selectors.closing_of(period)
    steps = _progress(period, found, clock.now())
    context = {
        "period": period,
        "closing": found,
        "steps": steps,
        "done": sum(step.step is not None for step in steps),
        "may_close": may_close_periods(acting.user) and (found is None or found.finished_at is None),
    }
    return render(request, "exchange/closing.html", context, status=status)


def _progress(period: Period, found: PeriodClosing | None, now: datetime) -> list[Progress]:
    done = {step.name: step for step in found.steps.all()} if found is not None else {}
    rows = []
    for name in STEPS:
        step, due_at = done.get(name), closing.due_at(name, period)
        figures = tuple((key.replace("_", " "), value) for key, value in step.result.items()) if step else ()
        rows.append(Progress(STEP_LABELS[name], due_at, step, now >= due_at, figures))
    return rows


def _market(code: str) -> Market:
    found = Market.objects.select_related("period__scheme__currency", "period__permit").filter(code=code).first()
    if found is None:
        raise Unknown("market_unknown", "There is no such market. Choose one from the list.")
    return found


def _overseer(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting
