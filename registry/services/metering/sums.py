"""What the runs of a period come to: increments added up, totals of the webhook beside them, nothing counted twice.

A client that reports to the API and to the webhook tells the same energy twice. Increments count; where the totals are
more, because a post was lost on the way, the difference counts as well and is flagged. Totals without a run id are
those of the API run to which they fit; where they fit none, they are a run of their own.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate, groupby
from typing import Any, cast
from uuid import UUID

from django.db.models import (
    Count,
    DateTimeField,
    DecimalField,
    DurationField,
    ExpressionWrapper,
    F,
    Max,
    Min,
    QuerySet,
    Sum,
    Value,
)

from registry.engine.deadlines import start_of_day
from registry.engine.emissions import Emissions, SiteEnergy, emissions
from registry.engine.factors import FactorTable
from registry.engine.rounding import EXACT_DECIMALS
from registry.importers.codecarbon import Measurement, Numbers, flags_of
from registry.importers.table import Flag
from registry.models import MeterReading, MeterRun, Operator, Period, Site

MEASURED = ("duration_s", "cpu_energy_kwh", "gpu_energy_kwh", "ram_energy_kwh", "energy_kwh", "claimed_co2e_kg")
POWERS = ("cpu_power_w", "gpu_power_w", "ram_power_w")

SAME = Decimal("1e-9")
"""The client adds binary floats: its totals differ from our sums in the last digits."""

UNSENT_S = Decimal("1.5")
"""The client keeps an increment of less than a second to itself, so that its totals may be that much more."""

JOULES_PER_KWH = Decimal(3_600_000)

_BEGAN_AT = ExpressionWrapper(
    F("measured_at") - ExpressionWrapper(F("duration_s") * Value(timedelta(seconds=1)), output_field=DurationField()),
    output_field=DateTimeField(),
)


@dataclass(frozen=True)
class Sums:
    """What was measured of one run, its average power, and when."""

    figures: Mapping[str, Decimal]
    powers: Mapping[str, Decimal]
    began_at: datetime
    ended_at: datetime
    readings: int


@dataclass(frozen=True)
class RunSums:
    """One run in one period, with our emissions beside the client's, and what a verifier should look at."""

    run: MeterRun
    sums: Sums
    country: str
    emissions: Emissions
    flags: tuple[Flag, ...]

    @property
    def energy_kwh(self) -> Decimal:
        """The energy at the site, with every digit."""
        return self.sums.figures["energy_kwh"]

    @property
    def claimed_co2e_g(self) -> Decimal:
        """What the client's own factors make of it."""
        return EXACT_DECIMALS.scaleb(self.sums.figures["claimed_co2e_kg"], 3)


def runs_of_period(operator: Operator, period: Period, factors: FactorTable) -> list[RunSums]:
    """Return every run of an operator's clients in a period with what it comes to, in order of receipt."""
    readings = MeterReading.objects.filter(run__experiment__project__operator=operator)
    of_period = readings.filter(
        measured_at__gte=start_of_day(period.starts_on, period.scheme.tz), measured_at__lt=period.use_ends_at
    )
    runs = {
        run.pk: run
        for run in MeterRun.objects.filter(pk__in=of_period.values("run"))
        .select_related("experiment__project__site", "experiment__workload__system__site")
        .order_by("received_at", "pk")
    }
    increments = _summed(of_period.filter(kind="increment"))
    ever = _summed(readings.filter(kind="increment", run__in=of_period.values("run")))
    totals = _totals(of_period.filter(kind="total"), runs)
    found = []
    for pk, run in runs.items():
        sums, flags = _counted(increments.get(pk), ever.get(pk), totals.get(pk))
        if sums is not None:
            found.append(_run_sums(run, sums, flags, factors))
    return found


def _summed(readings: QuerySet[MeterReading]) -> dict[UUID, Sums]:
    """Add the readings of each run up; the database keeps every digit."""
    exact = DecimalField(max_digits=100, decimal_places=60)
    rows = (
        readings.order_by()
        .values("run")
        .annotate(
            **{f"sum_{name}": Sum(name) for name in MEASURED},
            **{
                f"work_{name}": Sum(ExpressionWrapper(F(name) * F("duration_s"), output_field=exact)) for name in POWERS
            },
            began_at=Min(_BEGAN_AT),
            ended_at=Max("measured_at"),
            readings=Count("pk"),
        )
    )
    return {
        row["run"]: Sums(
            {name: row[f"sum_{name}"] for name in MEASURED},
            {name: row[f"work_{name}"] / row["sum_duration_s"] for name in POWERS},
            row["began_at"],
            row["ended_at"],
            row["readings"],
        )
        for row in cast("Iterable[dict[str, Any]]", rows)
    }


def _totals(readings: QuerySet[MeterReading], runs: Mapping[UUID, MeterRun]) -> dict[UUID, MeterReading]:
    """Return the latest totals of each run; those without a run id go to the API run that they fit."""
    latest = list(readings.order_by("run_id", "-stamp", "-id").distinct("run_id").defer("sent"))
    unnamed = [total for total in latest if runs[total.run_id].client_run is None]
    fits = _Fits({runs[total.run_id].experiment_id for total in unnamed}, runs)
    found = {total.run_id: total for total in latest if runs[total.run_id].client_run is not None}
    for total in sorted(unnamed, key=lambda total: (total.stamp, total.pk)):
        found[fits.run_of(total)] = total
    return found


