"""Uploads: files on their way into a draft. The row is the queue: a worker reads it, a sweep finds what was missed."""

import logging
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import IO

import celery
from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.errors import Refused, require
from registry.importers import xlsx
from registry.importers.formats import FORMATS, Format, recognised
from registry.importers.stream import read_beginning
from registry.importers.table import Limits
from registry.models import UPLOAD, Draft, DraftLine, ReportLine, Upload, Workload
from registry.services.drafting import drafts, evidence, reading
from registry.services.drafting.reading import MAX_BYTES, read_upload
from registry.services.versions import require_reporter

log = logging.getLogger(__name__)

MAX_UPLOADS = 100
SMALL_BYTES = 20_000_000
"""For everything that is not CSV: it is read whole."""

_QUIET_SECONDS = 5.0
_silent_until = 0.0


@transaction.atomic(durable=True)
def receive(
    *,
    actor: User,
    draft: Draft,
    name: str,
    file: IO[bytes],
    format: str = "",
    options: Mapping[str, str] | None = None,
    workload: Workload | None = None,
    now: datetime,
) -> Upload:
    """Keep a file for a draft and wake a worker to read it. The same file again is the upload of before.

    What a file is and how far it would inflate is looked at before anything is stored; without a format it is
    recognised by the columns of its header.
    """
    require_reporter(actor, draft.operator)
    draft = drafts.locked(draft)
    kind = evidence.kind_of(file)
    if kind == "xlsx":
        _require_small_sheet(file)
    chosen = _format(file, kind, format)
    chosen_options = _options(draft, chosen, options or {}, workload)
    if workload is not None:
        require(
            workload.system.site.organisation_id == draft.operator.organisation_id,
            "workload_unknown",
            "Choose one of your own workloads.",
        )
    kept = evidence.keep(
        organisation=draft.operator.organisation,
        actor=actor,
        name=name,
        file=file,
        at=now,
        max_bytes=MAX_BYTES if chosen.rows is not None and kind == "text" else SMALL_BYTES,
    )
    earlier = draft.uploads.filter(file=kept, status__in=["received", "reading", "read"]).first()
    if earlier is not None:
        return earlier
    require(
        draft.uploads.exclude(status="removed").count() < MAX_UPLOADS,
        "too_many_uploads",
        f"A draft takes at most {MAX_UPLOADS} files. Put several of them together into one.",
    )
    upload = Upload.objects.create(
        draft=draft,
        file=kept,
        format=chosen.code,
        options=chosen_options,
        workload=workload,
        received_by=actor,
        received_at=now,
    )
    audit.record(
        actor,
        "registry.upload.received",
        upload,
        at=now,
        organisation=draft.operator.organisation,
        sha256=kept.sha256,
        format=chosen.code,
    )
    transaction.on_commit(lambda: wake(upload))
    return upload


@transaction.atomic(durable=True)
def remove(*, actor: User, upload: Upload, now: datetime) -> Upload:
    """Take an upload and its lines out of the draft; the file stays with the organisation."""
    require_reporter(actor, upload.draft.operator)
    drafts.locked(upload.draft)
    upload = Upload.objects.select_for_update(of=("self",)).select_related("draft__operator").get(pk=upload.pk)
    if upload.status == "removed":
        return upload
    UPLOAD.require(upload.status, "removed")
    DraftLine.objects.filter(upload=upload)._raw_delete(DraftLine.objects.db)
    upload.status, upload.ended_at = "removed", now
    upload.save(update_fields=["status", "ended_at"])
    audit.record(actor, "registry.upload.removed", upload, at=now, organisation=upload.draft.operator.organisation)
    return upload


def sweep() -> int:
    """Wake somebody for every upload that is not read: a bell was lost, or a worker died. Return how many."""
    waiting = list(Upload.objects.filter(status__in=["received", "reading"], draft__status="open"))
    for upload in waiting:
        wake(upload)
    return len(waiting)


def wake(upload: Upload) -> None:
    """Ring for a reader. A broker that is gone costs one short try every few seconds, and no upload."""
    global _silent_until
    if time.monotonic() < _silent_until:  # for the broker's sake only
        return
    try:
        celery.current_app.send_task("registry.read_upload", args=[str(upload.pk)], ignore_result=True, retry=False)
    except Exception as error:  # whatever the library of whichever broker raises: the upload is committed and stands
        _silent_until = time.monotonic() + _QUIET_SECONDS
        log.warning("Nobody could be woken for %s (%s): the sweep will find it.", upload, error)


def read(upload_id: uuid.UUID) -> None:
    """Read an upload for a turn, and ring again where some of it is left."""
    if read_upload(upload_id, seconds=reading.TURN_SECONDS):
        wake(Upload.objects.get(pk=upload_id))


def _require_small_sheet(file: IO[bytes]) -> None:
    """Refuse a spreadsheet by its table of contents, before a byte of it is unpacked."""
    content = file.read(SMALL_BYTES + 1)
    file.seek(0)
    fault = xlsx.unreadable(content, Limits(max_bytes=SMALL_BYTES, max_rows=reading.MAX_ROWS))
    if fault is not None:
        raise Refused(fault.code, fault.sentence)


def _format(file: IO[bytes], kind: str, code: str) -> Format:
    """Return the format that was chosen, or that the header of a table shows."""
    if code:
        found = FORMATS.get(code)
        if found is None:
            raise Refused("format_unknown", f"There is no format {code[:40]!r}. Choose one of: {', '.join(FORMATS)}.")
        return found
    columns: tuple[str, ...] = ()
    if kind == "xlsx":
        content = file.read(SMALL_BYTES)
        limits = Limits(max_bytes=SMALL_BYTES, max_rows=1)
        columns = next((record.columns for record in xlsx.stream_xlsx(content, required=(), limits=limits)), ())
    elif kind == "text":
        head = file.read(evidence.CHUNK)
        limits = Limits(max_bytes=len(head), max_rows=1)
        columns = read_beginning(head, len(head), required=(), limits=limits).columns
    file.seek(0)
    found = recognised(frozenset(columns))
    if found is None:
        raise Refused("format_not_recognised", "We do not recognise this file: choose its format beside it.")
    return found


def _options(draft: Draft, chosen: Format, options: Mapping[str, str], workload: Workload | None) -> dict[str, str]:
    """Keep what the format asks for, and refuse what is missing."""
    metric = draft.operator.scheme.metric
    require(
        metric in chosen.metrics,
        "metric_not_measured",
        f"{chosen.title} does not measure what this scheme counts. Send another file, or enter the lines.",
    )
    kept = {}
    for option in chosen.options:
        value = str(options.get(option.name, "")).strip()[:200]
        require(bool(value) or not option.is_required, "option_missing", f"Fill in: {option.label}.")
        if value and option.choices:
            known = [code for code, _ in option.choices]
            require(value in known, "option_unknown", f"{option.label}: choose one of {', '.join(known)}.")
        kept[option.name] = value
    activity = str(options.get("activity", ""))
    require(
        activity in {"", *ReportLine.Activity.values}, "activity_unknown", "Choose one of the activities on the list."
    )
    require(
        bool(activity) or chosen.says_activity or workload is not None,
        "activity_missing",
        "The file does not say what was done: choose the activity, or the workload that it measured.",
    )
    return kept | {"activity": activity}
