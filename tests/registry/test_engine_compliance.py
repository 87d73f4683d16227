"""The status letter, late cures, sanctions and estimates: what an operator's record says about it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.compliance import (
    MOVES,
    Compliance,
    ComplianceRecord,
    CorrectionEffect,
    Estimate,
    ObligationFacts,
    ObligationOutcome,
    ObligationState,
    Outcome,
    Receipt,
    Status,
    cash_sanction,
    compliance,
    conservative_estimate,
    contradictions,
    correction_effect,
    obligation,
    obligation_outcome,
    obligation_state,
    partial_obligation,
    provisional_compliance,
    surrendered_by,
    uplift_of_tier,
)
from registry.engine.policy import ComplianceRule
from registry.engine.refusals import Refusal

A, B, C, EXCLUDED, NONE = Status.A, Status.B, Status.C, Status.EXCLUDED, Status.NOT_APPLICABLE
SECOND = timedelta(seconds=1)
DEADLINE = datetime(2028, 9, 30, 21, 59, 59, tzinfo=UTC)


def record(
    year: int,
    first: int,
    last: int | None = None,
    verified: dict[int, int] | None = None,
    surrendered: int = 0,
    excluded: Iterable[int] = (),
    estimated: dict[int, int] | None = None,
) -> ComplianceRecord:
    return ComplianceRecord(year, first, last, verified or {}, surrendered, frozenset(excluded), estimated or {})


@pytest.mark.parametrize(
    ("case", "ordinary", "closing"),
    [
        # 1. Nothing is closed yet.
        (record(2026, 2027), NONE, None),
        (record(2027, 2027), NONE, None),
        (record(2027, 2027, 2030, {2027: 5}), NONE, None),
        # 2. Every closed year is excluded.
        (record(2028, 2027, excluded=[2027]), EXCLUDED, None),
        (record(2029, 2027, excluded=[2027, 2028]), EXCLUDED, None),
        (record(2029, 2027, 2027, excluded=[2027]), EXCLUDED, None),
        # 3. A closed year has no report.
        (record(2028, 2027), C, None),
        (record(2029, 2027, verified={2027: 1}, surrendered=99), C, None),
        (record(2029, 2027, verified={2028: 1}, surrendered=99), C, None),
        (record(2029, 2027, excluded=[2027]), C, None),
        # 4. Cumulative use above cumulative surrender.
        (record(2028, 2027, verified={2027: 10}, surrendered=9), B, None),
        (record(2029, 2027, verified={2027: 10, 2028: 5}, surrendered=14), B, None),
        # 5. Otherwise.
        (record(2028, 2027, verified={2027: 10}, surrendered=10), A, None),
        (record(2028, 2027, verified={2027: 0}), A, None),
        (record(2029, 2027, verified={2027: 10, 2028: 5}, surrendered=15), A, None),
        (record(2029, 2027, verified={2028: 5}, surrendered=5, excluded=[2027]), A, None),
        (record(2029, 2027, verified={2027: 0, 2028: 5}, surrendered=5, excluded=[2027]), A, None),
        # The running year does not count, whatever stands there.
        (record(2028, 2027, verified={2027: 10, 2028: 999}, surrendered=10), A, None),
        (record(2028, 2026, 2027, verified={2026: 1, 2027: 10, 2028: 999}, surrendered=11), A, None),
        # After the last year only the years up to it count.
        (record(2031, 2027, 2028, {2027: 10, 2028: 5}, surrendered=15), A, None),
        (record(2031, 2027, 2028, {2027: 10}, surrendered=15), C, None),
        (record(2028, 2027, 2030, {2027: 10}, surrendered=10), A, None),
        # In the last year the closing status counts the running year too.
        (record(2028, 2027, 2028, {2027: 10}, surrendered=10), A, C),
        (record(2028, 2027, 2028, {2027: 10, 2028: 5}, surrendered=10), A, B),
        (record(2028, 2027, 2028, {2027: 10, 2028: 5}, surrendered=15), A, A),
        (record(2028, 2027, 2028, {2027: 10}, surrendered=9), B, C),
        (record(2028, 2027, 2028, {2027: 10}, surrendered=10, excluded=[2028]), A, A),
        (record(2027, 2027, 2027), A, C),
        (record(2027, 2027, 2027, {2027: 5}), A, B),
        (record(2027, 2027, 2027, {2027: 5}, surrendered=5), A, A),
        (record(2027, 2027, 2027, excluded=[2027]), EXCLUDED, EXCLUDED),
        # Two oddities of the UK engine that we leave out.
        (record(2027, 2027, 2027, excluded=[2020]), A, C),
        (record(2028, 2027, 2028, excluded=[2027]), EXCLUDED, C),
        (record(2028, 2027, 2028, {2028: 7}, excluded=[2027]), EXCLUDED, B),
        (record(2028, 2027, 2028, excluded=[2027, 2028]), EXCLUDED, EXCLUDED),
        # An estimate is owed but is no report.
        (record(2028, 2027, surrendered=50, estimated={2027: 50}), C, None),
    ],
)
def test_status_table(case: ComplianceRecord, ordinary: Status, closing: Status | None) -> None:
    result = compliance(case)

    assert (result.ordinary, result.closing, result.refusals) == (ordinary, closing, ())
    assert result.status == (closing or ordinary)


@pytest.mark.parametrize(
    ("case", "owed", "shortfall", "surplus", "unreported"),
    [
        (record(2029, 2027, verified={2027: 10, 2028: 5}, surrendered=12), 15, 3, 0, ()),
        (record(2029, 2027, verified={2027: 10, 2028: 5}, surrendered=20), 15, 0, 5, ()),
        (record(2028, 2027, surrendered=20, estimated={2027: 50}), 50, 30, 0, (2027,)),
        (record(2028, 2027, verified={2027: 40}, surrendered=20, estimated={2027: 50}), 40, 20, 0, ()),
        (record(2028, 2027, 2028, {2027: 10, 2028: 5}, surrendered=10), 15, 5, 0, ()),
        (record(2026, 2027, surrendered=3), 0, 0, 3, ()),
    ],
)
def test_the_figures_beside_the_letter(
    case: ComplianceRecord, owed: int, shortfall: int, surplus: int, unreported: tuple[int, ...]
) -> None:
    result = compliance(case)

    assert (result.owed, result.shortfall, result.surplus, result.unreported) == (owed, shortfall, surplus, unreported)


def test_a_late_surrender_cures_b() -> None:
    short = record(2028, 2027, verified={2027: 10}, surrendered=7)

    cured = replace(short, surrendered=10)

    assert (compliance(short).status, compliance(cured).status) == (B, A)


def test_a_correction_upwards_of_an_old_year_opens_b_again() -> None:
    content = record(2030, 2027, verified={2027: 10, 2028: 5, 2029: 5}, surrendered=20)

    corrected = replace(content, verified={**content.verified, 2027: 11})

    assert (compliance(content).status, compliance(corrected).status) == (A, B)


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (record(2028, 2027, 2026), "last_year_before_first"),
        (record(2028, 2027, verified={2027: 1}, surrendered=-1), "negative_surrender"),
        (record(2028, 2027, excluded=[2029]), "future_year_excluded"),
        (record(2028, 2027, verified={2027: -1}), "negative_obligation"),
        (record(2028, 2027, verified={2027: 1}, excluded=[2027]), "use_in_excluded_year"),
        (record(2028, 2027, estimated={2027: 1}, excluded=[2027]), "use_in_excluded_year"),
        (record(2028, 2027, verified={2026: 1}), "use_before_first_year"),
        (record(2028, 2027, verified={2029: 1}), "use_after_last_year"),
        (record(2030, 2027, 2028, verified={2029: 1}), "use_after_last_year"),
        (record(2028, 2027, 2032, verified={2030: 1}), "use_after_last_year"),
    ],
)
def test_an_impossible_record_is_refused_and_decides_nothing(case: ComplianceRecord, code: str) -> None:
    result = compliance(case)

    assert [refusal.code for refusal in result.refusals] == [code]
    assert result == Compliance(refusals=result.refusals)


def test_zero_is_a_valid_report_anywhere() -> None:
    scattered = record(2029, 2027, verified={2020: 0, 2027: 0, 2028: 0, 2035: 0})

    assert compliance(scattered).status == A


@pytest.mark.parametrize(
    ("case", "use_to_date", "status", "shortfall"),
    [
        (record(2028, 2027, verified={2027: 10}, surrendered=12), 2, A, 0),
        (record(2028, 2027, verified={2027: 10}, surrendered=12), 3, B, 1),
        (record(2028, 2027, surrendered=12), 0, C, 0),
        (record(2027, 2027), 5, B, 5),
        (record(2027, 2028), 5, NONE, 0),
        (record(2030, 2027, 2028, {2027: 1, 2028: 1}, surrendered=2), 5, A, 0),
        (record(2028, 2027, 2028, {2027: 10, 2028: 1}, surrendered=11), 999, A, 0),
        (record(2028, 2027, verified={2027: 10}, surrendered=10, excluded=[2028]), 5, A, 0),
    ],
)
def test_the_provisional_status_counts_the_running_year(
    case: ComplianceRecord, use_to_date: int, status: Status, shortfall: int
) -> None:
    result = provisional_compliance(case, use_to_date)

    assert (result.status, result.shortfall, result.refusals) == (status, shortfall, ())


years = st.integers(2021, 2027)
records = st.builds(
    ComplianceRecord,
    year=years,
    first_year=years,
    last_year=st.none() | years,
    verified=st.dictionaries(years, st.integers(0, 20), max_size=7),
    surrendered=st.integers(0, 80),
    excluded=st.frozensets(years, max_size=4),
)
possible = records.filter(lambda found: not compliance(found).refusals)


def plain_uk_rule(found: ComplianceRecord) -> Status:
    """The rule as a clerk would read it aloud, for the ordinary status."""
    end = max(found.first_year, found.last_year or found.year - 1)
    if found.year < found.first_year:
        return NONE
    if found.year == found.first_year and found.last_year != found.first_year:
        return NONE
    closed = [year for year in range(2000, 2050) if found.first_year <= year <= end and year < found.year]
    if closed and all(year in found.excluded for year in closed):
        return EXCLUDED
    if not closed and found.year in found.excluded:
        return EXCLUDED
    if any(year not in found.excluded and found.verified.get(year) is None for year in closed):
        return C
    used = sum(permits for year, permits in found.verified.items() if year != found.year)
    return B if used > found.surrendered else A


@given(possible)
def test_the_ordinary_status_is_the_rule_read_aloud(found: ComplianceRecord) -> None:
    assert compliance(found).ordinary == plain_uk_rule(found)


@given(possible, st.randoms())
def test_the_status_depends_on_nothing_but_the_record(found: ComplianceRecord, shuffler: Random) -> None:
    entries = list(found.verified.items())
    shuffler.shuffle(entries)

    assert compliance(replace(found, verified=dict(entries))) == compliance(found)


@given(possible, st.integers(1, 50))
def test_more_permits_never_make_a_status_worse(found: ComplianceRecord, more: int) -> None:
    before, after = compliance(found), compliance(replace(found, surrendered=found.surrendered + more))

    assert after.status == before.status or (before.status, after.status) == (B, A)
    assert after.shortfall <= before.shortfall


@given(possible)
def test_the_shortfall_is_exactly_what_turns_b_into_a(found: ComplianceRecord) -> None:
    result = compliance(found)

    if result.status == B:
        cured = compliance(replace(found, surrendered=found.surrendered + result.shortfall))
        one_less = compliance(replace(found, surrendered=found.surrendered + result.shortfall - 1))
        assert (cured.status, one_less.status) == (A, B)


@pytest.mark.parametrize(
    ("receipts", "after", "outcome"),
    [
        ([(100, -SECOND)], -SECOND, ObligationOutcome(Outcome.MET, 100, 0, 0, None)),
        ([(99, -SECOND)], -SECOND, ObligationOutcome(Outcome.DUE, 99, 1, 1, None)),
        ([(100, 0 * SECOND)], SECOND, ObligationOutcome(Outcome.MET, 100, 0, 0, None)),
        ([(100, SECOND)], SECOND, ObligationOutcome(Outcome.CURED_LATE, 0, 100, 0, DEADLINE + SECOND)),
        ([(60, -SECOND)], SECOND, ObligationOutcome(Outcome.SHORT, 60, 40, 40, None)),
        (
            [(60, -SECOND), (10, SECOND), (30, 9 * SECOND)],
            60 * SECOND,
            ObligationOutcome(Outcome.CURED_LATE, 60, 40, 0, DEADLINE + 9 * SECOND),
        ),
        (
            [(100, -SECOND), (-100, SECOND)],
            2 * SECOND,
            ObligationOutcome(Outcome.SHORT, 100, 0, 100, None),
        ),
        ([(100, 5 * SECOND)], 4 * SECOND, ObligationOutcome(Outcome.SHORT, 0, 100, 100, None)),
    ],
)
def test_a_deadline_is_met_by_what_was_received_in_time(
    receipts: list[tuple[int, timedelta]], after: timedelta, outcome: ObligationOutcome
) -> None:
    received = [Receipt(permits, DEADLINE + offset) for permits, offset in receipts]

    found = obligation_outcome(
        owed_at_deadline=100, owed_now=100, receipts=received, deadline=DEADLINE, at=DEADLINE + after
    )

    assert found == outcome


def test_a_report_found_too_low_is_owed_but_was_not_late() -> None:
    received = [Receipt(100, DEADLINE - SECOND)]

    found = obligation_outcome(
        owed_at_deadline=100, owed_now=130, receipts=received, deadline=DEADLINE, at=DEADLINE + SECOND
    )

    assert (found.outcome, found.short_at_deadline, found.short_now) == (Outcome.SHORT, 0, 30)


def test_receipts_count_up_to_and_including_the_instant() -> None:
    received = [Receipt(1, DEADLINE), Receipt(10, DEADLINE + SECOND), Receipt(-3, DEADLINE - SECOND)]

    assert surrendered_by(received, DEADLINE) == -2
    assert surrendered_by(received, DEADLINE + SECOND) == 8


def test_a_partial_surrender_is_sanctioned_on_the_missing_part_only() -> None:
    sanction = cash_sanction(40, Decimal("10206.5"))

    assert (sanction.short_permits, sanction.cash_minor) == (40, 408_260)


@pytest.mark.parametrize(
    ("last", "metered", "capacity", "estimate"),
    [
        (100, 90, 150, Estimate(Fraction(110), "last_verified")),
        (100, 111, 150, Estimate(Fraction(111), "metered")),
        (100, 110, 500, Estimate(Fraction(250), "contracted_capacity")),
        (100, 110, 220, Estimate(Fraction(110), "last_verified")),
        (None, 0, None, Estimate(Fraction(0), "metered")),
    ],
)
def test_the_estimate_is_the_highest_of_what_is_known(
    last: int | None, metered: int, capacity: int | None, estimate: Estimate
) -> None:
    assert conservative_estimate(last_verified=last, metered=metered, contracted_capacity=capacity) == estimate


def test_there_is_no_estimate_from_nothing() -> None:
    refusal = conservative_estimate(last_verified=None, metered=None, contracted_capacity=None)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "nothing_to_estimate_from"


def test_the_obligation_is_rounded_once_a_year() -> None:
    assert obligation(Decimal("1500000000000000000"), 10**18) == 2


@pytest.mark.parametrize(
    ("figures", "weights", "estimate"),
    [
        # A scheme's own weights.
        ((100, 90, 150), {"uplift": Decimal("1.2")}, Estimate(Fraction(120), "last_verified")),
        ((100, 90, 150), {"capacity_share": 1}, Estimate(Fraction(150), "contracted_capacity")),
        ((100, 90, 150), {"uplift": 1, "capacity_share": 0}, Estimate(Fraction(100), "last_verified")),
        # Data tiers 1 to 3 add 0, 5 and 15 per cent to the meters.
        ((None, 100, None), {"tier_uplift": 0}, Estimate(Fraction(100), "metered")),
        ((None, 100, None), {"tier_uplift": Decimal("0.05")}, Estimate(Fraction(105), "metered")),
        ((100, 100, None), {"tier_uplift": Decimal("0.15")}, Estimate(Fraction("126.5"), "last_verified")),
        ((None, 100, 300), {"tier_uplift": Decimal("0.3")}, Estimate(Fraction(150), "contracted_capacity")),
    ],
)
def test_the_weights_of_an_estimate_are_a_rule(
    figures: tuple[int | None, int | None, int | None], weights: dict[str, int | Decimal], estimate: Estimate
) -> None:
    last, metered, capacity = figures

    found = conservative_estimate(
        last_verified=last,
        metered=metered,
        contracted_capacity=capacity,
        uplift=weights.get("uplift", Decimal("1.10")),
        capacity_share=weights.get("capacity_share", Decimal("0.5")),
        tier_uplift=weights.get("tier_uplift", 0),
    )

    assert found == estimate


THIRTY, HALF = Decimal("0.30"), Decimal("0.50")


@pytest.mark.parametrize(
    ("place", "verified", "shares", "surrendered", "due"),
    [
        # California: 30 % of each year, the rest after the period.
        (0, [1_000], [THIRTY, THIRTY, 1], 0, 300),
        (1, [1_000, 2_000], [THIRTY, THIRTY, 1], 300, 600),
        (2, [1_000, 2_000, 500], [THIRTY, THIRTY, 1], 900, 2_600),
        # RGGI: 50 %, 50 %, all [RGGI-NY].
        (0, [999], [HALF, HALF, 1], 0, 500),  # 499.5 half-up
        (1, [999, 1_000], [HALF, HALF, 1], 500, 500),
        (2, [999, 1_000, 1_000], [HALF, HALF, 1], 1_000, 1_999),
        # What was surrendered too much in the first years counts in the last.
        (2, [10, 10, 10], [HALF, HALF, 1], 40, 0),
        # One year is a period too, and a last year settles it all whatever its share.
        (0, [7], [1], 0, 7),
        (0, [7], [1], 3, 4),
    ],
)
def test_part_of_a_year_is_due_before_the_period_is_settled(
    place: int, verified: list[int], shares: list[int | Decimal], surrendered: int, due: int
) -> None:
    assert partial_obligation(place, verified, shares, surrendered) == due


@given(st.lists(st.tuples(st.integers(0, 10**9), st.decimals("0", "1", places=2)), min_size=1, max_size=5))
def test_partial_obligations_sum_to_what_was_verified(years_of_use: list[tuple[int, Decimal]]) -> None:
    verified = [permits for permits, _ in years_of_use]
    surrendered = 0

    for place in range(len(verified)):
        due = partial_obligation(place, verified, [share for _, share in years_of_use], surrendered)
        assert due <= sum(verified[: place + 1]) - surrendered + 1
        surrendered += due

    assert surrendered == sum(verified)


@pytest.mark.parametrize(
    ("before", "after", "in_time", "retired", "effect"),
    [
        # Case 2: a report found too low after an honest surrender is owed, and nothing of it is sanctioned.
        (100, 130, 100, [(2027, 100)], CorrectionEffect(30, 0)),
        (100, 130, 110, [(2027, 110)], CorrectionEffect(20, 0)),
        (100, 130, 140, [(2027, 140)], CorrectionEffect(0, 0)),
        (100, 130, 60, [(2027, 60)], CorrectionEffect(30, 40)),
        (100, 130, 60, [(2027, 100)], CorrectionEffect(30, 40)),  # cured late
        # Case 3: one found too high gives back the same vintages, the last retired first.
        (100, 80, 100, [(2027, 100)], CorrectionEffect(0, 0, ((2027, 20),))),
        (100, 80, 100, [(2026, 90), (2027, 10)], CorrectionEffect(0, 0, ((2027, 10), (2026, 10)))),
        (100, 80, 120, [(2027, 120)], CorrectionEffect(0, 0, ((2027, 20),))),  # what was given freely stays given
        (100, 80, 90, [(2027, 90)], CorrectionEffect(0, 0, ((2027, 10),))),
        (100, 80, 50, [(2027, 50)], CorrectionEffect(0, 30)),
        (100, 0, 100, [(2025, 1), (2026, 99)], CorrectionEffect(0, 0, ((2026, 99), (2025, 1)))),
        (100, 100, 100, [(2027, 100)], CorrectionEffect(0, 0)),
    ],
)
def test_a_correction_is_owed_or_given_back_and_never_paid(
    before: int, after: int, in_time: int, retired: list[tuple[int, int]], effect: CorrectionEffect
) -> None:
    found = correction_effect(owed_before=before, owed_after=after, in_time=in_time, retired=retired)

    assert found == effect


def test_a_surplus_may_be_carried_as_a_credit() -> None:
    found = correction_effect(owed_before=100, owed_after=80, in_time=100, retired=[(2027, 100)], carries=True)

    assert found == CorrectionEffect(0, 0, (), 20)


amounts = st.integers(0, 500)


@given(amounts, amounts, st.lists(st.tuples(st.integers(2024, 2028), amounts), max_size=4), st.booleans())
def test_a_correction_leaves_exactly_what_the_corrected_figure_asks_for(
    before: int, after: int, retired: list[tuple[int, int]], carries: bool
) -> None:
    given_up = sum(permits for _, permits in retired)

    found = correction_effect(owed_before=before, owed_after=after, in_time=given_up, retired=retired, carries=carries)

    back = sum(permits for _, permits in found.returned)
    missing_before, missing_after = max(0, before - given_up), max(0, after - given_up)
    assert found.difference_owed == max(0, missing_after - missing_before)
    assert back + found.credit <= max(0, before - after)
    assert given_up - back - found.credit >= min(given_up, after)
    assert not (found.difference_owed and (back or found.credit))
    assert all(permits <= sum(n for v, n in retired if v == vintage) for vintage, permits in found.returned)
    assert found.sanctionable <= missing_before


DRAFT = ObligationFacts()
OPEN = ObligationFacts(is_reported=True, is_verified=True, is_open=True, owed=100)
LATE = replace(OPEN, is_past_deadline=True, owed_at_deadline=100)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (DRAFT, ObligationState.DRAFT),
        (replace(DRAFT, is_reported=True), ObligationState.REPORTED),
        (replace(OPEN, is_open=False), ObligationState.VERIFIED),
        (replace(OPEN, is_open=False, is_reported=False), ObligationState.VERIFIED),
        (OPEN, ObligationState.DUE),
        (replace(OPEN, surrendered=99), ObligationState.DUE),
        (replace(OPEN, surrendered=100), ObligationState.MET),
        (replace(OPEN, owed=0), ObligationState.MET),
        (replace(LATE, surrendered=100, in_time=100), ObligationState.MET),
        (LATE, ObligationState.SHORT),
        (replace(LATE, surrendered=99, in_time=99), ObligationState.SHORT),
        # One second late is late.
        (replace(LATE, surrendered=100, in_time=99), ObligationState.CURED_LATE),
        (replace(LATE, surrendered=60, in_time=60, deducted=40), ObligationState.AUTO_DEDUCTED),
        (replace(LATE, surrendered=60, in_time=60, deducted=39), ObligationState.SHORT),
        (replace(LATE, surrendered=60, in_time=60, deducted=30, set_off=10), ObligationState.SET_OFF),
        (replace(LATE, has_open_appeal=True), ObligationState.IN_APPEAL),
        (replace(LATE, surrendered=100, has_open_appeal=True), ObligationState.IN_APPEAL),
        (replace(LATE, surrendered=100, in_time=100, has_open_appeal=True), ObligationState.MET),
        (replace(LATE, surrendered=100, in_time=100, is_closed=True), ObligationState.CLOSED),
        (replace(LATE, surrendered=100, is_closed=True), ObligationState.CLOSED),
        # A correction upwards is nobody's delay, but it is owed.
        (replace(LATE, owed=130, surrendered=100, in_time=100), ObligationState.SHORT),
        (replace(LATE, owed=130, surrendered=130, in_time=100), ObligationState.MET),
        (replace(LATE, owed=130, surrendered=100, in_time=100, is_closed=True), ObligationState.SHORT),
    ],
)
def test_the_state_of_an_obligation_follows_from_its_facts(facts: ObligationFacts, state: ObligationState) -> None:
    assert obligation_state(facts) == state


def what_may_happen(facts: ObligationFacts) -> Iterator[ObligationFacts]:
    """Every single event of the year that may follow, in permits of at most two."""
    state, most = obligation_state(facts), 2
    if not facts.is_verified:
        yield replace(facts, is_reported=not facts.is_reported)
        yield from (replace(facts, is_verified=True, owed=owed) for owed in range(most + 1))
    elif not facts.is_open:
        yield replace(facts, is_open=True)
    if not facts.is_past_deadline:
        owed = facts.owed if facts.is_open else 0
        yield replace(facts, is_past_deadline=True, owed_at_deadline=owed, in_time=facts.surrendered)
    if facts.is_open:
        changed = [replace(facts, surrendered=facts.surrendered + more) for more in (-1, 1)]
        changed += [
            replace(facts, owed=owed, owed_at_deadline=min(owed, facts.owed_at_deadline)) for owed in range(most + 1)
        ]
        for one in changed:
            if 0 <= one.surrendered <= most:
                yield replace(one, is_closed=one.is_closed and not one.missing)
    if state is ObligationState.SHORT:
        yield replace(facts, deducted=1)
        yield replace(facts, set_off=1)
    if state in {
        ObligationState.SHORT,
        ObligationState.CURED_LATE,
        ObligationState.AUTO_DEDUCTED,
        ObligationState.SET_OFF,
    }:
        yield replace(facts, has_open_appeal=True)
    if facts.has_open_appeal:
        covered = facts.surrendered + facts.deducted + facts.set_off
        in_time, owed = min(facts.owed_at_deadline, facts.in_time), min(facts.owed, covered)
        yield replace(facts, has_open_appeal=False)
        yield replace(facts, has_open_appeal=False, owed_at_deadline=in_time, owed=owed)
    if facts.is_past_deadline and facts.is_open and not facts.missing:
        yield replace(facts, has_open_appeal=False, is_closed=True)


def test_the_table_of_moves_is_what_a_year_can_do_and_nothing_else() -> None:
    seen, waiting = {DRAFT}, [DRAFT]
    moved: dict[ObligationState, set[ObligationState]] = {state: set() for state in ObligationState}

    while waiting:
        facts = waiting.pop()
        for after in what_may_happen(facts):
            moved[obligation_state(facts)].add(obligation_state(after))
            if after not in seen:
                seen.add(after)
                waiting.append(after)

    assert {state: others - {state} for state, others in moved.items()} == dict(MOVES)


def test_the_state_agrees_with_the_outcome_of_a_deadline() -> None:
    for owed_now, in_time, late in (
        (100, 100, 0),
        (100, 60, 0),
        (100, 60, 40),
        (130, 100, 0),
        (130, 100, 30),
        (0, 0, 0),
    ):
        receipts = [Receipt(in_time, DEADLINE - SECOND), Receipt(late, DEADLINE + SECOND)]
        outcome = obligation_outcome(
            owed_at_deadline=min(100, owed_now),
            owed_now=owed_now,
            receipts=receipts,
            deadline=DEADLINE,
            at=DEADLINE + 2 * SECOND,
        )
        facts = replace(LATE, owed=owed_now, owed_at_deadline=min(100, owed_now), in_time=in_time)

        assert obligation_state(replace(facts, surrendered=in_time + late)).value == outcome.outcome.value


@pytest.mark.parametrize(
    ("named", "tier", "uplift"),
    [
        ({}, 0, 0),
        ({0: "0.3", 2: "0.05"}, 0, "0.3"),
        ({0: "0.3", 2: "0.05"}, 1, "0.3"),
        ({0: "0.3", 2: "0.05"}, 2, "0.05"),
        ({0: "0.3", 2: "0.05"}, 5, "0.05"),
        ({2: "0.05", 5: "0"}, 0, "0.05"),
    ],
)
def test_a_tier_without_a_rule_of_its_own_takes_that_of_the_coarser_one(
    named: dict[int, str], tier: int, uplift: str
) -> None:
    rule = ComplianceRule(tier_uplift={one: Decimal(share) for one, share in named.items()})

    assert Fraction(uplift_of_tier(rule, tier)) == Fraction(uplift)


@pytest.mark.parametrize(
    "rule", [ComplianceRule(), ComplianceRule(tier_uplift={0: Decimal("0.3"), 2: Decimal("0.05"), 5: Decimal(0)})]
)
def test_usual_rules_of_compliance_contradict_nothing(rule: ComplianceRule) -> None:
    assert contradictions(rule) == []


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        (ComplianceRule(estimate_uplift=Decimal("0.9")), ["estimate_uplift_below_one"]),
        (ComplianceRule(capacity_share=Decimal("1.1")), ["capacity_share_out_of_range"]),
        (ComplianceRule(tier_uplift={1: Decimal(-1)}), ["tier_uplift_negative"]),
        (ComplianceRule(tier_uplift={1: Decimal("0.05"), 3: Decimal("0.15")}), ["tier_uplift_falls"]),
        (ComplianceRule(retire_order=("offset",)), ["permits_never_retired"]),
        (ComplianceRule(retire_order=("permit", "permit")), ["retire_order_twice"]),
        (ComplianceRule(appeal_days=-1), ["days_negative"]),
        (
            ComplianceRule(
                estimate_uplift=Decimal(0), capacity_share=Decimal(-1), retire_order=(), shutdown_report_days=-1
            ),
            ["estimate_uplift_below_one", "capacity_share_out_of_range", "permits_never_retired", "days_negative"],
        ),
    ],
)
def test_every_contradiction_is_listed(rule: ComplianceRule, codes: list[str]) -> None:
    assert [one.code for one in contradictions(rule)] == codes
