"""Tasks: what waits for a person, who has taken it on, and by when it should be done."""

import uuid
from typing import ClassVar

import pgtrigger
from django.db import models

from accounts.models.approval import Approval
from accounts.models.organisation import Organisation
from accounts.models.user import User
from common.lifecycle import Lifecycle

TASK = Lifecycle(
    "task",
    {
        "unclaimed": {"claimed", "completed", "cancelled"},
        "claimed": {"unclaimed", "completed", "cancelled"},
        "completed": set(),
        "cancelled": set(),
    },
)


class Task(models.Model):
    """Something an organisation's people have to do. A parent is complete only after all of its subtasks."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=160, unique=True, help_text="What it is about, so that it is made once.")
    kind = models.CharField(max_length=40)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="tasks")
    title = models.CharField(max_length=300)
    link = models.CharField(max_length=300, blank=True, help_text="Where it is done: a path of this site.")
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="subtasks")
    approval = models.OneToOneField(Approval, null=True, on_delete=models.PROTECT, related_name="task")
    status = models.CharField(max_length=20, choices=TASK.choices, default=TASK.initial)
    claimed_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="tasks")
    note = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)
    reminders = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="claimed_task_has_its_person",
                condition=~models.Q(status="claimed") | models.Q(claimed_by__isnull=False),
            ),
            models.CheckConstraint(
                name="ended_task_has_its_time",
                condition=~models.Q(status__in=["completed", "cancelled"]) | models.Q(ended_at__isnull=False),
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["organisation", "due_at"],
                name="tasks_open",
                condition=models.Q(status__in=["unclaimed", "claimed"]),
            ),
        ]
        ordering: ClassVar[list[str]] = ["due_at", "created_at", "id"]
        triggers: ClassVar[list[pgtrigger.Trigger]] = [
            TASK.trigger(),
            pgtrigger.Protect(name="task_kept", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.status})"
