"""Case 6: a partial surrender is sanctioned on the missing part only; excess in permits replaces what was not met."""

from decimal import Decimal

import pytest

from registry.engine.policy import SanctionMode, SanctionRule
from registry.models import Sanction
from registry.services import debts
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, operator

RULES = [
    (SanctionRule(rate_minor=Decimal(10_000), index={2026: Decimal("1.0205")}), 408_200, 0),  # Germany's index [DE]
    (SanctionRule(mode=SanctionMode.PERMITS, multiple=Decimal(4)), 0, 120),  # California [CA-95857]: 160 in all
    (SanctionRule(mode=SanctionMode.PERMITS, multiple=Decimal(3), counts_original=False), 0, 120),  # Quebec [QC-22]
    (SanctionRule(mode=SanctionMode.PERMITS, multiple=Decimal(3)), 0, 80),  # RGGI: 120 in all [RGGI-NY]
]


@pytest.mark.parametrize(("rule", "cash_minor", "debt"), RULES, ids=["DE", "CA", "QC", "RGGI"])
def test_only_the_missing_part_costs(
    stage: Stage, govern: Ruling, acme: Party, rule: SanctionRule, cash_minor: int, debt: int
) -> None:
    """Acme owes 100 and gives 60 in time: 40 are missing, and they stay owed beside whatever they cost."""
    govern(sanction=rule)
    stage.report(acme, 100)
    stage.give(acme, 60)

    stage.close()

    sanction = Sanction.objects.get(operator=acme.operator)
    assert (sanction.shortfall, sanction.amount_minor, sanction.permits) == (40, cash_minor, debt)
    assert (debts.owed(operator(acme)), stage.standing(acme).shortfall) == (debt, 40)
    assert broken() == []
