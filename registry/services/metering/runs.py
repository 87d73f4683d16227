"""Runs: a client begins one and gets the id under which it measures. The same beginning again is the same run."""

import hashlib
from datetime import datetime
from uuid import UUID

from django.db import transaction

from common.errors import Unknown
from registry.importers.codecarbon_api import ClientRun
from registry.models import MeterExperiment, MeterRun, ProjectToken
from registry.services.metering import projects
from registry.services.metering.tokens import locked_project, require_write


@transaction.atomic(durable=True)
def register_run(*, token: ProjectToken, run: ClientRun, sent: str, now: datetime) -> MeterRun:
    """Register a run that a client begins; a client that asks again, because our answer was lost, gets the same one."""
    require_write(token)
    assert run.experiment_id is not None, "The body was read."
    experiment = MeterExperiment.objects.filter(pk=run.experiment_id, project=token.project_id).first()
    if experiment is None:
        raise Unknown(
            "experiment_unknown",
            "This token's project has no such experiment. Set experiment_id to one of those on the page Meters.",
        )
    locked_project(token.project)
    digest = sha256(sent)
    known = MeterRun.objects.filter(experiment=experiment, content_sha256=digest).first()
    return known or _created(MeterRun.Source.API, token, experiment, run, sent, now)


def run_of_totals(token: ProjectToken, run: ClientRun, run_id: UUID | None, sent: str, now: datetime) -> MeterRun:
    """Return the run that a webhook's totals are about, in the caller's transaction and under the project's lock.

    A run id that we gave ourselves, or that came before, is that run. Where the client wrote none, each body is a run.
    """
    known = MeterRun.objects.filter(experiment__project=token.project_id)
    if run_id is None:
        found = known.filter(content_sha256=sha256(sent), client_run__isnull=True, source="webhook").first()
    else:
        found = known.filter(client_run=run_id).first()
    return found or _created(
        MeterRun.Source.WEBHOOK, token, _experiment_of_totals(token, run, now), run, sent, now, run_id
    )


def sha256(sent: str) -> str:
    """Return the hash of a body as it was received."""
    return hashlib.sha256(sent.encode()).hexdigest()


def _experiment_of_totals(token: ProjectToken, run: ClientRun, now: datetime) -> MeterExperiment:
    """Return the experiment that the body names, or else the one of the client's project name, made when it is new."""
    own = MeterExperiment.objects.filter(project=token.project_id)
    found = own.filter(pk=run.experiment_id).first() if run.experiment_id else None
    name = run.label or "codecarbon"
    found = found or own.filter(name=name).first()
    return found or projects.make_experiment(
        token.issued_by,
        token.project,
        name,
        "Made when its first run was reported.",
        projects.Place(run.country, "", run.region, bool(run.provider), run.provider),
        "",
        None,
        now,
    )


def _created(
    source: str,
    token: ProjectToken,
    experiment: MeterExperiment,
    run: ClientRun,
    sent: str,
    now: datetime,
    client_run: UUID | None = None,
) -> MeterRun:
    created = MeterRun(
        experiment=experiment,
        source=source,
        started_at=run.moment.at if source == MeterRun.Source.API and run.moment.has_zone else None,
        label=run.label,
        country=run.country,
        region=run.region,
        provider=run.provider,
        os=run.os,
        python_version=run.python_version,
        client_version=run.client_version,
        cpu_count=run.cpu_count,
        cpu_model=run.cpu_model,
        gpu_count=run.gpu_count,
        gpu_model=run.gpu_model,
        ram_gb=run.ram_gb,
        tracking_mode=run.tracking_mode,
        pue=run.pue,
        sent=sent,
        content_sha256=sha256(sent),
        token=token,
        received_at=now,
    )
    created.client_run = created.pk if source == MeterRun.Source.API else client_run
    created.save(force_insert=True)
    return created
