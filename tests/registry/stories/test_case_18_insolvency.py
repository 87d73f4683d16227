"""Case 18: an operator is insolvent: surrendered permits are safe, free ones are an asset, and the registry records."""

from datetime import timedelta
from decimal import Decimal

from registry.engine.policy import LadderStep, SanctionRule
from registry.models import Enforcement
from registry.services import cases, enforcement
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, holds, operator


def test_nothing_is_taken_from_the_estate_while_the_case_is_open(stage: Stage, govern: Ruling, acme: Party) -> None:
    """Acme missed 40 of 100: the deduction waits for the insolvency and is made when it has ended."""
    govern(sanction=SanctionRule(rate_minor=Decimal(10_000), ladder=(LadderStep("AUTO_DEDUCT", business_days=5),)))
    stage.report(acme, 100)
    stage.give(acme, 60)
    stage.close()

    case = cases.open_insolvency(
        actor=stage.regulator.desk,
        operator=operator(acme),
        period=stage.period,
        grounds="Court order 12/27.",
        now=stage.clock.now(),
    )

    later = stage.clock.move_to(stage.clock.now() + timedelta(days=30))
    assert enforcement.run_due(now=later) == 0
    assert Enforcement.objects.get().status == "held"
    found = cases.estate(operator(acme))
    assert (found.surrendered, found.free_permits, found.owed_permits) == (60, 3_940, 40)
    assert (found.debts_permits, found.sanctions_minor) == (0, 400_000)

    stage.decide(case, "dismissed")
    assert enforcement.run_due(now=later) == 1
    assert (holds(acme.account, stage.period.permit), stage.standing(acme).shortfall) == (3_900, 0)
    assert broken() == []
