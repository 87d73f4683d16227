"""From the rules in force and verified data to the inputs of one allocation: nobody types a claim by hand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

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
from registry.engine.allocation.delivery import active_share
from registry.engine.allocation.division import total_of_claims
from registry.engine.allocation.inputs import AllocationInputs, Standing, TrueUp, inputs_contradictions, repetitions
from registry.engine.allocation.lines import base_units
from registry.engine.allocation.operators import OperatorData
from registry.engine.allocation.pools import (
    Application,
    Leftover,
    NewEntrantPool,
    Reserve,
    SetAsideNeed,
    SetAsidePool,
)
from registry.engine.allocation.rulebook import OUTPUT_METHODS, rule_contradictions
from registry.engine.benchmarks import (
    Benchmark,
    Observation,
    activity_level,
    measured_rate,
    share_of_mean_benchmark,
    top_share_benchmark,
    updated_benchmark,
)
from registry.engine.policy import AllocationRule, BenchmarkRule, CapType, MethodRule, Policy
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, coefficient, exact, floor_limit

JOULE_PLACES = 15
"""An updated benchmark in joules per FLOP is rounded as picojoules with three decimals."""

PRINTED_PLACES = 18
"""A benchmark that is taken from the population as it stands is printed so, and counts as printed."""


class Stage(StrEnum):
    """Which allocation of the year this is: the first, or the settlement of a pre-allocation on verified output."""

    INITIAL = "INITIAL"
    SETTLEMENT = "SETTLEMENT"


def inputs_from_rules(
    policy: Policy,
    *,
    period: str,
    year: int,
    cap: int | None,
    operators: Sequence[OperatorData],
    populations: Mapping[str, Sequence[Observation]] | None = None,
    reserves: Sequence[Reserve] = (),
    transfers: int = 0,
    stage: Stage = Stage.INITIAL,
    entrants_closed: bool = False,
    intensity_g_per_kwh: Exact | None = None,
) -> AllocationInputs | tuple[Refusal, ...]:
    """Return the inputs of a year's allocation that follow from the rules and the operators' verified data.

    The pools are shares of the cap, each cut to whole permits (R7). A claim is output `lag` years before (after the
    activity rule, where a historical level is known), or past use, times its benchmark and every factor of the rules:
    share, cap factor, leakage, assistance, conditions not met, days active, and in the first stage the pre-allocated
    share. The settlement counts the output of the year itself and repeats every pool of the first stage; what it moves
    anew are its free permits, its clawbacks and what was held back. A true-up is worked out for every output that an
    earlier run used and that has been verified since. `cap=None` is for an intensity scheme, whose cap is the sum of
    the claims. `populations` replaces the operators as the population of a benchmark; the intensity of the grid is
    that of the newest bridge of the scheme unless given. Every reason why no inputs follow is returned at once.
    """
    found = [
        *rule_contradictions(policy.alloc),
        *_policy_faults(policy, cap, bool(reserves or transfers)),
        *_operator_faults(operators),
    ]
    if found:
        return tuple(found)

    rule = policy.alloc
    benchmarks = _benchmarks(rule, year, operators, populations or {})
    found += [refusal for refusal in benchmarks.values() if isinstance(refusal, Refusal)]
    values = {product: value for product, value in benchmarks.items() if not isinstance(value, Refusal)}
    worker = _Worker(rule, year, stage, values)
    pairs = [(operator, method) for operator in operators for method in rule.methods]
    claims = [worker.claim(operator, method) for operator, method in pairs]
    corrects = rule.true_up and stage is Stage.INITIAL
    true_ups = [worker.true_up(operator, method) for operator, method in pairs if corrects]
    found += [refusal for refusal in (*claims, *true_ups) if isinstance(refusal, Refusal)]
    found += _cohort_faults(rule, operators)
    intensity = intensity_g_per_kwh if intensity_g_per_kwh is not None else _newest_intensity(policy)
    if isinstance(intensity, Refusal):
        found.append(intensity)
    if found:
        return tuple(found)
    assert not isinstance(intensity, Refusal)

    quantity = cap or 0
    set_asides = _set_asides(rule, quantity)
    wants_joules = any(method.kind == Method.AI_ALLOWANCE for method in rule.methods)
    inputs = AllocationInputs(
        scheme=policy.scheme,
        period=period,
        metric=Metric(policy.unit.metric),
        permit_size=base_units(Metric(policy.unit.metric), policy.unit.size),
        cap=quantity,
        free_pool=floor_limit(exact(rule.free_share) * quantity),
        set_aside_pool=sum(pool.permits for pool in set_asides),
        claims=tuple(claim for claim in claims if claim is not None and not isinstance(claim, Refusal)),
        set_aside_needs=tuple(
            SetAsideNeed(operator.operator, operator.cohort, operator.proven_need)
            for operator in operators
            if operator.proven_need
        ),
        intensity_g_per_kwh=intensity if wants_joules and policy.unit.metric == Metric.CO2E else None,
        correction=rule.correction_factor,
        set_asides=set_asides,
        new_entrants=_new_entrants(rule, quantity, operators, entrants_closed),
        reserves=tuple(reserves),
        transfers=transfers,
        hold_back=stage is Stage.INITIAL and any(method.pre_share != 1 for method in rule.methods),
        true_ups=tuple(item for item in true_ups if item is not None and not isinstance(item, Refusal)),
        standings=tuple(
            Standing(operator.operator, operator.delivered, operator.debt)
            for operator in operators
            if operator.delivered or operator.debt
        ),
        consigned=tuple(
            sorted(
                operator.operator
                for operator in operators
                if operator.leakage_class in rule.consign or operator.cohort in rule.consign
            )
        ),
    )
    found += inputs_contradictions(inputs)
    if found:
        return tuple(found)
    if cap is None:
        total = total_of_claims(inputs)
        return replace(inputs, cap=total, free_pool=total, hold_back=False)
    return inputs


def outputs_used(inputs: AllocationInputs) -> dict[str, dict[str, Fraction]]:
    """Return the output of each operator and product that an allocation counted: what a later true-up compares with."""
    used: dict[str, dict[str, Fraction]] = {}
    for claim in inputs.claims:
        if isinstance(claim, AiAllowanceClaim):
            used.setdefault(claim.operator, {})[claim.product] = exact(claim.output_flop)
        elif isinstance(claim, ProductBenchmarkClaim):
            used.setdefault(claim.operator, {})[claim.product] = exact(claim.output)
    return used


@dataclass(frozen=True)
class _Worker:
    """Turns the rules of one year into claims of one operator after the other."""

    rule: AllocationRule
    year: int
    stage: Stage
    benchmarks: Mapping[str, Fraction]

    def claim(self, operator: OperatorData, method: MethodRule) -> Claim | Refusal | None:
        """Return the claim of one operator by one method, nothing where it has none, or why it cannot be said."""
        if operator.closed_before(self.year):
            return None
        if method.kind not in OUTPUT_METHODS:
            return self._grandfathering(operator, method)
        output = self._output(operator, method)
        if output is None or isinstance(output, Refusal):
            return output
        adjustments = self._adjustments(operator, method)
        return adjustments if isinstance(adjustments, Refusal) else self._on(operator, method, output, adjustments)

    def true_up(self, operator: OperatorData, method: MethodRule) -> TrueUp | Refusal | None:
        """Return the true-up of an output that an earlier run used, nothing where none did, or what is missing.

        The year trued up lies `lag` years back, with the cap, leakage and assistance factors of that year; conditions
        and days were settled then.
        """
        past = self.year - method.lag
        used = operator.output_used.get(method.product, {}).get(past)
        if method.kind not in OUTPUT_METHODS or used is None:
            return None
        actual = operator.output(method.product, past)
        if actual is None:
            return self._missing(operator, method.product, past)
        factors = self._rule_factors(operator, method, past)
        if isinstance(factors, Refusal):
            return factors
        return TrueUp(self._on(operator, method, actual, factors), used)

    def _output(self, operator: OperatorData, method: MethodRule) -> Exact | Refusal | None:
        """Return the output that counts: of the year itself in a settlement, else of `lag` years before."""
        product = method.product
        if product not in operator.output_by_product_and_year:
            return None
        if self.stage is Stage.SETTLEMENT and method.pre_share != 1:
            output = operator.output(product, self.year)
            return self._missing(operator, product, self.year) if output is None else output
        last = self.year - method.lag
        output = operator.output(product, last)
        if output is None:
            return None if operator.began_after(last) else self._missing(operator, product, last)
        history = operator.historical_activity.get(product)
        if history is None:
            return output
        before = operator.output(product, last - 1)
        if before is None:
            return self._missing(operator, product, last - 1)
        return activity_level(history, before, output, self.rule.activity_threshold)

    def _missing(self, operator: OperatorData, product: str, year: int) -> Refusal:
        return Refusal(
            "output_missing",
            f"{operator.operator}: no verified output of {product} in {year}. Have it reported and verified, or "
            "estimate it, before allocating.",
        )

    def _grandfathering(self, operator: OperatorData, method: MethodRule) -> Claim | Refusal | None:
        use = {year: operator.use_by_year.get(year) for year in method.base_years}
        if all(figure is None for figure in use.values()) and operator.began_after(max(method.base_years)):
            return None
        adjustments = self._adjustments(operator, method)
        if isinstance(adjustments, Refusal):
            return adjustments
        kind = GrandfatheringMedianClaim if method.kind == Method.GRANDFATHERING_MEDIAN else GrandfatheringClaim
        assistance = self._assistance(operator)
        if assistance != 1:
            adjustments = (*adjustments, Adjustment("assistance factor", assistance))
        return kind(operator.operator, method.product, use, method.share, adjustments)

    def _on(
        self, operator: OperatorData, method: MethodRule, output: Exact, adjustments: tuple[Adjustment, ...]
    ) -> OutputClaim:
        """Return the claim on an output."""
        value, assistance = self.benchmarks.get(method.product, Fraction(0)), self._assistance(operator)
        if method.kind == Method.AI_ALLOWANCE:
            return AiAllowanceClaim(
                operator.operator, method.product, output, value, assistance, operator.own_j_per_flop, adjustments
            )
        return ProductBenchmarkClaim(operator.operator, method.product, output, value, assistance, adjustments)

    def _assistance(self, operator: OperatorData) -> Decimal:
        """Return the assistance factor: the operator's own, else its class's, else its cohort's, else one."""
        table = self.rule.assistance
        names = (operator.operator, operator.leakage_class, operator.cohort)
        return next((table[name] for name in names if name and name in table), Decimal(1))

    def _adjustments(self, operator: OperatorData, method: MethodRule) -> tuple[Adjustment, ...] | Refusal:
        """Return every factor on a claim of this year beside its method's own, but for those that change nothing."""
        factors = self._rule_factors(operator, method, self.year)
        if isinstance(factors, Refusal):
            return factors
        settled = self.stage is Stage.SETTLEMENT and method.pre_share != 1 and method.kind in OUTPUT_METHODS
        more = [
            Adjustment(f"condition not met: {condition.condition}", 1 - condition.cut)
            for condition in self.rule.conditionality
            if condition.condition not in operator.conditions_met
        ]
        if not settled:  # the output of the year itself already ends with the last day
            more.append(Adjustment("days active", active_share(self.year, operator.first_day, operator.last_day)))
        if self.stage is Stage.INITIAL:
            more.append(Adjustment("pre-allocated share", method.pre_share))
        return (*factors, *(adjustment for adjustment in more if adjustment.factor != 1))

    def _rule_factors(self, operator: OperatorData, method: MethodRule, year: int) -> tuple[Adjustment, ...] | Refusal:
        """Return the factors of a year that the rules fix: share of the claim, cap factor, leakage factor."""
        found: list[Adjustment] = []
        if method.kind in OUTPUT_METHODS:
            found.append(Adjustment("share", method.share))
        if self.rule.cap_factor:
            if year not in self.rule.cap_factor:
                return Refusal(
                    "cap_factor_missing", f"There are cap factors, but none for {year}: add it to the rules."
                )
            found.append(Adjustment(f"cap factor {year}", self.rule.cap_factor[year]))
        if self.rule.leakage:
            series = self.rule.leakage.get(operator.leakage_class)
            if series is None:
                return Refusal(
                    "leakage_class_unknown",
                    f"{operator.operator}: there is no leakage factor for the class {operator.leakage_class!r}.",
                )
            begun = [start for start in series if start <= year]
            if begun:
                found.append(Adjustment(f"leakage factor {operator.leakage_class} {year}", series[max(begun)]))
        return tuple(adjustment for adjustment in found if adjustment.factor != 1)


