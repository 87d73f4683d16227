"""The task inbox: what waits, who has it, and taking it on, one by one or many at once."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import acting_in
from accounts.forms import AssignForm, ClaimForm, NoteForm
from accounts.models import Task
from accounts.selectors import events_of, tasks_in_scope
from accounts.services import tasks
from common import clock
from common.errors import Unknown
from common.forms import refusals_shown_in

TASKS_PER_PAGE = 50
SHOWN = {
    "open": "Open",
    "mine": "Mine",
    "free": "Not taken on",
    "overdue": "Overdue",
    "ended": "Ended",
}


def task_list(request: HttpRequest) -> HttpResponse:
    """Show the tasks of the organisation one acts for, narrowed to those of one state."""
    return _inbox(request, ClaimForm())


@require_POST
def claim_tasks(request: HttpRequest) -> HttpResponse:
    """Take on the tasks that were ticked, or give them to a colleague: all of them or none."""
    form = ClaimForm(request.POST)
    if form.is_valid():
        actor, now = acting_in(request).user, clock.now()
        with refusals_shown_in(form):
            ids = form.cleaned_data["tasks"]
            to = form.cleaned_data["to"]
            if to is None:
                taken = tasks.claim(actor=actor, task_ids=ids, now=now)
            else:
                taken = tasks.assign(actor=actor, task_ids=ids, to=to, now=now)
            messages.success(request, f"{len(taken)} tasks: {'taken on' if to is None else f'given to {to.name}'}.")
            return redirect("tasks")
    return _inbox(request, form)


def task_detail(request: HttpRequest, task_id: uuid.UUID) -> HttpResponse:
    """Show one task with its subtasks and its history."""
    return _task_page(request, task_id, NoteForm())


@require_POST
def act_on_task(request: HttpRequest, task_id: uuid.UUID, act: str) -> HttpResponse:
    """Take one task on, give it back, or say that it is done."""
    task = _visible(request, task_id)
    form = NoteForm(request.POST)
    if form.is_valid():
        actor, note, now = acting_in(request).user, form.cleaned_data["note"], clock.now()
        with refusals_shown_in(form):
            if act == "claim":
                tasks.claim(actor=actor, task_ids=[task.pk], note=note, now=now)
            elif act == "release":
                tasks.release(actor=actor, task_id=task.pk, note=note, now=now)
            else:
                tasks.complete(actor=actor, task_id=task.pk, note=note, now=now)
            messages.success(request, DONE[act])
            return redirect("task", task.pk)
    return _task_page(request, task_id, form)


DONE = {"claim": "You have taken this on.", "release": "The task is free again.", "complete": "Done."}


def assign_task(request: HttpRequest, task_id: uuid.UUID) -> HttpResponse:
    """Give one task to a colleague."""
    task = _visible(request, task_id)
    form = AssignForm(request.POST or None, organisation=task.organisation)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            tasks.assign(
                actor=acting_in(request).user,
                task_ids=[task.pk],
                to=form.cleaned_data["to"],
                note=form.cleaned_data["note"],
                now=clock.now(),
            )
            messages.success(request, f"Given to {form.cleaned_data['to'].name}.")
            return redirect("task", task.pk)
    return render(
        request, "accounts/task_assign.html", {"task": task, "form": form}, status=422 if form.errors else 200
    )


def _inbox(request: HttpRequest, form: ClaimForm) -> HttpResponse:
    acting, now = acting_in(request), clock.now()
    shown = request.GET.get("show", "open")
    found = acting.view.filter(tasks_in_scope(acting.scope), "organisation")
    if not acting.oversees and acting.organisation is not None:
        found = found.filter(organisation=acting.organisation)
    waiting = found.filter(status__in=["unclaimed", "claimed"])
    found = {
        "mine": waiting.filter(claimed_by=acting.user),
        "free": waiting.filter(status="unclaimed"),
        "overdue": waiting.filter(due_at__lt=now),
        "ended": found.filter(status__in=["completed", "cancelled"]).order_by("-ended_at", "id"),
    }.get(shown, waiting)
    may_act = acting.has(*tasks.WORKING_ROLES)
    context = {
        "page_obj": Paginator(found, TASKS_PER_PAGE).get_page(request.GET.get("page")),
        "shown": shown if shown in SHOWN else "open",
        "label": SHOWN.get(shown, "Open"),
        "choices": SHOWN,
        "form": form,
        "may_act": may_act and shown != "ended",
        "colleagues": tasks.colleagues(acting.organisation) if may_act and acting.organisation else [],
    }
    return render(request, "accounts/tasks.html", context, status=422 if form.errors else 200)


def _task_page(request: HttpRequest, task_id: uuid.UUID, form: NoteForm) -> HttpResponse:
    acting, task = acting_in(request), _visible(request, task_id)
    is_open = task.status in {"unclaimed", "claimed"}
    works_there = acting.organisation == task.organisation and acting.has(*tasks.WORKING_ROLES)
    context = {
        "task": task,
        "subtasks": task.subtasks.select_related("claimed_by"),
        "events": events_of("accounts.task", task.pk),
        "may_claim": works_there and task.status == "unclaimed",
        "may_release": works_there and task.status == "claimed",
        "may_assign": works_there and is_open,
        "may_complete": works_there and task.claimed_by_id == acting.user.pk and is_open and task.approval_id is None,
        "form": form,
    }
    return render(request, "accounts/task.html", context, status=422 if form.errors else 200)


def _visible(request: HttpRequest, task_id: uuid.UUID) -> Task:
    task = tasks_in_scope(acting_in(request).scope).filter(pk=task_id).first()
    if task is None:
        raise Unknown("task_unknown", "There is no such task. Check the address.")
    return task
