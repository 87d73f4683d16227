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
from itertools import pairwise
from typing import Any

from registry.engine import (
    allocation,
    banking,
    cap,
    compliance,
    deadlines,
    limits,
    reserve,
    sanctions,
    scope,
    verification,
)
from registry.engine.parameters.documents import Entry, Terms
from registry.engine.parameters.folding import days_of_change, folded
from registry.engine.policy import LadderStep, Policy
from registry.engine.refusals import Refusal


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
        *_told_by("scope", scope.contradictions(policy.scope)),
        *_told_by("cap", _cap(policy)),
        *_told_by("alloc", allocation.contradictions(policy.alloc)),
        *_conditions(policy),
        *_told_by("verification", verification.contradictions(policy.verification)),
        *_told_by("time", banking.contradictions(policy.time, policy.compliance.calendar)),
        *_told_by("supply", reserve.contradictions(policy.supply)),
        *_supply(policy),
        *_told_by("limits", limits.contradictions(policy.limits)),
        *_links(policy),
        *_told_by("compliance", compliance.contradictions(policy.compliance)),
        *_told_by("compliance, transactions", deadlines.contradictions(policy.compliance, policy.transactions)),
        *_told_by("sanction", sanctions.contradictions(policy.sanction)),
        *_ladder(policy),
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


def _cap(policy: Policy) -> list[Refusal]:
    """Ask for contradictions of the cap; one without figures is published year by year, by an act of its own."""
    return [refusal for refusal in cap.contradictions(policy.cap) if refusal.code != "no_cap"]


def _conditions(policy: Policy) -> Iterator[Refusal]:
    if sum((one.cut for one in policy.alloc.conditionality), Decimal(0)) > 1:
        yield Refusal("cuts_over_all", "alloc.conditionality: the cuts together take away more than all free permits.")


def _supply(policy: Policy) -> Iterator[Refusal]:
    """Compare what the reserves' engine does not: equal lines, windows of a spike, prices that are no neighbours."""
    supply = policy.supply
    if supply.msr is not None and supply.msr.lower == supply.msr.upper:
        yield Refusal(
            "reserve_lines_equal",
            f"supply.msr.lower and supply.msr.upper are both {supply.msr.upper:,}: leave a band between them.",
        )
    if supply.spike is not None and supply.spike.recent_months > supply.spike.reference_months:
        yield Refusal(
            "spike_windows_out_of_order",
            f"supply.spike.recent_months {supply.spike.recent_months} is longer than supply.spike.reference_months "
            f"{supply.spike.reference_months}.",
        )
    tiers = [(f"supply.ccr, item {place}", tier.trigger) for place, tier in enumerate(supply.ccr, 1)]
    floor = [] if supply.floor is None else [("supply.floor", supply.floor)]
    below = [] if supply.ecr is None else [("supply.ecr.trigger", supply.ecr.trigger)]
    ceiling = [] if supply.ceiling is None else [("supply.ceiling", supply.ceiling.path)]
    ordered = [*floor, *below, *tiers, *ceiling]
    for place, (low_name, low) in enumerate(ordered):
        for high_name, high in ordered[place + 2 :]:
            first = max(low.start_year, high.start_year)
            lows, highs = (reserve.prices(path, first, first + reserve.YEARS_COMPARED) for path in (low, high))
            year = next((year for year in lows if year in highs and lows[year] >= highs[year]), None)
            if year is not None:
                yield Refusal(
                    "prices_out_of_order",
                    f"{low_name} is {lows[year]} in {year} and {high_name} only {highs[year]}: it must lie below it.",
                )


def _links(policy: Policy) -> Iterator[Refusal]:
    yield from _twice("links", "link", ((link.partner,) for link in policy.links))
    if any(link.partner == policy.scheme for link in policy.links):
        yield Refusal("link_to_itself", "links: a scheme is no partner of its own.")


def _ladder(policy: Policy) -> Iterator[Refusal]:
    """Compare the steps of enforcement with each other and with the surrender deadline of the policy's year."""
    surrender = deadlines.calendar_day(_year(policy), policy.compliance.calendar.surrender)
    days = [
        (_day_of(step, policy), place, step.action)
        for place, step in enumerate(policy.sanction.ladder, 1)
        if [step.business_days, step.days, step.on].count(None) == 2
    ]
    for (earlier, _, first), (later, place, action) in pairwise(days):
        if later < earlier:
            yield Refusal(
                "ladder_out_of_order",
                f"sanction.ladder, item {place} ({action}) comes on {later} and {first} before it on {earlier}, "
                f"for use in {policy.on.year}: put the steps in the order of their days.",
            )
    for day, place, action in days:
        if day < surrender:
            yield Refusal(
                "step_before_deadline",
                f"sanction.ladder, item {place} ({action}) comes on {day}, before permits are due on {surrender}.",
            )


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
