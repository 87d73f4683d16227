"""Pages of bulk work: a table is seen as a whole before anything is stored, and every error has its line."""

import base64
import csv
import io
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Approval
from registry.models import AccountTerms, EvidenceFile, Surrender, Transaction
from tests.pages.conftest import OpenPage
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def table(world: World, *quantities: object) -> bytes:
    """Write a table of transfers to Borealis."""
    to = world.borealis.account.number
    rows = [f"{to},{world.period.code},{quantity},row {place}" for place, quantity in enumerate(quantities)]
    return "\n".join(("to,permit,quantity,agreement", *rows, "")).encode()


def choose(client: Client, page: str, content: bytes, name: str = "May.csv") -> Any:
    """Choose a file and ask to look at it."""
    return client.post(reverse(page), {"key": str(uuid4()), "file": SimpleUploadedFile(name, content)})


def confirm(client: Client, page: str, looked: Any) -> Any:
    """Press the button of the page on which the table was looked at."""
    fields = dict(
        re.findall(r'<input type="hidden" name="(key|name|content)" value="([^"]*)"', looked.content.decode())
    )
    assert set(fields) >= {"key", "name", "content"}
    return client.post(reverse(page), fields | {"confirmed": "yes"}, follow=True)


def text(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def test_a_table_is_looked_at_confirmed_and_read_by_the_second_person(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")

    looked = choose(client, "bulk-transfers", table(world, 20, 1030))
    stored = EvidenceFile.objects.filter(name="May.csv").exists()
    proposed = confirm(client, "bulk-transfers", looked)
    approval = Approval.objects.get(act="registry.bulk_transfer")
    decided = as_person("acme approver").post(reverse("approval-approve", args=[approval.pk]), follow=True)

    assert "2 rows, no errors" in text(looked) and "1,050 permits" in text(looked)
    assert world.borealis.account.number in text(looked)
    assert not stored
    assert "waits for your second person" in text(proposed)
    for shown in ("1,030", "row 1", world.borealis.account.number, "May.csv", approval.parameters["sha256"]):
        assert shown in text(proposed)
    assert "[" not in re.sub(r"<[^>]*>", "", proposed.content.decode().split('id="table-')[1].split("History")[0])
    assert "Approved and done." in text(decided)
    made = Transaction.objects.filter(details__approval=str(approval.pk))
    assert sorted(made.values_list("quantity", flat=True)) == [20, 1030]


def test_every_error_is_shown_by_line_and_saved_as_csv(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")
    nobody = b'x"><script>'

    answer = choose(client, "bulk-transfers", table(world, *["=1+1"] * 300) + nobody + b",a,1,b\n", name="a<b>.csv")

    page = answer.content.decode()
    assert answer.status_code == 422
    assert "301 errors; nothing was stored" in page and "The first 200 are shown." in page
    assert "<script>" not in page.split("row-errors")[1] and "a<b>" not in page
    encoded = re.search(r"data:text/csv;charset=utf-8;base64,([^\"]+)", page)
    assert encoded is not None
    saved = list(csv.reader(io.StringIO(base64.b64decode(encoded[1]).decode())))
    assert saved[0] == ["line", "column", "code", "sentence"]
    assert len(saved) == 302
    assert saved[1][:3] == ["2", "quantity", "quantity_not_whole"]
    assert not EvidenceFile.objects.filter(name__startswith="a").exists()


def test_surrenders_are_confirmed_and_counted_or_wait_where_the_terms_say_so(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")
    before = Surrender.objects.count()

    done = confirm(
        client, "bulk-surrenders", choose(client, "bulk-surrenders", b"scheme,year,quantity\nai-flop,2026,3\n")
    )
    AccountTerms.objects.update_or_create(account=world.account, defaults={"second_person_for_surrender": True})
    looked = choose(client, "bulk-surrenders", b"scheme,year,quantity\nai-flop,2026,4\n")
    waiting = confirm(client, "bulk-surrenders", looked)

    assert "3 permits were surrendered with 1 receipts" in text(done)
    assert "Propose these surrenders" in text(looked)
    assert "waits for your second person" in text(waiting)
    assert Surrender.objects.count() == before + 1


def test_what_fails_when_it_is_confirmed_is_shown_with_its_line(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")
    looked = choose(client, "bulk-transfers", table(world, 5))
    AccountTerms.objects.update_or_create(account=world.borealis.account, defaults={"grade": "suspended"})

    refused = confirm(client, "bulk-transfers", looked)
    damaged = client.post(
        reverse("bulk-transfers"), {"key": str(uuid4()), "name": "a", "content": "%%%", "confirmed": "yes"}
    )

    assert refused.status_code == damaged.status_code == 422
    assert "1 error; nothing was stored" in text(refused) and "cannot receive at present" in text(refused)
    assert not Approval.objects.filter(act="registry.bulk_transfer").exists()


@pytest.mark.parametrize(
    ("page", "may"),
    [
        ("bulk-transfers", {"acme initiator", "acme approver"}),
        ("bulk-surrenders", {"acme initiator", "acme approver", "acme trader"}),
    ],
)
def test_only_those_who_may_do_it_get_the_form(world: World, as_person: AsPerson, page: str, may: set[str]) -> None:
    shown, sent = {}, {}
    everybody = ("acme viewer", "acme initiator", "acme approver", "acme trader", "verifier", "desk officer", "auditor")
    for person in everybody:
        client = as_person(person)
        shown[person] = 'name="file"' in client.get(reverse(page)).content.decode()
        sent[person] = choose(client, page, b"nothing,here\n1,2\n").status_code

    assert {person for person, is_shown in shown.items() if is_shown} == may
    assert sent == {person: 422 if person in may else 403 for person in everybody}
    assert as_person("anyone").get(reverse(page)).status_code == 302


def test_templates_are_files_with_the_columns_and_looking_asks_as_often_for_many_rows(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("acme initiator")

    first = client.get(reverse("bulk-transfers-csv"))
    sheet = client.get(reverse("bulk-surrenders-xlsx"))
    asked = []
    for count in (2, 60):
        with CaptureQueriesContext(connection) as queries:
            assert choose(client, "bulk-transfers", table(world, *range(1, count + 1))).status_code == 200
        asked.append(len(queries))

    assert first.content == b"from,to,permit,quantity,price,agreement\r\n"
    assert first["Content-Disposition"] == 'attachment; filename="bulk-transfers.csv"'
    assert sheet.content.startswith(b"PK")
    assert asked[0] == asked[1]


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_usable_by_everybody_and_takes_a_file_without_scripts(
    world: World, open_page: OpenPage, assert_accessible: Callable[[Any], None], width: int
) -> None:
    page = open_page(reverse("bulk-transfers"), user=world.people["acme initiator"], width=width, scripts=width > 400)
    assert_accessible(page) if width > 400 else None

    page.set_input_files(
        "input[type=file]", {"name": "May.csv", "mimeType": "text/csv", "buffer": table(world, 20, "x")}
    )
    page.get_by_role("button", name="Look at it").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="All errors as CSV").click()
    page.set_input_files("input[type=file]", {"name": "May.csv", "mimeType": "text/csv", "buffer": table(world, 20)})
    page.get_by_role("button", name="Look at it").click()
    assert_accessible(page) if width > 400 else None
    page.get_by_role("button", name="Propose these transfers").click()

    assert saved.value.suggested_filename == "errors-May.csv"
    assert page.get_by_role("heading", name="Transfer of 20 permits in 1 rows of May.csv.").is_visible()
