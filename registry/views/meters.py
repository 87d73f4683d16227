"""Meters: what CodeCarbon clients report, the tokens that let them, and the way of their runs into a draft."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.errors import Unknown
from common.forms import refusals_shown_in
from registry import measuring, meters, selectors
from registry.meter_forms import ExperimentForm, MappingForm, ProjectForm, ProjectTokenForm, SiteOfProjectForm, TakeForm
from registry.models import MeterExperiment, MeterProject, MeterRun, Operator, ProjectToken, Scheme
from registry.services.drafting import drafts
from registry.services.metering import projects, snippets, taking, tokens
from registry.views.sites import may_record, reader_of

PROJECTS_PER_PAGE = 20
RUNS_PER_PAGE = 50


def project_list(request: HttpRequest) -> HttpResponse:
    """Show the projects in view with what they reported last; a reporter makes one here."""
    acting = acting_in(request)
    return _list_page(request, acting)


@require_POST
def new_project(request: HttpRequest) -> HttpResponse:
    """Make a project."""
    acting = acting_in(request)
    form = _project_form(acting, request)
    if form.is_valid():
        with refusals_shown_in(form):
            project = projects.create_project(
                actor=acting.user,
                operator=form.cleaned_data["operator"],
                name=form.cleaned_data["name"],
                description="",
                site=form.cleaned_data["site"],
                now=clock.now(),
            )
            messages.success(request, "The project was made. Now it needs a token and an experiment.")
            return redirect("meter", project.pk)
    return _list_page(request, acting, form)


@require_POST
def take_runs(request: HttpRequest) -> HttpResponse:
    """Take the runs of a period into its draft, which is opened where there is none."""
    acting = acting_in(request)
    form = _take_form(acting, request)
    if form.is_valid():
        with refusals_shown_in(form):
            period = form.cleaned_data["period"]
            draft = drafts.open_draft(
                actor=acting.user, operator=_own_operator(acting, period.scheme), period=period, now=clock.now()
            )
            taken = taking.take_runs(actor=acting.user, draft=draft, now=clock.now())
            also = f" {taken.uploaded_too} more are there already, from files." if taken.uploaded_too else ""
            messages.success(request, f"{taken.runs} runs are in the draft of {period}.{also}")
            return redirect("draft", period.code)
    return _list_page(request, acting, take_form=form)


@never_cache
def project(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """Show a project: its experiments, its tokens and its runs."""
    acting = acting_in(request)
    return _project_page(request, acting, _project(acting, project_id))


@require_POST
def map_project(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """Say where the clients of a project are."""
    acting = acting_in(request)
    found = _project(acting, project_id)
    form = SiteOfProjectForm(request.POST, sites=measuring.sites_visible(reader_of(acting, acting.view)), prefix="map")
    if form.is_valid():
        with refusals_shown_in(form):
            projects.map_project(actor=acting.user, project=found, site=form.cleaned_data["site"], now=clock.now())
            messages.success(request, "The site was recorded.")
            return redirect("meter", project_id)
    return _project_page(request, acting, found, site_form=form)


@require_POST
def new_experiment(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """Make an experiment."""
    acting = acting_in(request)
    found = _project(acting, project_id)
    form = ExperimentForm(
        request.POST, workloads=measuring.workloads_visible(reader_of(acting, acting.view)), prefix="experiment"
    )
    if form.is_valid():
        with refusals_shown_in(form):
            experiment = projects.create_experiment(
                actor=acting.user,
                project=found,
                name=form.cleaned_data["name"],
                description="",
                place=projects.Place(form.cleaned_data["country"].upper()),
                activity=form.cleaned_data["activity"],
                workload=form.cleaned_data["workload"],
                now=clock.now(),
            )
            messages.success(request, "The experiment was made. Copy its lines into your client.")
            return redirect("meter-experiment", experiment.pk)
    return _project_page(request, acting, found, experiment_form=form)


@require_POST
@never_cache
def new_token(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """Make a token; its secret is on this one page and never again."""
    acting = acting_in(request)
    found = _project(acting, project_id)
    form = ProjectTokenForm(request.POST, prefix="token")
    if form.is_valid():
        with refusals_shown_in(form):
            token, secret = tokens.issue_token(
                actor=acting.user,
                project=found,
                name=form.cleaned_data["name"],
                level=form.cleaned_data["level"],
                life=form.life,
                now=clock.now(),
            )
            return _project_page(request, acting, found, token=token, secret=secret)
    return _project_page(request, acting, found, token_form=form)


@require_POST
def revoke_token(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    """End a token."""
    acting = acting_in(request)
    token = ProjectToken.objects.filter(pk=token_id, project__in=_projects(acting)).first()
    if token is None:
        raise Unknown("token_unknown", "There is no such token in your scope.")
    tokens.revoke_token(actor=acting.user, token=token, now=clock.now())
    messages.success(request, "The token was revoked and opens nothing any more. What came with it stays.")
    return redirect("meter", token.project_id)


def experiment(request: HttpRequest, experiment_id: uuid.UUID) -> HttpResponse:
    """Show an experiment with its runs and what to copy into a client; a reporter says here what its runs are."""
    acting = acting_in(request)
    found = (
        MeterExperiment.objects.select_related("project__operator__organisation", "workload__system__site")
        .filter(pk=experiment_id, project__in=_projects(acting))
        .first()
    )
    if found is None:
        raise Unknown("experiment_unknown", "There is no such experiment in your scope. Check the address.")
    form = MappingForm(
        request.POST or None,
        workloads=measuring.workloads_visible(reader_of(acting, acting.view)),
        initial={"workload": found.workload_id, "activity": found.activity, "country": found.country},
    )
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            projects.map_experiment(
                actor=acting.user,
                experiment=found,
                activity=form.cleaned_data["activity"],
                country=form.cleaned_data["country"],
                workload=form.cleaned_data["workload"],
                now=clock.now(),
            )
            messages.success(request, "It was recorded, for the runs that came and those to come.")
            return redirect("meter-experiment", experiment_id)
    site = request.build_absolute_uri("/")
    page = Paginator(meters.runs_of(found), RUNS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "experiment": found,
        "form": form,
        "may_record": may_record(acting, found.project.operator.organisation_id),
        "configuration": snippets.configuration(site, found),
        "python": snippets.python(found),
        "webhook": snippets.configuration(site, found, api=False, webhook=True),
        "page_obj": page,
    }
    return render(request, "registry/meter_experiment.html", context, status=422 if form.errors else 200)


def bodies(request: HttpRequest, run_id: uuid.UUID) -> StreamingHttpResponse:
    """Return what was received of a run, byte for byte, to be saved: evidence for whoever checks it."""
    run = MeterRun.objects.filter(pk=run_id, experiment__project__in=_projects(acting_in(request))).first()
    if run is None:
        raise Unknown("run_unknown", "There is no such run in your scope. Check the address.")
    return StreamingHttpResponse(
        meters.bodies_of(run),
        content_type="application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="run-{run.pk}.jsonl"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _list_page(
    request: HttpRequest, acting: Acting, form: ProjectForm | None = None, take_form: TakeForm | None = None
) -> HttpResponse:
    refused = any(one is not None and one.errors for one in (form, take_form))
    context = {
        "page_obj": Paginator(meters.with_activity(_projects(acting, here=True)), PROJECTS_PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "by_owner": acting.oversees or acting.is_verifier,
        "may_record": acting.trades and acting.has("initiator", "approver"),
        "form": form or _project_form(acting),
        "take_form": take_form or _take_form(acting),
    }
    return render(request, "registry/meters.html", context, status=422 if refused else 200)


def _project_page(
    request: HttpRequest,
    acting: Acting,
    found: MeterProject,
    *,
    site_form: SiteOfProjectForm | None = None,
    experiment_form: ExperimentForm | None = None,
    token_form: ProjectTokenForm | None = None,
    token: ProjectToken | None = None,
    secret: str = "",
) -> HttpResponse:
    reader = reader_of(acting, acting.view)
    refused = any(one is not None and one.errors for one in (site_form, experiment_form, token_form))
    context = {
        "project": found,
        "experiments": meters.experiments_of(found),
        "tokens": found.tokens.select_related("issued_by").order_by("-issued_at", "pk"),
        "may_record": may_record(acting, found.operator.organisation_id),
        "site_form": site_form
        or SiteOfProjectForm(sites=measuring.sites_visible(reader), initial={"site": found.site_id}, prefix="map"),
        "experiment_form": experiment_form
        or ExperimentForm(workloads=measuring.workloads_visible(reader), prefix="experiment"),
        "token_form": token_form or ProjectTokenForm(prefix="token"),
        "new": token,
        "secret": secret,
        "webhook": snippets.webhook_endpoint(request.build_absolute_uri("/"), secret) if secret else "",
    }
    return render(request, "registry/meter.html", context, status=422 if refused else 200)


def _projects(acting: Acting, *, here: bool = False) -> QuerySet[MeterProject]:
    """Return the projects that a person may see; on a list those of the organisation acted for."""
    return meters.projects_visible(reader_of(acting, acting.view if here else acting.scope))


def _project(acting: Acting, project_id: uuid.UUID) -> MeterProject:
    found = _projects(acting).filter(pk=project_id).first()
    if found is None:
        raise Unknown("project_unknown", "There is no such project in your scope. Check the address.")
    return found


def _project_form(acting: Acting, request: HttpRequest | None = None) -> ProjectForm:
    operators = Operator.objects.filter(
        organisation=acting.organisation, scheme__metric=Scheme.Metric.CO2E
    ).select_related("scheme", "organisation")
    return ProjectForm(
        request.POST if request else None,
        operators=operators,
        sites=measuring.sites_visible(reader_of(acting, acting.view)),
        prefix="project",
    )


def _take_form(acting: Acting, request: HttpRequest | None = None) -> TakeForm:
    periods = selectors.reportable_periods(acting.for_organisation()).filter(scheme__metric=Scheme.Metric.CO2E)
    return TakeForm(request.POST if request else None, periods=periods, prefix="take")


def _own_operator(acting: Acting, scheme: Scheme) -> Operator:
    operator = (
        Operator.objects.select_related("organisation", "scheme")
        .filter(organisation=acting.organisation, scheme=scheme)
        .first()
    )
    if operator is None:
        raise Unknown("operator_unknown", "Your organisation is not an operator of this scheme.")
    return operator
