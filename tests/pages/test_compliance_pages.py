"""Surrendering on the page, with its check, and the standing instruction."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from registry.models import AccountTerms, Surrender, Transaction
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def surrendering(world: World, **typed: str) -> dict[str, str]:
    """Return what a browser sends for 15 permits of the period."""
    balance = world.account.balances.get(asset=world.period.permit)
    return {"key": str(uuid4()), "permits": str(balance.pk), "quantity": "15"} | typed


def test_the_position_is_shown_in_figures(world: World, as_person: AsPerson) -> None:
    page = as_person("acme viewer").get(reverse("compliance-period", args=[world.period.code])).content.decode()

    assert "25" in page and "10" in page and "15" in page  # owed, surrendered, missing
    assert "1,500.00" in page  # what the sanction would be: 15 permits at 100.00


def test_a_surrender_is_checked_before_it_is_made(world: World, as_person: AsPerson) -> None:
    client, sent = as_person("acme trader"), surrendering(world)
    address = reverse("surrender", args=[world.period.code])

    check = client.post(address, sent)
    after_check = Surrender.objects.filter(operator=world.acme.operator).count()
    done = client.post(address, sent | {"confirmed": "yes"}, follow=True)

    assert "You will surrender <strong>15 permits</strong>" in check.content.decode()
    assert "This is final" in check.content.decode()
    assert sent["key"] in check.content.decode()
    assert after_check == 1  # the one that the world made
    assert "15 permits were surrendered" in done.content.decode()
    assert Surrender.objects.filter(operator=world.acme.operator, quantity=15).count() == 1


def test_a_surrender_that_needs_a_colleague_is_proposed_and_received_when_approved(
    world: World, as_person: AsPerson
) -> None:
    AccountTerms.objects.update_or_create(account=world.account, defaults={"second_person_for_surrender": True})
    client, sent = as_person("acme trader"), surrendering(world)
    address = reverse("surrender", args=[world.period.code])

    check = client.post(address, sent).content.decode()
    proposed = client.post(address, sent | {"confirmed": "yes"}, follow=True).content.decode()
    again = client.post(address, sent | {"confirmed": "yes"})
    row = Transaction.objects.get(kind="surrender", quantity=15)
    waiting = Surrender.objects.filter(operator=world.acme.operator, quantity=15).exists()
    assert row.approval is not None
    as_person("acme approver").post(reverse("approval-approve", args=[row.approval.pk]))

    assert "A colleague has to approve it" in check and "Propose to surrender" in check
    assert "A colleague has to approve this surrender" in proposed
    assert again.status_code == 302 and not waiting
    receipt = Surrender.objects.get(operator=world.acme.operator, quantity=15)
    assert (receipt.period, receipt.surrendered_by) == (world.period, world.people["acme trader"])


def test_confirming_twice_surrenders_once(world: World, as_person: AsPerson) -> None:
    client, sent = as_person("acme trader"), surrendering(world, confirmed="yes")

    for _ in range(2):
        client.post(reverse("surrender", args=[world.period.code]), sent)

    assert Surrender.objects.filter(operator=world.acme.operator, quantity=15).count() == 1


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"quantity": "0"}, "Enter a whole number from 1"),
        ({"quantity": "1.5"}, "Enter a whole number"),
        ({"quantity": "999999"}, "enough available"),
        ({"permits": "0"}, "Select a valid choice"),
        ({"key": "x"}, "Enter a valid UUID"),
    ],
)
def test_a_bad_surrender_comes_back_with_what_was_typed(
    typed: dict[str, str], sentence: str, world: World, as_person: AsPerson
) -> None:
    sent = surrendering(world, confirmed="yes", **typed)

    answer = as_person("acme trader").post(reverse("surrender", args=[world.period.code]), sent)

    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert f'value="{sent["quantity"]}"' in answer.content.decode()
    assert Surrender.objects.filter(operator=world.acme.operator).count() == 1


def test_a_viewer_is_turned_away(world: World, as_person: AsPerson) -> None:
    sent = surrendering(world, confirmed="yes")

    answer = as_person("acme viewer").post(reverse("surrender", args=[world.period.code]), sent)

    assert answer.status_code == 403


def test_permits_of_somebody_else_cannot_be_chosen(world: World) -> None:
    client = Client()
    client.force_login(world.borealis.trader)

    answer = client.post(reverse("surrender", args=[world.period.code]), surrendering(world))

    assert answer.status_code == 422
    assert "Select a valid choice" in answer.content.decode()


def test_the_standing_instruction_is_turned_on_and_off(world: World, as_person: AsPerson) -> None:
    client, address = as_person("acme initiator"), reverse("standing-instruction", args=[world.period.code])
    assert world.acme.operator is not None

    client.post(address, {"on": "yes"})
    world.acme.operator.refresh_from_db()
    was_on = world.acme.operator.surrenders_automatically
    client.post(address, {"on": "no"})
    world.acme.operator.refresh_from_db()

    assert (was_on, world.acme.operator.surrenders_automatically) == (True, False)
    assert as_person("acme trader").post(address, {"on": "yes"}).status_code == 403


def test_a_running_period_shows_no_letter_before_reports_are_due(world: World, as_person: AsPerson) -> None:
    page = as_person("borealis viewer").get(reverse("compliance")).content.decode()

    assert "Running" in page
