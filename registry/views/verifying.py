"""Appointments, findings and signing keys: what operator and verifier do before and after a verification."""

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Organisation
from common import clock
from common.errors import Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry import selectors
from registry.models import APPOINTED, Appointment, Finding, Operator, SigningKey
from registry.services.verifying import appointments, findings, keys
from registry.verifying_forms import (
    AnswerForm,
    AppointForm,
    DeclarationForm,
    MakeKeyForm,
    RegisterKeyForm,
)

PER_PAGE = 50
REPORTING = ("initiator", "approver")


# Appointments ---------------------------------------------------------------------------------------------------------


def verifying(request: HttpRequest) -> HttpResponse:
    """Show the appointments in view and what waits: reports for a verifier, findings for an operator."""
    return _verifying_page(request, acting_in(request))


@require_POST
def propose(request: HttpRequest) -> HttpResponse:
    """Ask a verifier."""
    acting = acting_in(request)
    form = _appoint_form(acting, request)
    if form.is_valid():
        with refusals_shown_in(form):
            period = form.cleaned_data["period"]
            operator = Operator.objects.filter(organisation=acting.organisation, scheme=period.scheme_id).first()
            if operator is None:
                raise Unknown("operator_unknown", "Your organisation is not an operator of this scheme.")
            made = appointments.propose(
                actor=acting.user,
                operator=operator,
                period=period,
                verifier=form.cleaned_data["verifier"],
                now=clock.now(),
            )
            messages.success(request, f"{made.verifier} was asked to verify {made.period}.")
            return redirect("verifying")
    return _verifying_page(request, acting, form)


def appointment(request: HttpRequest, appointment_id: uuid.UUID) -> HttpResponse:
    """Show an appointment, its declaration, and what either side may do with it."""
    return _appointment_page(request, _appointment(acting_in(request), appointment_id))


@require_POST
def accept(request: HttpRequest, appointment_id: uuid.UUID) -> HttpResponse:
    """Accept with a declaration."""
    acting = acting_in(request)
    found = _appointment(acting, appointment_id)
    form = DeclarationForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            appointments.accept(
                actor=acting.user,
                appointment=found,
                conflicts=form.conflicts(),
                note=form.cleaned_data["note"],
                now=clock.now(),
            )
            messages.success(request, "You are appointed. Its reports are on your list from now on.")
            return redirect("appointment", found.pk)
    return _appointment_page(request, found, declaration=form)


@require_POST
def give_up(request: HttpRequest, appointment_id: uuid.UUID, act: str) -> HttpResponse:
    """Decline, cancel or end an appointment, with a reason."""
    acting = acting_in(request)
    found = _appointment(acting, appointment_id)
    form = ReasonForm(request.POST, prefix=act)
    if form.is_valid():
        with refusals_shown_in(form):
            done = {"decline": appointments.decline, "cancel": appointments.cancel, "end": appointments.end}[act](
                actor=acting.user, appointment=found, reason=form.cleaned_data["reason"], now=clock.now()
            )
            messages.success(request, f"The appointment is {done.status} now.")
            return redirect("appointment", found.pk)
    return _appointment_page(request, found, refused={act: form})


def _appointment(acting: Acting, appointment_id: uuid.UUID) -> Appointment:
    found = appointments_visible(acting).filter(pk=appointment_id).first()
    if found is None:
        raise Unknown("appointment_unknown", "There is no such appointment in your scope. Check the address.")
    return found


def appointments_visible(acting: Acting) -> QuerySet[Appointment]:
    """Appointments that the organisation acted for has part in; those who oversee see all."""
    rows = Appointment.objects.select_related(
        "operator__organisation", "operator__scheme", "period__scheme", "verifier", "proposed_by", "decided_by"
    )
    if acting.oversees:
        return rows
    own = Q(operator__organisation=acting.organisation) | Q(verifier=acting.organisation)
    return rows.filter(own)


