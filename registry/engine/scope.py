"""Scope: which regime an operator is under in a year, when it enters and leaves, and what the small regimes charge.

Everything follows from the verified figures of the years, in permits or in the measure that a tier names. Thresholds
are exact; a year is a calendar year of use.

| regime | what it asks | charge | source |
|---|---|---|---|
| FULL | report, surrender | the sanction of the scheme | CA, QC above 25,000 a year [QC-COV] |
| TARGET_ONLY | report, keep a target, no surrender | excess x price (R8) | UK hospital and small emitters [UK-HSE] |
| NOTIFY_ONLY | monitor, tell of passing the bound | avoided cost + (use - free) x price (R8) | UK [UK-USE][UK-60] |
| OPT_IN | as FULL, for some years at least | the sanction of the scheme | CA, QC: five years [QC-COV] |
| REPORT_ONLY | report | none | EU from 1e25 training FLOP, SB 53, AB 222 [IAPP][AB222] |

The regimes of one measure form a ladder: an operator is under the one with the highest threshold that its figure
exceeds. REPORT_ONLY stands beside the ladder and OPT_IN is chosen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from fractions import Fraction

from registry.engine.deadlines import calendar_day, is_month_day
from registry.engine.policy import Regime, Scope, Tier
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, cash_sanction_minor, exact

MEASURES = ("use", "training_flop", "inference_flop", "it_kw", "kwh")
ACTIVITIES = ("training", "fine_tuning", "inference", "evaluation")
BASES = ("located", "served_users", "both")
OBLIGATED_PARTIES = ("deployer", "data_centre", "cloud_region")

LADDER = (Regime.NOTIFY_ONLY, Regime.TARGET_ONLY, Regime.FULL)
"""The regimes that a figure decides, from the lightest; a stricter one never begins lower."""


class Membership(StrEnum):
    """Whether a regime binds an operator. Who is leaving is bound until enough low reports stand in a row."""

    OUT = "OUT"
    IN = "IN"
    LEAVING = "LEAVING"


@dataclass(frozen=True)
class YearOfMembership:
    """One year of an operator under one tier, decided on the verified report of that year.

    `low_reports` counts the reports at or below the lower threshold that stand in a row. Where `is_bound`, the operator
    is obliged for the whole of that year, from `bound_from` on.
    """

    year: int
    status: Membership
    low_reports: int
    is_bound: bool

    @property
    def bound_from(self) -> date | None:
        """The first day of this year's obligation: 1 January also in the year of crossing; None where not bound."""
        return date(self.year, 1, 1) if self.is_bound else None


@dataclass(frozen=True)
class Charge:
    """What a small regime costs an operator for one year: permits above its bound, and money in minor units."""

    excess: int
    avoided_cost_minor: int
    cash_minor: int


@dataclass(frozen=True)
class CohortCheck:
    """The yearly check whether an operator still belongs to a cohort, such as academic labs, and on what evidence."""

    cohort: str
    year: int
    is_confirmed: bool
    evidence: str
    checked_on: date


def membership(tier: Tier, figures: Mapping[int, Exact], first_year: int, last_year: int) -> list[YearOfMembership]:
    """Return an operator's years under one tier, from its verified figure of each year (policy chapter 1.1).

    OUT becomes IN with the first figure above `threshold_in`, and the obligation begins on 1 January of that year
    (policy chapter 2.3 case 13). IN becomes LEAVING with a figure at or below `threshold_out` (`threshold_in` where
    there is none), and OUT with the first year after `exit_after` of them in a row; Quebec asks for three [QC-COV]. A
    year without a report is no low report: it breaks the row. A tier without a threshold binds for good.
    """
    status, low, years = Membership.OUT, 0, []
    for year in range(first_year, last_year + 1):
        figure = exact(figures[year]) if year in figures else None
        if status is Membership.LEAVING and low >= tier.exit_after:
            status, low = Membership.OUT, 0
        if status is Membership.OUT:
            status = Membership.IN if _is_above(figure, tier.threshold_in) else Membership.OUT
        else:
            low = low + 1 if _is_low(figure, tier) else 0
            status = Membership.LEAVING if low else Membership.IN
        years.append(YearOfMembership(year, status, low, status is not Membership.OUT))
    return years


