"""Case 7: permits are found invalid after use: six months to replace them, and only then excess applies [CA-95857]."""

from datetime import UTC, datetime, timedelta

from registry.models import Case, Sanction
from registry.services import cases
from tests.cast import Party
from tests.registry.staging import Stage, broken, holds, left_behind


def invalidated(stage: Stage, acme: Party) -> Case:
    """Acme surrendered 100 in time; 40 of them turn out to be worth nothing."""
    stage.report(acme, 100)
    receipt = stage.give(acme, 100)
    stage.close()
    case = cases.open_invalidation(
        actor=stage.regulator.desk, surrender=receipt, quantity=40, grounds="The forest burned.", now=stage.clock.now()
    )
    return stage.decide(case)


def test_who_replaces_in_time_pays_nothing(stage: Stage, acme: Party) -> None:
    """The surrender of as many permits replaces the invalid ones, which nobody can use again."""
    case = invalidated(stage, acme)
    assert case.due_at == datetime(2028, 4, 1, 22, tzinfo=UTC)  # six months from 1 October, to the end of the day
    assert cases.run_due(now=case.due_at - timedelta(seconds=1)) == 0
    stage.give(acme, 40)

    stage.clock.move_to(case.due_at)
    assert (cases.run_due(now=case.due_at), cases.run_due(now=case.due_at)) == (1, 0)

    assert (stage.standing(acme).surrendered, stage.standing(acme).shortfall) == (100, 0)
    assert holds(f"cancellation:{stage.period.code}", stage.period.permit) == 40
    assert left_behind("expire") == [(40, "completed")]
    assert left_behind("reverse_surrender") == [(100, "completed")]
    assert left_behind("surrender") == [(100, "reversed"), (40, "completed"), (60, "completed")]
    assert not Sanction.objects.exists()
    assert broken() == []


def test_what_is_not_replaced_is_missing_from_then_on(stage: Stage, acme: Party) -> None:
    """Acme replaces 25 of 40: the other 15 are sanctioned and owed."""
    case = invalidated(stage, acme)
    stage.give(acme, 25)

    stage.clock.move_to(case.due_at)  # type: ignore[arg-type]
    cases.run_due(now=stage.clock.now())

    (sanction,) = Sanction.objects.all()
    assert (sanction.kind, sanction.shortfall, sanction.amount_minor) == ("invalidation", 15, 150_000)
    assert (stage.standing(acme).shortfall, stage.letters(acme)[0], stage.letters(acme)[-1]) == (15, "A", "B")
    assert broken() == []
