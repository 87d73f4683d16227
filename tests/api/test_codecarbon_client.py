"""A real CodeCarbon client reports to a real server over HTTP: nothing of it is imitated, and nothing counts twice.

On a busy machine a client may give up on an answer after two seconds and log less than arrived; nothing here minds.
"""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from pytest_django.live_server_helper import LiveServer

from registry.models import MeterExperiment, MeterProject, MeterReading, MeterRun, Scheme
from registry.services.metering import projects, tokens
from registry.services.metering.snippets import configuration
from tests import cast
from tests.cast import OPENING, Clock, Party, Regulator
from tests.clients.environment import measure

FAST = "measure_power_secs = 1\napi_call_interval = 2\n"
"""The client waits two minutes between posts unless told."""


@pytest.fixture
def scheme(regulator: Regulator) -> Scheme:
    """A scheme that counts CO2e, as CodeCarbon measures energy."""
    return cast.co2e_scheme(regulator)


@pytest.fixture
def experiment(acme: Party, clock: Clock) -> MeterExperiment:
    """Training in France."""
    assert acme.operator is not None
    project = projects.create_project(
        actor=acme.initiator, operator=acme.operator, name="Cluster", description="", site=None, now=OPENING
    )
    return projects.create_experiment(
        actor=acme.initiator,
        project=project,
        name="otter",
        description="",
        place=projects.Place("FRA"),
        activity="training",
        now=OPENING,
    )


def issued(acme: Party, project: MeterProject) -> str:
    """Make a token that is good at the server, whose clock is the real one."""
    _, secret = tokens.issue_token(
        actor=acme.initiator,
        project=project,
        name="node 1",
        level="write",
        life=timedelta(days=2),
        now=datetime.now(UTC),
    )
    return secret


def wake(server: str, secret: str) -> None:
    """Ask once, so that the server has everything in memory: a client waits two seconds for an answer."""
    with urlopen(Request(f"{server}/api/codecarbon/auth/check", headers={"x-api-token": secret})):  # noqa: S310
        pass


def sent_again(server: str, path: str, body: str, secret: str) -> int:
    """Post a body once more, byte for byte."""
    headers = {"Content-Type": "application/json", "x-api-token": secret}
    request = Request(f"{server}{path}", body.encode(), headers, method="POST")  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310
        return int(answer.status)


@pytest.mark.django_db(transaction=True)
def test_what_a_client_measures_arrives_to_the_last_digit_and_once(
    live_server: LiveServer, acme: Party, experiment: MeterExperiment, tmp_path: Path
) -> None:
    secret = issued(acme, experiment.project)
    wake(live_server.url, secret)

    measured = measure(tmp_path, configuration(live_server.url, experiment, secret, webhook=True) + FAST, seconds=5)

    run = MeterRun.objects.filter(readings__kind="increment").distinct().get()
    assert (run.experiment, run.client_version, run.tracking_mode) == (experiment, "3.3.2", "machine")
    increments = list(MeterReading.objects.filter(kind="increment").order_by("measured_at"))
    posted = [posted_digits(body) for body in measured.increments]
    assert posted, measured.log
    assert [one for one in map(digits, increments) if one in posted] == posted

    totals = MeterReading.objects.get(kind="total")
    assert totals.run.client_run is None, "A client that reports to an API writes None for its run."
    assert totals.energy_kwh == Decimal(measured.row["energy_consumed"])
    assert totals.claimed_co2e_kg == Decimal(measured.row["emissions"])

    before = (MeterRun.objects.count(), MeterReading.objects.count())
    replay(live_server.url, secret)
    assert (MeterRun.objects.count(), MeterReading.objects.count()) == before


@pytest.mark.django_db(transaction=True)
def test_a_client_with_nothing_but_the_webhook_arrives_as_well(
    live_server: LiveServer, acme: Party, experiment: MeterExperiment, tmp_path: Path
) -> None:
    secret = issued(acme, experiment.project)
    told = configuration(live_server.url, experiment, secret, api=False, webhook=True)

    measured = measure(tmp_path, told, seconds=2)

    totals = MeterReading.objects.select_related("run").get()
    assert totals.energy_kwh == Decimal(measured.row["energy_consumed"])
    assert (str(totals.run.client_run), totals.run.experiment) == (measured.row["run_id"], experiment)


def replay(server: str, secret: str) -> None:
    """Send every body that came a second time."""
    for run in MeterRun.objects.filter(source="api"):
        assert sent_again(server, "/api/codecarbon/runs", run.sent, secret) == 201
    for reading in MeterReading.objects.all():
        path = "emissions" if reading.kind == "increment" else "webhook"
        assert sent_again(server, f"/api/codecarbon/{path}", reading.sent, secret) == 201


def digits(reading: MeterReading) -> tuple[Decimal, ...]:
    """Return the figures of a reading."""
    return (
        reading.duration_s,
        reading.cpu_energy_kwh,
        reading.gpu_energy_kwh,
        reading.ram_energy_kwh,
        reading.energy_kwh,
        reading.claimed_co2e_kg,
    )


def posted_digits(body: dict[str, object]) -> tuple[Decimal, ...]:
    """Return the same figures of a body in the client's own log, as JSON would spell them."""
    names = ("duration", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed", "emissions_sum")
    return tuple(Decimal(json.dumps(body[name])) for name in names)