def _benchmarks(
    rule: AllocationRule,
    year: int,
    operators: Sequence[OperatorData],
    populations: Mapping[str, Sequence[Observation]],
) -> dict[str, Fraction | Refusal]:
    """Find the benchmark of each product: its fixed value, or the population's, kept in the corridor of its update."""
    methods = {method.product: method for method in rule.methods}
    found: dict[str, Fraction | Refusal] = {}
    for bench in rule.benchmarks:
        method = methods[bench.product]
        by_energy = method.kind == Method.AI_ALLOWANCE
        if bench.method == "FIXED":
            assert bench.value is not None
            found[bench.product] = exact(bench.value)
            continue
        seen = (operator.observation(bench.product, year - method.lag, by_energy) for operator in operators)
        population = populations.get(bench.product) or [observation for observation in seen if observation]
        found[bench.product] = _population_benchmark(bench, population, JOULE_PLACES if by_energy else 3)
    return found


def _population_benchmark(bench: BenchmarkRule, population: Sequence[Observation], places: int) -> Fraction | Refusal:
    """Take a benchmark from the population; with an old value, move that one by the measured rate, clamped."""
    take = top_share_benchmark if bench.method == "TOP_PCT" else share_of_mean_benchmark
    taken = take(population, bench.pct, bench.min_population)
    if not isinstance(taken, Benchmark):
        return Refusal(taken.code, f"{bench.product}: {taken.sentence}")
    if bench.value is None or bench.years == 0:
        return exact(coefficient(taken.value, PRINTED_PLACES))
    updated = updated_benchmark(
        bench.value,
        measured_rate(bench.value, taken.value, bench.years),
        lowest_rate=bench.rate_lo,
        highest_rate=bench.rate_hi,
        years=bench.years,
        places=places,
    )
    return (
        Refusal(updated.code, f"{bench.product}: {updated.sentence}")
        if isinstance(updated, Refusal)
        else exact(updated)
    )


