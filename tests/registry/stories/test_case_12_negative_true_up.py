"""Case 12: a negative true-up above the balance: a debt stays, and blocks sales beyond the free balance."""

import pytest
from django.db import transaction

from common.errors import Refused
from registry.models import DebtEntry
from registry.services import debts, transfers
from tests import cast
from tests.cast import Party
from tests.registry.staging import Stage, broken, holds, left_behind, operator


def claw_back(stage: Stage, acme: Party, quantity: int) -> tuple[int, int]:
    """Take back what Acme was given too much."""
    with transaction.atomic():
        return debts.claw_back(operator(acme), stage.period, quantity, "true-up-2026", stage.clock.now())


def test_what_the_account_does_not_have_is_owed_and_paid_by_the_next_delivery(stage: Stage, acme: Party) -> None:
    """Of 500 too many, 400 are left in the account; the other 100 come off the next free permits."""
    stage.give(acme, 3_600)

    assert claw_back(stage, acme, 500) == claw_back(stage, acme, 500) == (400, 100)

    assert (holds(acme.account, stage.period.permit), debts.owed(operator(acme))) == (0, 100)
    following = stage.next_year((acme, 250))
    assert (holds(acme.account, following.permit), debts.owed(operator(acme))) == (150, 0)
    assert left_behind("return_excess") == [(400, "completed"), (100, "completed")]
    assert [entry.quantity for entry in DebtEntry.objects.filter(kind="paid")] == [-100]
    assert broken() == []


def test_a_debt_blocks_sales_beyond_the_free_balance_until_it_is_paid(
    stage: Stage, acme: Party, borealis: Party
) -> None:
    """With 4,000 permits and 100 owed, 3,900 may leave; after paying, all of them may."""
    with transaction.atomic():
        debts.owe(operator(acme), stage.period, DebtEntry.Kind.TRUE_UP, 100, "true-up", stage.clock.now())
    permit = stage.period.permit
    assert debts.blocked_quantity(operator(acme), permit) == 100
    with pytest.raises(Refused) as refused:
        send(stage, acme, borealis, 3_901)
    assert refused.value.code == "debt_outstanding"

    debts.pay(
        actor=acme.trader, operator=operator(acme), period=stage.period, quantity=100, key=cast.key(), now=cast.OPENING
    )

    assert debts.blocked_quantity(operator(acme), permit) == 0
    assert holds(f"total:{stage.period.code}", permit) == 100
    assert left_behind("return_excess") == [(100, "completed")]
    assert [entry.quantity for entry in DebtEntry.objects.filter(kind="paid")] == [-100]
    with pytest.raises(Refused) as too_much:
        debts.pay(
            actor=acme.trader,
            operator=operator(acme),
            period=stage.period,
            quantity=1,
            key=cast.key(),
            now=cast.OPENING,
        )
    assert too_much.value.code == "no_debt"
    assert broken() == []


def send(stage: Stage, sender: Party, receiver: Party, quantity: int) -> None:
    """Propose to send permits: so many need a second person."""
    transfers.transfer(
        actor=sender.initiator,
        organisation=sender.organisation,
        to_number=receiver.account.number,
        asset=stage.period.permit,
        quantity=quantity,
        key=cast.key(),
        now=stage.clock.now(),
    )
