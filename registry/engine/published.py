"""Published training runs: figures anybody can look up, against which the calculators are tested.

Organisations appear here only as the sources of published figures. Energy and emissions are what the source printed;
`tolerance` is how far its rounded arithmetic may lie from exact arithmetic on the inputs beside it.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class PublishedRun:
    """One training run: its inputs, and the energy and location-based emissions that were printed for it."""

    model: str
    organisation: str
    year: int
    device_hours: Decimal
    watts: Decimal
    pue: Decimal
    kg_per_kwh: Decimal
    energy_kwh: Decimal | None
    emissions_t: Decimal | None
    tolerance: Decimal
    source: str


@dataclass(frozen=True)
class PublishedCompute:
    """One training run's size: active parameters, tokens seen, and the FLOP that follow by 6 N D."""

    model: str
    organisation: str
    year: int
    active_parameters: int
    tokens: int
    training_flop: int
    source: str


def _run(model: str, organisation: str, year: int, source: str, figures: str) -> PublishedRun:
    """Read one row: device hours, W, PUE, kg/kWh, MWh (or -), t (or -), tolerance."""
    hours, watts, pue, intensity, mwh, tonnes, tolerance = figures.split()
    return PublishedRun(
        model=model,
        organisation=organisation,
        year=year,
        device_hours=Decimal(hours),
        watts=Decimal(watts),
        pue=Decimal(pue),
        kg_per_kwh=Decimal(intensity),
        energy_kwh=None if mwh == "-" else Decimal(mwh) * 1000,
        emissions_t=None if tonnes == "-" else Decimal(tonnes),
        tolerance=Decimal(tolerance),
        source=source,
    )


PATTERSON = "Patterson et al. 2021, arXiv 2104.10350, table 4"
LUCCIONI = "Luccioni et al. 2022, arXiv 2211.02001"
LLAMA = "Touvron et al. 2023, arXiv 2302.13971, table 15"
LLAMA_2 = "Touvron et al. 2023, arXiv 2307.09288, table 2; PUE 1.1 and 0.385 kg/kWh inferred, they fit all four rows"
PALM = "Chowdhery et al. 2022, arXiv 2204.02311"
MODEL_CARD = "Llama 3.1 model card, location-based; 0.414 kg/kWh inferred"
CODE_LLAMA = "Code Llama model card; 0.408 kg/kWh inferred"
EPOCH = "Epoch AI, Data on AI Models, epoch.ai, CC BY 4.0"

# Device hours are devices x days x 24 where the source gives days.
RUNS = (
    _run("GPT-3", "OpenAI", 2020, PATTERSON, "3552000 330 1.10 0.429 1287 552.1 0.02"),
    _run("T5", "Google", 2019, PATTERSON, "245760 310 1.12 0.545 85.7 46.7 0.02"),
    _run("Meena", "Google", 2020, PATTERSON, "737280 289 1.09 0.415 232 96.4 0.02"),
    _run("GShard 600B", "Google", 2020, PATTERSON, "76185.6 288 1.09 0.201 24.1 4.8 0.02"),
    _run("GShard 600B net of clean purchases", "Google", 2020, PATTERSON, "76185.6 288 1.09 0.177 24.1 4.3 0.02"),
    _run("Switch 1.5T", "Google", 2021, PATTERSON, "663552 245 1.10 0.403 179 72.2 0.02"),
    _run("Switch 1.5T net of clean purchases", "Google", 2021, PATTERSON, "663552 245 1.10 0.330 179 59.1 0.02"),
    _run("Evolved Transformer NAS", "Google", 2019, PATTERSON, "32640 208 1.10 0.431 7.5 3.2 0.02"),
    _run("BLOOM 176B", "BigScience", 2022, LUCCIONI, "1082990 400 1 0.057 433.196 24.7 0.005"),
    _run("BLOOM 176B at the US mix", "BigScience", 2022, LLAMA, "1082880 400 1.1 0.385 475 183 0.01"),
    _run("OPT-175B", "Meta AI", 2022, LLAMA, "809472 400 1.1 0.385 356 137 0.01"),
    _run("LLaMA 7B", "Meta AI", 2023, LLAMA, "82432 400 1.1 0.385 36 14 0.01"),
    _run("LLaMA 13B", "Meta AI", 2023, LLAMA, "135168 400 1.1 0.385 59 23 0.01"),
    _run("LLaMA 33B", "Meta AI", 2023, LLAMA, "530432 400 1.1 0.385 233 90 0.01"),
    _run("LLaMA 65B", "Meta AI", 2023, LLAMA, "1022362 400 1.1 0.385 449 173 0.01"),
    _run("Llama 2 7B", "Meta AI", 2023, LLAMA_2, "184320 400 1.1 0.385 - 31.22 0.001"),
    _run("Llama 2 13B", "Meta AI", 2023, LLAMA_2, "368640 400 1.1 0.385 - 62.44 0.001"),
    _run("Llama 2 34B", "Meta AI", 2023, LLAMA_2, "1038336 350 1.1 0.385 - 153.90 0.001"),
    _run("Llama 2 70B", "Meta AI", 2023, LLAMA_2, "1720320 400 1.1 0.385 - 291.42 0.001"),
    _run("Code Llama", "Meta AI", 2023, CODE_LLAMA, "1400000 400 1 0.408 - 228.55 0.005"),
    _run("Llama 3.1", "Meta AI", 2024, MODEL_CARD, "39300000 700 1 0.414 - 11390 0.005"),
    _run("PaLM 540B", "Google", 2022, PALM, "8404992 378.5 1.08 0.079 3436 271.43 0.001"),
)

COMPUTE = (
    PublishedCompute("GPT-3", "OpenAI", 2020, 175 * 10**9, 300 * 10**9, 315 * 10**21, EPOCH),
    PublishedCompute("PaLM 540B", "Google", 2022, 540 * 10**9, 780 * 10**9, 25_272 * 10**20, EPOCH),
    PublishedCompute("DeepSeek-V3", "DeepSeek", 2024, 37 * 10**9, 14_800 * 10**9, 32_856 * 10**20, EPOCH),
    PublishedCompute("Kimi K2", "Moonshot", 2025, 32 * 10**9, 15_500 * 10**9, 2_976 * 10**21, EPOCH),
)
