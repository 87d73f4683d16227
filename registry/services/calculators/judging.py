"""Calculators that compare and classify: scores, thresholds, the bridge between units, and what does not fit."""

from datetime import datetime
from decimal import Decimal

from registry.engine.emissions import (
    COUNTING,
    GENERAL_PURPOSE_FLOP,
    HARDWARE,
    MODIFIER_SHARE,
    SYSTEMIC_RISK_FLOP,
    Bridge,
    CalculationStep,
    Figures,
    ModelClass,
    Phase,
    StarRule,
    classify,
    findings,
    from_flop,
    from_grams,
    from_kwh,
    memory_gb,
    modifier_is_provider,
    size_class,
    stars,
)
from registry.engine.prior import compare_training, expected_training
from registry.services import reference
from registry.services.calculators.parts import (
    Calculator,
    Example,
    Figure,
    Input,
    InputRefused,
    Kind,
    Outcome,
    Said,
    check,
    choice,
    positive,
    whole,
)

GROUP = "Scores, thresholds and checks"
ENERGY_SCORE = "AI Energy Score, documentation of the leaderboard"
AI_ACT = "Regulation (EU) 2024/1689, Articles 51 and 52; Guidelines C(2025) 7719"


def _class(said: Said, now: datetime) -> Outcome:
    billions, bits = said.decimal("billions"), int(said.text("bits"))
    needed = memory_gb(billions, bits)
    return Outcome(
        (Figure("Class", size_class(billions, bits)), Figure("Memory", needed, "GB")),
        (
            CalculationStep("memory of this model", needed, "GB"),
            CalculationStep("most of class A", memory_gb(20, 16), "GB"),
            CalculationStep("most of class B", memory_gb(66, 16), "GB"),
        ),
    )


def _stars(said: Said, now: datetime) -> Outcome:
    board: dict[str, Decimal] = {}
    for name, wh in said.rows("board"):
        check(name not in board, "board", "model_twice", f"{name} stands there twice.")
        board[str(name)] = Decimal(str(wh))
    found = stars(board, StarRule(said.text("rule")), said.day("on"))
    ranked = sorted(found.stars.items(), key=lambda one: (-one[1], one[0]))
    return Outcome(
        tuple(Figure(name, given, "stars" if given != 1 else "star") for name, given in ranked),
        found.steps,
        (f"By the rule {found.rule.replace('_', ' ')}, on the leaderboard of {found.on.isoformat()}.",),
    )


CLASSES = {
    ModelClass.BELOW: "no general-purpose model by its compute",
    ModelClass.GENERAL_PURPOSE: "general-purpose model",
    ModelClass.SYSTEMIC_RISK: "systemic risk is presumed",
}
PHASES = {
    Phase.PRETRAINING: "Pre-training",
    Phase.FINETUNING: "Fine-tuning",
    Phase.REINFORCEMENT: "Reinforcement",
    Phase.PRIVATE_SYNTHETIC_DATA: "Synthetic data kept private",
    Phase.PUBLIC_SYNTHETIC_DATA: "Synthetic data made public",
    Phase.EVALUATION: "Evaluation",
}


def _thresholds(said: Said, now: datetime) -> Outcome:
    found = classify([(phase, said.decimal(phase.value)) for phase in Phase], generates=said.tick("generates"))
    limits = (
        CalculationStep("general-purpose above", GENERAL_PURPOSE_FLOP, "FLOP"),
        CalculationStep("systemic risk above", SYSTEMIC_RISK_FLOP, "FLOP"),
    )
    return Outcome(
        (Figure("Class", CLASSES[found.model_class]), Figure("Counts", found.counted_flop, "FLOP")),
        (*found.steps, *limits),
        ("A presumption by compute alone: the authority decides, and has other criteria too.",),
    )


def _modifier(said: Said, now: datetime) -> Outcome:
    original = said.maybe("original")
    systemic = said.tick("systemic")
    stand_in = SYSTEMIC_RISK_FLOP if systemic else GENERAL_PURPOSE_FLOP
    is_provider = modifier_is_provider(said.decimal("modification"), original, systemic_original=systemic)
    compared = stand_in if original is None else original
    return Outcome(
        (Figure("Who modifies it becomes", "the provider of a new model" if is_provider else "no provider by it"),),
        (
            CalculationStep("compute of the modification", said.decimal("modification"), "FLOP"),
            CalculationStep(
                "compute of the original" if original is not None else "threshold in its place", compared, "FLOP"
            ),
            CalculationStep("provider above this share", MODIFIER_SHARE, ""),
        ),
    )


def _bridge(said: Said, now: datetime) -> Outcome:
    bridge = Bridge(said.decimal("joules_per_flop"), said.decimal("intensity"), said.day("on"), said.text("source"))
    cross = {"flop": from_flop, "kwh": from_kwh, "g": from_grams}[said.text("unit")]
    found = cross(bridge, said.decimal("amount"))
    return Outcome(
        (
            Figure("Compute", found.flop, "FLOP"),
            Figure("Energy", found.kwh, "kWh"),
            Figure("Emissions", found.grams / 10**6, "t CO2e"),
        ),
        found.steps,
        (f"By rates of {bridge.on.isoformat()} ({bridge.source}): a comparison, never an obligation.",),
    )


