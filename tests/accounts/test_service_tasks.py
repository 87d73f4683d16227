"""Tasks: opened once, taken on by one person, reminded in time, ended by what they asked for."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection, transaction
from django.db.utils import InternalError, ProgrammingError

from accounts.models import TASK, AuditEvent, Task, User
from accounts.permissions import is_approver, is_initiator
from accounts.services import approvals, organisations, tasks
from accounts.tasks import remind
from common.clock import simulate
from common.errors import Forbidden, Refused, Unknown
from tests.accounts.conftest import Office


@pytest.fixture
def make_task(acme: Office, now: datetime) -> Callable[..., Task]:
    def make(key: str = "one", **wishes: Any) -> Task:
        with transaction.atomic():
            return tasks.open_task(
                key=key, kind="document", organisation=acme.organisation, title="Send a document", now=now, **wishes
            )

    return make


@pytest.fixture
def proposal(acme: Office, now: datetime, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ines proposes to boil water."""
    act = approvals.Act(
        name="test.boil",
        may_propose=is_initiator,
        may_approve=is_approver,
        check=lambda parameters: None,
        execute=lambda approval, when: {},
    )
    monkeypatch.setattr(approvals, "_acts", {"test.boil": act})
    return approvals.propose(
        actor=acme["initiator"],
        act="test.boil",
        organisation=acme.organisation,
        summary="Boil water",
        parameters={},
        now=now,
    )


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refusal:
        act()
    return refusal.value.code


def test_the_same_key_opens_one_task(make_task: Callable[..., Task]) -> None:
    assert make_task() == make_task()
    assert Task.objects.count() == 1


def test_one_person_takes_a_task_on_and_completes_it(
    make_task: Callable[..., Task], acme: Office, now: datetime
) -> None:
    task = make_task()

    tasks.claim(actor=acme["initiator"], task_ids=[task.pk], now=now, note="On it.")
    second = code_of(lambda: tasks.claim(actor=acme["approver"], task_ids=[task.pk], now=now))
    not_theirs = code_of(lambda: tasks.complete(actor=acme["approver"], task_id=task.pk, now=now))
    done = tasks.complete(actor=acme["initiator"], task_id=task.pk, now=now, note="Sent.")

    assert (second, not_theirs) == ("task_claimed_by_another", "task_not_yours")
    assert (done.status, done.ended_by, done.note) == ("completed", acme["initiator"], "Sent.")
    assert set(AuditEvent.objects.filter(subject_id=str(task.pk)).values_list("action", flat=True)) == {
        "accounts.task.claimed",
        "accounts.task.completed",
    }


def test_many_are_claimed_together_or_none_is(make_task: Callable[..., Task], acme: Office, now: datetime) -> None:
    free, taken = make_task("free"), make_task("taken")
    tasks.claim(actor=acme["approver"], task_ids=[taken.pk], now=now)

    both = code_of(lambda: tasks.claim(actor=acme["initiator"], task_ids=[free.pk, taken.pk], now=now))

    free.refresh_from_db()
    assert (both, free.status) == ("task_claimed_by_another", "unclaimed")


def test_a_task_is_given_to_a_colleague_only(
    make_task: Callable[..., Task], acme: Office, regulator: Office, now: datetime
) -> None:
    task = make_task()

    (given,) = tasks.assign(actor=acme["initiator"], task_ids=[task.pk], to=acme["approver"], now=now)
    outsider = code_of(lambda: tasks.assign(actor=acme["approver"], task_ids=[task.pk], to=regulator["desk"], now=now))
    freed = tasks.release(actor=acme["initiator"], task_id=task.pk, now=now, note="On holiday.")

    assert (given.claimed_by, outsider) == (acme["approver"], "task_of_another_organisation")
    assert (freed.status, freed.claimed_by) == ("unclaimed", None)


def test_tasks_of_others_do_not_exist_and_viewers_take_nothing_on(
    make_task: Callable[..., Task], acme: Office, regulator: Office, make_user: Callable[[str], User], now: datetime
) -> None:
    task = make_task()
    vera = make_user("vera")
    organisations.grant_role(
        actor=regulator["senior"], user=vera, organisation=acme.organisation, role="viewer", now=now
    )

    with pytest.raises(Unknown):
        tasks.claim(actor=regulator["desk"], task_ids=[task.pk], now=now)
    with pytest.raises(Unknown):
        tasks.claim(actor=acme["initiator"], task_ids=[task.pk, uuid.uuid4()], now=now)
    with pytest.raises(Forbidden):
        tasks.claim(actor=vera, task_ids=[task.pk], now=now)


