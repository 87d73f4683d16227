"""Free allocation: who gets how many permits of a cap, by which method, with every figure on the way.

`allocate` divides one cap into free permits, an academic set-aside and the rest for auction. The three sum to the cap
exactly. Its inputs are one frozen value with a canonical document and a hash, so that a stranger who holds the
published document gets the same lines.

Units. Outputs and energy are exact. One permit is `permit_size` base units; the base unit is the FLOP in a `flop`
scheme and the tonne of CO2e in a `co2e` scheme.

The AI allowance A = O x B x C is an energy: O in FLOP, B in J per FLOP, C without unit, so A in joules. (A benchmark
"in watts per FLOP" has no meaning over a year.) An energy is neither a FLOP nor a tonne, so the permits that follow
from it depend on the metric of the scheme (docs/decisions/0003-ai-allowance-units.md says why):

- `flop`: the firm's usable compute F = A / E with its own verified E in J per FLOP, so permits = A / E / permit_size.
  Who needs less energy per FLOP than the benchmark gets more FLOP permits than it used, and can sell.
- `co2e`: the energy at the one intensity the regulator publishes for the scheme, so permits = kWh x g/kWh / 10^6 /
  permit_size. The firm's own grid does not enter: clean power shows as fewer tonnes owed, and in C.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from registry.engine.emissions import JOULES_PER_KWH
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact, exact_text, floor_permits, share_pool

INPUTS_FORMAT = "headroom.allocation-inputs/1"
RESULT_FORMAT = "headroom.allocation-result/1"

GRAMS_PER_TONNE = 1_000_000

HIGHEST_FACTOR = Decimal("1.5")
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


@dataclass(frozen=True)
class AiAllowanceClaim:
    """A = O x B x C for one operator and product; E is needed in a `flop` scheme only."""

    operator: str
    product: str
    output_flop: Exact
    benchmark_j_per_flop: Exact
    assistance_factor: Exact
    own_j_per_flop: Exact | None = None

    method = Method.AI_ALLOWANCE


@dataclass(frozen=True)
class ProductBenchmarkClaim:
    """Output x benchmark x factor, the benchmark in base units of the scheme per unit of output."""

    operator: str
    product: str
    output: Exact
    benchmark: Exact
    factor: Exact

    method = Method.PRODUCT_BENCHMARK


@dataclass(frozen=True)
class GrandfatheringClaim:
    """Share x mean use over the base years, in base units; a year without a verified figure is None, not zero."""

    operator: str
    product: str
    use_by_year: Mapping[int, Exact | None]
    share: Exact

    method = Method.GRANDFATHERING


@dataclass(frozen=True)
class SetAsideNeed:
    """The permits an eligible lab has proved it needs beyond what the free methods give it."""

    operator: str
    cohort: str
    permits: int


Claim = AiAllowanceClaim | ProductBenchmarkClaim | GrandfatheringClaim


@dataclass(frozen=True)
class AllocationInputs:
    """Everything an allocation depends on. Pools are whole permits; what nobody gets goes to auction.

    `permit_size` is in the base unit (FLOP or t CO2e) and may be a fraction of it.
    """

    scheme: str
    period: str
    metric: Metric
    permit_size: Exact
    cap: int
    free_pool: int
    set_aside_pool: int
    claims: tuple[Claim, ...]
    set_aside_needs: tuple[SetAsideNeed, ...] = ()
    intensity_g_per_kwh: Exact | None = None


@dataclass(frozen=True)
class Step:
    """One figure on the way from the inputs to a claim."""

    name: str
    formula: str
    value: Fraction
    unit: str


@dataclass(frozen=True)
class AllocationLine:
    """One claim, worked out step by step; `claimed_permits` is exact, before any correction or rounding."""

    operator: str
    method: Method
    product: str
    steps: tuple[Step, ...]
    claimed_permits: Fraction


@dataclass(frozen=True)
class Award:
    """What one operator gets: all its claims together, corrected, cut to whole permits, plus its set-aside.

    `remainder` is corrected_permits - free_permits: what the cut left (R2), or, where the pool ran short, what the
    largest-remainder rule took (above zero) or gave (below zero).
    """

    operator: str
    claimed_permits: Fraction
    corrected_permits: Fraction
    free_permits: int
    remainder: Fraction
    set_aside_need: int
    set_aside_permits: int

    @property
    def permits(self) -> int:
        """All permits this operator receives."""
        return self.free_permits + self.set_aside_permits


@dataclass(frozen=True)
class AllocationResult:
    """The division of one cap. Where there are refusals nothing was allocated and every other figure is empty."""

    inputs_hash: str
    cap: int
    lines: tuple[AllocationLine, ...] = ()
    awards: tuple[Award, ...] = ()
    claimed_permits: Fraction = Fraction(0)
    correction_factor: Fraction = Fraction(1)
    free_permits: int = 0
    set_aside_permits: int = 0
    auction_permits: int = 0
    remainder: Fraction = Fraction(0)
    refusals: tuple[Refusal, ...] = ()


def allocate(inputs: AllocationInputs) -> AllocationResult:
    """Divide the cap: free permits by claim, the set-aside by proven need, all the rest to auction.

    Claims above the free pool are cut by one correction factor and shared by rule R3, so that the pool is used up
    exactly; claims that fit are each floored by rule R2. The set-aside is shared in proportion up to proven need.
    """
    found = contradictions(inputs)
    if found:
        return AllocationResult(inputs_hash(inputs), inputs.cap, refusals=found)

    lines = tuple(_line(claim, inputs) for claim in _in_order(inputs))
    claimed: dict[str, Fraction] = {}
    for line in lines:
        claimed[line.operator] = claimed.get(line.operator, Fraction(0)) + line.claimed_permits
    total = sum(claimed.values(), Fraction(0))
    factor = min(Fraction(1), Fraction(inputs.free_pool) / total) if total else Fraction(1)
    if factor < 1:
        free = share_pool(inputs.free_pool, claimed)
    else:
        free = {operator: floor_permits(claim).permits for operator, claim in claimed.items()}

    needs = {need.operator: need.permits for need in inputs.set_aside_needs}
    oversubscribed = sum(needs.values()) > inputs.set_aside_pool
    set_aside = share_pool(inputs.set_aside_pool, needs) if oversubscribed else needs

    awards = tuple(
        Award(
            operator=operator,
            claimed_permits=claimed.get(operator, Fraction(0)),
            corrected_permits=claimed.get(operator, Fraction(0)) * factor,
            free_permits=free.get(operator, 0),
            remainder=claimed.get(operator, Fraction(0)) * factor - free.get(operator, 0),
            set_aside_need=needs.get(operator, 0),
            set_aside_permits=set_aside.get(operator, 0),
        )
        for operator in sorted(claimed.keys() | needs.keys())
    )
    free_permits, set_aside_permits = sum(free.values()), sum(set_aside.values())
    auction_permits = inputs.cap - free_permits - set_aside_permits
    assert free_permits <= inputs.free_pool
    assert set_aside_permits <= inputs.set_aside_pool
    assert auction_permits >= 0
    return AllocationResult(
        inputs_hash=inputs_hash(inputs),
        cap=inputs.cap,
        lines=lines,
        awards=awards,
        claimed_permits=total,
        correction_factor=factor,
        free_permits=free_permits,
        set_aside_permits=set_aside_permits,
        auction_permits=auction_permits,
        remainder=sum((award.remainder for award in awards), Fraction(0)),
    )


def contradictions(inputs: AllocationInputs) -> tuple[Refusal, ...]:
    """List everything in the inputs that cannot be law, so that a regulator can correct all of it at once."""
    found = []
    if exact(inputs.permit_size) <= 0:
        found.append(Refusal("permit_size_out_of_range", "A permit must stand for more than zero base units."))
    if min(inputs.cap, inputs.free_pool, inputs.set_aside_pool) < 0:
        found.append(Refusal("pool_out_of_range", "The cap and its pools cannot be negative."))
    if inputs.free_pool + inputs.set_aside_pool > inputs.cap:
        found.append(
            Refusal(
                "pools_exceed_cap",
                f"The free pool ({inputs.free_pool:,}) and the set-aside ({inputs.set_aside_pool:,}) together exceed "
                f"the cap ({inputs.cap:,}): lower one of them or raise the cap.",
            )
        )
    wants_intensity = inputs.metric is Metric.CO2E and any(isinstance(c, AiAllowanceClaim) for c in inputs.claims)
    if wants_intensity and (inputs.intensity_g_per_kwh is None or exact(inputs.intensity_g_per_kwh) < 0):
        found.append(
            Refusal(
                "intensity_missing", "AI allowances in a CO2e scheme need the scheme's intensity in g CO2e per kWh."
            )
        )
    found += _repetitions([(c.operator, c.method.value, c.product) for c in inputs.claims], "claim_twice")
    found += _repetitions([(need.operator, "set-aside") for need in inputs.set_aside_needs], "need_twice")
    for need in inputs.set_aside_needs:
        if need.permits < 0:
            found.append(Refusal("need_out_of_range", f"{need.operator}: a proven need cannot be negative."))
    for claim in inputs.claims:
        found += _claim_contradictions(claim, inputs.metric)
    return tuple(found)


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
        "intensity_g_per_kwh": _text_or_none(inputs.intensity_g_per_kwh),
        "claims": [_claim_document(claim) for claim in _in_order(inputs)],
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
        claims=tuple(_claim_from_document(claim) for claim in document["claims"]),
        set_aside_needs=tuple(
            SetAsideNeed(need["operator"], need["cohort"], int(need["permits"])) for need in document["set_aside_needs"]
        ),
        intensity_g_per_kwh=_exact_or_none(document["intensity_g_per_kwh"]),
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


def _in_order(inputs: AllocationInputs) -> list[Claim]:
    return sorted(inputs.claims, key=lambda claim: (claim.operator, claim.method.value, claim.product))


def _line(claim: Claim, inputs: AllocationInputs) -> AllocationLine:
    """Work one claim out, step by step."""
    if isinstance(claim, AiAllowanceClaim):
        steps = _ai_allowance_steps(claim, inputs)
    elif isinstance(claim, ProductBenchmarkClaim):
        steps = _product_benchmark_steps(claim, inputs.metric)
    else:
        steps = _grandfathering_steps(claim, inputs.metric)
    claimed = steps[-1].value / exact(inputs.permit_size)
    last = Step("permits", f"{steps[-1].name} / permit size", claimed, "permits")
    return AllocationLine(claim.operator, claim.method, claim.product, (*steps, last), claimed)


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
        Step("benchmark", "product benchmark", benchmark, f"{_base_unit(metric)} per {claim.product}"),
        Step("factor", "adjustment factor", factor, "1"),
        Step("claim", "output x benchmark x factor", output * benchmark * factor, _base_unit(metric)),
    )


def _grandfathering_steps(claim: GrandfatheringClaim, metric: Metric) -> tuple[Step, ...]:
    """Share x mean use over the base years that have a verified figure."""
    seen = {year: exact(use) for year, use in sorted(claim.use_by_year.items()) if use is not None}
    mean = sum(seen.values(), Fraction(0)) / len(seen)
    share, unit = exact(claim.share), _base_unit(metric)
    years = tuple(Step(f"use {year}", "verified use", use, unit) for year, use in seen.items())
    return (
        *years,
        Step("mean", f"mean of {len(seen)} of {len(claim.use_by_year)} base years", mean, unit),
        Step("share", "share of past use", share, "1"),
        Step("claim", "mean x share", mean * share, unit),
    )


def _base_unit(metric: Metric) -> str:
    return "FLOP" if metric is Metric.FLOP else "t CO2e"


def _claim_contradictions(claim: Claim, metric: Metric) -> list[Refusal]:
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
    return [
        Refusal("figure_out_of_range", f"{claim.operator}, {claim.method}, {claim.product}: the {name} {what}.")
        for name, value, positive, highest in bounds
        if (what := _out_of_range(value, positive, highest))
    ]


def _out_of_range(value: Exact | None, positive: bool, highest: Decimal | None) -> str:
    """Say what is wrong with a figure, or nothing."""
    if value is None:
        return "is missing"
    if exact(value) < 0 or (positive and exact(value) == 0):
        return "must be above zero" if positive else "cannot be negative"
    if highest is not None and exact(value) > highest:
        return f"must not be above {highest}"
    return ""


def _repetitions(keys: list[tuple[str, ...]], code: str) -> list[Refusal]:
    """Refuse every key that stands in the list more than once."""
    repeated = sorted(key for key, times in Counter(keys).items() if times > 1)
    return [
        Refusal(code, f"{', '.join(key)} stands in the inputs more than once: merge the entries.") for key in repeated
    ]


def _claim_document(claim: Claim) -> dict[str, Any]:
    """Return one claim as a JSON-able document."""
    document: dict[str, Any] = {"operator": claim.operator, "method": claim.method.value, "product": claim.product}
    if isinstance(claim, AiAllowanceClaim):
        document["output_flop"] = exact_text(claim.output_flop)
        document["benchmark_j_per_flop"] = exact_text(claim.benchmark_j_per_flop)
        document["assistance_factor"] = exact_text(claim.assistance_factor)
        document["own_j_per_flop"] = _text_or_none(claim.own_j_per_flop)
    elif isinstance(claim, ProductBenchmarkClaim):
        document["output"] = exact_text(claim.output)
        document["benchmark"] = exact_text(claim.benchmark)
        document["factor"] = exact_text(claim.factor)
    else:
        document["use_by_year"] = {str(year): _text_or_none(use) for year, use in sorted(claim.use_by_year.items())}
        document["share"] = exact_text(claim.share)
    return document


def _claim_from_document(document: Mapping[str, Any]) -> Claim:
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
                own_j_per_flop=_exact_or_none(document["own_j_per_flop"]),
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
            use = {int(year): _exact_or_none(text) for year, text in document["use_by_year"].items()}
            return GrandfatheringClaim(operator, product, use_by_year=use, share=exact(document["share"]))


def _text_or_none(value: Exact | None) -> str | None:
    return None if value is None else exact_text(value)


def _exact_or_none(text: str | None) -> Fraction | None:
    return None if text is None else exact(text)
