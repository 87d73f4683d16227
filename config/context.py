"""What every page needs from the frame: navigation by role, and the organisation one acts for."""

from django.http import HttpRequest
from django.urls import reverse

from accounts.acting import Acting, acting_in
from accounts.models import Membership
from common import clock

PAGES: dict[str, tuple[str, ...]] = {
    "firm": ("home", "markets", "holdings", "accounts", "reports", "compliance", "tasks", "approvals"),
    "lab": ("home", "markets", "holdings", "accounts", "reports", "compliance", "tasks", "approvals"),
    "verifier": ("home", "reports", "tasks"),
    "regulator": ("home", "desk", "markets", "holdings", "accounts", "reports", "compliance", "tasks", "approvals"),
    "auditor": ("home", "desk", "markets", "holdings", "accounts", "reports", "compliance", "approvals"),
    "": ("home",),
}
"""The addresses in the navigation, by the kind of organisation acted for. Each view asks for itself who may read it."""

LABELS = {
    "home": "Overview",
    "desk": "Schemes",
    "markets": "Markets",
    "holdings": "Holdings",
    "accounts": "Accounts",
    "freezes": "Frozen permits",
    "reports": "Reports",
    "compliance": "Compliance",
    "tasks": "Tasks",
    "approvals": "Approvals",
    "transparency": "Transparency",
    "rules": "Rules",
    "runs": "Runs",
}


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the context of the base template."""
    user = getattr(request, "user", None)  # a request refused by the first middleware has no user yet
    if user is None or not user.is_authenticated:
        return {"nav": _navigation(request, ("transparency", "freezes", "rules", "runs")), "now": clock.now()}
    acting = acting_in(request)
    return {
        "acting": acting,
        "nav": _navigation(request, PAGES[acting.kind]),
        "organisation": acting.organisation.name if acting.organisation else "",
        "organisation_choices": [
            (choice.name, str(choice.pk), choice == acting.organisation) for choice in acting.choices
        ],
        "organisation_switch_url": reverse("act-for"),
        "user_role": _roles(acting),
        "now": clock.now(),
    }


def _navigation(request: HttpRequest, names: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    addresses = [(LABELS[name], reverse(name)) for name in names]
    return [(label, address, request.path.startswith(address)) for label, address in addresses]


def _roles(acting: Acting) -> str:
    return ", ".join(sorted(str(Membership.Role(role).label) for role in acting.roles))
