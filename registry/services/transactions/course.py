"""What will happen to a transaction and when: a second person, how long it waits, and whether the receiver is asked.

Pure questions about its facts, so that a page can say it all before anything is sent.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from registry.engine import deadlines
from registry.services.transactions.facts import Facts
from registry.services.transactions.types import Second


@dataclass(frozen=True)
class Course:
    """How a transaction will go, if it is approved at the instant in question."""

    second_person: str
    """Why a second person is needed; empty where none is."""
    execute_after: datetime | None
    """When it is carried out; None is at once."""
    trusted: bool
    """Whether the receiver is on the trusted list, or the sender's own."""
    confirmation: bool
    """Whether the receiver has to accept it."""


def course(facts: Facts) -> Course:
    """Return how a transaction will go from now."""
    return Course(
        second_person=second_person(facts),
        execute_after=carried_out_at(facts),
        trusted=facts.trusted,
        confirmation=needs_confirmation(facts),
    )


def second_person(facts: Facts) -> str:
    """Return why a second person has to approve; empty where nobody has to."""
    rule, terms = facts.policy, facts.terms(facts.sender)
    match facts.type.second:
        case Second.ALWAYS:
            return f"{facts.type.title} always needs a second person."
        case Second.BY_TERMS:
            if rule is not None and (facts.quantity or 0) >= rule.transactions.large_transfer:
                return f"From {rule.transactions.large_transfer:,} permits on, a second person approves."
            if terms is not None and terms.second_person_always:
                return "Your account asks for a second person for every transfer."
            if rule is not None and facts.type.delay and rule.transactions.delay_days and not facts.trusted:
                return "The receiver is not on your trusted list, so that a second person approves."
        case Second.BY_SURRENDER_TERMS:
            if rule is not None and rule.transactions.second_person_for_surrender:
                return "The scheme asks for a second person when permits are surrendered or returned."
            if terms is not None and terms.second_person_for_surrender:
                return "Your account asks for a second person when permits are surrendered or returned."
    return ""


def carried_out_at(facts: Facts) -> datetime | None:
    """Return when it is carried out if it is approved now; None is at once.

    Where the scheme delays transfers, one to a trusted account is not delayed but waits for working hours all the same.
    """
    if facts.policy is None or not facts.type.delay or not facts.policy.transactions.delay_days:
        return None
    rule = facts.policy.transactions
    at = deadlines.execution_time(
        facts.now,
        0 if facts.trusted else rule.delay_days,
        rule.opens,
        rule.closes,
        ZoneInfo(facts.policy.zone),
        facts.policy.compliance.holidays,
    )
    return at if at > facts.now else None


def needs_confirmation(facts: Facts) -> bool:
    """Say whether the receiver has to accept what arrives. A holder is never asked about its own transfers."""
    if not facts.type.confirmable or facts.same_owner or facts.policy is None:
        return False
    terms = facts.terms(facts.receiver)
    return facts.policy.transactions.receiver_confirms or (terms is not None and terms.confirms_incoming)
