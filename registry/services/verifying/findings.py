"""Findings: what the verifier found, what the operator answers, and the checklist of what was done.

Uncorrected misstatements of a period weigh against its reported total; non-conformities and recommendations wait for
an answer. Whatever is open when a period is verified is shown in the next one.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Max, QuerySet

from accounts.models import User
from accounts.services import audit, tasks
from common.errors import Unknown, require, require_permission
from registry.engine import verification as engine
from registry.engine.deadlines import end_of_day
from registry.engine.verification import Materiality
from registry.models import FINDING, ChecklistAnswer, Finding, Operator, Period, Report
from registry.permissions import appointment_for, live_appointments, may_report
from registry.services import operators, reports, rules
from registry.services.verifying.coverage import covered_total

MAX_FINDINGS = 500
MOST = Decimal(10) ** 33
PLACES = Decimal("0.000001")


@transaction.atomic(durable=True)
def raise_finding(
    *,
    actor: User,
    report: Report,
    kind: str,
    text: str,
    now: datetime,
    quantity: Decimal = Decimal(0),
    line: int | None = None,
    due_on: date | None = None,
    key: UUID | None = None,
) -> Finding:
    """Write down what was found in a report under verification, with its effect on the reported quantity.

    The effect is reported minus right: above zero where too much was reported. The operator answers by a day. The same
    key again is the same finding.
    """
    operators.locked(report.operator)  # numbers are counted over the operator's period
    appointment_for(actor, report)
    before = Finding.objects.filter(pk=key, report=report).first() if key else None
    if before is not None:
        return before
    report = _under_verification(actor, report)
    require(kind in Finding.Kind.values, "kind_unknown", "Choose one of the kinds on the list.")
    require(bool(text.strip()), "text_missing", "Say what you found, in a sentence that the operator can act on.")
    require(
        kind == Finding.Kind.MISSTATEMENT or quantity == 0,
        "quantity_without_misstatement",
        "Only a misstatement has an effect on the quantity. Leave it at 0, or choose another kind.",
    )
    require(
        abs(quantity) < MOST and quantity == quantity.quantize(PLACES),
        "quantity_out_of_range",
        f"Enter a number with at most six places after the point, in {report.operator.scheme.unit_name}.",
    )
    cited = report.lines.filter(number=line).first() if line is not None else None
    require(line is None or cited is not None, "line_unknown", "The report has no line of this number.")
    today = now.astimezone(report.operator.scheme.tz).date()
    rule = rules.policy_at(report.operator.scheme, today).verification
    due_on = due_on or today + timedelta(days=rule.answer_days)
    require(due_on >= today, "due_day_past", "Give a day that has not passed.")
    earlier = Finding.objects.filter(report__operator=report.operator, report__period=report.period)
    number = (earlier.aggregate(last=Max("number"))["last"] or 0) + 1
    require(number <= MAX_FINDINGS, "findings_too_many", "Return the report: it has too many findings.")
    finding = Finding.objects.create(
        pk=key or uuid4(),
        report=report,
        number=number,
        kind=kind,
        text=text.strip()[:2000],
        line=cited,
        quantity=quantity,
        due_on=due_on,
        raised_by=actor,
        raised_at=now,
    )
    _ask(finding, now)
    _record(actor, "raised", finding, now, kind=kind, quantity=str(quantity))
    return finding


@transaction.atomic(durable=True)
def answer_finding(*, actor: User, finding: Finding, answer: str, now: datetime) -> Finding:
    """Say what the operator did, or will do, about a finding."""
    finding = _locked(finding.pk)
    require_permission(
        may_report(actor, finding.report.operator.organisation),
        "Only an initiator or approver of the operator answers its verifier.",
    )
    require(bool(answer.strip()), "answer_missing", "Say what you did about it, or what you will do and by when.")
    tasks.end_task(key=_task(finding), actor=actor, now=now)
    finding.answer, finding.answered_by, finding.answered_at = answer.strip()[:2000], actor, now
    _move(finding, "answered")
    _record(actor, "answered", finding, now)
    return finding


@transaction.atomic(durable=True)
def reopen_finding(*, actor: User, finding: Finding, reason: str, now: datetime) -> Finding:
    """Say why an answer does not settle a finding; the operator answers again."""
    finding = _locked(finding.pk)
    _require_verifier(actor, finding)
    require(bool(reason.strip()), "reason_missing", "Say what is missing in the answer.")
    finding.closing = reason.strip()[:2000]
    _move(finding, "open")
    _ask(finding, now)
    _record(actor, "reopened", finding, now)
    return finding


@transaction.atomic(durable=True)
def close_finding(*, actor: User, finding: Finding, closing: str, corrected: bool, now: datetime) -> Finding:
    """Close a finding. A misstatement that a later version of the report puts right is closed as corrected."""
    finding = _locked(finding.pk)
    _require_verifier(actor, finding)
    require(bool(closing.strip()), "reason_missing", "Say what settles it.")
    newer = Report.objects.filter(
        operator=finding.report.operator,
        period=finding.report.period,
        kind="operator",
        version__gt=finding.report.version,
    )
    require(
        not corrected or (finding.kind == Finding.Kind.MISSTATEMENT and newer.exists()),
        "nothing_corrected",
        "Only a misstatement is corrected, and only by a newer version of the report. Return the report first.",
    )
    finding.closing, finding.closed_by, finding.closed_at = closing.strip()[:2000], actor, now
    finding.corrected = corrected
    _move(finding, "closed")
    tasks.end_task(key=_task(finding), actor=actor, now=now)
    _record(actor, "closed", finding, now, corrected=corrected)
    return finding


@transaction.atomic(durable=True)
def answer_checklist(
    *, actor: User, report: Report, item: str, outcome: str, note: str, now: datetime
) -> ChecklistAnswer:
    """Say what was done for one item of the checklist, or why it does not apply. The latest answer counts."""
    report = _under_verification(actor, report)
    require(
        item in engine.CHECKLIST, "item_unknown", f"Choose an item of the checklist: {', '.join(engine.CHECKLIST)}."
    )
    require(outcome in ChecklistAnswer.Outcome.values, "outcome_unknown", "Answer with done or not_applicable.")
    require(bool(note.strip()), "note_missing", "Say what you did and what you saw, or why it does not apply.")
    require(
        item != engine.INDEPENDENT_REVIEW or outcome == ChecklistAnswer.Outcome.DONE,
        "review_missing",
        "Nothing goes out without an independent review. A colleague who did not do the work answers this item.",
    )
    answer = ChecklistAnswer.objects.create(
        report=report, item=item, outcome=outcome, note=note.strip()[:2000], answered_by=actor, answered_at=now
    )
    audit.record(
        actor,
        "registry.checklist.answered",
        answer,
        at=now,
        organisation=report.operator.organisation,
        item=item,
        outcome=outcome,
    )
    return answer


def checklist(report: Report) -> dict[str, ChecklistAnswer]:
    """Return the answer that counts for each item that was answered."""
    return {one.item: one for one in report.checklist_answers.select_related("answered_by").order_by("id")}


def of_period(operator: Operator, period: Period) -> QuerySet[Finding]:
    """Every finding on an operator's reports of a period, in order."""
    return (
        Finding.objects.filter(report__operator=operator, report__period=period)
        .select_related("report", "line", "raised_by", "answered_by", "closed_by")
        .order_by("number", "id")
    )


