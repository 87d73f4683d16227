"""Calculators that model what nobody measured: LLMCarbon and EcoLogits. Their results are estimates and say so."""

from datetime import datetime
from decimal import Decimal

from registry.engine.emissions import (
    CARBON_PER_AREA_KG,
    LIFE_DAYS,
    Part,
    Range,
    RequestModel,
    TrainingSetup,
    estimated_active_billions,
    estimated_gpu_count,
    estimated_request,
    estimated_teraflop_per_second,
    modelled_embodied,
    modelled_training,
)
from registry.services.calculators.compute import PARAMETERS, PEAK, TOKENS
from registry.services.calculators.energy import WATTS
from registry.services.calculators.parts import (
    PUE,
    Calculator,
    Example,
    Figure,
    Input,
    Kind,
    Outcome,
    Said,
    check,
    choice,
    positive,
    share,
    whole,
)

GROUP = "Estimates"
LLMCARBON = "LLMCarbon, arXiv 2309.14393"
BILLIONS = Decimal(100_000)


def _training(said: Said, now: datetime) -> Outcome:
    check(said.decimal("efficiency") > 0, "efficiency", "out_of_range", "Enter a number above 0 to 1.")
    found = modelled_training(
        TrainingSetup(
            active_parameters=said.whole("parameters"),
            tokens=said.whole("tokens"),
            devices=said.whole("devices"),
            system_watts=said.decimal("watts"),
            peak_flop_per_second=said.decimal("peak"),
            efficiency=said.decimal("efficiency"),
            pue=said.decimal("pue"),
            kg_per_kwh=said.decimal("kg_per_kwh"),
        )
    )
    return Outcome(
        (
            Figure("Emissions", found.tonnes, "t CO2e"),
            Figure("Energy at the site", found.mwh, "MWh"),
            Figure("Training time", found.days, "days"),
        ),
        found.steps,
        ("A model of a training and no measurement of it.",),
    )


def _embodied(said: Said, now: datetime) -> Outcome:
    parts = []
    for name, size, count in said.rows("parts"):
        known = ", ".join(CARBON_PER_AREA_KG)
        check(name in CARBON_PER_AREA_KG, "parts", "part_unknown", f"Write one of {known}, not {name}.")
        assert isinstance(size, Decimal), "a column of numbers"
        parts.append(Part(str(name), size, CARBON_PER_AREA_KG[str(name)], int(str(count))))
    found = modelled_embodied(parts, said.decimal("days"))
    return Outcome(
        (Figure("Of the making", found.tonnes, "t CO2e"),),
        found.steps,
        (f"The making is spread over {LIFE_DAYS} days. It is reported and never owed.",),
    )


def _hardware(said: Said, now: datetime) -> Outcome:
    parameters = float(said.decimal("parameters"))
    return Outcome(
        (
            Figure("GPUs", estimated_gpu_count(parameters)),
            Figure("Achieved by each", estimated_teraflop_per_second(parameters), "TFLOP/s"),
        ),
        (),
        ("Fits of runs of 2021 to 2023: for historic comparison only.",),
    )


def _request(said: Said, now: datetime) -> Outcome:
    total = float(said.decimal("total_billions"))
    active = said.maybe("active_billions")
    if said.text("shape") == "proprietary":
        working = estimated_active_billions(total)
    elif said.text("shape") == "dense":
        working = Range(total, total)
    else:
        check(active is not None, "active_billions", "active_missing", "Say how many parameters are active.")
        fits = active is not None and active <= said.decimal("total_billions")
        check(fits, "active_billions", "more_active_than_all", "At most all parameters are active.")
        working = Range(float(active or 0), float(active or 0))
    lowest, highest = said.decimal("pue"), said.maybe("pue_high") or said.decimal("pue")
    check(lowest <= highest, "pue_high", "range_reversed", "The upper end lies above the lower one.")
    model = RequestModel(
        active_billions=working,
        total_billions=Range(total, total),
        pue=Range(float(lowest), float(highest)),
        kg_per_kwh=float(said.decimal("intensity")) / 1000,
        wue_on_site=float(said.decimal("wue_on_site")),
        wue_off_site=float(said.decimal("wue_off_site")),
        bits=int(said.text("bits")),
    )
    measured = said.maybe("seconds")
    found = estimated_request(model, said.whole("tokens_out"), None if measured is None else float(measured))
    return Outcome(
        (
            _between("Energy", found.energy_kwh, "Wh", 1000),
            _between("Emissions of use", found.usage_kg, "g CO2e", 1000),
            _between("Of the making", found.embodied_kg, "g CO2e", 1000),
            _between("Water", found.water_l, "mL", 1000),
        ),
        found.steps,
        ("Prompt tokens and the network are not in the model. Measure where you can.",),
    )


def _between(label: str, ends: Range, unit: str, times: int) -> Figure:
    low, high = ends.low * times, ends.high * times
    return Figure(label, low, unit, None if low == high else high)


