"""Allocation rules of a scheme: everything in them that cannot be law, and what is lawful but worth knowing."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal

from registry.engine.allocation.claims import HIGHEST_FACTOR, Method
from registry.engine.allocation.inputs import AllocationInputs, inputs_contradictions
from registry.engine.allocation.notices import Notice
from registry.engine.allocation.pools import Leftover
from registry.engine.policy import AllocationRule, BenchmarkRule, MethodRule
from registry.engine.refusals import Refusal

OUTPUT_METHODS = frozenset({Method.AI_ALLOWANCE, Method.PRODUCT_BENCHMARK})
BENCHMARK_METHODS = frozenset({"FIXED", "TOP_PCT", "PCT_OF_MEAN"})
SET_ASIDE_RULES = frozenset({"PRO_RATA"})


def contradictions(of: AllocationInputs | AllocationRule) -> tuple[Refusal, ...]:
    """List everything that cannot be law in the rules, or in the inputs of one allocation."""
    return rule_contradictions(of) if isinstance(of, AllocationRule) else inputs_contradictions(of)


def rule_contradictions(rule: AllocationRule) -> tuple[Refusal, ...]:
    """List every contradiction in the rules of allocation, so that a regulator can correct all of them at once."""
    return tuple(
        refusal
        for check in (_shares, _methods, _benchmarks, _matching_products, _factors, _pools, _corrections)
        for refusal in check(rule)
    )


def rule_warnings(rule: AllocationRule) -> tuple[Notice, ...]:
    """Point out rules that pay for more use of compute: an AI allowance counts the firm's own FLOP as output."""
    products = [method.product for method in rule.methods if method.kind == Method.AI_ALLOWANCE]
    return tuple(
        Notice(
            "output_is_own_compute",
            f"{product}: an AI allowance counts the firm's own FLOP as output, and a firm below the benchmark is paid "
            "for using more. A benchmark on delivered output, such as tokens or queries, rewards efficiency alone.",
        )
        for product in products
    )


def _shares(rule: AllocationRule) -> Iterator[Refusal]:
    """Shares of the cap: each between nothing and all of it, together not more than all of it."""
    shares = [("free share", rule.free_share)]
    shares += [(f"set-aside for {found.cohort}", found.share) for found in rule.set_asides]
    if rule.new_entrants:
        shares.append(("share of new entrants", rule.new_entrants.share))
    yield from (refusal for name, share in shares for refusal in _between(name, share, Decimal(1)))
    if sum(share for _, share in shares if share.is_finite()) > 1:
        named = ", ".join(f"{name} {share * 100:f} %" for name, share in shares)
        yield Refusal("shares_exceed_cap", f"More than the whole cap is given away ({named}): lower one of the shares.")
    if rule.methods and rule.free_share == 0:
        yield Refusal("methods_without_pool", "There are methods for free permits, but the free share is nothing.")


def _methods(rule: AllocationRule) -> Iterator[Refusal]:
    """Methods: known, one for a product, and each with what it needs."""
    yield from _repeated((method.product for method in rule.methods), "product_twice", "has more than one method")
    for method in rule.methods:
        if method.kind not in set(Method):
            yield Refusal("method_unknown", f"{method.product}: there is no method {method.kind!r}.")
        yield from _between(f"share of {method.product}", method.share, Decimal(1))
        yield from _between(f"pre-allocated share of {method.product}", method.pre_share, Decimal(1))
        if method.lag < 0:
            yield Refusal("lag_out_of_range", f"{method.product}: output of a later year is not known yet.")
        if _is_grandfathering(method) and not method.base_years:
            yield Refusal("base_years_missing", f"{method.product}: name the base years of the grandfathering.")
        yield from _repeated(
            (str(year) for year in method.base_years), "base_year_twice", f"is named twice for {method.product}"
        )


def _benchmarks(rule: AllocationRule) -> Iterator[Refusal]:
    """Benchmarks: known ways to find them, values above zero, rates in order and not as high as to eat the value."""
    yield from _repeated((bench.product for bench in rule.benchmarks), "benchmark_twice", "has more than one benchmark")
    for bench in rule.benchmarks:
        if bench.method not in BENCHMARK_METHODS:
            yield Refusal("benchmark_method_unknown", f"{bench.product}: no benchmark is found by {bench.method!r}.")
        if bench.method == "FIXED" and bench.value is None:
            yield Refusal("benchmark_value_missing", f"{bench.product}: a fixed benchmark needs its value.")
        if bench.value is not None and (not bench.value.is_finite() or bench.value <= 0):
            yield Refusal("benchmark_out_of_range", f"{bench.product}: a benchmark must be above zero.")
        if bench.pct.is_nan() or not 0 < bench.pct <= 1:
            yield Refusal("benchmark_share_out_of_range", f"{bench.product}: the share must be above 0 and at most 1.")
        if bench.min_population < 1:
            yield Refusal("population_out_of_range", f"{bench.product}: a population has at least one operator.")
        yield from _rates(bench)


