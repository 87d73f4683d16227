"""Compute in FLOP: of training and inference, by architecture and by hardware, and the check of one by the other.

A FLOP is one floating-point operation, so a multiplication with an addition is two. Model FLOP are those the algorithm
needs; hardware FLOP are those the machines did, which recomputation makes more. Everything is exact and unrounded.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions.energy import JOULES_PER_KWH, SECONDS_PER_HOUR
from registry.engine.emissions.steps import CalculationStep
from registry.engine.rounding import Exact, exact

FLOP_PER_PARAMETER_AND_TOKEN = 6
"""Dense training: 2 operations per parameter and token forwards and 4 backwards (Kaplan 2020, arXiv 2001.08361)."""

FORWARD_FLOP_PER_PARAMETER_AND_TOKEN = 2
FROZEN_FLOP_PER_PARAMETER_AND_TOKEN = 4
"""Frozen weights: 2 forwards and 2 to pass the gradient on; the 2 for their own gradients fall away."""

LOWEST_RATIO = Decimal("0.7")
HIGHEST_RATIO = Decimal("1.43")
"""Outside of these, compute by hardware and by architecture do not describe one run."""


@dataclass(frozen=True)
class Attention:
    """The sizes from which attention's own operations follow: they grow with the length of the sequence."""

    layers: int
    heads: int
    head_size: int
    sequence: int


@dataclass(frozen=True)
class Compute:
    """The FLOP of one activity: what the model needs, and what the hardware did."""

    model_flop: Fraction
    hardware_flop: Fraction
    steps: tuple[CalculationStep, ...]


@dataclass(frozen=True)
class CrossCheck:
    """Compute by hardware over compute by architecture, and the utilisation (MFU) that the latter implies."""

    ratio: Fraction
    implied_utilisation: Fraction
    flagged: bool
    steps: tuple[CalculationStep, ...]


@dataclass(frozen=True)
class EnergyCheck:
    """Compute beside the energy it took: J per FLOP, and the utilisation that this implies at the rated power."""

    joules_per_flop: Fraction
    implied_utilisation: Fraction
    flagged: bool
    steps: tuple[CalculationStep, ...]


def training_flop(active_parameters: int, tokens: int) -> int:
    """Return the FLOP of training a transformer: 6 N D, N the parameters active per token and D the tokens seen."""
    return FLOP_PER_PARAMETER_AND_TOKEN * active_parameters * tokens


def moe_active_parameters(shared: int, per_expert: int, experts: int, experts_per_token: int) -> int:
    """Return the parameters of a mixture of experts that work on one token: the shared ones and the chosen experts."""
    assert 1 <= experts_per_token <= experts, "a token visits some of the experts there are"
    return shared + per_expert * experts_per_token


def transformer_training(
    active_parameters: int, tokens: int, *, attention: Attention | None = None, recomputed: Exact = 0
) -> Compute:
    """Return the compute of training or of fine-tuning all weights: 6 N D + 12 L H Q T D.

    N active parameters, D tokens x epochs; L layers, H heads of size Q, T tokens in a sequence. `recomputed` is the
    share of the forward pass done a second time to save memory (1: full activation checkpointing, + 2 N D). It is in
    the hardware FLOP only. Sources: arXiv 2001.08361; PaLM, arXiv 2204.02311, appendix B.
    """
    assert 0 <= exact(recomputed) <= 1, "at most the whole forward pass is done again"
    weights = training_flop(active_parameters, tokens)
    attended = 12 * attention.layers * attention.heads * attention.head_size * attention.sequence if attention else 0
    model = exact(weights + attended * tokens)
    again = model / 3 * exact(recomputed)
    return Compute(
        model,
        model + again,
        (
            CalculationStep("6 x active parameters x tokens", weights, "FLOP"),
            CalculationStep("attention", attended * tokens, "FLOP"),
            CalculationStep("recomputed forward pass, hardware only", again, "FLOP"),
            CalculationStep("model FLOP", model, "FLOP"),
        ),
    )


def adapter_training(parameters: int, adapter_parameters: int, tokens: int) -> Compute:
    """Return the compute of fine-tuning adapters on frozen weights: 4 N D + 6 A D, A the adapters' parameters.

    Frozen weights need no gradients of their own. Derived from the 2 + 4 of arXiv 2001.08361.
    """
    frozen = FROZEN_FLOP_PER_PARAMETER_AND_TOKEN * parameters * tokens
    trained = training_flop(adapter_parameters, tokens)
    total = exact(frozen + trained)
    steps = (
        CalculationStep("4 x frozen parameters x tokens", frozen, "FLOP"),
        CalculationStep("6 x adapter parameters x tokens", trained, "FLOP"),
        CalculationStep("model FLOP", total, "FLOP"),
    )
    return Compute(total, total, steps)


