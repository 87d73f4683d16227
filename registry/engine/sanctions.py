"""Sanctions: what a missing permit costs in money or in permits, when each step follows, and which audit rate deters.

A shortfall is found with certainty, because the registry counts it; a false report is not. So a rule needs a price on
the missing permit and a share of reports that are audited (policy chapters 1.8 and 3.9). Permits are whole numbers,
money is in minor units of the scheme's currency, rates are exact.

| mode | what it costs | rounding | who has it |
|---|---|---|---|
| CASH | rate x index of the year, for each missing permit | R8 | EU, Germany [DE], UK [UK-52] |
| PERMITS | `multiple` permits for each missing one | R6; offsets R7 | CA [CA-95857], QC [QC-22], RGGI |
| PRICE_MULT | `multiple` x average price, at most a cap | R8 | Korea [KR-ACT], NZ [NZ-3X][NZ-FOR] |

Where the rule makes good, the missing permits stay owed whatever was paid.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from fractions import Fraction

from registry.engine.deadlines import (
    add_working_days,
    calendar_day,
    end_of_day,
    is_month_day,
    next_working_day,
)
from registry.engine.indicators import minimum_audit_rate
from registry.engine.policy import LadderStep, SanctionMode, SanctionRule
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, cash_sanction_minor, exact, floor_limit, half_up

ACTIONS = ("BLOCK_TRANSFERS", "AUTO_DEDUCT", "CASH", "SET_OFF", "SUSPEND_FREE", "PROSECUTE")
"""The steps of enforcement, mildest first."""


@dataclass(frozen=True)
class CashSanction:
    """The money a shortfall costs; the missing permits stay owed."""

    short_permits: int
    rate_minor: Fraction
    cash_minor: int


@dataclass(frozen=True)
class PermitSanction:
    """The permits a shortfall costs: `total` owed, the missing ones among them, and how many may be offsets."""

    short_permits: int
    total: int
    most_offsets: int

    @property
    def extra(self) -> int:
        """What is owed beyond the missing permits."""
        return self.total - self.short_permits

    @property
    def least_allowances(self) -> int:
        """How many of the permits owed must not be offsets."""
        return self.total - self.most_offsets


@dataclass(frozen=True)
class Sanction:
    """All that a shortfall costs under a rule: money, and the permits owed from now on.

    `permits_owed` includes the missing permits where they stay owed; `least_allowances` of it must not be offsets.
    """

    mode: SanctionMode
    short_permits: int
    rate_minor: Fraction
    cash_minor: int
    permits_owed: int
    least_allowances: int
    is_waived: bool = False


@dataclass(frozen=True)
class LadderDate:
    """A step of enforcement and the instant from which it may be taken."""

    action: str
    at: datetime


def cash_sanction(short_at_deadline: int, rate_minor: Exact) -> CashSanction:
    """Return the cash sanction on the part that was missing at the deadline (rule R8)."""
    return CashSanction(short_at_deadline, exact(rate_minor), cash_sanction_minor(short_at_deadline, rate_minor))


def indexed_rate_minor(rule: SanctionRule, year: int) -> Fraction | Refusal:
    """Return the cash rate of a year for one permit, in minor units: rate x index[year], exact.

    Without any index the rate is the same in every year; with one, a year it does not name has no rate yet. Germany:
    EUR 100 x consumer prices on base 2012 gave 101.50, 102.07 and 102.05 for 2013 to 2015 [DE].
    """
    if not rule.index:
        return exact(rule.rate_minor)
    if year not in rule.index:
        return Refusal("sanction_index_missing", f"Enter the index of {year}: the sanction of that year follows it.")
    return exact(rule.rate_minor) * exact(rule.index[year])


def multiple_of(rule: SanctionRule, cohorts: Collection[str] = ()) -> Fraction:
    """Return the multiple for an operator: a cohort has its own, and who is in several has the lowest [NZ-FOR]."""
    own = [rule.cohort_multiple[cohort] for cohort in cohorts if cohort in rule.cohort_multiple]
    return exact(min(own, default=rule.multiple))


def permit_sanction(short: int, rule: SanctionRule, cohorts: Collection[str] = ()) -> PermitSanction:
    """Return the permits that a shortfall costs under PERMITS.

    Where the multiple counts the original, it is all that is owed: California's 4 replace the missing permit
    [CA-95857], RGGI's 3 likewise. Where it does not, it comes on top: Quebec's missing one + 3 [QC-22]. A fraction of a
    permit is rounded half-up like an obligation (R6). Offsets may fill what the share of allowances leaves, floored
    (R7), so the allowances are never fewer than their share.
    """
    assert short >= 0
    multiplied = half_up(short * multiple_of(rule, cohorts))
    total = max(short, multiplied) if rule.counts_original else short + multiplied
    return PermitSanction(short, total, floor_limit(total * (1 - exact(rule.min_allowance_share))))


def price_multiple_rate_minor(
    rule: SanctionRule, average_price_minor: Exact, cohorts: Collection[str] = ()
) -> Fraction:
    """Return the rate of PRICE_MULT for one permit, in minor units: the multiple x the average price, at most the cap.

    Korea: 3 x the yearly average, at most KRW 100,000 [KR-ACT]; New Zealand: 3 x, for small foresters 0.5 x or 0.25 x
    [NZ-3X][NZ-FOR].
    """
    assert exact(average_price_minor) >= 0
    rate = multiple_of(rule, cohorts) * exact(average_price_minor)
    return rate if rule.cap_minor is None else min(rate, exact(rule.cap_minor))


def sanction(
    rule: SanctionRule,
    *,
    short: int,
    year: int,
    average_price_minor: Exact | None = None,
    cohorts: Collection[str] = (),
    is_first: bool = False,
) -> Sanction | Refusal:
    """Return what a shortfall of a year of use costs. `is_first` says that the operator was never short before.

    A waiver for the first time lifts the money and the extra permits; the missing permits stay owed in any case.
    """
    assert short >= 0
    is_waived = rule.first_time_waiver and is_first and short > 0
    rate = _rate_minor(rule, year, average_price_minor, cohorts)
    if isinstance(rate, Refusal):
        return rate
    if rule.mode is SanctionMode.PERMITS and not is_waived:
        permits = permit_sanction(short, rule, cohorts)
        return Sanction(rule.mode, short, rate, 0, permits.total, permits.least_allowances)
    if is_waived:
        return Sanction(rule.mode, short, rate, 0, short, 0, is_waived=True)
    cash = cash_sanction(short, rate)
    return Sanction(rule.mode, short, rate, cash.cash_minor, short if rule.make_good else 0, 0)


def misreport_fine_minor(rule: SanctionRule, *, understated: int, gravity: Exact = 1) -> int:
    """Return the fine for a report found too low, in minor units: the rule's sum x the gravity decided (R8).

    It is owed beside the difference and is no sanction on a shortfall (policy chapter 2.3 case 2) [CJEU]. `gravity`
    lies between 0 and 1 and is the officer's recorded decision: of Germany's 500,000 for wilful reports, a negligent
    one costs at most a tenth [DE].
    """
    assert understated >= 0 and 0 <= exact(gravity) <= 1
    return half_up(rule.misreport_fine_minor * exact(gravity)) if understated else 0


def ladder_dates(
    rule: SanctionRule,
    *,
    year: int,
    deadline: datetime,
    zone: tzinfo,
    holidays: Collection[date] = (),
    moves: bool = True,
) -> tuple[LadderDate, ...]:
    """Return when each step of enforcement may be taken after the surrender deadline of a year of use.

    A step's last day belongs to the operator: 5 business days mean the end of the fifth working day after the day of
    the deadline, 30 days the end of the thirtieth, 31 January the end of that day; with `moves`, the last two go on to
    the next working day. A step at once comes at the deadline itself, and none comes before it.
    """
    last_day = (deadline.astimezone(UTC) - timedelta(microseconds=1)).astimezone(zone).date()

    def instant(step: LadderStep) -> datetime:
        if step.business_days:
            return end_of_day(add_working_days(last_day, step.business_days, holidays), zone)
        if step.on is not None:
            day = calendar_day(year, step.on)
        elif step.days:
            day = last_day + timedelta(days=step.days)
        else:
            return deadline
        return max(deadline, end_of_day(next_working_day(day, holidays) if moves else day, zone))

    return tuple(LadderDate(step.action, instant(step)) for step in rule.ladder)


def steps_due(ladder: Iterable[LadderDate], now: datetime) -> tuple[str, ...]:
    """Return the steps that may be taken by now, in the order of their dates."""
    return tuple(step.action for step in sorted(ladder, key=lambda step: step.at) if step.at <= now)


def audit_rate_needed(
    rule: SanctionRule, *, price_minor: Exact, year: int, cohorts: Collection[str] = ()
) -> Fraction | Refusal:
    """Return the audit rate below which a rule does not deter at a price, as a share of reports, exact.

    CA and QC need a quarter (four permits for one), RGGI a third, the EU at 75 three sevenths, New Zealand a quarter.
    """
    rate = _rate_minor(rule, year, price_minor, cohorts)
    if isinstance(rate, Refusal):
        return rate
    if rule.mode is SanctionMode.PERMITS:
        multiple = multiple_of(rule, cohorts)
        permits = max(Fraction(1), multiple) if rule.counts_original else 1 + multiple
        return minimum_audit_rate(price=price_minor, fine=0, permits_owed=permits)
    if not rate and not rule.make_good:
        return Refusal("nothing_deters", "Set a rate or let the missing permits stay owed: now a shortfall is free.")
    return minimum_audit_rate(price=price_minor, fine=rate, permits_owed=int(rule.make_good))


def contradictions(rule: SanctionRule) -> list[Refusal]:
    """List everything in a sanction rule that cannot be meant."""
    return [*_rate_faults(rule), *_permit_faults(rule), *_ladder_faults(rule.ladder)]


def _rate_minor(
    rule: SanctionRule, year: int, average_price_minor: Exact | None, cohorts: Collection[str]
) -> Fraction | Refusal:
    """Return the money for one missing permit, in minor units; PERMITS costs none."""
    if rule.mode is SanctionMode.PERMITS:
        return Fraction(0)
    if rule.mode is SanctionMode.CASH:
        return indexed_rate_minor(rule, year)
    if average_price_minor is None:
        return Refusal(
            "reference_price_missing", f"Enter the average price of {year}: the sanction is a multiple of it."
        )
    return price_multiple_rate_minor(rule, average_price_minor, cohorts)


def _rate_faults(rule: SanctionRule) -> list[Refusal]:
    found = []
    if rule.rate_minor < 0 or rule.misreport_fine_minor < 0 or (rule.cap_minor is not None and rule.cap_minor < 0):
        found.append(Refusal("sanction_negative", "A rate, a cap or a fine is zero or more."))
    if rule.mode is SanctionMode.CASH and rule.rate_minor == 0 and not rule.make_good:
        found.append(Refusal("sanction_costs_nothing", "A cash rate of zero without making good costs nothing."))
    if rule.mode is not SanctionMode.CASH and rule.rate_minor:
        found.append(Refusal("sanction_rate_unused", f"{rule.mode} reads no cash rate: leave it at zero."))
    if rule.mode is not SanctionMode.PRICE_MULT and rule.cap_minor is not None:
        found.append(Refusal("price_cap_unused", f"{rule.mode} reads no cap: leave it out."))
    if rule.mode is SanctionMode.CASH and rule.cohort_multiple:
        found.append(Refusal("cohort_multiple_unused", "CASH reads no multiple of a cohort: leave it out."))
    found += [
        Refusal("sanction_index_not_positive", f"The index of {year} is {index}: enter a number above zero.")
        for year, index in sorted(rule.index.items())
        if index <= 0
    ]
    found += [
        Refusal("cohort_multiple_negative", f"The multiple of {cohort} is {multiple}: enter zero or more.")
        for cohort, multiple in sorted(rule.cohort_multiple.items())
        if multiple < 0
    ]
    return found


def _permit_faults(rule: SanctionRule) -> list[Refusal]:
    found = []
    if rule.mode is not SanctionMode.CASH and rule.multiple <= 0:
        found.append(Refusal("sanction_multiple_not_positive", "A multiple is above zero."))
    lowest = min((rule.multiple, *rule.cohort_multiple.values()))
    if rule.mode is SanctionMode.PERMITS and rule.counts_original and lowest < 1:
        found.append(
            Refusal("sanction_below_shortfall", "A multiple that counts the missing permit is at least one permit.")
        )
    if rule.mode is SanctionMode.PERMITS and not rule.make_good:
        found.append(Refusal("sanction_in_permits_makes_good", "A sanction in permits keeps the missing ones owed."))
    if not 0 <= rule.min_allowance_share <= 1:
        found.append(Refusal("allowance_share_out_of_range", "The share of allowances lies between 0 and 1."))
    if rule.mode is not SanctionMode.PERMITS and rule.min_allowance_share > Decimal(0):
        found.append(Refusal("allowance_share_unused", f"{rule.mode} reads no share of allowances: leave it at zero."))
    return found


def _ladder_faults(ladder: tuple[LadderStep, ...]) -> list[Refusal]:
    found = []
    for place, step in enumerate(ladder, start=1):
        told = [step.business_days is not None, step.days is not None, step.on is not None]
        if step.action not in ACTIONS:
            found.append(
                Refusal("ladder_action_unknown", f"Step {place}: {step.action!r} is none of {', '.join(ACTIONS)}.")
            )
        if sum(told) != 1:
            found.append(
                Refusal(
                    "ladder_date_not_one", f"Step {place}: give business days, days or a date, and only one of them."
                )
            )
        if (step.business_days or 0) < 0 or (step.days or 0) < 0:
            found.append(Refusal("ladder_before_deadline", f"Step {place}: a step does not come before the deadline."))
        if step.on is not None and not is_month_day(step.on[1]):
            found.append(Refusal("ladder_day_unknown", f"Step {place}: {step.on[1]!r} is no day MM-DD of every year."))
    actions = [step.action for step in ladder]
    found += [
        Refusal("ladder_action_twice", f"{action} comes {actions.count(action)} times: name it once.")
        for action in sorted(set(actions))
        if actions.count(action) > 1
    ]
    return found
