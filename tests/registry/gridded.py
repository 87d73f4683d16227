"""What the tests of grid factors and serving records share: a small grid, and Acme's chat stream in California."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import Approval
from registry.models import FactorSet, ServingBatch, Workload
from registry.services.grid import intensities, serving
from registry.services.grid.intensities import Qualifiers
from registry.services.monitoring import ai_models, sites, systems, workloads
from tests.cast import OPENING, Party, Regulator

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = "stream,hour_utc,zone,tier,operating_point,requests,tokens,energy_kwh"
AVERAGE = Qualifiers(
    kind="average",
    basis="life_cycle",
    perspective="production",
    method="AR5 medians",
    source="EIA-930",
    licence="public domain",
    retrieved_on=date(2026, 1, 20),
    country="USA",
)


def hour(number: int) -> str:
    """Write an hour of the year as files do."""
    return f"{NEW_YEAR + timedelta(hours=number):%Y-%m-%dT%H:00Z}"


def intensity_file(zone: str, figures: list[str], first: int = 0) -> bytes:
    """Write intensities of hours in a row; an empty text is a missing hour."""
    rows = [f"{zone},{hour(first + place)},{figure}" for place, figure in enumerate(figures)]
    return "\n".join(["zone,datetime_utc,gco2e_per_kwh", *rows]).encode()


def load(
    regulator: Regulator,
    content: bytes,
    code: str = "us-2026",
    said: Qualifiers = AVERAGE,
    *,
    yearly: bool = False,
    now: datetime = OPENING,
) -> FactorSet:
    """Let the desk load a file, and the senior officer publish what obligations use."""
    taken = intensities.load_annual if yearly else intensities.load_hourly
    made = taken(actor=regulator.desk, code=code, qualifiers=said, content=content, now=now)
    for waiting in Approval.objects.filter(act=intensities.PUBLISH_FACTORS, status="proposed"):
        regulator.approve(waiting, now)
    return made


def records(energies: list[str], first: int = 0, **cells: str) -> bytes:
    """Write records of hours in a row for Acme's stream, with other cells where told."""
    row = {"stream": "chat", "zone": "CISO", "tier": "full", "operating_point": "fp16", "tokens": "2000"} | cells
    start, end = f"{row['zone']},{row['tier']},{row['operating_point']}", f"100,{row['tokens']}"
    lines = [f"{row['stream']},{hour(first + place)},{start},{end},{kwh}" for place, kwh in enumerate(energies)]
    return "\n".join([HEAD, *lines]).encode()


def deliver(acme: Party, content: bytes, now: datetime = OPENING) -> ServingBatch:
    """Let Acme deliver a file of records."""
    return serving.receive_file(
        actor=acme.initiator, organisation=acme.organisation, name="records.csv", content=content, now=now
    )


def open_chat(acme: Party) -> Workload:
    """Open Acme's stream in California, which served from New Year to the end of 2 January."""
    site = sites.open_site(
        actor=acme.initiator,
        organisation=acme.organisation,
        name="Fresno",
        country="USA",
        zone="CISO",
        opened_on=date(2025, 6, 1),
        now=OPENING,
    )
    system = systems.open_system(
        actor=acme.initiator,
        site=site,
        name="Rack 1",
        hardware="H100 SXM",
        devices=64,
        watts_per_device=Decimal(700),
        opened_on=date(2025, 6, 1),
        now=OPENING,
    )
    model = ai_models.register_model(
        actor=acme.initiator,
        organisation=acme.organisation,
        name="Acme 7B",
        architecture="dense",
        parameters=Decimal(7 * 10**9),
        now=OPENING,
    )
    stream = workloads.open_workload(
        actor=acme.initiator,
        system=system,
        name="chat",
        kind="stream",
        activity="inference",
        ai_model=model,
        now=OPENING,
    )
    return workloads.end_workload(actor=acme.initiator, workload=stream, ended_on=date(2026, 1, 2), now=OPENING)


@pytest.fixture
def chat(acme: Party) -> Workload:
    """Acme's stream in California."""
    return open_chat(acme)