def other_training(multiply_adds: int, examples: int, epochs: Exact = 1) -> Compute:
    """Return the compute of training anything else: multiply-adds of one forward pass x 2 x 3 x examples x epochs.

    Two operations are in a multiply-add, and forwards with backwards is three times forwards (Epoch AI).
    """
    total = 6 * multiply_adds * examples * exact(epochs)
    steps = (
        CalculationStep("multiply-adds of a forward pass", multiply_adds, ""),
        CalculationStep("x 2 x 3 x examples x epochs", total, "FLOP"),
    )
    return Compute(total, total, steps)


def hardware_flop(device_hours: Exact, peak_flop_per_second: Exact, utilisation: Exact) -> Fraction:
    """Return the FLOP of a run from its hardware: device hours x 3600 x peak x average utilisation.

    The peak is that of the number format used. With the MFU as utilisation the result is model FLOP, with the HFU it
    is hardware FLOP.
    """
    return exact(device_hours) * SECONDS_PER_HOUR * exact(peak_flop_per_second) * exact(utilisation)


def cross_check(
    by_architecture: Exact, device_hours: Exact, peak_flop_per_second: Exact, utilisation: Exact
) -> CrossCheck:
    """Hold compute by hardware against compute by architecture; flagged outside 0.7 to 1.43.

    The implied utilisation is what the machines must have reached for the architecture's FLOP. All inputs are above 0.
    """
    by_hardware = hardware_flop(device_hours, peak_flop_per_second, utilisation)
    at_peak = hardware_flop(device_hours, peak_flop_per_second, 1)
    ratio, implied = by_hardware / exact(by_architecture), exact(by_architecture) / at_peak
    steps = (
        CalculationStep("by architecture", by_architecture, "FLOP"),
        CalculationStep("by hardware", by_hardware, "FLOP"),
        CalculationStep("hardware / architecture", ratio, ""),
        CalculationStep("implied utilisation", implied, ""),
    )
    return CrossCheck(ratio, implied, not exact(LOWEST_RATIO) <= ratio <= exact(HIGHEST_RATIO), steps)


def inference_flop_per_token(
    active_parameters: int, layers: int = 0, attention_width: int = 0, context: int = 0
) -> int:
    """Return the FLOP of one token: 2 N + 2 L d n, d the attention's width and n the tokens it looks back on.

    Source: Kaplan 2020, arXiv 2001.08361, table 1.
    """
    return FORWARD_FLOP_PER_PARAMETER_AND_TOKEN * active_parameters + 2 * layers * attention_width * context


def request_compute(
    active_parameters: int,
    tokens_in: int,
    tokens_out: int,
    *,
    cached: int = 0,
    layers: int = 0,
    attention_width: int = 0,
) -> Compute:
    """Return the compute of one request: 2 N for each token read or written, and attention over all before it.

    A cached prefix is not read again, yet the other tokens look back on it. More cached than read is our own mistake.
    """
    assert 0 <= cached <= tokens_in, "only what was read can come from the cache"
    end = tokens_in + tokens_out
    weights = inference_flop_per_token(active_parameters) * (end - cached)
    looked_at = (end * (end + 1) - cached * (cached + 1)) // 2
    attended = 2 * layers * attention_width * looked_at
    total = exact(weights + attended)
    steps = (
        CalculationStep("tokens worked on", end - cached, "tokens"),
        CalculationStep("2 x active parameters x tokens", weights, "FLOP"),
        CalculationStep("attention", attended, "FLOP"),
        CalculationStep("model FLOP", total, "FLOP"),
    )
    return Compute(total, total, steps)


def token_compute(tokens: int, flop_per_token: Exact) -> Compute:
    """Return the compute of serving: tokens of the billing log x FLOP per token of the model card.

    Both can be audited, which is why obligations in FLOP are reckoned so; `energy_check` holds it against the meter.
    """
    total = tokens * exact(flop_per_token)
    steps = (
        CalculationStep("tokens", tokens, "tokens"),
        CalculationStep("declared for one token", flop_per_token, "FLOP"),
        CalculationStep("model FLOP", total, "FLOP"),
    )
    return Compute(total, total, steps)


def energy_check(flop: Exact, it_kwh: Exact, watts: Exact, peak_flop_per_second: Exact) -> EnergyCheck:
    """Hold compute against the energy of the computers; flagged where even a device at its peak would need more.

    `watts` and the peak are those of one device at full power. Eight bits or sparsity have peaks of their own.
    """
    lowest = exact(watts) / exact(peak_flop_per_second)
    each = joules_per_flop(it_kwh, flop)
    implied = lowest / each
    steps = (
        CalculationStep("energy of the computers", it_kwh, "kWh"),
        CalculationStep("energy per FLOP", each, "J"),
        CalculationStep("least of the hardware", lowest, "J"),
        CalculationStep("implied utilisation", implied, ""),
    )
    return EnergyCheck(each, implied, each < lowest, steps)


def joules_per_flop(energy_kwh: Exact, flop: Exact) -> Fraction:
    """Return the efficiency E of a run or a year in J per FLOP."""
    return exact(energy_kwh) * JOULES_PER_KWH / exact(flop)
