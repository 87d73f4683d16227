"""For whom a page acts: the person who is logged in, and the one of their organisations that they chose to act for.

Every view asks here. `scope` is what the person may see at all; `view` is what the lists of a page show, which is the
chosen organisation alone, or everything for those who work for the regulator or as auditors.
"""

import uuid
from dataclasses import dataclass
from functools import cached_property

from django.http import HttpRequest

from accounts.models import Membership, Organisation, User
from accounts.selectors import Scope, scope_of
from common.errors import Unknown, require_permission

SESSION_KEY = "acting_for"
REQUEST_KEY = "headroom.acting"
"""Where a request keeps the answer, so that view, template and frame ask the database once."""


@dataclass(frozen=True)
class Acting:
    """One person with their live roles, by organisation, and the organisation they act for."""

    user: User
    organisation: Organisation | None
    choices: tuple[Organisation, ...]
    roles: frozenset[str]

    @cached_property
    def scope(self) -> Scope:
        """What the person may see at all: rows outside it do not exist for them."""
        return scope_of(self.user)

    @property
    def oversees(self) -> bool:
        """Whether the person acts for an organisation that sees everything, and may see it."""
        return self.kind in {"regulator", "auditor"} and self.scope.everything

    @property
    def view(self) -> Scope:
        """What the lists of a page show."""
        if self.oversees:
            return self.scope
        ids = frozenset() if self.organisation is None else frozenset({self.organisation.pk})
        return Scope(everything=False, organisation_ids=ids)

    @property
    def kind(self) -> str:
        """The kind of the organisation acted for; empty without one."""
        return "" if self.organisation is None else self.organisation.kind

    @property
    def trades(self) -> bool:
        """Whether the organisation acted for holds permits."""
        return self.organisation is not None and self.organisation.trades

    @property
    def is_verifier(self) -> bool:
        """Whether the person acts as a verifier."""
        return self.kind == "verifier" and self.has("verifier")

    def has(self, *roles: str) -> bool:
        """Say whether the person holds one of the roles in this organisation while it is active.

        Pages use it to show or hide a control; whether the act is allowed is asked in the service.
        """
        return (
            self.organisation is not None and self.organisation.status == "active" and not self.roles.isdisjoint(roles)
        )

    def for_organisation(self) -> Organisation:
        """Return the organisation acted for, or turn away a person who has none."""
        require_permission(
            self.organisation is not None, "You have no role in any organisation. Ask the regulator to give you one."
        )
        assert self.organisation is not None
        return self.organisation


def acting_in(request: HttpRequest) -> Acting:
    """Return who acts in this request, asked once for each request."""
    found = request.META.get(REQUEST_KEY)
    if not isinstance(found, Acting):
        assert isinstance(request.user, User), "Ask this only behind a log-in."
        found = request.META[REQUEST_KEY] = _acting(request.user, str(request.session.get(SESSION_KEY, "")))
    return found


def act_for(request: HttpRequest, organisation_id: uuid.UUID) -> Organisation:
    """Choose the organisation to act for from now on, one in which the person has a role."""
    for organisation in acting_in(request).choices:
        if organisation.pk == organisation_id:
            request.session[SESSION_KEY] = str(organisation.pk)
            request.META.pop(REQUEST_KEY)
            return organisation
    raise Unknown("organisation_unknown", "You have no role in such an organisation. Choose one from the menu.")


def _acting(user: User, chosen: str) -> Acting:
    memberships = [
        membership
        for membership in Membership.objects.filter(user=user, ended_at__isnull=True)
        .select_related("organisation")
        .order_by("organisation__name", "role")
        if membership.organisation.status != "closed"
    ]
    choices = tuple({membership.organisation_id: membership.organisation for membership in memberships}.values())
    organisation = next((choice for choice in choices if str(choice.pk) == chosen), choices[0] if choices else None)
    roles = frozenset(m.role for m in memberships if organisation is not None and m.organisation_id == organisation.pk)
    return Acting(user, organisation, choices, roles)
