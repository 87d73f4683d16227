"""The desk's work on rules: gather a change rule by rule or from a document, read what it comes to, and propose it."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import Acting, acting_in
from accounts.models import Approval
from common import clock
from common.errors import Refused, SeveralRefusals, Unknown, require_permission
from common.forms import refusals_shown_in
from registry import rulebook
from registry.engine import parameters as engine
from registry.engine.parameters import PARAMETERS, Entry, Parameter, SpanChange
from registry.engine.parameters.kinds import Day, Json
from registry.models import Scheme
from registry.rule_forms import DocumentForm, PickRuleForm, ProposeRulesForm, RuleForm
from registry.services import founding, rules
from registry.services.rules import Preview
from registry.views.rules import OFFICERS, change_rows, default_of, shown

CHANGE_ACTS = (rules.CHANGE_RULES, rulebook.IMPORT_SCHEME)


def change(request: HttpRequest, code: str) -> HttpResponse:
    """Show the change that is being gathered, with everything it comes to."""
    _officer_or_auditor(request)
    return _change_page(request, rulebook.scheme_coded(code), ProposeRulesForm())


def edit(request: HttpRequest, code: str, name: str) -> HttpResponse:
    """Type one rule by its kind and put it into the change."""
    _officer(request)
    scheme, parameter = rulebook.scheme_coded(code), _parameter(name)
    today = clock.now().astimezone(scheme.tz).date()
    present = next((one for one in rulebook.history(scheme).book if one.name == name and one.holds_on(today)), None)
    gathered = next((one for one in _gathered(request, scheme) if one["name"] == name), None)
    value = gathered["value"] if gathered else present.value if present else _default(parameter)
    begins = {"valid_from": today.replace(year=today.year + 1, month=1, day=1)}
    initial = gathered and {key: gathered[key] for key in ("valid_from", "valid_to", "source")}
    form = RuleForm(parameter, value, request.POST or None, initial=initial or begins)
    if request.method == "POST" and form.is_valid():
        try:
            (entry,) = rules.read_rules([form.entry()])
        except Refused as refusal:
            for each in refusal.refusals if isinstance(refusal, SeveralRefusals) else (refusal,):
                form.add_error(None, each.sentence)
        else:
            _gather(request, scheme, [entry])
            messages.success(request, f"{parameter.title} is part of the change now.")
            return redirect("rules-desk", code)
    context = {
        "scheme": scheme,
        "parameter": parameter,
        "form": form,
        "present": shown(parameter, present.value) if present else None,
        "span": present,
        "default": default_of(parameter),
    }
    return render(request, "registry/rules_edit.html", context, status=422 if form.errors else 200)


def pick(request: HttpRequest, code: str) -> HttpResponse:
    """Lead to the form of the rule that was chosen."""
    _officer(request)
    form = PickRuleForm(request.GET)
    return redirect("rules-edit", code, form.cleaned_data["name"]) if form.is_valid() else redirect("rules-desk", code)


@require_POST
def remove(request: HttpRequest, code: str) -> HttpResponse:
    """Take one rule, or all of them, out of the change."""
    _officer(request)
    scheme = rulebook.scheme_coded(code)
    gathered = _gathered(request, scheme)
    place = request.POST.get("place", "")
    kept = [entry for number, entry in enumerate(gathered) if str(number) != place] if place else []
    _keep(request, scheme, kept)
    return redirect("rules-desk", code)


@require_POST
def document(request: HttpRequest, code: str) -> HttpResponse:
    """Gather what an uploaded rule book changes."""
    _officer(request)
    scheme = rulebook.scheme_coded(code)
    form = DocumentForm(request.POST, request.FILES)
    if form.is_valid():
        with refusals_shown_in(form):
            found = rules.rules_of_document(rulebook.history(scheme), rules.parse(form.content()))
            _keep(request, scheme, [engine.write_entry(entry) for entry in found])
            messages.success(request, f"The document changes {len(found)} rules. Read them before you propose them.")
            return redirect("rules-desk", code)
    return _change_page(request, scheme, ProposeRulesForm(), form)


@require_POST
def propose(request: HttpRequest, code: str) -> HttpResponse:
    """Propose what was gathered; another officer approves."""
    acting = _officer(request)
    scheme = rulebook.scheme_coded(code)
    form = ProposeRulesForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            approval = rules.propose_change(
                actor=acting.user,
                scheme=scheme,
                entries=_gathered(request, scheme),
                title=form.cleaned_data["title"],
                reason_code=form.cleaned_data["reason_code"],
                now=clock.now(),
                key=form.cleaned_data["key"],
            )
            _keep(request, scheme, [])
            messages.success(request, "The change was proposed. Another officer approves it.")
            return redirect("rules-proposal", approval.pk)
    return _change_page(request, scheme, form)


def new_scheme(request: HttpRequest) -> HttpResponse:
    """Propose a scheme with its whole rule book from a document."""
    acting = _officer(request)
    form = DocumentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with refusals_shown_in(form):
            approval = founding.import_scheme(
                actor=acting.user,
                document=rules.parse(form.content()),
                now=clock.now(),
                key=form.cleaned_data["key"],
            )
            messages.success(request, "The scheme was proposed. It exists once another officer approves it.")
            return redirect("rules-proposal", approval.pk)
    return render(request, "registry/rules_new.html", {"form": form}, status=422 if form.errors else 200)


def proposal(request: HttpRequest, approval_id: uuid.UUID) -> HttpResponse:
    """Show what a proposed change comes to, as its second person reads it."""
    _officer_or_auditor(request)
    approval = (
        Approval.objects.select_related("proposed_by", "decided_by").filter(pk=approval_id, act__in=CHANGE_ACTS).first()
    )
    if approval is None:
        raise Unknown("approval_unknown", "There is no such proposal. Check the address.")
    preview = approval.parameters["preview"]
    day = Day()
    changes = tuple(
        SpanChange(
            one["name"],
            day.read(one["first"], "", []),
            one["end"] and day.read(one["end"], "", []),
            one["before"],
            one["after"],
        )
        for one in preview["changes"]
    )
    context = {
        "approval": approval,
        "rows": change_rows(changes),
        "outlook": preview["outlook"],
        "unlocked": preview["unlocked"],
        "reason": rules.REASONS.get(approval.parameters.get("reason_code", ""), ""),
    }
    return render(request, "registry/rules_proposal.html", context)


# Parts ----------------------------------------------------------------------------------------------------------------


def _change_page(
    request: HttpRequest, scheme: Scheme, form: ProposeRulesForm, upload: DocumentForm | None = None
) -> HttpResponse:
    gathered = _gathered(request, scheme)
    found, refused = _previewed(scheme, gathered)
    context = {
        "scheme": scheme,
        "gathered": [(place, PARAMETERS[one["name"]], _shown(one), one) for place, one in enumerate(gathered)],
        "preview": found,
        "refused": refused,
        "rows": change_rows(found.changes) if found else [],
        "outlook": [row for row in found.outlook if row.differs] if found else [],
        "form": form,
        "upload": upload or DocumentForm(),
        "pick": PickRuleForm(),
        "waiting": Approval.objects.filter(
            act=rules.CHANGE_RULES, parameters__scheme=str(scheme.pk), status__in=["proposed", "waiting"]
        ),
        "may_act": acting_in(request).has(*OFFICERS),
    }
    has_errors = bool(form.errors or (upload and upload.errors))
    return render(request, "registry/rules_desk.html", context, status=422 if has_errors else 200)


def _previewed(scheme: Scheme, gathered: list[dict[str, Json]]) -> tuple[Preview | None, str]:
    """Return what the gathered rules come to, or why that cannot be said."""
    if not gathered:
        return None, ""
    try:
        return rules.preview(scheme=scheme, entries=rules.read_rules(gathered), now=clock.now()), ""
    except Refused as refusal:
        return None, refusal.sentence


def _gathered(request: HttpRequest, scheme: Scheme) -> list[dict[str, Json]]:
    """Return the rules that this person has gathered; those that the catalogue no longer knows are left out."""
    kept: list[dict[str, Json]] = request.session.get(_place(scheme), [])
    return [entry for entry in kept if entry["name"] in PARAMETERS]


def _gather(request: HttpRequest, scheme: Scheme, found: list[Entry]) -> None:
    """Put rules into the change; one of the same name and first day takes the place of an earlier one."""
    taken = {(entry.name, entry.valid_from.isoformat()) for entry in found}
    kept = [one for one in _gathered(request, scheme) if (one["name"], one["valid_from"]) not in taken]
    _keep(request, scheme, [*kept, *(engine.write_entry(entry) for entry in found)])


def _keep(request: HttpRequest, scheme: Scheme, gathered: list[dict[str, Json]]) -> None:
    request.session[_place(scheme)] = gathered


def _place(scheme: Scheme) -> str:
    return f"rules of {scheme.code}"


def _shown(entry: dict[str, Json]) -> object:
    parameter = PARAMETERS[entry["name"]]
    return None if entry["value"] is None else shown(parameter, entry["value"])


def _parameter(name: str) -> Parameter:
    if name not in PARAMETERS:
        raise Unknown("rule_unknown", "There is no such rule. Choose one from the list.")
    return PARAMETERS[name]


def _default(parameter: Parameter) -> Json:
    return None if parameter.default is None else parameter.kind.text(parameter.default)


def _officer_or_auditor(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.oversees, "Only the regulator and auditors see these pages.")
    return acting


def _officer(request: HttpRequest) -> Acting:
    acting = acting_in(request)
    require_permission(acting.has(*OFFICERS), "Only an officer at the regulator's desk prepares rules.")
    return acting
