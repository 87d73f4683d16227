"""Caps: how many permits a scheme issues for each year, with every step from the rule to the figure.

A year's cap has a base and what changes it. The base is, in this order,

1. the year's entry in the table (California, Korea, RGGI),
2. the linear formula a - b x n for years after its base year (California after 2031),
3. the start, or the year before less the reduction half-up(rate x FIXED reference) (the EU). The reference does not
   shrink with the cap, so a rate is a constant number of permits a year.

One-off changes and changes of scope of that year are added, and the cap never falls below nought. Where offsets count
under the cap, those used in the year before come out of this year's permits. All figures are whole permits; the only
rounding is that of the reduction, half-up to the whole permit like every flow of permits (rule R4).

Two things do not carry over into later years and one does. A one-off in a year of the table or the formula changes that
year alone, because the next year starts from its own base. Offsets come out of one year alone. But a one-off in a year
that follows the reduction stays in every later year, because each starts from the one before: the 90 million that the
EU took out in 2024 are missing in 2025 too. `for_one_year_each` turns a series meant for single years into one-offs for
such a rule.

Sources: [EU-CAP][EU-LRF][CA-95841][CA-AB1207][NZ-SET][RGGI-CAP][NY-BANK][UK-ICAP][CA-CB][CN-SR].
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeGuard

from registry.engine.policy import CapRule, CapType, LinearFormula, OneOff
from registry.engine.refusals import Refusal
from registry.engine.rounding import EXACT_DECIMALS, exact, floor_limit, half_up, reserve_flow, share_pool

CAP_FACTOR_PLACES = 3
"""California states the factor by which free permits follow the cap with three decimals."""

NOT_CAPPED = "The aggregate is not capped: this total follows from what was produced."
"""What every page must say beside the total of an intensity scheme (only an absolute cap neutralises rebound)."""


class Base(StrEnum):
    """Where the figure of a year comes from before anything changes it."""

    TABLE = "TABLE"
    FORMULA = "FORMULA"
    START = "START"
    REDUCTION = "REDUCTION"


@dataclass(frozen=True)
class CapYear:
    """The cap of one year and the steps to it, in permits.

    permits = max(0, base - reduction + one_offs + scope_changes) - offsets, and again not below nought. `base` is the
    table entry, the value of the formula, the start, or the year before without its offsets. `offsets` is what was
    taken out. `unmet` is what could not be taken away because nothing was left; a rule with `unmet` says more than it
    can do.
    """

    year: int
    permits: int
    source: Base
    base: int
    rate: Decimal = Decimal(0)
    reference: int = 0
    reduction: int = 0
    one_offs: int = 0
    scope_changes: int = 0
    offsets: int = 0
    unmet: int = 0

    @property
    def before_offsets(self) -> int:
        """The cap from which the next year of a yearly reduction counts down."""
        return self.permits + self.offsets


@dataclass(frozen=True)
class IntensityCap:
    """The total of a year in an intensity scheme: the sum of what was given, known only afterwards, in permits.

    `is_aggregate_capped` is false always; it stands here so that nobody shows the total without it.
    """

    year: int
    permits: int
    is_aggregate_capped: bool = False
    notice: str = NOT_CAPPED


@dataclass(frozen=True)
class CapChange:
    """A year that two rules cap differently; `None` where a rule gives the year no cap."""

    year: int
    before: int | None
    after: int | None


def cap_path(
    rule: CapRule,
    first_year: int,
    last_year: int,
    *,
    offsets_used: Mapping[int, int] | None = None,
) -> tuple[CapYear, ...] | tuple[Refusal, ...]:
    """Return the cap of each year from first to last, or every reason why there is none.

    `offsets_used` holds the offsets used in each year, in permits; they count only where the rule says so, and in the
    year that follows. A year without an entry used none.

    Rounding: the yearly reduction, half-up (R4). Sources: see above.
    """
    offsets = offsets_used or {}
    if last_year < first_year:
        return (Refusal("years_out_of_order", f"The last year, {last_year}, lies before the first, {first_year}."),)
    if rule.type is CapType.INTENSITY:
        return (
            Refusal("cap_follows_from_allocations", "An intensity cap is the sum of what is allocated; ask later."),
        )
    refusals = contradictions(rule)
    negative = [year for year, used in sorted(offsets.items()) if used < 0]
    refusals += tuple(Refusal("negative_offsets", f"{year}: offsets used cannot be negative.") for year in negative)
    if refusals:
        return refusals

    begin = min([first_year, *_years_with_a_base(rule)])
    caps: dict[int, CapYear] = {}
    for year in range(begin, last_year + 1):
        found = _cap_year(rule, year, caps.get(year - 1), offsets.get(year - 1, 0) if rule.offsets_under_cap else 0)
        if found is not None:
            caps[year] = found
    missing = [year for year in range(first_year, last_year + 1) if year not in caps]
    if missing:
        return tuple(
            Refusal("year_without_cap", f"{year}: no table entry, formula or reduction gives this year a cap.")
            for year in missing
        )
    return tuple(caps[year] for year in range(first_year, last_year + 1))


def is_refused(path: tuple[CapYear, ...] | tuple[Refusal, ...]) -> TypeGuard[tuple[Refusal, ...]]:
    """Whether `cap_path` gave reasons instead of caps."""
    return bool(path) and isinstance(path[0], Refusal)


def caps_by_year(path: tuple[CapYear, ...] | tuple[Refusal, ...]) -> dict[int, int]:
    """Return year -> permits of a path; nothing where the path was refused."""
    return {step.year: step.permits for step in path if isinstance(step, CapYear)}


def rate_in(rule: CapRule, year: int) -> Decimal:
    """Return the reduction rate of a year: the entry with the latest first year that has come; nought before any."""
    begun = [since for since in rule.reduction if since <= year]
    return rule.reduction[max(begun)] if begun else Decimal(0)


def reference_in(rule: CapRule, year: int) -> int:
    """Return the reference of the yearly reduction: fixed, except that a change of scope widens it, in permits.

    When shipping joined the EU scheme in 2024, the reduction of that very year already counted the reference for
    shipping (Commission Decision (EU) 2023/1575, announced on 28 July 2023).
    """
    widened = sum(change.reference for change in rule.scope_change if change.year <= year)
    return (rule.reference or 0) + widened


def yearly_reduction(rate: Decimal, reference: int) -> int:
    """Return rate x reference in permits, half-up (R4): 2.2 % took 43,003,515 a year out of the EU cap [EU-CAP]."""
    return reserve_flow(exact(rate) * reference)


def intensity_cap(year: int, allocations: Mapping[str, int]) -> IntensityCap | Refusal:
    """Return the total of an intensity scheme: the sum of the allocations made after the year, in permits.

    Source: China's power sector [CN-SR]. An intensity cap limits use per unit of output and not use, so
    efficiency that lowers the price of output can raise the total.
    """
    below = sorted(operator for operator, permits in allocations.items() if permits < 0)
    if below:
        return Refusal("negative_allocation", f"Allocations cannot be negative: {', '.join(below)}.")
    return IntensityCap(year, sum(allocations.values()))


def spread(permits: int, years: Sequence[int], reason: str) -> tuple[OneOff, ...] | Refusal:
    """Take permits out of the caps of several years in equal parts, as one-offs that sum to them exactly.

    What does not divide goes one permit each to the first years: a surplus leaves sooner rather than later. No permits
    make no one-offs.
    """
    if permits < 0:
        return Refusal("negative_removal", "The permits to take out cannot be negative.")
    if len(set(years)) != len(years):
        return Refusal("year_twice", "Every year may stand in the list once.")
    if permits and not years:
        return Refusal("no_years", "Name the years whose caps shall fall.")
    ordered = sorted(years)
    share, rest = divmod(permits, len(ordered)) if ordered else (0, 0)
    removals = [share + (place < rest) for place in range(len(ordered))]
    return tuple(OneOff(year, -removed, reason) for year, removed in zip(ordered, removals, strict=True) if removed)


def bank_adjustment(
    bank: int, use: int, years: Sequence[int], *, reason: str = "Bank adjustment"
) -> tuple[OneOff, ...] | Refusal:
    """Take the banked surplus max(0, bank - use) out of the coming caps, in equal parts, in permits.

    Source: RGGI removed 139.5 million over 2014-20 and then everything of vintages up to 2020 that was held
    above the emissions of 2018-20, over five budgets [RGGI-CAP][NY-BANK].
    """
    return spread(max(0, bank - use), years, reason)


def cap_reset(
    caps: Mapping[int, int], *, reason: str, removed: int | None = None, cut: Decimal | None = None
) -> tuple[OneOff, ...] | Refusal:
    """Lower the caps of a whole period at once, in proportion to them, as one-offs that sum exactly.

    Give either the permits `removed` (California: 118.3 million from 2027-30 [CA-CB]) or the `cut` as a share
    of the sum (UK: 30 % fewer over 2021-30 [UK-ICAP]), which is cut to whole permits (R7). The years share the removal
    by largest remainder (R3); no cap falls below nought.
    """
    total = sum(caps.values())
    if (removed is None) == (cut is None):
        return Refusal("removal_or_cut", "Give either the permits to remove or the share to cut.")
    if cut is not None and not 0 <= cut <= 1:
        return Refusal("cut_out_of_range", "The share to cut lies between 0 and 1.")
    if min(caps.values(), default=0) < 0:
        return Refusal("negative_cap", "A cap cannot be negative.")
    permits = floor_limit(exact(cut) * total) if cut is not None else removed or 0
    if permits < 0 or permits > total:
        return Refusal("removal_above_caps", f"Between 0 and {total} permits can be taken out of these years.")
    if not permits:
        return ()
    # share_pool breaks ties by the lowest key as text; years of four digits sort alike as text and as numbers.
    shares = share_pool(permits, {f"{year:04}": cap for year, cap in caps.items()})
    return tuple(OneOff(int(year), -share, reason) for year, share in sorted(shares.items()) if share)


def for_one_year_each(series: Iterable[OneOff]) -> tuple[OneOff, ...]:
    """Rewrite one-offs meant for single years for a rule whose years count down from each other.

    Under a yearly reduction a one-off stays in every later year, so each year gets the difference from the year before,
    and the year after a removal gives it back.
    """
    wanted: Counter[int] = Counter()
    reasons: dict[int, str] = {}
    for change in series:
        wanted[change.year] += change.permits
        reasons.setdefault(change.year, change.reason)
    steps = []
    for year in sorted({*wanted, *(year + 1 for year in wanted)}):
        difference = wanted.get(year, 0) - wanted.get(year - 1, 0)
        if difference:
            steps.append(OneOff(year, difference, reasons.get(year) or f"End of: {reasons[year - 1]}"))
    return tuple(steps)


def locked_years(rule: CapRule, published_on_year: int) -> range:
    """Return the years whose caps are settled when a change is published: that running year and the `lock_years` after.

    A change inside needs a reason code and a second approval. Without a lock there are none. Source: New
    Zealand always fixes five years ahead [NZ-SET].
    """
    if rule.lock_years <= 0:
        return range(published_on_year, published_on_year)
    return range(published_on_year, published_on_year + rule.lock_years + 1)


def changes_inside_lock(
    present: CapRule,
    proposed: CapRule,
    published_on_year: int,
    *,
    offsets_used: Mapping[int, int] | None = None,
) -> tuple[CapChange, ...]:
    """List the locked years that a proposed rule caps differently; the lock is the present rule's, never the proposed.

    Comparing the caps and not the rules lets a rule be written anew in other words, and finds a change of an early year
    that moves locked ones.
    """
    found = []
    for year in locked_years(present, published_on_year):
        before = caps_by_year(cap_path(present, year, year, offsets_used=offsets_used)).get(year)
        after = caps_by_year(cap_path(proposed, year, year, offsets_used=offsets_used)).get(year)
        if before != after or present.type is not proposed.type:
            found.append(CapChange(year, before, after))
    return tuple(found)


def period_sum_check(path: Iterable[CapYear], period_cap: int) -> Refusal | None:
    """Refuse yearly caps that do not sum to the cap of their period, and say by how many permits.

    A period of several years announces one sum.
    """
    total = sum(step.permits for step in path)
    if total == period_cap:
        return None
    side = "above" if total > period_cap else "below"
    return Refusal(
        "period_sum_differs",
        f"The yearly caps sum to {total} permits, {abs(total - period_cap)} {side} the period's {period_cap}.",
    )


def cap_factor(cap: int, reference_cap: int) -> Decimal | Refusal:
    """Return by how much free permits fall with the cap: cap / reference cap, three decimals, half-up.

    Source: California's budgets over 392.7 million give 0.817 in 2021 and 0.511 in 2030.
    """
    if cap < 0 or reference_cap <= 0:
        return Refusal("no_reference_cap", "The reference cap must lie above nought and the cap not below.")
    thousandths = half_up(exact(cap) / reference_cap * 10**CAP_FACTOR_PLACES)
    return EXACT_DECIMALS.scaleb(Decimal(thousandths), -CAP_FACTOR_PLACES)


def contradictions(rule: CapRule) -> tuple[Refusal, ...]:
    """List everything in a cap rule that cannot be meant; the order is that of the rule's fields."""
    if rule.type is CapType.INTENSITY:
        return (*_needless_in_intensity(rule), *_lock_contradictions(rule))
    return (
        *_table_contradictions(rule),
        *_reduction_contradictions(rule),
        *_change_contradictions(rule),
        *_formula_contradictions(rule),
        *_lock_contradictions(rule),
    )


