"""Pages of the frame itself: the front door, home by role, and refusals of forged requests."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.acting import acting_in
from common import clock
from config import home as overview
from exchange.selectors import market_summaries
from registry.selectors import public_overview


@login_not_required
@require_safe
def front_door(request: HttpRequest) -> HttpResponse:
    """Show visitors what this is and how the periods stand; send those who are logged in to their overview."""
    if request.user.is_authenticated:
        return redirect("home")
    context = {"overviews": public_overview(), "markets": market_summaries()}
    return render(request, "front.html", context)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the overview of whoever one acts for."""
    acting, now = acting_in(request), clock.now()
    match acting.kind:
        case "firm" | "lab":
            return render(request, "home/firm.html", overview.of_firm(acting, now))
        case "verifier":
            return render(request, "home/verifier.html", overview.of_verifier(acting, now))
        case "regulator":
            return render(request, "home/regulator.html", overview.of_regulator(acting, now))
        case "auditor":
            return render(request, "home/auditor.html", overview.of_auditor())
    return render(request, "home/nobody.html")


@login_not_required
def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say what to do when a form's token is missing or old."""
    return render(request, "403_csrf.html", {"reason": reason}, status=403)
