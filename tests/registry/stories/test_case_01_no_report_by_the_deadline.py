"""Case 1: no report by the deadline, so the regulator estimates; transfers are blocked, and surrender stays open."""

from datetime import timedelta
from decimal import Decimal

import pytest

from common.errors import Refused
from registry.models import Operator, Report
from registry.services import estimates, overdue, transfers
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, operator


def test_the_highest_of_what_is_known_is_owed_until_a_proper_report_comes(
    stage: Stage, govern: Ruling, acme: Party, borealis: Party
) -> None:
    """Borealis contracted 600 permits' worth and filed 250 unverified: half the contract, 300, is estimated."""
    govern()
    Operator.objects.filter(pk=operator(borealis).pk).update(contracted_capacity=Decimal(600 * cast.PERMIT_FLOP))
    stage.report(acme, 100)
    stage.file(borealis, 250)
    stage.clock.move_to(cast.LATE_FOR_REPORTS)

    stage.approve(estimates.propose_estimates(actor=stage.regulator.desk, period=stage.period, now=stage.clock.now()))

    (estimate,) = Report.objects.filter(kind="estimate")
    assert (estimate.operator, estimate.status) == (operator(borealis), "determined")
    assert stage.standing(borealis).owed == 300
    assert overdue.blocked_by_missing_report(operator(borealis), stage.clock.now())
    assert not overdue.blocked_by_missing_report(operator(acme), stage.clock.now())
    with pytest.raises(Refused) as refused:
        transfers.transfer(
            actor=borealis.initiator,
            organisation=borealis.organisation,
            to_number=acme.account.number,
            asset=stage.period.permit,
            quantity=10,
            key=cast.key(),
            now=stage.clock.now(),
        )
    assert refused.value.code == "report_missing"
    assert stage.give(borealis, 300).quantity == 300
    assert stage.standing(borealis).status == "C"

    stage.report(borealis, 240, at=stage.clock.now() + timedelta(days=30))  # during the hearing

    estimate.refresh_from_db()
    assert (estimate.status, stage.standing(borealis).owed, stage.standing(borealis).status) == ("superseded", 240, "A")
    assert not overdue.blocked_by_missing_report(operator(borealis), stage.clock.now())
    assert broken() == []


@pytest.mark.parametrize(
    ("last_year", "metered", "capacity", "owed", "basis"),
    [(100, 90, 180, 110, "last_verified"), (100, 120, 180, 120, "metered"), (100, 90, 300, 150, "contracted_capacity")],
)
def test_each_source_may_be_the_highest(
    stage: Stage, acme: Party, last_year: int, metered: int, capacity: int, owed: int, basis: str
) -> None:
    """The last verified figure x 1.10, the meters, half of the capacity [late case 1]."""
    stage.report(acme, last_year)
    Operator.objects.filter(pk=operator(acme).pk).update(contracted_capacity=Decimal(capacity * cast.PERMIT_FLOP))
    following = stage.next_year()

    listed = estimates.proposals(following, {operator(acme).pk: Decimal(metered * cast.PERMIT_FLOP)})

    (found,) = [one for one in listed if one.operator == acme.operator]
    assert (found.permits, found.basis) == (owed, basis)


def test_nothing_known_is_no_estimate(stage: Stage, acme: Party) -> None:
    """An officer sets the figure where nothing is known; the list does not invent one."""
    assert {one.basis for one in estimates.proposals(stage.period)} == {""}
