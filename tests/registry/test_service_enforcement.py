"""The ladder: each step on its day and once, held by an appeal, struck out by a cure; and what each step does."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import Task
from common.errors import Refused
from registry.engine.policy import LadderStep, SanctionRule
from registry.models import AccountTerms, Case, Enforcement, Sanction, Surrender
from registry.services import cases, enforcement, sanctions, transfers
from tests import cast
from tests.cast import Party
from tests.registry.staging import Ruling, Stage, broken, holds, left_behind, operator

LADDER = (
    LadderStep("BLOCK_TRANSFERS", business_days=0),
    LadderStep("AUTO_DEDUCT", business_days=5),
    LadderStep("CASH", days=30),
    LadderStep("SET_OFF", on=(2, "01-31")),
    LadderStep("SUSPEND_FREE", on=(2, "01-31")),
    LadderStep("PROSECUTE", on=(2, "06-30")),
)
OWED = 3_990


@pytest.fixture
def short(stage: Stage, govern: Ruling, acme: Party) -> Stage:
    """Acme owes 3,990 of its 4,000 permits, gives 3,900 in time, and 10 of the rest are gone: 90 are missing."""
    govern(sanction=SanctionRule(rate_minor=Decimal(100), ladder=LADDER))
    stage.report(acme, OWED)
    stage.give(acme, 3_900)
    stage.close()
    return stage


def steps(status: str | None = None) -> list[str]:
    """Name the steps in their order, or those in one state."""
    found = Enforcement.objects.order_by("due_at", "id")
    return list((found.filter(status=status) if status else found).values_list("action", flat=True))


def run(stage: Stage, at: datetime) -> int:
    """Take what is due at an instant."""
    return enforcement.run_due(now=stage.clock.move_to(at))


def test_every_step_is_planned_on_its_day(short: Stage) -> None:
    """The deadline is the end of Thursday 30 September 2027 in Berlin."""
    dates = dict(Enforcement.objects.values_list("action", "due_at"))

    assert dates == {
        "BLOCK_TRANSFERS": datetime(2027, 9, 30, 22, tzinfo=UTC),
        "AUTO_DEDUCT": datetime(2027, 10, 7, 22, tzinfo=UTC),
        "CASH": datetime(2027, 11, 1, 23, tzinfo=UTC),  # the thirtieth day is a Saturday
        "SET_OFF": datetime(2028, 1, 31, 23, tzinfo=UTC),
        "SUSPEND_FREE": datetime(2028, 1, 31, 23, tzinfo=UTC),
        "PROSECUTE": datetime(2028, 6, 30, 22, tzinfo=UTC),
    }
    assert Sanction.objects.get(operator__organisation__name="Acme").due_at == dates["CASH"]


def test_a_blocked_account_may_surrender_and_send_nothing_else_until_it_is_cured(
    short: Stage, acme: Party, borealis: Party
) -> None:
    assert run(short, short.period.surrender_due) == 1
    terms = AccountTerms.objects.get(account=acme.account)
    assert (terms.grade, terms.grade_reason) == ("restricted", enforcement.BLOCKED)
    with pytest.raises(Refused) as blocked:
        transfers.transfer(
            actor=acme.initiator,
            organisation=acme.organisation,
            to_number=borealis.account.number,
            asset=short.period.permit,
            quantity=1,
            key=cast.key(),
            now=short.clock.now(),
        )
    assert blocked.value.code == "sender_restricted"

    short.give(acme, 90)

    terms.refresh_from_db()
    assert (terms.grade, steps("cancelled")) == ("open", ["AUTO_DEDUCT", "SET_OFF", "SUSPEND_FREE"])
    assert steps("planned") == ["CASH", "PROSECUTE"]  # permits do not pay the money
    assert short.letters(acme) == ["B", "A"]
    assert broken() == []


def test_free_permits_are_deducted_once_as_a_late_surrender(short: Stage, acme: Party) -> None:
    at = datetime(2027, 10, 7, 22, tzinfo=UTC)

    assert (run(short, at - timedelta(seconds=1)), run(short, at), run(short, at)) == (1, 1, 0)

    (late,) = Surrender.objects.filter(kind="auto_deducted")
    assert (late.quantity, late.received_at >= short.period.surrender_due) == (90, True)
    assert (holds(acme.account, short.period.permit), short.standing(acme).shortfall) == (10, 0)
    assert Sanction.objects.get(operator=acme.operator).shortfall == 90  # late is late
    assert broken() == []


def test_the_cash_step_asks_for_the_sanction_and_a_paid_one_ends_the_ladder(short: Stage, acme: Party) -> None:
    short.give(acme, 90)
    sanctions.pay(actor=acme.trader, sanction=Sanction.objects.get(operator=acme.operator), now=short.clock.now())

    run(short, datetime(2028, 7, 1, tzinfo=UTC))

    assert steps("done") == []
    assert not Task.objects.filter(kind="prosecute").exists()


def test_an_unpaid_sanction_is_asked_for_and_handed_over(short: Stage, acme: Party) -> None:
    short.give(acme, 90)

    run(short, datetime(2028, 7, 1, tzinfo=UTC))

    assert steps("done") == ["CASH", "PROSECUTE"]
    assert Task.objects.get(kind="prosecute").organisation == short.regulator.organisation
    assert Task.objects.get(kind="sanction").organisation == acme.organisation


def test_a_set_off_takes_the_next_free_permits_before_they_are_the_operators(short: Stage, acme: Party) -> None:
    Enforcement.objects.filter(action__in=["AUTO_DEDUCT", "SUSPEND_FREE"]).update(status="cancelled")
    run(short, datetime(2028, 2, 1, tzinfo=UTC))

    following = short.next_year((acme, 100))

    (taken,) = Surrender.objects.filter(kind="set_off")
    assert (taken.quantity, taken.period) == (90, short.period)
    assert (holds(acme.account, following.permit), short.standing(acme).shortfall) == (10, 0)
    assert (90, "completed") in left_behind("surrender")
    assert broken() == []


def test_free_permits_are_held_back_until_the_missing_ones_are_there(short: Stage, acme: Party) -> None:
    Enforcement.objects.filter(action__in=["AUTO_DEDUCT", "SET_OFF"]).update(status="cancelled")
    run(short, datetime(2028, 2, 1, tzinfo=UTC))

    following = short.next_year((acme, 100))
    escrow = f"escrow:{following.code}"
    assert (holds(acme.account, following.permit), holds(escrow, following.permit)) == (0, 100)

    short.give(acme, 90)
    assert (holds(acme.account, following.permit), holds(escrow, following.permit)) == (100, 0)
    assert left_behind("allocate").count((100, "completed")) == 2  # the delivery, and its release
    assert broken() == []


class TestAppeals:
    """An appeal holds what it contests, and its end lets it go on or strikes it out."""

    def appeal(self, stage: Stage, acme: Party, subject: str) -> Case:
        """Acme contests what befell it."""
        return cases.open_appeal(
            actor=acme.initiator,
            operator=operator(acme),
            period=stage.period,
            subject=subject,
            grounds="The registry was down.",
            now=stage.clock.now(),
        )

    def test_nothing_happens_while_it_is_open_and_everything_after_it_was_dismissed(
        self, short: Stage, acme: Party
    ) -> None:
        case = self.appeal(short, acme, "status")
        assert run(short, datetime(2027, 10, 20, tzinfo=UTC)) == 0
        assert (set(steps("held")), Sanction.objects.get(operator=acme.operator).status) == (set(steps()), "in_appeal")

        short.decide(case, "dismissed")

        assert run(short, short.clock.now()) == 2
        assert (steps("done"), short.standing(acme).shortfall) == (["BLOCK_TRANSFERS", "AUTO_DEDUCT"], 0)
        assert Sanction.objects.get(operator=acme.operator).status == "due"

    def test_a_wrong_status_ends_the_ladder_and_leaves_the_public_pages(self, short: Stage, acme: Party) -> None:
        short.decide(self.appeal(short, acme, "status"))

        assert set(steps("cancelled")) == set(steps())
        assert Sanction.objects.get(operator=acme.operator).status == "waived"
        assert operator(acme).letter_removals.count() == 1

    def test_a_waived_sanction_leaves_the_permits_owed(self, short: Stage, acme: Party) -> None:
        short.decide(self.appeal(short, acme, "sanction"))

        assert Sanction.objects.get(operator=acme.operator).status == "waived"
        assert run(short, datetime(2027, 10, 8, tzinfo=UTC)) == 2
        assert short.standing(acme).shortfall == 0

    def test_a_second_appeal_still_holds_when_the_first_is_over(self, short: Stage, acme: Party) -> None:
        first, second = self.appeal(short, acme, "status"), self.appeal(short, acme, "sanction")

        cases.withdraw(actor=acme.initiator, case=first, now=short.clock.now())
        assert set(steps("held")) == set(steps())

        cases.withdraw(actor=acme.initiator, case=second, now=short.clock.now())
        assert set(steps("planned")) == set(steps())
