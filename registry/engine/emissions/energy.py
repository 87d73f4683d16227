"""Energy: from counters, from ratings and hours, and from the computers to the site, where the PUE counts once.

Energy comes in two kinds that the types keep apart: `ItEnergy` is what the computers drew, `SiteEnergy` is what the
site drew for them. Everything here is exact; a rounding that would be needed raises instead (rule R1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from registry.engine.emissions.steps import CalculationStep
from registry.engine.refusals import Refusal
from registry.engine.rounding import EXACT_DECIMALS, Exact, exact, exact_sum

JOULES_PER_KWH = 3_600_000
SECONDS_PER_HOUR = 3600
MILLIJOULES_PER_JOULE = 1000
MICROJOULES_PER_JOULE = 1_000_000


@dataclass(frozen=True)
class ItEnergy:
    """Energy drawn by the computers themselves, and how it was found."""

    kwh: Decimal
    steps: tuple[CalculationStep, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class SiteEnergy:
    """Energy drawn by the site for them: cooling and losses are in it already."""

    kwh: Decimal
    steps: tuple[CalculationStep, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class CountedEnergy:
    """What a counter counted, in joules, and how often it began again or wrapped between two readings."""

    joules: Decimal
    restarts: int
    steps: tuple[CalculationStep, ...]

    @property
    def kwh(self) -> Fraction:
        """The same in kWh; a joule has endless digits there, so this is a fraction. Round it where it is stored."""
        return exact(self.joules) / JOULES_PER_KWH


@dataclass(frozen=True)
class HostEnergy:
    """What the processors and memory of one host drew, in joules, and the domains that were added for it."""

    joules: Fraction
    domains: tuple[str, ...]
    steps: tuple[CalculationStep, ...]


def at_site(energy: ItEnergy, pue: Decimal) -> SiteEnergy:
    """Return what the site drew for this much IT energy: E x PUE, once. A PUE below 1 is our own mistake."""
    assert pue >= 1, "a site draws at least what its computers draw"
    kwh = EXACT_DECIMALS.multiply(energy.kwh, pue)
    steps = (*(energy.steps or (CalculationStep("IT energy", energy.kwh, "kWh"),)), CalculationStep("PUE", pue, ""))
    return SiteEnergy(kwh, (*steps, CalculationStep("IT energy x PUE", kwh, "kWh")))


def device_hours_energy(device_hours: Decimal, watts: Decimal, utilisation: Decimal = Decimal(1)) -> ItEnergy:
    """Return the energy of devices from their rating: hours x W x utilisation; without evidence utilisation is 1."""
    watt_hours = EXACT_DECIMALS.multiply(EXACT_DECIMALS.multiply(device_hours, watts), utilisation)
    kwh = EXACT_DECIMALS.scaleb(watt_hours, -3)
    return ItEnergy(
        kwh,
        (
            CalculationStep("device hours", device_hours, "h"),
            CalculationStep("power of one device", watts, "W"),
            CalculationStep("utilisation", utilisation, ""),
            CalculationStep("hours x power x utilisation", kwh, "kWh"),
        ),
    )


def total_energy(energies: Iterable[SiteEnergy]) -> SiteEnergy:
    """Add site energies up without losing a digit."""
    total = Decimal(0)
    for energy in energies:
        total = EXACT_DECIMALS.add(total, energy.kwh)
    return SiteEnergy(total, (CalculationStep("sum of site energies", total, "kWh"),))


def nvml_energy(readings_mj: Sequence[int]) -> CountedEnergy | Refusal:
    """Return what an accelerator drew between its first and last reading, from its counter in mJ since driver start.

    A reading below the one before means that the driver was loaded anew and the counter began at zero: what it shows
    then counts. What was drawn between the last reading and the restart is lost, so the result is a lower bound.
    Source: NVIDIA Management Library, nvmlDeviceGetTotalEnergyConsumption.
    """
    faulty = _faulty(readings_mj, None)
    if faulty:
        return faulty
    millijoules, restarts = 0, 0
    for before, after in pairwise(readings_mj):
        restarts += after < before
        millijoules += after - before if after >= before else after
    return _counted(millijoules, MILLIJOULES_PER_JOULE, restarts, "mJ")


def rapl_energy(readings_uj: Sequence[int], max_energy_range_uj: int) -> CountedEnergy | Refusal:
    """Return what a processor domain drew between its first and last reading, from its counter in uJ.

    The counter wraps at max_energy_range_uj: a reading below the one before is after - before + range. A counter that
    wrapped twice between two readings looks as if it had wrapped once, so read it at least once a minute.
    Source: Linux kernel documentation, power capping framework.
    """
    faulty = _faulty(readings_uj, max_energy_range_uj)
    if faulty:
        return faulty
    microjoules, wraps = 0, 0
    for before, after in pairwise(readings_uj):
        wraps += after < before
        microjoules += after - before + (max_energy_range_uj if after < before else 0)
    return _counted(microjoules, MICROJOULES_PER_JOULE, wraps, "uJ")


def rapl_total(joules_by_domain: Mapping[str, Exact]) -> HostEnergy:
    """Return the energy of one host from its RAPL domains, naming those that were added.

    Domains overlap (psys holds packages and memory, a package holds its core and uncore), so a part is never added to
    its whole. psys alone counts where it is present; else packages and memory (dram-0); a core counts only where the
    package of its socket was not read. Names are those of the kernel with the socket's number: package-0, core-0.
    Source: Linux kernel documentation, power capping framework.
    """
    sockets = {_socket(name) for name in joules_by_domain if name.startswith("package")}
    counted = [
        name
        for name in sorted(joules_by_domain)
        if name.startswith(("package", "dram")) or _socket(name) not in sockets
    ]
    if "psys" in joules_by_domain:
        counted = ["psys"]
    joules = exact_sum(joules_by_domain[name] for name in counted)
    steps = [CalculationStep(name, joules_by_domain[name], "J") for name in counted]
    return HostEnergy(joules, tuple(counted), (*steps, CalculationStep("sum", joules, "J")))


def _socket(domain: str) -> str:
    return domain.partition("-")[2].partition("-")[0]


def _faulty(readings: Sequence[int], highest: int | None) -> Refusal | None:
    if len(readings) < 2:
        return Refusal("readings_missing", "A counter needs at least two readings: energy is their difference.")
    if any(reading < 0 or (highest is not None and reading > highest) for reading in readings):
        return Refusal("reading_out_of_range", "A reading is below zero or above the counter's range: check its unit.")
    return None


def _counted(count: int, per_joule: int, restarts: int, unit: str) -> CountedEnergy:
    joules = EXACT_DECIMALS.divide(Decimal(count), Decimal(per_joule))
    return CountedEnergy(
        joules,
        restarts,
        (
            CalculationStep("counted", count, unit),
            CalculationStep("counter began again", restarts, ""),
            CalculationStep("energy", joules, "J"),
        ),
    )
