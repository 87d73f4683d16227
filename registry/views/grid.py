"""Grid factors on pages: the sets for everybody, one zone drawn by hour and month, and the desk that loads them."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from accounts.acting import Acting, acting_in
from common import clock
from common.charts import Chart, Series
from common.downloads import table_file
from common.errors import require_permission
from common.forms import refusals_shown_in
from registry.engine.grid import Profile, by_hour_of_day, by_month
from registry.grid_forms import FactorSetForm
from registry.importers.table import RowError
from registry.models import FactorSet
from registry.services.grid import intensities
from registry.services.reports import RowsRefused

OFFICERS = ("desk_officer", "senior_officer")
SHOWN_ERRORS = 200
PER_PAGE = 50


@require_safe
@login_not_required
def set_list(request: HttpRequest) -> HttpResponse:
    """List the sets of grid factors, of each code the latest version."""
    latest = FactorSet.objects.select_related("publication").order_by("code", "-version").distinct("code")
    page = Paginator(latest, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "registry/factor_sets.html", {"page_obj": page})


@require_safe
@login_not_required
def factor_set(request: HttpRequest, code: str, version: int | None = None) -> HttpResponse:
    """Show one set with its qualifiers, its zones or years, and its other versions."""
    found = intensities.factor_set(code, version)
    page = Paginator(sorted(found.zones.items()), PER_PAGE).get_page(request.GET.get("page"))
    years = found.years.filter(zone__in=[zone for zone, _ in page]).order_by("year")
    latest = dict(years.values_list("zone", "g_per_kwh"))  # the last year stays
    context = {
        "set": found,
        "page_obj": page,
        "zones": [(zone, {**span, "latest": latest.get(zone)}) for zone, span in page],
        "versions": FactorSet.objects.filter(code=code).select_related("publication").order_by("-version"),
    }
    return render(request, "registry/factor_set.html", context)


@require_safe
@login_not_required
def zone(request: HttpRequest, code: str, version: int, zone: str) -> HttpResponse:
    """Draw the hours of one zone: the mean by hour of the day and by month, between the lowest and the highest."""
    found = intensities.factor_set(code, version)
    hours = intensities.hours_of(found, zone)
    known = [(hour, value) for hour, value in hours if value is not None]
    context = {
        "set": found,
        "zone": zone,
        "span": found.zones[zone],
        "known": len(known),
        "mean": sum((value for _, value in known), Decimal(0)) / len(known) if known else None,
        "by_hour": _profile(by_hour_of_day(known), "by-hour", "By hour of the day", "Hour (UTC)"),
        "by_month": _profile(by_month(known), "by-month", "By month", "Month"),
    }
    return render(request, "registry/factor_zone.html", context)


@require_safe
@login_not_required
def zone_file(request: HttpRequest, code: str, version: int, zone: str, kind: Literal["csv", "json"]) -> HttpResponse:
    """Return every hour of a zone as it was loaded; a missing one is empty."""
    found = intensities.factor_set(code, version)
    rows = [(zone, hour, value) for hour, value in intensities.hours_of(found, zone)]
    return table_file(kind, f"{found.code}-v{found.version}-{zone}", ("zone", "datetime_utc", "gco2e_per_kwh"), rows)


def desk(request: HttpRequest) -> HttpResponse:
    """Show the desk every version that was loaded, and load a file."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors may open this page.")
    form = FactorSetForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _desk_page(request, acting, form)
    _, content = form.cleaned_data["file"]
    load = intensities.load_hourly if form.cleaned_data["resolution"] == "hour" else intensities.load_annual
    with refusals_shown_in(form):
        try:
            made = load(
                actor=acting.user,
                code=form.cleaned_data["code"].strip(),
                qualifiers=form.qualifiers(),
                content=content,
                now=clock.now(),
            )
        except RowsRefused as refused:
            return _desk_page(request, acting, form, refused.errors)
        waits = (
            " Another officer publishes it, under Approvals." if made.for_obligations and not made.published_at else ""
        )
        messages.success(request, f"{made} is loaded: {made.rows:,} rows.{waits}")
        return redirect("factor-set-version", made.code, made.version)
    return _desk_page(request, acting, form)


def _desk_page(
    request: HttpRequest, acting: Acting, form: FactorSetForm, errors: Sequence[RowError] = ()
) -> HttpResponse:
    sets = FactorSet.objects.select_related("loaded_by", "publication").order_by("-loaded_at", "code", "-version")
    context = {
        "form": form,
        "page_obj": Paginator(sets, PER_PAGE).get_page(request.GET.get("page")),
        "errors": errors[:SHOWN_ERRORS],
        "error_count": len(errors),
        "may_act": acting.kind == "regulator" and acting.has(*OFFICERS),
    }
    return render(request, "registry/desk_factors.html", context, status=422 if errors or form.errors else 200)


def _profile(profiles: list[Profile], key: str, title: str, x_label: str) -> Chart:
    """Draw a profile; the numbers of the hours or months are the scale."""
    if not profiles:
        return Chart(key, title, "No hour of this zone is known.", x_label, (), ())
    lowest, highest = min(profiles, key=lambda one: one.mean), max(profiles, key=lambda one: one.mean)
    word = "hour" if key == "by-hour" else "month"
    return Chart(
        key=key,
        title=f"{title}, g CO2e per kWh",
        summary=f"The mean is lowest in {word} {lowest.of} with {lowest.mean} g per kWh and highest in {word} "
        f"{highest.of} with {highest.mean}.",
        x_label=x_label,
        series=(Series("Mean", "1"), Series("Lowest", "2"), Series("Highest", "3")),
        rows=[(one.of, (one.mean, one.lowest, one.highest)) for one in profiles],
        x_kind="number",
        from_zero=True,
    )
