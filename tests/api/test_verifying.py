"""Verifying over REST, from the appointment to a statement that a stranger checks with the public keys in it."""

import base64
import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import AuditEvent
from common import signing
from registry.engine.verification import CHECKLIST, CONFLICTS
from registry.models import Obligation, Period, Report
from registry.services import reports
from registry.services.reports import LineInput
from registry.services.verifying import keys
from tests import cast
from tests.api.world import Caller
from tests.cast import PERMIT_FLOP, Clock, Party


@pytest.fixture
def filed(acme: Party, period: Period, verity: Party, clock: Clock) -> Report:
    """Acme's report, which waits; Verity is accredited and not appointed."""
    clock.move_to(cast.REPORTING)
    cast.accredit(verity, period.scheme)
    assert acme.operator is not None
    return reports.submit_lines(
        actor=acme.initiator,
        operator=acme.operator,
        period=period,
        lines=[LineInput("Serving", "inference", flop=1_000 * PERMIT_FLOP)],
        boundary="full stack",
        now=clock.now(),
    )


def post(client: APIClient, name: str, pk: object | None, content: dict[str, Any], status: int) -> Any:
    """Send an act, insist on how it ends, and return the answer."""
    address = reverse(name, args=[pk] if pk else [])
    answer = client.post(address, content, headers={"Idempotency-Key": str(uuid4())})
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_verification_from_appointment_to_receipt(
    caller: Caller, acme: Party, verity: Party, period: Period, filed: Report
) -> None:
    firm = caller(acme.initiator, acme.organisation, "write")
    lead = caller(verity.verifier, verity.organisation, "write")
    reviewer = caller(verity.reviewer, verity.organisation, "write")
    report = reverse("report-detail", args=[filed.pk])
    assert lead.get(report).status_code == 404

    asked = post(firm, "appointment-list", None, {"period": period.code, "verifier": str(verity.organisation.pk)}, 201)
    declared = {"conflicts": dict.fromkeys(CONFLICTS, False)}
    assert post(lead, "appointment-acceptance", asked["id"], declared, 200)["status"] == "accepted"
    assert lead.get(report).json()["status"] == "submitted"
    assert post(lead, "report-begin", filed.pk, {}, 200)["status"] == "under_verification"

    private = signing.new_key()
    public = signing.to_text(signing.public_bytes(private))
    proof = signing.sign(private, keys.proof_text(verity.organisation).encode())
    key = post(lead, "signing-key-list", None, {"name": "Card", "public_key": public, "proof": proof}, 201)

    found = post(
        lead,
        "report-findings",
        filed.pk,
        {"kind": "misstatement", "text": "One meter was read late.", "quantity": f"{10 * PERMIT_FLOP}.5", "line": 1},
        201,
    )
    assert post(firm, "finding-answer", found["id"], {"answer": "It was."}, 200)["status"] == "answered"
    for item in CHECKLIST:
        who = reviewer if item == "independent_review" else lead
        post(who, "report-checklist", filed.pk, {"item": item, "outcome": "done", "note": "Looked at."}, 201)
    opinion = {"opinion": "positive_with_comments", "findings": "Immaterial.", "key_id": key["key_id"]}
    unsigned = lead.get(reverse("report-unsigned", args=[filed.pk]), opinion).content
    signed = post(lead, "report-statement", filed.pk, opinion | {"signature": signing.sign(private, unsigned)}, 201)

    read = firm.get(reverse("report-statement", args=[filed.pk])).json()
    assert read == signed and read["problem"] == ""
    assert read["document"].encode() == unsigned
    assert hashlib.sha256(unsigned).hexdigest() == read["sha256"] == json.loads(read["receipt"])["sha256"]
    for text, name in (("document", ""), ("receipt", "receipt_")):
        half = base64.b64decode(read[f"{name}public_key"])
        assert signing.is_signed(half, read[text].encode(), read[f"{name}signature"])
    said = json.loads(read["document"])
    assert (said["materiality"]["misstated"], said["findings"][0]["status"]) == (f"{10 * PERMIT_FLOP}.5", "answered")
    assert Obligation.objects.get().quantity == 1_000
    assert firm.get(report).json()["status"] == "verified"


def test_what_is_missing_is_said(caller: Caller, verity: Party, filed: Report, clock: Clock) -> None:
    lead = caller(verity.verifier, verity.organisation, "write")
    opinion = {"opinion": "positive", "key_id": "0" * 32}

    assert post(lead, "report-begin", filed.pk, {}, 404)["code"] == "not_found"
    cast.engage(verity, filed.operator, filed.period, clock.now())
    assert post(lead, "report-statement", filed.pk, opinion, 422)["errors"][0]["pointer"] == "/signature"
    signed = opinion | {"signature": signing.to_text(bytes(64))}
    assert post(lead, "report-statement", filed.pk, signed, 422)["code"] == "verification_not_begun"
    post(lead, "report-begin", filed.pk, {}, 200)
    assert post(lead, "report-begin", filed.pk, {}, 422)["code"].startswith("report_not_under_verification")
    assert post(lead, "report-statement", filed.pk, signed, 422)["code"] == "checklist_incomplete"
    cast.check(verity, filed, clock.now())
    assert post(lead, "report-statement", filed.pk, signed, 422)["code"] == "key_unknown"
    key, _ = cast.verifiers_key(verity, clock.now())
    wrong = signed | {"key_id": key.key_id}
    assert post(lead, "report-statement", filed.pk, wrong, 422)["code"] == "signature_invalid"
    filed.refresh_from_db()
    assert filed.status == "under_verification"
    assert not Obligation.objects.exists()


def test_a_key_that_is_kept_here_signs_over_rest_with_its_passphrase(
    caller: Caller, verity: Party, filed: Report, clock: Clock
) -> None:
    cast.check(verity, filed, clock.now())
    key = keys.make_key(
        actor=verity.verifier,
        organisation=verity.organisation,
        name="Office",
        passphrase="correct horse battery",
        now=cast.OPENING,
    )
    lead = caller(verity.verifier, verity.organisation, "write")
    opinion = {"opinion": "positive", "key_id": key.key_id}

    wrong = post(lead, "report-statement", filed.pk, opinion | {"passphrase": "another passphrase"}, 422)
    signed = post(lead, "report-statement", filed.pk, opinion | {"passphrase": "correct horse battery"}, 201)

    assert wrong["code"] == "passphrase_wrong"
    public = base64.b64decode(signed["public_key"])
    assert signing.is_signed(public, signed["document"].encode(), signed["signature"])
    assert "correct horse" not in str(AuditEvent.objects.values_list("details", flat=True))
    assert Obligation.objects.get().quantity == 1_000
