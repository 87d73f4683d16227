"""Compliance: the status letter of an operator, its shortfall, the state of an obligation, and what a correction does.

The status follows the rule of the UK ETS registry. It is cumulative over all years since the operator's first: a
surplus carries over by itself, a shortfall stays until it is cured, and a correction upwards of an old year opens it
again. It depends on nothing but the record handed in, so anybody who has the record gets the same letter.

| letter | meaning |
|---|---|
| A | enough permits surrendered for every closed year |
| B | too few permits surrendered |
| C | a closed year has no verified report |
| EXCLUDED | every closed year is excluded from the scheme |
| NOT_APPLICABLE | the operator has no closed year yet |

Two oddities of the UK engine are not copied: with first year = last year = current year, excluding any year whatever
made the operator EXCLUDED (here the current year has to be excluded), and the closing status became EXCLUDED without
looking at the running year (here that year has to be excluded too).

An obligation of one deadline has a state beside the letter (policy chapter 2.2). It too follows from facts, by
`obligation_state`; `MOVES` is the table of what may follow what.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from registry.engine.policy import ComplianceRule
from registry.engine.refusals import Refusal
from registry.engine.rounding import Exact, exact, half_up, obligation_permits
from registry.engine.sanctions import CashSanction as CashSanction
from registry.engine.sanctions import cash_sanction as cash_sanction

GROWTH_UPLIFT = Decimal("1.10")
"""An estimate assumes that an operator without a report grew by ten per cent."""

CAPACITY_SHARE = Decimal("0.5")
"""An estimate assumes that at least half of the contracted capacity was used."""


class Status(StrEnum):
    """The letter shown to operators and published for auditors."""

    A = "A"
    B = "B"
    C = "C"
    EXCLUDED = "EXCLUDED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


class Outcome(StrEnum):
    """Where the obligation of one deadline stands."""

    DUE = "DUE"
    MET = "MET"
    SHORT = "SHORT"
    CURED_LATE = "CURED_LATE"


class ObligationState(StrEnum):
    """Where one obligation stands between the first meter reading and the end of every dispute."""

    DRAFT = "DRAFT"
    REPORTED = "REPORTED"
    VERIFIED = "VERIFIED"
    DUE = "DUE"
    MET = "MET"
    SHORT = "SHORT"
    CURED_LATE = "CURED_LATE"
    AUTO_DEDUCTED = "AUTO_DEDUCTED"
    SET_OFF = "SET_OFF"
    IN_APPEAL = "IN_APPEAL"
    CLOSED = "CLOSED"


_SETTLED = frozenset({ObligationState.SHORT, ObligationState.IN_APPEAL, ObligationState.CLOSED})
"""What may follow where a shortfall was covered: it opens again, it is disputed, or it is over."""

MOVES: Mapping[ObligationState, frozenset[ObligationState]] = MappingProxyType(
    {
        ObligationState.DRAFT: frozenset({ObligationState.REPORTED, ObligationState.VERIFIED}),
        ObligationState.REPORTED: frozenset({ObligationState.DRAFT, ObligationState.VERIFIED}),
        ObligationState.VERIFIED: frozenset({ObligationState.DUE, ObligationState.MET, ObligationState.SHORT}),
        ObligationState.DUE: frozenset({ObligationState.MET, ObligationState.SHORT}),
        ObligationState.MET: _SETTLED | {ObligationState.DUE},
        ObligationState.SHORT: frozenset(
            {
                ObligationState.MET,
                ObligationState.CURED_LATE,
                ObligationState.AUTO_DEDUCTED,
                ObligationState.SET_OFF,
                ObligationState.IN_APPEAL,
            }
        ),
        ObligationState.CURED_LATE: _SETTLED | {ObligationState.MET},
        ObligationState.AUTO_DEDUCTED: _SETTLED,
        ObligationState.SET_OFF: _SETTLED,
        ObligationState.IN_APPEAL: frozenset(
            {
                ObligationState.MET,
                ObligationState.SHORT,
                ObligationState.CURED_LATE,
                ObligationState.AUTO_DEDUCTED,
                ObligationState.SET_OFF,
                ObligationState.CLOSED,
            }
        ),
        ObligationState.CLOSED: frozenset({ObligationState.SHORT}),
    }
)
"""Which state may follow which (policy chapter 2.2). Beyond the straight line: an estimate needs no report; a report
sent back is a draft again; a reversal or a correction upwards opens what was met, even after it was closed; one found
too high, or an appeal upheld, makes a late cure unneeded."""


@dataclass(frozen=True)
class ObligationFacts:
    """All that the state of one obligation depends on, at one instant; every quantity is whole permits.

    `surrendered` is what the operator gave up by then, less reversals, `in_time` what of it had come by the deadline;
    `deducted` was taken from its account, `set_off` from its free delivery. `owed_at_deadline` is what was known to be
    owed then: a later correction upwards was nobody's delay. `is_verified` holds for a regulator's estimate too,
    `is_open` from the moment the obligation was put to the operator, and `is_closed` until something is missing again.
    """

    is_reported: bool = False
    is_verified: bool = False
    is_open: bool = False
    is_past_deadline: bool = False
    owed: int = 0
    owed_at_deadline: int = 0
    surrendered: int = 0
    in_time: int = 0
    deducted: int = 0
    set_off: int = 0
    has_open_appeal: bool = False
    is_closed: bool = False

    @property
    def missing(self) -> int:
        """What is owed and not covered by anything yet."""
        return max(0, self.owed - self.surrendered - self.deducted - self.set_off)


@dataclass(frozen=True)
class CorrectionEffect:
    """What a correction of a verified figure does: permits owed on top, permits given back, or a credit; never cash.

    `sanctionable` is what was missing of the figure known at the deadline; the difference itself is not in it.
    """

    difference_owed: int
    sanctionable: int
    returned: tuple[tuple[int, int], ...] = ()
    credit: int = 0


@dataclass(frozen=True)
class ComplianceRecord:
    """All that the status of one operator depends on; every quantity is whole permits.

    `verified` holds the obligation of each reported year (rule R6); a year that is missing has no report, a year with
    0 has a report of zero. `estimated` holds the regulator's estimate of years without a report: it is owed like a
    verified figure but is no report, so the letter stays C until a report or a determination enters `verified`.
    `surrendered` is one cumulative number: everything surrendered less everything reversed.
    """

    year: int
    first_year: int
    last_year: int | None
    verified: Mapping[int, int]
    surrendered: int
    excluded: frozenset[int] = frozenset()
    estimated: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Compliance:
    """A status and the figures behind it.

    `closing` exists only in the operator's last year, where the running year counts too; people see the closing
    status if there is one, the official yearly snapshot publishes the ordinary one. `owed`, `shortfall`, `surplus` and
    `unreported` belong to the status that people see. With refusals, the record is impossible and nothing was decided.
    """

    ordinary: Status = Status.NOT_APPLICABLE
    closing: Status | None = None
    owed: int = 0
    shortfall: int = 0
    surplus: int = 0
    unreported: tuple[int, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def status(self) -> Status:
        """The status to show to people."""
        return self.closing or self.ordinary


@dataclass(frozen=True)
class Receipt:
    """Permits surrendered (or, below zero, a surrender reversed) and the instant the registry received it."""

    permits: int
    received_at: datetime


@dataclass(frozen=True)
class ObligationOutcome:
    """One deadline: what came in time, what was missing then, and what is missing now."""

    outcome: Outcome
    in_time: int
    short_at_deadline: int
    short_now: int
    cured_at: datetime | None


@dataclass(frozen=True)
class Estimate:
    """The regulator's conservative figure for a year without a report, and which of the three rules set it."""

    total: Fraction
    basis: str


