"""Case 14: a winner cannot pay when the sale is settled: the next best bids take its permits at the same price."""

from decimal import Decimal
from typing import Any

from accounts.models import AuditEvent, Task
from registry.engine import runs
from registry.models import PublishedRun
from registry.services import cash, sales
from tests import cast
from tests.cast import Party
from tests.registry.staging import Stage, broken, holds


def test_what_is_not_paid_goes_to_the_next_best_bid_at_the_same_price(
    stage: Stage, acme: Party, borealis: Party
) -> None:
    """Acme wins 100 of 150 at 20 and spends its money elsewhere before the sale is settled; Borealis takes 80."""
    period, now = stage.period, stage.clock.now()
    proposal = sales.propose_sale(
        actor=stage.regulator.desk,
        period=period,
        offered=150,
        bids=[
            (acme.account.number, Decimal("30.00"), 100),
            (borealis.account.number, Decimal("20.00"), 80),
        ],
        now=now,
    )
    stage.approve(
        cash.propose_withdrawal(
            actor=stage.regulator.desk,
            account=acme.account,
            currency=period.scheme.currency,
            amount_minor=cast.CASH_MINOR,
            reference="everything",
            now=now,
        )
    )

    stage.approve(proposal)

    result: dict[str, Any] = PublishedRun.objects.get(kind="reserve").document["result"]
    assert (result["price"], result["sold"], result["unsold"]) == ("20", "80", "70")
    assert [(award["bidder"], award["permits"]) for award in result["awards"]] == [(borealis.account.number, "80")]
    assert [(award["bidder"], award["permits"]) for award in result["defaulted"]] == [(acme.account.number, "100")]
    assert holds(acme.account, period.permit) == cast.ACME_PERMITS
    assert holds(borealis.account, period.permit) == cast.BOREALIS_PERMITS + 80
    assert holds(borealis.account, period.scheme.currency) == cast.CASH_MINOR - 80 * 20_00
    assert AuditEvent.objects.filter(action="registry.sale.defaulted").get().details["permits"] == 100
    assert acme.account.number in Task.objects.get(kind="sale_default").title
    assert runs.differences(PublishedRun.objects.get(kind="reserve").document) == []
    assert broken() == []
