"""Sites and what runs there: the list, a site with its PUE by year, and the acts of the firm's reporters."""

import uuid
from collections import defaultdict

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Prefetch, Q
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.selectors import Scope
from common import clock
from common.downloads import streamed_file
from common.errors import Unknown
from common.forms import ActForm, refusals_shown_in
from registry import measuring
from registry.measuring import Reader
from registry.models import Site, SitePue, System
from registry.monitoring_forms import ClosingForm, NewSiteForm, NewSystemForm, PueForm, SiteForm
from registry.services.drafting import evidence
from registry.services.monitoring import sites, systems

SITES_PER_PAGE = 20


def reader_of(acting: Acting, scope: Scope) -> Reader:
    """Return for whom rows are read, with the organisations that appointed the verifier one acts for."""
    return Reader(scope, acting.organisation if acting.is_verifier else None)


def may_record(acting: Acting, owner_id: uuid.UUID) -> bool:
    """Say whether the page offers the acts of a reporter on what an organisation owns."""
    return (
        acting.trades
        and acting.organisation is not None
        and acting.organisation.pk == owner_id
        and acting.has("initiator", "approver")
    )


def site_list(request: HttpRequest) -> HttpResponse:
    """Show the sites in view, each with its systems and the PUE that counts for last year."""
    acting = acting_in(request)
    year = clock.now().year - 1  # the last one that is over: its PUE can be known
    running = System.objects.annotate(running=Count("workloads", filter=Q(workloads__ended_on__isnull=True)))
    rows = measuring.sites_visible(reader_of(acting, acting.view)).prefetch_related(
        Prefetch("systems", queryset=running.order_by("closed_on", "name"))
    )
    page = Paginator(rows, SITES_PER_PAGE).get_page(request.GET.get("page"))
    counted = sites.pues([site.pk for site in page.object_list], year)
    context = {
        "page_obj": page,
        "shown": [(site, *counted[site.pk]) for site in page.object_list],
        "year": year,
        "may_record": acting.trades and acting.has("initiator", "approver"),
        "by_owner": acting.oversees or acting.is_verifier,
    }
    return render(request, "registry/sites.html", context)


def new_site(request: HttpRequest) -> HttpResponse:
    """Record a site."""
    acting = acting_in(request)
    organisation = acting.for_organisation()
    form = NewSiteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            site = sites.open_site(
                actor=acting.user,
                organisation=organisation,
                name=form.cleaned_data["name"],
                country=form.cleaned_data["country"],
                zone=form.cleaned_data["zone"],
                opened_on=form.cleaned_data["opened_on"],
                now=clock.now(),
            )
            messages.success(request, f"{site.name} was added. Add the systems that run there.")
            return redirect("site", site.pk)
    context = {"form": form, "may_record": may_record(acting, organisation.pk)}
    return render(request, "registry/site_new.html", context, status=422 if form.errors else 200)


def site(request: HttpRequest, site_id: uuid.UUID) -> HttpResponse:
    """Show a site: its place, its PUE by year, and its systems."""
    return _page(request, _one(request, site_id))


@require_POST
def change(request: HttpRequest, site_id: uuid.UUID) -> HttpResponse:
    """Put the name or the place right."""
    found = _one(request, site_id)
    form = SiteForm(request.POST, prefix="change")
    if form.is_valid():
        with refusals_shown_in(form):
            sites.change_site(
                actor=acting_in(request).user,
                site=found,
                name=form.cleaned_data["name"],
                country=form.cleaned_data["country"],
                zone=form.cleaned_data["zone"],
                now=clock.now(),
            )
            messages.success(request, "Changed.")
            return redirect("site", found.pk)
    return _page(request, found, change_form=form)


@require_POST
def close(request: HttpRequest, site_id: uuid.UUID) -> HttpResponse:
    """Record that a site runs no more."""
    found = _one(request, site_id)
    form = ClosingForm(request.POST, prefix="close")
    if form.is_valid():
        with refusals_shown_in(form):
            sites.close_site(
                actor=acting_in(request).user, site=found, closed_on=form.cleaned_data["closed_on"], now=clock.now()
            )
            messages.success(request, f"{found.name} is closed, with its systems and workloads.")
            return redirect("site", found.pk)
    return _page(request, found, close_form=form)


@require_POST
def record_pue(request: HttpRequest, site_id: uuid.UUID) -> HttpResponse:
    """Record the PUE of a year."""
    found = _one(request, site_id)
    form = PueForm(request.POST, request.FILES, prefix="pue")
    if form.is_valid():
        with refusals_shown_in(form):
            record = sites.record_pue(
                actor=acting_in(request).user,
                site=found,
                year=form.cleaned_data["year"],
                value=form.cleaned_data["value"],
                proof=form.cleaned_data["proof"],
                now=clock.now(),
            )
            value, _ = sites.counted(record)
            messages.success(request, f"Recorded. For {record.year}, {value.normalize():f} counts.")
            return redirect("site", found.pk)
    return _page(request, found, pue_form=form)


def new_system(request: HttpRequest, site_id: uuid.UUID) -> HttpResponse:
    """Record a system at a site."""
    found = _one(request, site_id)
    form = NewSystemForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            facts = {name: value for name, value in form.cleaned_data.items() if name != "key"}
            system = systems.open_system(actor=acting_in(request).user, site=found, now=clock.now(), **facts)
            messages.success(request, f"{system.name} was added. Your monitoring plan has to cover it.")
            return redirect("system", system.pk)
    context = {"form": form, "site": found, "may_record": may_record(acting_in(request), found.organisation_id)}
    return render(request, "registry/system_new.html", context, status=422 if form.errors else 200)


def pue_proof(request: HttpRequest, site_id: uuid.UUID, record_id: int) -> StreamingHttpResponse:
    """Return the file that proves a PUE, to be saved and never shown."""
    found = _one(request, site_id)
    record = SitePue.objects.select_related("evidence").filter(site=found, pk=record_id).first()
    if record is None or record.evidence is None:
        raise Unknown("file_unknown", "There is no such file. Check the address.")
    return streamed_file(record.evidence.name, evidence.read(record.evidence), record.evidence.size)


def _page(request: HttpRequest, found: Site, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    now = clock.now()
    by_year: defaultdict[int, list[SitePue]] = defaultdict(list)
    for record in found.pues.select_related("evidence", "recorded_by").order_by("-year", "-id"):
        by_year[record.year].append(record)
    running = Count("workloads", filter=Q(workloads__ended_on__isnull=True))
    context = {
        "site": found,
        "pues": [(year, sites.counted(records[0]), records) for year, records in by_year.items()],
        "last_year": now.year - 1,
        "counts_last_year": sites.counted(next(iter(by_year.get(now.year - 1, ())), None)),
        "systems": found.systems.annotate(running=running).order_by("closed_on", "name"),
        "may_record": may_record(acting, found.organisation_id),
        "change_form": SiteForm(
            prefix="change", initial={"name": found.name, "country": found.country, "zone": found.zone}
        ),
        "close_form": ClosingForm(prefix="close", initial={"closed_on": now.date()}),
        "pue_form": PueForm(prefix="pue", initial={"year": now.year - 1}),
        **forms,
    }
    return render(request, "registry/site.html", context, status=422 if forms else 200)


def _one(request: HttpRequest, site_id: uuid.UUID) -> Site:
    acting = acting_in(request)
    found = measuring.sites_visible(reader_of(acting, acting.scope)).filter(pk=site_id).first()
    if found is None:
        raise Unknown("site_unknown", "There is no such site in your scope. Check the address.")
    return found
