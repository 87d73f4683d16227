"""Work by the rules on pages: figures with their errors, the run and its file, the reserve, sales, the rules' cap."""

import hashlib
import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from accounts.models import Approval
from registry.engine import runs as engine
from registry.models import AllocationRun, AllocationTable
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def table(text: str) -> SimpleUploadedFile:
    """Return a file as a browser sends it."""
    return SimpleUploadedFile("figures.csv", text.encode(), content_type="text/csv")


def test_a_run_is_read_and_downloaded_by_anybody_as_the_bytes_that_were_hashed(world: World, client: Client) -> None:
    published = world.run.published

    page = client.get(reverse("run", args=[published.pk])).content.decode()
    content = client.get(reverse("run-file", args=[published.pk])).content
    over_rest = client.get(f"/api/v1/runs/{published.pk}/document/").json()

    assert f"manage.py recompute run-{world.period.code}-allocation-1.json" in page
    assert hashlib.sha256(content).hexdigest() == published.sha256
    assert published.sha256 in page
    assert json.loads(content) == over_rest
    assert engine.differences(over_rest) == []
    assert published.sha256 in client.get(reverse("runs")).content.decode()


def test_the_desk_uploads_figures_and_sees_every_error(world: World, as_person: AsPerson) -> None:
    desk = as_person("desk officer")
    address = reverse("allocation-figures", args=[world.period.code])
    number, year = world.account.number, world.period.year

    refused = desk.post(
        address, {"key": str(uuid4()), "table": table(f"operator,year,use\n{number},x,1\n{number},,-1\n")}
    )
    assert refused.status_code == 422
    assert "3 errors; nothing was stored" in refused.content.decode()
    assert not AllocationTable.objects.exists()

    taken = desk.post(address, {"key": str(uuid4()), "table": table(f"operator,year,use\n{number},{year - 1},5\n")})
    assert taken.status_code == 302
    assert AllocationTable.objects.get().sha256 in desk.get(address).content.decode()
    template = desk.get(reverse("figures-template", args=[world.period.code])).content.decode()
    assert number in template
    viewer = as_person("acme viewer")
    assert viewer.post(address, {"key": str(uuid4()), "table": table("operator,year\n")}).status_code == 403


def test_what_keeps_the_rules_from_giving_an_allocation_is_listed(world: World, as_person: AsPerson) -> None:
    desk = as_person("desk officer")
    drafts = AllocationRun.objects.count()

    answer = desk.post(reverse("allocation-by-rules", args=[world.draft.code]), {"stage": "INITIAL"}, follow=True)

    assert AllocationRun.objects.count() == drafts
    assert "publish its cap first" in answer.content.decode()
    sale = desk.post(
        reverse("sale", args=[world.period.code]),
        {"key": str(uuid4()), "offered": "1", "bids": "HR-1, 10, 1\nnonsense\n"},
    )
    assert sale.status_code == 422
    assert "Line 2" in sale.content.decode()
    assert not Approval.objects.filter(act="registry.sale").exists()


@pytest.mark.parametrize("person", ["auditor", "market monitor", "acme approver", "verifier"])
def test_only_officers_act(person: str, world: World, as_person: AsPerson) -> None:
    client = as_person(person)
    before = Approval.objects.count(), AllocationRun.objects.count(), AllocationTable.objects.count()
    number = world.account.number
    forms: dict[str, dict[str, object]] = {
        "allocation-figures": {"key": str(uuid4()), "table": table(f"operator,year,use\n{number},2020,5\n")},
        "allocation-by-rules": {"stage": "INITIAL"},
        "stability": {},
        "sale": {"key": str(uuid4()), "offered": "1", "bids": f"{number}, 10, 1"},
        "propose-cap-by-rules": {},
    }

    answers = {
        name: client.post(reverse(name, args=[world.period.code]), values).status_code for name, values in forms.items()
    }

    assert answers == dict.fromkeys(forms, 403)
    assert before == (Approval.objects.count(), AllocationRun.objects.count(), AllocationTable.objects.count())
