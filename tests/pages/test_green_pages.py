"""Two-tier inference on pages: a firm's way from tariff to claim, the verifier's word, and what everybody reads."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlparse
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page, expect

from accounts.models import Task, User
from registry.models import AvoidedClaim, FlexEvent, Period, Tariff
from registry.services.flexing import claims
from registry.services.verifying import keys
from tests.cast import OPENING, Clock, Party, Regulator, engage
from tests.pages.conftest import NARROW, OpenPage
from tests.registry import flexed
from tests.registry.flexed import CISO, DAY, DIRTY, MORNING_AFTER, NUMBER
from tests.registry.gridded import intensity_file, load

PASSPHRASE = "eleven brave turbines"


def signed_in(user: User) -> Client:
    """Return a client of a person."""
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, page: str, /, *args: object, **said: object) -> HttpResponse:
    """Send a form as a browser does."""
    return client.post(reverse(page, args=args), {"key": str(uuid4()), **said})  # type: ignore[return-value]


def text_of(client: Client, name: str, *args: object) -> str:
    """Read a page."""
    response = client.get(reverse(name, args=args))
    assert response.status_code == 200, response.status_code
    return response.content.decode()


def test_a_firm_goes_by_pages_from_its_tariff_to_a_published_claim(
    acme: Party, verity: Party, regulator: Regulator, capped_period: Period, clock: Clock
) -> None:
    assert acme.operator is not None
    engage(verity, acme.operator, capped_period, OPENING)
    stream = flexed.stream_of(acme)
    firm, verifier = signed_in(acme.initiator), signed_in(verity.verifier)

    terms = {
        "name": "Green", "tier": "green", "discount": "0.1", "accuracy_floor": "0.8", "latency_ceiling_ms": "2000",
        "flex_cap": "0.5", "hours_per_day": "6", "shift_hours": "4", "valid_from": "2026-03-02",
        "points": "full, 0.9, 800, 0.00034\nsmall, 0.84, 500",
    }  # fmt: skip
    refused = post(firm, "tariff-new", **terms)
    assert refused.status_code == 422 and "Line 2: write code" in refused.content.decode()
    assert not Tariff.objects.exists()
    assert post(firm, "tariff-new", **terms | {"points": terms["points"] + ", 0.0001"}).status_code == 302
    tariff = Tariff.objects.get()

    clock.move_to(flexed.EVENING_BEFORE)
    day = {"zone": "CISO", "day": DAY.isoformat(), "values": " ".join(CISO), "source": "Grid operator"}
    assert post(firm, "flex-forecasts", **day | {"values": "1 2"}).status_code == 422
    assert post(firm, "flex-forecasts", **day).status_code == 302

    clock.move_to(MORNING_AFTER)
    load(regulator, intensity_file("CISO", CISO, first=NUMBER))
    flexed.deliver(acme, flexed.day_of_records(stream))
    of_stream = {"tariff": str(tariff.pk), "workload": str(stream.pk)}
    told = "\n".join(f"2026-03-03 {hour:02}:00, small, 20000" for hour in DIRTY[1:])
    assert post(firm, "flex-events", **of_stream, told=told + "\nyesterday, small, 1").status_code == 422
    assert post(firm, "flex-events", **of_stream, told=told).status_code == 302

    asked = of_stream | {"starts_at": "2026-03-03 00:00", "ends_at": "2026-03-04 00:00", "subscribers": "1000"}
    seen = post(firm, "flex-claim-new", **asked).content.decode()
    assert "2026-03-03 03:00 to 04:00 UTC" in seen and "Keep as a draft" not in seen  # the first hour is not told
    assert post(firm, "flex-claim-new", **asked, draft="1").status_code == 422
    assert post(firm, "flex-events", **of_stream, told="2026-03-03 03:00, small, 20000").status_code == 302
    seen = post(firm, "flex-claim-new", **asked).content.decode()
    assert "7.644" in seen and "4.92" in seen and "Keep as a draft" in seen
    assert not AvoidedClaim.objects.exists()
    assert post(firm, "flex-claim-new", **asked, draft="1").status_code == 302
    claim = AvoidedClaim.objects.get()
    assert post(firm, "flex-claim-submit", claim.pk).status_code == 302

    assert Task.objects.get(organisation=verity.organisation, key__startswith="claim:").link == reverse(
        "flex-claim", args=[claim.pk]
    )
    key = keys.make_key(
        actor=verity.verifier,
        organisation=verity.organisation,
        name="Desk",
        passphrase=PASSPHRASE,
        now=MORNING_AFTER,
    )
    assert "the figures and every hour agree" in text_of(verifier, "flex-claim", claim.pk)
    said = {"findings": "Recomputed.", "key_id": key.key_id, "passphrase": "a wrong one, alas"}
    assert post(verifier, "flex-claim-attest", claim.pk, **said).status_code == 422
    assert post(verifier, "flex-claim-attest", claim.pk, **said | {"passphrase": PASSPHRASE}).status_code == 302

    assert post(signed_in(acme.approver), "flex-claim-publish", claim.pk).status_code == 302
    claim.refresh_from_db()
    anyone = Client()
    assert claim.serial in text_of(anyone, "avoided-claims")
    public = text_of(anyone, "avoided-claim", claim.serial)
    assert "never a permit" in public and "7.644" in public and verity.organisation.name in public
    assert "0.34" in text_of(anyone, "tariffs") and "29.4" in text_of(anyone, "tariff", tariff.pk)
    assert FlexEvent.objects.count() == len(DIRTY)
    withdrawn = post(signed_in(regulator.desk), "flex-claim-withdraw", claim.pk, reason="A meter was wrong.")
    assert withdrawn.status_code == 302
    assert "A meter was wrong." in text_of(anyone, "avoided-claim", claim.serial)


def test_claims_of_others_do_not_exist_and_their_acts_are_refused(
    acme: Party, borealis: Party, verity: Party, regulator: Regulator, clock: Clock
) -> None:
    asked = flexed.flexed_day(acme, regulator, clock)
    claim = claims.draft_claim(actor=acme.initiator, asked=asked, now=MORNING_AFTER)

    for stranger in (borealis.initiator, verity.verifier):
        client = signed_in(stranger)
        assert client.get(reverse("flex-claim", args=[claim.pk])).status_code == 404
        assert client.get(reverse("flex-claim-inputs", args=[claim.pk])).status_code == 404
        assert post(client, "flex-claim-submit", claim.pk).status_code == 404
    viewer = signed_in(acme.viewer)
    assert post(viewer, "flex-claim-submit", claim.pk).status_code == 403
    assert viewer.get(reverse("tariff-new")).status_code == 403
    for page in ("green", "flex-claims", "flex-events", "flex-forecasts", "flex-claim-new"):
        assert viewer.get(reverse(page)).status_code == 200
    assert str(claim.pk) in text_of(signed_in(regulator.desk), "flex-claims")
    assert signed_in(acme.initiator).get(reverse("flex-claim-inputs", args=[claim.pk])).status_code == 200


@pytest.fixture
def grid(regulator: Regulator) -> None:
    """Ten days of California."""
    load(regulator, intensity_file("CISO", CISO * 10))


def test_a_plan_is_worked_out_from_its_address_alone(grid: None, client: Client) -> None:
    first = client.get(reverse("planning"))
    page = first.content.decode()

    assert first.status_code == 200
    assert "4.92" in page and "355 days with a missing hour are left out" in page
    later = client.get(reverse("planning"), {"place": "CISO:2026", "mode": "later", "hours_per_day": "6"})
    assert "4.00" in later.content.decode()
    address = urlparse(first.context["address"]).path
    assert parse_qs(address)["flexed_share"] == ["0.5"]
    assert client.get(f"{reverse('planning')}?{address}").context["planned"] == first.context["planned"]
    answer = client.get(f"{reverse('planning-sensitivity')}?{address}")
    assert answer.status_code == 200 and "Price of electricity" in answer.content.decode()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("green_share", "1.5", "from 0 to 1"),
        ("green_share", "NaN", "digits"),
        ("flexed_share", "0.6", "No more is flexed than the contract allows"),
        ("low_wh", "1", "no more than full quality"),
        ("hours_per_day", "2.5", "whole number of hours"),
        ("place", "MARS:2026", "MARS"),
        ("accuracy_floor", "0.85", "does not keep the floors"),
    ],
)
def test_a_plan_that_makes_no_sense_says_where(grid: None, client: Client, name: str, value: str, said: str) -> None:
    for page in ("planning", "planning-sensitivity"):
        answer = client.get(reverse(page), {name: value})

        assert answer.status_code == 422
        assert said in answer.content.decode()


def test_without_hours_there_is_nothing_to_plan(client: Client, db: None) -> None:
    assert "No hours are loaded yet" in text_of(client, "planning")


@pytest.mark.django_db(transaction=True)
def test_pages_of_green_inference_are_accessible(
    open_page: OpenPage,
    assert_accessible: Callable[[Page], None],
    acme: Party,
    verity: Party,
    regulator: Regulator,
    capped_period: Period,
    clock: Clock,
) -> None:
    assert acme.operator is not None
    engage(verity, acme.operator, capped_period, OPENING)
    claim = flexed.published_claim(acme, verity, flexed.flexed_day(acme, regulator, clock), MORNING_AFTER)

    page = open_page(reverse("planning"))
    expect(page.locator(".chart canvas")).to_have_count(3)
    for address in (
        reverse("planning"),
        reverse("planning-sensitivity"),
        reverse("tariffs"),
        reverse("tariff", args=[claim.tariff_id]),
        reverse("avoided-claims"),
        reverse("avoided-claim", args=[claim.serial]),
    ):
        page.goto(address)
        assert_accessible(page)
    page = open_page(reverse("green"), user=acme.initiator, width=NARROW)
    for address in (
        reverse("green"),
        reverse("flex-claim-new"),
        reverse("flex-events"),
        reverse("flex-claim", args=[claim.pk]),
    ):
        page.goto(address)
        assert_accessible(page)