def _appoint_form(acting: Acting, request: HttpRequest | None = None) -> AppointForm:
    periods = (
        selectors.reportable_periods(acting.for_organisation())
        .filter(status="open")
        .exclude(
            appointments__in=Appointment.objects.filter(
                operator__organisation=acting.organisation, status__in=APPOINTED
            )
        )
    )
    today = clock.now().date()
    verifiers = (
        Organisation.objects.filter(
            kind="verifier",
            status="active",
            accreditations__status="valid",
            accreditations__valid_from__lte=today,
            accreditations__valid_until__gte=today,
        )
        .distinct()
        .order_by("name")
    )
    return AppointForm(request.POST if request else None, periods=periods, verifiers=verifiers)


def _verifying_page(request: HttpRequest, acting: Acting, form: AppointForm | None = None) -> HttpResponse:
    may_appoint = acting.trades and acting.has(*REPORTING)
    waiting = None
    if acting.is_verifier:
        waiting = selectors.reports_to_verify(acting.for_organisation())[:100]
    context = {
        "page_obj": Paginator(appointments_visible(acting).order_by("-proposed_at", "id"), PER_PAGE).get_page(
            request.GET.get("page")
        ),
        "waiting": waiting,
        "findings": _open_findings(acting)[:100],
        "may_appoint": may_appoint,
        "form": form or (_appoint_form(acting) if may_appoint else None),
        "as_verifier": acting.kind == "verifier",
    }
    return render(request, "registry/verifying.html", context, status=422 if form is not None else 200)


def _appointment_page(
    request: HttpRequest,
    found: Appointment,
    declaration: DeclarationForm | None = None,
    refused: dict[str, ReasonForm] | None = None,
) -> HttpResponse:
    acting = acting_in(request)
    for_verifier = acting.is_verifier and acting.organisation == found.verifier
    for_operator = acting.has(*REPORTING) and acting.organisation == found.operator.organisation
    offered = {
        "decline": ("Decline", for_verifier and found.status == "proposed"),
        "cancel": ("Take the proposal back", for_operator and found.status == "proposed"),
        "end": ("End the appointment", (for_verifier or for_operator) and found.status == "accepted"),
    }
    context = {
        "appointment": found,
        "may_accept": for_verifier and found.status == "proposed",
        "declaration": declaration or DeclarationForm(),
        "acts": [
            (
                reverse(f"appointment-{act}", args=[found.pk]),
                label,
                (refused or {}).get(act) or ReasonForm(prefix=act),
            )
            for act, (label, shown) in offered.items()
            if shown
        ],
    }
    is_refused = declaration is not None or refused is not None
    return render(request, "registry/appointment.html", context, status=422 if is_refused else 200)


# Findings -------------------------------------------------------------------------------------------------------------


def _open_findings(acting: Acting) -> QuerySet[Finding]:
    """Findings that are not closed, of the organisation acted for or of those that it verifies."""
    rows = Finding.objects.exclude(status="closed").select_related(
        "report__operator__organisation", "report__operator__scheme", "report__period__scheme", "line"
    )
    if acting.kind == "verifier":
        rows = rows.filter(
            report__operator__appointments__verifier=acting.organisation,
            report__operator__appointments__status="accepted",
        ).distinct()
    elif not acting.oversees:
        rows = rows.filter(report__operator__organisation=acting.organisation)
    return rows.order_by("due_on", "id")


def finding(request: HttpRequest, finding_id: uuid.UUID) -> HttpResponse:
    """Show a finding, its answer, and let the operator answer it."""
    acting = acting_in(request)
    found = _finding(acting, finding_id)
    form = AnswerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            findings.answer_finding(
                actor=acting.user, finding=found, answer=form.cleaned_data["answer"], now=clock.now()
            )
            messages.success(request, f"Finding {found.number} is answered. The verifier reads it next.")
            return redirect("verifying")
    context = {
        "finding": found,
        "form": form,
        "may_answer": acting.has(*REPORTING)
        and acting.organisation == found.report.operator.organisation
        and found.status == "open",
    }
    return render(request, "registry/finding.html", context, status=422 if form.errors else 200)


