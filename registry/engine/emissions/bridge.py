"""The bridge between units: FLOP, energy and emissions, by efficiencies that hold from a day and have a source.

A FLOP is no joule and a joule is no gram. Both rates change with hardware and grid, so a bridge is dated and every
figure that crossed it is a comparison, never an obligation.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions.energy import JOULES_PER_KWH
from registry.engine.emissions.steps import CalculationStep
from registry.engine.rounding import Exact, exact


@dataclass(frozen=True)
class Bridge:
    """J per FLOP at the site and g CO2e per kWh, with the day from which they hold and where they come from."""

    joules_per_flop: Decimal
    g_per_kwh: Decimal
    on: date
    source: str

    def __post_init__(self) -> None:
        assert self.joules_per_flop > 0, "no computation is free"
        assert self.g_per_kwh > 0, "no way back from emissions without any"


@dataclass(frozen=True)
class Bridged:
    """One quantity in its three units, exactly and unrounded."""

    flop: Fraction
    kwh: Fraction
    grams: Fraction
    steps: tuple[CalculationStep, ...]


def from_flop(bridge: Bridge, flop: Exact) -> Bridged:
    """Cross from compute: kWh = FLOP x J/FLOP / 3.6 million, g = kWh x g/kWh."""
    return from_kwh(bridge, exact(flop) * exact(bridge.joules_per_flop) / JOULES_PER_KWH)


def from_kwh(bridge: Bridge, kwh: Exact) -> Bridged:
    """Cross from site energy, to compute and to emissions."""
    energy = exact(kwh)
    flop, grams = energy * JOULES_PER_KWH / exact(bridge.joules_per_flop), energy * exact(bridge.g_per_kwh)
    as_of = bridge.on.isoformat()
    return Bridged(
        flop,
        energy,
        grams,
        (
            CalculationStep(f"efficiency of {as_of}", bridge.joules_per_flop, "J/FLOP"),
            CalculationStep(f"intensity of {as_of}", bridge.g_per_kwh, "g CO2e/kWh"),
            CalculationStep("compute", flop, "FLOP"),
            CalculationStep("energy", energy, "kWh"),
            CalculationStep("emissions", grams, "g CO2e"),
        ),
    )


def from_grams(bridge: Bridge, grams: Exact) -> Bridged:
    """Cross from emissions, back to energy and compute."""
    return from_kwh(bridge, exact(grams) / exact(bridge.g_per_kwh))
