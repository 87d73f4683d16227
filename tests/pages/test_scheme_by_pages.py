"""A regulator sets up each shipped scheme by pages alone: one document, two officers, a period, its cap."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Approval, User
from demo import schemes
from registry.models import Period, Scheme
from registry.services import rules
from registry.services.year import dates_by_rules
from tests.cast import Clock, Regulator

TODAY = datetime(2023, 12, 18, 9, tzinfo=UTC)


class Fields(HTMLParser):
    """Gathers what the fields of a page's forms hold, as a browser would send it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take the name and value of an input that is no button."""
        field = dict(attrs)
        if tag == "input" and field.get("name") and field.get("type") not in {"submit", "file", "checkbox"}:
            self.found[str(field["name"])] = field.get("value") or ""


def shown(response: Any) -> dict[str, Any]:
    """Return what the fields of a page hold."""
    fields = Fields()
    fields.feed(response.content.decode())
    return fields.found


def browser(user: User) -> Client:
    """Return somebody's browser."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def today(clock: Clock) -> Iterator[Clock]:
    """The clock, some days before the first year of the shipped schemes."""
    clock.move_to(TODAY)
    yield clock


@pytest.mark.parametrize("name", schemes.NAMES)
def test_one_document_and_two_officers_bring_a_scheme_to_an_open_period(
    name: str, regulator: Regulator, today: Clock
) -> None:
    desk, senior = browser(regulator.desk), browser(regulator.senior)
    document = (schemes.FOLDER / name / "rules.json").read_bytes()

    new = reverse("rules-new")
    sent = shown(desk.get(new)) | {"document": SimpleUploadedFile("rules.json", document, "application/json")}
    preview = desk.post(new, sent, follow=True)
    assert preview.status_code == 200
    assert not Scheme.objects.filter(code=name).exists(), "nobody founds a scheme alone"

    approve(senior, "registry.import_scheme")
    scheme = Scheme.objects.get(code=name)
    assert rules.export(scheme) == schemes.rule_document(name)

    address = reverse("period-new", args=[name])
    days = shown(desk.get(address, {"year": "2024"}))
    assert days["surrender_due_on"] == dates_by_rules(scheme, 2024).surrender_due_on.isoformat()
    assert desk.post(address, days).status_code == 302

    period = Period.objects.get(scheme=scheme, year=2024)
    assert desk.post(reverse("propose-cap-by-rules", args=[period.code])).status_code == 302
    approve(senior, "registry.publish_cap")

    period.refresh_from_db()
    (cap,) = [row["cap"] for row in schemes.by_hand(name)["Cap"] if row["year"] == Decimal(2024)]
    assert (period.status, Decimal(period.caps.get().quantity)) == ("open", cap)
    page = desk.get(reverse("desk-period", args=[period.code])).content.decode()
    assert f"{cap:,}" in page
    assert f"{cap:,}" in Client().get(reverse("transparency-period", args=[period.code])).content.decode()


def approve(client: Client, act: str) -> None:
    """Let the second officer read the newest proposal of an act, and approve it on its page."""
    approval = Approval.objects.filter(act=act).latest("proposed_at")
    address = reverse("approval", args=[approval.pk])
    assert client.get(address).status_code == 200
    assert client.post(reverse("approval-approve", args=[approval.pk])).status_code == 302
    approval.refresh_from_db()
    assert approval.status == "executed", approval.failure


def test_a_document_with_a_contradiction_is_refused_with_every_reason(regulator: Regulator, today: Clock) -> None:
    desk = browser(regulator.desk)
    document = (schemes.FOLDER / "rggi-like" / "rules.json").read_text()
    wrong = document.replace('"Y+1 02-15"', '"Y+1 04-15"').replace('"Y+1 01-15"', '"Y+1 02-10"')
    assert wrong.count("04-15") == wrong.count("02-10") == 1

    new = reverse("rules-new")
    sent = shown(desk.get(new)) | {"document": SimpleUploadedFile("rules.json", wrong.encode(), "application/json")}
    refused = desk.post(new, sent)

    page = refused.content.decode()
    assert refused.status_code == 422
    assert "surrender (03-01, year +1) comes before reserve_sale (04-15, year +1)" in page
    assert "verified_report (01-30, year +1) comes before self_report (02-10, year +1)" in page
    assert not Approval.objects.exists()
