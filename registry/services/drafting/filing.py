"""Filing: the lines of a draft become an immutable report version, by set-based SQL, however many they are.

Every report of an operator comes this way: typed, read from one file, or put together from uploads and meters. Lines
of an upload count from the moment all of it has been read.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, require
from common.idempotency import canonical_json
from registry.models import (
    DRAFT,
    REPORT,
    Draft,
    DraftFile,
    DraftLine,
    EvidenceFile,
    Operator,
    Period,
    Report,
    ReportFile,
    ReportLine,
    Upload,
)
from registry.services import obligations, operators, receipts, reminders
from registry.services.monitoring import plans
from registry.services.versions import locked, move, require_correctable, require_liable, require_reporter

_COUNTING = """
    SELECT row_number() OVER (ORDER BY u.received_at NULLS LAST, u.id, l.source_line, l.key) AS number,
           coalesce(u.file_id, %(evidence)s::uuid) AS file_id, l.source_line, l.label, l.activity, l.method, l.flop,
           l.energy_kwh, l.co2e_g, l.claimed_co2e_g, l.factor_g_per_kwh, l.factor_source, l.workload_id, l.tier,
           l.zone, l.started_at, l.ended_at, l.requests, l.tokens
      FROM registry_draftline l
      LEFT JOIN registry_upload u ON u.id = l.upload_id
     WHERE l.draft_id = %(draft)s AND (l.upload_id IS NULL OR u.status = 'read')
"""
_FILED = """
    SELECT number, file_id, source_line, label, activity, method, flop, energy_kwh, co2e_g, claimed_co2e_g,
           factor_g_per_kwh, factor_source, workload_id, tier, zone, started_at, ended_at, requests, tokens
      FROM registry_reportline WHERE report_id = %(report)s
"""
_SPELLED = """
    SELECT l.number, f.sha256, l.source_line, l.label, l.activity, l.method, l.flop, l.energy_kwh, l.co2e_g,
           l.claimed_co2e_g, l.factor_g_per_kwh, l.factor_source, l.workload_id, l.tier, l.zone,
           extract(epoch FROM l.started_at), extract(epoch FROM l.ended_at), l.requests, l.tokens
      FROM ({lines}) l LEFT JOIN registry_evidencefile f ON f.id = l.file_id ORDER BY l.number
"""


def file(
    draft: Draft,
    *,
    actor: User,
    boundary: str,
    now: datetime,
    flags: Sequence[Mapping[str, object]] = (),
    evidence: EvidenceFile | None = None,
) -> Report:
    """Receive a report: take its instant under the period's lock, number the version, keep lines and files.

    `evidence` is the file that the lines without an upload were read from. The same content as that of the newest
    version is that version again: the caller learns it by getting a report that is not the draft's.
    """
    assert_in_transaction()
    period, received_at = receipts.receive(draft.period_id)
    operator = operators.locked(draft.operator)
    draft = Draft.objects.select_for_update(of=("self",), no_key=True).get(pk=draft.pk)
    require_reporter(actor, operator)
    require_liable(operator, period)
    boundary = boundary.strip()
    require(
        0 < len(boundary) <= 200, "boundary_missing", "Say what was measured, such as full stack or inference only."
    )
    _require_read(draft)
    _require_complete(draft)
    plan = plans.to_cite(operator, period)
    sources = _sources(draft, evidence)
    purposes = dict.fromkeys(sources, "The figures were read from it.")
    for kept in DraftFile.objects.filter(draft=draft).select_related("file").order_by("id"):
        purposes.setdefault(kept.file, kept.purpose)
    asked = {"draft": draft.pk, "evidence": evidence.pk if evidence else None}
    content_sha256 = _fingerprint(
        _header(boundary, list(purposes), plan.content_sha256 if plan else ""),
        _COUNTING,
        asked,
    )
    latest = Report.objects.filter(operator=operator, period=period).order_by("-version").first()
    if latest is not None and latest.content_sha256 == content_sha256:
        return latest
    require_correctable(period, operator)
    if latest is not None and REPORT.allows(latest.status, "corrected"):
        move(locked(latest), "corrected", reason=latest.return_reason)
    report = Report.objects.create(
        operator=operator,
        period=period,
        version=latest.version + 1 if latest else 1,
        boundary=boundary,
        flags=[*flags, *_flags_of(draft)],
        content_sha256=content_sha256,
        plan=plan,
        evidence=sources[0] if len(sources) == 1 else None,
        submitted_by=actor,
        received_at=received_at,
        **_totals(asked),
    )
    _write_lines(report, asked)
    ReportFile.objects.bulk_create(
        [ReportFile(report=report, file=file, purpose=purpose) for file, purpose in purposes.items()]
    )
    DRAFT.require(draft.status, "filed")
    draft.status, draft.report, draft.boundary, draft.plan, draft.changed_at = "filed", report, boundary, plan, now
    draft.save()
    DraftLine.objects.filter(draft=draft)._raw_delete(DraftLine.objects.db)  # their copies are the report's now
    reminders.withdraw(period.code, "report", now, operator.organisation)
    obligations.follow(period, now, f"Version {report.version} of the report was submitted.", operator=operator)
    audit.record(
        actor,
        "registry.report.submitted",
        report,
        at=now,
        organisation=operator.organisation,
        version=report.version,
        content_sha256=content_sha256,
        received_at=received_at,
    )
    return report


def direct(operator: Operator, period: Period, actor: User, now: datetime) -> Draft:
    """Return a draft for lines that are filed in the transaction in which they came."""
    assert_in_transaction()
    return Draft.objects.create(
        operator=operator, period=period, status="direct", created_by=actor, created_at=now, changed_at=now
    )


def content_hash(report: Report) -> str:
    """Work out again the hash of a report's boundary, files, plan and lines, from what is stored."""
    files = [kept.file for kept in report.files.select_related("file").order_by("id")]
    plan_sha256 = report.plan.content_sha256 if report.plan else ""
    return _fingerprint(_header(report.boundary, files, plan_sha256), _FILED, {"report": report.pk})


