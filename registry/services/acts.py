"""The acts of the registry that need two people, made known to the approvals when Django starts."""

from accounts.services import approvals
from registry.services import allocation, caps, cash, transfers


def register_all() -> None:
    """Register every act of the registry. Called once, when the app is ready."""
    for act in (*caps.ACTS, *allocation.ACTS, *cash.ACTS, *transfers.ACTS):
        approvals.register(act)