def _does_not_fit(said: Said, now: datetime) -> Outcome:
    hardware = said.text("hardware")
    found = findings(
        Figures(
            kwh=said.maybe("kwh"),
            claimed_kg=said.maybe("claimed_kg"),
            g_per_kwh=said.maybe("intensity"),
            pue=said.maybe("pue"),
            flop=said.maybe("flop"),
            hardware="" if hardware == "other" else hardware,
            devices=said.whole("devices") or None,
            duration_s=said.decimal("hours") * 3600 if said.has("hours") else None,
            rated_watts=Decimal(HARDWARE[hardware].watts) if hardware in HARDWARE else None,
            peak_flop_per_second=HARDWARE[hardware].peak_flop_per_second if hardware in HARDWARE else None,
            active_parameters=said.whole("parameters") or None,
            tokens=said.whole("tokens") or None,
            requests=said.whole("requests") or None,
            last_year_kwh=said.maybe("last_year_kwh"),
        )
    )
    return Outcome(
        (Figure("Does not fit", str(len(found)) if found else "nothing"),),
        tuple(CalculationStep(f"expected instead of {one.code}", one.expected, "") for one in found),
        tuple(one.sentence for one in found) or ("Nothing contradicts itself in what was filled in.",),
    )


def _prior(said: Said, now: datetime) -> Outcome:
    known = reference.known_trainings()
    check(bool(known), "model", "nothing_loaded", "No published trainings are loaded yet: the desk loads them.")
    found = expected_training(
        known,
        model=said.text("model"),
        parameters=said.maybe("parameters"),
        hardware=said.text("hardware"),
        organisation=said.text("organisation"),
    )
    if found is None:
        name = next((one for one in ("model", "parameters", "hardware", "organisation") if said.has(one)), "model")
        raise InputRefused(name, "nothing_comparable", "Nothing comparable is published: say more of the training.")
    figures = [
        Figure("Middle", found.median_flop, "FLOP"),
        Figure("Lowest", found.lowest_flop, "FLOP"),
        Figure("Highest", found.highest_flop, "FLOP"),
    ]
    notes = [f"Compared by {found.basis} with {', '.join(found.models[:10])}."]
    flop = said.maybe("flop")
    if flop is not None:
        held = compare_training(int(flop), found)
        figures.append(Figure("Yours over the middle", held.times_median))
        notes.append(f"Your figure lies {held.verdict} the range. Outside of it asks for an explanation, no more.")
    notes.append(reference.credit())
    return Outcome(tuple(figures), (), tuple(notes))


