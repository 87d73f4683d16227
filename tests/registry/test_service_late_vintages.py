"""Which vintages make good: earlier ones always, later ones after the deadline where a shortfall costs permits.

California takes permits of future vintages for an untimely surrender [CA-95856]; the EU takes none.
"""

from datetime import timedelta

import pytest

from common.errors import Refused
from registry.models import Period, Surrender
from registry.services import rules, surrenders
from tests.cast import OPENING, YEAR, Clock, Party, Regulator, allocate, capped, key, period_of

COSTS_PERMITS = [
    {"name": name, "value": value, "valid_from": "2026-06-01", "valid_to": None, "source": "Order 4"}
    for name, value in (("sanction.mode", "PERMITS"), ("sanction.multiple", "4"), ("sanction.rate_minor", "0"))
]
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def later(regulator: Regulator, period: Period, acme: Party) -> Period:
    """The next period, of whose permits Acme has some."""
    following = capped(regulator, period_of(regulator, period.scheme, YEAR + 1))
    assert acme.operator is not None
    allocate(regulator, following, {acme.operator: 500})
    return following


def surrender_a_later_one(acme: Party, period: Period, later: Period, clock: Clock) -> Surrender:
    """Try to surrender a permit of the later vintage for the earlier period."""
    assert acme.operator is not None
    return surrenders.surrender(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        quantity=100,
        asset=later.permit,
        key=key(),
        now=clock.now(),
    )


def test_a_later_vintage_makes_good_after_the_deadline_where_a_shortfall_costs_permits(
    regulator: Regulator, acme: Party, period: Period, later: Period, clock: Clock
) -> None:
    approval = rules.propose_change(
        actor=regulator.desk,
        scheme=period.scheme,
        title="Four for one",
        entries=COSTS_PERMITS,
        reason_code="",
        now=OPENING,
    )
    regulator.approve(approval)

    clock.move_to(period.surrender_due - MOMENT)
    with pytest.raises(Refused) as too_early:
        surrender_a_later_one(acme, period, later, clock)
    clock.move_to(period.surrender_due)
    receipt = surrender_a_later_one(acme, period, later, clock)

    assert too_early.value.code == "vintage_not_usable"
    assert (receipt.quantity, receipt.received_at) == (100, period.surrender_due)


def test_where_a_shortfall_costs_money_only_its_own_and_earlier_vintages_make_good(
    acme: Party, period: Period, later: Period, clock: Clock
) -> None:
    clock.move_to(period.surrender_due)

    with pytest.raises(Refused) as refused:
        surrender_a_later_one(acme, period, later, clock)

    assert refused.value.code == "vintage_not_usable"