def _finding(acting: Acting, finding_id: uuid.UUID) -> Finding:
    reports = selectors.reports_visible(acting.scope, to_a_verifier=acting.is_verifier)
    found = (
        Finding.objects.select_related(
            "report__operator__organisation", "report__operator__scheme", "report__period__scheme", "line", "raised_by"
        )
        .filter(pk=finding_id, report__in=reports)
        .first()
    )
    if found is None:
        raise Unknown("finding_unknown", "There is no such finding in your scope. Check the address.")
    return found


# Keys -----------------------------------------------------------------------------------------------------------------


def signing_keys(request: HttpRequest) -> HttpResponse:
    """Show the keys of the organisation acted for."""
    return _keys_page(request)


@require_POST
def make_key(request: HttpRequest) -> HttpResponse:
    """Have a key made and kept."""
    acting = acting_in(request)
    form = MakeKeyForm(request.POST, prefix="make")
    if form.is_valid():
        with refusals_shown_in(form):
            key = keys.make_key(
                actor=acting.user,
                organisation=acting.for_organisation(),
                name=form.cleaned_data["name"],
                passphrase=form.cleaned_data["passphrase"],
                now=clock.now(),
            )
            messages.success(request, f"The key {key} was made. Only its passphrase opens it.")
            return redirect("signing-keys")
    return _keys_page(request, make=form)


@require_POST
def register_key(request: HttpRequest) -> HttpResponse:
    """Register a public key."""
    acting = acting_in(request)
    form = RegisterKeyForm(request.POST, prefix="register")
    if form.is_valid():
        with refusals_shown_in(form):
            key = keys.register_key(
                actor=acting.user,
                organisation=acting.for_organisation(),
                name=form.cleaned_data["name"],
                public_key=form.cleaned_data["public_key"],
                proof=form.cleaned_data["proof"],
                now=clock.now(),
            )
            messages.success(request, f"The key {key} was registered.")
            return redirect("signing-keys")
    return _keys_page(request, register=form)


@require_POST
def revoke_key(request: HttpRequest, key_id: uuid.UUID) -> HttpResponse:
    """Revoke a key."""
    acting = acting_in(request)
    key = SigningKey.objects.filter(pk=key_id, organisation=acting.for_organisation()).first()
    if key is None:
        raise Unknown("key_unknown", "There is no such key of your organisation. Check the address.")
    form = ReasonForm(request.POST, prefix=f"revoke-{key.pk}")
    if form.is_valid():
        with refusals_shown_in(form):
            keys.revoke_key(actor=acting.user, key=key, reason=form.cleaned_data["reason"], now=clock.now())
            messages.success(request, f"The key {key} signs nothing any more. What it signed stays signed.")
            return redirect("signing-keys")
    return _keys_page(request, revoke=(key, form))


def _keys_page(
    request: HttpRequest,
    make: MakeKeyForm | None = None,
    register: RegisterKeyForm | None = None,
    revoke: tuple[SigningKey, ActForm] | None = None,
) -> HttpResponse:
    acting = acting_in(request)
    organisation = acting.for_organisation()
    require_permission(
        acting.kind in {"firm", "lab", "verifier"}, "Firms, labs and verifiers sign documents here; others read them."
    )
    may_sign = keys.may_sign_for(acting.user, organisation)
    listed = [
        (key, revoke[1] if revoke is not None and revoke[0] == key else ReasonForm(prefix=f"revoke-{key.pk}"))
        for key in keys.keys_of(organisation)
    ]
    context = {
        "listed": listed,
        "make": make or MakeKeyForm(prefix="make"),
        "register": register or RegisterKeyForm(prefix="register"),
        "proof_text": keys.proof_text(organisation),
        "may_sign": may_sign,
        "registry_keys": keys.registry_keys(),
    }
    is_refused = any(one is not None for one in (make, register, revoke))
    return render(request, "registry/signing_keys.html", context, status=422 if is_refused else 200)