def obligation(verified_total: Exact, permit_size: Exact) -> int:
    """Return the permits owed for one firm-year: the year's verified total over the permit size (rule R6)."""
    return obligation_permits(verified_total, permit_size)


def compliance(record: ComplianceRecord) -> Compliance:
    """Decide the status of one operator."""
    refusals = impossibilities(record)
    if refusals:
        return Compliance(refusals=refusals)
    if record.year < record.first_year or (record.year == record.first_year != record.last_year):
        return Compliance(surplus=record.surrendered)

    closed = range(record.first_year, min(record.year - 1, last_accountable_year(record)) + 1)
    ordinary = _status(record, closed, closed or (record.year,))
    if record.year != record.last_year:
        return _with_figures(record, closed, ordinary, closing=None)
    whole_life = range(record.first_year, record.year + 1)
    return _with_figures(record, whole_life, ordinary, closing=_status(record, whole_life, whole_life))


def provisional_compliance(record: ComplianceRecord, use_to_date: int) -> Compliance:
    """Decide the status as it would be if the running year ended now with the use metered so far, in permits.

    A report already verified for the running year wins over the meters.
    """
    running = record.year
    if running < record.first_year or (record.last_year is not None and running > record.last_year):
        return compliance(record)
    verified = dict(record.verified)
    if running not in record.excluded:
        verified.setdefault(running, use_to_date)
    return compliance(replace(record, year=running + 1, verified=verified))


