"""The access programme for those who act: a lab's applications and use reports, the desk's calls, scores and awards."""

import uuid
from collections import defaultdict

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.acting import Acting, acting_in
from accounts.models import Approval
from common import clock
from common.downloads import streamed_file
from common.errors import Refused, Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry.access_forms import ApplicationForm, CallForm, ScoreForm, UseForm
from registry.engine import access as engine
from registry.models import AccessApplication, AccessAward, AccessProgramme, AccessScore, Period
from registry.services.access import applications, awards, programmes
from registry.services.drafting import evidence

PER_PAGE = 50


# Labs -----------------------------------------------------------------------------------------------------------------


@require_safe
def application_list(request: HttpRequest) -> HttpResponse:
    """List the calls that are open, and the applications and awards in view."""
    acting = acting_in(request)
    now = clock.now()
    page = Paginator(applications.visible(acting.view), PER_PAGE).get_page(request.GET.get("page"))
    found = AccessAward.objects.filter(application__in=[one.pk for one in page.object_list])
    own = {award.application_id: award for award in found.select_related("application__programme__period__scheme")}
    context = {
        "open": programmes.public().filter(status="open", deadline_at__gt=now),
        "page_obj": page,
        "rows": [
            (one, own.get(one.pk), one.pk in own and awards.is_overdue(own[one.pk], now)) for one in page.object_list
        ],
        "may_apply": _may_apply(acting),
        "by_owner": acting.oversees,
    }
    return render(request, "registry/access_applications.html", context)


def apply(request: HttpRequest, programme_id: uuid.UUID) -> HttpResponse:
    """Apply to a programme."""
    acting = acting_in(request)
    programme = programmes.public_programme(programme_id)
    require_permission(_may_apply(acting), "Only an initiator or approver of an academic lab may apply.")
    form = ApplicationForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            made = applications.apply(
                actor=acting.user,
                organisation=acting.for_organisation(),
                programme=programme,
                asked=form.asked,
                now=clock.now(),
            )
            messages.success(request, "Your application was received.")
            return redirect("application", made.pk)
    context = {"form": form, "programme": programme}
    return render(request, "registry/access_apply.html", context, status=422 if form.errors else 200)


@require_safe
def application(request: HttpRequest, application_id: uuid.UUID) -> HttpResponse:
    """Show an application, its scores to the desk, and what one may do with it."""
    return _application_page(request, _application(request, application_id))


@require_safe
def application_file(request: HttpRequest, application_id: uuid.UUID) -> StreamingHttpResponse:
    """Return the plan, to be saved and never shown."""
    file = _application(request, application_id).evidence
    return streamed_file(file.name, evidence.read(file), file.size)


@require_POST
def withdraw(request: HttpRequest, application_id: uuid.UUID) -> HttpResponse:
    """Take an application back."""
    found = _application(request, application_id)
    form = ActForm(request.POST)
    with refusals_shown_in(form):
        applications.withdraw(actor=acting_in(request).user, application=found, now=clock.now())
        messages.success(request, "The application was withdrawn.")
        return redirect("application", found.pk)
    return _application_page(request, found, refused=form)


@require_POST
def score(request: HttpRequest, application_id: uuid.UUID) -> HttpResponse:
    """Give an application its points, as one of its assessors."""
    found = _application(request, application_id)
    form = ScoreForm(request.POST, criteria=programmes.criteria_of(found.programme))
    if form.is_valid():
        with refusals_shown_in(form):
            applications.score(actor=acting_in(request).user, application=found, points=form.points, now=clock.now())
            messages.success(request, "Your points stand.")
            return redirect("programme-desk", found.programme_id)
    return _application_page(request, found, score_form=form)


@require_safe
def award(request: HttpRequest, award_id: uuid.UUID) -> HttpResponse:
    """Show an award with its use reports, and what one may do with it."""
    return _award_page(request, _award(request, award_id))


