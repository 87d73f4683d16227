"""The efficiency register for those who act: a firm's measures, the verifier's word, and the desk's editions."""

import json
import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from accounts.acting import Acting, acting_in
from accounts.models import Organisation
from common import clock
from common.downloads import stored_file, streamed_file
from common.errors import Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry.efficiency_forms import EditionForm, HandOverForm, MeasureForm
from registry.engine import efficiency as engine
from registry.engine.canonical import canonical_json
from registry.flexing_forms import AttestForm
from registry.models import AiModel, EfficiencyMeasure, Scheme, SigningKey, Workload
from registry.services.drafting import evidence
from registry.services.efficiency import labels, league, measures
from registry.services.verifying import accreditations, keys

PER_PAGE = 50


@require_safe
def measure_list(request: HttpRequest) -> HttpResponse:
    """List the measures in view with what each saved."""
    acting = acting_in(request)
    page = Paginator(measures.visible(acting.view), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "page_obj": page,
        "rows": [(measure, league.figures(measure), league.field_of(measure)) for measure in page],
        "may_record": _may_record(acting),
        "by_owner": acting.oversees or acting.is_verifier,
    }
    return render(request, "registry/measures.html", context)


def new_measure(request: HttpRequest) -> HttpResponse:
    """Record a measure with its two measurements."""
    acting = acting_in(request)
    organisation = acting.for_organisation()
    require_permission(_may_record(acting), "Only an initiator or approver of a firm may record measures.")
    form = MeasureForm(
        request.POST or None,
        request.FILES or None,
        schemes=Scheme.objects.filter(operators__organisation=organisation).order_by("name"),
        workloads=Workload.objects.filter(system__site__organisation=organisation)
        .select_related("system__site")
        .order_by("name", "id"),
        models=AiModel.objects.filter(organisation=organisation).order_by("name"),
    )
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            made = measures.record_measure(
                actor=acting.user, organisation=organisation, told=form.told, now=clock.now()
            )
            messages.success(request, "The measure was recorded. Hand it to a verifier.")
            return redirect("measure", made.pk)
    return render(request, "registry/measure_new.html", {"form": form}, status=422 if form.errors else 200)