def _rates(bench: BenchmarkRule) -> Iterator[Refusal]:
    """The corridor of a benchmark's update."""
    if bench.rate_lo.is_nan() or bench.rate_hi.is_nan() or not 0 <= bench.rate_lo <= bench.rate_hi:
        yield Refusal(
            "rates_out_of_order",
            f"{bench.product}: the lowest yearly rate ({bench.rate_lo}) cannot be below zero or above the highest "
            f"({bench.rate_hi}).",
        )
    if bench.years < 0:
        yield Refusal("years_out_of_range", f"{bench.product}: an update over fewer than no years has no meaning.")
    elif bench.rate_hi * bench.years >= 1:
        yield Refusal(
            "benchmark_vanishes",
            f"{bench.product}: {bench.rate_hi} a year over {bench.years} years leaves nothing of the benchmark.",
        )


def _matching_products(rule: AllocationRule) -> Iterator[Refusal]:
    """Each benchmark belongs to a product that a method allocates, and each such product has its benchmark."""
    products = {method.product for method in rule.methods if method.kind in OUTPUT_METHODS}
    known = {bench.product for bench in rule.benchmarks}
    for product in sorted(known - products):
        yield Refusal("benchmark_product_unknown", f"{product} has a benchmark, but no method allocates by it.")
    for product in sorted(products - known):
        yield Refusal("benchmark_missing", f"{product} is allocated by a benchmark, but has none.")


def _factors(rule: AllocationRule) -> Iterator[Refusal]:
    """Factors on claims: assistance and cap factors up to the guard, leakage factors and cuts up to one."""
    yield from _between("activity threshold", rule.activity_threshold, Decimal(1))
    for name, factor in sorted(rule.assistance.items()):
        yield from _between(f"assistance factor of {name}", factor, HIGHEST_FACTOR)
    for year, factor in sorted(rule.cap_factor.items()):
        yield from _between(f"cap factor of {year}", factor, HIGHEST_FACTOR)
    for name, series in sorted(rule.leakage.items()):
        if not series:
            yield Refusal("leakage_empty", f"The class {name} has no leakage factor for any year.")
        for year, factor in sorted(series.items()):
            yield from _between(f"leakage factor of {name} in {year}", factor, Decimal(1))
    for condition in rule.conditionality:
        yield from _between(f"cut for {condition.condition}", condition.cut, Decimal(1))
    names = (condition.condition for condition in rule.conditionality)
    yield from _repeated(names, "condition_twice", "is a condition more than once")


def _pools(rule: AllocationRule) -> Iterator[Refusal]:
    """Set-asides and the new entrants' pool: one for a cohort, by a known rule, leftovers to a known place."""
    yield from _repeated((found.cohort for found in rule.set_asides), "cohort_twice", "has more than one set-aside")
    leftovers = [(f"the set-aside for {found.cohort}", found.leftover) for found in rule.set_asides]
    if rule.new_entrants:
        leftovers.append(("the share of new entrants", rule.new_entrants.leftover))
    for name, leftover in leftovers:
        if leftover not in set(Leftover):
            places = ", ".join(Leftover)
            yield Refusal("leftover_unknown", f"What is left of {name} goes to one of {places}, not to {leftover!r}.")
    for found in rule.set_asides:
        if found.rule not in SET_ASIDE_RULES:
            yield Refusal("set_aside_rule_unknown", f"{found.cohort}: no set-aside is shared by {found.rule!r}.")
    yield from _repeated(rule.consign, "consigned_twice", "is consigned more than once")


def _corrections(rule: AllocationRule) -> Iterator[Refusal]:
    """A true-up corrects output that was not known yet; a pre-allocation is settled on it. One product, one of them."""
    if not rule.true_up:
        return
    trued = [method for method in rule.methods if method.kind in OUTPUT_METHODS]
    if rule.methods and not trued:
        yield Refusal("true_up_without_output", "There is a true-up, but no method that allocates by output.")
    for method in trued:
        if method.pre_share != 1:
            yield Refusal(
                "corrected_twice",
                f"{method.product}: a pre-allocation is settled on verified output, and a true-up corrects it again. "
                "Choose one of them.",
            )
        if method.lag == 0:
            yield Refusal(
                "nothing_to_true_up", f"{method.product} is allocated on the output of the year itself: no true-up."
            )


def _is_grandfathering(method: MethodRule) -> bool:
    return method.kind in (Method.GRANDFATHERING, Method.GRANDFATHERING_MEDIAN)


def _between(name: str, value: Decimal, highest: Decimal) -> Iterator[Refusal]:
    """Refuse a share or factor that is no number, below nothing or above the highest."""
    if value.is_nan() or not 0 <= value <= highest:
        yield Refusal("share_out_of_range", f"The {name} must lie between 0 and {highest}, and is {value}.")


def _repeated(names: Iterable[str], code: str, what: str) -> Iterator[Refusal]:
    """Refuse every name that stands more than once."""
    for name in sorted(name for name, times in Counter(names).items() if times > 1):
        yield Refusal(code, f"{name} {what}.")