class _Fits:
    """Finds the API run whose increments, up to one of them, are the totals that a client sent without a run id."""

    def __init__(self, experiments: set[UUID], runs: Mapping[UUID, MeterRun]) -> None:
        self.runs = runs
        self.by_machine: dict[tuple[object, ...], list[UUID]] = defaultdict(list)
        for run in runs.values():
            if run.source == MeterRun.Source.API and run.experiment_id in experiments:
                self.by_machine[_machine(run)].append(run.pk)
        candidates = [pk for group in self.by_machine.values() for pk in group]
        rows = (
            MeterReading.objects.filter(run__in=candidates, kind="increment")
            .order_by("run_id", "measured_at", "id")
            .values_list("run", "energy_kwh")
        )
        self.so_far = {
            run: list(accumulate((kwh for _, kwh in group), _add))
            for run, group in groupby(rows, key=lambda row: row[0])
        }

    def run_of(self, total: MeterReading) -> UUID:
        """Return the run that these totals are about: their own where no other fits."""
        tolerance = total.energy_kwh * SAME
        unsent = sum((getattr(total, name) for name in POWERS), Decimal(0)) * UNSENT_S / JOULES_PER_KWH
        for pk in self.by_machine[_machine(self.runs[total.run_id])]:
            so_far = self.so_far.get(pk, [])
            place = bisect_right(so_far, total.energy_kwh + tolerance)
            if place and total.energy_kwh:
                more = total.energy_kwh - so_far[place - 1]
                if more <= (tolerance + unsent if place == len(so_far) else tolerance):
                    return pk
        return total.run_id


def _add(one: Decimal, other: Decimal) -> Decimal:
    return EXACT_DECIMALS.add(one, other)


def _machine(run: MeterRun) -> tuple[object, ...]:
    return (run.experiment_id, run.client_version, run.cpu_model, run.cpu_count, run.gpu_model, run.ram_gb)


def _counted(
    own: Sums | None, ever: Sums | None, total: MeterReading | None
) -> tuple[Sums | None, list[tuple[str, str, str]]]:
    """Return what counts in the period: its increments, and what the totals at the end have more than all of them."""
    if total is None:
        return own, []
    as_sums = Sums(
        {name: getattr(total, name) for name in MEASURED},
        {name: getattr(total, name) for name in POWERS},
        total.measured_at - timedelta(seconds=float(total.duration_s)),
        total.measured_at,
        1,
    )
    if ever is None:
        return as_sums, []
    missing = total.energy_kwh - ever.figures["energy_kwh"]
    if missing <= total.energy_kwh * SAME:
        return own, []
    sentence = f"The totals at the end have {missing:.6g} kWh more than all increments. They count."
    before = own.figures if own else dict.fromkeys(MEASURED, Decimal(0))
    figures = {
        name: EXACT_DECIMALS.add(before[name], max(getattr(total, name) - ever.figures[name], Decimal(0)))
        for name in MEASURED
    }
    sums = Sums(
        figures,
        as_sums.powers,
        own.began_at if own else as_sums.began_at,
        total.measured_at,
        own.readings + 1 if own else 1,
    )
    return sums, [("energy_consumed", "increments_missing", sentence)]


def _run_sums(run: MeterRun, sums: Sums, more: list[tuple[str, str, str]], factors: FactorTable) -> RunSums:
    country = country_of(run)
    energy = SiteEnergy(sums.figures["energy_kwh"])
    recomputed = emissions(energy, country, factors)
    if run.pue is None:
        more = [
            *more,
            ("pue", "pue_not_sent", "The API does not say which PUE the client used. Ask to see its settings."),
        ]
    for said in {run.country, run.experiment.country} - {"", country}:
        more = [*more, ("country_iso_code", "country_differs", f"The client says {said}; the site is in {country}.")]
    measurement = Measurement(
        line=0,
        run_id=run.client_run,
        task_name="",
        project_name=run.label,
        recorded_at_local=sums.ended_at,
        duration_s=sums.figures["duration_s"],
        energy=energy,
        emissions=recomputed,
        reported_emissions_kg=sums.figures["claimed_co2e_kg"],
        country_iso3=country,
        region=run.region,
        cloud_provider=run.provider,
        cloud_region="",
        on_cloud=bool(run.provider),
        tracking_mode=run.tracking_mode,
        pue=run.pue,
        client_version=run.client_version,
        evidence={},
    )
    numbers = Numbers(
        duration=sums.figures["duration_s"],
        emissions=sums.figures["claimed_co2e_kg"],
        cpu_power=sums.powers["cpu_power_w"],
        gpu_power=sums.powers["gpu_power_w"],
        ram_power=sums.powers["ram_power_w"],
        cpu_energy=sums.figures["cpu_energy_kwh"],
        gpu_energy=sums.figures["gpu_energy_kwh"],
        ram_energy=sums.figures["ram_energy_kwh"],
        energy_consumed=sums.figures["energy_kwh"],
    )
    flags = [*flags_of(measurement, numbers), *(Flag(0, column, code, sentence) for column, code, sentence in more)]
    return RunSums(run, sums, country, recomputed, tuple(flags))


def country_of(run: MeterRun) -> str:
    """Return the country whose factor counts: that of the site it is mapped to, before what the client says."""
    site = site_of(run)
    return (site.country if site else "") or run.experiment.country or run.country


def site_of(run: MeterRun) -> Site | None:
    """Return the site where a run took place, if anybody said so."""
    experiment = run.experiment
    return experiment.workload.system.site if experiment.workload else experiment.project.site
