"""The published documents of an allocation: one canonical form for its inputs, with a hash, and one for its result."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from registry.engine.allocation.claims import (
    Adjustment,
    AiAllowanceClaim,
    Claim,
    GrandfatheringClaim,
    GrandfatheringMedianClaim,
    Method,
    Metric,
    OutputClaim,
    ProductBenchmarkClaim,
)
from registry.engine.allocation.inputs import AllocationInputs, Standing, TrueUp, in_order
from registry.engine.allocation.pools import (
    Application,
    Leftover,
    NewEntrantPool,
    Reserve,
    SetAsideNeed,
    SetAsidePool,
)
from registry.engine.allocation.results import RESULT_FORMAT, AllocationLine, AllocationResult, Award
from registry.engine.canonical import sha256
from registry.engine.rounding import Exact, exact, exact_text

INPUTS_FORMAT, INPUTS_FORMAT_2 = "headroom.allocation-inputs/1", "headroom.allocation-inputs/2"
"""Inputs are written in the first form that can say them, so that what was once published keeps its hash."""


def is_first_format(inputs: AllocationInputs) -> bool:
    """Say whether the first form can say these inputs: they use nothing that came with the second."""
    beyond = any(
        (
            inputs.set_asides,
            inputs.new_entrants,
            inputs.reserves,
            inputs.transfers,
            inputs.hold_back,
            inputs.true_ups,
            inputs.standings,
            inputs.consigned,
        )
    )
    adjusted = any(claim.adjustments or isinstance(claim, GrandfatheringMedianClaim) for claim in inputs.claims)
    return inputs.correction and not beyond and not adjusted


def inputs_document(inputs: AllocationInputs) -> dict[str, Any]:
    """Return the inputs as one canonical JSON-able document: figures as exact text, claims in a fixed order.

    Two inputs that mean the same (1.10 or 1.1, claims in another order) give the same document.
    """
    first = is_first_format(inputs)
    document = {
        "format": INPUTS_FORMAT if first else INPUTS_FORMAT_2,
        "scheme": inputs.scheme,
        "period": inputs.period,
        "metric": inputs.metric.value,
        "permit_size": exact_text(inputs.permit_size),
        "cap": str(inputs.cap),
        "free_pool": str(inputs.free_pool),
        "set_aside_pool": str(inputs.set_aside_pool),
        "intensity_g_per_kwh": text_or_none(inputs.intensity_g_per_kwh),
        "claims": [claim_document(claim, with_adjustments=not first) for claim in in_order(inputs)],
        "set_aside_needs": [
            {"operator": need.operator, "cohort": need.cohort, "permits": str(need.permits)}
            for need in sorted(inputs.set_aside_needs, key=lambda need: (need.operator, need.cohort))
        ],
    }
    return document if first else document | _second_part(inputs)


def inputs_from_document(document: Mapping[str, Any]) -> AllocationInputs:
    """Rebuild the inputs from their document, as an approval does at execution and an auditor at home."""
    if document["format"] not in (INPUTS_FORMAT, INPUTS_FORMAT_2):
        raise ValueError(f"{document['format']!r} is neither {INPUTS_FORMAT} nor {INPUTS_FORMAT_2}")
    inputs = AllocationInputs(
        scheme=document["scheme"],
        period=document["period"],
        metric=Metric(document["metric"]),
        permit_size=exact(document["permit_size"]),
        cap=int(document["cap"]),
        free_pool=int(document["free_pool"]),
        set_aside_pool=int(document["set_aside_pool"]),
        claims=tuple(claim_from_document(claim) for claim in document["claims"]),
        set_aside_needs=tuple(
            SetAsideNeed(need["operator"], need["cohort"], int(need["permits"])) for need in document["set_aside_needs"]
        ),
        intensity_g_per_kwh=exact_or_none(document["intensity_g_per_kwh"]),
    )
    return inputs if document["format"] == INPUTS_FORMAT else _with_second_part(inputs, document)


def inputs_hash(inputs: AllocationInputs) -> str:
    """Return the SHA-256 of the canonical document, as lower-case hex."""
    return sha256(inputs_document(inputs))


def result_document(result: AllocationResult) -> dict[str, Any]:
    """Return the result as one JSON-able document, for publication and for comparing two runs line by line."""
    first = result.format == RESULT_FORMAT
    document = {
        "format": result.format,
        "inputs_hash": result.inputs_hash,
        "cap": str(result.cap),
        "claimed_permits": exact_text(result.claimed_permits),
        "correction_factor": exact_text(result.correction_factor),
        "free_permits": str(result.free_permits),
        "set_aside_permits": str(result.set_aside_permits),
        "auction_permits": str(result.auction_permits),
        "remainder": exact_text(result.remainder),
        "lines": [line_document(line) for line in result.lines],
        "awards": [_award_document(award, first) for award in result.awards],
        "refusals": [{"code": refusal.code, "sentence": refusal.sentence} for refusal in result.refusals],
    }
    return document if first else document | _second_result_part(result)


def _award_document(award: Award, first: bool) -> dict[str, Any]:
    """Return what one operator gets as a JSON-able document."""
    document: dict[str, Any] = {
        "operator": award.operator,
        "claimed_permits": exact_text(award.claimed_permits),
        "corrected_permits": exact_text(award.corrected_permits),
        "free_permits": str(award.free_permits),
        "remainder": exact_text(award.remainder),
        "set_aside_need": str(award.set_aside_need),
        "set_aside_permits": str(award.set_aside_permits),
        "permits": str(award.permits),
    }
    if first:
        return document
    return document | {
        "entitled_permits": str(award.entitled_permits),
        "true_up": exact_text(award.true_up),
        "delivered_before": str(award.delivered_before),
        "clawback": str(award.clawback),
        "debt_before": str(award.debt_before),
        "debt": str(award.debt),
        "new_entrant_permits": str(award.new_entrant_permits),
        "consigned": award.consigned,
    }


def _second_result_part(result: AllocationResult) -> dict[str, Any]:
    """Return the figures that came with the second form."""
    return {
        "true_up_lines": [line_document(line) for line in result.true_up_lines],
        "new_entrant_permits": str(result.new_entrant_permits),
        "kept_permits": str(result.kept_permits),
        "next_year_permits": str(result.next_year_permits),
        "cancelled_permits": str(result.cancelled_permits),
        "delivered_before": str(result.delivered_before),
        "clawback_permits": str(result.clawback_permits),
        "transfers": str(result.transfers),
        "warnings": [{"code": notice.code, "sentence": notice.sentence} for notice in result.warnings],
    }


def line_document(line: AllocationLine) -> dict[str, Any]:
    """Return one line as a JSON-able document."""
    return {
        "operator": line.operator,
        "method": line.method.value,
        "product": line.product,
        "steps": [
            {"name": step.name, "formula": step.formula, "value": exact_text(step.value), "unit": step.unit}
            for step in line.steps
        ],
        "claimed_permits": exact_text(line.claimed_permits),
    }


def _second_part(inputs: AllocationInputs) -> dict[str, Any]:
    """Return what the second form of the inputs can say beyond the first."""
    pool = inputs.new_entrants
    return {
        "correction": inputs.correction,
        "set_asides": [
            {"cohort": pool.cohort, "permits": str(pool.permits), "leftover": pool.leftover.value}
            for pool in sorted(inputs.set_asides, key=lambda pool: pool.cohort)
        ],
        "new_entrants": None
        if pool is None
        else {
            "permits": str(pool.permits),
            "leftover": pool.leftover.value,
            "closed": pool.closed,
            "applications": [
                {
                    "operator": application.operator,
                    "complete_at": _instant_text(application.complete_at),
                    "permits": str(application.permits),
                }
                for application in sorted(pool.applications, key=lambda application: application.operator)
            ],
        },
        "reserves": [
            {"name": reserve.name, "permits": str(reserve.permits)}
            for reserve in sorted(inputs.reserves, key=lambda reserve: reserve.name)
        ],
        "transfers": str(inputs.transfers),
        "hold_back": inputs.hold_back,
        "true_ups": [
            {
                "claim": claim_document(true_up.claim, with_adjustments=True),
                "output_used": exact_text(true_up.output_used),
            }
            for true_up in sorted(
                inputs.true_ups, key=lambda found: (found.claim.operator, found.claim.method, found.claim.product)
            )
        ],
        "standings": [
            {"operator": standing.operator, "delivered": str(standing.delivered), "debt": str(standing.debt)}
            for standing in sorted(inputs.standings, key=lambda standing: standing.operator)
        ],
        "consigned": sorted(inputs.consigned),
    }


def _with_second_part(inputs: AllocationInputs, document: Mapping[str, Any]) -> AllocationInputs:
    """Add to the inputs what only the second form says."""
    pool = document["new_entrants"]
    return replace(
        inputs,
        correction=_yes_or_no(document["correction"]),
        set_asides=tuple(
            SetAsidePool(pool["cohort"], int(pool["permits"]), Leftover(pool["leftover"]))
            for pool in document["set_asides"]
        ),
        new_entrants=None
        if pool is None
        else NewEntrantPool(
            permits=int(pool["permits"]),
            applications=tuple(
                Application(found["operator"], datetime.fromisoformat(found["complete_at"]), int(found["permits"]))
                for found in pool["applications"]
            ),
            leftover=Leftover(pool["leftover"]),
            closed=_yes_or_no(pool["closed"]),
        ),
        reserves=tuple(Reserve(found["name"], int(found["permits"])) for found in document["reserves"]),
        transfers=int(document["transfers"]),
        hold_back=_yes_or_no(document["hold_back"]),
        true_ups=tuple(
            TrueUp(_output_claim(claim_from_document(found["claim"])), exact(found["output_used"]))
            for found in document["true_ups"]
        ),
        standings=tuple(
            Standing(found["operator"], int(found["delivered"]), int(found["debt"])) for found in document["standings"]
        ),
        consigned=tuple(document["consigned"]),
    )


def _output_claim(claim: Claim) -> OutputClaim:
    """Return a claim on output; a true-up of past use has no meaning."""
    if isinstance(claim, GrandfatheringClaim):
        raise ValueError(f"{claim.operator}, {claim.product}: only a claim on output can be trued up")
    return claim


def _yes_or_no(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _instant_text(instant: datetime) -> str:
    """Write an instant in UTC, so that one instant has one text."""
    return (instant.astimezone(UTC) if instant.tzinfo else instant).isoformat()


def claim_document(claim: Claim, with_adjustments: bool = False) -> dict[str, Any]:
    """Return one claim as a JSON-able document."""
    document: dict[str, Any] = {"operator": claim.operator, "method": claim.method.value, "product": claim.product}
    if isinstance(claim, AiAllowanceClaim):
        document["output_flop"] = exact_text(claim.output_flop)
        document["benchmark_j_per_flop"] = exact_text(claim.benchmark_j_per_flop)
        document["assistance_factor"] = exact_text(claim.assistance_factor)
        document["own_j_per_flop"] = text_or_none(claim.own_j_per_flop)
    elif isinstance(claim, ProductBenchmarkClaim):
        document["output"] = exact_text(claim.output)
        document["benchmark"] = exact_text(claim.benchmark)
        document["factor"] = exact_text(claim.factor)
    else:
        document["use_by_year"] = {str(year): text_or_none(use) for year, use in sorted(claim.use_by_year.items())}
        document["share"] = exact_text(claim.share)
    if with_adjustments:
        ordered = sorted((adjustment.name, exact(adjustment.factor)) for adjustment in claim.adjustments)
        document["adjustments"] = [{"name": name, "factor": exact_text(factor)} for name, factor in ordered]
    return document


def claim_from_document(document: Mapping[str, Any]) -> Claim:
    """Rebuild one claim from its document."""
    operator, product = document["operator"], document["product"]
    adjustments = tuple(Adjustment(found["name"], exact(found["factor"])) for found in document.get("adjustments", ()))
    match Method(document["method"]):
        case Method.AI_ALLOWANCE:
            return AiAllowanceClaim(
                operator,
                product,
                output_flop=exact(document["output_flop"]),
                benchmark_j_per_flop=exact(document["benchmark_j_per_flop"]),
                assistance_factor=exact(document["assistance_factor"]),
                own_j_per_flop=exact_or_none(document["own_j_per_flop"]),
                adjustments=adjustments,
            )
        case Method.PRODUCT_BENCHMARK:
            return ProductBenchmarkClaim(
                operator,
                product,
                output=exact(document["output"]),
                benchmark=exact(document["benchmark"]),
                factor=exact(document["factor"]),
                adjustments=adjustments,
            )
        case Method.GRANDFATHERING | Method.GRANDFATHERING_MEDIAN as method:
            kind = GrandfatheringClaim if method is Method.GRANDFATHERING else GrandfatheringMedianClaim
            use = {int(year): exact_or_none(text) for year, text in document["use_by_year"].items()}
            return kind(operator, product, use_by_year=use, share=exact(document["share"]), adjustments=adjustments)


def text_or_none(value: Exact | None) -> str | None:
    return None if value is None else exact_text(value)


def exact_or_none(text: str | None) -> Fraction | None:
    return None if text is None else exact(text)
