"""Two-tier inference for those who act: a firm's tariffs, forecasts, flex events and claims; the verifier's word."""

import json
import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.acting import Acting, acting_in
from common import clock
from common.downloads import stored_file
from common.errors import Unknown, require_permission
from common.forms import ReasonForm, refusals_shown_in
from registry.engine.canonical import canonical_json
from registry.flexing_forms import AttestForm, ClaimForm, EventsForm, ForecastForm, TariffEndForm, TariffForm
from registry.models import CLAIM, AvoidedClaim, FlexEvent, Forecast, SigningKey, Tariff
from registry.models.flexing import NOT_A_PERMIT
from registry.services.flexing import claims, events, forecasts, tariffs
from registry.services.verifying import keys
from registry.views.green_public import evidence_of

PER_PAGE = 50
SHOWN = 8
"""Rows of each list on the overview."""


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show the organisation's tariffs, its latest forecasts and flex events, and the claims in view."""
    acting = acting_in(request)
    own = acting.view
    latest = list(_events(acting)[:SHOWN])
    high = events.was_high(latest)
    context = {
        "tariffs": own.filter(tariffs.register(), "organisation")[:SHOWN],
        "forecasts": _forecasts(acting)[:SHOWN],
        "events": [(event, high[event.pk]) for event in latest],
        "claims": _claims(acting)[:SHOWN],
        "may_act": _may_act(acting),
        "today": clock.now().date(),
    }
    return render(request, "registry/green.html", context)


# Tariffs --------------------------------------------------------------------------------------------------------------


def new_tariff(request: HttpRequest) -> HttpResponse:
    """Publish a tariff or its next version."""
    acting = acting_in(request)
    form = TariffForm(request.POST or None, initial={"valid_from": clock.now().date()})
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        with refusals_shown_in(form):
            made = tariffs.publish_tariff(
                actor=acting.user,
                organisation=acting.for_organisation(),
                name=said["name"],
                offered=form.offered,
                valid_from=said["valid_from"],
                valid_until=said["valid_until"],
                now=clock.now(),
            )
            messages.success(request, f"{made.name} v{made.version} is in the public register.")
            return redirect("tariff", made.pk)
    return _form_page(request, acting, form, "New tariff", "Publish in the register", _TARIFF_LEAD)


def end_tariff(request: HttpRequest, tariff_id: uuid.UUID) -> HttpResponse:
    """Give a tariff its last day."""
    acting = acting_in(request)
    found = acting.scope.filter(tariffs.register(), "organisation").filter(pk=tariff_id).first()
    if found is None:
        raise Unknown("tariff_unknown", "There is no such tariff of yours. Compare the register.")
    form = TariffEndForm(request.POST or None, initial={"last_day": clock.now().date()})
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            tariffs.end_tariff(actor=acting.user, tariff=found, last_day=form.cleaned_data["last_day"], now=clock.now())
            messages.success(request, "The last day is in the public register.")
            return redirect("tariff", found.pk)
    lead = "A last day that is published stands. Subscribers read it in the register."
    return _form_page(request, acting, form, f"End {found.name} v{found.version}", "Publish the last day", lead)


# Forecasts and events -------------------------------------------------------------------------------------------------


def forecast_list(request: HttpRequest) -> HttpResponse:
    """List the forecasts of the organisation and take a new one."""
    acting = acting_in(request)
    form = ForecastForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        with refusals_shown_in(form):
            made = forecasts.publish_forecast(
                actor=acting.user,
                organisation=acting.for_organisation(),
                zone=said["zone"].strip(),
                day=said["day"],
                values=said["values"],
                source=said["source"],
                now=clock.now(),
            )
            messages.success(request, f"The forecast for {made} was received at {made.published_at:%H:%M:%S} UTC.")
            return redirect("flex-forecasts")
    context = {
        "form": form,
        "page_obj": Paginator(_forecasts(acting), PER_PAGE).get_page(request.GET.get("page")),
        "may_act": _may_act(acting),
    }
    return render(request, "registry/green_forecasts.html", context, status=422 if form.errors else 200)


