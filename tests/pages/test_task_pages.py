"""The task inbox: what waits is found, taken on alone or together, given to colleagues, and done."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts.models import Task
from accounts.services import tasks
from tests.cast import OPENING
from tests.pages.world import World

AsPerson = Callable[[str], Client]


@pytest.fixture
def document(world: World) -> Task:
    """Acme has to send a document, in two parts."""
    with transaction.atomic():
        task = tasks.open_task(
            key="document",
            kind="document",
            organisation=world.acme.organisation,
            title="Send a register extract",
            due_at=OPENING + timedelta(days=20),
            now=OPENING,
        )
        tasks.open_task(
            key="part",
            kind="document",
            organisation=world.acme.organisation,
            title="Have it translated",
            parent=task,
            now=OPENING,
        )
    return task


def test_a_proposal_and_a_document_wait_in_the_inbox_of_their_organisation_only(
    world: World, as_person: AsPerson, document: Task
) -> None:
    acme, borealis = (
        as_person(person).get(reverse("tasks")).content.decode() for person in ("acme approver", "borealis viewer")
    )

    assert document.title in acme and world.approval.summary in acme
    assert document.title not in borealis and world.approval.summary not in borealis
    assert as_person("borealis viewer").get(reverse("task", args=[document.pk])).status_code == 404


def test_ticked_tasks_are_taken_on_together_and_found_under_mine(
    world: World, as_person: AsPerson, document: Task
) -> None:
    client, both = as_person("acme approver"), list(Task.objects.filter(kind="document"))

    page = client.post(
        reverse("tasks-claim"), {"key": str(uuid4()), "tasks": [str(task.pk) for task in both]}, follow=True
    ).content.decode()
    mine = client.get(reverse("tasks"), {"show": "mine"}).content.decode()
    free = client.get(reverse("tasks"), {"show": "free"}).content.decode()

    assert "2 tasks: taken on" in page
    assert all(task.title in mine and task.title not in free for task in both)


def test_nothing_ticked_and_nonsense_are_refused_on_the_page(world: World, as_person: AsPerson, document: Task) -> None:
    client = as_person("acme approver")

    nothing = client.post(reverse("tasks-claim"), {"key": str(uuid4())})
    nonsense = client.post(reverse("tasks-claim"), {"key": str(uuid4()), "tasks": ["x"]})
    unknown = client.post(reverse("tasks-claim"), {"key": str(uuid4()), "tasks": [str(uuid4())]})

    assert nothing.status_code == nonsense.status_code == 422
    assert "Tick at least one task" in nothing.content.decode()
    assert unknown.status_code == 404


def test_one_task_is_taken_on_given_back_given_away_and_done(world: World, as_person: AsPerson, document: Task) -> None:
    client, part = as_person("acme initiator"), Task.objects.get(key="part")

    def act(name: str, task: Task, **more: str) -> str:
        answer = client.post(reverse(f"task-{name}", args=[task.pk]), {"key": str(uuid4()), **more}, follow=True)
        return answer.content.decode()

    assert "You have taken this on" in act("claim", part, note="Tomorrow.")
    assert "Tomorrow." in client.get(reverse("task", args=[part.pk])).content.decode()
    assert "The task is free again" in act("release", part)
    approver = world.people["acme approver"]
    assert f"Given to {approver.name}" in act("assign", part, to=str(approver.pk))
    refused = act("complete", part)
    assert "Only the person who has taken this task on" in refused
    approver_client = as_person("acme approver")
    done = approver_client.post(reverse("task-complete", args=[part.pk]), {"key": str(uuid4())}, follow=True)
    assert "Done." in done.content.decode()
    assert part.title in client.get(reverse("tasks"), {"show": "ended"}).content.decode()


def test_a_viewer_sees_the_tasks_and_cannot_take_them_on(world: World, as_person: AsPerson, document: Task) -> None:
    client = as_person("acme viewer")

    page = client.get(reverse("tasks")).content.decode()
    refused = client.post(reverse("task-claim", args=[document.pk]), {"key": str(uuid4())})

    assert document.title in page and 'type="checkbox"' not in page
    assert refused.status_code == 403


def test_a_task_shows_its_parts_and_where_it_is_done(world: World, as_person: AsPerson, document: Task) -> None:
    client = as_person("acme approver")

    whole = client.get(reverse("task", args=[document.pk])).content.decode()
    proposal = client.get(reverse("task", args=[Task.objects.get(approval=world.approval).pk])).content.decode()

    assert "Have it translated" in whole
    assert reverse("approval", args=[world.approval.pk]) in proposal
    assert "It is done" not in proposal
