"""Where an obligation stands: the log of its moves, the way between states, and what `manage.py verify` finds."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.errors import Refused
from registry import year_invariants
from registry.engine.compliance import MOVES
from registry.models import OBLIGATION, Period
from registry.services import due, estimates, obligations, reports
from tests import cast
from tests.cast import LATE_FOR_REPORTS, PERMIT_FLOP, Clock, Party, Regulator
from tests.registry.stories.told import close_registry, give, log, owe


def broken() -> list[str]:
    """Return the invariants of the year that are broken now."""
    return [one.name for one in year_invariants.INVARIANTS if one.check(None)[1] is not None]


def test_the_log_and_the_engine_go_by_one_table() -> None:
    assert set(OBLIGATION.states) == {state.lower() for state in MOVES}
    assert all(OBLIGATION.moves[state.lower()] == {to.lower() for to in moves} for state, moves in MOVES.items())


@pytest.mark.parametrize(
    ("was", "state", "steps"),
    [
        ("draft", "draft", []),
        ("draft", "reported", ["reported"]),
        ("draft", "due", ["verified", "due"]),
        ("draft", "closed", ["verified", "met", "closed"]),
        ("short", "closed", ["cured_late", "closed"]),
        ("closed", "in_appeal", ["short", "in_appeal"]),
    ],
)
def test_the_way_between_states_is_the_shortest_by_the_table(was: str, state: str, steps: list[str]) -> None:
    found = obligations.steps_between(was, state)

    assert len(found) == len(steps)
    assert found[-1:] == steps[-1:]
    for before, after in zip([was, *found], found, strict=False):
        assert OBLIGATION.allows(before, after)


def test_a_way_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        obligations.steps_between("closed", "draft")

    assert refusal.value.code == "obligation_not_closed_to_draft"


def test_a_year_without_trouble(period: Period, acme: Party, verity: Party, clock: Clock) -> None:
    owe(acme, verity, period, 100, clock)
    due.run_due(now=clock.move_to(period.report_due))
    give(acme, period, 60, clock)
    give(acme, period, 40, clock)
    close_registry(period, clock, period.surrender_due)
    due.run_due(now=clock.move_to(period.surrender_due.replace(year=2028)))

    assert log(acme, period) == ["draft", "reported", "verified", "due", "met", "closed"]
    assert broken() == []


def test_a_report_that_is_sent_back_is_a_draft_again(
    regulator: Regulator, period: Period, acme: Party, clock: Clock
) -> None:
    assert acme.operator is not None
    clock.move_to(cast.REPORTING)
    report = reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        lines=[reports.LineInput("Serving", "inference", flop=PERMIT_FLOP)],
        boundary="full stack",
        now=clock.now(),
    )
    reports.return_report(actor=regulator.desk, report=report, reason="A page is missing.", now=clock.now())

    assert log(acme, period) == ["draft", "reported", "draft"]
    assert broken() == []


def test_an_estimate_is_owed_without_a_report_and_cured_late(
    regulator: Regulator, period: Period, acme: Party, clock: Clock
) -> None:
    assert acme.operator is not None
    due.run_due(now=clock.move_to(LATE_FOR_REPORTS))
    estimates.estimate_report(
        actor=regulator.desk,
        operator=acme.operator,
        period=period,
        reason="Half of the contracted capacity.",
        flop=50 * PERMIT_FLOP,
        now=clock.now(),
    )
    close_registry(period, clock, period.surrender_due)
    give(acme, period, 50, clock)

    assert log(acme, period) == ["draft", "verified", "due", "short", "cured_late"]
    assert broken() == []


def test_a_surrender_in_time_for_an_earlier_year_covers_that_year_first(
    regulator: Regulator, period: Period, acme: Party, verity: Party, clock: Clock
) -> None:
    later = cast.capped(regulator, cast.period_of(regulator, period.scheme, 2027))
    owe(acme, verity, period, 100, clock)
    close_registry(period, clock, period.surrender_due)
    assert log(acme, period)[-1] == "short"

    give(acme, period, 100, clock)

    assert log(acme, period)[-1] == "cured_late"
    assert log(acme, later) == ["draft"]
    assert broken() == []


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [
        ("UPDATE registry_obligationevent SET state = 'closed' WHERE state = 'verified'", 1),
        ("UPDATE registry_period SET surrender_due = surrender_due + interval '1 hour'", 1),
        ("DELETE FROM registry_obligationevent WHERE state = 'reported'", 1),
        ("UPDATE registry_duework SET done_at = due_at - interval '1 s' WHERE kind = 'verified_report'", 1),
    ],
)
def test_verify_finds_what_a_superuser_did(
    period: Period, acme: Party, verity: Party, clock: Clock, sabotage: str, found: int
) -> None:
    owe(acme, verity, period, 100, clock)
    due.run_due(now=clock.move_to(period.report_due))

    assert broken() == []

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sabotage)
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert len(broken()) >= found


def test_following_many_operators_asks_as_much_as_following_one(
    regulator: Regulator, period: Period, clock: Clock
) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            obligations.facts_of(period)
        return len(queries)

    few = asked()
    for number in range(4):
        cast.operator(regulator, period.scheme, f"Firm {number}", "firm", "small")

    assert asked() == few
