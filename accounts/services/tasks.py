"""Tasks: what waits for somebody, taken on by one person, reminded in time, and done once.

A task that stands for a proposal is opened with it and ends with its decision. While somebody has claimed it, only they
may decide: two officers do not work on one thing at the same time. A parent waits for its subtasks.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core import mail
from django.db import transaction

from accounts.models import TASK, Approval, Membership, Organisation, Task, User
from accounts.permissions import has_role
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Unknown, require, require_permission

WORKING_ROLES = frozenset(Membership.Role.values) - {"viewer", "auditor"}
"""Roles that do something. Whoever may only look can take nothing on."""

LAST_CALL = timedelta(days=2)
"""The second reminder comes this long before a task is due; the first comes midway."""


def open_task(
    *,
    key: str,
    kind: str,
    organisation: Organisation,
    title: str,
    now: datetime,
    link: str = "",
    due_at: datetime | None = None,
    parent: Task | None = None,
    approval: Approval | None = None,
) -> Task:
    """Open a task, or return the one that its key opened before."""
    assert_in_transaction()
    task, _ = Task.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "organisation": organisation,
            "title": title[:300],
            "link": link,
            "parent": parent,
            "approval": approval,
            "created_at": now,
            "due_at": due_at,
        },
    )
    return task


def end_task(*, key: str, actor: User | None, now: datetime, status: str = "completed") -> None:
    """End a task because what it asked for was done, or is not wanted any more. One that has ended stays as it is."""
    assert_in_transaction()
    task = Task.objects.select_for_update().filter(key=key, status__in=["unclaimed", "claimed"]).first()
    if task is not None:
        _end(task, status, actor, now)


def approval_key(approval: Approval) -> str:
    """Name the task that stands for a proposal."""
    return f"approval:{approval.pk}"


def require_not_claimed_by_another(approval: Approval, actor: User) -> None:
    """Refuse to decide on a proposal that a colleague has taken on."""
    require_free(key=approval_key(approval), actor=actor)


def require_free(*, key: str, actor: User) -> None:
    """Refuse to decide on something whose task a colleague has taken on."""
    assert_in_transaction()
    task = Task.objects.select_for_update().filter(key=key).first()
    require(
        task is None or task.status != "claimed" or task.claimed_by_id == actor.pk,
        "task_claimed_by_another",
        "A colleague has taken this task on. Ask them to decide it, or to give it back.",
    )


@transaction.atomic(durable=True)
def claim(*, actor: User, task_ids: Sequence[uuid.UUID], now: datetime, note: str = "") -> list[Task]:
    """Take tasks on: all of them, or none."""
    return [_give(task, to=actor, actor=actor, now=now, note=note) for task in _locked(task_ids, actor)]


@transaction.atomic(durable=True)
def assign(*, actor: User, task_ids: Sequence[uuid.UUID], to: User, now: datetime, note: str = "") -> list[Task]:
    """Give tasks to a colleague of the same organisation: all of them, or none."""
    return [_give(task, to=to, actor=actor, now=now, note=note) for task in _locked(task_ids, actor)]


@transaction.atomic(durable=True)
def release(*, actor: User, task_id: uuid.UUID, now: datetime, note: str = "") -> Task:
    """Give a task back, so that another may take it on. A colleague may free a task whose person is away."""
    (task,) = _locked([task_id], actor)
    TASK.require(task.status, "unclaimed")
    task.status, task.claimed_by, task.note = "unclaimed", None, note.strip()[:500]
    task.save(update_fields=["status", "claimed_by", "note"])
    audit.record(actor, "accounts.task.released", task, at=now, organisation=task.organisation, note=task.note)
    return task


@transaction.atomic(durable=True)
def complete(*, actor: User, task_id: uuid.UUID, now: datetime, note: str = "") -> Task:
    """Say that a task is done. Only the person who has it may, and a proposal is done by deciding it."""
    (task,) = _locked([task_id], actor)
    TASK.require(task.status, "completed")
    require(task.approval_id is None, "task_needs_decision", "Decide the proposal; its task ends with the decision.")
    require(
        task.claimed_by_id == actor.pk,
        "task_not_yours",
        "Only the person who has taken this task on may say that it is done. Claim it first.",
    )
    waiting = task.subtasks.filter(status__in=["unclaimed", "claimed"]).count()
    require(not waiting, "subtasks_open", f"{waiting} subtasks are still open. Complete them first.")
    task.note = note.strip()[:500]
    _end(task, "completed", actor, now)
    return task


def remind(*, now: datetime) -> int:
    """Remind whoever has a task that is due: midway, and two days before. Return how many reminders were sent."""
    waiting = Task.objects.filter(
        status__in=["unclaimed", "claimed"], due_at__isnull=False, due_at__gt=now, reminders__lt=2
    ).order_by("due_at", "id")
    return sum(_remind(task_id, now) for task_id in list(waiting.values_list("pk", flat=True)))


@transaction.atomic(durable=True)
def _remind(task_id: uuid.UUID, now: datetime) -> bool:
    task = Task.objects.select_for_update(of=("self",)).select_related("organisation", "claimed_by").get(pk=task_id)
    if task.status not in {"unclaimed", "claimed"} or task.due_at is None:
        return False
    due = [task.created_at + (task.due_at - task.created_at) / 2, task.due_at - LAST_CALL]
    passed = sum(instant <= now for instant in due)
    if passed <= task.reminders:
        return False
    task.reminders, task.reminded_at = passed, now
    task.save(update_fields=["reminders", "reminded_at"])
    audit.record(None, "accounts.task.reminded", task, at=now, organisation=task.organisation, due_at=task.due_at)
    people = [task.claimed_by] if task.claimed_by else colleagues(task.organisation)
    letters = [person.email for person in people]
    until = f"{task.due_at:%Y-%m-%d %H:%M} UTC"
    transaction.on_commit(
        lambda: mail.send_mail(f"Due by {until}: {task.title}", f"{task.title}\n\nDue by {until}.", None, letters)
    )
    return True


def colleagues(organisation: Organisation) -> list[User]:
    """Return the people who work for an organisation, each once."""
    return list(
        User.objects.filter(
            memberships__organisation=organisation,
            memberships__ended_at__isnull=True,
            memberships__role__in=WORKING_ROLES,
            is_active=True,
        )
        .distinct()
        .order_by("name", "pk")
    )


def _give(task: Task, *, to: User, actor: User, now: datetime, note: str) -> Task:
    require(
        has_role(to, task.organisation, *WORKING_ROLES),
        "task_of_another_organisation",
        f"{to.name} does not work for {task.organisation}. Choose one of its people.",
    )
    require(task.status in {"unclaimed", "claimed"}, "task_ended", f"“{task.title}” has ended. Reload the list.")
    require(
        task.claimed_by_id in {None, actor.pk, to.pk},
        "task_claimed_by_another",
        f"A colleague has taken on “{task.title}”. Ask them to give it back.",
    )
    task.status, task.claimed_by, task.note = "claimed", to, note.strip()[:500]
    task.save(update_fields=["status", "claimed_by", "note"])
    audit.record(
        actor, "accounts.task.claimed", task, at=now, organisation=task.organisation, by=to.name, note=task.note
    )
    return task


def _end(task: Task, status: str, actor: User | None, now: datetime) -> None:
    TASK.require(task.status, status)
    task.status, task.ended_at, task.ended_by = status, now, actor
    task.save(update_fields=["status", "ended_at", "ended_by", "note"])
    audit.record(actor, f"accounts.task.{status}", task, at=now, organisation=task.organisation, note=task.note)


def _locked(task_ids: Sequence[uuid.UUID], actor: User) -> list[Task]:
    """Lock tasks in the order of their ids; those of others' organisations do not exist for the actor."""
    wanted = set(task_ids)
    tasks = list(
        Task.objects.select_for_update(of=("self",))
        .select_related("organisation")
        .filter(
            pk__in=wanted,
            organisation__memberships__user=actor,
            organisation__memberships__ended_at__isnull=True,
        )
        .order_by("pk")
    )
    found = {task.pk: task for task in tasks}  # a person with two roles would find a task twice
    if len(found) != len(wanted) or not wanted:
        raise Unknown("task_unknown", "There is no such task in your organisation. Reload the list.")
    for organisation in {task.organisation_id: task.organisation for task in found.values()}.values():
        require_permission(
            has_role(actor, organisation, *WORKING_ROLES), "Your role only reads. Ask a colleague to take this on."
        )
    return list(found.values())
