"""The division of one cap: free permits by claim, set-asides by need, new entrants by date, the rest to auction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from registry.engine.allocation.claims import AiAllowanceClaim
from registry.engine.allocation.delivery import deliver, whole_true_up
from registry.engine.allocation.documents import inputs_hash, is_first_format
from registry.engine.allocation.inputs import AllocationInputs, Standing, in_order, inputs_contradictions
from registry.engine.allocation.lines import worked_out, worked_out_true_up
from registry.engine.allocation.notices import Notice
from registry.engine.allocation.pools import (
    Leftover,
    SetAsidePool,
    auction_volume,
    first_come_first_served,
    share_set_aside,
)
from registry.engine.allocation.results import (
    RESULT_FORMAT,
    RESULT_FORMAT_2,
    AllocationLine,
    AllocationResult,
    Award,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact, exact_sum, floor_permits, share_pool


@dataclass(frozen=True)
class _Entitlements:
    """The claims of all operators together, corrected to the pool and cut to whole permits."""

    claimed: Mapping[str, Fraction]
    total: Fraction
    factor: Fraction
    whole: Mapping[str, int]


def allocate(inputs: AllocationInputs) -> AllocationResult:
    """Divide the cap: free permits by claim, set-asides by proven need, new entrants by date, the rest to auction.

    Claims above the free pool are cut by one correction factor and shared by rule R3, so that the pool is used up
    exactly; claims that fit are each floored by rule R2. What is delivered is the entitlement less what was delivered
    before and what is owed. Refused where the inputs contradict themselves or more is given than there is.
    """
    found = inputs_contradictions(inputs)
    if found:
        return AllocationResult(inputs_hash(inputs), inputs.cap, refusals=found)

    lines = tuple(worked_out(claim, inputs) for claim in in_order(inputs))
    true_up_lines = _true_up_lines(inputs)
    true_ups = _sums(true_up_lines)
    entitlements = _entitlements(_sums(lines), true_ups, inputs)
    needs = {need.operator: need.permits for need in inputs.set_aside_needs}
    set_aside, left = _set_aside(inputs)
    entrants = _new_entrants(inputs)
    standings = {standing.operator: standing for standing in inputs.standings}
    operators = entitlements.whole.keys() | true_ups.keys() | standings.keys() | needs.keys() | entrants.keys()
    standings = {operator: standings.get(operator, Standing(operator)) for operator in operators}
    deliveries = {
        operator: deliver(
            entitlements.whole.get(operator, 0),
            delivered_before=standings[operator].delivered,
            true_up=min(0, whole_true_up(true_ups.get(operator, 0)).permits),
            debt=standings[operator].debt,
        )
        for operator in operators
    }
    if inputs.new_entrants and inputs.new_entrants.closed:
        left[inputs.new_entrants.leftover] += inputs.new_entrants.permits - sum(entrants.values())

    free = sum(delivery.delivered for delivery in deliveries.values())
    before = sum(standing.delivered for standing in inputs.standings)
    clawback = sum(delivery.clawback for delivery in deliveries.values())
    kept = _kept(inputs, sum(entrants.values()), used=before + free - clawback)
    given = (sum(set_aside.values()), sum(entrants.values()), left[Leftover.NEXT_YEAR], left[Leftover.CANCEL])
    auction = auction_volume(inputs.cap, free=before + free - clawback, kept=(*given, kept), transfers=inputs.transfers)
    if isinstance(auction, Refusal):
        return AllocationResult(inputs_hash(inputs), inputs.cap, refusals=(auction,))

    none, consigned = Fraction(0), frozenset(inputs.consigned)
    awards = tuple(
        Award(
            operator=operator,
            claimed_permits=entitlements.claimed.get(operator, none),
            corrected_permits=entitlements.claimed.get(operator, none) * entitlements.factor,
            free_permits=deliveries[operator].delivered,
            remainder=entitlements.claimed.get(operator, none) * entitlements.factor
            - entitlements.whole.get(operator, 0),
            set_aside_need=needs.get(operator, 0),
            set_aside_permits=set_aside.get(operator, 0),
            entitled_permits=entitlements.whole.get(operator, 0),
            true_up=true_ups.get(operator, none),
            delivered_before=standings[operator].delivered,
            clawback=deliveries[operator].clawback,
            debt_before=standings[operator].debt,
            debt=deliveries[operator].debt,
            new_entrant_permits=entrants.get(operator, 0),
            consigned=operator in consigned,
        )
        for operator in sorted(deliveries)
    )
    return AllocationResult(
        inputs_hash=inputs_hash(inputs),
        cap=inputs.cap,
        lines=lines,
        awards=awards,
        claimed_permits=entitlements.total,
        correction_factor=entitlements.factor,
        free_permits=free,
        set_aside_permits=sum(set_aside.values()),
        auction_permits=auction,
        remainder=entitlements.total * entitlements.factor - sum(entitlements.whole.values()),
        true_up_lines=true_up_lines,
        new_entrant_permits=sum(entrants.values()),
        kept_permits=kept,
        next_year_permits=left[Leftover.NEXT_YEAR],
        cancelled_permits=left[Leftover.CANCEL],
        delivered_before=before,
        clawback_permits=clawback,
        transfers=inputs.transfers,
        warnings=warnings(inputs),
        format=RESULT_FORMAT if is_first_format(inputs) else RESULT_FORMAT_2,
    )


def total_of_claims(inputs: AllocationInputs) -> int:
    """Return the whole permits that all claims come to where no pool limits them: the cap of an intensity scheme.

    cap_t = sum(A_i), each A_i floored by rule R2 (China 2019-20). The inputs must be free of contradictions.
    """
    lines = [worked_out(claim, inputs) for claim in inputs.claims]
    unlimited = _entitlements(_sums(lines), _sums(_true_up_lines(inputs)), replace(inputs, correction=False))
    return sum(unlimited.whole.values())


def warnings(inputs: AllocationInputs) -> tuple[Notice, ...]:
    """Point out where the AI allowance pays for using more compute.

    With A = O x B x C and O the firm's own FLOP, updated year by year, each FLOP costs E and earns B x C: where E is
    smaller, the allowance pays the firm for using more. A benchmark on delivered output (tokens, queries) does not.
    """
    claims = sorted(
        (claim for claim in inputs.claims if isinstance(claim, AiAllowanceClaim)),
        key=lambda claim: (claim.operator, claim.product),
    )
    if not claims:
        return ()
    notices = [
        Notice(
            "output_is_own_compute",
            f"{len(claims)} AI allowances count the firm's own FLOP as output: a firm that uses more gets more. "
            "A benchmark on delivered output, such as tokens or queries, rewards efficiency alone.",
        )
    ]
    for claim in claims:
        earned = exact(claim.benchmark_j_per_flop) * exact(claim.assistance_factor)
        if claim.own_j_per_flop is not None and exact(claim.own_j_per_flop) < earned:
            notices.append(
                Notice(
                    "use_is_paid_for",
                    f"{claim.operator}, {claim.product}: a FLOP needs less energy than it earns, so the allowance "
                    "pays for using more compute.",
                )
            )
    return tuple(notices)


def _sums(lines: Iterable[AllocationLine]) -> dict[str, Fraction]:
    """Add the exact permits of all lines up by operator."""
    sums: dict[str, Fraction] = {}
    for line in lines:
        sums[line.operator] = sums.get(line.operator, Fraction(0)) + line.claimed_permits
    return sums


def _true_up_lines(inputs: AllocationInputs) -> tuple[AllocationLine, ...]:
    lines = (worked_out_true_up(true_up, inputs) for true_up in inputs.true_ups)
    return tuple(sorted(lines, key=lambda line: (line.operator, line.method.value, line.product)))


def _entitlements(
    initial: Mapping[str, Fraction], true_ups: Mapping[str, Fraction], inputs: AllocationInputs
) -> _Entitlements:
    """Correct the claims to the free pool. What an operator is still owed from an earlier year is part of its claim."""
    claimed = dict(initial)
    for operator, true_up in true_ups.items():
        if true_up > 0:
            claimed[operator] = claimed.get(operator, Fraction(0)) + true_up
    total = exact_sum(claimed.values())
    corrected = inputs.correction and total > inputs.free_pool
    factor = Fraction(inputs.free_pool) / total if corrected else Fraction(1)
    if corrected:
        whole = share_pool(inputs.free_pool, claimed)
    else:
        whole = {operator: floor_permits(claim).permits for operator, claim in claimed.items()}
    return _Entitlements(claimed, total, factor, whole)


def _set_aside(inputs: AllocationInputs) -> tuple[dict[str, int], dict[Leftover, int]]:
    """Share each cohort's pool, or the one pool of all cohorts, and say where what is left over goes."""
    shares: dict[str, int] = {}
    left = dict.fromkeys(Leftover, 0)
    for pool in inputs.set_asides or (SetAsidePool("", inputs.set_aside_pool),):
        mine = {
            need.operator: need.permits
            for need in inputs.set_aside_needs
            if need.cohort == pool.cohort or not inputs.set_asides
        }
        given = share_set_aside(pool.permits, mine)
        shares |= given
        left[pool.leftover] += pool.permits - sum(given.values())
    return shares, left


def _new_entrants(inputs: AllocationInputs) -> dict[str, int]:
    pool = inputs.new_entrants
    return first_come_first_served(pool.permits, pool.applications) if pool else {}


def _kept(inputs: AllocationInputs, entrants: int, used: int) -> int:
    """Return what waits: reserves, the open pool of new entrants, and with `hold_back` the rest of the free pool."""
    kept = sum(reserve.permits for reserve in inputs.reserves)
    if inputs.new_entrants and not inputs.new_entrants.closed:
        kept += inputs.new_entrants.permits - entrants
    return kept + (max(0, inputs.free_pool - used) if inputs.hold_back else 0)
