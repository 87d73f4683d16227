"""Reads of what clients report: projects, experiments and runs with when they were heard of last and what they sent."""

import json
from collections.abc import Iterator
from decimal import Decimal

from django.db.models import Count, DecimalField, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from registry.measuring import Reader
from registry.models import MeterExperiment, MeterProject, MeterReading, MeterRun

_EXACT: "DecimalField[Decimal, Decimal]" = DecimalField(max_digits=46, decimal_places=30)


def projects_visible(reader: Reader) -> QuerySet[MeterProject]:
    """Projects that a reader may see, by organisation and name."""
    rows = MeterProject.objects.select_related("operator__organisation", "operator__scheme", "site")
    return reader.filter(rows, "operator__organisation").order_by("operator__organisation__name", "name", "pk")


def with_activity(projects: QuerySet[MeterProject]) -> QuerySet[MeterProject]:
    """Add how many experiments and runs a project has, and when it was heard of last."""
    return projects.annotate(
        experiment_count=Count("experiments", distinct=True),
        run_count=Count("experiments__runs", distinct=True),
        last_run_at=Max("experiments__runs__received_at"),
    )


def experiments_of(project: MeterProject) -> QuerySet[MeterExperiment]:
    """Return the experiments of a project with their runs counted."""
    return (
        project.experiments.select_related("workload__system__site")
        .annotate(run_count=Count("runs"), last_run_at=Max("runs__received_at"))
        .order_by("name", "pk")
    )


def runs_of(experiment: MeterExperiment) -> QuerySet[MeterRun]:
    """Return the runs of an experiment, the latest first, with what they sent."""
    return with_figures(experiment.runs.all()).order_by("-received_at", "pk")


def with_figures(runs: QuerySet[MeterRun]) -> QuerySet[MeterRun]:
    """Add what runs sent: `energy_kwh` is the sum of the increments, or the latest totals where there are none."""
    readings = MeterReading.objects.filter(run=OuterRef("pk"))
    totals = readings.filter(kind="total").order_by("-stamp", "-id")
    return runs.annotate(
        reading_count=Count("readings"),
        last_reading_at=Max("readings__measured_at"),
        energy_kwh=Coalesce(
            Sum("readings__energy_kwh", filter=Q(readings__kind="increment")),
            Subquery(totals.values("energy_kwh")[:1]),
            output_field=_EXACT,
        ),
        claimed_co2e_kg=Coalesce(
            Sum("readings__claimed_co2e_kg", filter=Q(readings__kind="increment")),
            Subquery(totals.values("claimed_co2e_kg")[:1]),
            output_field=_EXACT,
        ),
    ).defer("sent")


def bodies_of(run: MeterRun) -> Iterator[bytes]:
    """Yield what was received of a run, a JSON object a line: the run itself, then its readings in their order."""
    yield _line("run", run.received_at.isoformat(), run.content_sha256, run.sent)
    rows = run.readings.order_by("measured_at", "id").values_list("kind", "received_at", "content_sha256", "sent")
    for kind, received_at, digest, sent in rows.iterator(chunk_size=2_000):
        yield _line(kind, received_at.isoformat(), digest, sent)


def _line(kind: str, received_at: str, digest: str, sent: str) -> bytes:
    return json.dumps({"kind": kind, "received_at": received_at, "sha256": digest, "body": sent}).encode() + b"\n"