def left_open(operator: Operator, before: Period) -> QuerySet[Finding]:
    """Findings of earlier periods that are not closed, which the next verification looks at."""
    return (
        Finding.objects.filter(report__operator=operator, report__period__year__lt=before.year)
        .exclude(status="closed")
        .select_related("report__period__scheme", "line")
        .order_by("due_on", "id")
    )


def uncorrected(findings: Iterable[Finding]) -> list[Finding]:
    """Return the misstatements that no later version put right."""
    return [one for one in findings if one.kind == Finding.Kind.MISSTATEMENT and not one.corrected]


def weigh(report: Report, findings: Iterable[Finding], now: datetime) -> Materiality:
    """Hold the uncorrected misstatements of a period against what a report says that counts."""
    scheme = report.operator.scheme
    rule = rules.policy_at(scheme, now.astimezone(scheme.tz).date()).verification
    return engine.materiality(
        rule,
        reported=covered_total(report, now),
        unit_size=scheme.unit_size,
        effects=[one.quantity for one in uncorrected(findings)],
    )


def _under_verification(actor: User, report: Report) -> Report:
    report = reports.locked(report)
    appointment_for(actor, report)
    require(
        report.status == "under_verification",
        "report_not_under_verification",
        "Begin the verification of this report first; a report that was judged is closed.",
    )
    return report


def _require_verifier(actor: User, finding: Finding) -> None:
    """Let the verifier of the period, or of a later one, settle a finding."""
    report = finding.report
    require_permission(
        live_appointments(actor).filter(operator=report.operator, period__year__gte=report.period.year).exists(),
        "Only the appointed verifier settles findings.",
    )


def _ask(finding: Finding, now: datetime) -> None:
    """Open the operator's task of answering."""
    report = finding.report
    assert finding.due_on is not None, "Every finding that is raised has its day."
    tasks.open_task(
        key=_task(finding),
        kind="verification",
        organisation=report.operator.organisation,
        title=f"Answer finding {finding.number} of the verifier for {report.period}.",
        link=f"/findings/{finding.pk}/",
        now=now,
        due_at=end_of_day(finding.due_on, report.operator.scheme.tz),
    )


def _move(finding: Finding, status: str) -> None:
    FINDING.require(finding.status, status)
    finding.status = status
    finding.save()


def _task(finding: Finding) -> str:
    """Name the task of answering, one for each answer that did not settle it."""
    return f"finding:{finding.pk}:{finding.answered_at.isoformat() if finding.answered_at else 'first'}"


def _record(actor: User, what: str, finding: Finding, now: datetime, **details: object) -> None:
    audit.record(
        actor,
        f"registry.finding.{what}",
        finding,
        at=now,
        organisation=finding.report.operator.organisation,
        number=finding.number,
        report=str(finding.report_id),
        **details,
    )


def _locked(finding_id: UUID) -> Finding:
    found = (
        Finding.objects.select_for_update(of=("self",))
        .select_related("report__operator__organisation", "report__operator__scheme", "report__period", "line")
        .filter(pk=finding_id)
        .first()
    )
    if found is None:
        raise Unknown("finding_unknown", "There is no such finding. Check the address.")
    return found
