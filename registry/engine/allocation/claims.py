"""Claims to free permits: what each method needs to know about one operator and product, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact

HIGHEST_FACTOR = Decimal("1.5")
"""Assistance and adjustment factors lie between 0 and this guard; above it a typing mistake is likelier than a law."""
"""Assistance and adjustment factors lie between 0 and this guard; above it a typing mistake is likelier than a law."""


class Metric(StrEnum):
    """What a scheme counts."""

    FLOP = "flop"
    CO2E = "co2e"


class Method(StrEnum):
    """How a claim to free permits is worked out."""

    AI_ALLOWANCE = "AI_ALLOWANCE"
    PRODUCT_BENCHMARK = "PRODUCT_BENCHMARK"
    GRANDFATHERING = "GRANDFATHERING"
    GRANDFATHERING_MEDIAN = "GRANDFATHERING_MEDIAN"


@dataclass(frozen=True)
class Adjustment:
    """One factor on a claim beside those of its method, by the name an auditor reads: cap factor, leakage, days."""

    name: str
    factor: Exact


@dataclass(frozen=True)
class AiAllowanceClaim:
    """A = O x B x C for one operator and product; E is needed in a `flop` scheme only."""

    operator: str
    product: str
    output_flop: Exact
    benchmark_j_per_flop: Exact
    assistance_factor: Exact
    own_j_per_flop: Exact | None = None
    adjustments: tuple[Adjustment, ...] = ()

    method = Method.AI_ALLOWANCE


@dataclass(frozen=True)
class ProductBenchmarkClaim:
    """Output x benchmark x factor, the benchmark in base units of the scheme per unit of output."""

    operator: str
    product: str
    output: Exact
    benchmark: Exact
    factor: Exact
    adjustments: tuple[Adjustment, ...] = ()

    method = Method.PRODUCT_BENCHMARK


@dataclass(frozen=True)
class GrandfatheringClaim:
    """Share x mean use over the base years, in base units; a year without a verified figure is None, not zero."""

    operator: str
    product: str
    use_by_year: Mapping[int, Exact | None]
    share: Exact
    adjustments: tuple[Adjustment, ...] = ()

    method = Method.GRANDFATHERING


@dataclass(frozen=True)
class GrandfatheringMedianClaim(GrandfatheringClaim):
    """Share x median use over the base years: one exceptional year moves nothing."""

    method = Method.GRANDFATHERING_MEDIAN


OutputClaim = AiAllowanceClaim | ProductBenchmarkClaim
Claim = OutputClaim | GrandfatheringClaim


def claim_contradictions(claim: Claim, metric: Metric) -> list[Refusal]:
    """List what is wrong inside one claim."""
    bounds: list[tuple[str, Exact | None, bool, Decimal | None]]
    if isinstance(claim, AiAllowanceClaim):
        bounds = [
            ("output", claim.output_flop, False, None),
            ("benchmark", claim.benchmark_j_per_flop, True, None),
            ("assistance factor", claim.assistance_factor, False, HIGHEST_FACTOR),
        ]
        if metric is Metric.FLOP:
            bounds.append(("own energy per FLOP", claim.own_j_per_flop, True, None))
    elif isinstance(claim, ProductBenchmarkClaim):
        bounds = [
            ("output", claim.output, False, None),
            ("benchmark", claim.benchmark, True, None),
            ("factor", claim.factor, False, HIGHEST_FACTOR),
        ]
    else:
        uses = {year: use for year, use in claim.use_by_year.items() if use is not None}
        bounds = [("share", claim.share, False, Decimal(1))]
        bounds += [(f"use of {year}", use, False, None) for year, use in uses.items()]
        if not uses:
            sentence = f"{claim.operator}: give the verified use of at least one base year, or use another method."
            return [Refusal("no_base_year", sentence)]
    bounds += [(adjustment.name, adjustment.factor, False, HIGHEST_FACTOR) for adjustment in claim.adjustments]
    return [
        Refusal("figure_out_of_range", f"{claim.operator}, {claim.method}, {claim.product}: the {name} {what}.")
        for name, value, positive, highest in bounds
        if (what := out_of_range(value, positive, highest))
    ]


def out_of_range(value: Exact | None, positive: bool, highest: Decimal | None) -> str:
    """Say what is wrong with a figure, or nothing."""
    if value is None:
        return "is missing"
    if exact(value) < 0 or (positive and exact(value) == 0):
        return "must be above zero" if positive else "cannot be negative"
    if highest is not None and exact(value) > highest:
        return f"must not be above {highest}"
    return ""
