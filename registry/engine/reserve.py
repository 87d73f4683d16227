"""Reserves and price controls: what moves permits into or out of the market, and at which price.

Everything here says what the rules imply; a regulator signs and publishes it, and services move the permits. The parts:

- `stability_flow`, `monthly_flows`, `invalidation`: a quantity reserve; flows by R4, spread with the rest first
- `price_in`, `prices`: what a price path says in a year, by R5 every year
- `clear`, `containment`, `withholding`: an auction with more permits above a trigger price, or fewer below one;
  shares of the cap by R7
- `reserve_sale_opens`, `ceiling_sale`: who may buy from the reserve and at the ceiling, and how much
- `spike`, `consecutive_spike`: whether a price rose abnormally, by exact averages
- `releases`: releases linked to price or circulation, a limited number of times a year; R4 where smoothed
- `unsold`: where permits go that nobody bought; the limit of an auction by R7
- `contradictions`: what a supply rule cannot mean

Permits are whole numbers and never created or lost: what a function splits, it splits to the permit. Prices are exact
decimals in the money of the scheme.

Sources: [EU-MSR19][EU-MSR23][EU-MSR26][EU-MSRX][ETS2][EU-29a][RGGI-17][RGGI-25][CA-95911][CA-95913]
[CA-95915][NZ-AUC][UK-CCM][UK-MKT].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from registry.engine.policy import (
    Ceiling,
    ContainmentTier,
    EmissionsContainment,
    PricePath,
    ReleaseRule,
    Spike,
    StabilityReserve,
    SupplyRule,
    Unsold,
    UnsoldRule,
)
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact, floor_limit, price_path, reserve_flow

YEARS_COMPARED = 30
"""How many years ahead two price paths are compared for contradictions: longer than any scheme has fixed its prices."""


# ── the quantity reserve ─────────────────────────────────────────────────────────────────────────────────────────────


class FlowReason(StrEnum):
    """Which rule of a quantity reserve set the flow of a year."""

    INTAKE_SHARE = "INTAKE_SHARE"
    INTAKE_BUFFER = "INTAKE_BUFFER"
    RELEASE = "RELEASE"
    IN_BAND = "IN_BAND"


@dataclass(frozen=True)
class StabilityFlow:
    """What a quantity reserve does in the twelve months after its indicator was published, in permits.

    `wanted` is the rule's figure before the reserve's holdings or the auctions limit it. `holdings_after` counts the
    whole flow and the invalidation of what then lies above the line.
    """

    reason: FlowReason
    circulation: int
    wanted: int
    intake: int
    release: int
    invalidated: int
    holdings_before: int
    holdings_after: int

    @property
    def is_limited(self) -> bool:
        """Whether there was less to move than the rule asks for."""
        return self.wanted != self.intake + self.release


@dataclass(frozen=True)
class MonthlyFlow:
    """The part of a flow that belongs to one calendar month, in permits."""

    year: int
    month: int
    permits: int


def stability_flow(
    reserve: StabilityReserve, circulation: int, reserve_holdings: int, *, auction_volume: int | None = None
) -> StabilityFlow | Refusal:
    """Return what a quantity reserve takes in or releases, given the permits in circulation.

    | circulation | flow |
    |---|---|
    | above `mid` (above `upper` where there is no `mid`) | intake of `intake` x circulation, half-up (R4) |
    | above `upper`, up to `mid` | intake of circulation - `upper`: the buffer zone |
    | from `lower` to `upper` | none |
    | below `lower` | release of `release`, at most what the reserve holds |

    Where `auction_volume` is given, no more is taken in than the auctions of those months offer. All in permits.

    Sources: [EU-MSR19] 0.24 x 1,654,909,824 = 397,178,358; [EU-MSR23] 0.24 x 1,134,794,738 = 272,350,737; [EU-MSR26]
    1,023,494,202 - 833,000,000 = 190,494,202.
    """
    if reserve_holdings < 0 or (auction_volume or 0) < 0:
        return Refusal("negative_holdings", "A reserve and an auction hold no fewer than no permits.")
    reason, wanted = _wanted_flow(reserve, circulation)
    intake = release = 0
    if reason in (FlowReason.INTAKE_SHARE, FlowReason.INTAKE_BUFFER):
        intake = wanted if auction_volume is None else min(wanted, auction_volume)
    else:
        release = min(wanted, reserve_holdings)
    held = reserve_holdings + intake - release
    invalidated = invalidation(reserve, held)
    return StabilityFlow(
        reason, circulation, wanted, intake, release, invalidated, reserve_holdings, held - invalidated
    )


def invalidation(reserve: StabilityReserve, reserve_holdings: int) -> int:
    """Return the permits that are cancelled because the reserve holds more than its line, in permits.

    Source: [EU-MSRX]: above 400 million; 3.2 billion so far. Without a line nothing is cancelled.
    """
    if reserve.invalidate_above is None:
        return 0
    return max(0, reserve_holdings - reserve.invalidate_above)


def monthly_flows(reserve: StabilityReserve, permits: int, year: int) -> tuple[MonthlyFlow, ...] | Refusal:
    """Spread a flow evenly over the reserve's months, from its first month of the year of publication.

    What does not divide goes one permit each to the first months, so the months sum to the flow exactly.

    Source: over 12 months from 1 September, "remainder in the first auctions" [EU-MSR23].
    """
    if permits < 0 or reserve.months < 1:
        return Refusal("nothing_to_spread", "A flow is never negative and takes at least one month.")
    months = range(reserve.start_month - 1, reserve.start_month - 1 + reserve.months)
    return tuple(
        MonthlyFlow(year + month // 12, month % 12 + 1, part)
        for month, part in zip(months, spread_evenly(permits, reserve.months), strict=True)
    )


def spread_evenly(permits: int, parts: int) -> tuple[int, ...]:
    """Split permits into equal parts that sum exactly; what does not divide goes one each to the first parts."""
    assert permits >= 0
    assert parts > 0
    share, rest = divmod(permits, parts)
    return tuple(share + (place < rest) for place in range(parts))


def _wanted_flow(reserve: StabilityReserve, circulation: int) -> tuple[FlowReason, int]:
    top = reserve.upper if reserve.mid is None else reserve.mid
    if circulation > top:
        return FlowReason.INTAKE_SHARE, reserve_flow(exact(reserve.intake) * circulation)
    if circulation > reserve.upper:
        return FlowReason.INTAKE_BUFFER, circulation - reserve.upper
    if circulation < reserve.lower:
        return FlowReason.RELEASE, reserve.release
    return FlowReason.IN_BAND, 0


# ── price paths ──────────────────────────────────────────────────────────────────────────────────────────────────────


def price_in(path: PricePath, year: int) -> Decimal | Refusal:
    """Return the price of a year: the year before x (1 + real + index of this year), half-up to the cent (R5).

    Real rate and index are added, not multiplied (California: "5 % plus the CPI" [CA-95911]). A path without any index
    rises by its real rate alone; a path with one says no price for a year whose index is not known yet.
    """
    if year < path.start_year:
        return Refusal("price_before_start", f"The price path begins in {path.start_year}; {year} has no price.")
    if path.start < 0:
        return Refusal("price_not_positive", "A price path cannot begin below nought.")
    (price,) = price_path(path.start, Decimal(0), years=0)
    for each in range(path.start_year + 1, year + 1):
        if path.index and each not in path.index:
            return Refusal("index_not_known", f"Enter the price index of {each} first: the path rises by it.")
        rate = path.real + path.index.get(each, Decimal(0))
        if rate < -1:
            return Refusal("price_falls_below_zero", f"A price cannot fall by more than all of itself, as in {each}.")
        _, price = price_path(price, rate, years=1)
    return price


def prices(path: PricePath, first_year: int, last_year: int) -> dict[int, Decimal]:
    """Return year -> price for the years of a range in which the path has one."""
    found = {year: price_in(path, year) for year in range(first_year, last_year + 1)}
    return {year: price for year, price in found.items() if isinstance(price, Decimal)}


# ── an auction with a containment reserve ────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Bid:
    """So many permits wanted at up to this price each."""

    price: Decimal
    quantity: int


@dataclass(frozen=True)
class Cleared:
    """A uniform-price auction: everyone pays `price`. `price` is None where nothing was sold and there is no floor."""

    price: Decimal | None
    sold: int
    unsold: int


@dataclass(frozen=True)
class TierOutcome:
    """One tier of a containment reserve in one auction, in permits.

    `available` is what the tier had left, `released` what was added and sold, `rolled_over` and `lapsed` what became of
    the rest if this was the last auction of the year.
    """

    trigger: Decimal
    available: int
    released: int
    price_before: Decimal | None
    price_after: Decimal | None
    rolled_over: int
    lapsed: int


@dataclass(frozen=True)
class Containment:
    """An auction with its containment reserve: without it, tier by tier, and in the end."""

    without: Cleared
    tiers: tuple[TierOutcome, ...]
    final: Cleared

    @property
    def released(self) -> int:
        """The permits that all tiers added together."""
        return sum(tier.released for tier in self.tiers)


@dataclass(frozen=True)
class Withholding:
    """An auction below the trigger of an emissions containment reserve. What is withheld is cancelled, in permits."""

    trigger: Decimal
    limit: int
    withheld: int
    without: Cleared
    final: Cleared


def clear(bids: Sequence[Bid], offered: int, floor: Decimal | None = None) -> Cleared:
    """Clear a sealed uniform-price auction: the highest bids win, and all pay the price of the lowest that won.

    Bids below the floor do not count. Where less is wanted than offered, the price is the floor, or the lowest bid if
    there is no floor. Quantities in permits; nothing is rounded.

    Source: auction rules of California and RGGI.
    """
    left, price = max(0, offered), None
    for bid in _by_price(bids, floor):
        if not left:
            break
        left, price = left - min(left, bid.quantity), bid.price
    sold = max(0, offered) - left
    if left and floor is not None:
        price = floor
    return Cleared(price, sold, left)


def tier_quantity(tier: ContainmentTier, cap: int) -> int:
    """Return the permits in a tier in a year with this cap: its fixed number, or its share of the cap, floored (R7)."""
    if tier.quantity is not None:
        return tier.quantity
    return floor_limit(exact(tier.share or Decimal(0)) * cap)


def containment(
    tiers: Sequence[ContainmentTier],
    *,
    year: int,
    cap: int,
    offered: int,
    bids: Sequence[Bid],
    floor: Decimal | None = None,
    available: Sequence[int] | None = None,
    is_last_of_year: bool = False,
) -> Containment | tuple[Refusal, ...]:
    """Clear an auction and, where that price lies above a trigger, add the permits of that tier and clear again.

    The tiers come in the order of their triggers, each looking at the price that the tiers before it left. A tier's
    permits are on offer at its trigger and never below it. So a release pushes the price down to the trigger at most,
    exactly to it where the tier is not used up, and only what buyers want at that price leaves the reserve. A clearing
    price equal to the trigger releases nothing, and neither does an auction that does not sell what it offers.

    `available` is what each tier has left this year after earlier auctions and with what rolled over, in the order of
    `tiers`; without it, each tier is full: `tier_quantity`. In the last auction of a year what is left rolls over or
    lapses, as the tier says.

    Rounding: a share of the cap is floored (R7); triggers by R5. Source: [RGGI-17][RGGI-25]; that RGGI's
    trigger is the lowest price of the reserve's permits is known from its model rule, section XX-1.2, not re-read.
    """
    left = [tier_quantity(tier, cap) for tier in tiers] if available is None else list(available)
    if len(left) != len(tiers):
        return (Refusal("tiers_and_stock_differ", "Say for each tier, in order, how many permits it has left."),)
    triggers = [price_in(tier.trigger, year) for tier in tiers]
    refusals = tuple(trigger for trigger in triggers if isinstance(trigger, Refusal))
    refusals += _impossible_auction(bids, offered)
    refusals += tuple(
        Refusal("negative_stock", "A tier cannot hold fewer than no permits.") for stock in left if stock < 0
    )
    if refusals:
        return refusals

    without = now = clear(bids, offered, floor)
    supply = offered
    order = sorted((trigger, place) for place, trigger in enumerate(triggers) if isinstance(trigger, Decimal))
    outcomes: dict[int, TierOutcome] = {}
    for trigger, place in order:
        before, released = now, 0
        if left[place] and not before.unsold and before.price is not None and before.price > trigger:
            added = clear(bids, supply + left[place], trigger if floor is None else max(trigger, floor))
            released = added.sold - supply
            supply = added.sold
            now = Cleared(added.price, added.sold, 0)
        rest = left[place] - released
        rolls_over = tiers[place].rolls_over and is_last_of_year
        outcomes[place] = TierOutcome(
            trigger=trigger,
            available=left[place],
            released=released,
            price_before=before.price,
            price_after=now.price,
            rolled_over=rest if rolls_over else 0,
            lapsed=rest if is_last_of_year and not rolls_over else 0,
        )
    return Containment(without, tuple(outcomes[place] for place in range(len(tiers))), now)


def withholding(
    rule: EmissionsContainment,
    *,
    year: int,
    cap: int,
    offered: int,
    bids: Sequence[Bid],
    floor: Decimal | None = None,
    withheld_before: int = 0,
) -> Withholding | tuple[Refusal, ...]:
    """Clear an auction and, where that price lies below the trigger, withhold permits and clear again.

    As many are withheld as lift the price to the trigger: those that nobody wants at it. Over all auctions of the year
    at most `share` x cap, floored (R7); `withheld_before` is what the earlier auctions of the year took. They are
    cancelled for good. If the limit is reached, the price stays below the trigger.

    Source: RGGI 2021-26, 6.00 + 7 % a year, up to 10 % of the budgets [RGGI-17].
    """
    trigger = price_in(rule.trigger, year)
    refusals = _impossible_auction(bids, offered)
    if withheld_before < 0:
        refusals += (Refusal("negative_stock", "What was withheld before cannot be negative."),)
    if isinstance(trigger, Refusal):
        return (trigger, *refusals)
    if refusals:
        return refusals
    limit = max(0, floor_limit(exact(rule.share) * cap) - withheld_before)
    without = clear(bids, offered, floor)
    if without.price is not None and without.price >= trigger:
        return Withholding(trigger, limit, 0, without, without)
    at_trigger = clear(bids, offered, trigger)
    if at_trigger.unsold <= limit:
        lifted = Cleared(at_trigger.price, at_trigger.sold, 0)
        return Withholding(trigger, limit, at_trigger.unsold, without, lifted)
    return Withholding(trigger, limit, limit, without, clear(bids, offered - limit, floor))


def _by_price(bids: Sequence[Bid], floor: Decimal | None) -> list[Bid]:
    """Sort the bids that count, the highest first; equal prices pay the same, so their order is of no matter here."""
    eligible = [bid for bid in bids if bid.quantity > 0 and (floor is None or bid.price >= floor)]
    return sorted(eligible, key=lambda bid: -bid.price)


def _impossible_auction(bids: Sequence[Bid], offered: int) -> tuple[Refusal, ...]:
    found = []
    if offered < 0:
        found.append(Refusal("negative_offer", "An auction cannot offer fewer than no permits."))
    if any(bid.quantity < 0 or bid.price < 0 for bid in bids):
        found.append(Refusal("negative_bid", "A bid has neither a negative price nor a negative quantity."))
    return tuple(found)


# ── the reserve sale and the ceiling ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class CeilingSale:
    """What one operator may buy at the ceiling, in permits, and the price of each; `need` is None without proof."""

    price: Decimal
    need: int | None
    permits: int


def reserve_sale_opens(
    *, last_auction_price: Decimal, lowest_tier: Decimal, is_last_before_deadline: bool, share: Decimal = Decimal("0.6")
) -> bool:
    """Whether the reserve is sold this time: the last auction reached a share of the lowest tier's price, or time ends.

    Source: California: at 60 % of the lowest tier, and always before 1 November [CA-95913].
    """
    return is_last_before_deadline or last_auction_price >= share * lowest_tier


def ceiling_sale(
    ceiling: Ceiling, *, year: int, obligation: int, eligible: int, requested: int, containment_left: int = 0
) -> CeilingSale | Refusal:
    """Return the permits that an operator may buy at the ceiling price.

    With proof of need at most max(0, obligation - eligible holdings), and only once the containment reserve is empty:
    cheaper permits come first. All in permits; the price by R5.

    Source: [CA-95915]. That the sale lies between the last reserve sale and the deadline is the calendar's.
    """
    if min(obligation, eligible, requested, containment_left) < 0:
        return Refusal("negative_request", "Obligation, holdings and request are never negative.")
    price = price_in(ceiling.path, year)
    if isinstance(price, Refusal):
        return price
    if containment_left:
        return Refusal("containment_not_empty", f"{containment_left} permits of the reserve come before the ceiling.")
    if not ceiling.need_proof:
        return CeilingSale(price, None, requested)
    need = max(0, obligation - eligible)
    if not need:
        return Refusal("no_need", "The ceiling serves operators that are short, and this one holds enough.")
    return CeilingSale(price, need, min(need, requested))


# ── the spike clause ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class SpikeFinding:
    """Whether the price rose so far that the regulator may act, and the averages behind it, exact and in money.

    A finding is no decision: the authority may do nothing, and records why (UK, December 2021 and January 2022).
    `quantity` is what may be released, nought where the clause is not triggered.
    """

    is_triggered: bool
    recent: Fraction
    reference: Fraction
    threshold: Fraction
    quantity: int


def spike(rule: Spike, monthly_averages: Sequence[Decimal]) -> SpikeFinding | Refusal:
    """Compare the average of the recent months with that of the reference months right before them.

    `monthly_averages` are the monthly average prices, the oldest first, up to the last closed month. The clause is
    triggered above `multiple` x the reference, not at it.

    Source: Article 29a of the EU directive: 2.4 x the two years before, 75 million [EU-29a].
    """
    months = _months(rule, monthly_averages)
    if isinstance(months, Refusal):
        return months
    reference, recent = months
    return _finding(rule, _mean(recent), _mean(reference), _mean(recent))


def consecutive_spike(rule: Spike, monthly_averages: Sequence[Decimal]) -> SpikeFinding | Refusal:
    """Look whether each of the recent months lies above `multiple` x the reference; one calm month resets the clause.

    Source: the UK's cost containment mechanism, three monthly averages above 2 x the reference [UK-CCM].
    """
    months = _months(rule, monthly_averages)
    if isinstance(months, Refusal):
        return months
    reference, recent = months
    return _finding(rule, _mean(recent), _mean(reference), min(exact(price) for price in recent))


def _months(rule: Spike, averages: Sequence[Decimal]) -> tuple[Sequence[Decimal], Sequence[Decimal]] | Refusal:
    """Return the reference months and the recent ones after them."""
    needed = rule.recent_months + rule.reference_months
    if min(rule.recent_months, rule.reference_months) < 1:
        return Refusal("no_months", "Recent and reference months number at least one each.")
    if len(averages) < needed:
        return Refusal("too_few_months", f"The clause looks at {needed} months; {len(averages)} are known.")
    return averages[-needed : -rule.recent_months], averages[-rule.recent_months :]


def _finding(rule: Spike, recent: Fraction, reference: Fraction, compared: Fraction) -> SpikeFinding:
    threshold = exact(rule.multiple) * reference
    is_triggered = compared > threshold
    return SpikeFinding(is_triggered, recent, reference, threshold, rule.quantity if is_triggered else 0)


def _mean(values: Sequence[Decimal]) -> Fraction:
    return sum((exact(value) for value in values), Fraction(0)) / len(values)


# ── releases by price or circulation ─────────────────────────────────────────────────────────────────────────────────


class Measure(StrEnum):
    """What a release looks at."""

    PRICE_ABOVE = "PRICE_ABOVE"
    CIRCULATION_BELOW = "CIRCULATION_BELOW"


@dataclass(frozen=True)
class Release:
    """What one release rule gives, in permits. `reason` is MET, SMOOTHED, NOT_MET, USED_UP, or RESERVE_EMPTY."""

    name: str
    wanted: int
    permits: int
    reason: str


def releases(
    rules: Sequence[ReleaseRule],
    *,
    price: Decimal,
    circulation: int,
    reserve_holdings: int,
    times_used: Mapping[str, int],
) -> tuple[Release, ...] | tuple[Refusal, ...]:
    """Return what each rule releases now, in order, until the reserve is empty; all in permits.

    A rule of PRICE_ABOVE is met above its threshold, one of CIRCULATION_BELOW below it. Between `threshold` and
    `smooth_from` a rule of circulation gives quantity x (smooth_from - circulation) / (smooth_from - threshold),
    half-up (R4). `times_used` counts each rule's releases of this year by its name.

    Source: EU ETS2: 20 million above EUR 45, up to twice a year; 100 million where the indicator is below
    210 million, smoothed from 260 million [ETS2].
    """
    refusals = _release_contradictions(rules)
    if reserve_holdings < 0:
        refusals.append(Refusal("negative_holdings", "A reserve holds no fewer than no permits."))
    if refusals:
        return tuple(refusals)
    found, left = [], reserve_holdings
    for rule in rules:
        wanted, reason = _wanted_release(rule, price, circulation)
        if wanted and times_used.get(rule.name, 0) >= rule.times_a_year:
            wanted, reason = 0, "USED_UP"
        permits = min(wanted, left)
        left -= permits
        found.append(Release(rule.name, wanted, permits, reason if permits or not wanted else "RESERVE_EMPTY"))
    return tuple(found)


def _wanted_release(rule: ReleaseRule, price: Decimal, circulation: int) -> tuple[int, str]:
    if rule.measure == Measure.PRICE_ABOVE:
        return (rule.quantity, "MET") if price > rule.threshold else (0, "NOT_MET")
    if circulation < rule.threshold:
        return rule.quantity, "MET"
    if rule.smooth_from is not None and circulation < rule.smooth_from:
        part = (exact(rule.smooth_from) - circulation) / (exact(rule.smooth_from) - exact(rule.threshold))
        return reserve_flow(part * rule.quantity), "SMOOTHED"
    return 0, "NOT_MET"


# ── unsold permits ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class ComingAuction:
    """An auction still to come: its calendar year, the permits planned for it, and those added to it already."""

    name: str
    year: int
    planned: int
    added: int = 0


@dataclass(frozen=True)
class UnsoldOutcome:
    """Where unsold permits go, in permits. Additions, reserve and cancelled sum to what was unsold."""

    unsold: int
    additions: tuple[tuple[str, int], ...] = ()
    to_reserve: int = 0
    cancelled: int = 0


def unsold(rule: Unsold, *, permits: int, year: int, coming: Sequence[ComingAuction]) -> UnsoldOutcome | Refusal:
    """Say where the permits go that an auction of `year` did not sell. `coming` are the later auctions, in order.

    - ROLL_YEAR: to the next auction of the same calendar year; after the last one they are cancelled (NZ [NZ-AUC]).
    - SPREAD: evenly over the next `auctions`, the rest first. None grows beyond floor(`cap_pct` x planned) (R7); what
      one cannot take goes to the others in order, and what none can take to the reserve (UK [UK-MKT]).
    - TO_RESERVE: to the reserve.
    - CANCEL: cancelled.

    Where the rest goes after NZ's last auction and beyond the UK's limit is this product's choice; the sources read are
    silent.
    """
    if permits < 0:
        return Refusal("negative_unsold", "An auction cannot leave fewer than no permits.")
    if any(auction.planned < 0 or auction.added < 0 for auction in coming):
        return Refusal("negative_auction", "An auction is planned with no fewer than no permits.")
    if rule.rule is UnsoldRule.TO_RESERVE:
        return UnsoldOutcome(permits, to_reserve=permits)
    if rule.rule is UnsoldRule.CANCEL:
        return UnsoldOutcome(permits, cancelled=permits)
    if rule.rule is UnsoldRule.ROLL_YEAR:
        following = next((auction for auction in coming if auction.year == year), None)
        if following is None:
            return UnsoldOutcome(permits, cancelled=permits)
        return UnsoldOutcome(permits, additions=((following.name, permits),) if permits else ())
    return _spread_unsold(rule, permits, coming[: rule.auctions])


def _spread_unsold(rule: Unsold, permits: int, coming: Sequence[ComingAuction]) -> UnsoldOutcome:
    if not coming:
        return UnsoldOutcome(permits, to_reserve=permits)
    room = [max(0, floor_limit(exact(rule.cap_pct) * each.planned) - each.planned - each.added) for each in coming]
    parts = [min(share, space) for share, space in zip(spread_evenly(permits, len(coming)), room, strict=True)]
    left = permits - sum(parts)
    for place, space in enumerate(room):
        more = min(left, space - parts[place])
        parts[place] += more
        left -= more
    additions = tuple((each.name, part) for each, part in zip(coming, parts, strict=True) if part)
    return UnsoldOutcome(permits, additions=additions, to_reserve=left)


# ── what a supply rule cannot mean ───────────────────────────────────────────────────────────────────────────────────


def contradictions(supply: SupplyRule) -> tuple[Refusal, ...]:
    """List everything in a supply rule that cannot be meant; the order is that of the rule's fields.

    Price paths are compared year by year as far as both are known, because a path that rises faster overtakes another
    one years later.
    """
    found = [] if supply.msr is None else _msr_contradictions(supply.msr)
    for name, path in _paths(supply):
        found += _path_contradictions(name, path)
    is_sound = not any(refusal.code.startswith("price_") for refusal in found)
    for number, tier in enumerate(supply.ccr, start=1):
        found += _tier_contradictions(number, tier)
    if supply.ecr is not None and not 0 <= supply.ecr.share <= 1:
        found.append(Refusal("share_out_of_range", "The share withheld must lie between 0 and 1."))
    if is_sound:
        found += _order_contradictions(supply)
    if supply.spike is not None:
        found += _spike_contradictions(supply.spike)
    found += _release_contradictions(supply.releases)
    if supply.unsold.rule is UnsoldRule.SPREAD:
        if supply.unsold.auctions < 1:
            found.append(Refusal("unsold_without_auctions", "Unsold permits are spread over at least one auction."))
        if supply.unsold.cap_pct < 1:
            found.append(Refusal("unsold_limit_too_low", "With unsold permits an auction is no smaller than planned."))
    return tuple(found)


def _paths(supply: SupplyRule) -> list[tuple[str, PricePath]]:
    """Name every price path of a rule, from the lowest to the highest that is meant."""
    paths = [] if supply.floor is None else [("floor", supply.floor)]
    paths += [] if supply.ecr is None else [("ecr", supply.ecr.trigger)]
    paths += [(f"ccr tier {number}", tier.trigger) for number, tier in enumerate(supply.ccr, start=1)]
    paths += [] if supply.ceiling is None else [("ceiling", supply.ceiling.path)]
    return paths


def _msr_contradictions(reserve: StabilityReserve) -> list[Refusal]:
    checks = [
        (reserve.lower < 0, "msr_negative_line", "The lower line lies at nought or above."),
        (reserve.lower > reserve.upper, "msr_lines_out_of_order", "The lower line must not lie above the upper one."),
        (
            reserve.mid is not None and reserve.mid < reserve.upper,
            "msr_lines_out_of_order",
            "The buffer zone ends at or above the upper line.",
        ),
        (not 0 <= reserve.intake <= 1, "msr_intake_out_of_range", "The intake is a share between 0 and 1."),
        (reserve.release < 0, "msr_negative_release", "A release cannot be negative."),
        (
            reserve.invalidate_above is not None and reserve.invalidate_above < 0,
            "msr_negative_invalidation",
            "Permits cannot be cancelled above a line below nought.",
        ),
        (not 1 <= reserve.start_month <= 12, "msr_no_such_month", "The first month lies between 1 and 12."),
        (not 1 <= reserve.months <= 12, "msr_months_out_of_range", "A yearly flow takes between 1 and 12 months."),
    ]
    return [Refusal(code, sentence) for is_wrong, code, sentence in checks if is_wrong]


def _path_contradictions(name: str, path: PricePath) -> list[Refusal]:
    found = []
    if path.start < 0 or (path.start == 0 and name != "floor"):
        found.append(Refusal("price_not_positive", f"The price path of the {name} must begin above nought."))
    if path.real < -1:
        found.append(Refusal("price_falls_below_zero", f"The {name} cannot fall by more than the whole price."))
    found += [
        Refusal("price_falls_below_zero", f"The {name} cannot fall by more than the whole price, as in {year}.")
        for year, index in sorted(path.index.items())
        if path.real >= -1 and path.real + index < -1
    ]
    if path.index:
        known = range(path.start_year + 1, max(path.index) + 1)
        found += [
            Refusal("price_index_gap", f"The {name} needs the price index of {year}: a later one is there.")
            for year in known
            if year not in path.index
        ]
    return found


def _tier_contradictions(number: int, tier: ContainmentTier) -> list[Refusal]:
    found = []
    if (tier.quantity is None) == (tier.share is None):
        found.append(Refusal("tier_quantity_or_share", f"Tier {number}: give either permits or a share of the cap."))
    if tier.quantity is not None and tier.quantity < 0:
        found.append(Refusal("tier_negative", f"Tier {number}: the permits cannot be negative."))
    if tier.share is not None and not 0 <= tier.share <= 1:
        found.append(Refusal("share_out_of_range", f"Tier {number}: the share must lie between 0 and 1."))
    return found


def _order_contradictions(supply: SupplyRule) -> list[Refusal]:
    """Name each pair of neighbouring prices where the one meant to be higher is not, with the first such year."""
    found = []
    for (low_name, low), (high_name, high) in pairwise(_paths(supply)):
        begin = max(low.start_year, high.start_year)
        lows, highs = (prices(path, begin, begin + YEARS_COMPARED) for path in (low, high))
        wrong = [year for year in lows if year in highs and lows[year] >= highs[year]]
        if wrong:
            year = wrong[0]
            found.append(
                Refusal(
                    "prices_out_of_order",
                    f"In {year} the {low_name} ({lows[year]}) does not lie below the {high_name} ({highs[year]}).",
                )
            )
    return found


def _spike_contradictions(rule: Spike) -> list[Refusal]:
    found = []
    if rule.multiple <= 1:
        found.append(Refusal("spike_multiple_too_low", "A spike is a multiple above 1 of the reference price."))
    if rule.quantity < 0:
        found.append(Refusal("spike_negative", "The permits of the spike clause cannot be negative."))
    if min(rule.recent_months, rule.reference_months) < 1:
        found.append(Refusal("spike_without_months", "Recent and reference months number at least one each."))
    return found


def _release_contradictions(rules: Sequence[ReleaseRule]) -> list[Refusal]:
    found = []
    names = [rule.name for rule in rules]
    for rule in rules:
        if rule.measure not in set(Measure):
            found.append(Refusal("release_measure", f"{rule.name}: the measure is one of {', '.join(Measure)}."))
        if rule.quantity < 0 or rule.threshold < 0:
            found.append(Refusal("release_negative", f"{rule.name}: neither quantity nor threshold is negative."))
        if rule.times_a_year < 1:
            found.append(Refusal("release_never", f"{rule.name}: it happens at least once a year, or remove it."))
        if rule.smooth_from is not None and (
            rule.measure != Measure.CIRCULATION_BELOW or rule.smooth_from <= rule.threshold
        ):
            found.append(
                Refusal("release_smoothing", f"{rule.name}: only circulation is smoothed, from above its threshold.")
            )
    found += [
        Refusal("release_twice", f"{name}: two releases share this name.")
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    return found
