"""Contradictions between rules: every pair of leaves that cannot both be law, with the day from which they clash.

`contradictions` looks at one `Policy`; chapters whose engine has a `contradictions` of its own are asked there.
`contradictions_over_time` looks at every day on which a rule begins or ends, so that a rule book that becomes
contradictory later is refused today.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from registry.engine import cap, deadlines
from registry.engine.parameters.documents import Entry, Terms
from registry.engine.parameters.folding import days_of_change, folded
from registry.engine.policy import (
    BankingMode,
    CapRule,
    LadderStep,
    Policy,
    PricePath,
    Regime,
    SanctionMode,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact, exact_text, half_up

YEARS_COMPARED = 30
"""How far past their last given year two price paths are compared."""


@dataclass(frozen=True)
class Contradiction:
    """What is contradictory, and the first day on which it is."""

    on: date
    refusal: Refusal


def contradictions_over_time(
    terms: Terms, entries: Iterable[Entry], founding: Mapping[str, Any] | None = None, since: date | None = None
) -> tuple[Contradiction, ...]:
    """List every contradiction of a rule book with the first day on which it holds, also where it ends again later.

    Every day is looked at on which a rule begins or ends, from `since` on where that is given.
    """
    history = tuple(entries)
    days = days_of_change(history) or [date.min]
    if since is not None:
        days = sorted({since, *(day for day in days if day > since)})
    found, before = [], set[Refusal]()
    for day in days:
        policy, missing = folded(terms, history, day, founding)
        here = (*missing, *contradictions(policy))
        found += [Contradiction(day, refusal) for refusal in dict.fromkeys(here) if refusal not in before]
        before = set(here)
    return tuple(found)


def contradictions(policy: Policy) -> tuple[Refusal, ...]:
    """List every contradiction between the rules of one day, in the order of the chapters."""
    return (
        *_unit(policy),
        *_scope(policy),
        *_cap(policy),
        *_alloc(policy),
        *_time(policy),
        *_supply(policy),
        *_limits(policy),
        *_links(policy),
        *_told_by("compliance", deadlines.contradictions(policy.compliance, policy.transactions)),
        *_compliance(policy),
        *_sanction(policy),
        *_revenue(policy),
        *_oversight(policy),
    )


def _told_by(chapter: str, refusals: Iterable[Refusal]) -> Iterator[Refusal]:
    """Let the sentences of an engine begin with the chapter that they speak of."""
    for refusal in refusals:
        yield Refusal(refusal.code, f"{chapter}: {refusal.sentence}")


def _unit(policy: Policy) -> Iterator[Refusal]:
    for (on, region), times in Counter((bridge.on, bridge.region) for bridge in policy.unit.bridge).items():
        if times > 1:
            yield Refusal("bridge_twice", f"unit.bridge: {region} has {times} conversions for {on}: keep one.")


def _scope(policy: Policy) -> Iterator[Refusal]:
    for place, tier in enumerate(policy.scope.tiers, 1):
        where = f"scope.tiers, item {place} ({tier.regime})"
        if tier.threshold_in is not None and tier.threshold_out is not None and tier.threshold_out > tier.threshold_in:
            yield Refusal(
                "thresholds_out_of_order",
                f"{where}: threshold_out {tier.threshold_out:f} is above threshold_in {tier.threshold_in:f}, so that "
                "an operator would enter and leave at once.",
            )
        if tier.regime is Regime.TARGET_ONLY and tier.target is None:
            yield Refusal("target_missing", f"{where}: a regime of targets needs the target, in permits a year.")
        if tier.regime is Regime.NOTIFY_ONLY and tier.notify_by is None:
            yield Refusal("notify_by_missing", f"{where}: say by which day an operator notifies, as notify_by.")
    for (regime, measure), times in Counter((tier.regime, tier.measure) for tier in policy.scope.tiers).items():
        if times > 1:
            yield Refusal("tier_twice", f"scope.tiers: {regime} is decided by {measure} {times} times: keep one.")


def _cap(policy: Policy) -> Iterator[Refusal]:
    for refusal in _told_by("cap", cap.contradictions(policy.cap)):
        if refusal.code != "no_cap" or policy.cap.lock_years or policy.cap != CapRule(lock_years=policy.cap.lock_years):
            yield refusal


def _alloc(policy: Policy) -> Iterator[Refusal]:
    alloc = policy.alloc
    shares = {"alloc.free_share": alloc.free_share}
    shares |= {f"alloc.set_asides ({one.cohort})": one.share for one in alloc.set_asides}
    if alloc.new_entrants is not None:
        shares["alloc.new_entrants.share"] = alloc.new_entrants.share
    if sum(shares.values()) > 1:
        sums = " + ".join(f"{name} {exact_text(share)}" for name, share in shares.items())
        yield Refusal("shares_over_all", f"{sums} is more than the whole cap: lower one of them.")
    if sum((one.cut for one in alloc.conditionality), Decimal(0)) > 1:
        yield Refusal("cuts_over_all", "alloc.conditionality: the cuts together take away more than all free permits.")
    benchmarks = {one.product for one in alloc.benchmarks}
    for place, method in enumerate(alloc.methods, 1):
        where = f"alloc.methods, item {place} ({method.kind}, {method.product})"
        if method.kind.startswith("GRANDFATHERING") and not method.base_years:
            yield Refusal("base_years_missing", f"{where}: name the base years.")
        if not method.kind.startswith("GRANDFATHERING") and method.product not in benchmarks:
            yield Refusal("benchmark_missing", f"{where}: alloc.benchmarks has none for {method.product}.")
    for place, benchmark in enumerate(alloc.benchmarks, 1):
        where = f"alloc.benchmarks, item {place} ({benchmark.product})"
        if benchmark.method == "FIXED" and benchmark.value is None:
            yield Refusal("benchmark_value_missing", f"{where}: a fixed benchmark needs its value.")
        if benchmark.rate_lo > benchmark.rate_hi:
            yield Refusal(
                "rates_out_of_order",
                f"{where}: rate_lo {exact_text(benchmark.rate_lo)} is above rate_hi {exact_text(benchmark.rate_hi)}.",
            )
    yield from _twice("alloc.methods", "method", ((one.kind, one.product) for one in alloc.methods))
    yield from _twice("alloc.benchmarks", "benchmark", ((one.product,) for one in alloc.benchmarks))
    yield from _twice("alloc.set_asides", "set_aside", ((one.cohort,) for one in alloc.set_asides))
    yield from _twice("alloc.conditionality", "condition", ((one.condition,) for one in alloc.conditionality))


def _time(policy: Policy) -> Iterator[Refusal]:
    rule, banking = policy.time, policy.time.banking
    if len(rule.annual_share) != rule.period_years:
        yield Refusal(
            "annual_shares_do_not_fit",
            f"time.annual_share has {len(rule.annual_share)} shares and time.period_years is {rule.period_years}: "
            "give one share for each year.",
        )
    if rule.annual_share[-1] != 1:
        yield Refusal(
            "annual_shares_do_not_sum",
            f"time.annual_share ends with {exact_text(rule.annual_share[-1])}: after the last year of a period all of "
            "it is due, so that the last share is 1.",
        )
    if banking.mode is BankingMode.PCT_PLUS and not (banking.pct or banking.fixed):
        yield Refusal("banking_incomplete", "time.banking: PCT_PLUS needs pct or fixed; for no banking, choose NONE.")
    if banking.mode is BankingMode.NET_SALES and not (banking.multiple or banking.fixed):
        yield Refusal("banking_incomplete", "time.banking: NET_SALES needs multiple or fixed.")
    if banking.mode in (BankingMode.UNLIMITED, BankingMode.NONE) and (
        banking.pct or banking.fixed or banking.multiple or banking.deduct_excess
    ):
        yield Refusal(
            "banking_without_use",
            f"time.banking: {banking.mode} takes no pct, fixed, multiple or deduct_excess: take them back.",
        )
    if rule.borrow_interest and not rule.borrow_share:
        yield Refusal("interest_without_borrowing", "time.borrow_interest needs a time.borrow_share above 0.")


def _supply(policy: Policy) -> Iterator[Refusal]:
    supply = policy.supply
    if supply.msr is not None:
        msr = supply.msr
        if msr.lower >= msr.upper:
            yield Refusal(
                "reserve_lines_out_of_order",
                f"supply.msr.lower {msr.lower:,} is not below supply.msr.upper {msr.upper:,}.",
            )
        if msr.mid is not None and msr.mid < msr.upper:
            yield Refusal(
                "reserve_lines_out_of_order",
                f"supply.msr.mid {msr.mid:,} is below supply.msr.upper {msr.upper:,}: the buffer begins at upper.",
            )
    for place, tier in enumerate(supply.ccr, 1):
        if (tier.quantity is None) == (tier.share is None):
            yield Refusal("tier_quantity", f"supply.ccr, item {place}: give either quantity or share, not both.")
    if supply.spike is not None and supply.spike.recent_months > supply.spike.reference_months:
        yield Refusal(
            "spike_windows_out_of_order",
            f"supply.spike.recent_months {supply.spike.recent_months} is longer than supply.spike.reference_months "
            f"{supply.spike.reference_months}.",
        )
    for place, release in enumerate(supply.releases, 1):
        if release.smooth_from is None:
            continue
        if release.measure != "CIRCULATION_BELOW" or release.smooth_from <= release.threshold:
            yield Refusal(
                "smoothing_out_of_order",
                f"supply.releases, item {place} ({release.name}): smooth_from belongs to CIRCULATION_BELOW and lies "
                "above the threshold.",
            )
    yield from _twice("supply.releases", "release", ((one.name,) for one in supply.releases))
    yield from _prices_in_order(policy)


def _prices_in_order(policy: Policy) -> Iterator[Refusal]:
    """Compare the price paths year by year: floor < containment below < containment above < ceiling."""
    supply = policy.supply
    tiers = [(f"supply.ccr, item {place}", tier.trigger) for place, tier in enumerate(supply.ccr, 1)]
    floor = [] if supply.floor is None else [("supply.floor", supply.floor)]
    below = [] if supply.ecr is None else [("supply.ecr.trigger", supply.ecr.trigger)]
    ceiling = [] if supply.ceiling is None else [("supply.ceiling", supply.ceiling.path)]
    ordered = [*floor, *below, *tiers, *ceiling]
    for place, (low_name, low) in enumerate(ordered):
        for high_name, high in ordered[place + 1 :]:
            year = _first_year_not_below(low, high)
            if year is not None:
                yield Refusal(
                    "prices_out_of_order",
                    f"{low_name} is {_shown(low, year)} in {year} and {high_name} only {_shown(high, year)}: "
                    "it must lie below it in every year.",
                )


def _first_year_not_below(low: PricePath, high: PricePath) -> int | None:
    """Return the first year in which the lower price is not below the higher one, of the years that both have."""
    first = max(low.start_year, high.start_year)
    last = max((first, *low.index, *high.index)) + YEARS_COMPARED
    lower, higher = _cents(low, last), _cents(high, last)
    return next((year for year in range(first, last + 1) if lower[year] >= higher[year]), None)


def _cents(path: PricePath, last: int) -> dict[int, int]:
    """Return the price of every year in cents by rule R5: rounded half-up yearly, then compounded from there."""
    prices = {path.start_year: half_up(exact(path.start) * 100)}
    for year in range(path.start_year + 1, last + 1):
        rate = exact(path.real) + exact(path.index.get(year, Decimal(0)))
        prices[year] = half_up(prices[year - 1] * max(Fraction(0), 1 + rate))
    return prices


def _shown(path: PricePath, year: int) -> str:
    cents = _cents(path, year)[year]
    return f"{cents // 100}.{cents % 100:02d}"


def _limits(policy: Policy) -> Iterator[Refusal]:
    limits = policy.limits
    if limits.holding is not None and limits.holding.p2 > limits.holding.p1:
        yield Refusal(
            "holding_shares_out_of_order",
            f"limits.holding.p2 {exact_text(limits.holding.p2)} is above limits.holding.p1 "
            f"{exact_text(limits.holding.p1)}: the share of a larger cap is the smaller one.",
        )
    if limits.offset is not None:
        for tag, share in limits.offset.sub.items():
            if share > limits.offset.pct:
                yield Refusal(
                    "offset_share_too_wide",
                    f"limits.offset.sub ({tag}) {exact_text(share)} is wider than limits.offset.pct "
                    f"{exact_text(limits.offset.pct)}.",
                )


def _links(policy: Policy) -> Iterator[Refusal]:
    yield from _twice("links", "link", ((link.partner,) for link in policy.links))
    if any(link.partner == policy.scheme for link in policy.links):
        yield Refusal("link_to_itself", "links: a scheme is no partner of its own.")


def _compliance(policy: Policy) -> Iterator[Refusal]:
    uplifts = [share for _, share in sorted(policy.compliance.tier_uplift.items())]
    if uplifts != sorted(uplifts):
        yield Refusal("uplifts_out_of_order", "compliance.tier_uplift: data that are less sure add at least as much.")


def _sanction(policy: Policy) -> Iterator[Refusal]:
    sanction = policy.sanction
    if sanction.mode is SanctionMode.PERMITS and sanction.counts_original and sanction.multiple < 1:
        yield Refusal(
            "multiple_below_one",
            f"sanction.multiple {exact_text(sanction.multiple)} counts the missing permit, so that it is at least 1.",
        )
    for cohort, multiple in sanction.cohort_multiple.items():
        if sanction.mode is SanctionMode.CASH:
            yield Refusal("multiple_without_use", f"sanction.cohort_multiple ({cohort}): CASH has no multiple.")
        elif sanction.mode is SanctionMode.PERMITS and sanction.counts_original and multiple < 1:
            yield Refusal("multiple_below_one", f"sanction.cohort_multiple ({cohort}) counts the missing permit.")
    if sanction.cap_minor is not None and sanction.mode is not SanctionMode.PRICE_MULT:
        yield Refusal("cap_without_use", "sanction.cap_minor limits a multiple of the price: choose PRICE_MULT.")
    if sanction.min_allowance_share and sanction.mode is not SanctionMode.PERMITS:
        yield Refusal("share_without_use", "sanction.min_allowance_share is of a sanction in permits: choose PERMITS.")
    days = []
    for place, step in enumerate(sanction.ladder, 1):
        if [step.business_days, step.days, step.on].count(None) != 2:
            yield Refusal(
                "step_day", f"sanction.ladder, item {place} ({step.action}): give one of business_days, days and on."
            )
        else:
            days.append((_day_of(step, policy), place, step.action))
    for (earlier, _, first), (later, place, action) in pairwise(days):
        if later < earlier:
            yield Refusal(
                "ladder_out_of_order",
                f"sanction.ladder, item {place} ({action}) comes on {later} and {first} before it on {earlier}, "
                f"for use in {policy.on.year}: put the steps in the order of their days.",
            )
    surrender = deadlines.calendar_day(_year(policy), policy.compliance.calendar.surrender)
    for day, place, action in days:
        if day < surrender:
            yield Refusal(
                "step_before_deadline",
                f"sanction.ladder, item {place} ({action}) comes on {day}, before permits are due on {surrender}.",
            )
    yield from _twice("sanction.ladder", "step", ((step.action,) for step in sanction.ladder))


def _day_of(step: LadderStep, policy: Policy) -> date:
    """Return the day of a step for use in the year of the policy."""
    surrender = deadlines.calendar_day(_year(policy), policy.compliance.calendar.surrender)
    if step.business_days is not None:
        return deadlines.add_working_days(surrender, step.business_days, policy.compliance.holidays)
    if step.days is not None:
        return surrender + timedelta(days=step.days)
    assert step.on is not None
    return deadlines.calendar_day(_year(policy), step.on)


def _year(policy: Policy) -> int:
    """Return the year of use that stands for all: one with room for the calendar on both sides."""
    return min(max(policy.on.year, 1000), 9000)


def _revenue(policy: Policy) -> Iterator[Refusal]:
    shares = [step.amount for step in policy.revenue if step.kind == "SHARE"]
    if sum(shares, Decimal(0)) > 1:
        yield Refusal("shares_over_all", "revenue: the shares together are more than all that is left: lower one.")
    for place, step in enumerate(policy.revenue, 1):
        if step.kind == "FIXED" and step.amount % 1:
            yield Refusal(
                "sum_not_whole", f"revenue, item {place} ({step.destination}): a fixed sum is whole minor units."
            )
    kinds = [step.kind for step in policy.revenue]
    if "SHARE" in kinds and "FIXED" in kinds[kinds.index("SHARE") :]:
        yield Refusal("revenue_out_of_order", "revenue: fixed sums come first, then shares of what is left.")


def _oversight(policy: Policy) -> Iterator[Refusal]:
    spans = sorted(policy.oversight.blackouts)
    for first, last in spans:
        if last < first:
            yield Refusal("blackout_out_of_order", f"oversight.blackouts: {first} comes after {last}.")
    for (_, last), (first, _) in pairwise(spans):
        if first <= last:
            yield Refusal("blackouts_overlap", f"oversight.blackouts: two of them cover {first}: merge them.")


def _twice(where: str, what: str, keys: Iterable[tuple[str, ...]]) -> Iterator[Refusal]:
    for key, times in Counter(keys).items():
        if times > 1:
            yield Refusal(f"{what}_twice", f"{where}: {', '.join(key)} stands there {times} times: keep one.")
