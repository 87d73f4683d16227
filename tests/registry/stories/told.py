"""Short ways to tell what happens to an operator in a year: it uses, reports, surrenders; the registry closes."""

from datetime import datetime

from registry.models import ObligationEvent, Period, Surrender
from registry.services import compliance, reports, surrenders
from registry.services.reports import LineInput
from tests.cast import PERMIT_FLOP, REPORTING, Clock, Party, judge, key


def owe(party: Party, verifier: Party, period: Period, permits: int, clock: Clock) -> None:
    """Let a party report its use in time, and a verifier confirm it."""
    assert party.operator is not None
    clock.move_to(REPORTING)
    report = reports.submit_lines(
        actor=party.initiator,
        operator=party.operator,
        period=period,
        lines=[LineInput("Serving", "inference", flop=permits * PERMIT_FLOP)],
        boundary="full stack",
        now=clock.now(),
    )
    judge(verifier, report, now=clock.now())


def give(party: Party, period: Period, permits: int, clock: Clock) -> Surrender:
    """Let a party surrender permits of the period now."""
    assert party.operator is not None
    return surrenders.surrender(
        actor=party.initiator, operator=party.operator, period=period, quantity=permits, key=key(), now=clock.now()
    )


def close_registry(period: Period, clock: Clock, at: datetime) -> None:
    """Let the registry's part of the closing happen at an instant: letters, sanctions, banking, publication."""
    clock.move_to(at)
    compliance.begin_closing(period, clock.now())
    compliance.record_deadline_status(period, clock.now())
    compliance.impose_sanctions(period, clock.now())
    compliance.bank_permits(period, clock.now())
    compliance.publish(period, clock.now())
    period.refresh_from_db()


def log(party: Party, period: Period) -> list[str]:
    """Return where a party's obligation stood, from the beginning."""
    events = ObligationEvent.objects.filter(operator=party.operator, period=period).order_by("id")
    return list(events.values_list("state", flat=True))
