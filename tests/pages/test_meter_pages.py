"""Meters: a firm lets its clients report, sees what they sent, and takes the runs into its draft."""

import json
import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from common.invariants import check_all
from registry.metering_invariants import INVARIANTS
from registry.models import DraftLine, MeterExperiment, MeterProject, MeterRun, ProjectToken
from tests.pages.world import World

AsPerson = Callable[[str], Client]


def sent(prefix: str = "", **typed: str) -> dict[str, str]:
    """Return what a browser sends for a form."""
    before = f"{prefix}-" if prefix else ""
    return {before + name: value for name, value in {"key": str(uuid4()), **typed}.items()}


@pytest.fixture
def initiator(world: World, as_person: AsPerson) -> Client:
    """Acme's initiator, who made a project and an experiment on the pages."""
    client = as_person("acme initiator")
    operator = world.acme.organisation.operators.get(scheme=world.pilot.scheme)
    made = client.post(reverse("meter-new"), sent("project", name="Cluster", operator=str(operator.pk)))
    assert made.status_code == 302, made.content.decode()
    project = MeterProject.objects.get()
    made = client.post(
        reverse("meter-experiment-new", args=[project.pk]), sent("experiment", name="otter", country="fra")
    )
    assert made.status_code == 302, made.content.decode()
    return client


@pytest.fixture
def secret(initiator: Client) -> str:
    """The token that the page shows once."""
    address = reverse("meter-token-new", args=[MeterProject.objects.get().pk])

    page = initiator.post(address, sent("token", name="node 1", level="write", days="30"))

    found = re.search(r"hrm_[\w-]{43}", page.content.decode())
    assert found is not None
    assert "no-store" in page["Cache-Control"]
    return found.group()


def post_totals(secret: str, **changes: object) -> int:
    """Let a client's webhook send its totals."""
    body = {
        "timestamp": "2026-05-01T10:00:00",
        "run_id": "3c6ae1c3-5d35-4a4e-9c0c-6e2e6f1e0c11",
        "experiment_id": str(MeterExperiment.objects.get().pk),
        "project_name": "codecarbon",
        "duration": 3600.0,
        "emissions": 0.1,
        "cpu_power": 2000.0,
        "gpu_power": 0,
        "ram_power": 0,
        "cpu_energy": 2.0,
        "gpu_energy": 0,
        "ram_energy": 0,
        "energy_consumed": 2.0,
        "codecarbon_version": "3.3.2",
        "cpu_model": "<b>Xeon</b>",
    } | changes
    answer = Client().post(
        "/api/codecarbon/webhook", json.dumps(body), content_type="application/json", headers={"x-api-token": secret}
    )
    return answer.status_code


def test_a_token_is_shown_once_and_can_be_revoked(initiator: Client, secret: str) -> None:
    project = MeterProject.objects.get()

    again = initiator.get(reverse("meter", args=[project.pk])).content.decode()
    assert secret not in again
    assert secret[:10] in again
    assert post_totals(secret) == 201

    initiator.post(reverse("meter-token-revoke", args=[ProjectToken.objects.get().pk]))

    assert post_totals(secret, timestamp="2026-05-01T11:00:00") == 401


def test_an_experiment_shows_its_runs_and_what_to_copy(initiator: Client, secret: str) -> None:
    post_totals(secret)
    experiment = MeterExperiment.objects.get()

    page = initiator.get(reverse("meter-experiment", args=[experiment.pk])).content.decode()

    assert "api_endpoint = http://testserver/api/codecarbon" in page
    assert f"experiment_id = {experiment.pk}" in page
    assert "country_iso_code=&quot;FRA&quot;" in page
    assert "3c6ae1c3-5d35-4a4e-9c0c-6e2e6f1e0c11" in page
    assert "&lt;b&gt;Xeon" in page


def test_what_a_client_sent_can_be_saved_byte_for_byte(initiator: Client, secret: str, as_person: AsPerson) -> None:
    post_totals(secret)
    run = MeterRun.objects.get()
    address = reverse("meter-run-bodies", args=[run.pk])

    saved = [json.loads(line) for line in as_person("auditor").get(address).getvalue().splitlines()]

    assert [(line["kind"], line["body"]) for line in saved] == [("run", run.sent), ("total", run.sent)]
    assert as_person("borealis viewer").get(address).status_code == 404
    assert [one.offender for one in check_all(INVARIANTS)] == [None] * len(INVARIANTS)


def test_runs_go_into_the_draft_once_somebody_said_what_they_do(world: World, initiator: Client, secret: str) -> None:
    post_totals(secret)
    experiment = MeterExperiment.objects.get()
    ask = sent("take", period=str(world.pilot.pk))

    refused = initiator.post(reverse("meters-take"), ask)
    assert refused.status_code == 422
    assert "Say on the page Meters what these experiments do" in refused.content.decode()
    initiator.post(
        reverse("meter-experiment", args=[experiment.pk]), sent(activity="training", country="FRA", workload="")
    )

    taken = initiator.post(reverse("meters-take"), ask)

    assert taken.status_code == 302, taken.content.decode()
    assert DraftLine.objects.get().energy_kwh == 2


def test_who_may_see_a_project_and_who_may_not_touch_it(initiator: Client, as_person: AsPerson) -> None:
    project, experiment = MeterProject.objects.get(), MeterExperiment.objects.get()
    addresses = [reverse("meter", args=[project.pk]), reverse("meter-experiment", args=[experiment.pk])]

    for person, status in (("acme viewer", 200), ("auditor", 200), ("desk officer", 200), ("borealis viewer", 404)):
        assert [as_person(person).get(address).status_code for address in addresses] == [status] * 2, person
    refused = as_person("acme viewer").post(
        reverse("meter-token-new", args=[project.pk]), sent("token", name="x", level="write", days="30")
    )
    assert refused.status_code == 403
    assert not ProjectToken.objects.exists()
