"""What everybody may read, on the page and as open files: sums that are exact, and no names in trading."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from exchange.services import closing
from tests.cast import Clock
from tests.pages.world import World

TABLES = ("permits", "allocation", "prices", "trades", "use", "compliance")


def rows(client: Client, world: World, table: str) -> list[dict[str, str]]:
    """Read an open CSV file."""
    answer = client.get(reverse("transparency-csv", args=[world.period.code, table]))
    assert answer.status_code == 200, table
    return list(csv.DictReader(io.StringIO(answer.content.decode())))


def close(world: World, clock: Clock) -> None:
    """Close the period on the day after its deadline."""
    now = clock.move_to(world.period.surrender_due + timedelta(hours=1))
    closing.close_period(actor=world.regulator.senior, period=world.period, now=now)


def test_the_places_of_permits_sum_exactly_to_the_cap(world: World, client: Client) -> None:
    page = client.get(reverse("transparency-period", args=[world.period.code])).content.decode()

    assert sum(int(row["permits"]) for row in rows(client, world, "permits")) == 10_000
    assert "Sum, exactly the cap" in page


def test_trading_is_shown_without_names(world: World, client: Client) -> None:
    page = client.get(reverse("transparency-period", args=[world.period.code])).content.decode()
    market_part = page.split('id="market"')[1].split('id="compliance"')[0]
    trades = rows(client, world, "trades")

    assert sum(int(row["permits"]) for row in trades) == 90
    assert set(trades[0]) == {"at", "price_minor", "permits"}
    assert "Acme" not in market_part and "Borealis" not in market_part


def test_compliance_and_use_are_published_by_the_closing_and_not_before(
    world: World, client: Client, clock: Clock
) -> None:
    before = {
        table: client.get(reverse("transparency-json", args=[world.period.code, table])).status_code
        for table in ("use", "compliance")
    }
    assert (
        "Acme"
        not in client.get(reverse("transparency-period", args=[world.period.code]))
        .content.decode()
        .split('id="allocation"')[0]
    )

    close(world, clock)

    letters = {row["operator"]: row["status_at_deadline"] for row in rows(client, world, "compliance")}
    use = {row["operator"]: row["permits_owed"] for row in rows(client, world, "use")}
    assert before == {"use": 404, "compliance": 404}
    assert letters == {"Acme": "B", "Borealis": "C", "Cobalt": "C"}
    assert use == {"Acme": "25"}
    assert client.get(reverse("transparency-period", args=[world.period.code])).status_code == 200


def test_every_table_is_the_same_in_csv_and_json(world: World, client: Client, clock: Clock) -> None:
    close(world, clock)

    for table in TABLES:
        objects = json.loads(client.get(reverse("transparency-json", args=[world.period.code, table])).content)
        assert [{k: v or "" for k, v in one.items()} for one in objects] == rows(client, world, table)


@pytest.mark.parametrize("table", TABLES)
def test_files_of_a_period_in_which_nothing_happened_are_empty_and_not_broken(
    table: str, world: World, client: Client
) -> None:
    answer = client.get(reverse("transparency-csv", args=[world.pilot.code, table]))

    assert answer.status_code == (404 if table in {"use", "compliance"} else 200)


def test_public_pages_set_no_cookie(world: World, client: Client) -> None:
    for address in (
        reverse("front-door"),
        reverse("transparency"),
        reverse("transparency-period", args=[world.period.code]),
    ):
        assert not client.get(address).cookies


def test_the_front_door_leads_whoever_is_logged_in_to_their_overview(world: World, client: Client) -> None:
    visitor = client.get(reverse("front-door"))
    client.force_login(world.acme.viewer)

    assert visitor.status_code == 200 and "Log in" in visitor.content.decode()
    assert client.get(reverse("front-door"))["Location"] == reverse("home")
