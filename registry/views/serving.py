"""Serving records on pages: delivering them, which hours are missing, a stream by its hours, and the way to a draft."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.acting import Acting, acting_in
from common import clock
from common.charts import Chart, Series
from common.downloads import csv_file, stored_file
from common.errors import Unknown
from common.forms import refusals_shown_in
from registry import selectors
from registry.engine.grid import hour_at, hour_number, ranges
from registry.engine.grid.units import rounded
from registry.grid_forms import RecordsForm, TakeForm
from registry.importers import serving as tables
from registry.importers.table import RowError
from registry.models import Operator, ServingBatch, Workload
from registry.services.drafting import evidence
from registry.services.grid import serving, taking
from registry.services.grid.serving import StreamFigures
from registry.services.reports import RowsRefused
from registry.views.sites import reader_of

REPORTERS = ("initiator", "approver")
SHOWN_ERRORS = 200
SHOWN_BATCHES = 20
SHOWN_GAPS = 100
PER_PAGE = 50
FIRST_YEAR, LAST_YEAR = 2000, 2200
PICO_GRAMS_PER_KG = 10**21
"""Hourly products are in 10^-12 kWh x 10^-6 g per kWh."""


@dataclass(frozen=True)
class Row:
    """One stream on the list, with its figures of a year where it has any."""

    workload: Workload
    figures: Sequence[StreamFigures]

    @property
    def missing(self) -> int:
        """Hours without a record."""
        return sum(len(one.missing) for one in self.figures)

    @property
    def energy_kwh(self) -> Decimal:
        """What it drew."""
        return sum((one.result.energy_kwh for one in self.figures), Decimal(0))

    @property
    def kilograms(self) -> Decimal:
        """What it emitted, hour by hour."""
        return rounded(sum((Fraction(one.result.grams) for one in self.figures), Fraction(0)) / 1000, 3)


def stream_list(request: HttpRequest) -> HttpResponse:
    """Show the streams in view with what they drew and emitted in a year, and take in records."""
    acting = acting_in(request)
    form = RecordsForm(request.POST or None, request.FILES or None)
    if request.method != "POST" or not form.is_valid():
        return _list_page(request, acting, form)
    name, content = form.cleaned_data["file"]
    with refusals_shown_in(form):
        try:
            batch = serving.receive_file(
                actor=acting.user,
                organisation=acting.for_organisation(),
                name=name,
                content=content,
                key_id=form.cleaned_data["key_id"].strip(),
                signature=form.cleaned_data["signature"].strip(),
                now=clock.now(),
            )
        except RowsRefused as refused:
            return _list_page(request, acting, form, refused.errors)
        messages.success(request, f"{batch.rows:,} records were taken; {batch.restated:,} hours were told again.")
        return redirect("serving")
    return _list_page(request, acting, form)


@require_POST
def take(request: HttpRequest) -> HttpResponse:
    """Put the figures of a period into the draft of its report."""
    acting = acting_in(request)
    form = TakeForm(request.POST, periods=selectors.reportable_periods(acting.for_organisation()))
    if form.is_valid():
        period = form.cleaned_data["period"]
        with refusals_shown_in(form):
            operator = Operator.objects.select_related("organisation", "scheme").get(
                organisation=acting.for_organisation(), scheme=period.scheme_id
            )
            taking.take_into_draft(actor=acting.user, operator=operator, period=period, now=clock.now())
            messages.success(request, f"The figures of the streams are in the draft for {period}.")
            return redirect("serving")
    return _list_page(request, acting, RecordsForm(), take_form=form)


@require_safe
def template(request: HttpRequest) -> HttpResponse:
    """Return an empty table of records with one row as an example of each stream."""
    acting = acting_in(request)
    streams = _streams(acting)[:500]
    rows = [(one.name, "2027-01-31T23:00Z", one.system.site.zone, "full", "fp16", 0, 0, 0) for one in streams]
    return csv_file("serving-records", tables.COLUMNS, rows)


@require_safe
def batch_file(request: HttpRequest, batch_id: int) -> HttpResponse:
    """Return the file of a batch, to be saved."""
    acting = acting_in(request)
    reader = reader_of(acting, acting.scope)
    batch = reader.filter(ServingBatch.objects.select_related("file"), "organisation").filter(pk=batch_id).first()
    if batch is None:
        raise Unknown("batch_unknown", "There is no such batch in your scope. Check the address.")
    return stored_file(batch.file.name, evidence.read_all(batch.file))


@require_safe
def stream(request: HttpRequest, workload_id: uuid.UUID) -> HttpResponse:
    """Show a stream's year: hour by hour and by the average, month by month, and every hour that is missing."""
    acting = acting_in(request)
    reader = reader_of(acting, acting.scope)
    workload = reader.filter(serving.all_streams(), "system__site__organisation").filter(pk=workload_id).first()
    if workload is None:
        raise Unknown("stream_unknown", "There is no such stream in your scope. Check the address.")
    now = clock.now()
    year = _year(request, now)
    figures = serving.figures_of_year([workload], year, now)
    missing = [gap for one in figures for gap in ranges(one.missing)]
    batches = ServingBatch.objects.filter(records__workload=workload).select_related("received_by").distinct()
    context = {
        "workload": workload,
        **_years(year),
        "figures": figures,
        "charts": [_by_month(figures), _by_hour(figures)] if figures else [],
        "missing": [(hour_at(first), hour_at(until), until - first) for first, until in missing[:SHOWN_GAPS]],
        "missing_hours": sum(until - first for first, until in missing),
        "gap_count": len(missing),
        "filled": [(one.zone, fill.says, count) for one in figures for fill, count in one.result.fills],
        "batches": batches.order_by("-id")[:SHOWN_BATCHES],
    }
    return render(request, "registry/stream.html", context)


