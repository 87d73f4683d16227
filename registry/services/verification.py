"""Verification: an independent verifier's signed opinion on a report, and the obligation that follows from it.

The verifier signs the canonical bytes of the statement, which hold the report's hash, what was found and how much of it
is uncorrected. The registry takes the statement only if it says what the registry knows, and signs a receipt.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import require
from common.signing import read_signature
from registry.engine.canonical import canonical_json
from registry.engine.compliance import obligation
from registry.engine.deadlines import end_of_day
from registry.engine.rounding import exact_text
from registry.engine.verification import CHECKLIST, INDEPENDENT_REVIEW, Materiality
from registry.importers.table import sha256_hex
from registry.models import (
    REPORT,
    Appointment,
    Finding,
    Obligation,
    Operator,
    Period,
    Report,
    SigningKey,
    VerifierStatement,
)
from registry.permissions import appointment_for
from registry.services import compliance, obligations, operators, receipts, regimes, reports
from registry.services.verifying import findings as found
from registry.services.verifying import keys
from registry.services.verifying.accreditations import require_accredited
from registry.services.verifying.appointments import require_fit
from registry.services.verifying.coverage import covered_total

STATEMENT, RECEIPT = "headroom/verifier-statement/1", "headroom/receipt/1"
"""The kinds of documents that are signed here; each names its own, so that no signature fits another kind."""

POSITIVE = frozenset({VerifierStatement.Opinion.POSITIVE, VerifierStatement.Opinion.POSITIVE_WITH_COMMENTS})


@transaction.atomic(durable=True)
def begin_verification(*, actor: User, report: Report, now: datetime) -> Report:
    """Take the latest version of a report up: from here on the verifier checks it, and then gives its opinion."""
    appointment_for(actor, report)
    operator = operators.locked(report.operator)
    report = reports.locked(report)
    appointment = appointment_for(actor, report)
    _require_newest(report)
    _require_competent(appointment, report, now)
    reports.move(report, "under_verification")
    audit.record(
        actor,
        "registry.report.under_verification",
        report,
        at=now,
        organisation=operator.organisation,
        verifier=appointment.verifier.name,
    )
    return report


@transaction.atomic(durable=True)
def verify_report(
    *,
    actor: User,
    report: Report,
    opinion: str,
    findings: str,
    now: datetime,
    key_id: str = "",
    signature: str = "",
    passphrase: str = "",
) -> VerifierStatement:
    """State an opinion on the latest version of a report: positive ones make it count, a negative one returns it.

    The statement is signed by the key named: here, with the passphrase of a kept key, or elsewhere, with the signature
    over the bytes of `statement_to_sign`.
    """
    appointment_for(actor, report)
    require(opinion in VerifierStatement.Opinion.values, "opinion_unknown", "Choose one of the opinions on the list.")
    period, received_at = receipts.receive(report.period_id)
    operator = operators.locked(report.operator)
    report = reports.locked(report)
    appointment = appointment_for(actor, report)
    require(
        received_at >= end_of_day(period.ends_on, operator.scheme.tz),
        "period_still_running",
        f"{period} has not ended: nobody can verify a year that is not over.",
    )
    _require_newest(report)
    require(
        report.status != "submitted",
        "verification_not_begun",
        "Begin the verification of this report first.",
    )
    REPORT.require(report.status, "verified" if opinion in POSITIVE else "returned")
    listed = list(found.of_period(operator, report.period))
    weighed = found.weigh(report, listed, received_at)
    _require_founded(actor, report, opinion, findings, listed, weighed)
    _require_competent(appointment, report, received_at)
    key = keys.usable_key(appointment.verifier, key_id, received_at)
    content = _content(report, appointment, opinion, findings, listed, weighed, key)
    key, signature = keys.sign(
        actor=actor,
        organisation=appointment.verifier,
        key_id=key.key_id,
        content=content,
        signature=signature,
        passphrase=passphrase,
        at=received_at,
    )
    if opinion in POSITIVE:
        _put_in_force(report, period, operator, received_at)
        compliance.record_later_status(operator, period, now, f"Version {report.version} of the report was verified.")
    else:
        reports.move(report, "returned", reason=findings.strip() or _in_short(listed))
        obligations.follow(period, now, "The verifier sent the report back.", operator=operator)
    statement = _stated(actor, report, appointment, opinion, findings, content, key, signature, received_at)
    audit.record(
        actor,
        f"registry.report.{report.status}",
        report,
        at=now,
        organisation=operator.organisation,
        verifier=appointment.verifier.name,
        opinion=opinion,
        received_at=received_at,
        statement_sha256=statement.sha256,
    )
    return statement


def statement_to_sign(*, actor: User, report: Report, opinion: str, findings: str, key_id: str, now: datetime) -> bytes:
    """Return the bytes that a verifier signs with its own program, as the registry will want them."""
    appointment = appointment_for(actor, report)
    require(opinion in VerifierStatement.Opinion.values, "opinion_unknown", "Choose one of the opinions on the list.")
    key = keys.usable_key(appointment.verifier, key_id, now)
    listed = list(found.of_period(report.operator, report.period))
    weighed = found.weigh(report, listed, now)
    return _content(report, appointment, opinion, findings, listed, weighed, key)


def holds(statement: VerifierStatement) -> str:
    """Return what is wrong with the signatures of a statement or its bond to the report; empty where all holds."""
    if statement.key is None or statement.receipt_key is None:
        return "" if statement.appointment_id is None else "is not signed"
    content, receipt = statement.document.encode(), statement.receipt.encode()
    if sha256_hex(content) != statement.sha256:
        return "is not the document of its hash"
    if f'"content_sha256":"{statement.report.content_sha256}"' not in statement.document:
        return "is about another report"
    if statement.key.organisation_id != statement.verifier_id:
        return "is signed with a key of somebody else"
    if not keys.is_valid_at(statement.key, statement.signed_at):
        return "is signed with a key that was not valid"
    if not keys.holds(statement.key, content, statement.signature):
        return "has a wrong signature"
    if statement.receipt_key.organisation_id is not None or statement.sha256 not in statement.receipt:
        return "has the receipt of something else"
    return "" if keys.holds(statement.receipt_key, receipt, statement.receipt_signature) else "has a wrong receipt"


def _require_newest(report: Report) -> None:
    newest = (
        Report.objects.filter(operator=report.operator, period=report.period, kind="operator")
        .order_by("-version")
        .first()
    )
    require(newest == report, "report_not_latest", "A newer version was submitted. Verify that one.")


def _require_competent(appointment: Appointment, report: Report, now: datetime) -> None:
    """Refuse a verifier that is not fit any more, or not accredited for what the report is about."""
    require_fit(appointment.verifier, appointment.operator, appointment.period, now)
    activities = report.lines.order_by().values_list("activity", flat=True).distinct()
    day = now.astimezone(appointment.operator.scheme.tz).date()
    require_accredited(appointment.verifier, appointment.operator.scheme, activities, day)


def _require_founded(
    actor: User, report: Report, opinion: str, comments: str, listed: Sequence[Finding], weighed: Materiality
) -> None:
    """Refuse an opinion that does not follow from what was checked and found."""
    standing = [one for one in listed if one.status != "closed" or found.uncorrected([one])]
    require(
        bool(comments.strip()) or bool(standing) or opinion == VerifierStatement.Opinion.POSITIVE,
        "findings_missing",
        "Say what you found: an opinion with comments and a negative one need findings.",
    )
    if opinion not in POSITIVE:
        return
    require(
        not weighed.exceeds,
        "misstatements_material",
        f"Uncorrected misstatements exceed {exact_text(weighed.level * 100)} % of what was reported. "
        "Return the report for correction.",
    )
    require(
        opinion != VerifierStatement.Opinion.POSITIVE or not standing,
        "opinion_too_good",
        "Findings are open or uncorrected. Give a positive opinion with comments, or close them first.",
    )
    answers = found.checklist(report)
    missing = [title for item, title in CHECKLIST.items() if item not in answers]
    require(
        not missing,
        "checklist_incomplete",
        f"Answer the whole checklist first. Missing: {'; '.join(title.partition(':')[0] for title in missing)}.",
    )
    require(
        answers[INDEPENDENT_REVIEW].answered_by_id != actor.pk,
        "review_not_independent",
        "The independent review is yours. A colleague who reviewed your work answers it, or signs.",
    )


def _content(
    report: Report,
    appointment: Appointment,
    opinion: str,
    comments: str,
    listed: Iterable[Finding],
    weighed: Materiality,
    key: SigningKey,
) -> bytes:
    """Write the statement in its canonical form. Nothing in it depends on when it is written."""
    scheme, operator = appointment.operator.scheme, appointment.operator
    files = report.files.select_related("file").order_by("file__sha256").values_list("file__sha256", flat=True)
    document: dict[str, Any] = {
        "schema": STATEMENT,
        "scheme": scheme.code,
        "period": appointment.period.code,
        "operator": {"id": str(operator.pk), "name": operator.organisation.name},
        "verifier": {"id": str(appointment.verifier_id), "name": appointment.verifier.name},
        "appointment": str(appointment.pk),
        "report": {
            "id": str(report.pk),
            "version": report.version,
            "content_sha256": report.content_sha256,
            "evidence_sha256": sorted({*files, *([report.evidence.sha256] if report.evidence else [])}),
            "flop": format(report.flop, "f"),
            "energy_kwh": format(report.energy_kwh, "f"),
            "co2e_g": format(report.co2e_g, "f"),
        },
        "plan": {"version": report.plan.version, "sha256": report.plan.content_sha256} if report.plan else None,
        "materiality": {
            "unit": scheme.unit_name,
            "reported": exact_text(weighed.reported),
            "misstated": exact_text(weighed.misstated),
            "level": exact_text(weighed.level),
            "exceeds": weighed.exceeds,
        },
        "findings": [_finding(one) for one in listed],
        "checklist": {item: answer.outcome for item, answer in sorted(found.checklist(report).items())},
        "opinion": opinion,
        "comments": comments.strip(),
        "key_id": key.key_id,
    }
    return canonical_json(document)


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "number": finding.number,
        "report_version": finding.report.version,
        "kind": finding.kind,
        "text": finding.text,
        "quantity": format(finding.quantity.normalize(), "f"),
        "corrected": finding.corrected,
        "status": finding.status,
        "due_on": finding.due_on.isoformat() if finding.due_on else None,
    }


def _in_short(listed: Sequence[Finding]) -> str:
    return " ".join(f"{one.number}: {one.text}" for one in listed if one.status != "closed")


def _stated(
    actor: User,
    report: Report,
    appointment: Appointment,
    opinion: str,
    comments: str,
    content: bytes,
    key: SigningKey,
    signature: str,
    received_at: datetime,
) -> VerifierStatement:
    """Keep a statement with the registry's receipt for it."""
    digest = sha256_hex(content)
    receipt = canonical_json(
        {
            "schema": RECEIPT,
            "of": STATEMENT,
            "sha256": digest,
            "signature": read_signature(signature),
            "key_id": key.key_id,
            "report": str(report.pk),
            "report_status": report.status,
            "received_at": received_at.isoformat(),
        }
    )
    receipt_key, receipt_signature = keys.registry_signature(receipt, received_at)
    return VerifierStatement.objects.create(
        report=report,
        verifier=appointment.verifier,
        appointment=appointment,
        signed_by=actor,
        signed_at=received_at,
        opinion=opinion,
        findings=comments.strip(),
        document=content.decode(),
        sha256=digest,
        key=key,
        signature=read_signature(signature),
        receipt=receipt.decode(),
        receipt_key=receipt_key,
        receipt_signature=receipt_signature,
    )


