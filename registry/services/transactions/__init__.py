"""Transactions: the table of types, their checks, and the one way in which permits move outside a trade.

    from registry.services import transactions

    transactions.propose(actor=..., organisation=..., request=transactions.Request(...), key=..., now=...)

Services that move permits as part of an act of their own call `transactions.move` inside their database transaction.
"""

from registry.services.transactions import life, returns, terms, trust
from registry.services.transactions.checks import CHECKS
from registry.services.transactions.course import Course
from registry.services.transactions.facts import Asked
from registry.services.transactions.life import (
    LARGE_TRANSFER,
    Effect,
    Request,
    accept,
    cancel,
    decline,
    execute_due,
    foresee,
    known_type,
    may_confirm,
    may_start,
    may_stop,
    on_completion,
    propose,
    reverse,
)
from registry.services.transactions.moving import Move, move
from registry.services.transactions.terms import Terms
from registry.services.transactions.types import TYPES, TransactionType, as_markdown

ACTS = (*life.ACTS, *trust.ACTS, *terms.ACTS)
"""The acts of this part that need two people."""
EFFECTS = returns.EFFECTS
"""What completing a type means beside moving permits, where no other service says so."""

__all__ = [
    "ACTS",
    "CHECKS",
    "EFFECTS",
    "LARGE_TRANSFER",
    "TYPES",
    "Asked",
    "Course",
    "Effect",
    "Move",
    "Request",
    "Terms",
    "TransactionType",
    "accept",
    "as_markdown",
    "cancel",
    "decline",
    "execute_due",
    "foresee",
    "known_type",
    "may_confirm",
    "may_start",
    "may_stop",
    "move",
    "on_completion",
    "propose",
    "reverse",
]
