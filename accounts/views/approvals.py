"""Proposals that need a second person: what waits, what was decided, and deciding."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Approval
from accounts.selectors import approvals_in_scope, events_of
from accounts.services import approvals
from common import clock
from common.errors import Unknown
from common.forms import ReasonForm, refusals_shown_in

DECIDED_PER_PAGE = 25
CODE = re.compile(r"[0-9a-f]{64}|[0-9a-f-]{36}|[a-z0-9]+(-[a-z0-9]+)+|HR-[0-9-]+")
"""Ids, hashes, account numbers and codes of assets: shown as what they are, not as words."""


def approval_list(request: HttpRequest) -> HttpResponse:
    """Show what waits for this person, what waits for others, and what was decided."""
    acting = acting_in(request)
    in_view = acting.view.filter(approvals_in_scope(acting.scope), "organisation")
    undecided = list(in_view.filter(status__in=["proposed", "waiting"])[:200])
    for_me = waiting_for(acting, undecided)
    context = {
        "for_me": for_me,
        "for_others": [approval for approval in undecided if approval not in for_me],
        "page_obj": Paginator(in_view.exclude(status__in=["proposed", "waiting"]), DECIDED_PER_PAGE).get_page(
            request.GET.get("page")
        ),
    }
    return render(request, "accounts/approvals.html", context)


def waiting_for(acting: Acting, undecided: list[Approval]) -> list[Approval]:
    """Return the proposals that this person may decide, asking once for each act and organisation."""
    answers: dict[tuple[str, uuid.UUID], bool] = {}
    found = []
    for approval in undecided:
        if approval.status != "proposed" or approval.proposed_by_id == acting.user.pk:
            continue
        asked = (approval.act, approval.organisation_id)
        if asked not in answers:
            answers[asked] = approvals.may_decide(acting.user, approval)
        if answers[asked]:
            found.append(approval)
    return found


def approval_detail(request: HttpRequest, approval_id: uuid.UUID) -> HttpResponse:
    """Show one proposal with its frozen parameters."""
    return _approval_page(request, approval_id, ReasonForm())


@require_POST
def approve(request: HttpRequest, approval_id: uuid.UUID) -> HttpResponse:
    """Approve as the second person; what came of it is said on the page that follows."""
    _visible(request, approval_id)
    approval = approvals.approve(actor=acting_in(request).user, approval_id=approval_id, now=clock.now())
    if approval.status == "failed":
        messages.error(request, f"Approved, but it could not be done: {approval.failure}")
    elif approval.status == "waiting":
        messages.success(
            request, "Approved. It will be done when its delay has passed, and may be cancelled until then."
        )
    else:
        messages.success(request, "Approved and done.")
    return redirect("approval", approval_id)


@require_POST
def reject(request: HttpRequest, approval_id: uuid.UUID) -> HttpResponse:
    """Turn a proposal down, with a reason."""
    return _end(request, approval_id, "rejected")


@require_POST
def cancel(request: HttpRequest, approval_id: uuid.UUID) -> HttpResponse:
    """Take a proposal back, or stop an approved act while it waits."""
    return _end(request, approval_id, "cancelled")


def _end(request: HttpRequest, approval_id: uuid.UUID, how: str) -> HttpResponse:
    _visible(request, approval_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        act = approvals.reject if how == "rejected" else approvals.cancel
        with refusals_shown_in(form):
            act(
                actor=acting_in(request).user,
                approval_id=approval_id,
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, f"The proposal was {how}.")
            return redirect("approval", approval_id)
    return _approval_page(request, approval_id, form)


def _approval_page(request: HttpRequest, approval_id: uuid.UUID, form: ReasonForm) -> HttpResponse:
    acting = acting_in(request)
    approval = _visible(request, approval_id)
    may_decide = approval.status == "proposed" and approvals.may_decide(acting.user, approval)
    context = {
        "approval": approval,
        "parameters": readable(approval.parameters),
        "result": readable(approval.result or {}),
        "events": events_of("accounts.approval", approval.pk),
        "may_decide": may_decide,
        "may_cancel": approval.status in {"proposed", "waiting"}
        and (may_decide or approval.proposed_by_id == acting.user.pk),
        "form": form,
    }
    return render(request, "accounts/approval.html", context, status=422 if form.errors else 200)


def _visible(request: HttpRequest, approval_id: uuid.UUID) -> Approval:
    approval = approvals_in_scope(acting_in(request).scope).filter(pk=approval_id).first()
    if approval is None:
        raise Unknown("approval_unknown", "There is no such proposal. Check the address.")
    return approval


@dataclass(frozen=True)
class Parameter:
    """One frozen parameter as it is shown: whole numbers grouped, lists and tables spelled out below."""

    name: str
    value: object
    is_number: bool
    is_long: bool
    is_code: bool
    is_table: bool = False


def readable(parameters: Mapping[str, object]) -> list[Parameter]:
    """Return frozen parameters for people."""
    return [
        Parameter(
            name=name.removesuffix("_id").replace("_", " ").capitalize(),
            value=json.dumps(value, indent=1) if isinstance(value, list | dict) and not _is_table(value) else value,
            is_number=isinstance(value, int) and not isinstance(value, bool),
            is_long=isinstance(value, list | dict),
            is_code=isinstance(value, str) and bool(CODE.fullmatch(value)),
            is_table=_is_table(value),
        )
        for name, value in parameters.items()
    ]


def _is_table(value: object) -> bool:
    """Say whether a parameter is a table: the names of its columns, and rows of as many cells."""
    return (
        isinstance(value, dict)
        and set(value) == {"columns", "rows"}
        and bool(value["rows"])
        and all(isinstance(row, list) and len(row) == len(value["columns"]) for row in value["rows"])
    )
