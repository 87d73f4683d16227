"""EcoLogits' model of one request to a language model, version 0.11.3: an estimate for those who know only tokens.

It ignores what was read (prompt tokens) and the network. Inputs that nobody publishes are ranges and stay ranges; the
upper end is the conservative one. Everything is an estimate in floats. Method: EcoLogits, CC BY-SA 4.0.
"""

import math
from dataclasses import dataclass

from registry.engine.emissions.steps import CalculationStep

GPU_WH_SLOPE = 1.1665273170451914e-06
GPU_WH_BATCH = -0.011205921025579175
GPU_WH_BASE = 4.052928146734005e-05
"""Wh per output token on one GPU: slope x e^(batch coefficient x batch) x billions of active parameters + base."""

LATENCY_PER_BILLION_S = 0.0006785088094353663
LATENCY_PER_BATCH_S = 0.0003119310311688259
LATENCY_BASE_S = 0.019473717579473387

BATCH = 64
GPU_MEMORY_GB = 80
GPUS_PER_SERVER = 8
SERVER_KW = 1.2
SERVER_EMBODIED_KG = 5700.0
GPU_EMBODIED_KG = 273.0
"""The figure in the released 0.11.3; other releases say 164."""

LIFE_S = 3 * 365 * 24 * 3600
PROPRIETARY_ACTIVE_SHARE = (0.10, 0.30)
"""A mixture of experts whose maker publishes nothing is taken to use 10 to 30 per cent of its parameters per token."""


@dataclass(frozen=True)
class Range:
    """An estimate between two ends; both are the same where it is one figure."""

    low: float
    high: float


@dataclass(frozen=True)
class RequestModel:
    """What is known of a model and where it runs: billions of parameters, bits per weight, PUE, WUE and mix."""

    active_billions: Range
    total_billions: Range
    pue: Range
    kg_per_kwh: float
    wue_on_site: float = 0.0
    wue_off_site: float = 0.0
    bits: int = 16
    tokens_per_second: float | None = None
    first_token_s: float = 0.0


@dataclass(frozen=True)
class EstimatedRequest:
    """Energy (kWh), emissions of use and of making (kg CO2e) and water (L) of one request, each as a range."""

    energy_kwh: Range
    usage_kg: Range
    embodied_kg: Range
    water_l: Range
    steps: tuple[CalculationStep, ...]


def estimated_active_billions(total_billions: float) -> Range:
    """Estimate the active parameters of a proprietary mixture of experts as a range: 10 to 30 per cent of all."""
    low, high = PROPRIETARY_ACTIVE_SHARE
    return Range(total_billions * low, total_billions * high)


def estimated_request(model: RequestModel, output_tokens: int, measured_s: float | None = None) -> EstimatedRequest:
    """Estimate one request from its output tokens. A measured duration caps the modelled one.

    Energy = PUE x (server 1.2 kW x seconds x GPUs / 8 / batch + GPUs x tokens x GPU energy per token).
    """
    low = _end(model, model.active_billions.low, model.total_billions.low, model.pue.low, output_tokens, measured_s)
    high = _end(model, model.active_billions.high, model.total_billions.high, model.pue.high, output_tokens, measured_s)
    return EstimatedRequest(
        energy_kwh=Range(low.energy_kwh, high.energy_kwh),
        usage_kg=Range(low.energy_kwh * model.kg_per_kwh, high.energy_kwh * model.kg_per_kwh),
        embodied_kg=Range(low.embodied_kg, high.embodied_kg),
        water_l=Range(low.water_l, high.water_l),
        steps=(*_steps("low", low), *_steps("high", high)),
    )


@dataclass(frozen=True)
class _End:
    seconds: float
    gpus: int
    energy_kwh: float
    embodied_kg: float
    water_l: float


def _end(model: RequestModel, active: float, total: float, pue: float, tokens: int, measured: float | None) -> _End:
    if model.tokens_per_second:
        per_token = 1 / model.tokens_per_second
    else:
        per_token = LATENCY_PER_BILLION_S * active + LATENCY_PER_BATCH_S * BATCH + LATENCY_BASE_S
    modelled = tokens * per_token + model.first_token_s
    seconds = modelled if measured is None else min(modelled, measured)
    gpus: int = 2 ** math.ceil(math.log2(math.ceil(1.2 * total * model.bits / 8 / GPU_MEMORY_GB)))
    gpu_kwh = tokens * (GPU_WH_SLOPE * math.exp(GPU_WH_BATCH * BATCH) * active + GPU_WH_BASE) / 1000
    it_kwh = seconds / 3600 * SERVER_KW * gpus / GPUS_PER_SERVER / BATCH + gpus * gpu_kwh
    made_kg = gpus / GPUS_PER_SERVER * SERVER_EMBODIED_KG + gpus * GPU_EMBODIED_KG
    water = it_kwh * (model.wue_on_site + pue * model.wue_off_site)
    return _End(seconds, gpus, pue * it_kwh, seconds * made_kg / (LIFE_S * BATCH), water)


def _steps(name: str, end: _End) -> tuple[CalculationStep, ...]:
    return (
        CalculationStep(f"{name}: time", end.seconds, "s"),
        CalculationStep(f"{name}: GPUs", end.gpus, ""),
        CalculationStep(f"{name}: energy with PUE", end.energy_kwh, "kWh"),
        CalculationStep(f"{name}: embodied", end.embodied_kg, "kg CO2e"),
    )
