"""Sanctions: the published rates, permits on top of permits, the dates of the ladder, and which audits deter."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import compliance
from registry.engine.deadlines import end_of_day
from registry.engine.indicators import minimum_audit_rate
from registry.engine.policy import LadderStep, SanctionMode, SanctionRule
from registry.engine.refusals import Refusal
from registry.engine.sanctions import (
    LadderDate,
    Sanction,
    audit_rate_needed,
    cash_sanction,
    contradictions,
    indexed_rate_minor,
    ladder_dates,
    misreport_fine_minor,
    permit_sanction,
    sanction,
    steps_due,
)

BERLIN = ZoneInfo("Europe/Berlin")

GERMANY = SanctionRule(
    rate_minor=Decimal(10_000),
    index={2013: Decimal("1.015"), 2014: Decimal("1.0207"), 2015: Decimal("1.0205")},
    misreport_fine_minor=50_000_000,
)
UK = SanctionRule(rate_minor=Decimal(10_000), index={2021: Decimal(1), 2023: Decimal("1.1732")})
EU_FLAT = SanctionRule(rate_minor=Decimal(10_000))
CALIFORNIA = SanctionRule(
    mode=SanctionMode.PERMITS, multiple=Decimal(4), counts_original=True, min_allowance_share=Decimal("0.75")
)
QUEBEC = SanctionRule(mode=SanctionMode.PERMITS, multiple=Decimal(3), counts_original=False)
RGGI = SanctionRule(mode=SanctionMode.PERMITS, multiple=Decimal(3), counts_original=True)
KOREA = SanctionRule(mode=SanctionMode.PRICE_MULT, multiple=Decimal(3), cap_minor=100_000, make_good=False)
NEW_ZEALAND = SanctionRule(
    mode=SanctionMode.PRICE_MULT,
    multiple=Decimal(3),
    cohort_multiple={"small_forestry": Decimal("0.5"), "smallest_forestry": Decimal("0.25")},
)


@pytest.mark.parametrize(
    ("rule", "year", "short", "cash_minor"),
    [
        # Germany's published rates: 101.50, 102.07 and 102.05 euros [DE].
        (GERMANY, 2013, 1, 10_150),
        (GERMANY, 2014, 1, 10_207),
        (GERMANY, 2015, 1, 10_205),
        (GERMANY, 2014, 333, 3_398_931),
        (GERMANY, 2015, 0, 0),
        # The UK's 100 pounds times an inflation factor [UK-52].
        (UK, 2021, 7, 70_000),
        (UK, 2023, 7, 82_124),
        (EU_FLAT, 2099, 3, 30_000),
        # R8 rounds the product, not the rate: half a cent upwards.
        (replace(EU_FLAT, index={2027: Decimal("1.00005")}), 2027, 1, 10_001),
        (replace(EU_FLAT, index={2027: Decimal("1.00005")}), 2027, 3, 30_002),
        (replace(EU_FLAT, index={2027: Decimal("1.00004")}), 2027, 1, 10_000),
        # Korea: three times the average price, at most 100,000 won; the average is 25,000 won [KR-ACT].
        (KOREA, 2023, 10, 750_000),
        # New Zealand: three times the price of 50 dollars [NZ-3X].
        (NEW_ZEALAND, 2023, 10, 75_000 * 10),
    ],
)
def test_cash_follows_the_published_rates(rule: SanctionRule, year: int, short: int, cash_minor: int) -> None:
    found = sanction(rule, short=short, year=year, average_price_minor=25_000)

    assert isinstance(found, Sanction)
    assert (found.cash_minor, found.permits_owed) == (cash_minor, short if rule.make_good else 0)


@pytest.mark.parametrize(
    ("average", "rate"),
    [(0, 0), (10_000, 30_000), (33_333, 99_999), (33_334, 100_000), (90_000, 100_000)],
)
def test_koreas_multiple_stops_at_its_cap(average: int, rate: int) -> None:
    found = sanction(KOREA, short=1, year=2023, average_price_minor=average)

    assert isinstance(found, Sanction)
    assert (found.rate_minor, found.cash_minor) == (Fraction(rate), rate)


@pytest.mark.parametrize(
    ("cohorts", "cash_minor"),
    [
        ((), 15_000),
        (("large",), 15_000),
        (("small_forestry",), 2_500),
        (("smallest_forestry",), 1_250),
        (("small_forestry", "smallest_forestry"), 1_250),
    ],
)
def test_a_cohort_has_its_own_multiple_of_the_price(cohorts: tuple[str, ...], cash_minor: int) -> None:
    found = sanction(NEW_ZEALAND, short=1, year=2025, average_price_minor=5_000, cohorts=cohorts)

    assert isinstance(found, Sanction)
    assert found.cash_minor == cash_minor


def test_a_cohort_has_its_own_multiple_of_permits() -> None:
    rule = replace(QUEBEC, cohort_multiple={"academic": Decimal(1)})

    assert [permit_sanction(10, rule, cohorts).total for cohorts in ((), ("academic",))] == [40, 20]


@pytest.mark.parametrize(
    ("rule", "short", "total", "extra", "least_allowances"),
    [
        # California: four for one, at least three quarters of them allowances [CA-95857].
        (CALIFORNIA, 100, 400, 300, 300),
        (CALIFORNIA, 1, 4, 3, 3),
        (replace(CALIFORNIA, multiple=Decimal("1.5")), 1, 2, 1, 2),  # 1.5 is rounded half-up, 0.5 offsets down
        (replace(CALIFORNIA, multiple=Decimal("1.4")), 1, 1, 0, 1),
        # Quebec: the missing one and three more [QC-22].
        (QUEBEC, 100, 400, 300, 0),
        (QUEBEC, 1, 4, 3, 0),
        # RGGI: three for each excess ton.
        (RGGI, 100, 300, 200, 0),
        (RGGI, 0, 0, 0, 0),
    ],
)
def test_a_shortfall_costs_permits(
    rule: SanctionRule, short: int, total: int, extra: int, least_allowances: int
) -> None:
    found = permit_sanction(short, rule)

    assert (found.total, found.extra, found.least_allowances) == (total, extra, least_allowances)
    assert sanction(rule, short=short, year=2027) == Sanction(
        SanctionMode.PERMITS, short, Fraction(0), 0, total, least_allowances
    )


@pytest.mark.parametrize(
    ("rule", "cash_minor", "owed", "is_waived"),
    [
        (EU_FLAT, 20_000, 2, False),
        (replace(EU_FLAT, first_time_waiver=True), 0, 2, True),
        (replace(QUEBEC, first_time_waiver=True), 0, 2, True),
        (replace(KOREA, first_time_waiver=True), 0, 2, True),
    ],
)
def test_a_first_shortfall_may_be_let_off_but_stays_owed(
    rule: SanctionRule, cash_minor: int, owed: int, is_waived: bool
) -> None:
    found = sanction(rule, short=2, year=2027, average_price_minor=1, is_first=True)

    assert isinstance(found, Sanction)
    assert (found.cash_minor, found.permits_owed, found.is_waived) == (cash_minor, owed, is_waived)
    assert found.least_allowances == 0


def test_a_second_shortfall_is_not_let_off() -> None:
    found = sanction(replace(EU_FLAT, first_time_waiver=True), short=2, year=2027, is_first=False)

    assert isinstance(found, Sanction)
    assert (found.cash_minor, found.is_waived) == (20_000, False)


def test_nothing_is_computed_from_what_is_not_known() -> None:
    without_index = sanction(GERMANY, short=1, year=2016)
    without_price = sanction(KOREA, short=1, year=2023)

    assert isinstance(without_index, Refusal) and isinstance(without_price, Refusal)
    assert (without_index.code, without_price.code) == ("sanction_index_missing", "reference_price_missing")
    assert "2016" in without_index.sentence


@pytest.mark.parametrize(
    ("understated", "gravity", "fine"),
    [
        (1, 1, 50_000_000),  # Germany, wilful: 500,000 euros
        (1, Decimal("0.1"), 5_000_000),  # negligent: 50,000 euros
        (9, Fraction(1, 3), 16_666_667),
        (1, 0, 0),
        (0, 1, 0),
    ],
)
def test_a_false_report_is_fined_apart_from_the_difference(
    understated: int, gravity: int | Decimal | Fraction, fine: int
) -> None:
    assert misreport_fine_minor(GERMANY, understated=understated, gravity=gravity) == fine


PRODUCT_LADDER = (
    LadderStep("BLOCK_TRANSFERS", business_days=0),
    LadderStep("AUTO_DEDUCT", business_days=5),
    LadderStep("CASH", days=30),
    LadderStep("SET_OFF", on=(2, "01-31")),
)


def ends(text: str) -> datetime:
    return end_of_day(date.fromisoformat(text), BERLIN)


@pytest.mark.parametrize(
    ("last_day", "moves", "dates"),
    [
        # 2 October 2028 is a Monday, 1 November 2028 a Wednesday, 31 January 2029 a Wednesday.
        ("2028-10-02", True, ["2028-10-02", "2028-10-10", "2028-11-02", "2029-01-31"]),
        ("2028-10-02", False, ["2028-10-02", "2028-10-10", "2028-11-01", "2029-01-31"]),
        # 29 September 2028 is a Friday; thirty days later is a Sunday, after the clocks went back.
        ("2028-09-29", True, ["2028-09-29", "2028-10-09", "2028-10-30", "2029-01-31"]),
        ("2028-09-29", False, ["2028-09-29", "2028-10-09", "2028-10-29", "2029-01-31"]),
    ],
)
def test_the_ladder_is_dated_from_the_surrender_deadline(last_day: str, moves: bool, dates: list[str]) -> None:
    holidays = {date(2028, 10, 3), date(2028, 11, 1)}
    rule = replace(EU_FLAT, ladder=PRODUCT_LADDER)

    found = ladder_dates(rule, year=2027, deadline=ends(last_day), zone=BERLIN, holidays=holidays, moves=moves)

    assert found == tuple(LadderDate(step.action, ends(day)) for step, day in zip(PRODUCT_LADDER, dates, strict=True))


def test_a_deadline_that_an_outage_moved_takes_its_ladder_along() -> None:
    moved = ends("2028-10-02") + timedelta(hours=3)
    rule = replace(EU_FLAT, ladder=(LadderStep("BLOCK_TRANSFERS", days=0), LadderStep("AUTO_DEDUCT", business_days=1)))

    found = ladder_dates(rule, year=2027, deadline=moved, zone=BERLIN)

    assert [step.at for step in found] == [moved, ends("2028-10-04")]


def test_no_step_comes_before_the_deadline() -> None:
    rule = replace(EU_FLAT, ladder=(LadderStep("SUSPEND_FREE", on=(1, "01-01")),))

    found = ladder_dates(rule, year=2027, deadline=ends("2028-10-02"), zone=BERLIN)

    assert found == (LadderDate("SUSPEND_FREE", ends("2028-10-02")),)


def test_steps_are_due_from_their_instant_on() -> None:
    ladder = (LadderDate("CASH", ends("2028-11-01")), LadderDate("BLOCK_TRANSFERS", ends("2028-10-02")))

    before, first, both = (
        steps_due(ladder, ends(day) - timedelta(seconds=early))
        for day, early in (("2028-10-02", 1), ("2028-10-02", 0), ("2028-11-01", 0))
    )

    assert (before, first, both) == ((), ("BLOCK_TRANSFERS",), ("BLOCK_TRANSFERS", "CASH"))


@pytest.mark.parametrize(
    ("rule", "price_minor", "share", "percent"),
    [
        (CALIFORNIA, 3_000, Fraction(1, 4), 25),
        (QUEBEC, 3_000, Fraction(1, 4), 25),
        (RGGI, 2_000, Fraction(1, 3), 33),
        (EU_FLAT, 7_500, Fraction(3, 7), 43),
        (NEW_ZEALAND, 5_000, Fraction(1, 4), 25),
        (KOREA, 25_000, Fraction(1, 3), 33),
        (KOREA, 50_000, Fraction(1, 2), 50),  # at its cap
    ],
)
def test_the_audit_rate_that_deters(rule: SanctionRule, price_minor: int, share: Fraction, percent: int) -> None:
    found = audit_rate_needed(rule, price_minor=price_minor, year=2027)

    assert isinstance(found, Fraction)
    assert found == share
    assert round(found * 100) == percent


def test_a_rule_that_costs_nothing_deters_nobody() -> None:
    found = audit_rate_needed(SanctionRule(make_good=False), price_minor=1, year=2027)

    assert isinstance(found, Refusal) and found.code == "nothing_deters"


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 100), st.integers(0, 100))
def test_the_truth_pays_exactly_from_the_minimum_rate_on(price: int, cash: int, tenths: int, percent: int) -> None:
    permits, audited = Fraction(tenths, 10), Fraction(percent, 100)

    least = minimum_audit_rate(price=price, fine=cash, permits_owed=permits)
    saved, risked = price, audited * (cash + permits * price)

    assert isinstance(least, Fraction)
    assert (risked >= saved) is (audited >= least)


rules_in_permits = st.builds(
    SanctionRule,
    mode=st.just(SanctionMode.PERMITS),
    multiple=st.decimals("1", "10", places=2),
    counts_original=st.booleans(),
    min_allowance_share=st.decimals("0", "1", places=2),
)


@given(rules_in_permits, st.integers(0, 10**9), st.integers(0, 10**6))
def test_a_larger_shortfall_never_costs_fewer_permits(rule: SanctionRule, short: int, more: int) -> None:
    found, larger = permit_sanction(short, rule), permit_sanction(short + more, rule)

    assert short <= found.total <= larger.total
    assert found.least_allowances >= found.total * Fraction(rule.min_allowance_share)
    assert 0 <= found.most_offsets <= found.total


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.decimals("0", "100000", places=4))
def test_splitting_a_shortfall_saves_at_most_the_rounding(one: int, other: int, rate: Decimal) -> None:
    together = cash_sanction(one + other, rate).cash_minor
    apart = cash_sanction(one, rate).cash_minor + cash_sanction(other, rate).cash_minor

    assert abs(together - apart) <= 1


def test_the_cash_sanction_is_the_same_from_both_of_its_homes() -> None:
    assert compliance.cash_sanction is cash_sanction
    assert compliance.cash_sanction(40, Decimal("10206.5")).cash_minor == 408_260


def test_a_rate_without_an_index_is_the_same_every_year() -> None:
    assert indexed_rate_minor(EU_FLAT, 1999) == indexed_rate_minor(EU_FLAT, 2099) == 10_000


EDGE = SanctionRule(mode=SanctionMode.PERMITS, multiple=Decimal(1), min_allowance_share=Decimal(1))


@pytest.mark.parametrize("rule", [SanctionRule(), GERMANY, UK, CALIFORNIA, QUEBEC, RGGI, KOREA, NEW_ZEALAND, EDGE])
def test_the_rules_of_real_schemes_contradict_nothing(rule: SanctionRule) -> None:
    assert contradictions(replace(rule, ladder=PRODUCT_LADDER)) == []


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        (replace(EU_FLAT, rate_minor=Decimal(-1)), ["sanction_negative"]),
        (SanctionRule(make_good=False), ["sanction_costs_nothing"]),
        (replace(RGGI, rate_minor=Decimal(1)), ["sanction_rate_unused"]),
        (replace(RGGI, cap_minor=5), ["price_cap_unused"]),
        (replace(EU_FLAT, cohort_multiple={"small": Decimal(1)}), ["cohort_multiple_unused"]),
        (replace(RGGI, cohort_multiple={"small": Decimal("0.5")}), ["sanction_below_shortfall"]),
        (replace(EU_FLAT, index={2027: Decimal(0)}), ["sanction_index_not_positive"]),
        (replace(NEW_ZEALAND, cohort_multiple={"small": Decimal(-1)}), ["cohort_multiple_negative"]),
        (replace(KOREA, multiple=Decimal(0)), ["sanction_multiple_not_positive"]),
        (replace(RGGI, multiple=Decimal("0.5")), ["sanction_below_shortfall"]),
        (replace(QUEBEC, make_good=False), ["sanction_in_permits_makes_good"]),
        (replace(CALIFORNIA, min_allowance_share=Decimal("1.1")), ["allowance_share_out_of_range"]),
        (replace(EU_FLAT, min_allowance_share=Decimal("0.1")), ["allowance_share_unused"]),
        (replace(EU_FLAT, ladder=(LadderStep("FLOG", days=1),)), ["ladder_action_unknown"]),
        (replace(EU_FLAT, ladder=(LadderStep("CASH"),)), ["ladder_date_not_one"]),
        (replace(EU_FLAT, ladder=(LadderStep("CASH", days=1, business_days=1),)), ["ladder_date_not_one"]),
        (replace(EU_FLAT, ladder=(LadderStep("CASH", days=-1),)), ["ladder_before_deadline"]),
        (replace(EU_FLAT, ladder=(LadderStep("CASH", on=(2, "02-30")),)), ["ladder_day_unknown"]),
        (replace(EU_FLAT, ladder=(LadderStep("CASH", days=1), LadderStep("CASH", days=2))), ["ladder_action_twice"]),
        (
            SanctionRule(
                mode=SanctionMode.PERMITS,
                rate_minor=Decimal(5),
                multiple=Decimal("0.5"),
                make_good=False,
                misreport_fine_minor=-1,
                min_allowance_share=Decimal(2),
                ladder=(LadderStep("FLOG", days=-1, on=(1, "x")),),
            ),
            [
                "sanction_negative",
                "sanction_rate_unused",
                "sanction_below_shortfall",
                "sanction_in_permits_makes_good",
                "allowance_share_out_of_range",
                "ladder_action_unknown",
                "ladder_date_not_one",
                "ladder_before_deadline",
                "ladder_day_unknown",
            ],
        ),
    ],
)
def test_every_contradiction_is_listed(rule: SanctionRule, codes: list[str]) -> None:
    assert [one.code for one in contradictions(rule)] == codes


def test_instants_are_told_in_utc() -> None:
    (step,) = ladder_dates(
        replace(EU_FLAT, ladder=(LadderStep("CASH", days=1),)), year=2027, deadline=ends("2028-10-02"), zone=BERLIN
    )

    assert step.at.tzinfo is UTC
