"""Who may do what on the exchange: roles from accounts, combined per act."""

from accounts.models import Membership, Organisation, User
from accounts.permissions import is_desk_officer, is_market_monitor, is_senior_officer, may_see_everything


def may_trade(user: User, organisation: Organisation) -> bool:
    """Say whether the user is one of the organisation's traders.

    Whether the organisation itself may trade now is its standing: asked apart, because that refusal leaves a trace.
    """
    return (
        user.is_active
        and Membership.objects.filter(
            user=user, organisation=organisation, role=Membership.Role.TRADER, ended_at__isnull=True
        ).exists()
    )


def may_open_markets(user: User) -> bool:
    """Say whether the user may open a market: an officer of the regulator."""
    return bool(is_desk_officer(user))


def may_steer_markets(user: User) -> bool:
    """Say whether the user may halt, resume, uncross, and decide on parked commands: the market monitor."""
    return bool(is_market_monitor(user))


def may_settle(user: User) -> bool:
    """Say whether the user may settle a market ahead of the closing: an officer of the regulator."""
    return bool(is_desk_officer(user))


def may_close_periods(user: User) -> bool:
    """Say whether the user may close a compliance period: a senior officer of the regulator."""
    return bool(is_senior_officer(user))


def may_see_position(user: User, organisation: Organisation) -> bool:
    """Say whether the user may see what an organisation holds and has open."""
    return (
        user.is_active
        and Membership.objects.filter(user=user, organisation=organisation, ended_at__isnull=True).exists()
    ) or may_see_everything(user)