CALCULATORS = (
    Calculator(
        "llmcarbon",
        GROUP,
        "LLMCarbon: a training",
        "Days, energy and emissions of a training from its size and machines.",
        "days = 6 P D / (devices x peak x efficiency) / 86400; t = devices x W x 24 h x days x PUE x kg/kWh",
        LLMCARBON,
        (
            PARAMETERS,
            TOKENS,
            whole("devices", "Devices", most=10**9),
            WATTS,
            PEAK,
            share("efficiency", "Efficiency", help="Achieved over peak speed."),
            PUE,
            Input("kg_per_kwh", "Intensity", "kg CO2e/kWh", most=Decimal(5)),
        ),
        _training,
        tuple(
            Example(
                name,
                dict(
                    zip(
                        ("parameters", "tokens", "devices", "watts", "peak", "efficiency", "pue", "kg_per_kwh"),
                        typed.split(),
                        strict=True,
                    )
                ),
                f"Published: {tonnes} t ({LLMCARBON}).",
            )
            for name, typed, tonnes in (
                ("T5", "11e9 600e9 512 310 123e12 0.37 1.12 0.545", "45.74"),
                ("GPT-3", "175e9 300e9 10000 330 125e12 0.197 1.1 0.429", "553.3"),
                ("XLM", "0.55e9 7000e9 512 342 125e12 0.212 1.1 0.413", "37.6"),
            )
        ),
        estimates=True,
    ),
    Calculator(
        "llmcarbon-embodied",
        GROUP,
        "LLMCarbon: the making of the hardware",
        "The share of making chips, memory and disks that a run answers for.",
        "t = sum of cm2 or GB x kg for each x count, x days / 1825 / 1000",
        f"{LLMCARBON}, table 3",
        (
            Input(
                "parts",
                "Parts",
                help=f"One a line: {', '.join(CARBON_PER_AREA_KG)}; cm2 of chip or GB; how many.",
                kind=Kind.ROWS,
                columns=(
                    Input("part", "a part", kind=Kind.TEXT),
                    Input("size", "its cm2 or GB", most=Decimal(10**9)),
                    whole("count", "how many", most=10**9),
                ),
            ),
            Input("days", "Days of the run", "days", most=Decimal(10**5)),
        ),
        _embodied,
        (
            Example("512 V100 for 20.4 days", {"parts": "V100 8.15 512", "days": "20.4"}),
            Example(
                "XLM's servers without the rest",
                {"parts": "CPU 1.47 64\nDRAM 256 64\nSSD 32768 64\nV100 8.15 512", "days": "20.4"},
            ),
        ),
        estimates=True,
    ),
    Calculator(
        "llmcarbon-hardware",
        GROUP,
        "LLMCarbon: GPUs of a training of 2021 to 2023",
        "How many GPUs such a run used, and how fast each was.",
        "Two polynomials of second degree in the number of parameters, fitted to published runs",
        LLMCARBON,
        (Input("parameters", "Parameters", above=True, most=Decimal(10**12)),),
        _hardware,
        (Example("GPT-3", {"parameters": "175e9"}),),
        estimates=True,
    ),
    Calculator(
        "request-estimate",
        GROUP,
        "A request by the EcoLogits model",
        "Energy, emissions and water of a request when only its tokens are known.",
        "E = PUE x (server 1.2 kW x seconds x GPUs / 8 / 64 + GPUs x tokens x energy per token)",
        "EcoLogits, release 0.11.3, method CC BY-SA 4.0",
        (
            positive("total_billions", "Parameters", "billion", most=BILLIONS),
            choice(
                "shape",
                "Architecture",
                [
                    ("dense", "Dense: all are active"),
                    ("moe", "Mixture of experts, active parameters known"),
                    ("proprietary", "Mixture of experts, nothing published: 10 to 30 per cent"),
                ],
            ),
            Input("active_billions", "Of these active", "billion", required=False, above=True, most=BILLIONS),
            whole("tokens_out", "Tokens written", most=10**9),
            Input("pue", "PUE", default="1.2", least=Decimal(1), most=Decimal(10)),
            Input("pue_high", "PUE, upper end", required=False, least=Decimal(1), most=Decimal(10)),
            Input("intensity", "Intensity", "g CO2e/kWh", default="475", most=Decimal(5000)),
            choice("bits", "Bits of a weight", [("16", "16"), ("8", "8"), ("4", "4"), ("32", "32")]),
            Input("seconds", "Measured duration", "s", required=False, above=True, most=Decimal(10**6)),
            Input("wue_on_site", "Water on site", "L/kWh", default="0", most=Decimal(100)),
            Input("wue_off_site", "Water of the electricity", "L/kWh", default="0", most=Decimal(100)),
        ),
        _request,
        (
            Example(
                "250 tokens of a proprietary model",
                {
                    "total_billions": "176",
                    "shape": "proprietary",
                    "tokens_out": "250",
                    "pue": "1.2",
                    "intensity": "400",
                },
            ),
            Example(
                "400 tokens of an open 8 billion model",
                {"total_billions": "8", "shape": "dense", "tokens_out": "400", "pue": "1.2", "intensity": "475"},
            ),
        ),
        estimates=True,
    ),
)
