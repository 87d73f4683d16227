"""What an allocation depends on, as one frozen value, and everything in it that cannot be law."""

from collections import Counter
from dataclasses import dataclass

from registry.engine.allocation.claims import AiAllowanceClaim, Claim, Metric, claim_contradictions
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact


@dataclass(frozen=True)
class SetAsideNeed:
    """The permits an eligible lab has proved it needs beyond what the free methods give it."""

    operator: str
    cohort: str
    permits: int


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
    found += repetitions([(c.operator, c.method.value, c.product) for c in inputs.claims], "claim_twice")
    found += repetitions([(need.operator, "set-aside") for need in inputs.set_aside_needs], "need_twice")
    for need in inputs.set_aside_needs:
        if need.permits < 0:
            found.append(Refusal("need_out_of_range", f"{need.operator}: a proven need cannot be negative."))
    for claim in inputs.claims:
        found += claim_contradictions(claim, inputs.metric)
    return tuple(found)


def in_order(inputs: AllocationInputs) -> list[Claim]:
    return sorted(inputs.claims, key=lambda claim: (claim.operator, claim.method.value, claim.product))


def repetitions(keys: list[tuple[str, ...]], code: str) -> list[Refusal]:
    """Refuse every key that stands in the list more than once."""
    repeated = sorted(key for key, times in Counter(keys).items() if times > 1)
    return [
        Refusal(code, f"{', '.join(key)} stands in the inputs more than once: merge the entries.") for key in repeated
    ]