def impossibilities(record: ComplianceRecord) -> tuple[Refusal, ...]:
    """List what cannot be true of any operator; a service refuses the change that would lead to it."""
    found = []
    if record.last_year is not None and record.last_year < record.first_year:
        found.append(Refusal("last_year_before_first", "The last year cannot come before the first year."))
    if record.surrendered < 0:
        found.append(Refusal("negative_surrender", "More permits were reversed than were surrendered."))
    found += [
        Refusal("future_year_excluded", f"{year} has not begun: only past years can be excluded.")
        for year in sorted(record.excluded)
        if year > record.year
    ]
    last = last_accountable_year(record)
    for year, permits in sorted((*record.verified.items(), *record.estimated.items())):
        if permits < 0:
            found.append(Refusal("negative_obligation", f"{year}: an obligation cannot be negative."))
        elif permits and year in record.excluded:
            found.append(Refusal("use_in_excluded_year", f"{year} is excluded: clear its figure first."))
        elif permits and year < record.first_year:
            found.append(Refusal("use_before_first_year", f"{year} lies before the first year, {record.first_year}."))
        elif permits and year != record.year and year > min(last, record.year):
            found.append(Refusal("use_after_last_year", f"{year} lies after the last year that counts, {last}."))
    return tuple(found)


def last_accountable_year(record: ComplianceRecord) -> int:
    """Return the last year that can owe anything: the operator's last if it is known, else the last closed one."""
    return max(record.first_year, record.year - 1 if record.last_year is None else record.last_year)


def surrendered_by(receipts: Iterable[Receipt], instant: datetime) -> int:
    """Return the net permits received up to an instant; a receipt at that very instant counts."""
    return sum(receipt.permits for receipt in receipts if receipt.received_at <= instant)


def obligation_outcome(
    *,
    owed_at_deadline: int,
    owed_now: int,
    receipts: Iterable[Receipt],
    deadline: datetime,
    at: datetime,
) -> ObligationOutcome:
    """Say whether a deadline was met, and if not, whether it was cured afterwards.

    The two amounts owed differ when a report is corrected after the deadline: what is owed rises, but nobody was late
    with permits that nobody knew about, so only `short_at_deadline` may be sanctioned. A surrender received after the
    deadline makes good and never counts as in time.
    """
    known = sorted((r for r in receipts if r.received_at <= at), key=lambda receipt: receipt.received_at)
    in_time = surrendered_by(known, min(at, deadline))
    short_at_deadline = max(0, owed_at_deadline - in_time)
    short_now = max(0, owed_now - surrendered_by(known, at))
    cured_at = _cured_at(known, owed_now, deadline) if short_at_deadline and not short_now else None
    if at <= deadline:
        outcome = Outcome.DUE if short_now else Outcome.MET
    elif short_now:
        outcome = Outcome.SHORT
    else:
        outcome = Outcome.CURED_LATE if short_at_deadline else Outcome.MET
    return ObligationOutcome(outcome, in_time, short_at_deadline, short_now, cured_at)


