"""What a CodeCarbon client sends: taken once with every digit, and refused in words that its log can show."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from registry.models import MeterExperiment, MeterProject, MeterReading, MeterRun, Period, ProjectToken, Scheme
from registry.services.metering import projects, tokens
from tests import cast
from tests.api.asking import refused
from tests.api.world import Caller
from tests.cast import OPENING, Clock, Party, Regulator

API = "/api/codecarbon"
RUN = {
    "timestamp": "2026-03-01T17:20:34.946263+00:00",
    "os": "Linux-6.18",
    "python_version": "3.11.7",
    "codecarbon_version": "3.3.2",
    "cpu_count": 2,
    "cpu_model": "Xeon",
    "gpu_count": 0,
    "gpu_model": "",
    "longitude": None,
    "latitude": None,
    "region": None,
    "provider": None,
    "ram_total_size": 23.54058837890625,
    "tracking_mode": "machine",
}
INCREMENT = {
    "timestamp": "2026-03-01T17:20:40.885444+00:00",
    "duration": 3,
    "emissions_sum": 1.5783408636404764e-06,
    "emissions_rate": 5.203070267076076e-07,
    "cpu_power": 5.279999999999018,
    "gpu_power": 0.0,
    "ram_power": 24.0,
    "cpu_energy": 8.04666998506496e-06,
    "gpu_energy": 0.0,
    "ram_energy": 2.0118373353332875e-05,
    "energy_consumed": 2.8165043338397834e-05,
    "cpu_utilization_percent": 33.333333333333336,
    "wue": 0.0,
}
TOTALS = RUN | {
    "timestamp": "2026-03-01T17:20:51",
    "project_name": "otter",
    "experiment_id": "5b0fa12a-3dd7-45bb-9766-cc326314d9f1",
    "duration": 20.019973914000047,
    "emissions": 1.045981886804271e-05,
    **{name: INCREMENT[name] for name in INCREMENT if name.endswith(("_power", "_energy", "_consumed"))},
    "country_iso_code": "FRA",
    "cloud_provider": "",
    "on_cloud": "N",
    "pue": 1.2,
    "user": "root",
}


@pytest.fixture
def scheme(regulator: Regulator) -> Scheme:
    """A scheme that counts CO2e, as CodeCarbon measures energy."""
    return cast.co2e_scheme(regulator)


@pytest.fixture
def project(acme: Party, clock: Clock) -> MeterProject:
    """A project of Acme's."""
    assert acme.operator is not None
    return projects.create_project(
        actor=acme.initiator, operator=acme.operator, name="Cluster", description="", site=None, now=OPENING
    )


@pytest.fixture
def experiment(acme: Party, project: MeterProject) -> MeterExperiment:
    """Training in France."""
    return projects.create_experiment(
        actor=acme.initiator,
        project=project,
        name="otter",
        description="",
        place=projects.Place("FRA"),
        activity="training",
        now=OPENING,
    )


@pytest.fixture
def secret(acme: Party, project: MeterProject) -> str:
    """A token with which clients of the project write."""
    return issue(acme, project)


def issue(party: Party, project: MeterProject, level: str = "write") -> str:
    """Make a token of a project, for a month."""
    _, secret = tokens.issue_token(
        actor=party.initiator, project=project, name="node 1", level=level, life=timedelta(days=30), now=OPENING
    )
    return secret


@pytest.fixture
def client(secret: str) -> APIClient:
    """A client as it is since version 2.8: with its token in a header of its own."""
    return APIClient(headers={"x-api-token": secret})


def post(client: APIClient, path: str, body: object) -> Any:
    """Send what the client's library would send."""
    return client.post(f"{API}/{path}", json.dumps(body), content_type="application/json")


@pytest.fixture
def run_id(client: APIClient, experiment: MeterExperiment) -> str:
    """A run that a client began."""
    answer = post(client, "runs", RUN | {"experiment_id": str(experiment.pk)})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def test_a_run_that_is_begun_twice_is_one_run(client: APIClient, experiment: MeterExperiment, run_id: str) -> None:
    again = post(client, "runs", RUN | {"experiment_id": str(experiment.pk)})

    assert again.json()["id"] == run_id
    run = MeterRun.objects.get()
    assert (run.client_version, run.cpu_count, run.ram_gb) == ("3.3.2", 2, Decimal("23.54058837890625"))


