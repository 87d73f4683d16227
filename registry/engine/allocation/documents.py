"""The published documents of an allocation: one canonical form for its inputs, with a hash, and one for its result."""

import hashlib
import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from registry.engine.allocation.claims import (
    AiAllowanceClaim,
    Claim,
    GrandfatheringClaim,
    Method,
    Metric,
    ProductBenchmarkClaim,
)
from registry.engine.allocation.inputs import AllocationInputs, SetAsideNeed, in_order
from registry.engine.allocation.results import AllocationLine, AllocationResult
from registry.engine.rounding import Exact, exact, exact_text

INPUTS_FORMAT = "headroom.allocation-inputs/1"
RESULT_FORMAT = "headroom.allocation-result/1"


def inputs_document(inputs: AllocationInputs) -> dict[str, Any]:
    """Return the inputs as one canonical JSON-able document: figures as exact text, claims in a fixed order.

    Two inputs that mean the same (1.10 or 1.1, claims in another order) give the same document.
    """
    return {
        "format": INPUTS_FORMAT,
        "scheme": inputs.scheme,
        "period": inputs.period,
        "metric": inputs.metric.value,
        "permit_size": exact_text(inputs.permit_size),
        "cap": str(inputs.cap),
        "free_pool": str(inputs.free_pool),
        "set_aside_pool": str(inputs.set_aside_pool),
        "intensity_g_per_kwh": text_or_none(inputs.intensity_g_per_kwh),
        "claims": [claim_document(claim) for claim in in_order(inputs)],
        "set_aside_needs": [
            {"operator": need.operator, "cohort": need.cohort, "permits": str(need.permits)}
            for need in sorted(inputs.set_aside_needs, key=lambda need: (need.operator, need.cohort))
        ],
    }


def inputs_from_document(document: Mapping[str, Any]) -> AllocationInputs:
    """Rebuild the inputs from their document, as an approval does at execution and an auditor at home."""
    if document["format"] != INPUTS_FORMAT:
        raise ValueError(f"{document['format']!r} is not {INPUTS_FORMAT}")
    return AllocationInputs(
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


def inputs_hash(inputs: AllocationInputs) -> str:
    """Return the SHA-256 of the canonical document, as lower-case hex."""
    return hashlib.sha256(canonical_json(inputs_document(inputs))).hexdigest()


def result_document(result: AllocationResult) -> dict[str, Any]:
    """Return the result as one JSON-able document, for publication and for comparing two runs line by line."""
    return {
        "format": RESULT_FORMAT,
        "inputs_hash": result.inputs_hash,
        "cap": str(result.cap),
        "claimed_permits": exact_text(result.claimed_permits),
        "correction_factor": exact_text(result.correction_factor),
        "free_permits": str(result.free_permits),
        "set_aside_permits": str(result.set_aside_permits),
        "auction_permits": str(result.auction_permits),
        "remainder": exact_text(result.remainder),
        "lines": [line_document(line) for line in result.lines],
        "awards": [
            {
                "operator": award.operator,
                "claimed_permits": exact_text(award.claimed_permits),
                "corrected_permits": exact_text(award.corrected_permits),
                "free_permits": str(award.free_permits),
                "remainder": exact_text(award.remainder),
                "set_aside_need": str(award.set_aside_need),
                "set_aside_permits": str(award.set_aside_permits),
                "permits": str(award.permits),
            }
            for award in result.awards
        ],
        "refusals": [{"code": refusal.code, "sentence": refusal.sentence} for refusal in result.refusals],
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


def canonical_json(document: Mapping[str, Any]) -> bytes:
    """Write a document in the one form that is hashed: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def claim_document(claim: Claim) -> dict[str, Any]:
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
    return document


def claim_from_document(document: Mapping[str, Any]) -> Claim:
    """Rebuild one claim from its document."""
    operator, product = document["operator"], document["product"]
    match Method(document["method"]):
        case Method.AI_ALLOWANCE:
            return AiAllowanceClaim(
                operator,
                product,
                output_flop=exact(document["output_flop"]),
                benchmark_j_per_flop=exact(document["benchmark_j_per_flop"]),
                assistance_factor=exact(document["assistance_factor"]),
                own_j_per_flop=exact_or_none(document["own_j_per_flop"]),
            )
        case Method.PRODUCT_BENCHMARK:
            return ProductBenchmarkClaim(
                operator,
                product,
                output=exact(document["output"]),
                benchmark=exact(document["benchmark"]),
                factor=exact(document["factor"]),
            )
        case Method.GRANDFATHERING:
            use = {int(year): exact_or_none(text) for year, text in document["use_by_year"].items()}
            return GrandfatheringClaim(operator, product, use_by_year=use, share=exact(document["share"]))


def text_or_none(value: Exact | None) -> str | None:
    return None if value is None else exact_text(value)


def exact_or_none(text: str | None) -> Fraction | None:
    return None if text is None else exact(text)
