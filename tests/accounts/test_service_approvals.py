"""Four eyes: proposed by one, decided by another, checked again when it is done."""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError, InternalError, ProgrammingError

from accounts.models import APPROVAL, Approval, AuditEvent, Organisation
from accounts.permissions import is_approver, is_initiator
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused, Unknown, require
from tests.accounts.conftest import Office


class Kettle:
    """An act to approve: boiling water. `allowed` is the rule that may change between proposal and execution."""

    def __init__(self) -> None:
        self.allowed = True
        self.boiled = 0

    def check(self, parameters: Mapping[str, Any]) -> None:
        require(self.allowed, "kettle_locked", "The kettle is locked. Unlock it first.")

    def execute(self, approval: Approval, now: datetime) -> Mapping[str, Any]:
        Organisation.objects.create(name=f"Steam {approval.pk}", kind="firm", created_at=now)
        require(self.allowed, "kettle_locked", "The kettle is locked. Unlock it first.")
        self.boiled += 1
        return {"litres": approval.parameters["litres"]}


@pytest.fixture
def kettle(monkeypatch: pytest.MonkeyPatch) -> Kettle:
    """Register the act for one test, at once or with a delay."""
    kettle = Kettle()
    acts = dict(approvals._acts)
    for name, delay in (("test.boil", timedelta(0)), ("test.boil_later", timedelta(hours=24))):
        acts[name] = approvals.Act(
            name=name,
            may_propose=is_initiator,
            may_approve=is_approver,
            check=kettle.check,
            execute=kettle.execute,
            delay=delay,
        )
    monkeypatch.setattr(approvals, "_acts", acts)
    return kettle


@pytest.fixture
def proposal(kettle: Kettle, acme: Office, now: datetime) -> Approval:
    """Ines of Acme wants water."""
    return approvals.propose(
        actor=acme["initiator"],
        act="test.boil",
        organisation=acme.organisation,
        summary="Boil one litre",
        parameters={"litres": 1},
        now=now,
    )


def test_nothing_is_done_before_the_second_person(proposal: Approval, kettle: Kettle) -> None:
    assert proposal.status == "proposed"
    assert kettle.boiled == 0


def test_the_second_person_has_it_done_at_once(proposal: Approval, kettle: Kettle, acme: Office, now: datetime) -> None:
    done = approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)

    assert (done.status, done.result, kettle.boiled) == ("executed", {"litres": 1}, 1)
    actions = AuditEvent.objects.filter(subject_id=str(proposal.pk)).order_by("id").values_list("action", flat=True)
    assert list(actions) == [
        "accounts.approval.proposed",
        "accounts.approval.approved",
        "accounts.approval.executed",
    ]


def test_nobody_approves_or_rejects_their_own_proposal(
    proposal: Approval, kettle: Kettle, acme: Office, regulator: Office, now: datetime
) -> None:
    organisations.grant_role(
        actor=regulator["senior"], user=acme["initiator"], organisation=acme.organisation, role="approver", now=now
    )

    decisions: list[Callable[[], Approval]] = [
        lambda: approvals.approve(actor=acme["initiator"], approval_id=proposal.pk, now=now),
        lambda: approvals.reject(actor=acme["initiator"], approval_id=proposal.pk, reason="No.", now=now),
    ]
    for decide in decisions:
        with pytest.raises(Refused) as refused:
            decide()
        assert refused.value.code == "second_person_needed"
    assert kettle.boiled == 0


def test_the_database_too_refuses_one_person_in_both_parts(proposal: Approval, now: datetime) -> None:
    with pytest.raises(IntegrityError, match="approver_is_another_person"), transaction.atomic():
        Approval.objects.filter(pk=proposal.pk).update(
            status="approved", decided_by=proposal.proposed_by, decided_at=now
        )


def test_an_approver_without_the_role_is_turned_away(proposal: Approval, regulator: Office, now: datetime) -> None:
    with pytest.raises(Forbidden):
        approvals.approve(actor=regulator["desk"], approval_id=proposal.pk, now=now)


