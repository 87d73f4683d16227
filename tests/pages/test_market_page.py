"""The market page: the ticket with and without scripts, its refusals, cancelling, and the live parts."""

import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from exchange.models import Command, Market, Order
from exchange.services import matching
from tests.pages.world import World, open_market

AsPerson = Callable[[str], Client]
HTMX = {"HX-Request": "true"}


def ticket(**typed: str) -> dict[str, str]:
    """Return what a browser sends for an order of 20 permits at 24.50, but for what the test types."""
    return {"key": str(uuid4()), "side": "buy", "quantity": "20", "price": "24.50", "time_in_force": "gtc"} | typed


def test_an_order_typed_without_scripts_is_placed_and_the_page_comes_back(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")

    answer = client.post(reverse("place-order", args=[world.market.code]), ticket(), follow=True)

    order = Order.objects.order_by("pk").last()
    assert order is not None
    assert (order.side, order.quantity, order.price, order.status) == ("buy", 2, 490, "pending_new")
    assert answer.redirect_chain == [(reverse("market", args=[world.market.code]), 302)]
    assert "Buy order for 20 permits was received" in answer.content.decode()


def test_an_order_sent_by_htmx_gets_a_fresh_ticket_the_own_orders_and_a_message(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("acme trader")
    sent = ticket()

    answer = client.post(reverse("place-order", args=[world.market.code]), sent, headers=HTMX)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "<html" not in page
    assert sent["key"] not in page  # the next order has a key of its own
    assert 'hx-swap-oob="innerMorph:#own"' in page
    assert "Buy order for 20 permits was received" in page


def test_the_same_ticket_sent_twice_is_one_order(world: World, as_person: AsPerson) -> None:
    client, sent = as_person("acme trader"), ticket()
    before = Order.objects.count()

    for _ in range(2):
        client.post(reverse("place-order", args=[world.market.code]), sent)

    assert Order.objects.count() == before + 1


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"quantity": "15"}, "multiple of 10"),
        ({"quantity": "-20"}, "Enter a whole number"),
        ({"quantity": ""}, "This field is required"),
        ({"price": "24.51"}, "multiple of 0.05"),
        ({"price": "24.501"}, "at most two places"),
        ({"price": "cheap"}, "Enter a number"),
        ({"price": "99.00"}, "too far from the last one"),
        ({"side": "sell", "quantity": "9990"}, "do not have enough available"),
        ({"side": "steal"}, "Select a valid choice"),
        ({"time_in_force": "fok"}, "Select a valid choice"),
        ({"key": "1"}, "Enter a valid UUID"),
    ],
)
@pytest.mark.parametrize("headers", [{}, HTMX], ids=["without scripts", "htmx"])
def test_a_bad_ticket_comes_back_with_what_was_typed_and_the_sentence(
    typed: dict[str, str], sentence: str, headers: dict[str, str], world: World, as_person: AsPerson
) -> None:
    client, sent = as_person("acme trader"), ticket(**typed)

    answer = client.post(reverse("place-order", args=[world.market.code]), sent, headers=headers)

    page = answer.content.decode()
    assert answer.status_code == 422
    assert sentence in page
    assert f'value="{sent["price"]}"' in page and (f'value="{sent["quantity"]}"' in page or not sent["quantity"])
    assert f'value="{sent["key"]}"' not in page or "key" not in typed  # a damaged key is replaced


def test_after_a_refusal_the_next_attempt_has_another_key(world: World, as_person: AsPerson) -> None:
    client, sent = as_person("acme trader"), ticket(price="99.00")

    page = client.post(reverse("place-order", args=[world.market.code]), sent).content.decode()

    (key,) = re.findall(r'name="key" value="([^"]+)"', page)
    assert key != sent["key"]
    assert client.post(reverse("place-order", args=[world.market.code]), ticket(key=key)).status_code == 302


