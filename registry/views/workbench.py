"""The verifier's workbench: a report's evidence, our figures beside the claimed ones, checks, findings and opinion."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from accounts.acting import acting_in
from common import clock
from common.errors import Unknown, require_permission
from common.forms import ActForm, ReasonForm, refusals_shown_in
from registry import selectors
from registry.engine import verification as engine
from registry.models import Finding, Report, ReportLine, Scheme, VerifierStatement
from registry.services import plausibility, verification
from registry.services.verifying import findings, keys
from registry.verifying_forms import ChecklistForm, ClosingForm, FindingForm, OpinionForm

LINES_PER_PAGE = 50
HIGHLIGHTED = Decimal("0.01")
"""Claimed emissions that differ by more from ours are highlighted."""


def workbench(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """Show everything that the verifier of a report works with."""
    return _page(request, _report(request, report_id))


@require_POST
def begin(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """Take the report up."""
    report = _report(request, report_id)
    form = ActForm(request.POST)
    if form.is_valid():
        with refusals_shown_in(form):
            verification.begin_verification(actor=acting_in(request).user, report=report, now=clock.now())
            messages.success(request, "The verification has begun. The operator sees that you are at it.")
            return redirect("workbench", report_id)
    return _page(request, report, begin=form)


@require_POST
def answer_item(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """Answer an item of the checklist."""
    report = _report(request, report_id)
    form = ChecklistForm(request.POST, prefix="checklist")
    if form.is_valid():
        with refusals_shown_in(form):
            findings.answer_checklist(
                actor=acting_in(request).user,
                report=report,
                item=form.cleaned_data["item"],
                outcome=form.cleaned_data["outcome"],
                note=form.cleaned_data["note"],
                now=clock.now(),
            )
            messages.success(request, "The item is answered.")
            return redirect("workbench", report_id)
    return _page(request, report, checklist=form)


@require_POST
def add_finding(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """Write a finding down."""
    report = _report(request, report_id)
    form = FindingForm(request.POST, prefix="finding")
    if form.is_valid():
        with refusals_shown_in(form):
            made = findings.raise_finding(
                actor=acting_in(request).user,
                report=report,
                kind=form.cleaned_data["kind"],
                text=form.cleaned_data["text"],
                quantity=form.cleaned_data["quantity"],
                line=form.cleaned_data["line"],
                due_on=form.cleaned_data["due_on"],
                key=form.cleaned_data["key"],
                now=clock.now(),
            )
            messages.success(request, f"Finding {made.number} is written down. The operator is asked to answer.")
            return redirect("workbench", report_id)
    return _page(request, report, finding=form)


@require_POST
def settle_finding(request: HttpRequest, report_id: uuid.UUID, finding_id: uuid.UUID, act: str) -> HttpResponse:
    """Close a finding, or open it again."""
    report = _report(request, report_id)
    found = Finding.objects.filter(pk=finding_id, report__operator=report.operator).first()
    if found is None:
        raise Unknown("finding_unknown", "There is no such finding on this operator. Check the address.")
    actor, now = acting_in(request).user, clock.now()
    prefix = f"{act}-{found.pk}"
    form = ClosingForm(request.POST, prefix=prefix) if act == "close" else ReasonForm(request.POST, prefix=prefix)
    if form.is_valid():
        with refusals_shown_in(form):
            if act == "close":
                values = form.cleaned_data
                findings.close_finding(
                    actor=actor, finding=found, closing=values["closing"], corrected=values["corrected"], now=now
                )
            else:
                findings.reopen_finding(actor=actor, finding=found, reason=form.cleaned_data["reason"], now=now)
            messages.success(request, f"Finding {found.number} is {'closed' if act == 'close' else 'open again'}.")
            return redirect("workbench", report_id)
    return _page(request, report, settling={prefix: form})


@require_POST
def state_opinion(request: HttpRequest, report_id: uuid.UUID) -> HttpResponse:
    """State the opinion and sign it; or download the bytes to sign."""
    report = _report(request, report_id)
    acting = acting_in(request)
    now = clock.now()
    form = OpinionForm(request.POST, prefix="opinion", signing_keys=keys.usable(acting.for_organisation(), now))
    if form.is_valid():
        stated: dict[str, Any] = {
            "actor": acting.user,
            "report": report,
            "opinion": form.cleaned_data["opinion"],
            "findings": form.cleaned_data["findings"],
            "key_id": form.cleaned_data["signing_key"],
            "now": now,
        }
        with refusals_shown_in(form):
            if "unsigned" in request.POST:
                return _download(verification.statement_to_sign(**stated), f"statement-{report.pk}.json")
            statement = verification.verify_report(
                **stated, signature=form.cleaned_data["signature"], passphrase=form.cleaned_data["passphrase"]
            )
            messages.success(request, f"Your opinion was signed: {statement.get_opinion_display().lower()}.")
            return redirect("report", report_id)
    return _page(request, report, opinion=form)


def statement_file(request: HttpRequest, report_id: uuid.UUID, part: str) -> HttpResponse:
    """Return the statement, or the registry's receipt for it, byte for byte as it was signed."""
    report = _visible(request, report_id)
    statement = VerifierStatement.objects.filter(report=report, key__isnull=False).first()
    if statement is None:
        raise Unknown("statement_unknown", "No signed statement was made on this version.")
    text = statement.document if part == "statement" else statement.receipt
    return _download(text.encode(), f"{part}-{report.pk}.json")


