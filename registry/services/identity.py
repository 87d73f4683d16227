"""Identity documents: asked for, sent in, reviewed, and good until they expire.

A document is kept as evidence is: hashed at receipt, given back as a file to be saved, never shown in a page. What it
is follows from its first bytes and not from its name.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Membership, Organisation, Task, User
from accounts.permissions import has_role
from accounts.services import audit, tasks
from common.database import assert_in_transaction
from common.errors import Unknown, require, require_permission
from registry.models import IDENTITY, EvidenceFile, IdentityDocument
from registry.permissions import regulator_of
from registry.services.drafting import evidence

KINDS = {
    "register_extract": "Extract of the commercial register",
    "ownership": "Who owns the organisation in the end",
    "passport": "Passport or identity card",
    "proof_of_address": "Proof of address",
    "authority": "Power to act for the organisation",
}
MAX_BYTES = 5 * 1024 * 1024
MAGIC = {b"%PDF-": "pdf", b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
REMIND_BEFORE = (timedelta(days=60), timedelta(days=14))
"""How long before a document expires its holder is reminded."""
WAITING = ("requested", "refused")
"""States in which the holder has to send something."""


@transaction.atomic(durable=True)
def request_document(
    *,
    actor: User,
    organisation: Organisation,
    kind: str,
    due_on: date,
    now: datetime,
    person: User | None = None,
) -> IdentityDocument:
    """Ask an organisation, or one of its people, for a document by a day."""
    regulator_of(actor)
    require(kind in KINDS, "document_kind_unknown", f"Choose one of the kinds: {', '.join(KINDS)}.")
    require(due_on >= now.date(), "due_day_past", "Give a day that has not passed.")
    require(
        person is None
        or Membership.objects.filter(user=person, organisation=organisation, ended_at__isnull=True).exists(),
        "person_not_a_member",
        "This person has no role in the organisation.",
    )
    require(
        not IdentityDocument.objects.filter(
            organisation=organisation, person=person, kind=kind, status__in=["requested", "received", "refused"]
        ).exists(),
        "document_requested_already",
        "This document was asked for already. Review it, or cancel the request.",
    )
    document = IdentityDocument.objects.create(
        organisation=organisation, person=person, kind=kind, requested_by=actor, requested_at=now, due_on=due_on
    )
    audit.record(
        actor, "registry.identity.requested", document, at=now, organisation=organisation, kind=kind, due_on=due_on
    )
    _ask_holder(document, now)
    return document


@transaction.atomic(durable=True)
def submit_document(
    *, actor: User, document: IdentityDocument, name: str, content: bytes, now: datetime
) -> IdentityDocument:
    """Send a document in: a person's own comes from that person, an organisation's from those who act for it."""
    document = _locked(document.pk)
    require_permission(may_submit(actor, document), "This document is asked of others.")
    IDENTITY.require(document.status, "received")
    require(bool(content), "file_empty", "The file is empty. Choose another one.")
    require(len(content) <= MAX_BYTES, "file_too_large", "The file is larger than 5 MB. Scan it more coarsely.")
    require(
        file_type(content) is not None,
        "file_type_unknown",
        "Send a PDF, PNG or JPEG file. What it is called is no proof.",
    )
    tasks.end_task(key=_holders_task(document), actor=actor, now=now)
    document.file = _kept(actor, document.organisation, name, content, now)
    document.reason = ""
    _move(document, "received")
    audit.record(
        actor,
        "registry.identity.received",
        document,
        at=now,
        organisation=document.organisation,
        sha256=document.file.sha256,
        size=document.file.size,
    )
    _ask_regulator(document, now)
    return document


@transaction.atomic(durable=True)
def accept_document(*, actor: User, document: IdentityDocument, expires_on: date, now: datetime) -> IdentityDocument:
    """Accept what was sent, until the day on which it expires."""
    document = _reviewed(actor, document, now)
    require(expires_on > now.date(), "expired_already", "A document is accepted for days to come.")
    document.expires_on = expires_on
    _move(document, "accepted")
    audit.record(
        actor,
        "registry.identity.accepted",
        document,
        at=now,
        organisation=document.organisation,
        expires_on=expires_on,
    )
    return document


@transaction.atomic(durable=True)
def refuse_document(*, actor: User, document: IdentityDocument, reason: str, now: datetime) -> IdentityDocument:
    """Refuse what was sent, with the reason; another file may follow."""
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the holder can act on.")
    document = _reviewed(actor, document, now)
    document.reason = reason.strip()[:500]
    _move(document, "refused")
    _ask_holder(document, now)
    audit.record(
        actor, "registry.identity.refused", document, at=now, organisation=document.organisation, reason=reason
    )
    return document


@transaction.atomic(durable=True)
def cancel_request(*, actor: User, document: IdentityDocument, reason: str, now: datetime) -> IdentityDocument:
    """Take a request back."""
    regulator_of(actor)
    require(bool(reason.strip()), "reason_missing", "Say why, in a sentence that the holder can read.")
    document = _locked(document.pk)
    document.reason = reason.strip()[:500]
    tasks.end_task(key=_holders_task(document), actor=actor, now=now, status="cancelled")
    _move(document, "cancelled")
    audit.record(
        actor, "registry.identity.cancelled", document, at=now, organisation=document.organisation, reason=reason
    )
    return document


@transaction.atomic(durable=True)
def expire_documents(*, now: datetime) -> int:
    """Let every accepted document whose day has come expire; return how many did. Doing it again does nothing."""
    due = (
        IdentityDocument.objects.select_for_update(of=("self",))
        .filter(status="accepted", expires_on__lte=now.date())
        .order_by("pk")
    )
    documents = list(due.select_related("organisation"))
    for document in documents:
        _move(document, "expired")
        audit.record(None, "registry.identity.expired", document, at=now, organisation=document.organisation)
    return len(documents)


@transaction.atomic(durable=True)
def remind_of_expiry(*, now: datetime) -> int:
    """Open a task for each document whose day of a reminder has come; return how many. Once for each day."""
    opened = 0
    for document in to_remind(now.date()):
        assert document.expires_on is not None, "An accepted document has its day."
        for day in reminder_days(document.expires_on):
            key = f"identity:{document.pk}:expires:{day}"
            if day <= now.date() and not Task.objects.filter(key=key).exists():
                tasks.open_task(
                    key=key,
                    kind="identity",
                    organisation=document.organisation,
                    title=f"A document expires on {document.expires_on:%-d %B %Y}: {KINDS[document.kind].lower()}",
                    link=_link(document),
                    now=now,
                    due_at=datetime.combine(document.expires_on, time.min, tzinfo=UTC),
                )
                opened += 1
    return opened


def reminder_days(expires_on: date) -> tuple[date, ...]:
    """Return the days on which the holder of a document is reminded that it expires."""
    return tuple(expires_on - before for before in REMIND_BEFORE)


def overdue(on: date) -> QuerySet[IdentityDocument]:
    """Documents that were due before a day and have not been sent in, the longest overdue first."""
    return (
        IdentityDocument.objects.filter(status__in=WAITING, due_on__lt=on)
        .select_related("organisation", "person")
        .order_by("due_on", "id")
    )


def to_remind(on: date) -> QuerySet[IdentityDocument]:
    """Accepted documents that expire soon enough for a reminder, the nearest first."""
    return (
        IdentityDocument.objects.filter(status="accepted", expires_on__lte=on + max(REMIND_BEFORE))
        .select_related("organisation", "person")
        .order_by("expires_on", "id")
    )


def may_submit(user: User, document: IdentityDocument) -> bool:
    """Say whether a person may send a document in."""
    if document.person_id is not None:
        return document.person_id == user.pk and user.is_active
    return has_role(user, document.organisation, *_ACTING)


def documents_of(organisation_ids: Iterable[UUID], user: User) -> QuerySet[IdentityDocument]:
    """Documents that a holder's person may know of: the organisations', and the person's own."""
    return IdentityDocument.objects.filter(
        Q(organisation__in=list(organisation_ids), person=None) | Q(person=user)
    ).select_related("organisation", "person")


