"""Case 8: closing mid-year: the obligation follows the operator, a report is due, free permits stop by day."""

from datetime import UTC, date, datetime

from accounts.models import Task
from registry.services import debts, shutdowns
from tests import cast
from tests.cast import Party
from tests.registry.staging import Stage, broken, holds, operator

GIVEN = cast.ACME_PERMITS
KEPT = GIVEN * 181 // 365
"""30 June is the 181st day of 2026: 1,983 of 4,000 permits, floored."""


def close_acme(stage: Stage, acme: Party) -> None:
    """Acme stops on 30 June, and the desk records it a week later."""
    shutdowns.shut_down(
        actor=stage.regulator.desk,
        operator=operator(acme),
        closed_on=date(2026, 6, 30),
        reason="The site is sold.",
        now=stage.clock.move_to(datetime(2026, 7, 7, 9, tzinfo=UTC)),
    )


def test_free_permits_of_the_days_after_go_back_and_the_use_before_stays_owed(stage: Stage, acme: Party) -> None:
    """What was used until June is reported, owed and surrendered as ever."""
    close_acme(stage, acme)

    assert KEPT == 1_983
    assert holds(acme.account, stage.period.permit) == KEPT
    assert holds(f"total:{stage.period.code}", stage.period.permit) == GIVEN - KEPT
    assert debts.owed(operator(acme)) == 0
    task = Task.objects.get(kind="shutdown_report")
    assert (task.organisation, task.due_at) == (acme.organisation, datetime(2026, 8, 29, 22, tzinfo=UTC))
    stage.report(acme, 500)
    assert stage.standing(acme).owed == 500
    stage.give(acme, 500)
    assert stage.standing(acme).status == "A"
    assert broken() == []


def test_what_was_sold_before_the_closing_becomes_a_debt(stage: Stage, acme: Party) -> None:
    """Acme surrendered 3,000 early: 1,000 are there to be taken, and 1,017 are owed."""
    stage.give(acme, 3_000)

    close_acme(stage, acme)

    assert (holds(acme.account, stage.period.permit), debts.owed(operator(acme))) == (0, GIVEN - KEPT - 1_000)
    assert broken() == []