def _download(content: bytes, name: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _visible(request: HttpRequest, report_id: uuid.UUID) -> Report:
    acting = acting_in(request)
    report = (
        selectors.reports_visible(acting.scope, to_a_verifier=acting.is_verifier)
        .select_related("evidence", "statement", "submitted_by", "plan")
        .filter(pk=report_id)
        .first()
    )
    if report is None:
        raise Unknown("report_unknown", "There is no such report in your scope. Check the address.")
    return report


def _report(request: HttpRequest, report_id: uuid.UUID) -> Report:
    acting = acting_in(request)
    may_look = acting.oversees and request.method == "GET"
    require_permission(acting.is_verifier or may_look, "The workbench is the verifier's.")
    return _visible(request, report_id)


def _page(
    request: HttpRequest,
    report: Report,
    *,
    begin: ActForm | None = None,
    checklist: ChecklistForm | None = None,
    finding: FindingForm | None = None,
    opinion: OpinionForm | None = None,
    settling: Mapping[str, ActForm] | None = None,
) -> HttpResponse:
    acting, now = acting_in(request), clock.now()
    scheme = report.operator.scheme
    is_flop = scheme.metric == Scheme.Metric.FLOP
    found = list(findings.of_period(report.operator, report.period))
    weighed = findings.weigh(report, found, now)
    answers = findings.checklist(report)
    differing = Q(claimed_co2e_g__gt=F("co2e_g") * (1 + HIGHLIGHTED)) | Q(
        claimed_co2e_g__lt=F("co2e_g") * (1 - HIGHLIGHTED)
    )
    lines = report.lines.order_by("number")
    largest, drawn = _sample(report, is_flop)
    chosen = request.GET.get("lines", "sample")
    if chosen == "differing":
        lines = lines.filter(differing)
    elif chosen != "all":
        chosen, lines = "sample", lines.filter(number__in=[*largest, *drawn])
    page = Paginator(lines, LINES_PER_PAGE).get_page(request.GET.get("page"))
    works = acting.is_verifier and report.status == "under_verification"
    context = {
        "report": report,
        "is_flop": is_flop,
        "page_obj": page,
        "lines": [(line, _differs(line), line.number in largest, line.number in drawn) for line in page],
        "chosen": chosen,
        "differing_count": report.lines.filter(differing).count(),
        "line_count": report.lines.count(),
        "sums": selectors.claimed_sums(report),
        "doubts": plausibility.of_report(report),
        "files": report.files.select_related("file"),
        "findings": [_settled(one, settling or {}) for one in found],
        "left_open": findings.left_open(report.operator, report.period),
        "materiality": _meter(weighed),
        "checklist": [(code, title, answers.get(code)) for code, title in engine.CHECKLIST.items()],
        "unanswered": len(engine.CHECKLIST) - len(answers),
        "before": Report.objects.filter(
            operator=report.operator, period__year=report.period.year - 1, status__in=["verified", "determined"]
        ).first(),
        "may_begin": acting.is_verifier and report.status == "submitted",
        "works": works,
        "begin_form": begin or ActForm(),
        "checklist_form": checklist or ChecklistForm(prefix="checklist"),
        "finding_form": finding or FindingForm(prefix="finding"),
        "opinion_form": opinion
        or OpinionForm(prefix="opinion", signing_keys=keys.usable(acting.for_organisation(), now) if works else ()),
    }
    is_refused = any(form is not None for form in (begin, checklist, finding, opinion, settling))
    return render(request, "registry/workbench.html", context, status=422 if is_refused else 200)


def _sample(report: Report, is_flop: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the lines that everybody would look at: the largest, and some drawn by the report's own hash."""
    sizes = report.lines.order_by("number").values_list("number", "flop" if is_flop else "co2e_g")
    return engine.sample(list(sizes), report.content_sha256)


def _differs(line: ReportLine) -> bool:
    if line.claimed_co2e_g is None:
        return False
    return abs(line.claimed_co2e_g - line.co2e_g) > HIGHLIGHTED * line.co2e_g


def _meter(weighed: engine.Materiality) -> dict[str, Any]:
    """Return what the materiality meter shows: how much of the level is used up, in whole per cent."""
    used = weighed.misstated / (weighed.level * weighed.reported) if weighed.level * weighed.reported else None
    full = Fraction(100) if weighed.exceeds else Fraction(0)
    return {
        "misstated": Decimal(weighed.misstated.numerator) / weighed.misstated.denominator,
        "reported": Decimal(weighed.reported.numerator) / weighed.reported.denominator,
        "share": weighed.share,
        "level": weighed.level,
        "exceeds": weighed.exceeds,
        "used": int(min(Fraction(100), used * 100) if used is not None else full),
    }


def _settled(finding: Finding, settling: Mapping[str, ActForm]) -> dict[str, Any]:
    """Return a finding with the forms that close it or open it again."""
    close, reopen = f"close-{finding.pk}", f"reopen-{finding.pk}"
    return {
        "finding": finding,
        "close": settling.get(close) or ClosingForm(prefix=close),
        "reopen": settling.get(reopen) or ReasonForm(prefix=reopen),
        "is_refused": close in settling or reopen in settling,
    }
