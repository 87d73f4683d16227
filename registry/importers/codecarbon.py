"""Measurements written by the CodeCarbon client: `emissions.csv` and task files of every version from 2.3.5 to 3.3.2.

The file's energy is taken, its emissions are not: three versions of the client give three different figures for one
kilowatt-hour in one country. Emissions are recomputed with the registry's own factor table and the client's figure is
kept as evidence. Energy columns include the PUE in every version of the client, so it is never applied here.

A file with any error is refused as a whole, with all its errors. What genuine clients are known to get wrong is not an
error but a flag for the verifier.

| flag | what was seen |
|---|---|
| unknown_column | a column that no known version writes; it is kept as evidence only |
| run_id_unknown | the client wrote "None" for the run, as it does when it reports to a server |
| energy_sum_differs | CPU, GPU and memory energy do not add up to the energy consumed |
| energy_power_mismatch | energy does not follow from power and duration, by more than the client's sampling explains |
| duration_shorter_than_energy | twice the energy the duration allows: a run with tasks shows its last task only |
| cpu_power_zero | no CPU power although there is CPU energy (versions 3.0.0 and 3.1.0) |
| gpu_counted_whole | GPU energy in process mode is that of the whole device, other tenants included |
| country_unknown | no factor for the country: the world average was used |
| reported_emissions_differ | the client's emissions are more than one per cent away from ours |
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from registry.engine.emissions import (
    JOULES_PER_KWH,
    Emissions,
    SiteEnergy,
    codecarbon_power_has_pue,
    differs_materially,
    emissions,
    total_energy,
)
from registry.engine.factors import FactorTable
from registry.engine.rounding import EXACT_DECIMALS, exact
from registry.importers.table import (
    BadFile,
    Cells,
    Flag,
    Limits,
    bad_file,
    cells_of,
    read_table,
    sha256_hex,
)

LIMITS = Limits(max_bytes=20_000_000, max_rows=100_000, max_columns=100, max_cell=2000)

REQUIRED = (
    "timestamp",
    "project_name",
    "run_id",
    "duration",
    "emissions",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "country_iso_code",
    "codecarbon_version",
    "tracking_mode",
    "on_cloud",
)
OPTIONAL = (
    "task_name",
    "experiment_id",
    "emissions_rate",
    "water_consumed",
    "country_name",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "pue",
    "wue",
)

LONGEST_RUN_S = Decimal(10 * 366 * 86_400)
MOST_POWER_W = Decimal(10**10)
MOST_ENERGY_KWH = Decimal(10**12)
MOST_EMISSIONS_KG = Decimal(10**13)
HIGHEST_PUE = Decimal(10)

SUM_TOLERANCE = Fraction(1, 10**9)
"""The client adds binary floats: sums differ in the last digits and nowhere else."""

POWER_TOLERANCE = Fraction(5, 100)
SAMPLING_S = Fraction(3, 2)
"""The client samples power, so short runs deviate: genuine 15-second runs by up to 8 per cent."""

NO_RUN = "None"

VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}[A-Za-z0-9.+_-]{0,20}", re.ASCII)
COUNTRY = re.compile(r"[A-Z]{3}", re.ASCII)
MODE = re.compile(r"machine|process")
YES_OR_NO = re.compile(r"[YN]")
_RUN = re.compile(r"None|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


@dataclass(frozen=True)
class Measurement:
    """One run, or one task of a run, as the client measured it; `evidence` keeps every cell as it was written."""

    line: int
    run_id: UUID | None
    task_name: str
    project_name: str
    recorded_at_local: datetime
    duration_s: Decimal
    energy: SiteEnergy
    emissions: Emissions
    reported_emissions_kg: Decimal
    country_iso3: str
    region: str
    cloud_provider: str
    cloud_region: str
    on_cloud: bool
    tracking_mode: str
    pue: Decimal | None
    client_version: str
    evidence: Mapping[str, str]


@dataclass(frozen=True)
class ParsedFile:
    """A file without errors. A task file has one row per task; its run stands in another file."""

    sha256: str
    has_tasks: bool
    client_versions: tuple[str, ...]
    factor_table_version: str
    rows: tuple[Measurement, ...]
    flags: tuple[Flag, ...]

    @property
    def energy(self) -> SiteEnergy:
        """The energy of all rows together."""
        return total_energy(row.energy for row in self.rows)

    @property
    def emissions_g(self) -> Decimal:
        """The recomputed emissions of all rows together, in g CO2e."""
        return _sum(row.emissions.grams for row in self.rows)

    @property
    def emissions_kg(self) -> Decimal:
        """The same in kg CO2e, the unit in which the client reports."""
        return EXACT_DECIMALS.scaleb(self.emissions_g, -3)


@dataclass(frozen=True)
class TaskComparison:
    """A run against the sum of its tasks, whose duration is the one to believe."""

    duration_s: Decimal
    energy: SiteEnergy
    reported_emissions_kg: Decimal
    agrees: bool


@dataclass(frozen=True)
class Numbers:
    """The numeric cells that the checks compare; None stands for a cell that an error names."""

    duration: Decimal
    emissions: Decimal
    cpu_power: Decimal
    gpu_power: Decimal
    ram_power: Decimal
    cpu_energy: Decimal
    gpu_energy: Decimal
    ram_energy: Decimal
    energy_consumed: Decimal


def parse_emissions_csv(content: bytes, *, factors: FactorTable, limits: Limits = LIMITS) -> ParsedFile | BadFile:
    """Read a CodeCarbon file and recompute its emissions; or refuse it with every error in it."""
    table = read_table(content, required=REQUIRED, limits=limits)
    errors = list(table.errors)
    flags = unknown_columns(table.columns)
    measurements: list[Measurement] = []
    first_line: dict[tuple[object, ...], int] = {}
    for cells in cells_of(table, errors, limits):
        measurement = read_row(cells, factors, flags)
        if measurement is None:
            continue
        identity = _identity(measurement)
        if identity in first_line:
            sentence = f"This run already stands in line {first_line[identity]}: keep one of the two rows."
            cells.refuse("run_id", "duplicate_run", sentence)
        first_line.setdefault(identity, measurement.line)
        measurements.append(measurement)
    if errors:
        return bad_file(content, table, errors)
    return ParsedFile(
        sha256=sha256_hex(content),
        has_tasks="task_name" in table.columns,
        client_versions=tuple(
            sorted({measurement.client_version for measurement in measurements}, key=version_numbers)
        ),
        factor_table_version=factors.version,
        rows=tuple(measurements),
        flags=tuple(flags),
    )


def unknown_columns(columns: Iterable[str]) -> list[Flag]:
    """Say which columns no known version writes."""
    return [
        Flag(1, column, "unknown_column", "No known version writes this column: it is kept as evidence only.")
        for column in columns
        if column not in REQUIRED and column not in OPTIONAL
    ]


def compare_tasks(run: Measurement, tasks: Iterable[Measurement]) -> TaskComparison:
    """Compare a run with its tasks: energy and emissions must add up, the duration comes from the tasks."""
    own = [task for task in tasks if task.run_id == run.run_id]
    energy = total_energy(task.energy for task in own)
    reported = _sum(task.reported_emissions_kg for task in own)
    agrees = _same(energy.kwh, run.energy.kwh) and _same(reported, run.reported_emissions_kg)
    return TaskComparison(_sum(task.duration_s for task in own), energy, reported, agrees)


def read_row(cells: Cells, factors: FactorTable, flags: list[Flag]) -> Measurement | None:
    """Read one row, or nothing where a cell is wrong; every cell is read first, so that every error is listed."""
    errors_before = len(cells.errors)
    recorded_at = cells.local_time("timestamp")
    run_id = cells.choice("run_id", _RUN, "not_a_run_id", "The run id is no UUID: export the file again.")
    version = cells.choice("codecarbon_version", VERSION, "not_a_version", "Write the client's version, as in 3.3.2.")
    country = cells.choice(
        "country_iso_code", COUNTRY, "not_a_country", "Write the country in three capital letters.", required=False
    )
    mode = cells.choice("tracking_mode", MODE, "not_a_mode", "The tracking mode is machine or process.")
    on_cloud = cells.choice("on_cloud", YES_OR_NO, "not_yes_or_no", "Write Y or N.")
    pue = cells.decimal("pue", Decimal(1), HIGHEST_PUE)
    numbers = _numbers(cells)
    check_descriptive_cells(cells)
    texts = {name: cells.text(name) for name in ("region", "cloud_provider", "cloud_region")}
    texts["project_name"] = cells.text("project_name", required=True)
    texts["task_name"] = cells.text("task_name", required="task_name" in cells.row.cells)
    if len(cells.errors) > errors_before or numbers is None or recorded_at is None:
        return None

    measurement = Measurement(
        line=cells.row.line,
        run_id=None if run_id == NO_RUN else UUID(run_id),
        recorded_at_local=recorded_at,
        duration_s=numbers.duration,
        energy=SiteEnergy(numbers.energy_consumed),
        emissions=emissions(SiteEnergy(numbers.energy_consumed), country, factors),
        reported_emissions_kg=numbers.emissions,
        country_iso3=country,
        on_cloud=on_cloud == "Y",
        tracking_mode=mode,
        pue=pue,
        client_version=version,
        evidence=dict(cells.row.cells),
        **texts,
    )
    flags += flags_of(measurement, numbers)
    return measurement


def _numbers(cells: Cells) -> Numbers | None:
    """Read the figures that are computed with."""
    zero = Decimal(0)
    read = {
        "duration": cells.positive("duration", LONGEST_RUN_S, required=True),
        "emissions": cells.decimal("emissions", zero, MOST_EMISSIONS_KG, required=True),
    }
    for name in ("cpu_power", "gpu_power", "ram_power"):
        read[name] = cells.decimal(name, zero, MOST_POWER_W, required=True)
    for name in ("cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"):
        read[name] = cells.decimal(name, zero, MOST_ENERGY_KWH, required=True)
    found = {name: number for name, number in read.items() if number is not None}
    return Numbers(**found) if len(found) == len(read) else None


def check_descriptive_cells(cells: Cells) -> None:
    """Check the cells that nothing is computed with: they are evidence, and evidence has to be readable too."""
    zero, hundred = Decimal(0), Decimal(100)
    cells.decimal("emissions_rate", zero, MOST_EMISSIONS_KG)
    cells.decimal("water_consumed", zero, Decimal(10**13))
    cells.decimal("wue", zero, hundred)
    cells.decimal("longitude", Decimal(-180), Decimal(180))
    cells.decimal("latitude", Decimal(-90), Decimal(90))
    cells.decimal("ram_total_size", zero, Decimal(10**9))
    cells.decimal("ram_used_gb", zero, Decimal(10**9))
    for name in ("cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent"):
        cells.decimal(name, zero, hundred)
    for name in ("cpu_count", "gpu_count"):
        cells.whole(name, 0, 10**7)
    for name in ("experiment_id", "country_name", "os", "python_version", "cpu_model", "gpu_model"):
        cells.text(name)


def flags_of(row: Measurement, numbers: Numbers) -> list[Flag]:
    """List what a verifier should look at in one row."""
    found = []
    if row.run_id is None:
        found.append(("run_id", "run_id_unknown", "The client wrote no run id: the row is known by its time only."))
    if not _same(_sum((numbers.cpu_energy, numbers.gpu_energy, numbers.ram_energy)), numbers.energy_consumed):
        found.append(("energy_consumed", "energy_sum_differs", "CPU, GPU and memory energy do not add up to it."))
    if numbers.cpu_power == 0 and numbers.cpu_energy > 0:
        found.append(("cpu_power", "cpu_power_zero", "There is CPU energy but no CPU power: the power is not usable."))
    else:
        found += _power_flags(row, numbers)
    if row.tracking_mode == "process" and numbers.gpu_energy > 0:
        found.append(("gpu_energy", "gpu_counted_whole", "In process mode this is the energy of the whole device."))
    if row.emissions.default_factor:
        sentence = f"No factor for {row.country_iso3 or 'an empty country'}: the world average was used."
        found.append(("country_iso_code", "country_unknown", sentence))
    if differs_materially(numbers.emissions, row.emissions.kilograms):
        sentence = (
            f"The client reports {numbers.emissions:.4g} kg CO2e; with table {row.emissions.table_version} "
            f"it is {row.emissions.kilograms:.4g} kg."
        )
        found.append(("emissions", "reported_emissions_differ", sentence))
    return [Flag(row.line, column, code, sentence) for column, code, sentence in found]


def _power_flags(row: Measurement, numbers: Numbers) -> list[tuple[str, str, str]]:
    """Compare energy with power x duration, knowing whether this version's power includes the PUE."""
    power = exact(_sum((numbers.cpu_power, numbers.gpu_power, numbers.ram_power)))
    expected = expected_ratios(version_numbers(row.client_version), row.pue)
    if not power or not expected:
        return []
    ratio = exact(numbers.energy_consumed) * JOULES_PER_KWH / (power * exact(numbers.duration))
    tolerance = POWER_TOLERANCE + SAMPLING_S / exact(numbers.duration)
    if any(abs(ratio / exact(one) - 1) <= tolerance for one in expected):
        return []
    if ratio >= 2 * max(exact(one) for one in expected):
        sentence = (
            f"The energy is {float(ratio):.2f} times power x duration: take the duration from the tasks of this run."
        )
        return [("duration", "duration_shorter_than_energy", sentence)]
    return [("energy_consumed", "energy_power_mismatch", f"The energy is {float(ratio):.2f} times power x duration.")]


def expected_ratios(version: tuple[int, ...], pue: Decimal | None) -> tuple[Decimal, ...]:
    """Return what energy over power x duration may be: 1 where power includes the PUE, else the PUE."""
    has_pue = codecarbon_power_has_pue(version)
    if has_pue:
        return (Decimal(1),)
    if pue is None:
        return ()
    return (pue,) if has_pue is False else (Decimal(1), pue)


def _identity(row: Measurement) -> tuple[object, ...]:
    """Tell rows apart: by run and task, or, where the client wrote no run id, by time and project."""
    if row.run_id is None:
        return (row.recorded_at_local, row.project_name, row.task_name)
    return (row.run_id, row.task_name)


def version_numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparing."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", text)[:3])


def _same(one: Decimal, other: Decimal) -> bool:
    """Say whether two figures are the same but for the client's binary floats."""
    return abs(exact(one) - exact(other)) <= SUM_TOLERANCE * max(exact(one), exact(other))


def _sum(numbers: Iterable[Decimal]) -> Decimal:
    total = Decimal(0)
    for number in numbers:
        total = EXACT_DECIMALS.add(total, number)
    return total