def obligation_state(facts: ObligationFacts) -> ObligationState:
    """Derive the state of an obligation from its facts.

    An open appeal shows over a shortfall and over its late cure. What covered a shortfall last in the order of
    enforcement names it: a set-off, else a deduction, else the operator's own late surrender. Closed is what is closed
    with nothing missing; a correction upwards makes it short again.
    """
    if not facts.is_verified:
        return ObligationState.REPORTED if facts.is_reported else ObligationState.DRAFT
    if not facts.is_open:
        return ObligationState.VERIFIED
    if not facts.is_past_deadline:
        return ObligationState.DUE if facts.missing else ObligationState.MET
    was_short = facts.owed_at_deadline > facts.in_time
    if facts.has_open_appeal and (was_short or facts.missing):
        return ObligationState.IN_APPEAL
    if facts.missing:
        return ObligationState.SHORT
    if facts.is_closed:
        return ObligationState.CLOSED
    if facts.set_off:
        return ObligationState.SET_OFF
    if facts.deducted:
        return ObligationState.AUTO_DEDUCTED
    return ObligationState.CURED_LATE if was_short else ObligationState.MET


def partial_obligation(place: int, verified: Sequence[int], annual_share: Sequence[Exact], surrendered: int = 0) -> int:
    """Return the permits due for the year at a place (0 is the first) of a period of several years.

    In every year but the last it is the year's share of that year's verified use, half-up (R6): 30 % in California
    [CA-95856], 50 % under RGGI [RGGI-NY]. The last year settles the period: all that was verified less all that was
    `surrendered` before, never below zero; a surplus of the first years counts there.
    """
    assert 0 <= place < len(annual_share) and len(verified) > place
    assert surrendered >= 0 and all(permits >= 0 for permits in verified)
    if place < len(annual_share) - 1:
        return half_up(verified[place] * exact(annual_share[place]))
    return max(0, sum(verified[: place + 1]) - surrendered)


def correction_effect(
    *,
    owed_before: int,
    owed_after: int,
    in_time: int,
    retired: Sequence[tuple[int, int]],
    carries: bool = False,
) -> CorrectionEffect:
    """Return what follows when a verified figure is corrected after the surrender (policy chapter 2.3 cases 2 and 3).

    `retired` lists what the operator gave up, as (vintage, permits) in the order in which it was retired. A figure
    found too low is owed from now on, without excess penalty on the difference [CJEU][DE]; what was missing already is
    not in the difference. One found too high gives back permits of the same vintages, the last retired first, and at
    most what the correction took away; with `carries` they stay surrendered as a credit. There is never cash.
    """
    assert min(owed_before, owed_after, in_time) >= 0
    given = sum(permits for _, permits in retired)
    surplus = max(0, min(given, owed_before) - owed_after)
    return CorrectionEffect(
        difference_owed=max(0, owed_after - max(given, owed_before)),
        sanctionable=max(0, min(owed_before, owed_after) - in_time),
        returned=() if carries else _last_first(retired, surplus),
        credit=surplus if carries else 0,
    )


def conservative_estimate(
    *,
    last_verified: Exact | None,
    metered: Exact | None,
    contracted_capacity: Exact | None,
    uplift: Exact = GROWTH_UPLIFT,
    capacity_share: Exact = CAPACITY_SHARE,
    tier_uplift: Exact = 0,
) -> Estimate | Refusal:
    """Estimate a year without a report: the highest of what we know, in base units of the scheme.

    Last verified total x 1.10, the meters' total, half the contracted capacity; the first named wins a tie. The weights
    are a scheme's rule (policy chapter 2.3 case 1). `tier_uplift` is what the operator's tier of data adds to figures
    that were measured, such as 0.05 for device counters; a contract is not measured.
    """
    known = [
        (exact(figure) * exact(weight), basis)
        for figure, weight, basis in (
            (last_verified, exact(uplift) * (1 + exact(tier_uplift)), "last_verified"),
            (metered, 1 + exact(tier_uplift), "metered"),
            (contracted_capacity, capacity_share, "contracted_capacity"),
        )
        if figure is not None
    ]
    if not known:
        return Refusal("nothing_to_estimate_from", "Give a past report, a meter reading or the contracted capacity.")
    total, basis = max(known, key=lambda candidate: candidate[0])
    return Estimate(total, basis)