def file_type(content: bytes) -> str | None:
    """Return what a file is by its first bytes, or None if it is nothing that we keep."""
    return next((kind for magic, kind in MAGIC.items() if content.startswith(magic)), None)


def _link(document: IdentityDocument) -> str:
    return f"/registry/identity/{document.pk}/"


def _holders_task(document: IdentityDocument) -> str:
    """Name the task of sending a document in, one for each file that was refused before."""
    return f"identity:{document.pk}:send:{document.file_id or 'first'}"


def _regulators_task(document: IdentityDocument) -> str:
    return f"identity:{document.pk}:review:{document.file_id}"


def _ask_holder(document: IdentityDocument, now: datetime) -> None:
    whose = f" of {document.person}" if document.person else ""
    tasks.open_task(
        key=_holders_task(document),
        kind="identity",
        organisation=document.organisation,
        title=f"Send in a document{whose}: {KINDS[document.kind].lower()}",
        link=_link(document),
        now=now,
        due_at=datetime.combine(document.due_on, time.min, tzinfo=UTC) + timedelta(days=1),
    )


def _ask_regulator(document: IdentityDocument, now: datetime) -> None:
    regulator = Organisation.objects.filter(kind="regulator", status="active").order_by("pk").first()
    if regulator is not None:
        tasks.open_task(
            key=_regulators_task(document),
            kind="identity",
            organisation=regulator,
            title=f"Review a document of {document.organisation}: {KINDS[document.kind].lower()}",
            link=_link(document),
            now=now,
        )


_ACTING = ("initiator", "approver", "verifier", "trader")


def _reviewed(actor: User, document: IdentityDocument, now: datetime) -> IdentityDocument:
    regulator_of(actor)
    document = _locked(document.pk)
    require(
        document.file is None or document.file.received_from_id != actor.pk,
        "second_person_needed",
        "You sent this in yourself. Ask a colleague to review it.",
    )
    document.reviewed_by, document.reviewed_at = actor, now
    tasks.end_task(key=_regulators_task(document), actor=actor, now=now)
    return document


def _kept(actor: User, organisation: Organisation, name: str, content: bytes, now: datetime) -> EvidenceFile:
    """Keep a file once for each organisation; the same content again is the file that is there already."""
    return evidence.keep_bytes(organisation=organisation, actor=actor, name=name or "document", content=content, at=now)


def _move(document: IdentityDocument, status: str) -> None:
    IDENTITY.require(document.status, status)
    document.status = status
    document.save()


def _locked(document_id: UUID) -> IdentityDocument:
    assert_in_transaction()
    document = (
        IdentityDocument.objects.select_for_update(of=("self",))
        .select_related("organisation", "person", "file")
        .filter(pk=document_id)
        .first()
    )
    if document is None:
        raise Unknown("document_unknown", "There is no such document. Check the address.")
    return document