def regime_of(scope: Scope, figures: Mapping[str, Exact]) -> Tier | None:
    """Return the tier of the ladder that one year's figures, by measure, put an operator in; None where none applies.

    The strictest regime whose threshold is exceeded in its own measure. It says nothing about earlier years: an
    operator that is leaving stays bound by `membership`. A scope without tiers puts everybody under FULL.
    """
    if not scope.tiers:
        return Tier(Regime.FULL)
    entered = [tier for tier in scope.tiers if tier.regime in LADDER and _has_entered(tier, figures)]
    return max(entered, key=lambda tier: (LADDER.index(tier.regime), tier.threshold_in or 0), default=None)


def must_report(scope: Scope, figures: Mapping[str, Exact]) -> tuple[Tier, ...]:
    """Return the REPORT_ONLY tiers that one year's figures exceed, in any of their measures."""
    return tuple(tier for tier in scope.tiers if tier.regime is Regime.REPORT_ONLY and _has_entered(tier, figures))


def bound_above(scope: Scope, tier: Tier) -> Fraction | None:
    """Return the figure above which an operator leaves a tier of the ladder for a stricter one; None where none is."""
    stricter = [
        exact(other.threshold_in)
        for other in scope.tiers
        if other.threshold_in is not None
        and other.measure == tier.measure
        and other.regime in LADDER
        and tier.regime in LADDER
        and LADDER.index(other.regime) > LADDER.index(tier.regime)
    ]
    return min(stricter, default=None)


def may_leave_opt_in(tier: Tier, since_year: int, year: int) -> bool:
    """Say whether an operator that opted in may be out in a year: after `min_stay_years` whole years [QC-COV]."""
    return year - since_year >= tier.min_stay_years


def target_charge(use: int, target: int, price_minor: Exact) -> Charge:
    """Charge a TARGET_ONLY operator for its use above its target: excess x published price (R8) [UK-HSE].

    Use and target are in permits of one year, the price in minor units for one permit. Below the target nothing is
    charged, and nothing is earned.
    """
    assert use >= 0 and target >= 0
    excess = max(0, use - target)
    return Charge(excess, 0, cash_sanction_minor(excess, price_minor))


def notify_charge(tier: Tier, *, use: int, bound: Exact, free_equivalent: int, price_minor: Exact) -> Charge:
    """Charge a NOTIFY_ONLY operator that passed its bound and told nobody: avoided cost + (use - free) x price [UK-60].

    Only where the use is above the bound (the UK's 2,499 t); `free_equivalent` are the free permits it would have had.
    The part in the brackets is never below zero; it is rounded by R8. What it avoided is the tier's sum in minor units.
    """
    assert use >= 0 and free_equivalent >= 0
    if use <= exact(bound):
        return Charge(0, 0, 0)
    excess = max(0, use - free_equivalent)
    return Charge(excess, tier.avoided_cost_minor, tier.avoided_cost_minor + cash_sanction_minor(excess, price_minor))


def notice_due_on(tier: Tier, year: int) -> date | None:
    """Return the last day to notify that the bound was passed in a year of use: the tier's day of the next year."""
    return None if tier.notify_by is None else calendar_day(year, (1, tier.notify_by))


def is_in_cohort(checks: Iterable[CohortCheck], cohort: str, year: int) -> bool:
    """Say whether an operator belongs to a cohort in a year: its latest check for that year confirmed it.

    A cohort is checked every year (policy chapter 1.3, set-aside); what was confirmed for another year does not count.
    """
    made = [check for check in checks if check.cohort == cohort and check.year == year]
    return bool(made) and max(made, key=lambda check: check.checked_on).is_confirmed


def contradictions(scope: Scope) -> list[Refusal]:
    """List everything in a scope that cannot be meant."""
    found = _word_faults(scope)
    for place, tier in enumerate(scope.tiers, start=1):
        found += [
            Refusal(code, f"Tier {place} ({tier.regime}, {tier.measure}): {sentence}")
            for code, sentence in _tier_faults(tier)
        ]
    return [*found, *_ladder_faults(scope.tiers)]


def _is_above(figure: Fraction | None, threshold: Exact | None) -> bool:
    """Say whether a figure enters a tier; without a threshold everybody does, with or without a report."""
    return threshold is None or (figure is not None and figure > exact(threshold))


def _is_low(figure: Fraction | None, tier: Tier) -> bool:
    lower = tier.threshold_in if tier.threshold_out is None else tier.threshold_out
    return lower is not None and figure is not None and figure <= exact(lower)