def test_checking_the_cost_places_nothing(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")
    before = Order.objects.count()

    answer = client.post(reverse("place-order", args=[world.market.code]), ticket(check="yes"))

    assert answer.status_code == 200
    assert "490.00 EUR" in answer.content.decode()  # 20 permits at 24.50
    assert Order.objects.count() == before


def test_the_preview_counts_what_is_open_already(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")

    page = client.post(reverse("preview-order", args=[world.market.code]), ticket(side="sell")).content.decode()

    held = world.account.balances.get(asset=world.period.permit).held
    assert f"{held + 20:,} of " in page


def test_a_preview_of_nothing_yet_says_what_to_type(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")

    answer = client.post(reverse("preview-order", args=[world.market.code]), {"quantity": "abc"})

    assert answer.status_code == 200
    assert "Type a quantity and a price" in answer.content.decode()


@pytest.mark.parametrize("person", ["acme viewer", "acme initiator", "verifier", "senior officer", "auditor"])
def test_who_is_no_trader_sees_no_ticket_and_is_turned_away(person: str, world: World, as_person: AsPerson) -> None:
    client = as_person(person)

    page = client.get(reverse("market", args=[world.market.code])).content.decode()
    answer = client.post(reverse("place-order", args=[world.market.code]), ticket())

    assert "Place the order" not in page
    assert answer.status_code == 403


def test_an_order_is_cancelled_once_however_often_it_is_asked(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")
    address = reverse("cancel-order", args=[world.market.code, world.resting.public_id])

    first = client.post(address, follow=True)
    client.post(address, headers=HTMX)
    matching.drain(world.market.pk)
    late = client.post(address, headers=HTMX)

    world.resting.refresh_from_db()
    assert "The market was asked to cancel" in first.content.decode()
    assert (world.resting.status, Command.objects.filter(kind="cancel").count()) == ("canceled", 1)
    assert late.status_code == 200


def test_nobody_cancels_the_order_of_somebody_else(world: World, as_person: AsPerson) -> None:
    client = Client()
    client.force_login(world.borealis.trader)

    answer = client.post(reverse("cancel-order", args=[world.market.code, world.resting.public_id]))

    assert answer.status_code == 404


@pytest.mark.parametrize("part", ["market-live", "market-own", "market-prices"])
def test_a_part_that_has_not_changed_is_not_made_again(part: str, world: World, as_person: AsPerson) -> None:
    client, address = as_person("acme trader"), reverse(part, args=[world.market.code])
    first = client.get(address)

    again = client.get(address, headers={"HX-PTag": first["HX-PTag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_the_tags_on_the_page_are_those_of_its_parts(world: World, as_person: AsPerson) -> None:
    client = as_person("acme trader")
    page = client.get(reverse("market", args=[world.market.code])).content.decode()

    answers = {
        part: client.get(reverse(part, args=[world.market.code]), headers={"HX-PTag": tag}).status_code
        for part, tag in zip(
            ("market-live", "market-prices", "market-own"), re.findall(r'hx-ptag="([^"]+)"', page), strict=True
        )
    }

    assert set(answers.values()) == {304}


def test_a_new_order_changes_the_own_part_at_once_and_the_book_when_it_is_drained(
    world: World, as_person: AsPerson
) -> None:
    client = as_person("acme trader")
    live, own = (reverse(part, args=[world.market.code]) for part in ("market-live", "market-own"))
    tags = {address: client.get(address)["HX-PTag"] for address in (live, own)}

    client.post(reverse("place-order", args=[world.market.code]), ticket())
    before = [client.get(address, headers={"HX-PTag": tags[address]}).status_code for address in (live, own)]
    matching.drain(world.market.pk)
    after = [client.get(address, headers={"HX-PTag": tags[address]}).status_code for address in (live, own)]

    assert (before, after) == ([304, 200], [200, 200])


def test_the_book_names_nobody(world: World, as_person: AsPerson) -> None:
    page = as_person("borealis viewer").get(reverse("market-live", args=[world.market.code])).content.decode()

    assert "25.50" in page  # Acme's resting offer is there
    assert "Acme" not in page


def test_a_market_without_an_order_is_shown(world: World, as_person: AsPerson) -> None:
    empty: Market = open_market(world.regulator, world.pilot)

    answer = as_person("acme trader").get(reverse("market", args=[empty.code]))

    assert answer.status_code == 200
    assert "The book is empty" in answer.content.decode()
