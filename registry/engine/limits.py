"""Limits: how many permits a group may hold, buy at an auction, move at once, and how many offsets may count.

Every limit is cut to whole permits (R7) and the same for everybody who asks with the same figures. A limit that a rule
does not set is None: no limit.

| limit | function | source |
|---|---|---|
| holding | `holding_limit`, `holding_use` | CA, QC: 0.1 x base + 0.025 x (cap - base), base 25 million [CA-HL][QC-32] |
| exemption | `counted` | permits kept for the verified obligation do not count [CA-HL] |
| purchase | `purchase_limit`, `group_purchase_limits` | CA: 15 % covered, 40 % utilities, 4 % others [CA-PL] |
| offsets | `offset_limits`, `usable_offsets` | CA 4 %, then 6 %, half of it from elsewhere [CA-AB1207]; RGGI 3.3 % |
| one transfer | `transfer_limit` | the lower of the regulator's and the holder's |
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from fractions import Fraction

from registry.engine.deadlines import add_working_days, end_of_day
from registry.engine.policy import HoldingLimit, LimitRule, OffsetQuota
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact, floor_limit, floor_to_lot


@dataclass(frozen=True)
class Holder:
    """What one member of a group holds: permits by vintage (None for permits without one), in all of its accounts.

    `in_compliance` of them lie in a compliance account, where they can only be surrendered; `obligation` is the
    verified obligation that is not yet met.
    """

    holdings: Mapping[int | None, int]
    in_compliance: int = 0
    obligation: int = 0


@dataclass(frozen=True)
class HoldingUse:
    """How far a group has used one holding limit."""

    limit: int
    counted: int

    @property
    def headroom(self) -> int:
        """How many more permits the group may receive."""
        return max(0, self.limit - self.counted)

    @property
    def excess(self) -> int:
        """How many permits the group has to give up within the days of grace."""
        return max(0, self.counted - self.limit)


@dataclass(frozen=True)
class OffsetLimits:
    """The most offsets one obligation takes: in all, and of each tag that is limited further."""

    total: int
    by_tag: Mapping[str, int] = field(default_factory=dict)

    def of(self, tag: str) -> int:
        """Return the most offsets of one tag."""
        return min(self.total, self.by_tag.get(tag, self.total))


def holding_limit(rule: HoldingLimit, cap: int) -> int:
    """Return the most permits a group may hold of a year: floor(p1 min(base, cap) + p2 max(0, cap - base)).

    The form with minimum and maximum also holds for a cap below the base, where the published formula
    0.1 x base + 0.025 x (cap - base) would allow more than a tenth of the cap (R7) [CA-HL].
    """
    assert cap >= 0
    return floor_limit(exact(rule.p1) * min(rule.base, cap) + exact(rule.p2) * max(0, cap - rule.base))


def counted(total: int, in_compliance: int, exemption: int) -> int:
    """Return the permits that count against a holding limit: total - min(compliance balance, exemption) [CA-HL]."""
    assert 0 <= in_compliance <= total and exemption >= 0
    return total - min(in_compliance, exemption)


def holding_use(rule: HoldingLimit, cap: int, members: Iterable[Holder], year: int) -> HoldingUse:
    """Return a group's use of the limit on permits of this year, earlier ones, and those without a vintage.

    The members count together, whoever owns them in the end; each has its own exemption, up to its own obligation.
    """
    use = 0
    for member in members:
        held = sum(permits for vintage, permits in member.holdings.items() if vintage is None or vintage <= year)
        kept = min(held, member.in_compliance)
        use += counted(held, kept, member.obligation if rule.exemption else 0)
    return HoldingUse(holding_limit(rule, cap), use)


def future_holding_uses(
    rule: HoldingLimit, caps: Mapping[int, int], members: Collection[Holder], year: int
) -> dict[int, HoldingUse]:
    """Return a group's use of the limit of each future vintage, which has its own limit from its own cap [QC-32].

    Nothing is exempt: a permit of a future vintage meets no obligation yet.
    """
    return {
        vintage: HoldingUse(holding_limit(rule, cap), sum(member.holdings.get(vintage, 0) for member in members))
        for vintage, cap in sorted(caps.items())
        if vintage > year
    }


def receipt_refusal(use: HoldingUse, quantity: int) -> Refusal | None:
    """Refuse a receipt that would take a group above its limit; a transfer inside the group never asks [CA-95920]."""
    if quantity <= use.headroom:
        return None
    return Refusal(
        "holding_limit_exceeded",
        f"The receiver's group may take {use.headroom:,} more permits of its limit of {use.limit:,}: "
        f"send no more than that, or ask it to give up permits first.",
    )


def cure_by(breached_on: date, rule: LimitRule, zone: tzinfo, holidays: Collection[date] = ()) -> datetime:
    """Return the instant by which a group above its limit must be back under it, before the excess is consigned to the
    next auction: the end of the fifth working day in California [CA-95920], also after a merger."""
    return end_of_day(add_working_days(breached_on, rule.cure_days, holidays), zone)


def purchase_limit(rule: LimitRule, participant_class: str, offered: int) -> int | None:
    """Return the most permits one group of a class may win of an auction: its share of what is offered, in whole lots
    (R7) [CA-PL][CA-95911]. A class that the rule does not name has no limit."""
    assert offered >= 0
    share = rule.purchase.get(participant_class)
    return None if share is None else floor_to_lot(offered * exact(share), rule.lot)


def group_purchase_limits(limit: int, shares: Mapping[str, Exact], lot: int) -> dict[str, int] | Refusal:
    """Divide a group's purchase limit by the shares its members declared, in whole lots (R7).

    The shares inside a group sum to one [CA-PL]. What the lots leave over is nobody's, so the group never wins more.
    """
    if any(exact(share) < 0 for share in shares.values()) or sum(map(exact, shares.values()), Fraction(0)) != 1:
        return Refusal("group_shares_not_one", "The shares of a group's members are zero or more and sum to exactly 1.")
    return {member: floor_to_lot(limit * exact(share), lot) for member, share in shares.items()}


def bounded_award(bids: Iterable[int], limit: int | None, lot: int = 1) -> tuple[int, ...]:
    """Cut a group's bids, given in the order of their price, to what its limit leaves, in whole lots (R7).

    Enforced when bidding closes and in price order, so the dearest bids stand [CA-PL].
    """
    left, kept = limit, []
    for bid in bids:
        assert bid >= 0
        kept.append(bid if left is None else floor_to_lot(min(bid, left), lot))
        left = None if left is None else left - kept[-1]
    return tuple(kept)


def offset_limits(quota: OffsetQuota | None, obligation: int) -> OffsetLimits:
    """Return how many offsets one obligation takes, each share floored (R7); without a quota, none [NZ-SET].

    The shares of the tags are of the obligation too: California's half of 4 % is a share of 0.02.
    """
    assert obligation >= 0
    if quota is None:
        return OffsetLimits(0)
    return OffsetLimits(
        floor_limit(obligation * exact(quota.pct)),
        {tag: floor_limit(obligation * exact(share)) for tag, share in quota.sub.items()},
    )


def usable_offsets(
    limits: OffsetLimits, available: Mapping[str, int], used: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Return how many of the offsets at hand, by tag and in the order given, an obligation still takes.

    `used` is what the same obligation took before, by tag. Offsets without a limited tag are under the quota alone.
    """
    used = used or {}
    left = max(0, limits.total - sum(used.values()))
    usable = {}
    for tag, permits in available.items():
        assert permits >= 0
        usable[tag] = min(permits, left, max(0, limits.of(tag) - used.get(tag, 0)))
        left -= usable[tag]
    return usable


