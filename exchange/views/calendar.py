"""The calendar of the regulator: each scheme's year with what is done, late and next; outages and court orders."""

from datetime import datetime

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from common import clock
from common.errors import Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from exchange.forms import ExtensionForm, OutageForm, PeriodForm, SuspensionForm
from exchange.services import calendar
from registry import calendars
from registry.models import DueWork, Period, Scheme
from registry.services import due, outages, schemes, year

OFFICERS = ("desk_officer", "senior_officer")


def calendar_list(request: HttpRequest) -> HttpResponse:
    """Show how the calendar of every scheme stands, and the outages that were recorded."""
    acting = _overseer(request)
    return _list_page(request, acting, OutageForm())


@require_POST
def record_outage(request: HttpRequest) -> HttpResponse:
    """Record an outage, which may move deadlines."""
    acting = _overseer(request)
    form = OutageForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            _, moved = outages.record_outage(
                actor=acting.user,
                began_at=form.cleaned_data["began_at"],
                ended_at=form.cleaned_data["ended_at"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            told = ", ".join(f"{outages.DEADLINES[one.deadline]} of {one.period}" for one in moved)
            moves = f"The deadline moved for {told}." if told else "No deadline moved."
            messages.success(request, f"The outage is recorded. {moves}")
            return redirect("calendar")
    return _list_page(request, acting, form)


def scheme_calendar(request: HttpRequest, code: str) -> HttpResponse:
    """Show one scheme's year, event by event."""
    acting = _overseer(request)
    return _scheme_page(request, acting, _scheme(code))


@require_POST
def suspend(request: HttpRequest, code: str) -> HttpResponse:
    """Stop a scheme by order of a court."""
    acting = _overseer(request)
    found, form = _scheme(code), SuspensionForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            calendar.suspend_scheme(
                actor=acting.user,
                scheme=found,
                trading=form.cleaned_data["trading"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, f"{found} stands. Every clock keeps the time that was left.")
            return redirect("scheme-calendar", code)
    return _scheme_page(request, acting, found, suspension=form)


@require_POST
def resume(request: HttpRequest, code: str) -> HttpResponse:
    """Let a scheme go on with the time that was left."""
    acting = _overseer(request)
    found, form = _scheme(code), ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            calendar.resume_scheme(actor=acting.user, scheme=found, reason=form.cleaned_data["reason"], now=clock.now())
            messages.success(request, f"{found} goes on. Its deadlines moved; a market monitor opens its markets.")
            return redirect("scheme-calendar", code)
    return _scheme_page(request, acting, found, resumption=form)


@require_POST
def extend(request: HttpRequest, code: str) -> HttpResponse:
    """Propose to move a deadline later, for a senior officer to approve."""
    acting = _overseer(request)
    found = _scheme(code)
    form = ExtensionForm(request.POST, periods=_movable(found))
    if form.is_valid():
        with refusals_shown_in(form):
            approval = outages.propose_extension(
                actor=acting.user,
                period=form.cleaned_data["period"],
                deadline=form.cleaned_data["deadline"],
                last_day=form.cleaned_data["last_day"],
                reason=form.cleaned_data["reason"],
                now=clock.now(),
            )
            messages.success(request, "The later deadline was proposed. A senior officer approves it.")
            return redirect("approval", approval.pk)
    return _scheme_page(request, acting, found, extension=form)


@require_POST
def retry_work(request: HttpRequest, work_id: int) -> HttpResponse:
    """Let work that failed be tried again within a minute."""
    acting = _overseer(request)
    work = due.retry(actor=acting.user, work_id=work_id, now=clock.now())
    messages.success(request, "It is tried again within a minute.")
    return redirect("scheme-calendar", work.scheme.code)


def cancel_work(request: HttpRequest, work_id: int) -> HttpResponse:
    """Ask why an event is struck out, and do it."""
    acting = _overseer(request)
    work = DueWork.objects.select_related("scheme", "period__scheme").filter(pk=work_id).first()
    if work is None:
        raise Unknown("work_unknown", "There is no such event. Reload the calendar.")
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            due.cancel(actor=acting.user, work_id=work_id, reason=form.cleaned_data["reason"], now=clock.now())
            messages.success(request, "The event is struck out.")
            return redirect("scheme-calendar", work.scheme.code)
    context = {"work": work, "label": due.label(work.kind), "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "exchange/calendar_cancel.html", context, status=422 if form.errors else 200)


def new_period(request: HttpRequest, code: str) -> HttpResponse:
    """Prepare a period, filled in from the calendar of the rules; an officer may choose other days."""
    acting = _overseer(request)
    found = _scheme(code)
    latest = found.periods.order_by("-year").values_list("year", flat=True).first()
    asked = request.GET.get("year", "")
    chosen = int(asked) if asked.isascii() and asked.isdigit() and len(asked) == 4 else None
    of = chosen or (latest + 1 if latest else clock.now().astimezone(found.tz).year)
    of = min(max(of, 2000), 2199)
    form = PeriodForm(request.POST or None, initial={"year": of, **vars(year.dates_by_rules(found, of))})
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            period = schemes.open_period(
                actor=acting.user,
                scheme=found,
                now=clock.now(),
                **{name: form.cleaned_data[name] for name in PeriodForm.DATES},
            )
            messages.success(request, "The period is prepared. It opens when its cap is published.")
            return redirect("desk-period", period.code)
    context = {"scheme": found, "form": form, "may_act": acting.has(*OFFICERS)}
    return render(request, "exchange/period_new.html", context, status=422 if form.errors else 200)


# The pages ------------------------------------------------------------------------------------------------------------


def _list_page(request: HttpRequest, acting: Acting, form: OutageForm) -> HttpResponse:
    context = {
        "rows": calendars.scheme_years(),
        "outages": calendars.latest_outages()[:20],
        "form": form,
        "may_act": acting.has(*OFFICERS),
    }
    return render(request, "exchange/calendar.html", context, status=422 if form.errors else 200)


def _scheme_page(
    request: HttpRequest,
    acting: Acting,
    found: Scheme,
    suspension: ActForm | None = None,
    resumption: ActForm | None = None,
    extension: ActForm | None = None,
) -> HttpResponse:
    now = clock.now()
    periods = list(found.periods.select_related("scheme").order_by("-year"))
    chosen = next((period for period in periods if period.code == request.GET.get("period")), None)
    events = list(calendars.events_of_scheme(found, chosen)[: calendars.SHOWN])
    forms = (suspension, resumption, extension)
    context = {
        "scheme": found,
        "periods": periods,
        "chosen": chosen,
        "events": [(event, due.label(event.kind), _is_next(event, events, now), _figures(event)) for event in events],
        "suspensions": calendars.suspensions_of(found),
        "stands": any(one.resumed_at is None for one in calendars.suspensions_of(found)),
        "extensions": calendars.extensions_of(periods),
        "suspension_form": suspension or SuspensionForm(auto_id="suspend_%s"),
        "resumption_form": resumption or ReasonForm(auto_id="resume_%s"),
        "extension_form": extension or ExtensionForm(periods=_movable(found), auto_id="extend_%s"),
        "may_act": acting.has(*OFFICERS),
        "may_stop": acting.has("senior_officer"),
    }
    failed = any(form is not None and form.errors for form in forms)
    return render(request, "exchange/calendar_scheme.html", context, status=422 if failed else 200)


def _is_next(event: DueWork, events: list[DueWork], now: datetime) -> bool:
    """Say whether an event is the first that is still to come."""
    return event is next((one for one in events if one.status in {"planned", "paused"} and one.due_at > now), None)


HASH = 64
"""Digits of a sha256, which is shown as it is."""
UNSAID = {year.STOOD, "rules_sha256"}
"""What is kept of a piece of work and means nothing to a reader: the page of the rules shows their hash."""


def _figures(event: DueWork) -> list[tuple[str, object]]:
    """Return what came of an event, in words and figures."""
    if event.status == "failed":
        return [("failed", event.result.get("failure", "")), ("tries", event.attempts)]
    if event.status == "paused":
        return [("left", f"{(event.remaining_s or 0) / 3600:,.1f} hours")]
    return [(name.replace("_", " "), _said(value)) for name, value in event.result.items() if name not in UNSAID]


def _said(value: object) -> object:
    """Write what a piece of work found for people: yes or no, several counts by their names, words without marks."""
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case dict():
            return ", ".join(f"{_said(count)} {str(name).lower().replace('_', ' ')}" for name, count in value.items())
        case list():
            return ", ".join(str(_said(item)) for item in value)
        case str() if len(value) < HASH:
            return value.replace("_", " ")
    return value


def _movable(found: Scheme) -> QuerySet[Period]:
    """Return the periods whose deadlines may still move."""
    letters = Period.objects.filter(compliance_records__occasion="deadline").values("pk")
    return found.periods.exclude(status="closed").exclude(pk__in=letters).select_related("scheme").order_by("-year")


def _scheme(code: str) -> Scheme:
    found = Scheme.objects.filter(code=code).first()
    if found is None:
        raise Unknown("scheme_unknown", "There is no such scheme. Choose one from the list.")
    return found


def _overseer(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting
