"""Banking: how many unused permits go into the next period, what may be borrowed, and which permits are retired first.

Nothing here makes a permit: what is carried over, lapses or is given back always sums to what was there.

| lever | function | rounding | who has it |
|---|---|---|---|
| unlimited | `banking_limit`, `carry_over` | none | EU, UK, CA, QC, RGGI, NZ |
| percent plus fixed | the same | R7 | Korea, phase 1: 10 % of the average allocation + 20,000 [KR-17] |
| net sales | the same | R7 | Korea 2024: 5 x (sold - bought) [KR-ICAP]; China: plus 10,000 |
| borrowing | `borrow`, `next_delivery` | R7, the debt half-up as R6 | Korea 10 %, then 20 %, then 15 % [KR-17] |
| vintages | `is_usable` | none | the obligation's year or earlier [CA-95856] |
| retirement order | `retire` | none | Quebec: offsets, reserve, then units, oldest first [QC-21] |
| expiry | `expires_on`, `notice_days` | none | Korea [KR-T] |
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from registry.engine.deadlines import calendar_day, is_month_day
from registry.engine.limits import OffsetLimits
from registry.engine.policy import Banking, BankingMode, Calendar, TimeRule
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact, floor_limit, half_up

NOTICE_DAYS = (60, 30, 7)
"""An owner is told this many days before permits expire."""

VINTAGE_RULES = ("SAME_OR_EARLIER", "SAME", "ANY")
"""Which vintages meet the obligation of a year."""

WITHOUT_VINTAGE = frozenset({"reserve", "offset"})
"""Kinds of units that meet an obligation whatever their vintage says [CA-95856]."""


@dataclass(frozen=True)
class CarryOver:
    """What becomes of the unused permits at the end of a period: `carried` and `lapsed` sum to them.

    `deduct_next` comes off the next delivery, where the rule keeps the excess but takes it back later.
    """

    limit: int | None
    carried: int
    lapsed: int
    deduct_next: int


@dataclass(frozen=True)
class Loan:
    """Permits of the next year used now, and the permits owed for them at the next delivery."""

    borrowed: int
    debt: int


@dataclass(frozen=True)
class Delivery:
    """A free delivery after debts: `delivered`, `debt_paid` and `deducted` sum to the permits allocated."""

    delivered: int
    debt_paid: int
    deducted: int
    debt_left: int
    deduction_left: int


@dataclass(frozen=True)
class UnitClass:
    """Units that count alike: kind (permit, reserve, offset ...), vintage (None for none), and the tag of an offset."""

    kind: str
    vintage: int | None = None
    tag: str = ""


@dataclass(frozen=True)
class Retirement:
    """Which units an obligation takes, in the order in which it takes them, and what is missing."""

    units: tuple[tuple[UnitClass, int], ...]
    missing: int

    @property
    def retired(self) -> int:
        """How many units are taken."""
        return sum(permits for _, permits in self.units)

    @property
    def offsets(self) -> int:
        """How many of them are offsets."""
        return sum(permits for unit, permits in self.units if unit.kind == "offset")


def banking_limit(rule: Banking, *, average_yearly_allocation: Exact = 0, sold: int = 0, bought: int = 0) -> int | None:
    """Return the most permits that may be carried over, floored once at the end (R7); None is no limit.

    PCT_PLUS: share x average yearly allocation + fixed [KR-17]. NET_SALES: multiple x (sold - bought) + fixed, of which
    the first part is never below zero [KR-ICAP]; count settled trades only, and leave out pairs that wash.
    """
    assert sold >= 0 and bought >= 0
    if rule.mode is BankingMode.UNLIMITED:
        return None
    if rule.mode is BankingMode.NONE:
        return 0
    if rule.mode is BankingMode.PCT_PLUS:
        return floor_limit(exact(rule.pct) * exact(average_yearly_allocation) + rule.fixed)
    return floor_limit(exact(rule.multiple) * max(0, sold - bought) + rule.fixed)


def carry_over(unused: int, limit: int | None, *, deduct_excess: bool) -> CarryOver:
    """Divide unused permits at the end of a period by a banking limit.

    The excess lapses or, where it is deducted, is carried too and comes off the next delivery, as Korea's came off its
    second phase [KR-17].
    """
    assert unused >= 0
    excess = 0 if limit is None else max(0, unused - limit)
    if deduct_excess:
        return CarryOver(limit, unused, 0, excess)
    return CarryOver(limit, unused - excess, excess, 0)


def borrowing_limit(rule: TimeRule, next_allocation: int) -> int:
    """Return the most permits that may be borrowed: the share of the next free allocation (R7) [KR-17]."""
    return floor_limit(exact(rule.borrow_share) * next_allocation)


def borrow(rule: TimeRule, *, wanted: int, next_allocation: int, already: int = 0) -> Loan | Refusal:
    """Lend permits of the next allocation, and say what is owed for them: with interest, half-up as an obligation."""
    assert wanted > 0 and already >= 0
    left = max(0, borrowing_limit(rule, next_allocation) - already)
    if not left:
        return Refusal("nothing_to_borrow", "Nothing of the next allocation may be borrowed: buy what is missing.")
    if wanted > left:
        return Refusal("borrowing_limit_exceeded", f"Borrow {left:,} permits at most, and buy what is missing.")
    return Loan(wanted, half_up(wanted * (1 + exact(rule.borrow_interest))))


def next_delivery(allocated: int, *, debt: int = 0, deduction: int = 0) -> Delivery:
    """Net what an operator owes against its next free delivery: loans first, then an excess taken back.

    A debt is in permits and comes before any free permit, also where the next cap falls (policy chapter 2.3 case 11);
    what the delivery does not cover stays a debt, and no balance goes below zero.
    """
    assert allocated >= 0 and debt >= 0 and deduction >= 0
    debt_paid = min(allocated, debt)
    deducted = min(allocated - debt_paid, deduction)
    return Delivery(allocated - debt_paid - deducted, debt_paid, deducted, debt - debt_paid, deduction - deducted)


def is_usable(unit: UnitClass, year: int, vintage_rule: str = "SAME_OR_EARLIER", *, for_sanction: bool = False) -> bool:
    """Say whether a unit meets the obligation of a year of use.

    A permit of the year or an earlier one does; units without a vintage, of the reserve and offsets always do; for a
    sanction, future vintages are taken too [CA-95856].
    """
    assert vintage_rule in VINTAGE_RULES
    if unit.vintage is None or unit.kind in WITHOUT_VINTAGE or for_sanction or vintage_rule == "ANY":
        return True
    return unit.vintage == year if vintage_rule == "SAME" else unit.vintage <= year


def retire(
    holdings: Mapping[UnitClass, int],
    owed: int,
    *,
    year: int,
    order: Sequence[str],
    offsets: OffsetLimits | None = None,
    offsets_used: Mapping[str, int] | None = None,
    vintage_rule: str = "SAME_OR_EARLIER",
    for_sanction: bool = False,
) -> Retirement:
    """Choose which units an obligation takes: kinds in the order of the rule, within a kind the oldest vintage first.

    Units without a vintage come before those with one. A kind that the order does not name is never taken, nor an
    offset beyond the quota of the obligation or of its tag; without `offsets` there is no quota. `offsets_used` is what
    the same obligation took before, by tag. Quebec: offsets up to the limit, reserve, then units, oldest first [QC-21].
    """
    assert owed >= 0 and all(permits >= 0 for permits in holdings.values())
    used, left = dict(offsets_used or {}), owed
    taken: list[tuple[UnitClass, int]] = []
    usable = [
        one for one in holdings if one.kind in order and is_usable(one, year, vintage_rule, for_sanction=for_sanction)
    ]
    for unit in sorted(usable, key=lambda one: _place(one, order)):
        most = min(left, holdings[unit])
        if unit.kind == "offset" and offsets is not None:
            room = min(offsets.total - sum(used.values()), offsets.of(unit.tag) - used.get(unit.tag, 0))
            most = max(0, min(most, room))
            used[unit.tag] = used.get(unit.tag, 0) + most
        if most:
            taken.append((unit, most))
            left -= most
    return Retirement(tuple(taken), left)


def expires_on(rule: TimeRule, vintage: int) -> date | None:
    """Return the last day on which permits of a vintage count: 31 December, `expires_after` years later; None never."""
    return None if rule.expires_after is None else date(vintage + rule.expires_after, 12, 31)


def is_expired(rule: TimeRule, vintage: int, today: date) -> bool:
    """Say whether permits of a vintage no longer count on a day of the scheme's zone."""
    last = expires_on(rule, vintage)
    return last is not None and today > last


