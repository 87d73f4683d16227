"""Case 11: permits were borrowed and the next cap falls: the debt is in permits and comes before new free ones."""

from decimal import Decimal

import pytest

from common.errors import Refused
from registry.engine.policy import TimeRule
from registry.models import DebtEntry, Period
from registry.services import banking, debts
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, holds, operator


def borrow(stage: Stage, acme: Party, quantity: int) -> DebtEntry:
    """Acme borrows from its next free delivery."""
    return banking.borrow(
        actor=acme.initiator,
        operator=operator(acme),
        period=stage.period,
        quantity=quantity,
        key=cast.key(),
        now=stage.clock.now(),
    )


def free(acme: Party, period: Period) -> int:
    """Return what Acme has of a vintage."""
    return holds(acme.account, period.permit)


def test_the_debt_takes_the_new_free_permits_first_and_what_is_left_stays_owed(
    stage: Stage, govern: Ruling, acme: Party
) -> None:
    """400 are lent at 5 per cent; the next year gives Acme 300, and the year after 500."""
    govern(time=TimeRule(borrow_share=Decimal("0.10"), borrow_interest=Decimal("0.05")))

    entry = borrow(stage, acme, 400)

    assert (entry.quantity, free(acme, stage.period)) == (420, 4_400)
    with pytest.raises(Refused) as refused:
        borrow(stage, acme, 1)
    assert refused.value.code == "nothing_to_borrow"

    following = stage.next_year((acme, 300))
    assert (free(acme, following), debts.owed(operator(acme))) == (0, 120)

    after = stage.next_year((acme, 500), years=2)
    assert (free(acme, after), debts.owed(operator(acme))) == (380, 0)
    assert broken() == []


def test_nothing_is_lent_where_the_rules_do_not_lend(stage: Stage, acme: Party) -> None:
    """Founding terms know no borrowing."""
    with pytest.raises(Refused) as refused:
        borrow(stage, acme, 1)

    assert refused.value.code == "nothing_to_borrow"
