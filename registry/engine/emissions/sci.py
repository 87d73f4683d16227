"""Software Carbon Intensity: emissions per unit of use, with the hardware's own share (ISO/IEC 21031:2024, GSF 1.1).

No offset and no market instrument may enter: the intensity is that of the place. The embodied part is reported and
never owed, because the makers of the hardware answer for it.
"""

from dataclasses import dataclass
from fractions import Fraction

from registry.engine.emissions.energy import SiteEnergy
from registry.engine.emissions.steps import CalculationStep
from registry.engine.rounding import Exact, exact

HOURS_PER_YEAR = 8760


@dataclass(frozen=True)
class SciScore:
    """Grams of CO2e per functional unit, as in per 1,000 requests."""

    g_per_unit: Fraction
    unit: str
    steps: tuple[CalculationStep, ...]


def embodied_grams(
    total_g: Exact, reserved_hours: Exact, life_hours: Exact, resources_reserved: Exact = 1, resources: Exact = 1
) -> Fraction:
    """Return the share of making the hardware: M = TE x (TiR / EL) x (RR / ToR), in the unit of `total_g`."""
    return exact(total_g) * exact(reserved_hours) / exact(life_hours) * exact(resources_reserved) / exact(resources)


def sci_score(energy: SiteEnergy, g_per_kwh: Exact, embodied_g: Exact, units: Exact, unit: str) -> SciScore:
    """Return SCI = (E x I + M) per R: E site energy with idle reserve, I location-based, R the number of units.

    Exact and unrounded; no units is our own mistake. Scores of components add where all have the same R.
    """
    assert exact(units) > 0, "a score is per something that happened"
    operational = exact(energy.kwh) * exact(g_per_kwh)
    score = (operational + exact(embodied_g)) / exact(units)
    return SciScore(
        score,
        unit,
        (
            CalculationStep("energy", energy.kwh, "kWh"),
            CalculationStep("energy x intensity", operational, "g CO2e"),
            CalculationStep("embodied", embodied_g, "g CO2e"),
            CalculationStep("score", score, f"g CO2e per {unit}"),
        ),
    )
