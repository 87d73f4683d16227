"""Drafts: the report that an operator prepares for a period, filled by people and machines until it is filed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import IO

from django.db import transaction

from accounts.models import User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, require
from registry.importers.table import BadFile
from registry.models import DRAFT, Draft, DraftFile, DraftLine, Operator, Period, Report
from registry.services import reports
from registry.services.drafting import evidence, filing
from registry.services.drafting.lines import Flags, Valuation, batched
from registry.services.reports import LineInput
from registry.services.versions import RowsRefused, require_correctable, require_liable, require_reporter

TYPED = "typed:"
"""How the keys of typed lines begin."""
MAX_FILES = 50


@transaction.atomic(durable=True)
def open_draft(*, actor: User, operator: Operator, period: Period, now: datetime) -> Draft:
    """Return the draft that an operator is preparing for a period; the first one who asks opens it."""
    require_reporter(actor, operator)
    require_liable(operator, period)
    require_correctable(period, operator)
    operator = Operator.objects.select_for_update(of=("self",), no_key=True).get(pk=operator.pk)
    found = Draft.objects.filter(operator=operator, period=period, status="open").first()
    if found is not None:
        return found
    draft = Draft.objects.create(operator=operator, period=period, created_by=actor, created_at=now, changed_at=now)
    audit.record(actor, "registry.draft.opened", draft, at=now, organisation=operator.organisation)
    return draft


def put_lines(draft: Draft, lines: Iterable[DraftLine], *, prefix: str, now: datetime) -> int:
    """Replace the lines whose key begins with a prefix by these, in the caller's transaction; return how many.

    Lines of uploads are never touched, and a key that another source has already is refused.
    """
    assert_in_transaction()
    assert prefix, "an empty prefix would take every line"
    draft = locked(draft)
    DraftLine.objects.filter(draft=draft, upload__isnull=True, key__startswith=prefix).delete()
    count = 0
    for batch in batched(lines, 5_000):
        for line in batch:
            assert line.key.startswith(prefix), f"{line.key} does not begin with {prefix}"
            line.draft = draft
        taken = DraftLine.objects.filter(draft=draft, key__in=[line.key for line in batch]).order_by("id").first()
        if taken is not None:
            raise Refused("duplicate_line", f"{taken.label} is in the draft already: remove it there first.")
        count += len(DraftLine.objects.bulk_create(batch))
    _touch(draft, now)
    return count


@transaction.atomic(durable=True)
def type_lines(*, actor: User, draft: Draft, lines: Sequence[LineInput], now: datetime) -> int:
    """Keep typed lines in place of those that were typed before; none at all takes them out."""
    require_reporter(actor, draft.operator)
    flags, errors = Flags(), []  # type: ignore[var-annotated]
    read = reports.read_typed(lines) if lines else None
    if isinstance(read, BadFile):
        raise RowsRefused(read.errors)
    made = [] if read is None else list(Valuation(draft, at=now).draft_lines(read.lines, flags, errors))
    return put_lines(draft, made, prefix=TYPED, now=now)


@transaction.atomic(durable=True)
def attach(*, actor: User, draft: Draft, name: str, file: IO[bytes], purpose: str, now: datetime) -> DraftFile:
    """Keep a further file with a draft; it will be kept with the report."""
    require_reporter(actor, draft.operator)
    draft = locked(draft)
    require(draft.files.count() < MAX_FILES, "too_many_files", f"A report keeps at most {MAX_FILES} further files.")
    kept = evidence.keep(organisation=draft.operator.organisation, actor=actor, name=name, file=file, at=now)
    attached, _ = DraftFile.objects.update_or_create(
        draft=draft, file=kept, defaults={"purpose": purpose.strip()[:200]}
    )
    _touch(draft, now)
    return attached


@transaction.atomic(durable=True)
def detach(*, actor: User, draft: Draft, file_id: int, now: datetime) -> None:
    """Take a further file out of a draft; what was received stays with the organisation."""
    require_reporter(actor, draft.operator)
    draft = locked(draft)
    if not DraftFile.objects.filter(draft=draft, pk=file_id).delete()[0]:
        raise Unknown("file_unknown", "There is no such file with this draft. Reload the page.")
    _touch(draft, now)


@transaction.atomic(durable=True)
def discard(*, actor: User, draft: Draft, now: datetime) -> Draft:
    """Give up a draft: its lines go, the files that were received stay."""
    require_reporter(actor, draft.operator)
    draft = Draft.objects.select_for_update(of=("self",), no_key=True).get(pk=draft.pk)
    DRAFT.require(draft.status, "discarded")
    draft.uploads.exclude(status="removed").update(status="removed", ended_at=now)
    DraftLine.objects.filter(draft=draft)._raw_delete(DraftLine.objects.db)
    draft.status, draft.changed_at = "discarded", now
    draft.save(update_fields=["status", "changed_at"])
    audit.record(actor, "registry.draft.discarded", draft, at=now, organisation=draft.operator.organisation)
    return draft


@transaction.atomic(durable=True)
def file_draft(*, actor: User, draft: Draft, boundary: str, now: datetime) -> Report:
    """Turn a draft into the next version of the report. Filing a filed draft again gives its report."""
    require_reporter(actor, draft.operator)
    stored = Draft.objects.select_related("report", "operator__organisation").get(pk=draft.pk)
    if stored.report is not None:
        return stored.report
    require(stored.status == "open", "draft_not_open", "This draft was discarded. Open a new one.")
    report = filing.file(stored, actor=actor, boundary=boundary, now=now)
    require(
        Draft.objects.filter(pk=draft.pk, report=report).exists(),
        "content_unchanged",
        f"Version {report.version} has exactly these lines already: there is nothing to correct.",
    )
    return report


def locked(draft: Draft) -> Draft:
    """Lock an open draft for a change."""
    assert_in_transaction()
    draft = (
        Draft.objects.select_for_update(of=("self",), no_key=True)
        .select_related("operator__organisation", "operator__scheme", "period")
        .get(pk=draft.pk)
    )
    require(draft.status == "open", "draft_not_open", "This draft was filed or discarded. Open a new one.")
    return draft


def _touch(draft: Draft, now: datetime) -> None:
    Draft.objects.filter(pk=draft.pk).update(changed_at=now)
