"""What an allocation depends on, as one frozen value, and everything in it that cannot be law."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from registry.engine.allocation.claims import (
    AiAllowanceClaim,
    Claim,
    Metric,
    OutputClaim,
    claim_contradictions,
)
from registry.engine.allocation.pools import Application, NewEntrantPool, Reserve, SetAsideNeed, SetAsidePool
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact


@dataclass(frozen=True)
class TrueUp:
    """The claim of an earlier year on its actual output, with that year's factors, and the output it was given for."""

    claim: OutputClaim
    output_used: Exact


@dataclass(frozen=True)
class Standing:
    """What an operator has had of this cap already, and what it owes from earlier ones, in permits."""

    operator: str
    delivered: int = 0
    debt: int = 0


@dataclass(frozen=True)
class AllocationInputs:
    """Everything an allocation depends on. Pools are whole permits; what nobody gets goes to auction.

    `permit_size` is in the base unit (FLOP or t CO2e) and may be a fraction of it. Without `correction` claims are
    paid in full and the auction gets less. `set_aside_pool` is one pool for everybody, or the sum of `set_asides`, one
    for each cohort. With `hold_back` what the free methods leave of their pool waits for the settlement. `transfers`
    come from (above zero) or go to (below zero) other caps. Permits of the `consigned` may only be sent to auction.
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
    correction: bool = True
    set_asides: tuple[SetAsidePool, ...] = ()
    new_entrants: NewEntrantPool | None = None
    reserves: tuple[Reserve, ...] = ()
    transfers: int = 0
    hold_back: bool = False
    true_ups: tuple[TrueUp, ...] = ()
    standings: tuple[Standing, ...] = ()
    consigned: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """The permits in reserves and in the new entrants' pool."""
        return sum(reserve.permits for reserve in self.reserves) + (
            self.new_entrants.permits if self.new_entrants else 0
        )


def inputs_contradictions(inputs: AllocationInputs) -> tuple[Refusal, ...]:
    """List everything in the inputs that cannot be law, so that a regulator can correct all of it at once."""
    found = []
    if exact(inputs.permit_size) <= 0:
        found.append(Refusal("permit_size_out_of_range", "A permit must stand for more than zero base units."))
    found += _pool_contradictions(inputs)
    wants_intensity = inputs.metric is Metric.CO2E and any(
        isinstance(claim, AiAllowanceClaim) for claim in (*inputs.claims, *(t.claim for t in inputs.true_ups))
    )
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
    found += _true_up_contradictions(inputs)
    found += repetitions([(standing.operator, "standing") for standing in inputs.standings], "standing_twice")
    found += [
        Refusal("standing_out_of_range", f"{standing.operator}: what was delivered and what is owed is never negative.")
        for standing in inputs.standings
        if min(standing.delivered, standing.debt) < 0
    ]
    found += repetitions([(operator, "consigned") for operator in inputs.consigned], "consigned_twice")
    return tuple(found)


def _pool_contradictions(inputs: AllocationInputs) -> list[Refusal]:
    """List where the pools do not fit the cap or each other."""
    found = []
    pools = [("free pool", inputs.free_pool), ("set-aside", inputs.set_aside_pool)]
    pools += [(f"reserve {reserve.name}", reserve.permits) for reserve in inputs.reserves]
    pools += [("new entrants' pool", inputs.new_entrants.permits)] if inputs.new_entrants else []
    cohort_pools = [pool.permits for pool in inputs.set_asides]
    if min(inputs.cap, *cohort_pools, *(permits for _, permits in pools)) < 0:
        found.append(Refusal("pool_out_of_range", "The cap and its pools cannot be negative."))
    if sum(permits for _, permits in pools) > inputs.cap + inputs.transfers:
        named = [f"the {name} ({permits:,})" for name, permits in pools]
        transferred = f" with {inputs.transfers:+,} transferred" if inputs.transfers else ""
        found.append(
            Refusal(
                "pools_exceed_cap",
                f"Together {', '.join(named[:-1])} and {named[-1]} exceed the cap ({inputs.cap:,}){transferred}: "
                "lower one of them or raise the cap.",
            )
        )
    found += repetitions([(pool.cohort, "set-aside") for pool in inputs.set_asides], "set_aside_twice")
    found += repetitions([(reserve.name, "reserve") for reserve in inputs.reserves], "reserve_twice")
    if inputs.set_asides and sum(cohort_pools) != inputs.set_aside_pool:
        found.append(Refusal("set_asides_differ", "The set-asides of the cohorts do not add up to the set-aside."))
    if inputs.set_asides:
        known = {pool.cohort for pool in inputs.set_asides}
        found += [
            Refusal("no_set_aside", f"{need.operator}: no permits are set aside for the cohort {need.cohort!r}.")
            for need in inputs.set_aside_needs
            if need.cohort not in known
        ]
    if inputs.new_entrants:
        found += _application_contradictions(inputs.new_entrants.applications)
    return found


def _application_contradictions(applications: Sequence[Application]) -> list[Refusal]:
    """List what is wrong with the applications of new entrants."""
    found = repetitions([(found.operator, "application") for found in applications], "application_twice")
    for application in applications:
        if application.permits < 0:
            found.append(Refusal("application_out_of_range", f"{application.operator}: ask for permits, not for less."))
        if application.complete_at.tzinfo is None:
            sentence = f"{application.operator}: say in which time zone the application was complete."
            found.append(Refusal("application_without_zone", sentence))
    return found


def _true_up_contradictions(inputs: AllocationInputs) -> list[Refusal]:
    """List what is wrong with the true-ups: their claims, and the outputs they compare with."""
    claims = [true_up.claim for true_up in inputs.true_ups]
    found = repetitions([(c.operator, c.method.value, c.product) for c in claims], "true_up_twice")
    for true_up in inputs.true_ups:
        found += claim_contradictions(true_up.claim, inputs.metric)
        if exact(true_up.output_used) < 0:
            sentence = f"{true_up.claim.operator}, {true_up.claim.product}: the output used cannot be negative."
            found.append(Refusal("figure_out_of_range", sentence))
    return found


def in_order(inputs: AllocationInputs) -> list[Claim]:
    return sorted(inputs.claims, key=lambda claim: (claim.operator, claim.method.value, claim.product))


def repetitions(keys: list[tuple[str, ...]], code: str) -> list[Refusal]:
    """Refuse every key that stands in the list more than once."""
    repeated = sorted(key for key, times in Counter(keys).items() if times > 1)
    return [
        Refusal(code, f"{', '.join(key)} stands in the inputs more than once: merge the entries.") for key in repeated
    ]