def _cap_year(rule: CapRule, year: int, before: CapYear | None, offsets: int) -> CapYear | None:
    """Work out one year from its base; None where nothing gives it one."""
    found = _base(rule, year, before)
    if found is None:
        return None
    source, base = found
    rate, reference, reduction = Decimal(0), 0, 0
    if source is Base.REDUCTION:
        rate, reference = rate_in(rule, year), reference_in(rule, year)
        reduction = yearly_reduction(rate, reference)
    one_offs = sum(change.permits for change in rule.one_off if change.year == year)
    scope_changes = sum(change.permits for change in rule.scope_change if change.year == year)
    wanted = base - reduction + one_offs + scope_changes
    available = max(0, wanted)
    taken = min(offsets, available)
    return CapYear(
        year=year,
        permits=available - taken,
        source=source,
        base=base,
        rate=rate,
        reference=reference,
        reduction=reduction,
        one_offs=one_offs,
        scope_changes=scope_changes,
        offsets=taken,
        unmet=(available - wanted) + (offsets - taken),
    )


def _base(rule: CapRule, year: int, before: CapYear | None) -> tuple[Base, int] | None:
    if year in rule.table:
        return Base.TABLE, rule.table[year]
    if rule.formula is not None and year > rule.formula.base_year:
        return Base.FORMULA, _linear(rule.formula, year)
    if year == rule.start_year and rule.start is not None:
        return Base.START, rule.start
    follows = rule.start is not None or bool(rule.reduction)
    if follows and before is not None:
        return Base.REDUCTION, before.before_offsets
    return None