def _has_entered(tier: Tier, figures: Mapping[str, Exact]) -> bool:
    figure = figures.get(tier.measure)
    return _is_above(None if figure is None else exact(figure), tier.threshold_in)


def _begins_above(stricter: Exact | None, lighter: Exact | None) -> bool:
    return stricter is not None and (lighter is None or exact(stricter) > exact(lighter))


def _word_faults(scope: Scope) -> list[Refusal]:
    found = []
    if not scope.activities:
        found.append(Refusal("no_activity_covered", f"Name one of {', '.join(ACTIVITIES)} at least."))
    found += [
        Refusal("activity_unknown", f"{activity!r} is none of {', '.join(ACTIVITIES)}.")
        for activity in scope.activities
        if activity not in ACTIVITIES
    ]
    if len(set(scope.activities)) != len(scope.activities):
        found.append(Refusal("activity_twice", "Name each activity once."))
    if scope.basis not in BASES:
        found.append(Refusal("basis_unknown", f"The basis {scope.basis!r} is none of {', '.join(BASES)}."))
    if scope.obligated_party not in OBLIGATED_PARTIES:
        found.append(
            Refusal("party_unknown", f"The party {scope.obligated_party!r} is none of {', '.join(OBLIGATED_PARTIES)}.")
        )
    return found


def _tier_faults(tier: Tier) -> list[tuple[str, str]]:
    found = []
    if tier.measure not in MEASURES:
        found.append(("measure_unknown", f"measure one of {', '.join(MEASURES)}."))
    if any(bound is not None and bound < 0 for bound in (tier.threshold_in, tier.threshold_out)):
        found.append(("threshold_negative", "a threshold is zero or more."))
    if tier.threshold_out is not None and tier.threshold_in is None:
        found.append(("threshold_out_alone", "who enters without a threshold cannot leave below one."))
    if tier.threshold_in is not None and tier.threshold_out is not None and tier.threshold_out > tier.threshold_in:
        found.append(("threshold_out_above_in", "an operator would leave above the figure at which it enters."))
    if tier.exit_after < 1:
        found.append(("exit_without_report", "at least one low report comes before an exit."))
    if tier.notify_by is not None and not is_month_day(tier.notify_by):
        found.append(("notify_day_unknown", f"{tier.notify_by!r} is no day MM-DD that every year has."))
    if (tier.notify_by is None) is (tier.regime is Regime.NOTIFY_ONLY):
        found.append(("notify_day_misplaced", "NOTIFY_ONLY needs a day to notify by, and no other regime has one."))
    if tier.avoided_cost_minor < 0 or (tier.avoided_cost_minor and tier.regime is not Regime.NOTIFY_ONLY):
        found.append(("avoided_cost_misplaced", "an avoided cost is zero or more, and only NOTIFY_ONLY charges one."))
    if tier.target is None and tier.regime is Regime.TARGET_ONLY:
        found.append(("target_missing", "a regime of targets needs the target, in permits a year."))
    if tier.target is not None and (tier.regime is not Regime.TARGET_ONLY or tier.target < 0):
        found.append(("target_misplaced", "a target is zero permits or more, and only TARGET_ONLY has one."))
    if tier.min_stay_years < 0 or (tier.min_stay_years and tier.regime is not Regime.OPT_IN):
        found.append(("min_stay_misplaced", "a shortest stay is zero years or more, and only OPT_IN has one."))
    return found


def _ladder_faults(tiers: tuple[Tier, ...]) -> list[Refusal]:
    found = []
    keys = [(tier.regime, tier.measure) for tier in tiers]
    found += [
        Refusal("tier_twice", f"{regime} on {measure} comes {keys.count((regime, measure))} times: merge them.")
        for regime, measure in sorted(set(keys))
        if keys.count((regime, measure)) > 1
    ]
    found += [
        Refusal(
            "regimes_out_of_order",
            f"{stricter.regime} on {stricter.measure} has to begin above {lighter.regime}: raise its threshold.",
        )
        for lighter in tiers
        for stricter in tiers
        if lighter.regime in LADDER
        and stricter.regime in LADDER
        and lighter.measure == stricter.measure
        and LADDER.index(lighter.regime) < LADDER.index(stricter.regime)
        and not _begins_above(stricter.threshold_in, lighter.threshold_in)
    ]
    return found