def notice_days(rule: TimeRule, vintage: int) -> tuple[date, ...]:
    """Return the days on which the owners are told that permits of a vintage will expire: 60, 30 and 7 days before."""
    last = expires_on(rule, vintage)
    return () if last is None else tuple(last - timedelta(days=days) for days in NOTICE_DAYS)


def notices_due(rule: TimeRule, vintage: int, today: date, sent: Iterable[int] = ()) -> tuple[int, ...]:
    """Return which notices (60, 30 or 7 days) are due by a day and not yet sent; after the last day, none."""
    if is_expired(rule, vintage, today):
        return ()
    done = set(sent)
    return tuple(
        days
        for days, day in zip(NOTICE_DAYS, notice_days(rule, vintage), strict=False)
        if day <= today and days not in done
    )


def contradictions(rule: TimeRule, calendar: Calendar | None = None) -> list[Refusal]:
    """List everything in the rules of periods, banking, borrowing and vintages that cannot be meant."""
    return [*_banking_faults(rule.banking), *_period_faults(rule), *_vintage_faults(rule, calendar or Calendar())]


def _place(unit: UnitClass, order: Sequence[str]) -> tuple[int, bool, int, str]:
    return order.index(unit.kind), unit.vintage is not None, unit.vintage or 0, unit.tag