@require_POST
def report_use(request: HttpRequest, award_id: uuid.UUID) -> HttpResponse:
    """Report what an award was used for."""
    found = _award(request, award_id)
    form = UseForm(request.POST, request.FILES)
    if form.is_valid():
        said = form.cleaned_data
        with refusals_shown_in(form):
            awards.report_use(
                actor=acting_in(request).user,
                award=found,
                permits_used=said["permits_used"],
                flop_used=int(said["flop_used"]),
                results=said["results"],
                proof=said["proof"],
                now=clock.now(),
            )
            messages.success(request, "Your use report was received.")
            return redirect("award", found.pk)
    return _award_page(request, found, use_form=form)


@require_POST
def accept_use(request: HttpRequest, award_id: uuid.UUID) -> HttpResponse:
    """Accept a use report."""
    found = _award(request, award_id)
    form = ActForm(request.POST)
    with refusals_shown_in(form):
        awards.accept_use(actor=acting_in(request).user, award=found, now=clock.now())
        messages.success(request, "The use report was accepted.")
        return redirect("award", found.pk)
    return _award_page(request, found, refused=form)


@require_POST
def return_use(request: HttpRequest, award_id: uuid.UUID) -> HttpResponse:
    """Ask for another use report."""
    found = _award(request, award_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            awards.return_use(
                actor=acting_in(request).user, award=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "The lab was asked for another report.")
            return redirect("award", found.pk)
    return _award_page(request, found, return_form=form)


# The desk -------------------------------------------------------------------------------------------------------------


@require_safe
def desk(request: HttpRequest) -> HttpResponse:
    """List every programme with its applications, and the awards whose use reports are late."""
    acting = acting_in(request)
    _require_overseer(acting)
    now = clock.now()
    waiting = programmes.awards().filter(status="granted", application__programme__report_due_on__lte=now.date())
    late = [award for award in waiting if awards.is_overdue(award, now)]
    context = {
        "page_obj": Paginator(programmes.public(), PER_PAGE).get_page(request.GET.get("page")),
        "late": late,
        "may_work": acting.has("desk_officer", "senior_officer"),
    }
    return render(request, "registry/access_desk.html", context)


def new_programme(request: HttpRequest) -> HttpResponse:
    """Open a call."""
    acting = acting_in(request)
    require_permission(acting.has("desk_officer", "senior_officer"), "Only the regulator's desk opens programmes.")
    form = CallForm(
        request.POST or None, periods=Period.objects.select_related("scheme").order_by("-year", "scheme__name")
    )
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            made = programmes.open_programme(actor=acting.user, call=form.call, now=clock.now())
            messages.success(request, f"“{made}” is open for applications.")
            return redirect("programme-desk", made.pk)
    return render(request, "registry/access_new.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
def programme_desk(request: HttpRequest, programme_id: uuid.UUID) -> HttpResponse:
    """Show the scoring table of a programme, and what may be done next."""
    return _desk_page(request, programmes.public_programme(programme_id))


@require_POST
def begin_scoring(request: HttpRequest, programme_id: uuid.UUID) -> HttpResponse:
    """Close the door for applications."""
    found = programmes.public_programme(programme_id)
    form = ActForm(request.POST)
    with refusals_shown_in(form):
        programmes.begin_scoring(actor=acting_in(request).user, programme=found, now=clock.now())
        messages.success(request, "The applications may be scored.")
        return redirect("programme-desk", found.pk)
    return _desk_page(request, found, refused=form)


@require_POST
def propose(request: HttpRequest, programme_id: uuid.UUID) -> HttpResponse:
    """Propose the awards that follow from the scores."""
    found = programmes.public_programme(programme_id)
    form = ActForm(request.POST)
    with refusals_shown_in(form):
        proposal = awards.propose_awards(actor=acting_in(request).user, programme=found, now=clock.now())
        messages.success(request, "The awards were proposed. A senior officer approves them.")
        return redirect("approval", proposal.pk)
    return _desk_page(request, found, refused=form)


@require_POST
def cancel(request: HttpRequest, programme_id: uuid.UUID) -> HttpResponse:
    """Cancel a call."""
    found = programmes.public_programme(programme_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            programmes.cancel_programme(
                actor=acting_in(request).user, programme=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "The programme was cancelled.")
            return redirect("programme-desk", found.pk)
    return _desk_page(request, found, cancel_form=form)


# Parts ----------------------------------------------------------------------------------------------------------------


def _application_page(request: HttpRequest, found: AccessApplication, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    given: defaultdict[str, list[AccessScore]] = defaultdict(list)
    scores = found.scores.select_related("assessor").order_by("scored_at", "id") if acting.oversees else []
    for one in scores:
        given[one.assessor.name].append(one)
    criteria = programmes.criteria_of(found.programme)
    may_score = (
        acting.has("desk_officer", "senior_officer")
        and (found.programme.status, found.status) == ("scoring", "submitted")
        and acting.user.name not in given
    )
    context = {
        "application": found,
        "criteria": criteria,
        "scores": [
            (
                name,
                [(criterion.title, one) for criterion in criteria for one in rows if one.criterion == criterion.code],
            )
            for name, rows in given.items()
            if not may_score  # an assessor gives points before reading those of others
        ],
        "score_form": ScoreForm(criteria=criteria) if may_score else None,
        "may_withdraw": found.status == "submitted"
        and _may_apply(acting)
        and acting.for_organisation().pk == found.organisation_id,
        **forms,
    }
    return render(request, "registry/access_application.html", context, status=422 if forms else 200)


def _award_page(request: HttpRequest, found: AccessAward, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    is_own = _may_apply(acting) and acting.for_organisation().pk == found.application.organisation_id
    reads = acting.has("desk_officer", "senior_officer") and found.status == "reported"
    context = {
        "award": found,
        "application": found.application,
        "is_overdue": awards.is_overdue(found, clock.now()),
        "uses": found.uses.select_related("evidence", "reported_by").order_by("-id"),
        "use_form": UseForm() if is_own and found.status == "granted" else None,
        "return_form": ReasonForm() if reads else None,
        **forms,
    }
    return render(request, "registry/access_award.html", context, status=422 if forms else 200)


def _desk_page(request: HttpRequest, found: AccessProgramme, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    _require_overseer(acting)
    rows = (
        found.applications.select_related("organisation")
        .annotate(assessors=Count("scores__assessor", distinct=True))
        .order_by("submitted_at", "id")
    )
    ranking, missing = found.document, ""
    if found.status == "scoring":
        try:
            ranking = awards.ranking(found)
        except Refused as refusal:
            missing = refusal.sentence
    known = {str(one.pk): one for one in rows}
    works = acting.has("desk_officer", "senior_officer")
    context = {
        "programme": found,
        "criteria": programmes.criteria_of(found),
        "applications": rows,
        "ranking": [(row, known.get(row["application"])) for row in ranking["ranking"]] if ranking else [],
        "missing": missing,
        "tie_rule": engine.TIE_RULE,
        "share_rule": engine.SHARE_RULE,
        "proposals": Approval.objects.filter(act=awards.AWARD_ACCESS, parameters__programme=str(found.pk)).order_by(
            "-proposed_at"
        )[:5],
        "may_begin": works and found.status == "open" and clock.now() >= found.deadline_at,
        "may_propose": works and found.status == "scoring" and bool(ranking),
        "cancel_form": ReasonForm() if works and found.status in {"open", "scoring"} else None,
        **forms,
    }
    return render(request, "registry/access_programme_desk.html", context, status=422 if forms else 200)


def _application(request: HttpRequest, application_id: uuid.UUID) -> AccessApplication:
    found = applications.visible(acting_in(request).scope).filter(pk=application_id).first()
    if found is None:
        raise Unknown("application_unknown", "There is no such application in your scope. Check the address.")
    return found


def _award(request: HttpRequest, award_id: uuid.UUID) -> AccessAward:
    rows = acting_in(request).scope.filter(programmes.awards(), "application__organisation")
    found = rows.filter(pk=award_id).first()
    if found is None:
        raise Unknown("award_unknown", "There is no such award in your scope. Check the address.")
    return found


def _may_apply(acting: Acting) -> bool:
    return acting.kind == "lab" and acting.has("initiator", "approver")


def _require_overseer(acting: Acting) -> None:
    require_permission(acting.oversees, "Only the regulator and auditors see the desk of the access programme.")
