"""Runs that clients report: what they come to in a period, and how they become lines of a draft that count once."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from common.errors import Forbidden, Refused
from registry.engine.factors import BUILT_IN
from registry.importers import codecarbon_api as bodies
from registry.models import (
    Draft,
    DraftLine,
    MeterExperiment,
    Period,
    ProjectToken,
    Scheme,
    Site,
    System,
    Upload,
    Workload,
)
from registry.services.drafting import evidence, filing
from registry.services.metering import projects, readings, runs, taking, tokens
from registry.services.metering.sums import RunSums, runs_of_period
from tests import cast
from tests.cast import OPENING, Clock, Party, Regulator

MACHINE = {"codecarbon_version": "3.3.2", "cpu_count": 2, "cpu_model": "Xeon", "tracking_mode": "machine"}
NEW_YEAR = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
"""The instant at which the period ends in Berlin."""


@pytest.fixture
def scheme(regulator: Regulator) -> Scheme:
    """A scheme that counts CO2e, as CodeCarbon measures energy."""
    return cast.co2e_scheme(regulator)


@pytest.fixture
def experiment(acme: Party, period: Period, clock: Clock) -> MeterExperiment:
    """Training in France."""
    clock.move_to(cast.REPORTING)
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


@pytest.fixture
def token(acme: Party, experiment: MeterExperiment) -> ProjectToken:
    """A token with which clients write."""
    token, _ = tokens.issue_token(
        actor=acme.initiator,
        project=experiment.project,
        name="node 1",
        level="write",
        life=timedelta(days=400),
        now=OPENING,
    )
    return token


@pytest.fixture
def draft(acme: Party, period: Period) -> Draft:
    """Acme's draft for the period."""
    assert acme.operator is not None
    return Draft.objects.create(
        operator=acme.operator, period=period, created_by=acme.initiator, created_at=OPENING, changed_at=OPENING
    )


def exactly(body: dict[str, object]) -> tuple[str, dict[str, object]]:
    """Return a body as text, and as it is read."""
    text = json.dumps(body)
    return text, json.loads(text, parse_float=Decimal)


def begin(token: ProjectToken, experiment: MeterExperiment, at: str = "2026-05-01T10:00:00+00:00") -> str:
    """Let a client begin a run; return its id."""
    text, body = exactly(MACHINE | {"timestamp": at, "experiment_id": str(experiment.pk)})
    run = bodies.read_run(body)
    assert isinstance(run, bodies.ClientRun), run
    return str(runs.register_run(token=token, run=run, sent=text, now=cast.REPORTING).pk)


def figures(kwh: float, seconds: float) -> dict[str, object]:
    """Return even figures of a machine of a kilowatt-hour in so many seconds."""
    return {
        "duration": seconds,
        "cpu_power": kwh * 3_600_000 / seconds,
        "gpu_power": 0.0,
        "ram_power": 0.0,
        "cpu_energy": kwh,
        "gpu_energy": 0.0,
        "ram_energy": 0.0,
        "energy_consumed": kwh,
    }


def measure(token: ProjectToken, run: str, at: str, kwh: float, seconds: int = 3600) -> None:
    """Let a client post an increment."""
    text, body = exactly(
        figures(kwh, seconds) | {"run_id": run, "timestamp": at, "emissions_sum": kwh * 0.056039, "emissions_rate": 0.0}
    )
    reading = bodies.read_increment(body)
    assert isinstance(reading, bodies.ClientReading), reading
    readings.add_increment(token=token, reading=reading, sent=text, now=cast.REPORTING)


def finish(
    token: ProjectToken,
    experiment: MeterExperiment,
    run: str,
    kwh: float,
    seconds: float = 3600.0,
    at: str = "2026-05-01T13:00:00",
    now: datetime = OPENING,
    **changes: object,
) -> None:
    """Let a client post its totals to the webhook."""
    text, body = exactly(
        MACHINE
        | figures(kwh, seconds)
        | {
            "run_id": run,
            "experiment_id": str(experiment.pk),
            "timestamp": at,
            "project_name": "otter",
            "emissions": kwh * 0.056039,
            "country_iso_code": "FRA",
            "pue": 1.0,
        }
        | changes
    )
    read = bodies.read_totals(body)
    assert isinstance(read[0], bodies.ClientRun), read
    assert isinstance(read[1], bodies.ClientReading), read
    readings.add_totals(
        token=token, run=read[0], reading=read[1], sent=text, now=max(now, datetime(2026, 5, 2, tzinfo=UTC))
    )


