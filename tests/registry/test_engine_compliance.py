"""The status letter, late cures, sanctions and estimates: what an operator's record says about it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.compliance import (
    Compliance,
    ComplianceRecord,
    Estimate,
    ObligationOutcome,
    Outcome,
    Receipt,
    Status,
    cash_sanction,
    compliance,
    conservative_estimate,
    obligation,
    obligation_outcome,
    provisional_compliance,
    surrendered_by,
)
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
