"""Case 16: a transfer went to the wrong account: it is undone by the regulator's order, and both entries stay."""

from registry.ledger.models import Transfer
from registry.models import Transaction
from registry.services import transactions, transfers
from tests import cast
from tests.cast import Party
from tests.registry.staging import Stage, broken, holds


def test_the_regulator_orders_it_back_and_nothing_is_erased(stage: Stage, acme: Party, borealis: Party) -> None:
    """Acme typed Borealis' number; two officers order the 50 permits back."""
    transfers.transfer(
        actor=acme.initiator,
        organisation=acme.organisation,
        to_number=borealis.account.number,
        asset=stage.period.permit,
        quantity=50,
        key=cast.key(),
        now=stage.clock.now(),
    )
    original = Transaction.objects.get(kind="transfer")
    entry = Transfer.objects.get(journal=original.journal)

    undoing = transactions.reverse(
        actor=stage.regulator.desk, original=original, reason="A typing mistake.", key=cast.key(), now=stage.clock.now()
    )
    assert holds(acme.account, stage.period.permit) == cast.ACME_PERMITS - 50  # one officer alone moves nothing
    assert undoing.approval is not None
    stage.approve(undoing.approval)

    assert holds(acme.account, stage.period.permit) == cast.ACME_PERMITS
    assert holds(borealis.account, stage.period.permit) == cast.BOREALIS_PERMITS
    assert Transfer.objects.filter(pk=entry.pk, amount=50).exists()
    original.refresh_from_db()
    undoing.refresh_from_db()
    assert (original.status, undoing.status, undoing.reverses) == ("reversed", "completed", original)
    assert broken() == []