def found(period: Period, acme: Party) -> list[RunSums]:
    """Return what the runs of the period come to."""
    assert acme.operator is not None
    return runs_of_period(acme.operator, period, BUILT_IN)


def codes(one: RunSums) -> set[str]:
    """Return the codes of a run's flags."""
    return {flag.code for flag in one.flags}


def test_increments_of_a_run_add_up_without_losing_a_digit(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment
) -> None:
    run = begin(token, experiment)
    measure(token, run, "2026-05-01T11:00:00+00:00", 2.8165043338397834e-05)
    measure(token, run, "2026-05-01T12:00:00+00:00", 5.6219856537794046e-05)

    (one,) = found(period, acme)

    assert one.energy_kwh == Decimal("2.8165043338397834e-05") + Decimal("5.6219856537794046e-05")
    assert one.emissions.grams == one.energy_kwh * Decimal("56.039")
    assert (one.sums.began_at.hour, one.sums.ended_at.hour, one.sums.readings) == (10, 12, 2)
    assert codes(one) == {"pue_not_sent"}


def test_a_run_over_new_year_counts_in_each_year_what_was_measured_in_it(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment
) -> None:
    run = begin(token, experiment, "2026-12-31T21:00:00+00:00")
    measure(token, run, (NEW_YEAR - timedelta(microseconds=1)).isoformat(), 1.0)
    measure(token, run, NEW_YEAR.isoformat(), 4.0)

    (one,) = found(period, acme)

    assert one.energy_kwh == 1


def test_totals_beside_increments_count_once(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment
) -> None:
    run = begin(token, experiment)
    measure(token, run, "2026-05-01T11:00:00+00:00", 0.1)
    measure(token, run, "2026-05-01T12:00:00+00:00", 0.2)

    finish(token, experiment, run, 0.1 + 0.2, 7200.0)
    finish(token, experiment, "None", 0.1 + 0.2, 7200.0)

    (one,) = found(period, acme)
    assert one.energy_kwh == Decimal("0.3")
    assert "increments_missing" not in codes(one)


def test_what_was_lost_on_the_way_counts_by_the_totals(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment
) -> None:
    run = begin(token, experiment)
    measure(token, run, "2026-05-01T11:00:00+00:00", 1.0)

    finish(token, experiment, run, 3.5, 10800.0)

    (one,) = found(period, acme)
    assert one.energy_kwh == Decimal("3.5")
    assert "increments_missing" in codes(one)


def test_totals_without_a_run_that_fit_none_are_runs_of_their_own(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment
) -> None:
    run = begin(token, experiment)
    measure(token, run, "2026-05-01T11:00:00+00:00", 1.0)

    finish(token, experiment, "None", 1.5)
    finish(token, experiment, "None", 1.0, cpu_model="EPYC")

    assert sorted(one.energy_kwh for one in found(period, acme)) == [1, 1, Decimal("1.5")]


def test_later_totals_of_a_run_replace_earlier_ones(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment
) -> None:
    run = "3c6ae1c3-5d35-4a4e-9c0c-6e2e6f1e0c11"

    finish(token, experiment, run, 1.0, at="2026-05-01T11:00:00")
    finish(token, experiment, run, 2.0, 7200.0, at="2026-05-01T12:00:00")

    (one,) = found(period, acme)
    assert one.energy_kwh == 2


def test_the_captured_session_of_a_client_is_one_run_of_four_readings(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment, shared_data: Path
) -> None:
    lines = (shared_data / "codecarbon" / "v3.3.2" / "api_capture.jsonl").read_text().splitlines()
    run = ""
    for post in map(json.loads, lines):
        body = post["body"] | {"experiment_id": str(experiment.pk)}
        text, read = exactly(body | {"run_id": run} if post["path"] == "/emissions" else body)
        match post["path"]:
            case "/runs":
                begun = bodies.read_run(read)
                assert isinstance(begun, bodies.ClientRun)
                run = str(runs.register_run(token=token, run=begun, sent=text, now=cast.REPORTING).pk)
            case "/emissions":
                reading = bodies.read_increment(read)
                assert isinstance(reading, bodies.ClientReading)
                readings.add_increment(token=token, reading=reading, sent=text, now=cast.REPORTING)
            case "/hook":
                totals = bodies.read_totals(read)
                assert isinstance(totals[0], bodies.ClientRun)
                assert isinstance(totals[1], bodies.ClientReading)
                readings.add_totals(
                    token=token, run=totals[0], reading=totals[1], sent=text, now=datetime(2026, 11, 20, tzinfo=UTC)
                )

    (one,) = found(period, acme)

    assert (one.sums.readings, one.sums.figures["duration_s"]) == (4, Decimal(19))
    assert one.energy_kwh == sum(
        Decimal(digits)
        for digits in (
            "2.8165043338397834e-05",
            "5.6219856537794046e-05",
            "5.613906710757056e-05",
            "4.612852267598717e-05",
        )
    )


