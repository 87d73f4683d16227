"""Transactions: the table of types, their checks, and the one way in which permits move outside a trade.

    from registry.services import transactions

    transactions.propose(actor=..., organisation=..., request=transactions.Request(...), key=..., now=...)

Services that move permits as part of an act of their own call `transactions.move` inside their database transaction.
"""

from registry.services.transactions.checks import CHECKS
from registry.services.transactions.course import Course
from registry.services.transactions.facts import Asked
from registry.services.transactions.life import (
    ACTS,
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
from registry.services.transactions.types import TYPES, TransactionType, as_markdown

__all__ = [
    "ACTS",
    "CHECKS",
    "LARGE_TRANSFER",
    "TYPES",
    "Asked",
    "Course",
    "Effect",
    "Move",
    "Request",
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