def test_an_increment_counts_once_and_keeps_every_digit(client: APIClient, run_id: str) -> None:
    body = INCREMENT | {"run_id": run_id}

    answers = [post(client, "emissions", body) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    reading = MeterReading.objects.get()
    assert reading.energy_kwh == Decimal("2.8165043338397834e-05")
    assert reading.cpu_energy_kwh == Decimal("8.04666998506496e-06")
    assert reading.claimed_co2e_kg == Decimal("1.5783408636404764e-06")


def test_another_reading_of_the_same_moment_is_refused(client: APIClient, run_id: str) -> None:
    post(client, "emissions", INCREMENT | {"run_id": run_id})

    answer = post(client, "emissions", INCREMENT | {"run_id": run_id, "energy_consumed": 1.0})

    refused(answer, 422, "reading_differs")
    assert MeterReading.objects.get().energy_kwh == Decimal("2.8165043338397834e-05")


@pytest.mark.parametrize(
    "headers",
    [
        lambda secret: {"Authorization": f"Bearer {secret}"},
        lambda secret: {"Authorization": "Basic " + base64.b64encode(f"meter:{secret}".encode()).decode()},
    ],
    ids=["bearer", "in the address"],
)
def test_the_token_may_come_in_other_places(
    headers: Callable[[str], dict[str, str]], secret: str, experiment: MeterExperiment
) -> None:
    client = APIClient(headers=headers(secret))

    answer = post(client, "run", RUN | {"experiment_id": str(experiment.pk)})

    assert answer.status_code == 201, answer.content


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "not_authenticated"),
        ({"x-api-token": "hrm_nobody"}, "token_invalid"),
        ({"x-api-token": ""}, "token_invalid"),
    ],
)
def test_without_a_good_token_nothing_is_told(header: dict[str, str], code: str, run_id: str) -> None:
    refused(post(APIClient(headers=header), "emissions", INCREMENT | {"run_id": run_id}), 401, code)


def test_a_token_ends(acme: Party, client: APIClient, experiment: MeterExperiment, clock: Clock) -> None:
    body = RUN | {"experiment_id": str(experiment.pk)}
    clock.move_to(OPENING + timedelta(days=30))
    refused(post(client, "runs", body), 401, "token_expired")

    clock.move_to(OPENING)
    tokens.revoke_token(actor=acme.initiator, token=ProjectToken.objects.get(), now=OPENING)

    refused(post(client, "runs", body), 401, "token_invalid")


def test_a_reading_token_reads_and_measures_nothing(acme: Party, experiment: MeterExperiment) -> None:
    reader = APIClient(headers={"x-api-token": issue(acme, experiment.project, "read")})

    listed = reader.get(f"{API}/projects/{experiment.project_id}/experiments")

    assert [one["country_iso_code"] for one in listed.json()] == ["FRA"]
    refused(post(reader, "runs", RUN | {"experiment_id": str(experiment.pk)}), 403, "not_permitted")


def test_a_token_opens_its_own_project_only(
    acme: Party, borealis: Party, experiment: MeterExperiment, run_id: str
) -> None:
    assert borealis.operator is not None
    elsewhere = projects.create_project(
        actor=borealis.initiator, operator=borealis.operator, name="Lab", description="", site=None, now=OPENING
    )
    stranger = APIClient(headers={"x-api-token": issue(borealis, elsewhere)})

    refused(post(stranger, "runs", RUN | {"experiment_id": str(experiment.pk)}), 404, "experiment_unknown")
    refused(post(stranger, "emissions", INCREMENT | {"run_id": run_id}), 404, "run_unknown")
    refused(stranger.get(f"{API}/experiments/{experiment.pk}"), 404, "experiment_unknown")
    refused(stranger.get(f"{API}/organizations/{acme.organisation.pk}"), 404, "organisation_unknown")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("energy_consumed", None, "required"),
        ("energy_consumed", -1, "number_out_of_range"),
        ("energy_consumed", "1.0", "not_a_number"),
        ("energy_consumed", True, "not_a_number"),
        ("energy_consumed", 10**400, "number_out_of_range"),
        ("duration", 0, "number_out_of_range"),
        ("timestamp", "2026-03-01T17:20:40", "zone_missing"),
        ("timestamp", "yesterday", "not_a_time"),
        ("timestamp", "9999-12-31T23:59:59-12:00", "not_a_time"),
        ("run_id", "7", "not_an_id"),
        ("run_id", ["7"], "not_an_id"),
        ("cpu_energy", {}, "not_a_number"),
    ],
)
def test_a_wrong_figure_is_named(client: APIClient, run_id: str, field: str, value: object, code: str) -> None:
    answer = post(client, "emissions", INCREMENT | {"run_id": run_id, field: value})

    refused(answer, 422, "fields_refused")
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(f"/{field}", code)]
    assert not MeterReading.objects.exists()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"energy_consumed": NaN}', 400),
        (b'{"a": 1, "a": 2}', 400),
        (b'{"run_id": "\\ud800"}', 400),
        (b'{"a": 1' + b"0" * 5000 + b"}", 400),
        (b"[" * 60_000, 400),
        (b'"' + b"x" * 70_000 + b'"', 413),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(client: APIClient, body: bytes, status: int) -> None:
    answer = client.post(f"{API}/emissions", body, content_type="application/json")

    assert answer.status_code == status, answer.content


def test_digits_beyond_those_kept_are_rounded_and_never_an_error(client: APIClient, run_id: str) -> None:
    text = json.dumps(INCREMENT | {"run_id": run_id}).replace("2.8165043338397834e-05", "1.5e-30")

    answer = client.post(f"{API}/emissions", text, content_type="application/json")

    assert answer.status_code == 201, answer.content
    assert MeterReading.objects.get().energy_kwh == Decimal("2e-30")


