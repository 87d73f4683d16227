"""Serving over REST: records as JSON or CSV, with every error in its place; those that count, and what they come to."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import ServingBatch
from tests.api.asking import is_problem
from tests.api.world import World
from tests.cast import Regulator
from tests.registry.gridded import NEW_YEAR, hour, intensity_file, load, open_chat, records

RECORD = {
    "stream": "chat",
    "hour_utc": hour(0),
    "zone": "CISO",
    "tier": "full",
    "operating_point": "fp16",
    "requests": 100,
    "tokens": 2000,
    "energy_kwh": "1.000000000001",
}


@pytest.fixture
def sender(world: World) -> APIClient:
    """Acme's initiator, whose stream runs in California."""
    open_chat(world.acme)
    return world.callers["acme initiator"]


def post(client: APIClient, *given: dict[str, Any], **more: str) -> Any:
    """Send records."""
    return client.post("/api/v1/serving-batches/", {"records": list(given)} | more, format="json")


def test_records_come_as_json_and_come_back_as_figures(world: World, regulator: Regulator, sender: APIClient) -> None:
    load(regulator, intensity_file("CISO", ["100", "250.5"]))

    first = post(sender, RECORD)
    again = post(sender, RECORD)
    file = sender.post("/api/v1/serving-batches/csv/", records(["2"], first=1), content_type="text/csv")

    assert (first.status_code, again.status_code, file.status_code) == (201, 201, 201)
    assert first.json() == again.json()
    listed = sender.get("/api/v1/serving-records/", {"start": f"{NEW_YEAR:%Y-%m-%d}T00:00:00Z"}).json()["results"]
    assert [(row["hour"], row["energy_kwh"]) for row in listed] == [
        ("2026-01-01T00:00:00Z", "1.000000000001"),
        ("2026-01-01T01:00:00Z", "2"),
    ]
    (figures,) = sender.get("/api/v1/serving-figures/", {"year": "2026"}).json()
    assert figures["factor_sets"] == ["us-2026 v1"]
    assert figures["hours_without_record"] == 46
    assert figures["energy_kwh"] == "95.000000000001"
    assert world.callers["borealis trader"].get("/api/v1/serving-figures/", {"year": "2026"}).json() == []
    assert world.callers["borealis trader"].get("/api/v1/serving-records/").json()["results"] == []
    verifier = world.callers["verifier"]
    assert verifier.get("/api/v1/serving-figures/", {"year": "2026"}).json() == [figures]
    assert verifier.get("/api/v1/serving-records/").json()["results"] == listed
    assert len(verifier.get("/api/v1/serving-batches/").json()["results"]) == 2
    hours = sender.get("/api/v1/factor-sets/us-2026/v1/hours/").json()["results"]
    assert [row["g_per_kwh"] for row in hours] == ["100", "250.5"]
    series = sender.get(
        "/api/v1/intensities/", {"zone": "CISO", "start": "2026-01-01T00:00:00Z", "end": "2026-01-01T03:00:00Z"}
    ).json()
    assert [(row["g_per_kwh"], row["fill"]) for row in series["hours"]] == [
        ("100", "known"),
        ("250.5", "known"),
        ("250.5", "month"),
    ]


def test_each_error_of_a_record_is_named_by_its_pointer_and_nothing_is_stored(sender: APIClient) -> None:
    wrong = RECORD | {"energy_kwh": 1.5, "zone": "ciso"}
    missing = {name: value for name, value in RECORD.items() if name != "tier"}

    answers = [post(sender, RECORD, wrong), post(sender, missing), post(sender), post(sender, RECORD | {"power": "1"})]

    for answer in answers:
        assert answer.status_code == 422
        is_problem(answer)
    pointers = [[error["pointer"] for error in answer.json()["errors"]] for answer in answers]
    assert pointers[0] == ["/records/1/energy_kwh"]
    assert pointers[1] == ["/records/0/tier"]
    assert pointers[3] == ["/records/0/power"]
    assert not ServingBatch.objects.exists()


def test_a_signature_that_fits_nothing_is_refused(sender: APIClient) -> None:
    answer = post(sender, RECORD, key_id="abc", signature="x")

    assert (answer.status_code, answer.json()["code"]) == (422, "key_unknown")


def test_whoever_does_not_report_delivers_nothing(world: World, sender: APIClient) -> None:
    for who, status in (("acme trader", 403), ("acme viewer", 403), ("borealis trader", 403), ("anyone", 401)):
        assert post(world.callers[who], RECORD).status_code == status
    assert not ServingBatch.objects.exists()