def _linear(formula: LinearFormula, year: int) -> int:
    """Return a - b x n, n the years after the base year, in permits; never below nought."""
    return max(0, formula.a - formula.b * (year - formula.base_year))


def _years_with_a_base(rule: CapRule) -> list[int]:
    return [*rule.table, *([] if rule.start_year is None else [rule.start_year])]


def _needless_in_intensity(rule: CapRule) -> list[Refusal]:
    """An intensity cap follows from the allocations, so a figure that says otherwise would never be used."""
    given = {
        "table": bool(rule.table),
        "start": rule.start is not None,
        "reference": rule.reference is not None,
        "reduction": bool(rule.reduction),
        "one_off": bool(rule.one_off),
        "scope_change": bool(rule.scope_change),
        "formula": rule.formula is not None,
        "offsets_under_cap": rule.offsets_under_cap,
    }
    return [
        Refusal("intensity_with_figures", f"An intensity cap is the sum of the allocations: remove {name}.")
        for name, is_given in given.items()
        if is_given
    ]


def _table_contradictions(rule: CapRule) -> list[Refusal]:
    found = [
        Refusal("negative_cap", f"{year}: a cap cannot be negative.")
        for year, permits in sorted(rule.table.items())
        if permits < 0
    ]
    if not rule.table and rule.start is None and rule.formula is None:
        found.append(Refusal("no_cap", "Give a table, a formula, or a start with a yearly reduction."))
    if rule.table and rule.start is None and not rule.reduction:
        last = max(rule.table) if rule.formula is None else rule.formula.base_year
        found += [
            Refusal("gap_in_table", f"{year}: the table skips this year and nothing else caps it.")
            for year in range(min(rule.table), last + 1)
            if year not in rule.table
        ]
    return found


