"""Calculators of compute: training by architecture and by hardware, and inference."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from registry.engine import published
from registry.engine.emissions import (
    HIGHEST_RATIO,
    LOWEST_RATIO,
    Attention,
    Compute,
    adapter_training,
    cross_check,
    energy_check,
    hardware_flop,
    moe_active_parameters,
    other_training,
    request_compute,
    token_compute,
    transformer_training,
)
from registry.engine.emissions.steps import CalculationStep
from registry.services.calculators.parts import (
    Calculator,
    Example,
    Figure,
    Input,
    Outcome,
    Said,
    check,
    per_cent,
    positive,
    share,
    whole,
)

GROUP = "Compute"
KAPLAN = "Kaplan et al. 2020, arXiv 2001.08361"
DATA_SHEETS = "Dense 16-bit peaks: V100 125e12, A100 312e12, H100 989.4e12, TPU v3 123e12."

PARAMETERS = whole("parameters", "Parameters active for one token", help="All of them, unless experts take turns.")
TOKENS = whole("tokens", "Tokens seen", help="Tokens of the data x epochs.")
PEAK = positive("peak", "Peak of one device", "FLOP/s", help=DATA_SHEETS)
DEVICE_HOURS = positive("device_hours", "Device hours", "h", help="Devices x hours.")
LAYERS = whole("layers", "Layers", required=False, help="For the attention's own operations.", most=10**6)


def _compute(found: Compute) -> Outcome:
    figures = [Figure("Model FLOP", found.model_flop, "FLOP")]
    if found.hardware_flop != found.model_flop:
        figures.append(Figure("Hardware FLOP", found.hardware_flop, "FLOP"))
    return Outcome(tuple(figures), found.steps)


def _transformer(said: Said, now: datetime) -> Outcome:
    names = ("layers", "heads", "head_size", "sequence")
    missing = next((name for name in names if not said.has(name)), "")
    attends = any(said.has(name) for name in names)
    check(not (attends and missing), missing, "attention_incomplete", "Fill in all four sizes of attention, or none.")
    attention = Attention(*(said.whole(name) for name in names)) if attends else None
    found = transformer_training(
        said.whole("parameters"), said.whole("tokens"), attention=attention, recomputed=said.decimal("recomputed")
    )
    return _compute(found)


def _experts(said: Said, now: datetime) -> Outcome:
    experts, each = said.whole("experts"), said.whole("experts_per_token")
    check(each <= experts, "experts_per_token", "more_experts_than_there_are", "A token visits some of the experts.")
    active = moe_active_parameters(said.whole("shared"), said.whole("per_expert"), experts, each)
    everything = moe_active_parameters(said.whole("shared"), said.whole("per_expert"), experts, experts)
    return Outcome(
        (Figure("Active for one token", active, "parameters"), Figure("All parameters", everything, "parameters")),
        (
            CalculationStep("shared", said.whole("shared"), "parameters"),
            CalculationStep("chosen experts x size", said.whole("per_expert") * each, "parameters"),
        ),
    )


def _adapters(said: Said, now: datetime) -> Outcome:
    return _compute(adapter_training(said.whole("parameters"), said.whole("adapter_parameters"), said.whole("tokens")))


def _network(said: Said, now: datetime) -> Outcome:
    return _compute(other_training(said.whole("multiply_adds"), said.whole("examples"), said.decimal("epochs")))


def _hardware(said: Said, now: datetime) -> Outcome:
    hours, peak, used = said.decimal("device_hours"), said.decimal("peak"), said.decimal("utilisation")
    total = hardware_flop(hours, peak, used)
    figures = [Figure("Compute by hardware", total, "FLOP")]
    steps: tuple[CalculationStep, ...] = (
        CalculationStep("device hours", hours, "h"),
        CalculationStep("peak of one device", peak, "FLOP/s"),
        CalculationStep("utilisation", used, ""),
        CalculationStep("hours x 3600 x peak x utilisation", total, "FLOP"),
    )
    notes: list[str] = []
    by_architecture = said.maybe("by_architecture")
    if by_architecture is not None:
        found = cross_check(by_architecture, hours, peak, used)
        figures += [
            Figure("Hardware over architecture", found.ratio),
            Figure("Implied utilisation (MFU)", per_cent(found.implied_utilisation), "%"),
        ]
        steps += found.steps
        agreed = "do not describe" if found.flagged else "describe"
        notes.append(f"The methods {agreed} one run: a ratio of {LOWEST_RATIO} to {HIGHEST_RATIO} is plausible.")
    return Outcome(tuple(figures), steps, tuple(notes))


def _request(said: Said, now: datetime) -> Outcome:
    read, cached = said.whole("tokens_in"), said.whole("cached")
    check(cached <= read, "cached", "more_cached_than_read", "Only what was read can come from the cache.")
    check(
        said.has("layers") == said.has("attention_width"),
        "attention_width",
        "attention_incomplete",
        "Fill in both layers and width of attention, or neither.",
    )
    found = request_compute(
        said.whole("parameters"),
        read,
        said.whole("tokens_out"),
        cached=cached,
        layers=said.whole("layers"),
        attention_width=said.whole("attention_width"),
    )
    return _compute(found)


def _serving(said: Said, now: datetime) -> Outcome:
    found = token_compute(said.whole("tokens"), said.decimal("flop_per_token"))
    figures, steps = [Figure("Model FLOP", found.model_flop, "FLOP")], found.steps
    notes: tuple[str, ...] = ()
    names = ("it_kwh", "watts", "peak")
    missing = next((name for name in names if not said.has(name)), "")
    meters = any(said.has(name) for name in names)
    check(not (meters and missing), missing, "check_incomplete", "Fill in energy, power and peak, or none of them.")
    if meters:
        held = energy_check(found.model_flop, said.decimal("it_kwh"), said.decimal("watts"), said.decimal("peak"))
        figures += [
            Figure("Energy per FLOP", held.joules_per_flop, "J"),
            Figure("Implied utilisation", per_cent(held.implied_utilisation), "%"),
        ]
        steps += held.steps
        notes = (
            ("Even a device at its peak would need more energy: declare 8 bits or sparsity, or check the tokens.",)
            if held.flagged
            else ("The energy fits: it is more than the hardware needs at its peak.",)
        )
    return Outcome(tuple(figures), steps, notes)


def _by_architecture() -> tuple[Example, ...]:
    return tuple(
        Example(
            f"{one.model}, {one.organisation} {one.year}",
            {"parameters": str(one.active_parameters), "tokens": str(one.tokens)},
            f"Published: {float(one.training_flop):.4e} FLOP ({one.source}).",
        )
        for one in published.COMPUTE
    )


CALCULATORS = (
    Calculator(
        "training-compute",
        GROUP,
        "Training compute by architecture",
        "FLOP of training a transformer, or of fine-tuning all its weights.",
        "C = 6 N D + 12 L H Q T D; hardware FLOP add 2 N D x the share of the forward pass done again",
        f"{KAPLAN}; PaLM, arXiv 2204.02311, appendix B",
        (
            PARAMETERS,
            TOKENS,
            LAYERS,
            whole("heads", "Heads", required=False, most=10**6),
            whole("head_size", "Head size", required=False, most=10**6),
            whole("sequence", "Sequence", "tokens", required=False, most=10**9),
            share("recomputed", "Recomputed", help="Share of the forward pass done again to save memory.", default="0"),
        ),
        _transformer,
        (
            *_by_architecture(),
            Example("GPT-3 with full checkpointing", {"parameters": "175e9", "tokens": "300e9", "recomputed": "1"}),
        ),
    ),
    Calculator(
        "active-parameters",
        GROUP,
        "Active parameters of a mixture of experts",
        "The parameters that work on one token: the shared ones and the chosen experts.",
        "N = shared + size of an expert x experts per token",
        "By definition; the N of 6 N D",
        (
            whole("shared", "Shared parameters", least=0),
            whole("per_expert", "Parameters of one expert"),
            whole("experts", "Experts", most=10**6),
            whole("experts_per_token", "Experts that one token visits", most=10**6),
        ),
        _experts,
        (
            Example(
                "8 of 64 experts",
                {"shared": "2e9", "per_expert": "1e9", "experts": "64", "experts_per_token": "8"},
            ),
        ),
    ),
    Calculator(
        "adapter-compute",
        GROUP,
        "Fine-tuning adapters",
        "FLOP of training adapters on frozen weights, as LoRA does.",
        "C = 4 N D + 6 A D, A the parameters of the adapters",
        f"Derived from the 2 + 4 of {KAPLAN}: frozen weights need no gradients of their own",
        (
            replace(PARAMETERS, label="Frozen parameters", help=""),
            whole("adapter_parameters", "Parameters of the adapters"),
            TOKENS,
        ),
        _adapters,
        (
            Example(
                "20 million on 8 billion",
                {"parameters": "8e9", "adapter_parameters": "20e6", "tokens": "1e9"},
            ),
        ),
    ),
    Calculator(
        "network-compute",
        GROUP,
        "Training any other network",
        "FLOP of training from the multiply-adds of one forward pass.",
        "C = multiply-adds x 2 x 3 x examples x epochs",
        "Epoch AI, Estimating training compute: a multiply-add is two operations, backwards twice as much as forwards",
        (
            whole("multiply_adds", "Multiply-adds of one forward pass"),
            whole("examples", "Examples", help="Images, for instance."),
            positive("epochs", "Epochs", default="1"),
        ),
        _network,
        (
            Example(
                "ResNet-50 on ImageNet",
                {"multiply_adds": "4.1e9", "examples": "1280000", "epochs": "90"},
            ),
        ),
    ),
    Calculator(
        "hardware-compute",
        GROUP,
        "Training compute by hardware, with cross-check",
        "FLOP from device hours and peak; held against the architecture's where you know it.",
        "C = device hours x 3600 x peak x utilisation; ratio = C by hardware / C by architecture",
        "Epoch AI, Estimating training compute; MFU after PaLM, arXiv 2204.02311",
        (
            DEVICE_HOURS,
            PEAK,
            share("utilisation", "Utilisation", help="With the MFU the result is model FLOP.", default="0.4"),
            Input(
                "by_architecture",
                "FLOP by architecture",
                "FLOP",
                "To hold both methods against each other.",
                required=False,
                least=Decimal(1),
            ),
        ),
        _hardware,
        (
            Example(
                "Llama 3.1 405B, Meta AI 2024",
                {"device_hours": "30840000", "peak": "989.4e12", "utilisation": "0.4", "by_architecture": "3.79e25"},
                f"Published: 30.84 million hours ({published.MODEL_CARD.partition(',')[0]}).",
            ),
            Example(
                "PaLM 540B, Google 2022",
                {"device_hours": "8404992", "peak": "275e12", "utilisation": "0.462", "by_architecture": "2.5272e24"},
                f"Published: an MFU of 46.2 % ({published.PALM}).",
            ),
        ),
    ),
    Calculator(
        "request-compute",
        GROUP,
        "Inference compute of a request",
        "FLOP of one request, from the tokens that were read and written.",
        "C = 2 N (tokens in + out - cached) + 2 L d x the tokens that each of them looks back on",
        f"{KAPLAN}, table 1",
        (
            PARAMETERS,
            whole("tokens_in", "Tokens read", least=0, most=10**9),
            whole("tokens_out", "Tokens written", least=0, most=10**9),
            whole("cached", "Of these from the cache", required=False, least=0, most=10**9),
            LAYERS,
            whole("attention_width", "Width of attention", required=False, most=10**6),
        ),
        _request,
        (
            Example(
                "8 billion parameters, part of the prompt cached",
                {"parameters": "8e9", "tokens_in": "1000", "tokens_out": "200", "cached": "400"},
            ),
        ),
    ),
    Calculator(
        "serving-compute",
        GROUP,
        "Inference compute from tokens and the model card",
        "FLOP of a year's tokens, with the energy that was metered as cross-check.",
        "C = tokens x FLOP per token; implied utilisation = (W / peak) / (J per FLOP)",
        f"{KAPLAN}; peak and power from the makers' data sheets",
        (
            whole("tokens", "Tokens", help="Read and written, by the billing log.", most=10**24),
            positive("flop_per_token", "FLOP for one token", "FLOP", help="As the model card declares: about 2 N."),
            Input("it_kwh", "Energy of the computers", "kWh", required=False, above=True),
            Input("watts", "Power of one device", "W", required=False, above=True, most=Decimal(10**6)),
            replace(PEAK, required=False),
        ),
        _serving,
        (
            Example(
                "A trillion tokens of an 8 billion model",
                {"tokens": "1e12", "flop_per_token": "16e9", "it_kwh": "25000", "watts": "700", "peak": "989.4e12"},
            ),
        ),
    ),
)