def test_a_parent_waits_for_its_subtasks(make_task: Callable[..., Task], acme: Office, now: datetime) -> None:
    parent = make_task("parent")
    child = make_task("child", parent=parent)
    tasks.claim(actor=acme["initiator"], task_ids=[parent.pk, child.pk], now=now)

    too_early = code_of(lambda: tasks.complete(actor=acme["initiator"], task_id=parent.pk, now=now))
    tasks.complete(actor=acme["initiator"], task_id=child.pk, now=now)
    done = tasks.complete(actor=acme["initiator"], task_id=parent.pk, now=now)

    assert (too_early, done.status) == ("subtasks_open", "completed")


def test_a_proposal_is_a_task_that_ends_with_its_decision(proposal: Any, acme: Office, now: datetime) -> None:
    task = Task.objects.get(approval=proposal)
    tasks.claim(actor=acme["approver"], task_ids=[task.pk], now=now)

    by_hand = code_of(lambda: tasks.complete(actor=acme["approver"], task_id=task.pk, now=now))
    approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)

    task.refresh_from_db()
    assert by_hand == "task_needs_decision"
    assert (task.status, task.ended_by, task.link) == ("completed", acme["approver"], f"/approvals/{proposal.pk}/")


def test_who_has_claimed_a_proposal_decides_it_alone(
    proposal: Any, acme: Office, regulator: Office, make_user: Callable[[str], User], now: datetime
) -> None:
    abel = make_user("abel")
    organisations.grant_role(
        actor=regulator["senior"], user=abel, organisation=acme.organisation, role="approver", now=now
    )
    task = Task.objects.get(approval=proposal)
    tasks.claim(actor=abel, task_ids=[task.pk], now=now)

    refused = code_of(lambda: approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now))
    tasks.release(actor=abel, task_id=task.pk, now=now)
    approved = approvals.approve(actor=acme["approver"], approval_id=proposal.pk, now=now)

    assert (refused, approved.status) == ("task_claimed_by_another", "executed")


@pytest.mark.parametrize(("end", "status"), [("reject", "completed"), ("cancel", "cancelled")])
def test_a_proposal_that_is_turned_down_or_taken_back_ends_its_task(
    proposal: Any, acme: Office, now: datetime, end: str, status: str
) -> None:
    actor = acme["approver"] if end == "reject" else acme["initiator"]

    getattr(approvals, end)(actor=actor, approval_id=proposal.pk, reason="No tea.", now=now)

    assert Task.objects.get(approval=proposal).status == status


def test_people_are_reminded_midway_and_two_days_before(
    make_task: Callable[..., Task],
    acme: Office,
    now: datetime,
    django_capture_on_commit_callbacks: Any,
) -> None:
    task = make_task(due_at=now + timedelta(days=10))
    sent = []
    for day in (1, 5, 6, 8, 9, 11):
        with simulate(now + timedelta(days=day)), django_capture_on_commit_callbacks(execute=True):
            sent.append(remind())

    assert sent == [0, 1, 0, 1, 0, 0]
    assert [set(letter.to) for letter in mail.outbox] == [{"ines@example.org", "ari@example.org"}] * 2
    task.refresh_from_db()
    assert task.reminders == 2


def test_the_person_who_has_the_task_is_reminded_alone(
    make_task: Callable[..., Task], acme: Office, now: datetime, django_capture_on_commit_callbacks: Any
) -> None:
    task = make_task(due_at=now + timedelta(days=1))
    tasks.claim(actor=acme["approver"], task_ids=[task.pk], now=now)

    with django_capture_on_commit_callbacks(execute=True):
        sent = tasks.remind(now=now + timedelta(hours=13))

    assert sent == 1
    assert [letter.to for letter in mail.outbox] == [["ari@example.org"]]


@pytest.mark.parametrize("act", ["claim", "complete", "release"])
def test_nothing_is_done_to_a_task_that_has_ended(
    make_task: Callable[..., Task], acme: Office, now: datetime, act: str
) -> None:
    task, ines = make_task(), acme["initiator"]
    tasks.claim(actor=ines, task_ids=[task.pk], now=now)
    tasks.complete(actor=ines, task_id=task.pk, now=now)
    which = {"task_ids": [task.pk]} if act == "claim" else {"task_id": task.pk}

    refused = code_of(lambda: getattr(tasks, act)(actor=ines, now=now, **which))

    assert refused in {"task_ended", "task_not_completed_to_completed", "task_not_completed_to_unclaimed"}


@pytest.mark.parametrize("after", sorted(set(TASK.states) - {"cancelled"}))
def test_raw_sql_takes_no_move_that_is_not_in_the_table(make_task: Callable[..., Task], after: str) -> None:
    task = make_task()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_task SET status = 'cancelled', ended_at = now() WHERE id = %s", [task.pk])

    with pytest.raises((ProgrammingError, InternalError)), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE accounts_task SET status = %s WHERE id = %s", [after, task.pk])