@require_safe
def measure(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Show a measure with both measurements, and what one may do with it."""
    return _page(request, _one(request, measure_id))


@require_safe
def proof(request: HttpRequest, measure_id: uuid.UUID, moment: str) -> StreamingHttpResponse:
    """Return the file that proves a measurement, to be saved and never shown."""
    found = _one(request, measure_id)
    if moment not in ("before", "after"):
        raise Unknown("file_unknown", "There is no such file. Check the address.")
    file = measures.side(found, moment).evidence
    return streamed_file(file.name, evidence.read(file), file.size)


@require_POST
def submit(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Hand a draft to a verifier."""
    found = _one(request, measure_id)
    form = HandOverForm(request.POST, verifiers=_verifiers(found))
    if form.is_valid():
        with refusals_shown_in(form):
            measures.submit_measure(
                actor=acting_in(request).user,
                measure=found,
                verifier=form.cleaned_data["verifier"],
                now=clock.now(),
            )
            messages.success(request, "The measure is with the verifier.")
            return redirect("measure", found.pk)
    return _page(request, found, hand_over_form=form)


@require_POST
def document(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Return the document that a verifier signs outside, with the findings as they are typed."""
    found = _one(request, measure_id)
    measures.verifier_for(acting_in(request).user, found)
    text = measures.statement_document(found, request.POST.get("findings", ""))
    return stored_file(f"statement-{found.pk}.json", canonical_json(text))


@require_POST
def attest(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Sign a measure as its verifier."""
    acting = acting_in(request)
    found = _one(request, measure_id)
    form = AttestForm(request.POST, keys=_keys(acting))
    if form.is_valid():
        said = form.cleaned_data
        with refusals_shown_in(form):
            measures.attest_measure(
                actor=acting.user,
                measure=found,
                findings=said["findings"],
                key_id=said["key_id"],
                passphrase=said["passphrase"],
                signature=said["signature"],
                now=clock.now(),
            )
            messages.success(request, "Your statement was signed.")
            return redirect("measure", found.pk)
    return _page(request, found, attest_form=form)


@require_POST
def publish(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Put an attested measure into its league table."""
    found = _one(request, measure_id)
    form = ReasonForm(request.POST)
    with refusals_shown_in(form):
        measures.publish_measure(actor=acting_in(request).user, measure=found, now=clock.now())
        messages.success(request, "The measure is in the public league table.")
        return redirect("measure", found.pk)
    return _page(request, found, refused=form)


@require_POST
def withdraw(request: HttpRequest, measure_id: uuid.UUID) -> HttpResponse:
    """Withdraw a measure with a reason."""
    found = _one(request, measure_id)
    form = ReasonForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            measures.withdraw_measure(
                actor=acting_in(request).user, measure=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, "The measure was withdrawn.")
            return redirect("measure", found.pk)
    return _page(request, found, withdraw_form=form)


def editions(request: HttpRequest) -> HttpResponse:
    """Show every field with its measures and the editions of labels, and issue the next one."""
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see the desk of labels.")
    fields = league.fields()
    form = EditionForm(request.POST or None, fields=[field for field, _, _ in fields])
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            edition = labels.issue_edition(
                actor=acting.user,
                field=league.field_named(form.cleaned_data["field"]),
                rule=form.cleaned_data["rule"],
                now=clock.now(),
            )
            messages.success(request, f"The edition of {edition.issued_on} was issued. Its labels are public.")
            return redirect("label-edition", edition.pk)
    context = {
        "form": form,
        "fields": fields,
        "page_obj": Paginator(league.editions(), PER_PAGE).get_page(request.GET.get("page")),
        "may_issue": acting.has("desk_officer", "senior_officer"),
        "fewest": labels.FEWEST_MEASURES,
    }
    return render(request, "registry/label_editions.html", context, status=422 if form.errors else 200)


# Parts ----------------------------------------------------------------------------------------------------------------


def _page(request: HttpRequest, found: EfficiencyMeasure, **forms: ActForm) -> HttpResponse:
    acting = acting_in(request)
    own = _may_record(acting) and found.organisation_id == acting.for_organisation().pk
    attests = acting.is_verifier and measures.may_attest(acting.user, found)
    compared = measures.comparison(found)
    statement = getattr(found, "statement", None)
    context = {
        "measure": found,
        "field": league.field_of(found),
        "figures": league.figures(found),
        "compared": compared,
        "sides": [
            (side, engine.intensity_wh(measures.measured(side)), engine.remarks(measures.measured(side)))
            for side in found.measurements.all()
        ],
        "labels": league.labels_of(found),
        "is_own": own,
        "may_attest": attests,
        "has_keys": attests and _keys(acting).exists(),
        "may_withdraw": found.status != "withdrawn"
        and (own or attests or acting.has("desk_officer", "senior_officer")),
        "hand_over_form": HandOverForm(verifiers=_verifiers(found)) if own and found.status == "draft" else None,
        "attest_form": AttestForm(keys=_keys(acting)) if attests else None,
        "withdraw_form": ReasonForm(),
        "statement": statement,
        "signed_text": json.dumps(statement.document, indent=2, ensure_ascii=False) if statement else "",
        **forms,
    }
    return render(request, "registry/measure.html", context, status=422 if forms else 200)


def _one(request: HttpRequest, measure_id: uuid.UUID) -> EfficiencyMeasure:
    found = measures.visible(acting_in(request).scope).filter(pk=measure_id).first()
    if found is None:
        raise Unknown("measure_unknown", "There is no such measure in your scope. Check the address.")
    return found


def _verifiers(found: EfficiencyMeasure) -> QuerySet[Organisation]:
    day = clock.now().astimezone(found.scheme.tz).date()
    listed = [one.pk for one in accreditations.verifiers_for(found.scheme, day)]
    return Organisation.objects.filter(pk__in=listed).order_by("name")


def _may_record(acting: Acting) -> bool:
    return acting.trades and acting.has("initiator", "approver")


def _keys(acting: Acting) -> QuerySet[SigningKey]:
    return keys.usable(acting.for_organisation(), clock.now())
