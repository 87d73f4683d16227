"""Who may act in which role: predicates over a user and an organisation, combined per act by the apps to the right.

A role counts while the person, the membership and the organisation are all active, asked afresh each time, so that
ending a membership works at once.
"""

from collections.abc import Callable

from rules.predicates import Predicate

from accounts.models import Approval, Membership, Organisation, User


def has_role(user: User, organisation: Organisation, *roles: str) -> bool:
    """Say whether the user holds one of the roles in this organisation now. A suspended organisation's roles rest."""
    return (
        user.is_active
        and organisation.status == "active"
        and Membership.objects.filter(
            user=user, organisation=organisation, role__in=roles, ended_at__isnull=True
        ).exists()
    )


def has_role_anywhere(user: User, *roles: str) -> bool:
    """Say whether the user holds one of the roles in any active organisation now."""
    return (
        user.is_active
        and Membership.objects.filter(
            user=user, role__in=roles, ended_at__isnull=True, organisation__status="active"
        ).exists()
    )


def predicate(check: Callable[..., bool]) -> Predicate:
    """Make a question of a function, so that questions can be joined with & and |."""
    return Predicate(check, name=check.__name__)


def role_predicate(*roles: str) -> Predicate:
    """Return a question that holds for users with one of the roles in the organisation it is asked about."""

    def holds(user: User, organisation: Organisation) -> bool:
        return has_role(user, organisation, *roles)

    return Predicate(holds, name=" or ".join(roles))


is_initiator = role_predicate("initiator")
is_approver = role_predicate("approver")
is_trader = role_predicate("trader")
is_representative = role_predicate("initiator", "approver", "trader")
is_verifier = role_predicate("verifier")
is_member = role_predicate(*Membership.Role.values)


@predicate
def is_desk_officer(user: User) -> bool:
    """Works the regulator's desk: proposes caps, runs and estimates."""
    return has_role_anywhere(user, "desk_officer", "senior_officer")


@predicate
def is_senior_officer(user: User) -> bool:
    """Signs for the regulator: approves what the desk proposed."""
    return has_role_anywhere(user, "senior_officer")


@predicate
def is_market_monitor(user: User) -> bool:
    """Watches the market for the regulator, and may halt it."""
    return has_role_anywhere(user, "market_monitor", "senior_officer")


@predicate
def is_auditor(user: User) -> bool:
    """Reads everything in every scope, and changes nothing."""
    return has_role_anywhere(user, "auditor")


@predicate
def is_regulator(user: User) -> bool:
    """Works for the regulator in any role."""
    return has_role_anywhere(user, "desk_officer", "senior_officer", "market_monitor")


@predicate
def is_proposer(user: User, approval: Approval) -> bool:
    """Proposed this act, and so may cancel it but never approve it."""
    return approval.proposed_by_id == user.pk


def may_see_everything(user: User) -> bool:
    """Say whether the user's scope is every organisation: regulators and auditors."""
    return bool(is_regulator(user) or is_auditor(user))
