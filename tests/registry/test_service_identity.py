"""Identity documents: asked for, sent in, reviewed, expired; and files that are not what they say."""

from datetime import date, timedelta

import pytest

from accounts.models import AuditEvent, Task
from common.errors import Forbidden, Refused
from registry.models import EvidenceFile, IdentityDocument
from registry.services import identity
from tests.cast import OPENING, Party, Regulator

PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n"
DUE = OPENING.date() + timedelta(days=14)
NEXT_YEAR = OPENING.date() + timedelta(days=365)


@pytest.fixture
def asked(regulator: Regulator, acme: Party) -> IdentityDocument:
    """Acme is asked for its extract of the register."""
    return identity.request_document(
        actor=regulator.desk, organisation=acme.organisation, kind="register_extract", due_on=DUE, now=OPENING
    )


@pytest.fixture
def sent(acme: Party, asked: IdentityDocument) -> IdentityDocument:
    """Acme has sent it."""
    return submit(acme, asked)


def submit(
    party: Party, document: IdentityDocument, content: bytes = PDF, name: str = "extract.pdf"
) -> IdentityDocument:
    return identity.submit_document(actor=party.initiator, document=document, name=name, content=content, now=OPENING)


def test_a_document_is_asked_for_sent_accepted_and_expires(
    regulator: Regulator, acme: Party, sent: IdentityDocument
) -> None:
    accepted = identity.accept_document(actor=regulator.desk, document=sent, expires_on=NEXT_YEAR, now=OPENING)
    early = identity.expire_documents(now=OPENING)
    expired = identity.expire_documents(now=OPENING + timedelta(days=365))

    assert (accepted.status, accepted.reviewed_by, early, expired) == ("accepted", regulator.desk, 0, 1)
    assert identity.expire_documents(now=OPENING + timedelta(days=366)) == 0
    assert [
        event.action for event in AuditEvent.objects.filter(action__startswith="registry.identity").order_by("id")
    ] == [
        "registry.identity.requested",
        "registry.identity.received",
        "registry.identity.accepted",
        "registry.identity.expired",
    ]


def test_each_side_has_its_task_until_it_has_done_its_part(
    regulator: Regulator, acme: Party, asked: IdentityDocument
) -> None:
    def open_tasks() -> list[str]:
        return [task.organisation.name for task in Task.objects.filter(kind="identity", status="unclaimed")]

    stages = [open_tasks()]
    submit(acme, asked)
    stages.append(open_tasks())
    refused = identity.refuse_document(actor=regulator.desk, document=asked, reason="Unreadable.", now=OPENING)
    stages.append(open_tasks())
    submit(acme, refused, PDF + b"better")
    identity.accept_document(actor=regulator.desk, document=refused, expires_on=NEXT_YEAR, now=OPENING)
    stages.append(open_tasks())

    assert stages == [["Acme"], [regulator.organisation.name], ["Acme"], []]


def test_holders_are_reminded_once_on_each_day(regulator: Regulator, sent: IdentityDocument) -> None:
    identity.accept_document(actor=regulator.desk, document=sent, expires_on=NEXT_YEAR, now=OPENING)
    days = [365 - 61, 365 - 60, 365 - 59, 365 - 14, 365 - 1]

    assert [identity.remind_of_expiry(now=OPENING + timedelta(days=day)) for day in days] == [0, 1, 0, 1, 0]


def test_a_refused_document_is_sent_again(regulator: Regulator, acme: Party, sent: IdentityDocument) -> None:
    refused = identity.refuse_document(actor=regulator.desk, document=sent, reason="Unreadable.", now=OPENING)
    assert (refused.status, refused.reason) == ("refused", "Unreadable.")

    again = submit(acme, refused, PDF + b"better")

    assert (again.status, again.reason) == ("received", "")
    assert EvidenceFile.objects.count() == 2


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "file_empty"),
        (b"<html><script>alert(1)</script>", "file_type_unknown"),
        (b"MZ\x90\x00 pretends to be a PDF", "file_type_unknown"),
        (b"\n%PDF-1.7", "file_type_unknown"),
        (b"PK\x03\x04" + b"0" * 64, "file_type_unknown"),
        (b"GIF89a", "file_type_unknown"),
        (PDF + b"0" * (5 * 1024 * 1024), "file_too_large"),
    ],
)
def test_hostile_files_are_refused_whatever_they_are_called(
    acme: Party, asked: IdentityDocument, content: bytes, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        submit(acme, asked, content)

    assert refused.value.code == code
    assert not EvidenceFile.objects.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PDF, "pdf"), (b"\x89PNG\r\n\x1a\n\0\0", "png"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"text", None)],
)
def test_what_a_file_is_follows_from_its_first_bytes(content: bytes, kind: str | None) -> None:
    assert identity.file_type(content) == kind


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\acme\\extract.pdf", "extract.pdf"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie: x.pdf"),
        ("\u202efdp.exe", "fdp.exe"),
        ("", "document"),
        ("x" * 500, "x" * 200),
    ],
)
def test_names_are_kept_without_their_tricks(acme: Party, asked: IdentityDocument, name: str, kept: str) -> None:
    document = submit(acme, asked, name=name)

    assert document.file is not None and document.file.name == kept


