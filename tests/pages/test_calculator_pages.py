"""Calculators on pages: open to everybody, with every step, and good to use in any light; trainings by the desk."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Page

from registry.services.calculators import CALCULATORS
from tests.pages.conftest import NARROW, WIDE, OpenPage
from tests.pages.world import World
from tests.registry.test_service_plausibility import MODELS

AsPerson = Callable[[str], Client]


@pytest.mark.django_db(transaction=True)
def test_calculators_are_accessible_and_stay_within_the_screen(
    open_page: OpenPage, assert_accessible: Callable[[Page], None]
) -> None:
    for theme, width in (("light", WIDE), ("dark", NARROW)):
        page = open_page(reverse("calculators"), theme=theme, width=width)
        assert_accessible(page)
        for name in ("hardware-compute", "request-estimate"):
            page.goto(reverse("calculator", args=[name]))
            assert_accessible(page)
        page.goto(reverse("calculator", args=["device-energy"]) + "?watts=much")
        assert_accessible(page)


@pytest.mark.django_db
def test_a_page_shows_its_example_then_what_was_typed_and_what_makes_no_sense(client: Client) -> None:
    for name in CALCULATORS:
        assert client.get(reverse("calculator", args=[name])).status_code == 200, name
    address = reverse("calculator", args=["device-energy"])

    example = client.get(address).content.decode()
    assert "An example" in example and "GPT-3" in example and "1,289,376" in example
    typed = client.get(address, {"device_hours": "10", "watts": "100", "pue": "1.2"}).content.decode()
    assert "1.2" in typed and "IT energy x PUE" in typed and "An example" not in typed
    refused = client.get(address, {"device_hours": "ten", "watts": "100"})
    assert refused.status_code == 422
    assert "Enter a number such as 12.5 or 1.75e11." in refused.content.decode()
    assert client.get(reverse("calculator", args=["nothing"])).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_the_desk_loads_published_trainings_and_everybody_reads_them(
    world: World, as_person: AsPerson, client: Client
) -> None:
    desk, address = as_person("desk officer"), reverse("desk-trainings")

    def sent(content: str) -> dict[str, object]:
        return {"key": uuid4(), "retrieved_on": "2026-01-02", "file": SimpleUploadedFile("m.csv", content.encode())}

    refused = desk.post(address, sent(MODELS + "Ant,Again,2024-05-01,1e24,,,\n"))
    assert refused.status_code == 422 and "already stands in line 2" in refused.content.decode()
    assert desk.post(address, sent(MODELS)).status_code == 302

    page = client.get(reverse("trainings")).content.decode()
    assert "CC BY 4.0" in page and "Bee" in page and "Dog" not in page
    assert as_person("acme initiator").get(address).status_code == 403
    assert as_person("auditor").post(address, sent(MODELS)).status_code == 403
    found = desk.get(reverse("supervision-period", args=[world.period.code])).content.decode()
    assert "Does not fit" in found
    report = as_person("acme initiator").get(reverse("report", args=[world.measured.pk])).content.decode()
    assert 'id="plausibility"' in report
