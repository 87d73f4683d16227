"""Emissions and compute from what was measured: exact arithmetic whose results list their steps.

Units are in the names: kWh for energy, g, kg or t CO2e for emissions, FLOP for operations counted and J per FLOP for
efficiency. Energy comes in two kinds that the types keep apart, so that the power usage effectiveness of a site (PUE)
cannot be applied twice: `ItEnergy` is what the computers drew, `SiteEnergy` is what the site drew for them. Only site
energy emits. Energy columns of CodeCarbon include the PUE in every version of the client, so they are site energy.

Everything is a decimal with every digit; a rounding that would be needed raises instead (rule R1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from registry.engine.factors import WORLD, FactorTable
from registry.engine.rounding import EXACT_DECIMALS, Exact, exact

FLOP_PER_PARAMETER_AND_TOKEN = 6
"""Dense training: 2 operations per parameter and token forwards and 4 backwards (Kaplan 2020, arXiv 2001.08361)."""

JOULES_PER_KWH = 3_600_000
SECONDS_PER_HOUR = 3600
MATERIAL_DIFFERENCE = Decimal("0.01")
"""Claimed and recomputed emissions that differ by more than one per cent are shown side by side."""

MIX_G_PER_KWH = {
    "biomass": Decimal(230),
    "coal": Decimal(820),
    "gas": Decimal(490),
    "hydro": Decimal(24),
    "nuclear": Decimal(12),
    "oil": Decimal(650),
    "solar": Decimal(41),
    "wind": Decimal(11),
}
"""Life-cycle medians by fuel: IPCC, Fifth Assessment Report, working group III, annex III."""


@dataclass(frozen=True)
class ItEnergy:
    """Energy drawn by the computers themselves."""

    kwh: Decimal


@dataclass(frozen=True)
class SiteEnergy:
    """Energy drawn by the site for them: cooling and losses are in it already."""

    kwh: Decimal


@dataclass(frozen=True)
class CalculationStep:
    """One figure on the way from a measurement to its emissions."""

    name: str
    value: Decimal
    unit: str


@dataclass(frozen=True)
class Emissions:
    """Recomputed emissions with the factor they rest on; `default_factor` says that the country was not known."""

    grams: Decimal
    table_version: str
    zone: str
    default_factor: bool
    steps: tuple[CalculationStep, ...]

    @property
    def kilograms(self) -> Decimal:
        """The emissions in kg CO2e."""
        return EXACT_DECIMALS.scaleb(self.grams, -3)

    @property
    def tonnes(self) -> Decimal:
        """The emissions in t CO2e, the base unit of a carbon scheme; only the obligation rounds them."""
        return EXACT_DECIMALS.scaleb(self.grams, -6)


def at_site(energy: ItEnergy, pue: Decimal) -> SiteEnergy:
    """Return what the site drew for this much IT energy: E x PUE, once."""
    assert pue >= 1, "a site draws at least what its computers draw"
    return SiteEnergy(EXACT_DECIMALS.multiply(energy.kwh, pue))


def device_hours_energy(device_hours: Decimal, watts: Decimal, utilisation: Decimal = Decimal(1)) -> ItEnergy:
    """Return the energy of devices from their rating: hours x W x utilisation; without evidence utilisation is 1."""
    watt_hours = EXACT_DECIMALS.multiply(EXACT_DECIMALS.multiply(device_hours, watts), utilisation)
    return ItEnergy(EXACT_DECIMALS.scaleb(watt_hours, -3))


def total_energy(energies: Iterable[SiteEnergy]) -> SiteEnergy:
    """Add site energies up without losing a digit."""
    total = Decimal(0)
    for energy in energies:
        total = EXACT_DECIMALS.add(total, energy.kwh)
    return SiteEnergy(total)


def emissions(energy: SiteEnergy, country_iso3: str, table: FactorTable) -> Emissions:
    """Recompute location-based emissions with the registry's own factor; an unknown country gets the default."""
    factor = table.factor(country_iso3)
    grams = EXACT_DECIMALS.multiply(energy.kwh, factor.g_per_kwh)
    return Emissions(
        grams=grams,
        table_version=table.version,
        zone=factor.zone,
        default_factor=factor.zone == WORLD,
        steps=(
            CalculationStep("site energy", energy.kwh, "kWh"),
            CalculationStep(f"{factor.zone} {factor.year}", factor.g_per_kwh, "g CO2e/kWh"),
            CalculationStep("site energy x factor", grams, "g CO2e"),
        ),
    )


def differs_materially(claimed: Exact, recomputed: Exact) -> bool:
    """Say whether a claimed figure is more than one per cent away from ours."""
    return abs(exact(claimed) - exact(recomputed)) > exact(MATERIAL_DIFFERENCE) * exact(recomputed)


def pue_left_out(energy: SiteEnergy, claimed_kg: Decimal, kg_per_kwh: Decimal, pue: Decimal) -> bool:
    """Say whether claimed emissions fit their energy only without its PUE, as in the figures 1287 MWh and 502 t."""
    whole = exact(energy.kwh) * exact(kg_per_kwh)
    return differs_materially(claimed_kg, whole) and not differs_materially(claimed_kg, whole / exact(pue))


def training_flop(active_parameters: int, tokens: int) -> int:
    """Return the FLOP of training a transformer: 6 N D, N the parameters active per token and D the tokens seen."""
    return FLOP_PER_PARAMETER_AND_TOKEN * active_parameters * tokens


def hardware_flop(device_hours: Exact, peak_flop_per_second: Exact, utilisation: Exact) -> Fraction:
    """Return the FLOP of a run from its hardware: device hours x 3600 x peak x average utilisation."""
    return exact(device_hours) * SECONDS_PER_HOUR * exact(peak_flop_per_second) * exact(utilisation)


def joules_per_flop(energy_kwh: Exact, flop: Exact) -> Fraction:
    """Return the efficiency E of a run or a year in J per FLOP."""
    return exact(energy_kwh) * JOULES_PER_KWH / exact(flop)


def mix_intensity(shares: Mapping[str, Decimal], factors: Mapping[str, Decimal]) -> Decimal:
    """Return the intensity of a fuel mix: the sum of share x factor, in the unit of the factors."""
    total = Decimal(0)
    for fuel in sorted(shares):
        total = EXACT_DECIMALS.add(total, EXACT_DECIMALS.multiply(shares[fuel], factors[fuel]))
    return total