def _reduction_contradictions(rule: CapRule) -> list[Refusal]:
    found = []
    if (rule.start is None) != (rule.start_year is None):
        found.append(Refusal("half_a_start", "A start needs both its year and its permits."))
    if rule.start is not None and rule.start < 0:
        found.append(Refusal("negative_start", "The cap of the start year cannot be negative."))
    if rule.start_year is not None and rule.table.get(rule.start_year, rule.start) != rule.start:
        found.append(
            Refusal("start_and_table_differ", f"{rule.start_year} has one cap as start, another in the table.")
        )
    found += [
        Refusal("rate_out_of_range", f"The reduction from {since} must lie between 0 and 1, not {rate}.")
        for since, rate in sorted(rule.reduction.items())
        if not 0 <= rate <= 1
    ]
    if any(rule.reduction.values()) and rule.reference is None:
        found.append(Refusal("no_reference", "A reduction is a share of a fixed reference: say how many permits."))
    if rule.reference is not None and rule.reference <= 0:
        found.append(Refusal("reference_not_positive", "The reference must lie above nought."))
    if rule.reduction and rule.start is None and not rule.table:
        found.append(Refusal("reduction_from_nowhere", "A reduction counts down from a start or a table: give one."))
    if rule.formula is not None:
        found += [
            Refusal(
                "reduction_never_used", f"The formula rules after {rule.formula.base_year}: drop the rate of {since}."
            )
            for since in sorted(rule.reduction)
            if since > rule.formula.base_year
        ]
    return found


