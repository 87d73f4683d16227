"""Thresholds of the EU AI Act for general-purpose models (Articles 51 and 52; Guidelines C(2025) 7719).

Every threshold is passed only by more than it: a model of exactly 10^25 FLOP poses no presumed systemic risk. What
counts into the cumulative compute is known to us from the guidelines' content and was not read again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from registry.engine.emissions.steps import CalculationStep
from registry.engine.rounding import Exact, exact, exact_sum

GENERAL_PURPOSE_FLOP = 10**23
SYSTEMIC_RISK_FLOP = 10**25
MODIFIER_SHARE = Fraction(1, 3)
NOTICE_DAYS = 14


class ModelClass(StrEnum):
    """What the compute of a model makes it."""

    BELOW = "below"
    GENERAL_PURPOSE = "general_purpose"
    SYSTEMIC_RISK = "systemic_risk"


class Phase(StrEnum):
    """What compute was used for."""

    PRETRAINING = "pretraining"
    FINETUNING = "finetuning"
    REINFORCEMENT = "reinforcement"
    PRIVATE_SYNTHETIC_DATA = "private_synthetic_data"
    PUBLIC_SYNTHETIC_DATA = "public_synthetic_data"
    EVALUATION = "evaluation"


COUNTING = frozenset({Phase.PRETRAINING, Phase.FINETUNING, Phase.REINFORCEMENT, Phase.PRIVATE_SYNTHETIC_DATA})
"""Synthetic data that anybody can get and pure evaluation do not count."""


@dataclass(frozen=True)
class Classification:
    """The class of a model with the compute that counted."""

    model_class: ModelClass
    counted_flop: Fraction
    steps: tuple[CalculationStep, ...]


def classify(activities: Sequence[tuple[Phase, Exact]], *, generates: bool) -> Classification:
    """Return the class of a model from all activities that led to it, each with its FLOP.

    `generates` says that it makes language, images from text or video from text: the indicative threshold of 10^23
    asks for it, the presumption of systemic risk above 10^25 is for general-purpose models only.
    """
    counted = exact_sum(exact(flop) for phase, flop in activities if phase in COUNTING)
    left_out = exact_sum(exact(flop) for phase, flop in activities if phase not in COUNTING)
    found = ModelClass.BELOW
    if generates and counted > GENERAL_PURPOSE_FLOP:
        found = ModelClass.SYSTEMIC_RISK if counted > SYSTEMIC_RISK_FLOP else ModelClass.GENERAL_PURPOSE
    steps = (
        CalculationStep("counts", counted, "FLOP"),
        CalculationStep("does not count", left_out, "FLOP"),
    )
    return Classification(found, counted, steps)


def modifier_is_provider(
    modification_flop: Exact, original_flop: Exact | None, *, systemic_original: bool = False
) -> bool:
    """Say whether who modified a model became the provider of a new one: by more than a third of its compute.

    Where the original's compute is unknown, a third of the threshold of its class takes its place.
    """
    if original_flop is None:
        original_flop = SYSTEMIC_RISK_FLOP if systemic_original else GENERAL_PURPOSE_FLOP
    return exact(modification_flop) > MODIFIER_SHARE * exact(original_flop)
