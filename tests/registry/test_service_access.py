"""The access programme from call to use report: who may, what is refused, what moves, and who ranks where."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pgtrigger
import pytest
from django.db import DatabaseError, transaction

from accounts.models import Approval, Membership, Task
from accounts.services import approvals, tasks
from common.errors import Forbidden, Refused, SeveralRefusals
from common.invariants import check_all
from registry.efficiency_invariants import INVARIANTS as OF_EFFICIENCY
from registry.engine.access import Criterion
from registry.ledger.models import Balance, LedgerAccount
from registry.models import (
    APPLICATION,
    AWARD,
    PROGRAMME,
    AccessApplication,
    AccessAward,
    AccessProgramme,
    AccessScore,
    Period,
)
from registry.services import central
from registry.services.access import applications, awards, programmes
from tests.cast import OPENING, Clock, Party, Regulator
from tests.registry.granted import (
    AFTER_DEADLINE,
    ASKED,
    REPORT_DUE,
    SET_ASIDE,
    applied,
    call,
    in_scoring,
    opened,
    points,
    scored,
    second_assessor,
    set_aside,
)


@pytest.fixture(autouse=True)
def _the_clock_stands(clock: Clock) -> Iterator[None]:
    yield


def codes(refusal: pytest.ExceptionInfo[Refused]) -> set[str]:
    value = refusal.value
    return {one.code for one in value.refusals} if isinstance(value, SeveralRefusals) else {value.code}


def held(account: LedgerAccount, period: Period) -> int:
    available: list[int] = [one.available for one in Balance.objects.filter(account=account, asset=period.permit_id)]
    return sum(available)


def awarded(regulator: Regulator, programme: AccessProgramme) -> Approval:
    """Propose the awards and let the senior officer approve them."""
    proposal = awards.propose_awards(actor=regulator.desk, programme=programme, now=AFTER_DEADLINE)
    return regulator.approve(proposal, AFTER_DEADLINE)


def granted(regulator: Regulator, borealis: Party, period: Period) -> AccessAward:
    """Bring one application to its award."""
    programme = opened(regulator, period)
    application = applied(borealis, programme, flop=10**20)
    in_scoring(regulator, programme)
    scored(regulator, application, (8, 7), (9, 6))
    awarded(regulator, programme)
    return AccessAward.objects.get()


def test_permits_move_from_the_set_aside_in_the_order_of_the_ranking(
    regulator: Regulator, borealis: Party, period: Period
) -> None:
    programme = opened(regulator, period)
    folding = applied(borealis, programme)
    weather = applied(borealis, programme, title="Weather", permits=80, flop=10**20, accepts_part=True)
    poems = applied(borealis, programme, title="Poems", permits=1)
    in_scoring(regulator, programme)
    for application, given in ((folding, (7, 7)), (weather, (9, 8)), (poems, (1, 2))):
        scored(regulator, application, given, given)
    before = held(borealis.account, period)

    approval = awarded(regulator, programme)

    assert approval.result is not None
    first = AccessAward.objects.get()
    assert (first.application, first.place, first.permits) == (weather, 1, 80)
    assert first.flop == 10**20
    assert first.journal is not None
    assert first.journal.reference == f"access:{programme.pk}"
    assert held(borealis.account, period) - before == 80
    assert held(central.account(period, central.SET_ASIDE), period) == SET_ASIDE - 80
    programme.refresh_from_db()
    assert programme.document is not None
    assert [(result.checked, result.broken) for result in check_all(OF_EFFICIENCY)] == [(0, False), (1, False)]
    with pgtrigger.ignore("registry.AccessAward:award_frozen"):  # somebody who owns the database
        AccessAward.objects.update(permits=81)
    assert [result.broken for result in check_all(OF_EFFICIENCY)] == [False, True]
    assert (programme.status, programme.document["ranking"][1]["outcome"]) == ("awarded", "budget_used")
    assert [AccessApplication.objects.get(pk=one.pk).status for one in (folding, weather, poems)] == [
        "declined",
        "awarded",
        "declined",
    ]
    task = Task.objects.get(kind="access", organisation=borealis.organisation)
    assert task.due_at is not None
    assert task.due_at.date() == REPORT_DUE


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": " "}, "name_missing"),
        ({"description": ""}, "description_missing"),
        ({"permits": 0, "flop": 0}, "budget_missing"),
        ({"permits": SET_ASIDE + 1}, "set_aside_too_small"),
        ({"criteria": ()}, "criteria_missing"),
        ({"criteria": (Criterion("merit", "Merit", 101),)}, "weight_out_of_range"),
        ({"least_score": Decimal("10.01")}, "least_score_out_of_range"),
        ({"deadline_on": date(2026, 3, 1)}, "deadline_past"),
        ({"report_due_on": date(2026, 3, 31)}, "report_day_implausible"),
    ],
)
def test_a_call_that_cannot_be_kept_is_refused(
    regulator: Regulator, period: Period, change: dict[str, object], code: str
) -> None:
    set_aside(regulator, period)

    with pytest.raises(Refused) as refusal:
        programmes.open_programme(
            actor=regulator.desk,
            call=replace(call(period), **change),  # type: ignore[arg-type]
            now=OPENING,
        )

    assert code in codes(refusal)
    assert not AccessProgramme.objects.exists()


def test_the_set_aside_is_promised_once(regulator: Regulator, period: Period, acme: Party) -> None:
    opened(regulator, period, permits=SET_ASIDE - 10)

    for name, permits, code in (("Second", 11, "set_aside_too_small"), ("Spring call", 10, "name_taken")):
        with pytest.raises(Refused) as refusal:
            programmes.open_programme(actor=regulator.desk, call=call(period, permits, name=name), now=OPENING)
        assert codes(refusal) == {code}
    with pytest.raises(Forbidden):
        programmes.open_programme(actor=acme.initiator, call=call(period), now=OPENING)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"title": ""}, "name_missing"),
        ({"project": " "}, "project_missing"),
        ({"team": ""}, "team_missing"),
        ({"permits": 0}, "need_missing"),
        ({"permits": 151}, "need_beyond_budget"),
        ({"flop": 10**22}, "need_beyond_budget"),
        ({"open_results": False}, "pledge_missing"),
        ({"proof": ("plan.html", b"<html>")}, "file_type_refused"),
    ],
)
def test_an_application_that_says_too_little_is_refused(
    regulator: Regulator, borealis: Party, period: Period, change: dict[str, object], code: str
) -> None:
    programme = opened(regulator, period)

    with pytest.raises(Refused) as refusal:
        applied(borealis, programme, **change)

    assert code in codes(refusal)
    assert not AccessApplication.objects.exists()


def test_labs_apply_once_per_project_and_before_the_deadline(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    programme = opened(regulator, period)
    with pytest.raises(Forbidden):
        applied(acme, programme)
    first = applied(borealis, programme)
    with pytest.raises(Refused) as refusal:
        applied(borealis, programme)
    assert codes(refusal) == {"applied_already"}
    with pytest.raises(Forbidden):
        applications.withdraw(actor=acme.initiator, application=first, now=OPENING)
    applications.withdraw(actor=borealis.initiator, application=first, now=OPENING)
    applied(borealis, programme)

    with pytest.raises(Refused) as refusal:
        applications.apply(
            actor=borealis.initiator,
            organisation=borealis.organisation,
            programme=programme,
            asked=replace(ASKED, title="Late"),
            now=programme.deadline_at,
        )
    assert codes(refusal) == {"programme_not_open"}
    with pytest.raises(Refused) as refusal:
        programmes.begin_scoring(
            actor=regulator.desk, programme=programme, now=programme.deadline_at - timedelta(seconds=1)
        )
    assert codes(refusal) == {"deadline_ahead"}


def test_assessors_score_once_completely_and_not_their_own_lab(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    programme = opened(regulator, period)
    application = applied(borealis, programme)

    def score(**changes: object) -> None:
        told = {"actor": regulator.desk, "points": points(5, 5), **changes}
        applications.score(application=application, now=AFTER_DEADLINE, **told)  # type: ignore[arg-type]

    with pytest.raises(Refused) as refusal:
        score()
    assert codes(refusal) == {"not_scored_now"}
    in_scoring(regulator, programme)
    only_merit = {"merit": points(5, 5)["merit"]}
    for told, code in ((points(11, 5), "points_out_of_range"), (only_merit, "criteria_differ")):
        with pytest.raises(Refused) as refusal:
            score(points=told)
        assert codes(refusal) == {code}
    with pytest.raises(Forbidden):
        score(actor=acme.initiator)
    Membership.objects.create(
        user=regulator.senior, organisation=borealis.organisation, role="viewer", granted_at=OPENING, ended_at=OPENING
    )
    with pytest.raises(Forbidden) as forbidden:
        score(actor=regulator.senior)
    assert forbidden.value.code == "assessor_not_independent"
    score()
    with pytest.raises(Refused) as refusal:
        score()
    assert codes(refusal) == {"scored_already"}
    with pytest.raises(Refused) as refusal:
        awards.propose_awards(actor=regulator.desk, programme=programme, now=AFTER_DEADLINE)
    assert codes(refusal) == {"scores_missing"}
    assert "“Protein folding” was scored by 1" in refusal.value.sentence
    with pytest.raises(DatabaseError), transaction.atomic():
        AccessScore.objects.update(points=10)


def test_awards_need_four_eyes_and_the_scores_they_were_proposed_on(
    regulator: Regulator, borealis: Party, period: Period
) -> None:
    programme = opened(regulator, period)
    folding, poems = applied(borealis, programme), applied(borealis, programme, title="Poems")
    in_scoring(regulator, programme)
    for application in (folding, poems):
        scored(regulator, application, (8, 8), (8, 8))
    proposal = awards.propose_awards(actor=regulator.senior, programme=programme, now=AFTER_DEADLINE)
    for officer in (regulator.senior, second_assessor(regulator)):
        with pytest.raises(Refused):
            approvals.approve(actor=officer, approval_id=proposal.pk, now=AFTER_DEADLINE)
    proposal = awards.propose_awards(actor=regulator.desk, programme=programme, now=AFTER_DEADLINE)
    applications.withdraw(actor=borealis.initiator, application=poems, now=AFTER_DEADLINE)

    with pytest.raises(Refused) as refusal:
        approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=AFTER_DEADLINE)

    assert codes(refusal) == {"ranking_changed"}
    assert not AccessAward.objects.exists()


def test_nothing_worth_an_award_closes_the_programme(regulator: Regulator, borealis: Party, period: Period) -> None:
    programme = opened(regulator, period, permits=0)
    application = applied(borealis, programme, permits=0, flop=5)
    in_scoring(regulator, programme)
    scored(regulator, application, (1, 1), (2, 2))

    awarded(regulator, programme)

    programme.refresh_from_db()
    application.refresh_from_db()
    assert (programme.status, application.status) == ("closed", "declined")


def test_a_lab_reports_the_use_and_the_desk_asks_again(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    award = granted(regulator, borealis, period)

    def report(**changes: object) -> None:
        told = {"permits_used": 90, "flop_used": 10**20, "results": "Published at example.org.", **changes}
        awards.report_use(actor=borealis.initiator, award=award, now=AFTER_DEADLINE, **told)  # type: ignore[arg-type]

    for change, code in (({"permits_used": 101}, "use_beyond_award"), ({"results": " "}, "results_missing")):
        with pytest.raises(Refused) as refusal:
            report(**change)
        assert codes(refusal) == {code}
    with pytest.raises(Forbidden):
        awards.report_use(
            actor=acme.initiator, award=award, permits_used=1, flop_used=0, results="Ours.", now=AFTER_DEADLINE
        )
    report()
    awards.return_use(actor=regulator.desk, award=award, reason="Name the repository.", now=AFTER_DEADLINE)
    waiting = Task.objects.get(organisation=borealis.organisation, kind="access", status="unclaimed")
    assert "Name the repository." in waiting.title
    report(proof=("use.csv", b"month;FLOP\n4;1e20\n"))
    awards.accept_use(actor=regulator.desk, award=award, now=AFTER_DEADLINE)

    award.refresh_from_db()
    assert (award.status, award.uses.count()) == ("accepted", 2)
    assert AccessProgramme.objects.get().status == "closed"
    assert not Task.objects.filter(kind="access", status__in=["unclaimed", "claimed"]).exists()


def test_a_late_use_report_is_overdue_and_reminded(regulator: Regulator, borealis: Party, period: Period) -> None:
    award = granted(regulator, borealis, period)
    last_moment = award.application.programme.period.scheme.tz
    new_year = OPENING.replace(year=2027, month=1, day=1, hour=0, tzinfo=last_moment)

    assert not awards.is_overdue(award, new_year - timedelta(seconds=1))
    assert awards.is_overdue(award, new_year)
    assert tasks.remind(now=new_year - timedelta(days=1)) >= 1


def test_a_cancelled_programme_declines_and_gives_its_permits_free(
    regulator: Regulator, borealis: Party, period: Period
) -> None:
    programme = opened(regulator, period)
    application = applied(borealis, programme)
    with pytest.raises(Refused) as refusal:
        programmes.cancel_programme(actor=regulator.desk, programme=programme, reason="", now=OPENING)
    assert codes(refusal) == {"reason_missing"}

    programmes.cancel_programme(actor=regulator.desk, programme=programme, reason="No budget.", now=OPENING)

    application.refresh_from_db()
    assert (application.status, programmes.free_permits(period)) == ("declined", SET_ASIDE)


# Lives ----------------------------------------------------------------------------------------------------------------


def walk(lifecycle: object, row: object, steps: dict[str, Callable[[], object]]) -> None:
    """Take the steps in order; before each try every state that the life does not have from here, in raw SQL."""
    for name in ["", *steps]:
        if name:
            steps[name]()
            row.refresh_from_db()  # type: ignore[attr-defined]
            assert row.status == name  # type: ignore[attr-defined]
        for other in lifecycle.states:  # type: ignore[attr-defined]
            here = row.status  # type: ignore[attr-defined]
            if other != here and not lifecycle.allows(here, other):  # type: ignore[attr-defined]
                with pytest.raises(DatabaseError), transaction.atomic():
                    type(row)._default_manager.filter(pk=row.pk).update(status=other)  # type: ignore[attr-defined]


def test_programme_application_and_award_take_only_the_ways_of_their_lives(
    regulator: Regulator, borealis: Party, period: Period
) -> None:
    programme = opened(regulator, period)
    application = applied(borealis, programme)

    def judged() -> None:
        scored(regulator, application, (8, 8), (8, 8))
        awarded(regulator, programme)

    walk(
        PROGRAMME,
        programme,
        {
            "scoring": lambda: in_scoring(regulator, programme),
            "awarded": judged,
        },
    )
    walk(APPLICATION, AccessApplication.objects.get(), {})
    award = AccessAward.objects.get()
    walk(
        AWARD,
        award,
        {
            "reported": lambda: awards.report_use(
                actor=borealis.initiator,
                award=award,
                permits_used=1,
                flop_used=0,
                results="Published.",
                now=AFTER_DEADLINE,
            ),
            "accepted": lambda: awards.accept_use(actor=regulator.desk, award=award, now=AFTER_DEADLINE),
        },
    )
    programme.refresh_from_db()
    walk(PROGRAMME, programme, {})
    with pytest.raises(DatabaseError), transaction.atomic():
        AccessProgramme.objects.update(permits=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        AccessAward.objects.update(permits=1)
