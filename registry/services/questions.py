"""Questions about an account that only apps further right can answer: what is still open there before it may end.

An app registers its question when Django starts. The registry may not import the exchange, and so asks this way.
"""

from collections.abc import Callable

from common.errors import Refused
from registry.ledger.models import LedgerAccount

Question = Callable[[LedgerAccount], list[Refused]]

_questions: list[Question] = []


def register(question: Question) -> None:
    """Let a question be asked before an account is closed or goes over to a new holder."""
    if question not in _questions:
        _questions.append(question)


def still_open(account: LedgerAccount) -> list[Refused]:
    """Return everything that other apps know to be open in an account."""
    return [refusal for question in _questions for refusal in question(account)]
