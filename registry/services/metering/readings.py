"""Readings: what a client measured, taken once. The same moment with other content is refused."""

from datetime import datetime, timedelta

from django.db import transaction

from common.errors import Refused, Unknown, require
from registry.importers.codecarbon_api import ClientReading, ClientRun
from registry.models import MeterReading, MeterRun, ProjectToken
from registry.services.metering import runs
from registry.services.metering.tokens import locked_project, require_write

CLOCKS_DIFFER = timedelta(days=1)
"""A client's clock may be wrong, and a wall clock may be that of any zone: within a day the receipt says more. Further
ahead is no measurement."""


@transaction.atomic(durable=True)
def add_increment(*, token: ProjectToken, reading: ClientReading, sent: str, now: datetime) -> MeterReading:
    """Take what a client measured since its last reading; sent again, it counts once."""
    require_write(token)
    assert reading.run_id is not None, "The body was read."
    run = (
        MeterRun.objects.select_for_update(of=("self",), no_key=True)
        .filter(pk=reading.run_id, experiment__project=token.project_id)
        .first()
    )
    if run is None:
        raise Unknown("run_unknown", "This token's project has no such run. Begin one with POST /runs.")
    return _add(run, MeterReading.Kind.INCREMENT, token, reading, sent, now)


@transaction.atomic(durable=True)
def add_totals(
    *, token: ProjectToken, run: ClientRun, reading: ClientReading, sent: str, now: datetime
) -> MeterReading:
    """Take what a client's webhook says of its run since it began; sent again, it counts once."""
    require_write(token)
    locked_project(token.project)
    found = runs.run_of_totals(token, run, reading.run_id, sent, now)
    return _add(found, MeterReading.Kind.TOTAL, token, reading, sent, now)


def _add(
    run: MeterRun, kind: str, token: ProjectToken, reading: ClientReading, sent: str, now: datetime
) -> MeterReading:
    """Insert the reading of a run that is locked, itself or by its project, unless it is there."""
    moment = reading.moment
    require(moment.at <= now + CLOCKS_DIFFER, "time_ahead", "The time lies in the future. Set the client's clock.")
    digest = runs.sha256(sent)
    known = MeterReading.objects.filter(run=run, kind=kind, stamp=moment.at).first()
    if known is not None and known.content_sha256 == digest:
        return known
    if known is not None:
        raise Refused("reading_differs", "There is another reading of this run and moment already; it stays.")
    return MeterReading.objects.create(
        run=run,
        kind=kind,
        stamp=moment.at,
        measured_at=moment.at if moment.has_zone or now - moment.at > CLOCKS_DIFFER else now,
        duration_s=reading.duration_s,
        cpu_energy_kwh=reading.cpu_energy_kwh,
        gpu_energy_kwh=reading.gpu_energy_kwh,
        ram_energy_kwh=reading.ram_energy_kwh,
        energy_kwh=reading.energy_kwh,
        cpu_power_w=reading.cpu_power_w,
        gpu_power_w=reading.gpu_power_w,
        ram_power_w=reading.ram_power_w,
        claimed_co2e_kg=reading.claimed_co2e_kg,
        sent=sent,
        content_sha256=digest,
        token=token,
        received_at=now,
    )