def test_runs_become_lines_of_the_draft_and_again_without_doubling(
    acme: Party, period: Period, token: ProjectToken, experiment: MeterExperiment, draft: Draft
) -> None:
    run = begin(token, experiment)
    measure(token, run, "2026-05-01T11:00:00+00:00", 2.0)
    taking.take_runs(actor=acme.initiator, draft=draft, now=cast.REPORTING)
    measure(token, run, "2026-05-01T12:00:00+00:00", 1.0)

    taken = taking.take_runs(actor=acme.initiator, draft=draft, now=cast.REPORTING)

    line = DraftLine.objects.get()
    assert (line.key, line.energy_kwh, line.co2e_g) == (f"codecarbon:{run}", Decimal(3), Decimal("168.117"))
    assert (line.activity, line.zone, line.upload) == ("training", "FRA", taken.upload)
    assert Upload.objects.filter(status="read").count() == 1
    table = evidence.read_all(taken.upload.file).decode().splitlines()
    assert run in table[1] and ",3," in table[1]
    assert {flag["code"] for flag in taken.upload.flags} == {"pue_not_sent"}
    assert filing.totals(draft)["energy_kwh"] == 3


def test_a_run_that_somebody_uploaded_as_well_counts_once(
    acme: Party, token: ProjectToken, experiment: MeterExperiment, draft: Draft
) -> None:
    uploaded, other = begin(token, experiment), begin(token, experiment, "2026-05-02T10:00:00+00:00")
    measure(token, uploaded, "2026-05-01T11:00:00+00:00", 2.0)
    measure(token, other, "2026-05-02T11:00:00+00:00", 1.0)
    DraftLine.objects.create(draft=draft, key=f"codecarbon:{uploaded}:epoch 1", label="otter", activity="training")

    taken = taking.take_runs(actor=acme.initiator, draft=draft, now=cast.REPORTING)

    assert (taken.runs, taken.uploaded_too) == (1, 1)
    assert DraftLine.objects.filter(upload=taken.upload).get().key == f"codecarbon:{other}"


def test_runs_wait_until_somebody_says_what_they_do(
    acme: Party, token: ProjectToken, experiment: MeterExperiment, draft: Draft
) -> None:
    finish(token, experiment, "3c6ae1c3-5d35-4a4e-9c0c-6e2e6f1e0c11", 1.0, experiment_id=None, project_name="whale")

    with pytest.raises(Refused) as refusal:
        taking.take_runs(actor=acme.initiator, draft=draft, now=cast.REPORTING)

    assert refusal.value.code == "experiment_without_activity"
    assert "Cluster: whale" in refusal.value.sentence
    assert not DraftLine.objects.exists()


def test_a_workload_brings_its_tier_and_the_country_of_its_site(
    acme: Party, token: ProjectToken, experiment: MeterExperiment, draft: Draft, cluster: System
) -> None:
    workload = Workload.objects.get()
    projects.map_experiment(
        actor=acme.initiator, experiment=experiment, activity="", country="DEU", workload=workload, now=OPENING
    )
    measure(token, begin(token, experiment), "2026-05-01T11:00:00+00:00", 2.0)

    taken = taking.take_runs(actor=acme.initiator, draft=draft, now=cast.REPORTING)

    line = DraftLine.objects.get()
    assert (line.workload, line.tier, line.zone, line.activity) == (workload, 3, "FRA", "training")
    assert "country_differs" in {flag["code"] for flag in taken.upload.flags}


def test_strangers_map_and_take_nothing(
    borealis: Party, token: ProjectToken, experiment: MeterExperiment, draft: Draft, paris: Site
) -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: taking.take_runs(actor=borealis.initiator, draft=draft, now=OPENING),
        lambda: projects.map_project(actor=borealis.initiator, project=experiment.project, site=None, now=OPENING),
        lambda: tokens.revoke_token(actor=borealis.initiator, token=token, now=OPENING),
    ]
    for attempt in attempts:
        with pytest.raises(Forbidden):
            attempt()
    assert borealis.operator is not None
    with pytest.raises(Refused, match="your own organisation"):
        projects.create_project(
            actor=borealis.initiator, operator=borealis.operator, name="Lab", description="", site=paris, now=OPENING
        )
