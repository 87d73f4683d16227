"""What every page needs from the frame: navigation by role, and the organisation one acts for."""

from django.http import HttpRequest
from django.urls import reverse

from accounts.acting import Acting, acting_in
from accounts.models import Membership
from common import clock

AREAS: dict[str, tuple[tuple[str, ...], ...]] = {
    "firm": (
        ("home",),
        ("markets",),
        ("holdings", "transactions", "trusted-accounts", "accounts", "identity"),
        ("reports", "verifying", "signing-keys", "calculators"),
        ("plans", "sites", "models", "meters", "serving"),
        ("measures", "green", "applications"),
        ("compliance", "cases", "sanctions", "rules", "runs"),
        ("tasks", "approvals"),
    ),
    "verifier": (
        ("home",),
        ("verifying", "signing-keys"),
        ("reports", "calculators"),
        ("plans", "sites", "models", "meters", "serving"),
        ("measures", "flex-claims"),
        ("rules",),
        ("tasks",),
    ),
    "regulator": (
        ("home",),
        ("desk", "calendar", "rules", "runs"),
        ("markets",),
        ("accounts", "holdings", "transactions", "groups", "identity", "desk-freezes", "serials"),
        ("reports", "supervision", "verifying", "accreditations", "calculators"),
        ("plans", "sites", "models", "meters", "serving", "desk-factors", "desk-trainings"),
        ("measures", "labels", "green", "access-desk"),
        ("compliance", "cases", "sanctions"),
        ("tasks", "approvals"),
    ),
    "auditor": (
        ("home",),
        ("desk", "calendar", "rules", "runs"),
        ("markets",),
        ("accounts", "holdings", "transactions", "groups", "serials"),
        ("reports", "supervision", "verifying", "accreditations", "calculators"),
        ("plans", "sites", "models", "meters", "serving", "desk-factors", "desk-trainings"),
        ("measures", "labels", "green", "access-desk"),
        ("compliance", "cases", "sanctions"),
        ("approvals",),
    ),
    "": (("home",),),
}
"""The areas of the navigation by the kind of organisation acted for, each with its pages; the first names the area.

Each view asks for itself who may read it.
"""

PUBLIC = (
    ("transparency",),
    ("rules",),
    ("runs",),
    ("freezes",),
    ("factor-sets",),
    ("calculators", "trainings"),
    ("tariffs", "avoided-claims", "planning"),
    ("efficiency",),
    ("access",),
)

LABELS = {
    "home": "Overview",
    "desk": "Schemes",
    "calendar": "Calendar",
    "rules": "Rules",
    "runs": "Runs",
    "markets": "Markets",
    "accounts": "Accounts",
    "holdings": "Holdings",
    "transactions": "Transactions",
    "trusted-accounts": "Trusted accounts",
    "groups": "Groups",
    "identity": "Identity",
    "desk-freezes": "Freezes",
    "serials": "Serial numbers",
    "freezes": "Frozen permits",
    "reports": "Reports",
    "verifying": "Verification",
    "signing-keys": "Signing keys",
    "supervision": "Supervision",
    "accreditations": "Accreditations",
    "meters": "Meters",
    "plans": "Monitoring",
    "sites": "Sites",
    "models": "Models",
    "serving": "Serving",
    "desk-factors": "Grid factors",
    "factor-sets": "Grid factors",
    "calculators": "Calculators",
    "trainings": "Published trainings",
    "desk-trainings": "Published trainings",
    "green": "Green inference",
    "flex-claims": "Claims",
    "tariffs": "Tariffs",
    "avoided-claims": "Avoided emissions",
    "planning": "Planning",
    "efficiency": "Efficiency",
    "measures": "Efficiency",
    "labels": "Labels",
    "access": "Access",
    "applications": "Access",
    "access-desk": "Access",
    "compliance": "Compliance",
    "cases": "Cases",
    "sanctions": "Sanctions",
    "tasks": "Tasks",
    "approvals": "Approvals",
    "transparency": "Transparency",
}

BELOW = {
    "/transfers/": "transactions",
    "/cancellations/": "transactions",
    "/certificates/": "transactions",
    "/desk/markets/": "markets",
    "/systems/": "sites",
    "/workloads/": "sites",
    "/access/awards/": "applications",
}
"""Pages whose address does not begin with that of the page they belong to."""

Links = list[tuple[str, str, bool]]
"""Label, address, and whether one is there."""


def frame(request: HttpRequest) -> dict[str, object]:
    """Return the context of the base template."""
    user = getattr(request, "user", None)  # a request refused by the first middleware has no user yet
    if user is None or not user.is_authenticated:
        return {**_navigation(request, PUBLIC), "now": clock.now()}
    acting = acting_in(request)
    return {
        "acting": acting,
        **_navigation(request, AREAS["firm" if acting.trades else acting.kind]),
        "organisation": acting.organisation.name if acting.organisation else "",
        "organisation_choices": [
            (choice.name, str(choice.pk), choice == acting.organisation) for choice in acting.choices
        ],
        "organisation_switch_url": reverse("act-for"),
        "user_role": _roles(acting),
        "now": clock.now(),
    }


def _navigation(request: HttpRequest, areas: tuple[tuple[str, ...], ...]) -> dict[str, Links]:
    """Return the areas, and the pages of the area one is in: the one whose address is the longest start of ours."""
    addresses = {name: reverse(name) for area in areas for name in area}
    starts = [*((address, name) for name, address in addresses.items()), *BELOW.items()]
    _, here = max((start for start in starts if request.path.startswith(start[0])), default=("", ""))
    area_here = next((area for area in areas if here in area), ())
    pages = area_here if len(area_here) > 1 else ()
    return {
        "nav": [(LABELS[area[0]], addresses[area[0]], area is area_here) for area in areas],
        "area": [(LABELS[name], addresses[name], name == here) for name in pages],
    }


def _roles(acting: Acting) -> str:
    return ", ".join(sorted(str(Membership.Role(role).label) for role in acting.roles))