def uplift_of_tier(rule: ComplianceRule, tier: int) -> Decimal:
    """Return what a tier of data adds: its own share, or that of the nearest coarser tier that the rule names."""
    if not rule.tier_uplift:
        return Decimal(0)
    coarser = [one for one in rule.tier_uplift if one <= tier]
    return rule.tier_uplift[max(coarser) if coarser else min(rule.tier_uplift)]


def contradictions(rule: ComplianceRule) -> list[Refusal]:
    """List everything in the rules of estimates and retirement that cannot be meant; `deadlines` checks the dates."""
    found = []
    if rule.estimate_uplift < 1:
        found.append(Refusal("estimate_uplift_below_one", "An estimate never falls below the last verified figure."))
    if not 0 <= rule.capacity_share <= 1:
        found.append(Refusal("capacity_share_out_of_range", "The share of the capacity lies between 0 and 1."))
    found += [
        Refusal("tier_uplift_negative", f"Data tier {tier} adds {uplift}: enter zero or more.")
        for tier, uplift in sorted(rule.tier_uplift.items())
        if uplift < 0
    ]
    in_order = [uplift for _, uplift in sorted(rule.tier_uplift.items())]
    if in_order != sorted(in_order, reverse=True):
        found.append(Refusal("tier_uplift_falls", "A coarser data tier never adds less than a finer one."))
    if "permit" not in rule.retire_order:
        found.append(Refusal("permits_never_retired", "The order of retirement has to name permits."))
    if len(set(rule.retire_order)) != len(rule.retire_order):
        found.append(Refusal("retire_order_twice", "The order of retirement names each kind once."))
    if min(rule.shutdown_report_days, rule.offset_replacement_months, rule.appeal_days) < 0:
        found.append(Refusal("days_negative", "A time to report, to replace or to appeal is zero or more."))
    return found


def _status(record: ComplianceRecord, counted: range, must_be_excluded: Iterable[int]) -> Status:
    """Decide one letter from the years that count."""
    if all(year in record.excluded for year in must_be_excluded):
        return Status.EXCLUDED
    if _unreported(record, counted):
        return Status.C
    return Status.B if _owed(record, counted) > record.surrendered else Status.A


def _with_figures(record: ComplianceRecord, counted: range, ordinary: Status, closing: Status | None) -> Compliance:
    """Put the status and the figures that people see beside it together."""
    owed = _owed(record, counted)
    return Compliance(
        ordinary=ordinary,
        closing=closing,
        owed=owed,
        shortfall=max(0, owed - record.surrendered),
        surplus=max(0, record.surrendered - owed),
        unreported=_unreported(record, counted),
    )


def _unreported(record: ComplianceRecord, counted: range) -> tuple[int, ...]:
    return tuple(year for year in counted if year not in record.verified and year not in record.excluded)


def _owed(record: ComplianceRecord, counted: range) -> int:
    """Sum the obligations; an estimate counts only where there is no report."""
    return sum(record.verified.get(year, record.estimated.get(year, 0)) for year in counted)


def _cured_at(receipts: Iterable[Receipt], owed: int, deadline: datetime) -> datetime | None:
    """Return when the missing permits were complete, which is after the deadline."""
    total = 0
    for receipt in receipts:
        total += receipt.permits
        if total >= owed and receipt.received_at > deadline:
            return receipt.received_at
    return None


def _last_first(retired: Sequence[tuple[int, int]], surplus: int) -> tuple[tuple[int, int], ...]:
    """Return (vintage, permits) to give back, the last retired first."""
    back = []
    for vintage, permits in reversed(retired):
        part = min(permits, surplus)
        if part:
            back.append((vintage, part))
            surplus -= part
    return tuple(back)
