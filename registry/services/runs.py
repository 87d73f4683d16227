"""Publishing runs: the document of an allocation, a reserve's flow, a sale or the letters, kept with its hash."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import Approval, User
from accounts.services import audit
from common.database import assert_in_transaction
from common.errors import Refused, Unknown, require_none
from registry import rulebook
from registry.engine import runs as engine
from registry.engine.canonical import canonical_json, sha256
from registry.models import AllocationRun, Case, LetterRemoval, Period, PublishedRun

KIND_OF = {
    "allocation": PublishedRun.Kind.ALLOCATION,
    "stability": PublishedRun.Kind.RESERVE,
    "sale": PublishedRun.Kind.RESERVE,
    "status": PublishedRun.Kind.STATUS,
}
"""Under which heading each kind of document is published."""

STATUS = PublishedRun.Kind.STATUS


def work_out(kind: str, period: Period, on: date, inputs: Mapping[str, Any]) -> engine.Document:
    """Return the document of a run by the rules that hold on a day; refuse it with what its rules refuse."""
    document = engine.run_document(
        kind=kind,
        scheme=period.scheme.code,
        period=period.code,
        year=period.year,
        on=on,
        rules=rulebook.history(period.scheme).document(),
        inputs=inputs,
    )
    require_none(list(_refusals(document)))
    return document


def publish(
    document: Mapping[str, Any],
    period: Period,
    *,
    actor: User | None,
    now: datetime,
    approval: Approval | None = None,
    allocation: AllocationRun | None = None,
) -> PublishedRun:
    """Keep a document as published. The caller holds the period's lock, so that runs are numbered without a gap."""
    assert_in_transaction()
    kind = KIND_OF[document["kind"]]
    run = PublishedRun.objects.create(
        kind=kind,
        period=period,
        number=PublishedRun.objects.filter(period=period, kind=kind).count() + 1,
        document=document,
        sha256=sha256(document),
        rules_sha256=document["rules"]["version"],
        approval=approval,
        allocation=allocation,
        published_at=now,
    )
    audit.record(actor, f"registry.run.{kind.value}_published", run, at=now, period=period.code, sha256=run.sha256)
    return run


def public(now: datetime) -> QuerySet[PublishedRun]:
    """Return the runs that everybody may read, the latest first. Letters wait until their period publishes names.

    The file of the letters has all of them, and its hash is of the whole: while one is under appeal, and from when one
    was removed, nobody reads it there. The other letters stay on the period's page.
    """
    named = Q(period__names_public_at__isnull=True) | Q(period__names_public_at__lte=now)
    appeals = Case.objects.filter(period=OuterRef("period"), kind=Case.Kind.APPEAL, status="open")
    removals = LetterRemoval.objects.filter(period=OuterRef("period"))
    whole = ~Exists(appeals.exclude(subject="allocation")) & ~Exists(removals)
    shown = ~Q(kind=STATUS) | Q(period__status="closed") & named & whole
    return PublishedRun.objects.filter(shown).select_related("period__scheme").order_by("-published_at", "-id")


def public_run(run_id: uuid.UUID, now: datetime) -> PublishedRun:
    """Return one run that everybody may read, or say that there is none."""
    run = public(now).filter(pk=run_id).first()
    if run is None:
        raise Unknown("run_unknown", "There is no such run. Check the address.")
    return run


def file_name(run: PublishedRun) -> str:
    """Return the name under which a run's document is downloaded."""
    return f"run-{run.period.code}-{run.kind}-{run.number}.json"


def as_file(run: PublishedRun) -> bytes:
    """Return the document as it is downloaded: the bytes that are hashed."""
    return canonical_json(run.document)


def _refusals(document: Mapping[str, Any]) -> Iterable[Refused]:
    for refusal in document["result"].get("refusals", ()):
        yield Refused(refusal["code"], refusal["sentence"])