def _put_in_force(report: Report, period: Period, operator: Operator, received_at: datetime) -> None:
    """Let a verified report take the place of an older one or of an estimate, and say what is owed by it."""
    reports.require_liable(operator, period)
    reports.require_correctable(period, operator)
    replaced = Report.objects.filter(operator=operator, period=period, status__in=["verified", "determined"]).first()
    if replaced is not None:
        reports.move(replaced, "superseded")
    reports.move(report, "verified")
    owe(report, operator, period, received_at)


def owe(report: Report, operator: Operator, period: Period, at: datetime) -> Obligation:
    """Write the next version of an obligation: the report's total over the permit size, by rule R6.

    Under a regime that surrenders nothing, nothing is owed whatever was used.
    """
    regime = regimes.record(operator, period, at)
    latest = Obligation.objects.filter(operator=operator, period=period).order_by("-version").first()
    return Obligation.objects.create(
        operator=operator,
        period=period,
        version=latest.version + 1 if latest else 1,
        report=report,
        quantity=quantity_owed(report, at) if regime in regimes.SURRENDERS else 0,
        at=at,
    )


def quantity_in_force(operator: Operator, period: Period) -> int:
    """Return what is owed for a period by the latest version of its obligation."""
    latest = Obligation.objects.filter(operator=operator, period=period).order_by("-version").first()
    return latest.quantity if latest else 0


def quantity_owed(report: Report, at: datetime) -> int:
    """Return the permits that a report means by the rules as known at an instant: what counts, over the permit size."""
    return obligation(covered_total(report, at), report.operator.scheme.unit_size)