def _list_page(
    request: HttpRequest,
    acting: Acting,
    form: RecordsForm,
    errors: Sequence[RowError] = (),
    take_form: TakeForm | None = None,
) -> HttpResponse:
    now = clock.now()
    year = _year(request, now)
    page = Paginator(_streams(acting), PER_PAGE).get_page(request.GET.get("page"))
    streams = list(page)
    by_stream: defaultdict[uuid.UUID, list[StreamFigures]] = defaultdict(list)
    for one in serving.figures_of_year(streams, year, now):
        by_stream[one.workload.pk].append(one)
    periods = selectors.reportable_periods(acting.organisation) if acting.organisation and acting.trades else None
    batches = reader_of(acting, acting.view).filter(
        ServingBatch.objects.select_related("received_by", "organisation"), "organisation"
    )
    may_act = acting.trades and acting.has(*REPORTERS)
    context = {
        "form": form,
        "take_form": take_form or (TakeForm(periods=periods) if periods is not None and periods.exists() else None),
        "page_obj": page,
        "rows": [Row(one, by_stream[one.pk]) for one in streams],
        **_years(year),
        "batches": batches.order_by("-id")[:SHOWN_BATCHES],
        "errors": errors[:SHOWN_ERRORS],
        "error_count": len(errors),
        "may_act": may_act,
        "shows_organisation": not acting.trades,
        "columns": tables.COLUMNS,
    }
    wrong = errors or form.errors or (take_form is not None and take_form.errors)
    return render(request, "registry/serving.html", context, status=422 if wrong else 200)


def _streams(acting: Acting) -> QuerySet[Workload]:
    rows = reader_of(acting, acting.view).filter(serving.all_streams(), "system__site__organisation")
    return rows.order_by("system__site__organisation__name", "name", "pk")


def _years(year: int) -> dict[str, str]:
    """Return a year and those beside it as the page writes them: without separators."""
    return {"year": str(year), "year_before": str(year - 1), "year_after": str(year + 1)}


def _year(request: HttpRequest, now: datetime) -> int:
    """Return the year that was asked for, or the present one."""
    text = request.GET.get("year", "")
    year = int(text) if len(text) == 4 and text.isascii() and text.isdigit() else now.year
    return year if FIRST_YEAR <= year <= LAST_YEAR else now.year


# Charts ---------------------------------------------------------------------------------------------------------------


def _by_month(figures: Sequence[StreamFigures]) -> Chart:
    sums = _sums(figures, lambda hour: hour.month)
    return Chart(
        key="by-month",
        title="Emissions by month, kg CO2e",
        summary=_difference(figures),
        x_label="Month",
        series=(Series("Hour by hour", "1"), Series("By the average", "2")),
        rows=sums,
        x_kind="number",
        from_zero=True,
    )


def _by_hour(figures: Sequence[StreamFigures]) -> Chart:
    return Chart(
        key="by-hour",
        title="Emissions by hour of the day (UTC), kg CO2e",
        summary=_difference(figures),
        x_label="Hour (UTC)",
        series=(Series("Hour by hour", "1"), Series("By the average", "2")),
        rows=_sums(figures, lambda hour: hour.hour),
        x_kind="number",
        from_zero=True,
    )


def _sums(
    figures: Sequence[StreamFigures], key: Callable[[datetime], int]
) -> list[tuple[int, tuple[Decimal, Decimal]]]:
    """Add up kilograms by hour and by the average, for each month or hour of the day."""
    hourly: defaultdict[int, int] = defaultdict(int)
    average: defaultdict[int, Fraction] = defaultdict(Fraction)
    for one in figures:
        offset = hour_number(one.energy.start) - one.intensity.first
        drawn: defaultdict[int, int] = defaultdict(int)
        for place, pico in enumerate(one.energy.pico_kwh):
            of = key(hour_at(one.since + place))
            hourly[of] += pico * one.intensity.micro_g_per_kwh[place + offset]
            drawn[of] += pico
        mean = one.intensity.mean()
        for of, pico in drawn.items():
            average[of] += pico * mean
    return [
        (
            of,
            (
                rounded(Fraction(hourly[of], PICO_GRAMS_PER_KG), 3),
                rounded(average[of] / PICO_GRAMS_PER_KG, 3),
            ),
        )
        for of in sorted(hourly)
    ]


def _difference(figures: Sequence[StreamFigures]) -> str:
    hourly = sum((Fraction(one.result.grams) for one in figures), Fraction(0))
    average = sum((Fraction(one.result.annual_grams) for one in figures), Fraction(0))
    if not hourly:
        return "Nothing was emitted."
    percent = rounded(abs(average / hourly - 1) * 100, 1)
    return f"The average gives {percent} % {'more' if average > hourly else 'less'} than the hours do."
