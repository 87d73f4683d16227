"""The division of one cap: free permits by claim, the set-aside by proven need, all the rest to auction."""

from fractions import Fraction

from registry.engine.allocation.documents import inputs_hash
from registry.engine.allocation.inputs import AllocationInputs, contradictions, in_order
from registry.engine.allocation.lines import worked_out
from registry.engine.allocation.results import AllocationResult, Award
from registry.engine.rounding import floor_permits, share_pool


def allocate(inputs: AllocationInputs) -> AllocationResult:
    """Divide the cap: free permits by claim, the set-aside by proven need, all the rest to auction.

    Claims above the free pool are cut by one correction factor and shared by rule R3, so that the pool is used up
    exactly; claims that fit are each floored by rule R2. The set-aside is shared in proportion up to proven need.
    """
    found = contradictions(inputs)
    if found:
        return AllocationResult(inputs_hash(inputs), inputs.cap, refusals=found)

    lines = tuple(worked_out(claim, inputs) for claim in in_order(inputs))
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
