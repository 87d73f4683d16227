"""Case 19: meter data arrive after a report was verified: they open a correction case and never edit the report."""

from registry.models import Case, Report
from registry.services import cases
from tests import cast
from tests.cast import Party
from tests.registry.staging import Stage, broken, operator


def receive(stage: Stage, acme: Party, permits: int) -> Case | None:
    """Let the desk take in a total of meters."""
    return cases.record_late_meters(
        actor=stage.regulator.desk,
        operator=operator(acme),
        period=stage.period,
        total=str(permits * cast.PERMIT_FLOP),
        source="hourly feed of site 2",
        now=stage.clock.now(),
    )


def test_a_difference_opens_one_case_and_changes_nothing_else(stage: Stage, acme: Party) -> None:
    """The report of 100 stands while the feed says 112, however often it is sent."""
    report = stage.report(acme, 100)

    case, again = receive(stage, acme, 112), receive(stage, acme, 112)

    assert case is not None and case == again
    assert (case.kind, case.subject, case.quantity, case.details["owed"]) == ("correction", "report", 112, 100)
    report.refresh_from_db()
    assert (report.status, stage.standing(acme).owed, Report.objects.count()) == ("verified", 100, 1)

    stage.decide(case, figure=str(112 * cast.PERMIT_FLOP))
    assert stage.standing(acme).owed == 112
    assert broken() == []


def test_data_that_agree_open_no_case(stage: Stage, acme: Party) -> None:
    """The feed confirms the report."""
    stage.report(acme, 100)

    assert receive(stage, acme, 100) is None
    assert not Case.objects.exists()
