"""LLMCarbon (arXiv 2309.14393): training emissions from a model's size, and the hardware's share of its making.

A model of emissions and no measurement: good for plausibility. The two fits are of 2023 and out of range for models of
today, so they are estimates in floats for historic comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions.compute import training_flop
from registry.engine.emissions.steps import CalculationStep
from registry.engine.rounding import Exact, exact, exact_sum

LIFE_DAYS = 5 * 365
MOST_PARAMETERS_PER_SERVER = 19.2e9
"""Eight GPUs of 80 GB hold 2.4 billion parameters each while they are trained."""


@dataclass(frozen=True)
class TrainingSetup:
    """What LLMCarbon needs: parameters (of the active part), tokens, and machines with their average power."""

    active_parameters: int
    tokens: int
    devices: int
    system_watts: Decimal
    peak_flop_per_second: Decimal
    efficiency: Exact
    pue: Decimal
    kg_per_kwh: Decimal


@dataclass(frozen=True)
class ModelledTraining:
    """Days, site energy and emissions of a training run that follow from the model."""

    days: Fraction
    mwh: Fraction
    tonnes: Fraction
    steps: tuple[CalculationStep, ...]


@dataclass(frozen=True)
class Part:
    """Hardware of one kind: cm2 of chip or GB of memory, kg CO2e per cm2 or GB, and how many of them."""

    name: str
    size: Decimal
    kg_per_size: Decimal
    count: int


@dataclass(frozen=True)
class ModelledEmbodied:
    """The tonnes of making the hardware that a run answers for."""

    tonnes: Fraction
    steps: tuple[CalculationStep, ...]


CARBON_PER_AREA_KG = {
    "CPU": Decimal("1.0"),
    "V100": Decimal("1.2"),
    "TPUv4": Decimal("1.6"),
    "H100": Decimal("1.8"),
    "DRAM": Decimal("0.4"),
    "SSD": Decimal("0.018"),
}
"""kg CO2e per cm2 of chip, and per GB of DRAM and SSD (LLMCarbon, table 3)."""


def modelled_training(setup: TrainingSetup) -> ModelledTraining:
    """Return t = 6 P D / (n x peak x efficiency) / 86400 days x n x W x 24 h x PUE x kg/kWh, exactly."""
    flop = training_flop(setup.active_parameters, setup.tokens)
    rate = setup.devices * exact(setup.peak_flop_per_second) * exact(setup.efficiency)
    days = flop / rate / 86_400
    mwh = setup.devices * exact(setup.system_watts) * days * 24 / 10**6 * exact(setup.pue)
    tonnes = mwh * exact(setup.kg_per_kwh)
    return ModelledTraining(
        days,
        mwh,
        tonnes,
        (
            CalculationStep("6 x parameters x tokens", flop, "FLOP"),
            CalculationStep("achieved rate", rate, "FLOP/s"),
            CalculationStep("training time", days, "days"),
            CalculationStep("site energy", mwh, "MWh"),
            CalculationStep("emissions", tonnes, "t CO2e"),
        ),
    )


def modelled_embodied(parts: Sequence[Part], days: Exact) -> ModelledEmbodied:
    """Return the share of making the parts that falls on these days of a life of five years, exactly.

    tonnes = sum of size x kg per size x count, x days / 1825 / 1000.
    """
    made = [exact(part.size) * exact(part.kg_per_size) * part.count for part in parts]
    tonnes = exact_sum(made) * exact(days) / LIFE_DAYS / 1000
    steps = [CalculationStep(part.name, kg, "kg CO2e") for part, kg in zip(parts, made, strict=True)]
    return ModelledEmbodied(tonnes, (*steps, CalculationStep("days / life", exact(days) / LIFE_DAYS, "")))


def estimated_gpu_count(parameters: float) -> float:
    """Estimate the GPUs of a training run of 2021 to 2023 from its parameters: a fit, for historic comparison only."""
    return -2.12910565e-21 * parameters**2 + 4.39684339e-9 * parameters + 799.17


def estimated_teraflop_per_second(parameters: float) -> float:
    """Estimate the TFLOP/s that one 80 GB GPU of that time achieved: two fits, for historic comparison only.

    Models that fit one server of eight are cut by tensors; the fit turns negative far above that, so larger ones, which
    are cut into pipelines too, have their own.
    """
    if parameters <= MOST_PARAMETERS_PER_SERVER:
        return -8.82079068e-20 * parameters**2 + 1.68591116e-09 * parameters + 133.954735
    return -5.60233749e-23 * parameters**2 + 8.45435587e-11 * parameters + 134.546129