def _set_asides(rule: AllocationRule, cap: int) -> tuple[SetAsidePool, ...]:
    return tuple(
        SetAsidePool(found.cohort, floor_limit(exact(found.share) * cap), Leftover(found.leftover))
        for found in rule.set_asides
    )


def _new_entrants(
    rule: AllocationRule, cap: int, operators: Sequence[OperatorData], closed: bool
) -> NewEntrantPool | None:
    if rule.new_entrants is None:
        return None
    return NewEntrantPool(
        permits=floor_limit(exact(rule.new_entrants.share) * cap),
        applications=tuple(
            Application(operator.operator, operator.applied_at, operator.applied_permits)
            for operator in operators
            if operator.applied_at is not None
        ),
        leftover=Leftover(rule.new_entrants.leftover),
        closed=closed,
    )


def _newest_intensity(policy: Policy) -> Decimal | Refusal | None:
    """Return the grams per kWh of the newest bridge in force, or why there is not one."""
    if policy.unit.metric != Metric.CO2E or not any(m.kind == Method.AI_ALLOWANCE for m in policy.alloc.methods):
        return None
    begun = [bridge for bridge in policy.unit.bridge if bridge.on <= policy.on]
    newest = {bridge.grams_per_kwh for bridge in begun if bridge.on == max(bridge.on for bridge in begun)}
    if len(newest) == 1:
        return newest.pop()
    return Refusal(
        "intensity_missing",
        "AI allowances in a CO2e scheme need one intensity in g CO2e per kWh: add a bridge to the rules, or say which "
        "region's counts.",
    )


