"""Case 10: an allocation is contested: the uncontested part is delivered, and the rest waits in escrow."""

from datetime import timedelta

import pytest

from common.errors import Refused
from registry.models import Case
from registry.services import cases
from tests import cast
from tests.cast import OPENING, Party
from tests.registry.staging import Stage, broken, holds, left_behind, operator

AUCTION = cast.CAP - cast.ACME_PERMITS - cast.BOREALIS_PERMITS


def appeal(stage: Stage, acme: Party, claimed: int = 4_500) -> Case:
    """Acme got 4,000 and says that it should have got more."""
    return cases.open_appeal(
        actor=acme.initiator,
        operator=operator(acme),
        period=stage.period,
        subject="allocation",
        quantity=claimed,
        grounds="The base years leave out our second site.",
        now=stage.clock.now(),
    )


def places(stage: Stage, acme: Party) -> tuple[int, int, int]:
    """Return what Acme has, what waits in escrow and what is for sale."""
    permit = stage.period.permit
    return (
        holds(acme.account, permit),
        holds(f"escrow:{stage.period.code}", permit),
        holds(f"auction:{stage.period.code}", permit),
    )


def test_what_is_granted_is_delivered_and_the_rest_goes_back_to_auction(stage: Stage, acme: Party) -> None:
    """Of 500 contested permits, officers grant 300."""
    case = appeal(stage, acme)
    assert places(stage, acme) == (4_000, 500, AUCTION - 500)

    stage.decide(case, quantity=300)

    assert places(stage, acme) == (4_300, 0, AUCTION - 300)
    assert broken() == []


@pytest.mark.parametrize("ending", ["dismissed", "withdrawn"])
def test_nothing_is_delivered_to_who_was_wrong(stage: Stage, acme: Party, ending: str) -> None:
    """All of the escrow is put up for auction again."""
    case = appeal(stage, acme)

    if ending == "withdrawn":
        cases.withdraw(actor=acme.approver, case=case, now=OPENING)
    else:
        stage.decide(case, "dismissed")

    assert places(stage, acme) == (4_000, 0, AUCTION)
    assert left_behind("move_to_reserve") == [(500, "completed")]
    assert (500, "completed") in left_behind("release")
    assert broken() == []


def test_nobody_contests_too_late_twice_or_less_than_was_given(stage: Stage, acme: Party) -> None:
    """An appeal comes within thirty days, once, and for more."""
    with pytest.raises(Refused) as too_little:
        appeal(stage, acme, 4_000)
    appeal(stage, acme)
    with pytest.raises(Refused) as twice:
        appeal(stage, acme)
    stage.clock.move_to(OPENING + timedelta(days=31))
    with pytest.raises(Refused) as too_late:
        appeal(stage, acme)

    codes = [refusal.value.code for refusal in (too_little, twice, too_late)]
    assert codes == ["nothing_contested", "appeal_open_already", "appeal_too_late"]
