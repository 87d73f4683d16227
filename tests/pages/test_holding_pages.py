"""Holdings, statements with their files, and transfers on the page."""

import csv
import io
import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from common.downloads import safe_cell
from registry.ledger.models import Journal
from registry.services import transfers
from tests.cast import OPENING
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def sending(world: World, **typed: str) -> dict[str, str]:
    """Return what a browser sends to transfer 7 permits to Borealis."""
    balance = world.account.balances.get(asset=world.period.permit)
    return {
        "key": str(uuid4()),
        "to_number": world.borealis.account.number,
        "permits": str(balance.pk),
        "quantity": "7",
        "note": "spare",
    } | typed


def test_a_firm_sees_its_own_accounts_and_an_auditor_all(world: World, as_person: AsPerson) -> None:
    own = as_person("acme viewer").get(reverse("holdings")).content.decode()
    all_of_them = as_person("auditor").get(reverse("holdings")).content.decode()
    found = as_person("auditor").get(reverse("holdings"), {"owner": "bore"}).content.decode()

    assert world.account.number in own and world.borealis.account.number not in own
    assert world.account.number in all_of_them and world.borealis.account.number in all_of_them
    assert world.account.number not in found and world.borealis.account.number in found


def test_a_small_transfer_is_made_at_once_and_only_once(world: World, as_person: AsPerson) -> None:
    client, sent = as_person("acme initiator"), sending(world)

    for _ in range(2):
        answer = client.post(reverse("transfer"), sent, follow=True)

    assert "7 permits were sent." in answer.content.decode()
    assert Journal.objects.filter(kind="transfer").count() == 1


def test_a_large_transfer_waits_for_the_second_person(world: World, as_person: AsPerson) -> None:
    answer = as_person("acme initiator").post(reverse("transfer"), sending(world, quantity="1500"), follow=True)

    assert "waits for your second person" in answer.content.decode()
    assert not Journal.objects.filter(kind="transfer").exists()


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"to_number": "HR-100-0000001-99"}, "check digits do not fit"),
        ({"to_number": "nobody"}, "check digits do not fit"),
        ({"to_number": ""}, "This field is required"),
        ({"quantity": "0"}, "Enter a whole number from 1"),
        ({"quantity": "1,000"}, "digits 0 to 9 only"),
        ({"quantity": "٣"}, "digits 0 to 9 only"),
        ({"quantity": "9" * 30}, "Enter a whole number from 1"),
        ({"permits": "x"}, "Select a valid choice"),
        ({"note": "n" * 201}, "at most 200 characters"),
    ],
)
def test_a_bad_transfer_comes_back_with_what_was_typed(
    typed: dict[str, str], sentence: str, world: World, as_person: AsPerson
) -> None:
    sent = sending(world, **typed)

    answer = as_person("acme initiator").post(reverse("transfer"), sent)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert all(f'value="{sent[name]}"' in page for name in ("to_number", "quantity", "note") if sent[name])
    assert not Journal.objects.filter(kind="transfer").exists()


def test_an_account_that_nobody_has_looks_like_a_typing_mistake_and_not_like_a_missing_page(
    world: World, as_person: AsPerson
) -> None:
    central = world.market.clearing.number

    answer = as_person("acme initiator").post(reverse("transfer"), sending(world, to_number=central))

    assert answer.status_code == 422
    assert "no open account with this number" in answer.content.decode()


@pytest.mark.parametrize("person", ["acme viewer", "acme trader"])
def test_who_may_not_transfer_is_turned_away(person: str, world: World, as_person: AsPerson) -> None:
    assert as_person(person).post(reverse("transfer"), sending(world)).status_code == 403


def test_a_statement_runs_from_its_opening_to_its_closing_balance(world: World, as_person: AsPerson) -> None:
    address = reverse("account-statement", args=[world.account.number, world.period.permit.code])

    page = as_person("acme viewer").get(address).content.decode()
    earlier = as_person("acme viewer").get(address, {"first": "2026-01-01", "last": "2026-01-31"}).content.decode()
    wrong = as_person("acme viewer").get(address, {"first": "yesterday"})

    assert "Allocation" in page and "Surrender" in page and "3,990" in page
    assert "Nothing moved in these days" in earlier
    assert wrong.status_code == 422
    assert "Enter a day such as" in wrong.content.decode()


def test_the_files_of_a_statement_hold_its_entries(world: World, as_person: AsPerson) -> None:
    client, args = as_person("acme viewer"), [world.account.number, world.period.permit.code]

    table = client.get(reverse("statement-csv", args=args))
    objects = json.loads(client.get(reverse("statement-json", args=args)).content)

    rows = list(csv.DictReader(io.StringIO(table.content.decode())))
    assert table["Content-Disposition"].startswith("attachment; ")
    assert [row["amount"] for row in rows] == ["4000", "-10"]
    assert [one["balance_after"] for one in objects] == ["4000", "3990"]


def test_a_note_never_becomes_a_formula_in_a_file(world: World, as_person: AsPerson) -> None:
    assert [safe_cell(text) for text in ("=1+1", "+1", "-1", "@x", "\tx", "plain", "")] == [
        "'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain", "",
    ]  # fmt: skip
    assert safe_cell(-10) == "-10"  # a number is one


@pytest.mark.parametrize(
    "query", ["first=x", "first=2026-13-45&last=1", "first=9999-12-31", "last=0001-01-01", "page=x"]
)
def test_a_strange_query_never_breaks_a_statement_or_its_file(query: str, world: World, as_person: AsPerson) -> None:
    client, args = as_person("acme viewer"), [world.account.number, world.period.permit.code]

    answers = [
        client.get(f"{reverse(name, args=args)}?{query}").status_code
        for name in ("account-statement", "statement-csv", "statement-json")
    ]

    assert all(status in {200, 422} for status in answers)


def test_a_frozen_receiver_is_said_beside_the_field(world: World, as_person: AsPerson) -> None:
    type(world.account).objects.filter(pk=world.borealis.account.pk).update(status="frozen")

    answer = as_person("acme initiator").post(reverse("transfer"), sending(world))

    assert answer.status_code == 422
    assert "cannot receive at present" in answer.content.decode()


def test_a_transfer_shows_in_the_statements_of_both(world: World) -> None:
    transfers.transfer(
        actor=world.acme.initiator,
        organisation=world.acme.organisation,
        to_number=world.borealis.account.number,
        asset=world.period.permit,
        quantity=5,
        key=uuid4(),
        now=OPENING,
    )
    client = Client()
    client.force_login(world.borealis.viewer)

    page = client.get(
        reverse("account-statement", args=[world.borealis.account.number, world.period.permit.code])
    ).content.decode()

    assert "+5" in page and world.account.number in page