def _banking_faults(rule: Banking) -> list[Refusal]:
    found = []
    if not 0 <= rule.pct <= 1:
        found.append(Refusal("banking_share_out_of_range", "The share that may be banked lies between 0 and 1."))
    if rule.fixed < 0 or rule.multiple < 0:
        found.append(
            Refusal("banking_negative", "The fixed part and the multiple of a banking limit are zero or more.")
        )
    read = {
        BankingMode.PCT_PLUS: {"pct", "fixed", "deduct_excess"},
        BankingMode.NET_SALES: {"multiple", "fixed", "deduct_excess"},
        BankingMode.NONE: {"deduct_excess"},
    }.get(rule.mode, set())
    found += [
        Refusal("banking_field_unused", f"{rule.mode} does not read {name}: leave it out or choose another mode.")
        for name in ("pct", "fixed", "multiple", "deduct_excess")
        if getattr(rule, name) and name not in read
    ]
    return found


def _period_faults(rule: TimeRule) -> list[Refusal]:
    found = []
    if rule.period_years < 1:
        found.append(Refusal("period_too_short", "A period lasts one year or more."))
    if len(rule.annual_share) != rule.period_years:
        found.append(
            Refusal(
                "annual_shares_not_per_year",
                f"Give one share for each of the {rule.period_years} years of a period, not {len(rule.annual_share)}.",
            )
        )
    if any(not 0 <= share <= 1 for share in rule.annual_share):
        found.append(Refusal("annual_share_out_of_range", "The share of a year that is due lies between 0 and 1."))
    if rule.annual_share and rule.annual_share[-1] != 1:
        found.append(Refusal("last_year_not_settled", "The last year of a period settles all of it: its share is 1."))
    if not 0 <= rule.borrow_share <= 1:
        found.append(Refusal("borrow_share_out_of_range", "The share that may be borrowed lies between 0 and 1."))
    if rule.borrow_interest < 0:
        found.append(Refusal("borrow_interest_negative", "Interest on borrowed permits is zero or more."))
    if rule.borrow_interest and not rule.borrow_share:
        found.append(Refusal("borrow_interest_unused", "Interest means nothing where nothing may be borrowed."))
    return found


def _vintage_faults(rule: TimeRule, calendar: Calendar) -> list[Refusal]:
    found = []
    if rule.vintage_rule not in VINTAGE_RULES:
        found.append(Refusal("vintage_rule_unknown", f"{rule.vintage_rule!r} is none of {', '.join(VINTAGE_RULES)}."))
    if rule.expires_after is not None and rule.expires_after < 0:
        found.append(Refusal("expiry_before_vintage", "Permits do not expire before their own year."))
    elif rule.expires_after is not None and is_month_day(calendar.surrender[1]):
        last = expires_on(rule, 2000)
        if last is not None and last < calendar_day(2000, calendar.surrender):
            found.append(
                Refusal(
                    "expiry_before_surrender", "Permits would expire before the surrender deadline of their own year."
                )
            )
    return found
