"""Case 2: a report is found too low after an honest surrender: the difference is owed, without excess penalty."""

from decimal import Decimal
from typing import Any

import pytest

from common.errors import Refused
from registry.engine.policy import SanctionRule
from registry.models import Case, Report, Sanction
from registry.services import cases
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, operator


def test_the_difference_is_owed_and_only_misreporting_is_fined(stage: Stage, govern: Ruling, acme: Party) -> None:
    """Acme surrendered what it had reported; an audit finds 30 more, and officers hold it negligent, a tenth."""
    govern(sanction=SanctionRule(rate_minor=Decimal(10_000), misreport_fine_minor=50_000_000))
    stage.report(acme, 100)
    stage.give(acme, 100)
    stage.close()
    case = cases.open_correction(
        actor=stage.regulator.desk,
        operator=operator(acme),
        period=stage.period,
        grounds="The audit found a cluster that was left out.",
        figure=str(130 * cast.PERMIT_FLOP),
        now=stage.clock.now(),
    )
    assert (case.quantity, stage.standing(acme).owed) == (130, 100)

    stage.decide(case, figure=str(130 * cast.PERMIT_FLOP), gravity="0.1")

    assert (stage.standing(acme).owed, stage.standing(acme).shortfall) == (130, 30)
    assert stage.letters(acme) == ["A", "B"]
    (fine,) = Sanction.objects.all()
    assert (fine.kind, fine.amount_minor, fine.shortfall) == ("misreport", 5_000_000, 30)
    first, second = Report.objects.filter(operator=acme.operator).order_by("version")
    assert (first.status, int(first.flop)) == ("superseded", 100 * cast.PERMIT_FLOP)
    assert (second.kind, second.status) == ("determination", "determined")

    stage.give(acme, 30)
    assert stage.letters(acme) == ["A", "B", "A"]
    assert broken() == []


def test_a_corrected_report_comes_in_after_the_closing_only_by_a_decided_case(stage: Stage, acme: Party) -> None:
    """The operator finds its own mistake: a case lets one corrected report in, which is verified like any other."""
    stage.report(acme, 100)
    stage.give(acme, 100)
    stage.close()
    later = stage.clock.now()
    with pytest.raises(Refused) as refused:
        stage.file(acme, 120, at=later)
    assert refused.value.code == "period_closed"
    case = cases.open_correction(
        actor=acme.initiator, operator=operator(acme), period=stage.period, grounds="We missed a rack.", now=later
    )

    stage.decide(case, admit_report=True)
    stage.report(acme, 120, at=later)

    assert (stage.standing(acme).owed, stage.letters(acme)) == (120, ["A", "B"])
    assert not Sanction.objects.exists()
    assert broken() == []


def test_a_dismissed_correction_changes_nothing(stage: Stage, acme: Party) -> None:
    """The evidence did not carry."""
    report = stage.report(acme, 100)
    case = cases.open_correction(
        actor=stage.regulator.desk, operator=operator(acme), period=stage.period, grounds="A hint.", now=cast.REPORTING
    )

    stage.decide(case, "dismissed")

    report.refresh_from_db()
    assert (report.status, stage.standing(acme).owed, case.status) == ("verified", 100, "dismissed")


def test_strangers_open_no_case_and_the_desk_does_not_decide_alone(stage: Stage, acme: Party, borealis: Party) -> None:
    """A correction is between the operator and the regulator, and two officers end it."""
    stage.report(acme, 100)
    asked: dict[str, Any] = {
        "operator": operator(acme),
        "period": stage.period,
        "grounds": "They cheat.",
        "now": cast.REPORTING,
    }
    with pytest.raises(Refused) as refused:
        cases.open_correction(actor=borealis.initiator, **asked)
    assert refused.value.code == "not_permitted"

    case = cases.open_correction(actor=stage.regulator.desk, **asked)
    cases.propose_decision(
        actor=stage.regulator.desk, case=case, outcome="dismissed", decision="No.", now=cast.REPORTING
    )

    assert Case.objects.get().status == "open"