def transfer_limit(regulator: int | None, holder: int | None) -> int | None:
    """Return the most permits one transfer may move: the lower of the regulator's limit and the holder's own."""
    return min((limit for limit in (regulator, holder) if limit is not None), default=None)


def transfer_refusal(quantity: int, regulator: int | None, holder: int | None) -> Refusal | None:
    """Refuse a transfer above the limit, and say whose limit it is."""
    limit = transfer_limit(regulator, holder)
    if limit is None or quantity <= limit:
        return None
    whose = "the holder's own limit" if limit == holder else "the scheme's limit"
    return Refusal(
        "transfer_limit_exceeded", f"{quantity:,} permits are more than {whose} of {limit:,} for one transfer."
    )


def contradictions(rule: LimitRule) -> list[Refusal]:
    """List everything in the limits that cannot be meant."""
    found = [*_holding_faults(rule.holding), *_offset_faults(rule.offset)]
    found += [
        Refusal("purchase_share_out_of_range", f"{name} may buy {share}: enter a share above 0 and at most 1.")
        for name, share in sorted(rule.purchase.items())
        if not 0 < share <= 1
    ]
    if rule.lot <= 0:
        found.append(Refusal("lot_not_positive", "A lot is at least one permit."))
    if rule.price_band is not None and not 0 < rule.price_band < 1:
        found.append(Refusal("price_band_out_of_range", "A price band lies between 0 and 1, both excluded."))
    if rule.transfer is not None and rule.transfer <= 0:
        found.append(Refusal("transfer_limit_not_positive", "The largest transfer is at least one permit."))
    if rule.cure_days < 0:
        found.append(Refusal("cure_days_negative", "The days of grace are zero or more."))
    return found


def _holding_faults(rule: HoldingLimit | None) -> list[Refusal]:
    if rule is None:
        return []
    found = []
    if not 0 < rule.p1 <= 1 or not 0 <= rule.p2 <= 1:
        found.append(Refusal("holding_share_out_of_range", "The shares of a holding limit lie between 0 and 1."))
    if rule.p2 > rule.p1:
        found.append(Refusal("holding_share_rises", "The share above the base is not larger than the share below it."))
    if rule.base < 0:
        found.append(Refusal("holding_base_negative", "The base of a holding limit is zero permits or more."))
    return found


def _offset_faults(quota: OffsetQuota | None) -> list[Refusal]:
    if quota is None:
        return []
    found = []
    if not 0 <= quota.pct <= 1:
        found.append(Refusal("offset_share_out_of_range", "The share of offsets lies between 0 and 1."))
    found += [
        Refusal(
            "offset_tag_out_of_range", f"{tag}: a share of {share} does not lie between 0 and the quota {quota.pct}."
        )
        for tag, share in sorted(quota.sub.items())
        if not 0 <= share <= quota.pct
    ]
    return found
