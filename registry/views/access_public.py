"""The access programme for everybody: the calls, what was awarded to whom, and whether its use was reported."""

import uuid
from datetime import datetime
from typing import Literal

from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common import clock
from common.downloads import table_file
from registry.engine import access as engine
from registry.models import AccessAward
from registry.services.access import awards, programmes

PER_PAGE = 50
COLUMNS = (
    "programme",
    "period",
    "place",
    "organisation",
    "project",
    "permits",
    "flop",
    "granted_at",
    "report_due_on",
    "use_report",
)


@login_not_required
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """List every programme, and the awards of all of them."""
    now = clock.now()
    page = Paginator(programmes.awards(), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "programmes": programmes.public()[:PER_PAGE],
        "now": now,
        "page_obj": page,
        "rows": [(award, _use(award, now)) for award in page.object_list],
    }
    return render(request, "registry/access.html", context)


@login_not_required
@require_safe
def programme(request: HttpRequest, programme_id: uuid.UUID) -> HttpResponse:
    """Show a programme: what it offers, by which criteria and rules, and what it awarded."""
    found = programmes.public_programme(programme_id)
    now = clock.now()
    granted = programmes.awards().filter(application__programme=found)
    page = Paginator(granted, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "programme": found,
        "criteria": programmes.criteria_of(found),
        "is_open": found.status == "open" and now < found.deadline_at,
        "page_obj": page,
        "rows": [(award, _use(award, now)) for award in page.object_list],
        "tie_rule": engine.TIE_RULE,
        "share_rule": engine.SHARE_RULE,
    }
    return render(request, "registry/access_programme.html", context)


@login_not_required
@require_safe
def award_file(request: HttpRequest, kind: Literal["csv", "json"]) -> HttpResponse:
    """Return every award as an open file."""
    now = clock.now()
    rows = [
        (
            award.application.programme.name,
            award.application.programme.period.code,
            award.place,
            award.application.organisation.name,
            award.application.title,
            award.permits,
            award.flop,
            award.granted_at,
            award.application.programme.report_due_on.isoformat(),
            _use(award, now),
        )
        for award in programmes.awards()
    ]
    return table_file(kind, "access-awards", COLUMNS, rows)


def _use(award: AccessAward, now: datetime) -> str:
    """Say in a word how an award's use report stands."""
    if awards.is_overdue(award, now):
        return "overdue"
    return {"granted": "awaited", "reported": "received", "accepted": "accepted"}[award.status]
