"""Caps against the published paths of the EU, California and RGGI, and against what must hold for every rule."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import cap
from registry.engine.policy import CapRule, CapType, LinearFormula, OneOff
from registry.engine.refusals import Refusal

EU_REFERENCE = 1_954_705_227
"""The fixed reference behind the EU cap: 43,003,515 / 2.2 %, see the first test below."""

EU = CapRule(
    start_year=2021,
    start=1_571_583_007,
    reference=EU_REFERENCE,
    reduction={2022: Decimal("0.022"), 2024: Decimal("0.043"), 2028: Decimal("0.044")},
    one_off=(
        OneOff(2024, -90_000_000, "Directive (EU) 2023/959"),
        OneOff(2026, -27_000_000, "Directive (EU) 2023/959"),
    ),
    scope_change=(OneOff(2024, 78_400_000, "Shipping joins"),),
)

CALIFORNIA_BUDGETS = {  # 17 CCR 95841, permits
    2021: 320_800_000,
    2022: 307_500_000,
    2023: 294_100_000,
    2024: 280_700_000,
    2025: 267_400_000,
    2026: 254_000_000,
    2027: 240_600_000,
    2028: 227_300_000,
    2029: 213_900_000,
    2030: 200_500_000,
    2031: 193_800_000,
}

CALIFORNIA = CapRule(table=CALIFORNIA_BUDGETS, formula=LinearFormula(a=193_800_000, b=6_700_000, base_year=2031))


def years(rule: CapRule, first: int, last: int, **more: Any) -> tuple[cap.CapYear, ...]:
    """Return the path of a rule that has one."""
    path = cap.cap_path(rule, first, last, **more)
    assert not cap.is_refused(path), path
    return tuple(step for step in path if isinstance(step, cap.CapYear))


def permits(rule: CapRule, first: int, last: int, **more: Any) -> list[int]:
    return [step.permits for step in years(rule, first, last, **more)]


def codes(refusals: Sequence[object]) -> list[str]:
    assert all(isinstance(refusal, Refusal) for refusal in refusals), refusals
    return [refusal.code for refusal in refusals if isinstance(refusal, Refusal)]


def series(answer: tuple[OneOff, ...] | Refusal) -> tuple[OneOff, ...]:
    assert not isinstance(answer, Refusal), answer
    return answer


# ── the EU: a yearly reduction of a fixed reference ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reference", "reduction"),
    [
        (1_954_705_204, 43_003_514),
        (1_954_705_205, 43_003_515),  # the lowest reference that gives the published figure, (43,003,514.5) / 0.022
        (EU_REFERENCE, 43_003_515),  # 43,003,515 / 0.022 = 1,954,705,227.27
        (1_954_705_249, 43_003_515),  # and the highest
        (1_954_705_250, 43_003_516),
    ],
)
def test_the_published_yearly_reduction_gives_the_fixed_reference_away(reference: int, reduction: int) -> None:
    assert cap.yearly_reduction(Decimal("0.022"), reference) == reduction


def test_the_eu_cap_falls_by_the_same_number_of_permits_every_year() -> None:
    path = years(EU, 2021, 2023)

    assert [step.permits for step in path] == [1_571_583_007, 1_528_579_492, 1_485_575_977]
    assert [step.reduction for step in path] == [0, 43_003_515, 43_003_515]
    assert [step.source for step in path] == [cap.Base.START, cap.Base.REDUCTION, cap.Base.REDUCTION]


@pytest.mark.parametrize(
    ("year", "before", "reduction", "one_offs", "scope_changes", "expected"),
    [
        # 4.3 % of 1,954,705,227 = 84,052,324.761; 4.4 % = 86,007,029.988
        (2024, 1_485_575_977, 84_052_325, -90_000_000, 78_400_000, 1_389_923_652),
        (2025, 1_389_923_652, 84_052_325, 0, 0, 1_305_871_327),
        (2026, 1_305_871_327, 84_052_325, -27_000_000, 0, 1_194_819_002),
        (2027, 1_194_819_002, 84_052_325, 0, 0, 1_110_766_677),
        (2028, 1_110_766_677, 86_007_030, 0, 0, 1_024_759_647),
        (2029, 1_024_759_647, 86_007_030, 0, 0, 938_752_617),
        (2030, 938_752_617, 86_007_030, 0, 0, 852_745_587),
    ],
)
def test_the_eu_cap_of_a_year_shows_every_step(
    year: int, before: int, reduction: int, one_offs: int, scope_changes: int, expected: int
) -> None:
    (step,) = years(EU, year, year)

    assert (step.base, step.reduction, step.one_offs, step.scope_changes) == (
        before,
        reduction,
        one_offs,
        scope_changes,
    )
    assert step.permits == expected
    assert step.permits == before - reduction + one_offs + scope_changes


def test_a_wider_scope_widens_the_reference_in_the_very_year_it_begins() -> None:
    shipping = OneOff(2024, 78_400_000, "Shipping joins", reference=90_000_000)
    rule = replace(EU, scope_change=(shipping,))

    before, after = years(rule, 2023, 2024)

    assert (before.reference, after.reference) == (1_954_705_227, 2_044_705_227)
    assert after.reduction == 87_922_325  # 4.3 % x 2,044,705,227 = 87,922,324.761
    assert after.permits == 1_485_575_977 - 90_000_000 + 78_400_000 - 87_922_325


def test_a_path_may_begin_in_any_year_and_gives_the_same_caps() -> None:
    assert permits(EU, 2021, 2030)[5:] == permits(EU, 2026, 2030)


def test_the_eu_cap_reaches_nought_and_stays_there() -> None:
    path = years(EU, 2038, 2045)

    assert [step.permits for step in path][-4:] == [0, 0, 0, 0]
    assert path[-1].unmet == 86_007_030
    assert all(step.permits >= 0 for step in path)


def test_a_year_before_any_rate_has_come_keeps_the_cap_of_the_year_before() -> None:
    rule = CapRule(start_year=2026, start=1_000, reference=1_000, reduction={2028: Decimal("0.1")})

    assert permits(rule, 2026, 2029) == [1_000, 1_000, 900, 800]


def test_a_reduction_rounds_half_up_and_once() -> None:
    rule = CapRule(start_year=2026, start=1_000, reference=25, reduction={2027: Decimal("0.1")})

    assert permits(rule, 2026, 2029) == [1_000, 997, 994, 991]


def test_a_reduction_can_follow_a_table() -> None:
    rule = CapRule(table={2026: 1_000, 2027: 900}, reference=1_000, reduction={2028: Decimal("0.05")})

    assert permits(rule, 2026, 2029) == [1_000, 900, 850, 800]


# ── California: a table, a formula, offsets under the cap ────────────────────────────────────────────────────────────


def test_the_california_budgets_are_the_table_as_it_stands() -> None:
    path = years(CALIFORNIA, 2021, 2031)

    assert {step.year: step.permits for step in path} == CALIFORNIA_BUDGETS
    assert {step.source for step in path} == {cap.Base.TABLE}


@pytest.mark.parametrize(
    ("year", "n", "expected"),
    [
        (2032, 1, 187_100_000),
        (2035, 4, 167_000_000),
        (2045, 14, 100_000_000),
        (2059, 28, 6_200_000),
        (2060, 29, 0),
        (2099, 68, 0),
    ],
)
def test_after_2031_the_california_budget_is_193_8_less_6_7_n_million(year: int, n: int, expected: int) -> None:
    (step,) = years(CALIFORNIA, year, year)

    assert step.permits == expected == max(0, 193_800_000 - 6_700_000 * n)
    assert step.source is cap.Base.FORMULA


@pytest.mark.parametrize(
    ("year", "factor"),
    [
        (2021, "0.817"),  # both follow from the budgets over 392.7 million
        (2030, "0.511"),
        (2022, "0.783"),  # 307.5 / 392.7 = 0.78304
        (2026, "0.647"),  # 254.0 / 392.7 = 0.64680
    ],
)
def test_the_california_cap_factor_follows_the_budget(year: int, factor: str) -> None:
    assert cap.cap_factor(CALIFORNIA_BUDGETS[year], 392_700_000) == Decimal(factor)


@pytest.mark.parametrize(("part", "whole", "factor"), [(1, 2_000, "0.001"), (1, 2_001, "0.000"), (3, 2, "1.500")])
def test_a_cap_factor_rounds_half_up_to_three_decimals(part: int, whole: int, factor: str) -> None:
    assert str(cap.cap_factor(part, whole)) == factor


@pytest.mark.parametrize(("part", "whole"), [(1, 0), (-1, 5)])
def test_a_cap_factor_needs_a_reference(part: int, whole: int) -> None:
    assert codes([cap.cap_factor(part, whole)]) == ["no_reference_cap"]


def test_offsets_used_come_out_of_the_next_budget_and_of_no_later_one() -> None:
    rule = replace(CALIFORNIA, offsets_under_cap=True)

    path = years(rule, 2026, 2028, offsets_used={2025: 9_000_000, 2026: 12_345_678})

    assert [step.permits for step in path] == [245_000_000, 228_254_322, 227_300_000]
    assert [step.offsets for step in path] == [9_000_000, 12_345_678, 0]


def test_offsets_do_not_lower_the_years_that_count_down_from_a_cap() -> None:
    rule = CapRule(
        start_year=2026, start=1_000, reference=1_000, reduction={2027: Decimal("0.1")}, offsets_under_cap=True
    )

    assert permits(rule, 2026, 2028, offsets_used={2026: 50}) == [1_000, 850, 800]


def test_offsets_do_not_count_where_the_rule_does_not_say_so() -> None:
    assert permits(CALIFORNIA, 2026, 2026, offsets_used={2025: 9_000_000}) == [254_000_000]


def test_offsets_above_the_cap_leave_nought_and_say_what_was_not_met() -> None:
    rule = CapRule(table={2026: 100}, offsets_under_cap=True)

    (step,) = years(rule, 2026, 2026, offsets_used={2025: 130})

    assert (step.permits, step.offsets, step.unmet) == (0, 100, 30)


def test_california_s_proposed_removal_sums_exactly_over_the_four_budgets() -> None:
    budgets = {year: CALIFORNIA_BUDGETS[year] for year in range(2027, 2031)}

    changes = series(cap.cap_reset(budgets, removed=118_300_000, reason="2026 proposal"))

    assert sum(change.permits for change in changes) == -118_300_000
    after = permits(replace(CALIFORNIA, one_off=changes), 2027, 2031)
    assert sum(after[:4]) == sum(budgets.values()) - 118_300_000
    assert after[4] == 193_800_000  # a one-off of a table year stays in its year
    # 118,300,000 x 240.6 / 882.3 = 32,259,979.60, then 30,476,697.27, 28,680,006.80 and 26,883,316.33: the two permits
    # that the floors leave go to the third and the first
    assert [-change.permits for change in changes] == [32_259_980, 30_476_697, 28_680_007, 26_883_316]


def test_a_reset_by_a_share_takes_that_share_of_the_sum() -> None:
    changes = series(cap.cap_reset({2024: 101, 2025: 100, 2026: 98}, cut=Decimal("0.30"), reason="UK 2024"))

    assert sum(change.permits for change in changes) == -89  # floor(0.30 x 299) = floor(89.7)


def test_a_reset_may_take_nothing_or_everything() -> None:
    caps = {2026: 10, 2027: 7}

    assert cap.cap_reset(caps, cut=Decimal(0), reason="x") == ()
    assert cap.cap_reset(caps, cut=Decimal(1), reason="x") == (OneOff(2026, -10, "x"), OneOff(2027, -7, "x"))


@pytest.mark.parametrize(
    ("caps", "more", "code"),
    [
        ({2026: 10}, {}, "removal_or_cut"),
        ({2026: 10}, {"removed": 1, "cut": Decimal("0.1")}, "removal_or_cut"),
        ({2026: 10}, {"removed": 11}, "removal_above_caps"),
        ({2026: 10}, {"removed": -1}, "removal_above_caps"),
        ({2026: 10}, {"cut": Decimal("1.1")}, "cut_out_of_range"),
        ({2026: 10, 2027: -1}, {"removed": 0}, "negative_cap"),
    ],
)
def test_an_impossible_reset_is_refused(caps: dict[int, int], more: dict[str, Any], code: str) -> None:
    assert codes([cap.cap_reset(caps, reason="x", **more)]) == [code]


# ── RGGI: the bank comes out of the budgets ──────────────────────────────────────────────────────────────────────────


def test_rggi_took_139_5_million_out_of_seven_budgets() -> None:
    changes = series(cap.bank_adjustment(bank=139_500_000, use=0, years=range(2014, 2021)))

    assert [change.year for change in changes] == list(range(2014, 2021))
    assert sum(change.permits for change in changes) == -139_500_000
    assert [change.permits for change in changes] == [-19_928_572] * 3 + [-19_928_571] * 4  # 7 x 19,928,571 + 3


def test_only_the_bank_above_the_use_comes_out() -> None:
    changes = series(cap.bank_adjustment(bank=1_007, use=1_000, years=[2023, 2021, 2022, 2025, 2024], reason="Third"))

    assert [(change.year, change.permits) for change in changes] == [
        (2021, -2),
        (2022, -2),
        (2023, -1),
        (2024, -1),
        (2025, -1),
    ]
    assert {change.reason for change in changes} == {"Third"}


def test_a_bank_below_the_use_changes_nothing() -> None:
    assert cap.bank_adjustment(bank=999, use=1_000, years=range(2021, 2026)) == ()


def test_fewer_permits_than_years_leave_the_last_years_alone() -> None:
    assert cap.spread(2, [2021, 2022, 2023], "x") == (OneOff(2021, -1, "x"), OneOff(2022, -1, "x"))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (cap.spread(-1, [2021], "x"), "negative_removal"),
        (cap.spread(5, [], "x"), "no_years"),
        (cap.spread(5, [2021, 2021], "x"), "year_twice"),
    ],
)
def test_an_impossible_spread_is_refused(answer: object, code: str) -> None:
    assert codes([answer]) == [code]


def test_a_removal_from_single_years_can_be_written_for_a_yearly_reduction() -> None:
    removal = series(cap.bank_adjustment(bank=25, use=0, years=[2027, 2028]))
    plain = CapRule(start_year=2026, start=1_000, reference=1_000, reduction={2027: Decimal("0.1")})

    passing = replace(plain, one_off=cap.for_one_year_each(removal))

    assert permits(plain, 2026, 2030) == [1_000, 900, 800, 700, 600]
    assert permits(passing, 2026, 2030) == [1_000, 887, 788, 700, 600]


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 30))
def test_a_bank_adjustment_sums_to_the_surplus_in_nearly_equal_parts(bank: int, use: int, n: int) -> None:
    removed = [-change.permits for change in series(cap.bank_adjustment(bank, use, range(2026, 2026 + n)))]

    assert sum(removed) == max(0, bank - use)
    assert removed == sorted(removed, reverse=True)
    assert not removed or max(removed) - (min(removed) if len(removed) == n else 0) <= 1


@given(st.dictionaries(st.integers(2020, 2060), st.integers(0, 10**9), min_size=1, max_size=12), st.data())
def test_a_reset_sums_exactly_and_takes_no_year_below_nought(caps: dict[int, int], data: st.DataObject) -> None:
    removed = data.draw(st.integers(0, sum(caps.values())))

    changes = series(cap.cap_reset(caps, removed=removed, reason="x"))

    assert -sum(change.permits for change in changes) == removed
    assert all(0 < -change.permits <= caps[change.year] for change in changes)


# ── an intensity cap, the lock and the sum of a period ───────────────────────────────────────────────────────────────


def test_an_intensity_cap_is_the_sum_of_what_was_given_and_says_that_it_caps_nothing() -> None:
    total = cap.intensity_cap(2026, {"acme": 700, "borealis": 301, "cobalt": 0})

    assert isinstance(total, cap.IntensityCap)
    assert (total.year, total.permits, total.is_aggregate_capped) == (2026, 1_001, False)
    assert total.notice.startswith("The aggregate is not capped")


def test_an_intensity_cap_refuses_a_negative_allocation_by_name() -> None:
    refusal = cap.intensity_cap(2026, {"acme": 700, "borealis": -1})

    assert isinstance(refusal, Refusal)
    assert refusal.code == "negative_allocation"
    assert "borealis" in refusal.sentence


def test_an_intensity_scheme_has_no_path_ahead() -> None:
    assert codes(cap.cap_path(CapRule(type=CapType.INTENSITY), 2026, 2030)) == ["cap_follows_from_allocations"]


def test_a_lock_of_five_years_settles_the_running_year_and_five_more() -> None:
    assert list(cap.locked_years(replace(CALIFORNIA, lock_years=5), 2024)) == [2024, 2025, 2026, 2027, 2028, 2029]
    assert list(cap.locked_years(replace(CALIFORNIA, lock_years=0), 2024)) == []


def test_changes_inside_the_lock_are_found_and_those_beyond_are_free() -> None:
    present = replace(CALIFORNIA, lock_years=2)
    table = {**CALIFORNIA_BUDGETS, 2025: 267_000_000, 2027: 1}
    proposed = replace(present, table=table, lock_years=0)  # dropping the lock does not open it

    changes = cap.changes_inside_lock(present, proposed, 2024)

    assert changes == (cap.CapChange(2025, 267_400_000, 267_000_000),)


def test_an_early_change_is_found_in_every_locked_year_that_it_moves() -> None:
    present = replace(EU, lock_years=3)
    proposed = replace(present, one_off=(*EU.one_off, OneOff(2023, -5, "Correction")))

    changes = cap.changes_inside_lock(present, proposed, 2025)

    assert [(change.year, (change.after or 0) - (change.before or 0)) for change in changes] == [
        (year, -5) for year in range(2025, 2029)
    ]


def test_a_rule_written_in_other_words_changes_nothing_inside_the_lock() -> None:
    present = replace(EU, lock_years=5)
    proposed = CapRule(table=cap.caps_by_year(cap.cap_path(EU, 2021, 2035)), lock_years=5)

    assert cap.changes_inside_lock(present, proposed, 2025) == ()


def test_giving_up_the_cap_altogether_is_a_change_of_every_locked_year() -> None:
    present = replace(CALIFORNIA, lock_years=1)

    changes = cap.changes_inside_lock(present, CapRule(type=CapType.INTENSITY), 2024)

    assert changes == (cap.CapChange(2024, 280_700_000, None), cap.CapChange(2025, 267_400_000, None))


def test_the_yearly_caps_of_a_period_sum_to_its_cap() -> None:
    first_period = years(CALIFORNIA, 2021, 2023)  # 320.8 + 307.5 + 294.1

    assert cap.period_sum_check(first_period, 922_400_000) is None


def test_a_sum_that_differs_names_the_difference() -> None:
    # Korea's third phase: 589.3 and then 567.1 million a year inside 3,048.3 million; the rest are its reserves.
    korea = CapRule(table={year: 589_300_000 if year < 2024 else 567_100_000 for year in range(2021, 2026)})

    refusal = cap.period_sum_check(years(korea, 2021, 2025), 3_048_300_000)

    assert refusal is not None
    assert refusal.code == "period_sum_differs"
    assert "2902100000 permits, 146200000 below" in refusal.sentence


# ── what a rule cannot mean ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "last", "rule", "expected"),
    [
        (2027, 2026, CALIFORNIA, ["years_out_of_order"]),
        (2019, 2021, CALIFORNIA, ["year_without_cap", "year_without_cap"]),
        (2031, 2033, CapRule(table={2031: 5}), ["year_without_cap", "year_without_cap"]),
        (2026, 2026, CapRule(), ["no_cap"]),
        (2031, 2032, CapRule(formula=LinearFormula(9, 1, 2031)), ["year_without_cap"]),  # it rules after 2031
    ],
)
def test_a_path_that_cannot_be_given_is_refused_year_by_year(
    first: int, last: int, rule: CapRule, expected: list[str]
) -> None:
    assert codes(cap.cap_path(rule, first, last)) == expected


def test_negative_offsets_are_refused() -> None:
    rule = replace(CALIFORNIA, offsets_under_cap=True)

    assert codes(cap.cap_path(rule, 2026, 2026, offsets_used={2025: -1})) == ["negative_offsets"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (EU, []),
        (CALIFORNIA, []),
        (CapRule(type=CapType.INTENSITY), []),
        (CapRule(), ["no_cap"]),
        (CapRule(table={2026: -1}), ["negative_cap"]),
        (CapRule(table={2026: 9, 2029: 8}), ["gap_in_table", "gap_in_table"]),
        (CapRule(table={2026: 9}, formula=LinearFormula(9, 1, 2028)), ["gap_in_table", "gap_in_table"]),
        (CapRule(start=5), ["half_a_start"]),
        (CapRule(start=-5, start_year=2026), ["negative_start"]),
        (CapRule(start=5, start_year=2026, table={2026: 6}), ["start_and_table_differ"]),
        (CapRule(start=5, start_year=2026, table={2026: 5}), []),
        (CapRule(start=5, start_year=2026, reference=5, reduction={2027: Decimal("1.01")}), ["rate_out_of_range"]),
        (CapRule(start=5, start_year=2026, reference=5, reduction={2027: Decimal("-0.01")}), ["rate_out_of_range"]),
        (CapRule(start=5, start_year=2026, reduction={2027: Decimal("0.02")}), ["no_reference"]),
        (CapRule(start=5, start_year=2026, reference=0), ["reference_not_positive"]),
        (
            CapRule(formula=LinearFormula(9, 1, 2031), reference=5, reduction={2027: Decimal(0)}),
            ["reduction_from_nowhere"],
        ),
        (
            CapRule(table={2031: 9}, formula=LinearFormula(9, 1, 2031), reference=5, reduction={2040: Decimal("0.1")}),
            ["reduction_never_used"],
        ),
        (CapRule(formula=LinearFormula(9, 1, 2031), start=5, start_year=2040), ["start_never_used"]),
        (CapRule(formula=LinearFormula(9, 1, 2031), start=5, start_year=2031), []),
        (CapRule(table={2031: 9}, formula=LinearFormula(9, 1, 2031), reference=5, reduction={2031: Decimal(1)}), []),
        (CapRule(table={2026: 9, 2030: 8}, formula=LinearFormula(9, 1, 2027)), ["gap_in_table"]),
        (CapRule(formula=LinearFormula(9, 1, 2026), one_off=(OneOff(2027, -1, "x"),)), []),
        (CapRule(formula=LinearFormula(9, 1, 2026), one_off=(OneOff(2026, -1, "x"),)), ["change_before_first_cap"]),
        (CapRule(formula=LinearFormula(-9, 1, 2031)), ["negative_formula"]),
        (CapRule(table={2026: 9}, one_off=(OneOff(2026, -1, " "),)), ["change_without_reason"]),
        (CapRule(table={2026: 9}, one_off=(OneOff(2025, -1, "x"),)), ["change_before_first_cap"]),
        (CapRule(table={2026: 9}, one_off=(OneOff(2026, -1, "x", reference=3),)), ["reference_by_one_off"]),
        (CapRule(table={2026: 9}, one_off=(OneOff(2026, -1, "x"),) * 2), ["change_twice"]),
        (
            CapRule(start=5, start_year=2026, reference=5, scope_change=(OneOff(2027, -1, "x", reference=-6),)),
            ["reference_below_zero"],
        ),
        (CapRule(table={2026: 9}, lock_years=-1), ["negative_lock"]),
        (
            CapRule(type=CapType.INTENSITY, table={2026: 1}, offsets_under_cap=True, lock_years=-1),
            ["intensity_with_figures", "intensity_with_figures", "negative_lock"],
        ),
        (  # everything at once: each contradiction is named
            CapRule(
                table={2026: -9},
                start=-1,
                reference=-1,
                reduction={2027: Decimal(2)},
                one_off=(OneOff(2020, 1, ""),),
                formula=LinearFormula(-1, 1, 2026),
                lock_years=-1,
            ),
            [
                "negative_cap",
                "half_a_start",
                "negative_start",
                "rate_out_of_range",
                "reference_not_positive",
                "reduction_never_used",
                "change_without_reason",
                "change_before_first_cap",
                "negative_formula",
                "negative_lock",
            ],
        ),
    ],
)
def test_every_contradiction_of_a_cap_rule_is_listed(rule: CapRule, expected: list[str]) -> None:
    assert codes(cap.contradictions(rule)) == expected


# ── properties, and the obvious twin ─────────────────────────────────────────────────────────────────────────────────

FIRST, LAST = 2026, 2045


@st.composite
def rules(draw: st.DrawFn) -> CapRule:
    """Draw a rule without contradictions, with any of the levers."""
    amounts = st.integers(-(10**7), 10**7)
    changes = st.dictionaries(st.integers(FIRST, LAST), amounts, max_size=4)
    return CapRule(
        start_year=FIRST,
        start=draw(st.integers(0, 10**8)),
        reference=draw(st.integers(1, 10**8)),
        reduction=draw(
            st.dictionaries(st.integers(FIRST, LAST), st.decimals(0, 1, places=3, allow_nan=False), max_size=4)
        ),
        table=draw(st.dictionaries(st.integers(FIRST + 1, LAST), st.integers(0, 10**8), max_size=4)),
        one_off=tuple(OneOff(year, amount, "one-off") for year, amount in draw(changes).items()),
        scope_change=tuple(
            OneOff(year, amount, "scope", reference=draw(st.integers(0, 10**6)))
            for year, amount in draw(changes).items()
        ),
        offsets_under_cap=draw(st.booleans()),
    )


used = st.dictionaries(st.integers(FIRST - 1, LAST), st.integers(0, 10**8), max_size=6)


def obvious_caps(rule: CapRule, offsets_used: dict[int, int]) -> list[int]:
    """Work out the caps year by year as one would on paper."""
    assert rule.start is not None
    caps, level = [], rule.start
    for year in range(FIRST, LAST + 1):
        if year in rule.table:
            level = rule.table[year]
        elif year > FIRST:
            rate = Fraction(0)
            for since, value in sorted(rule.reduction.items()):
                if since <= year:
                    rate = Fraction(value)
            reference = rule.reference or 0
            for change in rule.scope_change:
                if change.year <= year:
                    reference += change.reference
            exact = rate * reference
            whole = int(exact)
            level -= whole + (1 if exact - whole >= Fraction(1, 2) else 0)
        for change in rule.one_off + rule.scope_change:
            if change.year == year:
                level += change.permits
        if level < 0:
            level = 0
        caps.append(max(0, level - (offsets_used.get(year - 1, 0) if rule.offsets_under_cap else 0)))
    return caps


@given(rules(), used)
def test_a_path_equals_the_one_worked_out_on_paper(rule: CapRule, offsets_used: dict[int, int]) -> None:
    assert permits(rule, FIRST, LAST, offsets_used=offsets_used) == obvious_caps(rule, offsets_used)


@given(rules(), used)
def test_no_cap_is_negative_and_every_step_adds_up(rule: CapRule, offsets_used: dict[int, int]) -> None:
    for step in years(rule, FIRST, LAST, offsets_used=offsets_used):
        wanted = step.base - step.reduction + step.one_offs + step.scope_changes

        assert step.permits >= 0
        assert step.offsets >= 0
        assert step.unmet >= 0
        assert step.permits + step.offsets == max(0, wanted)
        asked = offsets_used.get(step.year - 1, 0) if rule.offsets_under_cap else 0
        assert step.unmet == max(0, -wanted) + asked - step.offsets
