"""The acts of the registry that need two people, made known to the approvals when Django starts."""

from accounts.services import approvals
from registry.services import (
    accounts,
    allocation,
    bulk,
    caps,
    cases,
    cash,
    closures,
    estimates,
    founding,
    freezes,
    holders,
    outages,
    publication,
    reserves,
    rules,
    sales,
    sanctions,
    surrenders,
    transactions,
    transfers,
)
from registry.services.access import awards
from registry.services.grid import intensities


def register_all() -> None:
    """Register every act of the registry, and what completing a transaction means. Called once, at the start."""
    for act in (
        *caps.ACTS,
        *allocation.ACTS,
        *cash.ACTS,
        *transactions.ACTS,
        *bulk.ACTS,
        *outages.ACTS,
        *rules.ACTS,
        *founding.ACTS,
        *accounts.ACTS,
        *freezes.ACTS,
        *closures.ACTS,
        *holders.ACTS,
        *sanctions.ACTS,
        *estimates.ACTS,
        *cases.ACTS,
        *publication.ACTS,
        *reserves.ACTS,
        *sales.ACTS,
        *awards.ACTS,
        *intensities.ACTS,
    ):
        approvals.register(act)
    for kind, effect in (*transactions.EFFECTS.items(), *transfers.EFFECTS.items(), *surrenders.EFFECTS.items()):
        transactions.on_completion(kind, effect)