def test_a_role_that_ended_meanwhile_does_not_count(
    proposal: Approval, acme: Office, regulator: Office, now: datetime
) -> None:
    organisations.end_role(actor=regulator["senior"], membership=acme["approver"].memberships.get(), now=now)

    with pytest.raises(Forbidden):
        approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)


def test_the_check_runs_at_proposal(kettle: Kettle, acme: Office, now: datetime) -> None:
    kettle.allowed = False

    with pytest.raises(Refused) as refused:
        approvals.propose(
            actor=acme["initiator"],
            act="test.boil",
            organisation=acme.organisation,
            summary="Boil",
            parameters={},
            now=now,
        )

    assert refused.value.code == "kettle_locked"
    assert not Approval.objects.exists()


def test_the_check_runs_again_at_approval(proposal: Approval, kettle: Kettle, acme: Office, now: datetime) -> None:
    kettle.allowed = False

    with pytest.raises(Refused):
        approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)

    proposal.refresh_from_db()
    assert proposal.status == "proposed"


def test_a_delayed_act_waits_and_is_done_when_its_time_has_come(kettle: Kettle, acme: Office, now: datetime) -> None:
    waiting = approvals.approve(
        actor=acme["approver"],
        approval_id=approvals.propose(
            actor=acme["initiator"],
            act="test.boil_later",
            organisation=acme.organisation,
            summary="Boil tomorrow",
            parameters={"litres": 2},
            now=now,
        ).pk,
        now=now,
    )

    assert (waiting.status, waiting.execute_after) == ("waiting", now + timedelta(hours=24))
    assert approvals.execute_due(now=now + timedelta(hours=23)) == 0
    assert approvals.execute_due(now=now + timedelta(hours=24)) == 1
    assert approvals.execute_due(now=now + timedelta(hours=25)) == 0
    waiting.refresh_from_db()
    assert (waiting.status, kettle.boiled) == ("executed", 1)


def test_a_refusal_at_execution_is_kept_and_leaves_nothing_else_behind(
    kettle: Kettle, acme: Office, now: datetime
) -> None:
    approval = approvals.propose(
        actor=acme["initiator"],
        act="test.boil_later",
        organisation=acme.organisation,
        summary="Boil",
        parameters={},
        now=now,
    )
    approvals.approve(actor=acme["approver"], approval_id=approval.pk, now=now)
    kettle.allowed = False

    approvals.execute_due(now=now + timedelta(days=2))

    approval.refresh_from_db()
    assert (approval.status, approval.failure_code) == ("failed", "kettle_locked")
    assert not Organisation.objects.filter(name__startswith="Steam").exists()


def test_a_waiting_act_can_be_cancelled_by_either_person(kettle: Kettle, acme: Office, now: datetime) -> None:
    approval = approvals.propose(
        actor=acme["initiator"],
        act="test.boil_later",
        organisation=acme.organisation,
        summary="Boil",
        parameters={},
        now=now,
    )
    approvals.approve(actor=acme["approver"], approval_id=approval.pk, now=now)

    cancelled = approvals.cancel(actor=acme["initiator"], approval_id=approval.pk, reason="Not thirsty.", now=now)

    assert (cancelled.status, cancelled.decided_by) == ("cancelled", acme["approver"])
    assert approvals.execute_due(now=now + timedelta(days=2)) == 0


def test_a_rejection_says_why(proposal: Approval, acme: Office, now: datetime) -> None:
    with pytest.raises(Refused) as refused:
        approvals.reject(actor=acme["approver"], approval_id=proposal.pk, reason="", now=now)
    assert refused.value.code == "reason_missing"

    rejected = approvals.reject(actor=acme["approver"], approval_id=proposal.pk, reason="Too hot.", now=now)

    assert (rejected.status, rejected.reason) == ("rejected", "Too hot.")


def test_a_decided_proposal_is_not_decided_again(proposal: Approval, acme: Office, now: datetime) -> None:
    approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)

    assert refused.value.code == "approval_not_executed_to_approved"