def test_a_client_whose_clock_is_ahead_is_told_so(client: APIClient, run_id: str) -> None:
    ahead = (OPENING + timedelta(days=2)).isoformat()

    refused(post(client, "emissions", INCREMENT | {"run_id": run_id, "timestamp": ahead}), 422, "time_ahead")


def test_the_webhook_makes_the_experiment_and_the_run(client: APIClient, project: MeterProject) -> None:
    body = TOTALS | {"run_id": "3c6ae1c3-5d35-4a4e-9c0c-6e2e6f1e0c11"}

    answers = [post(client, "webhook", body), post(client, "webhook", body)]

    assert [answer.status_code for answer in answers] == [201, 201]
    run = MeterRun.objects.get()
    assert (run.experiment.name, run.experiment.country, run.pue) == ("otter", "FRA", Decimal("1.2"))
    reading = MeterReading.objects.get()
    assert (reading.kind, reading.measured_at) == ("total", OPENING)
    assert reading.duration_s == Decimal("20.019973914000047")


def test_the_webhook_of_a_run_that_we_know_belongs_to_it(client: APIClient, run_id: str) -> None:
    answer = post(client, "webhook", TOTALS | {"run_id": run_id})

    assert answer.json()["run_id"] == run_id
    assert MeterRun.objects.count() == 1


def test_the_library_finds_and_makes_its_hierarchy(
    acme: Party, project: MeterProject, caller: Callable[..., APIClient]
) -> None:
    person = caller(acme.initiator, acme.organisation, "write")
    organisation = str(acme.organisation.pk)
    assert [one["name"] for one in person.get(f"{API}/organizations").json()] == ["Acme"]

    made = post(person, "projects", {"name": "Nodes", "description": "", "organization_id": organisation}).json()
    experiment = post(
        person,
        "experiments",
        {
            "timestamp": "2026-03-01T00:00:00+00:00",
            "name": "eval",
            "description": "",
            "on_cloud": False,
            "project_id": made["id"],
            "country_iso_code": "DEU",
        },
    ).json()
    token = post(person, f"projects/{made['id']}/api-tokens", {"project_id": made["id"], "name": "api token"}).json()

    client = APIClient(headers={"x-api-token": token["token"]})
    assert post(client, "runs", RUN | {"experiment_id": experiment["id"]}).status_code == 201
    assert client.get(f"{API}/auth/check").status_code == 200
    assert [one["name"] for one in person.get(f"{API}/organizations/{organisation}/projects").json()] == [
        "Cluster",
        "Nodes",
    ]
    refused(post(client, "projects", {"name": "More", "organization_id": organisation}), 403, "person_token_needed")
    refused(post(person, "organizations", {"name": "Else", "description": ""}), 403, "organisations_are_registered")


def test_too_many_requests_of_one_token_wait(client: APIClient, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.api.codecarbon.MeterThrottle.rate", "3/min", raising=False)  # the run itself was one

    answers = [post(client, "emissions", INCREMENT | {"run_id": run_id}).status_code for _ in range(3)]

    assert answers == [201, 201, 429]


def test_who_checks_an_operator_reads_what_its_clients_sent(
    acme: Party,
    borealis: Party,
    auditor: Party,
    verity: Party,
    period: Period,
    caller: Caller,
    client: APIClient,
    project: MeterProject,
    experiment: MeterExperiment,
    run_id: str,
) -> None:
    for second in ("40", "50"):
        sent = INCREMENT | {"run_id": run_id, "timestamp": f"2026-03-01T17:20:{second}+00:00"}
        assert post(client, "emissions", sent).status_code == 201
    things = {"projects": project.pk, "experiments": experiment.pk, "runs": run_id}

    def seen(who: APIClient) -> dict[str, tuple[list[str], int]]:
        return {
            kind: (
                [row["id"] for row in who.get(f"/api/v1/meter-{kind}/").json()["results"]],
                who.get(f"/api/v1/meter-{kind}/{pk}/").status_code,
            )
            for kind, pk in things.items()
        }

    verifier = caller(verity.verifier, verity.organisation, "read")
    nothing: dict[str, tuple[list[str], int]] = dict.fromkeys(things, ([], 404))
    everything = {kind: ([str(pk)], 200) for kind, pk in things.items()}
    assert seen(verifier) == seen(caller(borealis.viewer, borealis.organisation, "read")) == nothing
    assert acme.operator is not None
    cast.engage(verity, acme.operator, period, OPENING)
    checks = caller(auditor.auditor, auditor.organisation)
    readers = [verifier, checks, caller(acme.viewer, acme.organisation, "read")]
    assert [seen(who) for who in readers] == [everything] * 3
    run = checks.get(f"/api/v1/meter-runs/{run_id}/").json()
    assert (run["readings"], run["energy_kwh"]) == (2, "0.000056330086676795668")
    assert "sent" not in run
