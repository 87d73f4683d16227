"""Late case 20: whoever sends the same thing twice gets the first result back, whatever happened in between."""

from typing import Any
from uuid import uuid4

import pytest

from common.errors import Refused
from registry.models import ObligationEvent, Period, Report, Surrender
from registry.services import due, outages, reports, surrenders, year
from registry.services.reports import LineInput
from tests.cast import PERMIT_FLOP, REPORTING, Clock, Party, Regulator, judge
from tests.registry.stories.told import close_registry, log, owe


def file(party: Party, period: Period, flop: int) -> Report:
    """Let a party file its report now."""
    assert party.operator is not None
    return reports.submit_lines(
        actor=party.initiator,
        operator=party.operator,
        period=period,
        lines=[LineInput("Serving", "inference", flop=flop)],
        boundary="full stack",
        now=REPORTING,
    )


def test_the_same_report_again_is_the_first_one_even_after_it_was_verified(
    period: Period, acme: Party, verity: Party, clock: Clock
) -> None:
    clock.move_to(REPORTING)
    first = file(acme, period, PERMIT_FLOP)
    judge(verity, first, now=clock.now())

    again = file(acme, period, PERMIT_FLOP)

    assert (again.pk, again.version, again.status) == (first.pk, 1, "verified")
    assert log(acme, period) == ["draft", "reported", "verified"]


def test_the_same_surrender_again_is_the_first_one_even_after_the_deadline(
    period: Period, acme: Party, verity: Party, clock: Clock
) -> None:
    """The answer to the first was lost on its way; the client asks again when it is too late, and loses nothing."""
    owe(acme, verity, period, 100, clock)
    assert acme.operator is not None
    sent: dict[str, Any] = {
        "actor": acme.initiator,
        "operator": acme.operator,
        "period": period,
        "quantity": 100,
        "key": uuid4(),
    }
    first = surrenders.surrender(**sent, now=clock.now())
    close_registry(period, clock, period.surrender_due)

    again = surrenders.surrender(**sent, now=clock.now())

    assert again == first
    assert again.received_at < period.surrender_due
    assert Surrender.objects.count() == 1
    with pytest.raises(Refused) as refusal:
        surrenders.surrender(**{**sent, "quantity": 99}, now=clock.now())
    assert refusal.value.code == "key_reused"


def test_a_calendar_told_twice_does_everything_once(
    regulator: Regulator, period: Period, acme: Party, verity: Party, clock: Clock
) -> None:
    owe(acme, verity, period, 100, clock)
    due.run_due(now=clock.move_to(period.report_due))
    moves = ObligationEvent.objects.count()

    assert due.run_due(now=clock.now()) == due.Ran(0, 0)
    assert year.plan_again(actor=regulator.desk, period=period, now=clock.now()) == year.Planned(0, 0, 0)
    assert ObligationEvent.objects.count() == moves


def test_an_outage_recorded_twice_moves_a_deadline_once(regulator: Regulator, period: Period, clock: Clock) -> None:
    """Two officers write the same outage down: what touches is one outage."""
    ended = period.surrender_due
    for officer in (regulator.desk, regulator.senior):
        outages.record_outage(
            actor=officer,
            began_at=ended.replace(hour=ended.hour - 2),
            ended_at=ended,
            reason="The network was down.",
            now=clock.move_to(ended),
        )

    was = period.surrender_due
    period.refresh_from_db()
    assert (period.surrender_due - was).total_seconds() == 2 * 3600
    assert period.extensions.count() == 1
