"""Banking limits at the end of a period: what is carried, what lapses, and what the next delivery pays."""

from decimal import Decimal

import pytest

from registry.engine.policy import Banking, BankingMode, TimeRule
from registry.services import debts, transfers
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, holds, left_behind, operator


def close_with(stage: Stage, govern: Ruling, acme: Party, banking: Banking) -> None:
    """Acme got 4,000, surrenders 1,000 of them, and the period closes under a banking rule."""
    govern(time=TimeRule(banking=banking))
    stage.report(acme, 1_000)
    stage.give(acme, 1_000)
    stage.close()


@pytest.mark.parametrize(
    ("rule", "left", "lapsed", "debt"),
    [
        (Banking(), 3_000, 0, 0),
        (Banking(BankingMode.NONE), 0, 5_000, 0),
        (Banking(BankingMode.PCT_PLUS, pct=Decimal("0.10"), fixed=2_000), 2_400, 600, 0),
        (Banking(BankingMode.PCT_PLUS, pct=Decimal("0.10"), fixed=2_000, deduct_excess=True), 3_000, 0, 600),
        (Banking(BankingMode.NET_SALES, multiple=Decimal(5), fixed=500), 500, 4_000, 0),  # nobody sold anything
    ],
    ids=["unlimited", "none", "Korea phase 1 [KR-17]", "deducted later", "net sales [KR-ICAP]"],
)
def test_what_is_above_the_limit_lapses_or_is_owed(
    stage: Stage, govern: Ruling, acme: Party, rule: Banking, left: int, lapsed: int, debt: int
) -> None:
    close_with(stage, govern, acme, rule)

    permit = stage.period.permit
    assert holds(acme.account, permit) == left
    assert holds(f"cancellation:{stage.period.code}", permit) == lapsed
    assert debts.owed(operator(acme)) == debt
    assert sum(quantity for quantity, _ in left_behind("expire")) == lapsed
    assert broken() == []


def test_a_deducted_excess_comes_off_the_next_delivery(stage: Stage, govern: Ruling, acme: Party) -> None:
    rule = Banking(BankingMode.PCT_PLUS, pct=Decimal("0.10"), fixed=2_000, deduct_excess=True)
    close_with(stage, govern, acme, rule)

    following = stage.next_year((acme, 1_000))

    assert (holds(acme.account, following.permit), debts.owed(operator(acme))) == (400, 0)
    assert broken() == []


def test_what_is_held_for_a_transfer_does_not_lapse_and_is_owed(
    stage: Stage, govern: Ruling, acme: Party, borealis: Party
) -> None:
    """A proposal holds 2,500 of Acme's 3,000 unused permits: 500 lapse, and the rest of the excess is a debt."""
    govern(time=TimeRule(banking=Banking(BankingMode.NONE)))
    stage.report(acme, 1_000)
    stage.give(acme, 1_000)
    transfers.transfer(
        actor=acme.initiator,
        organisation=acme.organisation,
        to_number=borealis.account.number,
        asset=stage.period.permit,
        quantity=2_500,
        key=cast.key(),
        now=stage.clock.now(),
    )

    stage.close()

    assert (holds(acme.account, stage.period.permit), debts.owed(operator(acme))) == (2_500, 2_500)
