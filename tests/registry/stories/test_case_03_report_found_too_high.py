"""Case 3: a report is found too high: the surplus comes back with its vintage or is a credit, never cash."""

from registry.models import Surrender
from registry.services import cases
from tests import cast
from tests.cast import Party
from tests.registry.staging import Stage, broken, holds, operator


def correct(stage: Stage, acme: Party, remedy: str) -> None:
    """Let officers find that 80 and not 100 were used, after 100 were surrendered and the period closed."""
    stage.report(acme, 100)
    stage.give(acme, 60)
    stage.give(acme, 40)
    stage.close()
    case = cases.open_correction(
        actor=acme.initiator,
        operator=operator(acme),
        period=stage.period,
        grounds="Counted twice.",
        now=stage.clock.now(),
    )
    stage.decide(case, figure=str(80 * cast.PERMIT_FLOP), remedy=remedy)


def test_surplus_permits_come_back_by_a_reversal_and_are_the_same_ones(stage: Stage, acme: Party) -> None:
    """The last surrender of 40 is reversed; 20 of it come back and 20 are surrendered again."""
    had, cash = holds(acme.account, stage.period.permit), holds(acme.account, stage.period.scheme.currency)

    correct(stage, acme, "return")

    assert (stage.standing(acme).owed, stage.standing(acme).surrendered) == (80, 80)
    assert holds(acme.account, stage.period.permit) == had - 80
    assert holds(acme.account, stage.period.scheme.currency) == cash
    rows = Surrender.objects.filter(operator=acme.operator).order_by("received_at", "id")
    assert sorted(rows.values_list("kind", "quantity")) == [
        ("own", 40), ("own", 60), ("remainder", 20), ("reversed", -40),
    ]  # fmt: skip
    assert stage.letters(acme)[0] == stage.letters(acme)[-1] == "A"
    assert broken() == []


def test_a_credit_counts_for_the_next_year(stage: Stage, acme: Party) -> None:
    """What was surrendered too much covers the first permits of the next year."""
    correct(stage, acme, "credit")
    following = stage.next_year()

    stage.report(acme, 25, at=cast.REPORTING.replace(year=cast.YEAR + 2), of=following)

    assert (stage.standing(acme, following).shortfall, stage.standing(acme).surrendered) == (5, 100)
    assert not Surrender.objects.filter(quantity__lt=0).exists()
    assert broken() == []


def test_what_a_later_year_needs_does_not_come_back(stage: Stage, acme: Party) -> None:
    """The surplus has been used: the next year's report of 15 leaves only 5 to return."""
    stage.report(acme, 100)
    stage.give(acme, 100)
    following = stage.next_year()
    stage.report(acme, 15, at=cast.REPORTING.replace(year=cast.YEAR + 2), of=following)
    case = cases.open_correction(
        actor=acme.initiator,
        operator=operator(acme),
        period=stage.period,
        grounds="Counted twice.",
        now=stage.clock.now(),
    )

    stage.decide(case, figure=str(80 * cast.PERMIT_FLOP), remedy="return")

    assert stage.standing(acme).surrendered == 95
    assert stage.standing(acme, following).shortfall == 0
    assert broken() == []
