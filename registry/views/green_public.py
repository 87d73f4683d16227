"""Two-tier inference for everybody: the register of tariffs, published claims with their evidence, and planning."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common import clock
from common.charts import Chart, Series
from common.errors import Refused, SeveralRefusals
from registry.engine.flexing import Estimate, Sensitivity
from registry.flexing_forms import PlanForm
from registry.models import AvoidedClaim, Tariff
from registry.models.flexing import NOT_A_PERMIT
from registry.services.flexing import claims, planning, tariffs
from registry.services.flexing.planning import Assumptions, Loaded, Planned

PER_PAGE = 50
Result = TypeVar("Result")
SHOWN_BY_HOUR = timedelta(days=7)
"""Claims up to this long are drawn by the hour, longer ones by the day."""
PREFERRED = "CISO:2022"
"""The place of the worked example, where it is loaded."""


# Tariffs and claims ---------------------------------------------------------------------------------------------------


@require_safe
@login_not_required
def tariff_list(request: HttpRequest) -> HttpResponse:
    """List the tariffs in force today beside each other, or every version there ever was."""
    today = clock.now().date()
    everything = request.GET.get("show") == "all"
    rows = tariffs.register().order_by("organisation__name", "name", "-version")
    if not everything:
        rows = tariffs.in_force(rows, today)
    context = {
        "page_obj": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "everything": everything,
        "today": today,
    }
    return render(request, "registry/tariffs.html", context)


@require_safe
@login_not_required
def tariff(request: HttpRequest, tariff_id: uuid.UUID) -> HttpResponse:
    """Show one version of a tariff with the energy, accuracy and latency of its operating points."""
    found = tariffs.tariff_by_id(tariff_id)
    points = sorted(found.points.all(), key=lambda point: point.number)
    full = points[0]
    context = {
        "tariff": found,
        "points": [
            (point, _wh(point.kwh_per_request), point.kwh_per_request / full.kwh_per_request) for point in points
        ],
        "versions": Tariff.objects.filter(organisation=found.organisation, name=found.name).order_by("-version"),
        "claims": claims.public().filter(tariff=found)[:20],
    }
    return render(request, "registry/tariff.html", context)


@require_safe
@login_not_required
def claim_list(request: HttpRequest) -> HttpResponse:
    """List every published claim by its number, withdrawn ones marked."""
    page = Paginator(claims.public(), PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "registry/avoided_claims.html", {"page_obj": page, "not_a_permit": NOT_A_PERMIT})


@require_safe
@login_not_required
def claim(request: HttpRequest, serial: str) -> HttpResponse:
    """Show the evidence of a published claim: its figures, its days, its checks and the verifier's statement."""
    found = claims.public_claim(serial)
    context = {"claim": found, "not_a_permit": NOT_A_PERMIT, **evidence_of(found)}
    return render(request, "registry/avoided_claim.html", context)


