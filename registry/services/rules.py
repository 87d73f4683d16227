"""The rules of a scheme: read for a day as one frozen policy, and changed by two officers."""

from datetime import date
from decimal import Decimal

from registry.engine.policy import Policy, SanctionRule, TransactionRule, Unit
from registry.models import Scheme


def policy_at(scheme: Scheme, on: date) -> Policy:
    """Return the rules of a scheme in force on a day. A scheme without rules of its own has its founding terms."""
    return founding_policy(scheme, on)


def rules_version(scheme: Scheme, on: date) -> str:
    """Return the hash of the rule book in force on a day; empty where a scheme has its founding terms only."""
    return ""


def founding_policy(scheme: Scheme, on: date) -> Policy:
    """Return what a scheme was founded on: its unit, money, sanction and large transfer, and defaults for the rest."""
    return Policy(
        scheme=scheme.code,
        on=on,
        zone=scheme.zone,
        currency=scheme.currency.code,
        unit=Unit(metric=scheme.metric, size=scheme.unit_size),
        sanction=SanctionRule(rate_minor=Decimal(scheme.sanction_minor)),
        transactions=TransactionRule(large_transfer=scheme.large_transfer),
    )