def event_list(request: HttpRequest) -> HttpResponse:
    """List the flex events of the organisation and record new ones."""
    acting = acting_in(request)
    form = EventsForm(request.POST or None, **_choices(acting))
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        with refusals_shown_in(form):
            made = events.record_events(
                actor=acting.user, tariff=said["tariff"], workload=said["workload"], told=said["told"], now=clock.now()
            )
            messages.success(request, f"{len(made):,} events were recorded.")
            return redirect("flex-events")
    page = Paginator(_events(acting), PER_PAGE).get_page(request.GET.get("page"))
    high = events.was_high(list(page))
    context = {
        "form": form,
        "page_obj": page,
        "events": [(event, high[event.pk]) for event in page],
        "may_act": _may_act(acting),
    }
    return render(request, "registry/green_events.html", context, status=422 if form.errors else 200)


# Claims ---------------------------------------------------------------------------------------------------------------


@require_safe
def claim_list(request: HttpRequest) -> HttpResponse:
    """List the claims in view: one's own, those handed to the verifier, or all for the regulator."""
    acting = acting_in(request)
    rows = _claims(acting)
    status = request.GET.get("status", "")
    if status in CLAIM.states:
        rows = rows.filter(status=status)
    context = {
        "page_obj": Paginator(rows, PER_PAGE).get_page(request.GET.get("page")),
        "status": status,
        "statuses": CLAIM.states,
        "may_act": _may_act(acting),
    }
    return render(request, "registry/green_claims.html", context)


def new_claim(request: HttpRequest) -> HttpResponse:
    """Work a claim out with every check; draft it once all of them hold."""
    acting = acting_in(request)
    form = ClaimForm(request.POST or None, **_choices(acting))
    judged = None
    if request.method == "POST" and form.is_valid():
        now = clock.now()
        with refusals_shown_in(form):
            if "draft" in request.POST:
                claim = claims.draft_claim(actor=acting.user, asked=form.asked, now=now)
                messages.success(request, "The draft was kept with its inputs. Submit it to the verifier.")
                return redirect("flex-claim", claim.pk)
            judged = claims.assess_claim(actor=acting.user, asked=form.asked, now=now)
    figures = judged.figures if judged is not None else None
    context = {
        "form": form,
        "judged": judged,
        "figures": figures,
        "baseline": claims.grams(figures.baseline_ug) if figures else None,
        "actual": claims.grams(figures.actual_ug) if figures else None,
        "avoided": claims.grams(figures.avoided_ug) if figures else None,
        "energy": claims.grams(figures.energy_ug) if figures else None,
        "timing": claims.grams(figures.timing_ug) if figures else None,
        "not_credited": claims.grams(figures.not_credited_ug) if figures else None,
        "share": figures.share if figures else None,
        "may_act": _may_act(acting),
        "not_a_permit": NOT_A_PERMIT,
    }
    return render(request, "registry/green_claim_new.html", context, status=422 if form.errors else 200)


