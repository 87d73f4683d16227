"""Pages as people meet them: nothing for axe to find in either theme, and an order that is traded while one looks."""

import subprocess
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from accounts.models import User
from exchange.models import Market, Order
from exchange.services import orders
from registry.models import Period, Transaction
from tests.cast import OPENING, Party, Regulator
from tests.pages.conftest import NARROW, WIDE, OpenPage
from tests.pages.world import World, open_market

PASSWORD = "seven quiet turbines"


def pages_of(world: World) -> dict[str, list[str]]:
    """Every page, by the person who looks at it."""
    code, market = world.period.code, world.market.code
    public = [reverse("front-door"), reverse("transparency"), reverse("transparency-period", args=[code])]
    return {
        "anyone": public,
        "acme trader": [
            reverse("home"), reverse("markets"), reverse("market", args=[market]), reverse("holdings"),
            reverse("account-statement", args=[world.account.number, world.period.permit.code]),
        ],
        "acme initiator": [
            reverse("transfer"), reverse("reports"), reverse("report-new"), reverse("report", args=[world.measured.pk]),
            reverse("compliance"), reverse("compliance-period", args=[code]), reverse("tokens"), reverse("serving"),
        ],
        "acme approver": [
            reverse("approvals"), reverse("approval", args=[world.approval.pk]), reverse("transactions"),
            reverse("transaction", args=[Transaction.objects.get(approval=world.approval).pk]),
            reverse("cancellation-new"), reverse("trusted-accounts"),
        ],
        "verifier": [reverse("home"), reverse("report", args=[world.submitted.pk])],
        "senior officer": [
            reverse("home"), reverse("desk"), reverse("desk-period", args=[code]),
            reverse("desk-period", args=[world.draft.code]), reverse("allocation-new", args=[code]),
            reverse("allocation-run", args=[world.run.pk]), reverse("desk-market", args=[market]),
            reverse("closing", args=[code]),
        ],
        "auditor": [
            reverse("home"), reverse("compliance-period", args=[code]), reverse("holdings"), reverse("desk-factors"),
        ],
    }  # fmt: skip


IN_EVERY_LIGHT = ("anyone", "acme trader", "senior officer")
"""The public pages, a market, and the desk: looked at in the dark and on a telephone too."""


@pytest.mark.parametrize(
    ("person", "theme", "width"),
    [
        *(
            (person, "light", WIDE)
            for person in (*IN_EVERY_LIGHT, "acme initiator", "acme approver", "verifier", "auditor")
        ),
        *((person, "dark", WIDE) for person in IN_EVERY_LIGHT),
        *((person, "light", NARROW) for person in IN_EVERY_LIGHT),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_pages_are_accessible_and_stay_within_the_screen(
    open_page: OpenPage,
    assert_accessible: Callable[[Page], None],
    world: World,
    person: str,
    theme: str,
    width: int,
) -> None:
    user = world.people.get(person)
    first, *others = pages_of(world)[person]
    page = open_page(first, theme=theme, width=width, user=user)
    assert_accessible(page)

    for address in others:
        page.goto(address)
        assert_accessible(page)


@pytest.mark.django_db(transaction=True)
def test_a_refused_ticket_keeps_the_focus_on_what_is_wrong(open_page: OpenPage, world: World) -> None:
    page = open_page(reverse("market", args=[world.market.code]), user=world.acme.trader)
    page.get_by_label("Quantity").fill("15")
    page.get_by_label("Limit price").fill("24.50")

    page.get_by_role("button", name="Place the order").click()

    expect(page.locator("[data-error-summary]")).to_be_focused()
    expect(page.get_by_label("Quantity")).to_have_value("15")
    expect(page.get_by_label("Limit price")).to_have_value("24.50")


@pytest.mark.django_db(transaction=True)
def test_a_browser_without_scripts_places_an_order_and_cancels_it(open_page: OpenPage, world: World) -> None:
    page = open_page(reverse("market", args=[world.market.code]), user=world.acme.trader, scripts=False)
    page.get_by_label("Quantity").fill("20")
    page.get_by_label("Limit price").fill("24.50")

    page.get_by_role("button", name="Place the order").click()
    expect(page.locator("#messages")).to_contain_text("Buy order for 20 permits was received")
    order = Order.objects.latest("pk")
    page.get_by_role("button", name=f"Cancel order {order.pk}").click()

    expect(page.locator("#messages")).to_contain_text("The market was asked to cancel the order")


@pytest.mark.django_db(transaction=True)
def test_the_cost_is_shown_while_one_types_and_by_the_keyboard_alone(open_page: OpenPage, world: World) -> None:
    page = open_page(reverse("market", args=[world.market.code]), user=world.acme.trader)
    page.get_by_label("Sell").focus()

    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.type("20")
    page.keyboard.press("Tab")
    page.keyboard.type("25.00")

    expect(page.locator("#preview")).to_contain_text("500.00 EUR")
    page.keyboard.press("Enter")
    expect(page.locator("#messages")).to_contain_text("Sell order for 20 permits was received")
    expect(page.get_by_label("Quantity")).to_have_value("")
    expect(page.get_by_label("Quantity")).to_be_focused()


@pytest.mark.django_db(transaction=True)
def test_a_trader_logs_in_places_an_order_and_sees_it_traded(
    worker: "subprocess.Popen[bytes]",
    open_page: OpenPage,
    regulator: Regulator,
    acme: Party,
    borealis: Party,
    period: Period,
) -> None:
    market = open_market(regulator, period)
    offer(acme, market, lots=3, ticks=500)
    trader: User = borealis.trader
    trader.set_password(PASSWORD)
    trader.save()
    page = open_page(f"{reverse('account_login')}?next={reverse('market', args=[market.code])}")

    page.get_by_label("Email").fill(trader.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator("#live")).to_contain_text("25.00", timeout=15_000)  # the worker put the offer in the book
    page.get_by_label("Quantity").fill("20")
    page.get_by_label("Limit price").fill("25.00")
    page.get_by_role("button", name="Place the order").click()
    expect(page.locator("#messages")).to_contain_text("Buy order for 20 permits was received")

    order = Order.objects.get(organisation=borealis.organisation)
    row = page.locator(f"#order-{order.pk}")
    expect(row).to_contain_text("Filled", timeout=15_000)
    expect(page.locator("#live").get_by_role("region", name="Trades").last).to_contain_text("25.00")
    expect(page.locator("#own")).to_contain_text("Bought, unsettled")
    order.refresh_from_db()
    assert (order.status, order.filled) == ("filled", 2)


def offer(party: Party, market: Market, lots: int, ticks: int) -> Order:
    """Offer permits for sale."""
    return orders.place_order(
        actor=party.trader,
        organisation=party.organisation,
        market=market,
        side="sell",
        price=ticks,
        quantity=lots,
        time_in_force="gtc",
        key=uuid4(),
        now=OPENING,
    )