def test_who_is_asked_sends_and_who_asks_reviews(
    regulator: Regulator, acme: Party, borealis: Party, asked: IdentityDocument
) -> None:
    for stranger in (acme.viewer, borealis.initiator, regulator.desk):
        with pytest.raises(Forbidden):
            identity.submit_document(actor=stranger, document=asked, name="x.pdf", content=PDF, now=OPENING)
    submit(acme, asked)
    for stranger in (acme.approver, regulator.monitor):
        with pytest.raises(Forbidden):
            identity.accept_document(actor=stranger, document=asked, expires_on=NEXT_YEAR, now=OPENING)
        with pytest.raises(Forbidden):
            identity.request_document(
                actor=stranger, organisation=acme.organisation, kind="passport", due_on=DUE, now=OPENING
            )


def test_a_persons_document_comes_from_that_person(regulator: Regulator, acme: Party) -> None:
    passport = identity.request_document(
        actor=regulator.desk,
        organisation=acme.organisation,
        person=acme.viewer,
        kind="passport",
        due_on=DUE,
        now=OPENING,
    )

    with pytest.raises(Forbidden):
        submit(acme, passport)
    identity.submit_document(
        actor=acme.viewer, document=passport, name="p.png", content=b"\x89PNG\r\n\x1a\n", now=OPENING
    )

    organisations = [acme.organisation.pk]
    assert list(identity.documents_of(organisations, acme.viewer)) == [passport]
    assert list(identity.documents_of(organisations, acme.initiator)) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "horoscope"}, "document_kind_unknown"),
        ({"due_on": OPENING.date() - timedelta(days=1)}, "due_day_past"),
        ({"kind": "register_extract"}, "document_requested_already"),
    ],
)
def test_odd_requests_are_refused(
    regulator: Regulator, acme: Party, asked: IdentityDocument, change: dict[str, object], code: str
) -> None:
    arguments = {"organisation": acme.organisation, "kind": "ownership", "due_on": DUE, "now": OPENING}

    with pytest.raises(Refused) as refused:
        identity.request_document(actor=regulator.desk, **(arguments | change))  # type: ignore[arg-type]

    assert refused.value.code == code


def test_a_strangers_passport_is_not_asked_of_this_organisation(
    regulator: Regulator, acme: Party, borealis: Party
) -> None:
    with pytest.raises(Refused) as refused:
        identity.request_document(
            actor=regulator.desk,
            organisation=acme.organisation,
            person=borealis.viewer,
            kind="passport",
            due_on=DUE,
            now=OPENING,
        )

    assert refused.value.code == "person_not_a_member"


def test_reviews_follow_the_lifecycle(regulator: Regulator, asked: IdentityDocument) -> None:
    with pytest.raises(Refused) as early:
        identity.accept_document(actor=regulator.desk, document=asked, expires_on=NEXT_YEAR, now=OPENING)
    with pytest.raises(Refused) as silent:
        identity.refuse_document(actor=regulator.desk, document=asked, reason=" ", now=OPENING)
    identity.cancel_request(actor=regulator.desk, document=asked, reason="Not needed.", now=OPENING)
    with pytest.raises(Refused) as late:
        identity.cancel_request(actor=regulator.desk, document=asked, reason="Again.", now=OPENING)

    assert [early.value.code, silent.value.code, late.value.code] == [
        "identity_document_not_requested_to_accepted",
        "reason_missing",
        "identity_document_not_cancelled_to_cancelled",
    ]


def test_an_expired_paper_is_not_accepted(regulator: Regulator, sent: IdentityDocument) -> None:
    with pytest.raises(Refused) as refused:
        identity.accept_document(actor=regulator.desk, document=sent, expires_on=OPENING.date(), now=OPENING)

    assert refused.value.code == "expired_already"


def test_what_is_overdue_and_what_expires_soon_is_listed(regulator: Regulator, sent: IdentityDocument) -> None:
    assert not identity.overdue(DUE).exists()
    refused = identity.refuse_document(actor=regulator.desk, document=sent, reason="Unreadable.", now=OPENING)
    assert list(identity.overdue(DUE)) == []
    assert list(identity.overdue(DUE + timedelta(days=1))) == [refused]

    IdentityDocument.objects.filter(pk=refused.pk).update(status="received")
    identity.accept_document(actor=regulator.desk, document=refused, expires_on=NEXT_YEAR, now=OPENING)

    assert identity.reminder_days(date(2027, 3, 2)) == (date(2027, 1, 1), date(2027, 2, 16))
    assert not identity.to_remind(NEXT_YEAR - timedelta(days=61)).exists()
    assert list(identity.to_remind(NEXT_YEAR - timedelta(days=60))) == [refused]
