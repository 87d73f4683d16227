"""Published runs for everybody: the list, each run, and the file from which a stranger gets the same result."""

import uuid

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common import clock
from common.downloads import stored_file
from registry.services import runs

MOST_SHOWN = 500


@require_safe
@login_not_required
def run_list(request: HttpRequest) -> HttpResponse:
    """List allocations, reserves and letters as they were published, the latest first."""
    found = runs.public(clock.now()).defer("document")[:MOST_SHOWN]
    return render(request, "registry/runs.html", {"runs": found})


@require_safe
@login_not_required
def run(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Show one run: its rules, hash and result, and how to work it out again."""
    found = runs.public_run(run_id, clock.now())
    result = found.document["result"]
    context = {
        "run": found,
        "what": found.document["kind"],
        "on": found.document["rules"]["on"],
        "file_name": runs.file_name(found),
        "figures": [(name, value) for name, value in result.items() if isinstance(value, str | None)],
        "awards": [(each.get("operator") or each["bidder"], each["permits"]) for each in result.get("awards", [])],
        "letters": result.get("lines", []) if found.kind == runs.STATUS else [],
        "months": result.get("months", []),
        "tiers": result.get("tiers", []),
    }
    return render(request, "registry/run.html", context)


@require_safe
@login_not_required
def run_document(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """Return the document of a run: the bytes whose hash the run names."""
    found = runs.public_run(run_id, clock.now())
    return stored_file(runs.file_name(found), runs.as_file(found))