@require_safe
def claim(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Show a claim with its evidence, and what one may do with it."""
    acting = acting_in(request)
    return _claim_page(request, acting, _claim(acting, claim_id))


@require_safe
def claim_inputs(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Return the frozen inputs: the bytes whose hash the claim names."""
    found = _claim(acting_in(request), claim_id)
    return stored_file(f"claim-{found.pk}.json", canonical_json(found.inputs))


@require_POST
def claim_document(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Return the document that a verifier signs outside, with the findings as they are typed."""
    acting = acting_in(request)
    found = _claim(acting, claim_id)
    verifier = claims.appointment_of(acting.user, found).verifier
    document = claims.statement_document(found, verifier, request.POST.get("findings", ""))
    return stored_file(f"statement-{found.pk}.json", canonical_json(document))


@require_POST
def submit_claim(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Hand a draft to the verifier."""
    acting = acting_in(request)
    form = ReasonForm(request.POST)
    found = _claim(acting, claim_id)
    with refusals_shown_in(form):
        claims.submit_claim(actor=acting.user, claim=found, now=clock.now())
        messages.success(request, "The claim is with the verifier.")
        return redirect("flex-claim", claim_id)
    return _claim_page(request, acting, found, refused=form)


@require_POST
def attest_claim(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Sign a claim as its verifier."""
    acting = acting_in(request)
    found = _claim(acting, claim_id)
    form = AttestForm(request.POST, keys=_keys(acting))
    if form.is_valid():
        said = form.cleaned_data
        with refusals_shown_in(form):
            claims.attest_claim(
                actor=acting.user,
                claim=found,
                findings=said["findings"],
                key_id=said["key_id"],
                passphrase=said["passphrase"],
                signature=said["signature"],
                now=clock.now(),
            )
            messages.success(request, "Your statement was signed.")
            return redirect("flex-claim", claim_id)
    return _claim_page(request, acting, found, attest_form=form)


@require_POST
def publish_claim(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Put an attested claim on the public list."""
    acting = acting_in(request)
    form = ReasonForm(request.POST)
    found = _claim(acting, claim_id)
    with refusals_shown_in(form):
        published = claims.publish_claim(actor=acting.user, claim=found, now=clock.now())
        messages.success(request, f"The claim is public under the number {published.serial}.")
        return redirect("flex-claim", claim_id)
    return _claim_page(request, acting, found, refused=form)


@require_POST
def withdraw_claim(request: HttpRequest, claim_id: uuid.UUID) -> HttpResponse:
    """Withdraw a claim with a reason."""
    acting = acting_in(request)
    found = _claim(acting, claim_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            claims.withdraw_claim(actor=acting.user, claim=found, reason=form.cleaned_data["reason"], now=clock.now())
            messages.success(request, "The claim was withdrawn.")
            return redirect("flex-claim", claim_id)
    return _claim_page(request, acting, found, withdraw_form=form)


def _claim_page(
    request: HttpRequest,
    acting: Acting,
    found: AvoidedClaim,
    *,
    attest_form: AttestForm | None = None,
    withdraw_form: ReasonForm | None = None,
    refused: ReasonForm | None = None,
) -> HttpResponse:
    own = _may_act(acting) and found.organisation_id == acting.for_organisation().pk
    attests = claims.may_attest(acting.user, found)
    form = attest_form
    if form is None and attests:
        form = AttestForm(keys=_keys(acting))
    is_refused = any(each is not None and each.errors for each in (attest_form, withdraw_form, refused))
    context = {
        "claim": found,
        "is_own": own,
        "may_attest": attests,
        "may_withdraw": found.status != "withdrawn"
        and (own or attests or acting.has("desk_officer", "senior_officer")),
        "attest_form": form,
        "has_keys": attests and _keys(acting).exists(),
        "withdraw_form": withdraw_form or ReasonForm(),
        "refused": refused,
        "not_a_permit": NOT_A_PERMIT,
        "is_reproduced": claims.is_reproduced(found),
        "signed_text": json.dumps(found.statement.document, indent=2, ensure_ascii=False)
        if hasattr(found, "statement")
        else "",
        **evidence_of(found),
    }
    return render(request, "registry/green_claim.html", context, status=422 if is_refused else 200)


# Parts ----------------------------------------------------------------------------------------------------------------

_TARIFF_LEAD = (
    "What you promise your subscribers, for everybody to read and compare. A version is never changed: a later one "
    "takes its place."
)


def _form_page(
    request: HttpRequest, acting: Acting, form: TariffForm | TariffEndForm, title: str, action: str, lead: str
) -> HttpResponse:
    require_permission(_may_act(acting), "Only an initiator or approver may publish tariffs.")
    context = {"form": form, "title": title, "action": action, "lead": lead}
    return render(request, "registry/green_form.html", context, status=422 if form.errors else 200)


def _may_act(acting: Acting) -> bool:
    return acting.trades and acting.has("initiator", "approver")


def _choices(acting: Acting) -> dict[str, Any]:
    organisation = acting.organisation if acting.trades else None
    if organisation is None:
        return {"tariffs": Tariff.objects.none(), "streams": claims.no_streams()}
    green = tariffs.register().filter(organisation=organisation, tier="green")
    return {"tariffs": green, "streams": claims.claimable_streams(organisation)}


def _keys(acting: Acting) -> "QuerySet[SigningKey]":
    return keys.usable(acting.for_organisation(), clock.now())


def _forecasts(acting: Acting) -> "QuerySet[Forecast]":
    rows = Forecast.objects.select_related("organisation").order_by("-day", "zone", "-published_at", "-id")
    return acting.view.filter(rows, "organisation")


def _events(acting: Acting) -> "QuerySet[FlexEvent]":
    rows = FlexEvent.objects.select_related("tariff", "workload", "point", "forecast").prefetch_related(
        "tariff__points"
    )
    return acting.view.filter(rows.order_by("-hour", "-id"), "tariff__organisation")


def _claims(acting: Acting) -> "QuerySet[AvoidedClaim]":
    return claims.visible(acting.view, acting.user if acting.is_verifier else None)


def _claim(acting: Acting, claim_id: uuid.UUID) -> AvoidedClaim:
    found = claims.visible(acting.scope, acting.user).filter(pk=claim_id).first()
    if found is None:
        raise Unknown("claim_unknown", "There is no such claim in your scope. Check the address.")
    return found
