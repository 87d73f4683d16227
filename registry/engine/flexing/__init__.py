"""Two-tier inference: which hours are high-carbon, what flexing requests avoided, and what a tariff would be worth.

The scheme is that of Siris et al. (arXiv 2605.27309). Its equations are not public in a form that we could read, so the
formulas here are this project's own formalisation of it, written down in docs/guides/green-inference.md.

What is claimed is exact: whole numbers of 10^-12 kWh, 10^-6 g per kWh and 10^-6 g, rounded against the claimant. What
is planned is an estimate in binary floats, and every such figure is named `estimated_`.
"""

from registry.engine.flexing.assessing import Assessment, assess
from registry.engine.flexing.avoided import BASELINE_RULE, Avoided, HourAvoided, Rebound, avoided, rebound
from registry.engine.flexing.checks import Check, hours_in_words
from registry.engine.flexing.facts import (
    FULL,
    GREEN,
    DayAhead,
    Facts,
    Flexed,
    Point,
    Served,
    Terms,
    document,
    facts_from_document,
)
from registry.engine.flexing.hours import HighHours, high_hours
from registry.engine.flexing.planning import (
    ANY_HOUR,
    Estimate,
    Floors,
    GridYear,
    Offer,
    Prices,
    Scenario,
    ServedAt,
    Taste,
    best_offer,
    estimate,
    offers_by_hours,
)
from registry.engine.flexing.sensitivity import Sensitivity, sensitivities

__all__ = [
    "ANY_HOUR",
    "BASELINE_RULE",
    "FULL",
    "GREEN",
    "Assessment",
    "Avoided",
    "Check",
    "DayAhead",
    "Estimate",
    "Facts",
    "Flexed",
    "Floors",
    "GridYear",
    "HighHours",
    "HourAvoided",
    "Offer",
    "Point",
    "Prices",
    "Rebound",
    "Scenario",
    "Sensitivity",
    "Served",
    "ServedAt",
    "Taste",
    "Terms",
    "assess",
    "avoided",
    "best_offer",
    "document",
    "estimate",
    "facts_from_document",
    "high_hours",
    "hours_in_words",
    "offers_by_hours",
    "rebound",
    "sensitivities",
]