def _change_contradictions(rule: CapRule) -> list[Refusal]:
    found = []
    first = min([*_years_with_a_base(rule), *([rule.formula.base_year + 1] if rule.formula else [])], default=None)
    for change in (*rule.one_off, *rule.scope_change):
        if not change.reason.strip():
            found.append(Refusal("change_without_reason", f"{change.year}: a change of the cap needs its reason."))
        if first is not None and change.year < first:
            found.append(Refusal("change_before_first_cap", f"{change.year}: the first cap is that of {first}."))
    found += [
        Refusal("reference_by_one_off", f"{change.year}: only a change of scope widens the reference.")
        for change in rule.one_off
        if change.reference
    ]
    for what, changes in (("one_off", rule.one_off), ("scope_change", rule.scope_change)):
        found += [
            Refusal("change_twice", f"{year}: {what} holds '{reason}' twice: was one meant?")
            for (year, reason), times in sorted(Counter((change.year, change.reason) for change in changes).items())
            if times > 1
        ]
    for year in sorted({change.year for change in rule.scope_change if change.reference}):
        if (rule.reference or 0) > 0 and reference_in(rule, year) < 0:
            found.append(Refusal("reference_below_zero", f"{year}: the changes of scope use up the whole reference."))
    return found


def _formula_contradictions(rule: CapRule) -> list[Refusal]:
    if rule.formula is None:
        return []
    found = []
    if rule.formula.a < 0:
        found.append(Refusal("negative_formula", "The formula begins below nought: correct a."))
    if rule.start_year is not None and rule.start_year > rule.formula.base_year:
        found.append(Refusal("start_never_used", f"The formula rules after {rule.formula.base_year}: drop the start."))
    return found


def _lock_contradictions(rule: CapRule) -> list[Refusal]:
    if rule.lock_years < 0:
        return [Refusal("negative_lock", "A lock is a number of years, 0 for none.")]
    return []