def _policy_faults(policy: Policy, cap: int | None, shares_more: bool) -> Iterator[Refusal]:
    """List what in the policy does not let an allocation be worked out."""
    if policy.unit.metric not in set(Metric):
        yield Refusal("metric_unknown", f"Permits are given by FLOP or by CO2e, not by {policy.unit.metric!r}.")
    if cap is None and policy.cap.type is not CapType.INTENSITY:
        yield Refusal("cap_missing", "The cap of an absolute scheme is published before it is divided.")
    if cap is not None and cap < 0:
        yield Refusal("cap_out_of_range", "A cap cannot be negative.")
    if cap is None and (policy.alloc.set_asides or policy.alloc.new_entrants or shares_more):
        yield Refusal(
            "no_cap_to_share", "Where the cap is the sum of the claims nothing can be set aside, kept or transferred."
        )


def _operator_faults(operators: Sequence[OperatorData]) -> Iterator[Refusal]:
    """List what is wrong with the operators' data."""
    yield from repetitions([(operator.operator, "data") for operator in operators], "operator_twice")
    for operator in operators:
        if operator.first_day and operator.last_day and operator.last_day < operator.first_day:
            yield Refusal("days_out_of_order", f"{operator.operator}: its last day lies before its first.")
        if operator.applied_at is None and operator.applied_permits:
            yield Refusal(
                "application_incomplete", f"{operator.operator}: say when the application for permits was complete."
            )


def _cohort_faults(rule: AllocationRule, operators: Sequence[OperatorData]) -> Iterator[Refusal]:
    """List operators that ask for what the rules do not set aside."""
    cohorts = {found.cohort for found in rule.set_asides}
    for operator in operators:
        if operator.proven_need and operator.cohort not in cohorts:
            sentence = f"{operator.operator}: no permits are set aside for the cohort {operator.cohort!r}."
            yield Refusal("no_set_aside", sentence)
        if operator.applied_at is not None and rule.new_entrants is None:
            yield Refusal("no_new_entrants_share", f"{operator.operator}: no permits are kept for new entrants.")