def lines_that_count(draft: Draft) -> Q:
    """Return the condition by which lines of a draft count."""
    return Q(draft=draft) & (Q(upload__isnull=True) | Q(upload__status="read"))


def totals(draft: Draft) -> dict[str, Any]:
    """Add up the lines that count; every kept digit is exact, so the sum is."""
    return _totals({"draft": draft.pk, "evidence": None})


def _header(boundary: str, files: Sequence[EvidenceFile], plan_sha256: str) -> bytes:
    return canonical_json({"boundary": boundary, "files": [one.sha256 for one in files], "plan": plan_sha256}).encode()


def _fingerprint(header: bytes, lines: str, asked: Mapping[str, Any]) -> str:
    """Hash a header and the lines as the database spells them in CSV; they stream, so that a million fit in no list."""
    digest = hashlib.sha256(header + b"\n")
    with connection.cursor() as cursor:
        spelled = _SPELLED.format(lines=lines)
        with cursor.copy(f"COPY ({spelled}) TO STDOUT (FORMAT csv)", dict(asked)) as copy:
            for block in copy:
                digest.update(block)
    return digest.hexdigest()


def _totals(asked: Mapping[str, Any]) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(flop), 0), coalesce(sum(energy_kwh), 0), coalesce(sum(co2e_g), 0)"  # noqa: S608
            f" FROM ({_COUNTING}) l",
            dict(asked),
        )
        row = cursor.fetchone()
    return dict(zip(("flop", "energy_kwh", "co2e_g"), row, strict=True))


def _write_lines(report: Report, asked: Mapping[str, Any]) -> None:
    columns = (
        "number, file_id, source_line, label, activity, method, flop, energy_kwh, co2e_g, claimed_co2e_g,"
        " factor_g_per_kwh, factor_source, workload_id, tier, zone, started_at, ended_at, requests, tokens"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO registry_reportline (report_id, {columns})"  # noqa: S608
            f" SELECT %(report)s, {columns} FROM ({_COUNTING}) l ORDER BY number",
            {**asked, "report": report.pk},
        )


def _require_read(draft: Draft) -> None:
    """Refuse to file while a file is still being read, or was refused and not taken out."""
    states = set(draft.uploads.exclude(status="removed").values_list("status", flat=True))
    require(
        not states & {"received", "reading"},
        "upload_unread",
        "A file of this draft is still being read. Wait until it is done, then file the report.",
    )
    require(
        "refused" not in states,
        "upload_refused",
        "A file of this draft was refused, so its figures are missing. Remove it, or send it corrected, then file.",
    )


def _require_complete(draft: Draft) -> None:
    """Refuse lines without the facts that every line has to have."""
    lines = DraftLine.objects.filter(lines_that_count(draft))
    require(lines.exists(), "no_lines", "The draft has no lines. Add a file or enter lines; a year of no use is a 0.")
    if lines.exclude(activity__in=ReportLine.Activity.values).exists():
        raise Refused("activity_unknown", "Choose one of the activities on the list.")
    if lines.filter(Q(method="") | Q(label="")).exists():
        raise Refused("line_incomplete", "A line has no name or no method. Complete it, then file the report.")


def _sources(draft: Draft, evidence: EvidenceFile | None) -> list[EvidenceFile]:
    """Return the files that lines were read from, in the order in which they came."""
    uploads = Upload.objects.filter(draft=draft, status="read").select_related("file").order_by("received_at", "id")
    return list(dict.fromkeys([*([evidence] if evidence else []), *(upload.file for upload in uploads)]))


def _flags_of(draft: Draft) -> list[dict[str, object]]:
    """Return the flags of all uploads, each with its file's name."""
    uploads = Upload.objects.filter(draft=draft, status="read").select_related("file").order_by("received_at", "id")
    return [{**flag, "file": upload.file.name} for upload in uploads for flag in upload.flags]