def evidence_of(found: AvoidedClaim) -> dict[str, object]:
    """Return what a page shows of a claim's evidence: its days as a table and chart, its checks and its rebound."""
    by_hour = found.ends_at - found.starts_at <= SHOWN_BY_HOUR
    spans: defaultdict[datetime, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for hour, actual, avoided in found.hours.order_by("hour").values_list("hour", "actual_g", "avoided_g"):
        span = hour.astimezone(UTC)
        of_span = spans[span if by_hour else span.replace(hour=0)]
        of_span[0] += actual
        of_span[1] += avoided
    each = "hour" if by_hour else "day"
    chart = Chart(
        key="spans",
        title=f"Emitted and avoided, kg CO2e an {each}" if by_hour else f"Emitted and avoided, kg CO2e a {each}",
        summary=f"{found.avoided_g / 1000:,.1f} kg CO2e were avoided and {found.actual_g / 1000:,.1f} kg emitted.",
        x_label=f"{each.capitalize()} (UTC)",
        series=[Series("Emitted", line="2", draw="bars"), Series("Avoided", line="1", draw="bars")],
        rows=[(span, [round(gram / 1000, 3) for gram in grams]) for span, grams in sorted(spans.items())],
        from_zero=True,
    )
    now = Fraction(found.requests, found.subscribers)
    before = None
    if found.requests_before is not None and found.subscribers_before:
        before = Fraction(found.requests_before, found.subscribers_before)
    return {
        "chart": chart,
        "share": found.avoided_g / found.baseline_g if found.baseline_g else 0,
        "flexed_share": Decimal(found.flexed) / found.requests if found.requests else 0,
        "per_subscriber": round(float(now), 1),
        "per_subscriber_before": None if before is None else round(float(before), 1),
        "rebound": float(now / before - 1) if before else None,
        "versions": AvoidedClaim.objects.values_list("inputs__versions", flat=True).get(pk=found.pk),
    }


def _wh(kwh: Decimal) -> Decimal:
    return (kwh * 1000).normalize()


# Planning -------------------------------------------------------------------------------------------------------------


@require_safe
@login_not_required
def plan(request: HttpRequest) -> HttpResponse:
    """Work out what a green tariff would have done on a year of a grid; the address holds every assumption."""
    form, loaded = _asked(request)
    planned = None
    if loaded is not None:
        planned = _shown_in(form, lambda: planning.plan(loaded, form.assumptions))
    context: dict[str, object] = {
        "form": form,
        "loaded": loaded,
        "planned": planned,
        "address": _address(form),
    }
    if planned is not None:
        price = float(form.assumptions.request_price)
        context |= {
            "rows": [("This plan", planned.asked), *([("The best plan", planned.best)] if planned.best else [])],
            "discounts": [
                (planned.asked.estimated_discount_share(price)),
                planned.best.estimated_discount_share(price) if planned.best else None,
            ],
            "charts": _plan_charts(planned),
        }
    return render(request, "registry/planning.html", context, status=422 if form.errors else 200)


@require_safe
@login_not_required
def sensitivity(request: HttpRequest) -> HttpResponse:
    """Show how a plan answers to each of its assumptions."""
    form, loaded = _asked(request)
    found = None
    if loaded is not None:
        found = _shown_in(form, lambda: planning.sensitivity(loaded, form.assumptions))
    context: dict[str, object] = {"form": form, "loaded": loaded, "found": found, "address": _address(form)}
    if found is not None:
        context |= {"charts": _sensitivity_charts(found), "rows": [_row(each) for each in found]}
    return render(request, "registry/planning_sensitivity.html", context, status=422 if form.errors else 200)


def _asked(request: HttpRequest) -> tuple[PlanForm, Loaded | None]:
    """Read the assumptions of the address over the defaults, and the year of the grid that they are about."""
    now = clock.now()
    places = planning.zones_and_years(now)
    if not places:
        return PlanForm(places=places), None
    names = [f"{zone}:{year}" for zone, year in places]
    filled = QueryDict(mutable=True)
    filled["place"] = PREFERRED if PREFERRED in names else next(iter(names), "")
    for each in fields(Assumptions):
        filled[each.name] = f"{each.default:f}" if isinstance(each.default, Decimal) else str(each.default)
    for name in ("place", *planning.NAMES):
        if name in request.GET:
            filled[name] = request.GET[name]
    form = PlanForm(filled, places=places)
    if not form.is_valid():
        return form, None
    zone, _, year = form.cleaned_data["place"].partition(":")
    loaded: Loaded | None = _shown_in(form, lambda: planning.load(zone, int(year), now))
    return form, loaded


def _shown_in(form: PlanForm, work: Callable[[], Result]) -> Result | None:
    """Do the work, or show why it was refused beside the figures."""
    try:
        return work()
    except SeveralRefusals as several:
        form.refuse(several.refusals)
    except Refused as refusal:
        form.refuse((refusal,))
    return None


def _address(form: PlanForm) -> str:
    return form.data.urlencode() if isinstance(form.data, QueryDict) else ""


def _plan_charts(planned: Planned) -> list[Chart]:
    """Chart what each number of high-carbon hours would have done, and the year's mean day of the grid."""
    by_hours = planned.by_hours
    days = planned.loaded.grid.days
    mean = [sum(day[hour] for day in days) / len(days) for hour in range(24)]
    charts = [
        Chart(
            key="day",
            title="The grid over the mean day, g CO2e/kWh",
            summary=f"The mean day of {planned.loaded.zone} goes from {min(mean):.0f} to {max(mean):.0f} g CO2e/kWh.",
            x_label="Hour (UTC)",
            series=[Series("Intensity", line="4")],
            rows=[(hour, [_rounded(value, 1)]) for hour, value in enumerate(mean)],
            x_kind="number",
            from_zero=True,
        )
    ]
    if by_hours:
        last = by_hours[-1]
        charts += [
            Chart(
                key="avoided",
                title="Avoided by hours a day, per cent",
                summary=f"With {last.offer.hours_per_day} hours a day {last.estimated_share:.1%} would be avoided.",
                x_label="High-carbon hours a day",
                series=[Series("Avoided", line="3")],
                rows=[(each.offer.hours_per_day, [_rounded(100 * each.estimated_share, 3)]) for each in by_hours],
                x_kind="number",
                from_zero=True,
            ),
            Chart(
                key="margin",
                title="Saving and discount by hours a day",
                summary=f"With {last.offer.hours_per_day} hours a year's margin is {last.estimated_margin:,.0f}.",
                x_label="High-carbon hours a day",
                series=[Series("Saving", line="1"), Series("Discount needed", line="2"), Series("Margin", line="3")],
                rows=[
                    (
                        each.offer.hours_per_day,
                        [
                            _rounded(value, 2)
                            for value in (each.estimated_saving, each.estimated_discount, each.estimated_margin)
                        ],
                    )
                    for each in by_hours
                ],
                x_kind="number",
            ),
        ]
    return charts


def _sensitivity_charts(found: Sequence[Sensitivity]) -> list[Chart]:
    by_code = {each.code: each for each in found}
    hours = by_code["hours_per_day"]
    avoided = [by_code[code] for code in ("green_share", "energy")]
    prices = [by_code[code] for code in ("electricity_per_kwh", "co2_per_tonne", "compute_per_exaflop")]
    return [
        _over_change(
            "by-change", "Avoided when one figure changes, per cent", avoided, lambda r: 100 * r.estimated_share, 3
        ),
        _over_change("by-price", "Margin of the year when one price changes", prices, lambda r: r.estimated_margin, 2),
        Chart(
            key="by-hours",
            title="Avoided by high-carbon hours a day, per cent",
            summary=f"From one hour to {len(hours.steps)} hours a day what is avoided moves by "
            f"{100 * hours.estimated_swing:.1f} points.",
            x_label="High-carbon hours a day",
            series=[Series("Avoided", line="3")],
            rows=[(int(s.estimated_value), [_rounded(100 * s.result.estimated_share, 3)]) for s in hours.steps],
            x_kind="number",
            from_zero=True,
        ),
    ]


def _over_change(
    key: str, title: str, found: Sequence[Sensitivity], value: Callable[[Estimate], float], places: int
) -> Chart:
    """Chart assumptions over the same changes in per cent; a value that makes no sense is left out."""
    changes = sorted({step.percent for each in found for step in each.steps if step.percent is not None})
    told = [{step.percent: step.result for step in each.steps} for each in found]
    widest = max(found, key=lambda each: abs(value(each.steps[-1].result) - value(each.steps[0].result)))
    return Chart(
        key=key,
        title=title,
        summary=f"Of these {widest.label.lower()} moves it most.",
        x_label="Change, per cent",
        series=[Series(each.label, line=("1", "2", "3", "4")[place]) for place, each in enumerate(found)],
        rows=[
            (change, [_rounded(value(of[change]), places) if change in of else None for of in told])
            for change in changes
        ],
        x_kind="number",
    )


def _row(each: Sensitivity) -> dict[str, object]:
    """One assumption as the table shows it: its lowest and highest value with what follows from each."""
    first, last = each.steps[0], each.steps[-1]
    return {
        "label": each.label,
        "symbol": each.symbol,
        "first": first,
        "last": last,
        "swing": 100 * each.estimated_swing,
        "margin_swing": each.estimated_margin_swing,
        "steps": each.steps,
    }


def _rounded(value: float, places: int) -> Decimal:
    return round(Decimal(value), places)
