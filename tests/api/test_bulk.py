"""Tables over REST: one file in a form, refused by line and column or answered with what became of it."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Approval
from accounts.services import approvals
from registry.ledger.models import Balance
from registry.models import EvidenceFile, Period, Surrender, Transaction
from tests.api.asking import field_codes, is_problem, refused
from tests.api.test_guide import expanded
from tests.api.world import Caller, World
from tests.cast import ACME_PERMITS, OPENING, Party

GUIDE = Path("docs/guides/bulk.md")


def send(client: APIClient, name: str, content: bytes, key: str = "") -> Any:
    """Send a table as a browser or curl would."""
    file = SimpleUploadedFile("table.csv", content, "text/csv")
    return client.post(
        reverse(name), {"file": file}, format="multipart", headers={"Idempotency-Key": key or str(uuid4())}
    )


def transfers(to: str, *quantities: object) -> bytes:
    rows = [f"{to},ai-flop-2026,{quantity},row {place}" for place, quantity in enumerate(quantities)]
    return "\n".join(("to,permit,quantity,agreement", *rows, "")).encode()


def surrenders(quantity: object) -> bytes:
    return f"scheme,year,quantity\nai-flop,2026,{quantity}\n".encode()


def test_a_table_of_transfers_waits_for_the_second_person_and_is_then_one_journal(
    acme_initiates: APIClient, acme: Party, borealis: Party, period: Period
) -> None:
    content, key = transfers(borealis.account.number, 20, 30), "may"

    waiting = send(acme_initiates, "transfer-bulk", content, key)
    again = send(acme_initiates, "transfer-bulk", content)
    approvals.approve(actor=acme.approver, approval_id=waiting.json()["approval"], now=OPENING)
    done = send(acme_initiates, "transfer-bulk", content, key)

    assert waiting.status_code == again.status_code == 202, waiting.content
    assert (
        waiting.json()
        == again.json()
        == {
            "status": "proposed",
            "approval": str(Approval.objects.get(act="registry.bulk_transfer").pk),
            "journal": None,
            "sha256": EvidenceFile.objects.get().sha256,
            "rows": 2,
            "totals": [{"permit": "ai-flop-2026", "quantity": "50"}],
        }
    )
    assert (done.status_code, done.json()["status"]) == (201, "executed")
    made = Transaction.objects.filter(journal=done.json()["journal"])
    assert sorted(made.values_list("quantity", flat=True)) == [20, 30]


def test_a_table_of_surrenders_is_answered_with_its_receipts(
    acme_trades: APIClient, acme: Party, period: Period
) -> None:
    answer = send(acme_trades, "surrender-bulk", surrenders(12), "2026")
    again = send(acme_trades, "surrender-bulk", surrenders(12), "2026")
    other = send(acme_trades, "surrender-bulk", surrenders(13), "2026")

    receipt = Surrender.objects.get()
    assert answer.status_code == again.status_code == 201, answer.content
    assert answer.json() == again.json()
    assert (answer.json()["status"], answer.json()["approval"]) == ("executed", None)
    assert [(one["id"], one["quantity"], one["period"]) for one in answer.json()["receipts"]] == [
        (str(receipt.pk), "12", period.code)
    ]
    refused(other, 422, "key_reused")


def test_row_errors_come_by_line_and_column_and_nothing_is_stored(
    acme_initiates: APIClient, acme: Party, borealis: Party, period: Period
) -> None:
    answer = send(acme_initiates, "transfer-bulk", transfers(borealis.account.number, 3000, 900, 101))
    unread = send(acme_initiates, "surrender-bulk", b"scheme,year,quantity\nai-flop,2026,x\n")
    empty = send(acme_initiates, "transfer-bulk", b"")

    refused(answer, 422, "rows_refused")
    assert [(e["line"], e["column"], e["code"]) for e in answer.json()["errors"]] == [
        ("4", "quantity", "insufficient_available")
    ]
    refused(unread, 422, "rows_refused")
    assert unread.json()["errors"][0] | {"detail": ""} == {
        "line": "2",
        "column": "quantity",
        "code": "quantity_not_whole",
        "detail": "",
    }
    assert empty.json()["errors"][0]["code"] == "empty_file"
    assert not EvidenceFile.objects.exists() and not Approval.objects.filter(act__startswith="registry.bulk").exists()
    assert Balance.objects.get(account=acme.account, asset=period.permit).available == ACME_PERMITS


def test_what_is_no_form_with_a_file_is_refused(acme_initiates: APIClient, period: Period) -> None:
    url = reverse("transfer-bulk")
    key = {"Idempotency-Key": "a"}
    big = SimpleUploadedFile("big.csv", b"x" * (3 * 2**20 + 1))

    refused(acme_initiates.post(url, {}, format="multipart"), 400, "idempotency_key_missing")
    refused(acme_initiates.post(url, {"file": "text"}, headers=key), 415, "unsupported_media_type")
    assert field_codes(acme_initiates.post(url, {}, format="multipart", headers=key)) == {"/file": "required"}
    refused(acme_initiates.post(url, {"file": big}, format="multipart", headers=key), 413, "body_too_large")
    broken = acme_initiates.generic("POST", url, "--x\r\nno end", "multipart/form-data; boundary=x", headers=key)
    many = {f"field {number}": "1" for number in range(300)}

    assert broken.status_code in {400, 422}
    is_problem(broken)
    refused(acme_initiates.post(url, many, format="multipart", headers=key), 400, "parse_error")


@pytest.mark.parametrize(
    ("name", "may", "done"),
    [
        ("transfer-bulk", {"acme initiator", "acme approver"}, 202),
        ("surrender-bulk", {"acme initiator", "acme approver", "acme trader"}, 201),
    ],
)
def test_each_role_may_do_what_it_may_do_singly(world: World, name: str, may: set[str], done: int) -> None:
    answers = {}
    for place, (who, client) in enumerate(world.callers.items(), start=1):
        table = transfers(world.borealis.account.number, place) if name == "transfer-bulk" else surrenders(place)
        answers[who] = send(client, name, table)

    expected = {who: done if who in may else 401 if who == "anyone" else 403 for who in world.callers}
    if name == "surrender-bulk":
        expected["borealis trader"] = 201  # for Borealis itself
    assert {who: answer.status_code for who, answer in answers.items()} == expected
    for answer in answers.values():
        if answer.status_code >= 400:
            is_problem(answer)


def test_every_snippet_of_the_guide_works_as_it_stands(
    caller: Caller, acme: Party, borealis: Party, period: Period
) -> None:
    token = str(caller(acme.initiator, acme.organisation, "write").defaults["HTTP_AUTHORIZATION"])
    values = {
        "HEADROOM": "http://testserver",
        "TO_ACCOUNT": borealis.account.number,
        "INITIATOR_TOKEN": token.removeprefix("Bearer "),
    }
    files: dict[str, bytes] = {}
    statuses = []
    for block in re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        written, asked = block.split("\n\n")
        words = expanded(written, values)
        files[words[-1]] = words[1].replace("\\n", "\n").replace("%s", words[2]).encode()
        headers = {}
        words = expanded(asked.replace("\\\n", " "), values)
        for flag, word in pairwise(words):
            if flag == "-H":
                name, _, value = word.partition(": ")
                headers[name] = value
            if flag == "-F":
                file = files[word.removeprefix("file=@")]
        url = next(word for word in words if word.startswith("http")).removeprefix("http://testserver")
        form = {"file": SimpleUploadedFile("table.csv", file)}
        statuses.append(APIClient(headers=headers).post(url, form, format="multipart").status_code)

    assert statuses == [202, 201]
