"""The lines of an allocation: each claim worked out step by step, in the units of the scheme."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

from registry.engine.allocation.claims import (
    AiAllowanceClaim,
    Claim,
    GrandfatheringClaim,
    GrandfatheringMedianClaim,
    Metric,
    ProductBenchmarkClaim,
)
from registry.engine.allocation.inputs import AllocationInputs, TrueUp
from registry.engine.allocation.results import AllocationLine, Step
from registry.engine.emissions import JOULES_PER_KWH
from registry.engine.rounding import Exact, exact

GRAMS_PER_TONNE = 1_000_000


def base_units(metric: Metric, size: Exact) -> Fraction:
    """Return what one permit covers in base units: FLOP as the rules say it, or t CO2e where the rules say grams."""
    return exact(size) if metric is Metric.FLOP else exact(size) / GRAMS_PER_TONNE


def worked_out(claim: Claim, inputs: AllocationInputs) -> AllocationLine:
    """Work one claim out, step by step."""
    if isinstance(claim, AiAllowanceClaim):
        steps = _ai_allowance_steps(claim, inputs)
    elif isinstance(claim, ProductBenchmarkClaim):
        steps = _product_benchmark_steps(claim, inputs.metric)
    else:
        steps = _grandfathering_steps(claim, inputs.metric)
    steps = (*steps, *_adjustment_steps(claim, steps[-1]))
    claimed = steps[-1].value / exact(inputs.permit_size)
    last = Step("permits", f"{steps[-1].name} / permit size", claimed, "permits")
    return AllocationLine(claim.operator, claim.method, claim.product, (*steps, last), claimed)


def worked_out_true_up(true_up: TrueUp, inputs: AllocationInputs) -> AllocationLine:
    """Work out what an earlier year was given too little (above zero) or too much (below zero), in exact permits.

    (O_actual - O_used) x B x AF x c of that year: the claim on the actual output less the claim on the output used.
    """
    actual = worked_out(true_up.claim, inputs)
    if isinstance(true_up.claim, AiAllowanceClaim):
        used = worked_out(replace(true_up.claim, output_flop=true_up.output_used), inputs)
    else:
        used = worked_out(replace(true_up.claim, output=true_up.output_used), inputs)
    difference = actual.claimed_permits - used.claimed_permits
    steps = (
        *actual.steps[:-1],
        Step("on actual output", actual.steps[-1].formula, actual.claimed_permits, "permits"),
        Step("on output used", used.steps[-1].formula, used.claimed_permits, "permits"),
        Step("true-up", "on actual output - on output used", difference, "permits"),
    )
    return AllocationLine(actual.operator, actual.method, actual.product, steps, difference)


def _ai_allowance_steps(claim: AiAllowanceClaim, inputs: AllocationInputs) -> tuple[Step, ...]:
    """A = O x B x C in joules, then the base units of the scheme that this energy stands for."""
    output, benchmark = exact(claim.output_flop), exact(claim.benchmark_j_per_flop)
    factor = exact(claim.assistance_factor)
    allowance = output * benchmark * factor
    given = (
        Step("O", "verified output", output, "FLOP"),
        Step("B", "sector benchmark", benchmark, "J/FLOP"),
        Step("C", "assistance factor", factor, "1"),
        Step("A", "O x B x C", allowance, "J"),
    )
    if inputs.metric is Metric.FLOP:
        assert claim.own_j_per_flop is not None
        own = exact(claim.own_j_per_flop)
        return (
            *given,
            Step("E", "own verified energy per FLOP", own, "J/FLOP"),
            Step("F", "A / E", allowance / own, "FLOP"),
        )
    assert inputs.intensity_g_per_kwh is not None
    energy, intensity = allowance / JOULES_PER_KWH, exact(inputs.intensity_g_per_kwh)
    return (
        *given,
        Step("A in kWh", "A / 3,600,000", energy, "kWh"),
        Step("I", "scheme intensity", intensity, "g CO2e/kWh"),
        Step("M", "A in kWh x I / 1,000,000", energy * intensity / GRAMS_PER_TONNE, "t CO2e"),
    )


def _product_benchmark_steps(claim: ProductBenchmarkClaim, metric: Metric) -> tuple[Step, ...]:
    """Output x benchmark x factor."""
    output, benchmark, factor = exact(claim.output), exact(claim.benchmark), exact(claim.factor)
    return (
        Step("output", "verified output", output, claim.product),
        Step("benchmark", "product benchmark", benchmark, f"{base_unit(metric)} per {claim.product}"),
        Step("factor", "adjustment factor", factor, "1"),
        Step("claim", "output x benchmark x factor", output * benchmark * factor, base_unit(metric)),
    )


def _grandfathering_steps(claim: GrandfatheringClaim, metric: Metric) -> tuple[Step, ...]:
    """Share x mean or median use over the base years that have a verified figure."""
    seen = {year: exact(use) for year, use in sorted(claim.use_by_year.items()) if use is not None}
    average, name = (median, "median") if isinstance(claim, GrandfatheringMedianClaim) else (mean, "mean")
    past, share, unit = average(list(seen.values())), exact(claim.share), base_unit(metric)
    years = tuple(Step(f"use {year}", "verified use", use, unit) for year, use in seen.items())
    return (
        *years,
        Step(name, f"{name} of {len(seen)} of {len(claim.use_by_year)} base years", past, unit),
        Step("share", "share of past use", share, "1"),
        Step("claim", f"{name} x share", past * share, unit),
    )


def mean(values: Sequence[Fraction]) -> Fraction:
    """Return the arithmetic mean of at least one value, exactly."""
    return sum(values, Fraction(0)) / len(values)


def median(values: Sequence[Fraction]) -> Fraction:
    """Return the middle value, of an even number the mean of the two in the middle, exactly."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _adjustment_steps(claim: Claim, last: Step) -> tuple[Step, ...]:
    """Multiply a claim by its adjustments, one after the other, in the order of their names."""
    if not claim.adjustments:
        return ()
    ordered = sorted(claim.adjustments, key=lambda adjustment: (adjustment.name, exact(adjustment.factor)))
    factors = tuple(Step(adjustment.name, "adjustment", exact(adjustment.factor), "1") for adjustment in ordered)
    formula = " x ".join([last.name, *(adjustment.name for adjustment in ordered)])
    return (*factors, Step("adjusted", formula, last.value * prod(step.value for step in factors), last.unit))


def base_unit(metric: Metric) -> str:
    return "FLOP" if metric is Metric.FLOP else "t CO2e"