def test_unknown_acts_and_proposals_are_refused(kettle: Kettle, acme: Office, now: datetime) -> None:
    with pytest.raises(Unknown) as refused:
        approvals.propose(
            actor=acme["initiator"], act="test.fly", organisation=acme.organisation, summary="", parameters={}, now=now
        )
    assert refused.value.code == "act_unknown"

    with pytest.raises(Unknown) as refused:
        approvals.approve(actor=acme["approver"], approval_id=uuid.uuid4(), now=now)
    assert refused.value.code == "approval_unknown"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE accounts_approval SET parameters = '{\"litres\": 1000}'",
        "UPDATE accounts_approval SET act = 'test.boil_later'",
        "DELETE FROM accounts_approval",
    ],
)
def test_a_proposal_is_frozen_even_for_raw_sql(proposal: Approval, sql: str) -> None:
    with pytest.raises((InternalError, ProgrammingError)), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize("before", APPROVAL.states)
@pytest.mark.parametrize("after", APPROVAL.states)
def test_every_pair_of_approval_states(acme: Office, regulator: Office, now: datetime, before: str, after: str) -> None:
    facts: dict[str, Any] = {"execute_after": now, "executed_at": now, "failure_code": "x"}
    approval = Approval.objects.create(
        act="test.walk",
        organisation=acme.organisation,
        summary="Walk",
        parameters={},
        parameters_sha256="",
        status=before,
        proposed_by=acme["initiator"],
        proposed_at=now,
        decided_by=acme["approver"],
        decided_at=now,
        **facts,
    )

    try:
        with transaction.atomic():
            Approval.objects.filter(pk=approval.pk).update(status=after)
        moved = True
    except (InternalError, ProgrammingError):
        moved = False

    assert moved == (APPROVAL.allows(before, after) or before == after)


@pytest.fixture
def committed_proposal(transactional_db: None, proposal: Approval) -> Iterator[Approval]:
    """A proposal that other connections can see."""
    yield proposal


def test_two_approvals_at_once_have_one_effect(
    committed_proposal: Approval, kettle: Kettle, acme: Office, now: datetime
) -> None:
    approvers = [acme["approver"]] * 8
    start = threading.Barrier(len(approvers))
    outcomes: list[str] = []

    def decide(actor: Any) -> None:
        start.wait()
        try:
            approvals.approve(actor=actor, approval_id=committed_proposal.pk, now=now)
            outcomes.append("executed")
        except Refused as refusal:
            outcomes.append(refusal.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=(actor,)) for actor in approvers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["approval_not_executed_to_approved"] * 7 + ["executed"]
    assert kettle.boiled == 1


def test_a_key_sent_again_is_the_same_proposal(kettle: Kettle, acme: Office, now: datetime) -> None:
    key = uuid.uuid4()

    def propose(litres: int) -> Approval:
        return approvals.propose(
            actor=acme["initiator"],
            act="test.boil",
            organisation=acme.organisation,
            summary="Boil",
            parameters={"litres": litres},
            key=key,
            now=now,
        )

    assert propose(1) == propose(1)
    with pytest.raises(Refused) as refused:
        propose(2)
    assert refused.value.code == "key_reused"
    assert Approval.objects.count() == 1


@pytest.mark.parametrize("ending", ["reject", "cancel", "fail"])
def test_what_a_proposal_set_aside_is_given_back_when_it_is_not_done(
    kettle: Kettle, acme: Office, now: datetime, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cups: list[str] = []

    def execute(approval: Approval, now: datetime) -> Mapping[str, Any]:
        raise Refused("kettle_locked", "The kettle is locked.")

    act = approvals.Act(
        name="test.boil_with_cups",
        may_propose=is_initiator,
        may_approve=is_approver,
        check=kettle.check,
        execute=execute,
        reserve=lambda approval, now: cups.append("taken"),
        give_back=lambda approval, now: cups.append("given back"),
    )
    monkeypatch.setattr(approvals, "_acts", {**approvals._acts, act.name: act})
    proposal = approvals.propose(
        actor=acme["initiator"], act=act.name, organisation=acme.organisation, summary="Boil", parameters={}, now=now
    )
    assert cups == ["taken"]

    if ending == "fail":
        approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)
    else:
        getattr(approvals, ending)(actor=acme["approver"], approval_id=proposal.pk, reason="No.", now=now)

    assert cups == ["taken", "given back"]