CALCULATORS = (
    Calculator(
        "size-class",
        GROUP,
        "AI Energy Score: class by size",
        "In which class a text generator competes.",
        "M = P x 4 x Q / 32 x 1.2 GB; class A up to 20 billion at 16 bits, B up to 66, else C",
        ENERGY_SCORE,
        (
            positive("billions", "Parameters", "billion", most=Decimal(100_000)),
            choice("bits", "Bits of a weight", [("16", "16"), ("8", "8"), ("4", "4"), ("32", "32")]),
        ),
        _class,
        (
            Example("70 billion at 16 bits", {"billions": "70", "bits": "16"}),
            Example("70 billion at 4 bits", {"billions": "70", "bits": "4"}),
        ),
    ),
    Calculator(
        "stars",
        GROUP,
        "AI Energy Score: stars",
        "One to five stars by the Wh of 1,000 queries, on one leaderboard and day.",
        "Five equal parts of the range, or five equal parts of the ranking: the scheme describes both",
        ENERGY_SCORE,
        (
            choice(
                "rule",
                "Rule",
                [("equal_width", "Equal parts of the range"), ("quintile", "Equal parts of the ranking")],
            ),
            Input(
                "board",
                "Leaderboard",
                "Wh",
                "One model a line, with its Wh per 1,000 queries. No spaces in names.",
                kind=Kind.ROWS,
                columns=(Input("model", "a model", kind=Kind.TEXT), Input("wh", "its Wh", most=Decimal(10**9))),
                most_rows=1000,
            ),
            Input("on", "Day of the leaderboard", kind=Kind.DAY),
        ),
        _stars,
        (
            Example(
                "Five models by the range",
                {"rule": "equal_width", "board": "ant 1\nbee 2\ncat 3\ndog 4\nelk 101", "on": "2026-02-01"},
            ),
            Example(
                "The same by the ranking",
                {"rule": "quintile", "board": "ant 1\nbee 2\ncat 3\ndog 4\nelk 101", "on": "2026-02-01"},
            ),
        ),
    ),
    Calculator(
        "thresholds",
        GROUP,
        "Thresholds of the EU AI Act",
        "What the compute of a model makes it.",
        "General-purpose above 10^23 FLOP, systemic risk presumed above 10^25; exactly that much is not above",
        AI_ACT,
        (
            Input(
                "generates",
                "It generates language, or images or video from text",
                kind=Kind.TICK,
                required=False,
            ),
            *(
                Input(
                    phase.value,
                    label,
                    "FLOP",
                    "" if phase in COUNTING else "Does not count.",
                    default="0",
                )
                for phase, label in PHASES.items()
            ),
        ),
        _thresholds,
        (
            Example(
                "Exactly 10^25, with evaluation",
                {"generates": "on", "pretraining": "1e25", "evaluation": "1e24"},
            ),
            Example("GPT-3", {"generates": "on", "pretraining": "3.15e23"}),
        ),
    ),
    Calculator(
        "modifier",
        GROUP,
        "Who modifies a model",
        "Whether a modification makes its author a provider under the EU AI Act.",
        "Provider above a third of the original's compute; where that is unknown, of the threshold of its class",
        AI_ACT,
        (
            Input("modification", "Compute of the modification", "FLOP"),
            Input("original", "Compute of the original", "FLOP", required=False, above=True),
            Input("systemic", "The original poses a systemic risk", kind=Kind.TICK, required=False),
        ),
        _modifier,
        (
            Example("A third exactly", {"modification": "1e24", "original": "3e24"}),
            Example("Original unknown, systemic", {"modification": "4e24", "systemic": "on"}),
        ),
    ),
    Calculator(
        "bridge",
        GROUP,
        "From FLOP to energy to emissions, and back",
        "One quantity in three units, by dated rates.",
        "kWh = FLOP x J/FLOP / 3,600,000; g = kWh x g/kWh",
        "Rates as you give them, with their day and source",
        (
            Input("amount", "Amount"),
            choice("unit", "Unit", [("flop", "FLOP"), ("kwh", "kWh at the site"), ("g", "g CO2e")]),
            positive("joules_per_flop", "Efficiency", "J/FLOP", most=Decimal(1)),
            positive("intensity", "Intensity", "g CO2e/kWh", most=Decimal(5000)),
            Input("on", "Rates of", kind=Kind.DAY),
            Input("source", "Their source", kind=Kind.TEXT),
        ),
        _bridge,
        (
            Example(
                "10^27 FLOP in a year",
                {
                    "amount": "1e27",
                    "unit": "flop",
                    "joules_per_flop": "1.117e-12",
                    "intensity": "412",
                    "on": "2026-01-01",
                    "source": "a year of verified reports",
                },
            ),
        ),
    ),
    Calculator(
        "plausibility",
        GROUP,
        "What does not fit",
        "Figures of one activity held against each other. It asks and never rejects.",
        "Sums, factors, PUE, physical bounds, utilisation, tokens, energy per request, change from last year",
        "Data sheets of the hardware; docs/guides/calculators.md names every check",
        (
            Input("kwh", "Energy at the site", "kWh", required=False),
            Input("claimed_kg", "Claimed emissions", "kg CO2e", required=False),
            Input("intensity", "Factor of the table", "g CO2e/kWh", required=False, most=Decimal(5000)),
            Input("pue", "PUE", required=False, above=True, most=Decimal(100)),
            Input("flop", "Compute", "FLOP", required=False),
            choice("hardware", "Hardware", [("other", "Another, or not said"), *((name, name) for name in HARDWARE)]),
            whole("devices", "Devices", required=False, most=10**9),
            Input("hours", "Duration", "h", required=False, most=Decimal(10**6)),
            whole("parameters", "Active parameters", required=False),
            whole("tokens", "Tokens", required=False),
            whole("requests", "Requests, of text", required=False),
            Input("last_year_kwh", "Energy of last year", "kWh", required=False),
        ),
        _does_not_fit,
        (
            Example(
                "GPT-3 as it is often quoted",
                {"kwh": "1287000", "claimed_kg": "502000", "intensity": "429", "pue": "1.10", "hardware": "V100"},
                "1,287 MWh and 502 t are of the same paper, one with the PUE and one without.",
            ),
            Example("Less energy than physics allows", {"kwh": "1", "flop": "1e19", "hardware": "H100"}),
        ),
    ),
    Calculator(
        "training-prior",
        GROUP,
        "What published trainings lead to expect",
        "A training beside comparable ones: the same model, its size, its hardware or its organisation.",
        "The most telling group of at least three; 90 per cent of confident figures lie within a factor of 3",
        reference.CREDIT,
        (
            Input("model", "Model", help="As in GPT-4.", kind=Kind.TEXT, required=False),
            Input("parameters", "Parameters", required=False, above=True, most=Decimal(10**18)),
            Input("hardware", "Hardware", help="As in NVIDIA A100.", kind=Kind.TEXT, required=False),
            Input("organisation", "Organisation", kind=Kind.TEXT, required=False),
            Input("flop", "Your figure", "FLOP", required=False, least=Decimal(1)),
        ),
        _prior,
        (Example("70 billion parameters", {"parameters": "70e9", "flop": "6e24"}),),
        estimates=True,
    ),
)
