"""What an officer can do about markets in the administration: open one, and decide on a parked command."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from exchange.models import Command, Market, Order
from registry.models import Period
from tests.cast import Clock, Party, Regulator
from tests.exchange.trading import Place


def act(user: User, address: str, **answers: object) -> Any:
    browser = Client()
    browser.force_login(user)
    return browser.post(address, {"key": str(uuid4()), **answers})


TERMS = {"tick": "0.05", "lot": "10", "collar_bps": "2000", "max_order_lots": "1000"}


def test_an_officer_opens_the_market_of_a_period(regulator: Regulator, period: Period, clock: Clock) -> None:
    address = reverse("admin:exchange_market_act_list", args=["open"])

    response = act(regulator.desk, address, period=period.pk, **TERMS)

    market = Market.objects.get(period=period)
    assert response.status_code == 302
    assert (market.tick_minor, market.lot, market.phase) == (5, 10, "closed")


def test_a_market_with_bad_terms_is_refused_beside_the_field(
    regulator: Regulator, period: Period, clock: Clock
) -> None:
    address = reverse("admin:exchange_market_act_list", args=["open"])

    response = act(regulator.desk, address, period=period.pk, **{**TERMS, "lot": "1e3"})

    assert response.status_code == 422
    assert "lot" in response.context["form"].errors
    assert not Market.objects.exists()


@pytest.mark.parametrize(("slug", "status"), [("unpark", "pending_new"), ("discard", "canceled")])
def test_the_monitor_decides_on_a_parked_command(
    regulator: Regulator, acme: Party, market: Market, place: Place, clock: Clock, slug: str, status: str
) -> None:
    order = place(acme, "sell", 3, at=500)
    command = Command.objects.get(order=order)
    Command.objects.filter(pk=command.pk).update(parked="ZeroDivisionError")
    address = reverse("admin:exchange_command_act", args=[command.pk, slug])

    assert act(regulator.monitor, address, reason="Mended.").status_code == 302

    command.refresh_from_db()
    assert (command.parked == "") == (slug == "unpark")
    assert Order.objects.get(pk=order.pk).status == status


def test_a_command_that_is_not_parked_offers_nothing(
    regulator: Regulator, acme: Party, market: Market, place: Place, clock: Clock
) -> None:
    command = Command.objects.get(order=place(acme, "sell", 3, at=500))

    for slug in ("unpark", "discard"):
        address = reverse("admin:exchange_command_act", args=[command.pk, slug])
        assert act(regulator.monitor, address, reason="Why not.").status_code in {403, 404, 422}
