"""Scope: who is in and who is leaving, which regime a figure means, what the small regimes charge, and cohorts."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.policy import Regime, Scope, Tier
from registry.engine.scope import (
    Charge,
    CohortCheck,
    Membership,
    bound_above,
    contradictions,
    is_in_cohort,
    may_leave_opt_in,
    membership,
    must_report,
    notice_due_on,
    notify_charge,
    regime_of,
    target_charge,
)

OUT, IN, LEAVING = Membership.OUT, Membership.IN, Membership.LEAVING
QUEBEC = Tier(Regime.FULL, threshold_in=Decimal(25_000), exit_after=3)
UK_SMALL = Tier(Regime.TARGET_ONLY, threshold_in=Decimal(2_499), target=20_000)
UK_ULTRA_SMALL = Tier(Regime.NOTIFY_ONLY, notify_by="03-31", avoided_cost_minor=150_000)
UK = Scope(tiers=(UK_ULTRA_SMALL, UK_SMALL, replace(QUEBEC, threshold_in=Decimal(24_999))))


@pytest.mark.parametrize(
    ("figures", "statuses"),
    [
        # Quebec: above 25,000 in, and out after three reports in a row that are not [QC-COV].
        ([24_999, 25_000, 25_001], [OUT, OUT, IN]),
        ([30_000, 20_000, 20_000, 20_000, 20_000], [IN, LEAVING, LEAVING, LEAVING, OUT]),
        ([30_000, 20_000, 20_000, 30_000, 20_000], [IN, LEAVING, LEAVING, IN, LEAVING]),
        ([30_000, 25_000, 25_001], [IN, LEAVING, IN]),
        ([30_000, 0, 0, 0, 30_000], [IN, LEAVING, LEAVING, LEAVING, IN]),
        ([30_000, 0, 0, 0, 0, 30_000, 0], [IN, LEAVING, LEAVING, LEAVING, OUT, IN, LEAVING]),
        # A year without a report is no low report, and nobody enters by one.
        ([30_000, 0, 0, None, 0, 0, 0, 0], [IN, LEAVING, LEAVING, IN, LEAVING, LEAVING, LEAVING, OUT]),
        ([None, None, 30_000], [OUT, OUT, IN]),
        ([], []),
    ],
)
def test_an_operator_enters_at_once_and_leaves_after_three_low_reports(
    figures: list[int | None], statuses: list[Membership]
) -> None:
    known = {2021 + place: figure for place, figure in enumerate(figures) if figure is not None}

    found = membership(QUEBEC, known, 2021, 2020 + len(figures))

    assert [year.status for year in found] == statuses
    assert [year.year for year in found] == list(range(2021, 2021 + len(figures)))
    assert all(year.is_bound is (year.status is not OUT) for year in found)


@pytest.mark.parametrize(
    ("tier", "figures", "statuses"),
    [
        (replace(QUEBEC, threshold_out=Decimal(10_000)), [30_000, 20_000, 10_001, 10_000], [IN, IN, IN, LEAVING]),
        (replace(QUEBEC, exit_after=1), [30_000, 20_000, 20_000], [IN, LEAVING, OUT]),
        (Tier(Regime.FULL), [0, 5, 0], [IN, IN, IN]),
    ],
)
def test_the_way_out_is_a_rule(tier: Tier, figures: list[int], statuses: list[Membership]) -> None:
    found = membership(tier, dict(enumerate(figures, 2021)), 2021, 2023 if len(figures) == 3 else 2024)

    assert [year.status for year in found] == statuses


def test_who_crosses_the_threshold_owes_from_the_first_of_january_of_that_year() -> None:
    before, crossing = membership(QUEBEC, {2026: 10_000, 2027: 26_000}, 2026, 2027)

    assert (before.bound_from, crossing.bound_from) == (None, date(2027, 1, 1))


figures_by_year = st.lists(st.none() | st.integers(0, 60_000), min_size=1, max_size=12)


@given(figures_by_year, st.integers(1, 4))
def test_nobody_leaves_before_enough_low_reports_stand_in_a_row(figures: list[int | None], exit_after: int) -> None:
    known = {2021 + place: figure for place, figure in enumerate(figures) if figure is not None}
    tier = replace(QUEBEC, threshold_out=Decimal(20_000), exit_after=exit_after)

    found = membership(tier, known, 2021, 2020 + len(figures))

    for place, year in enumerate(found):
        before = found[place - 1].status if place else OUT
        last = [known.get(one.year) for one in found[max(0, place - exit_after) : place]]
        if before is not OUT and year.status is OUT:
            assert len(last) == exit_after
            assert all(figure is not None and figure <= 20_000 for figure in last)
        if before is OUT and year.status is not OUT:
            assert known[year.year] > 25_000
        if known.get(year.year, 0) > 25_000:
            assert year.status is IN


@given(figures_by_year)
def test_later_reports_never_change_an_earlier_year(figures: list[int | None]) -> None:
    known = {2021 + place: figure for place, figure in enumerate(figures) if figure is not None}

    whole = membership(QUEBEC, known, 2021, 2020 + len(figures))

    for years in range(len(figures)):
        assert membership(QUEBEC, known, 2021, 2020 + years) == whole[:years]


@pytest.mark.parametrize(
    ("use", "regime"),
    [
        (0, Regime.NOTIFY_ONLY),
        (2_499, Regime.NOTIFY_ONLY),
        (2_500, Regime.TARGET_ONLY),
        (24_999, Regime.TARGET_ONLY),
        (25_000, Regime.FULL),
        (10**9, Regime.FULL),
    ],
)
def test_the_uk_has_three_steps(use: int, regime: Regime) -> None:
    found = regime_of(UK, {"use": use})

    assert found is not None and found.regime is regime


def test_without_tiers_everybody_is_under_the_whole_scheme() -> None:
    found = regime_of(Scope(), {"use": 1})

    assert found is not None and found.regime is Regime.FULL


def test_below_the_only_threshold_nothing_applies() -> None:
    assert regime_of(Scope(tiers=(QUEBEC,)), {"use": 25_000}) is None
    assert regime_of(Scope(tiers=(QUEBEC,)), {}) is None


REPORTING = Scope(
    tiers=(
        QUEBEC,
        Tier(Regime.REPORT_ONLY, "training_flop", Decimal("1e25")),
        Tier(Regime.REPORT_ONLY, "kwh", Decimal(10_000)),
        Tier(Regime.REPORT_ONLY, "it_kw", Decimal(500)),
    )
)


@pytest.mark.parametrize(
    ("figures", "measures"),
    [
        ({"training_flop": 10**25}, []),
        ({"training_flop": 10**25 + 1}, ["training_flop"]),  # EU, AB 222
        ({"training_flop": 2 * 10**26, "kwh": 10_001, "use": 5}, ["training_flop", "kwh"]),
        ({"it_kw": 501}, ["it_kw"]),
        ({"use": 10**9}, []),
        ({}, []),
    ],
)
def test_reporting_is_asked_for_by_any_measure(figures: dict[str, int], measures: list[str]) -> None:
    assert [tier.measure for tier in must_report(REPORTING, figures)] == measures


@pytest.mark.parametrize(
    ("tier", "bound"),
    [(UK_ULTRA_SMALL, 2_499), (UK_SMALL, 24_999), (UK.tiers[2], None), (REPORTING.tiers[1], None)],
)
def test_a_regime_ends_where_a_stricter_one_begins(tier: Tier, bound: int | None) -> None:
    assert bound_above(UK, tier) == (None if bound is None else Fraction(bound))


@pytest.mark.parametrize(("year", "may"), [(2027, False), (2031, False), (2032, True), (2040, True)])
def test_who_opts_in_stays_five_years(year: int, may: bool) -> None:
    assert may_leave_opt_in(Tier(Regime.OPT_IN, min_stay_years=5), 2027, year) is may


@pytest.mark.parametrize(
    ("use", "target", "price", "charge"),
    [
        (20_000, 20_000, Decimal(4_765), Charge(0, 0, 0)),
        (19_000, 20_000, Decimal(4_765), Charge(0, 0, 0)),
        (20_001, 20_000, Decimal(4_765), Charge(1, 0, 4_765)),
        (21_000, 20_000, Decimal("4765.4"), Charge(1_000, 0, 4_765_400)),
        (20_003, 20_000, Decimal("0.5"), Charge(3, 0, 2)),  # 1.5 half-up
    ],
)
def test_a_target_is_charged_for_what_lies_above_it(use: int, target: int, price: Decimal, charge: Charge) -> None:
    assert target_charge(use, target, price) == charge


@pytest.mark.parametrize(
    ("use", "free", "charge"),
    [
        (2_499, 0, Charge(0, 0, 0)),
        (2_500, 0, Charge(2_500, 150_000, 150_000 + 2_500 * 4_000)),
        (3_000, 2_000, Charge(1_000, 150_000, 150_000 + 1_000 * 4_000)),
        (3_000, 3_500, Charge(0, 150_000, 150_000)),
    ],
)
def test_who_passed_the_bound_in_silence_pays_what_it_avoided(use: int, free: int, charge: Charge) -> None:
    bound = bound_above(UK, UK_ULTRA_SMALL)
    assert bound is not None

    found = notify_charge(UK_ULTRA_SMALL, use=use, bound=bound, free_equivalent=free, price_minor=4_000)

    assert found == charge


def test_notice_is_due_in_the_spring_of_the_next_year() -> None:
    assert notice_due_on(UK_ULTRA_SMALL, 2027) == date(2028, 3, 31)
    assert notice_due_on(QUEBEC, 2027) is None


def check(year: int, confirmed: bool, on: str, cohort: str = "academic") -> CohortCheck:
    return CohortCheck(cohort, year, confirmed, "letter of the dean", date.fromisoformat(on))


@pytest.mark.parametrize(
    ("checks", "is_in"),
    [
        ([], False),
        ([check(2027, True, "2027-02-01")], True),
        ([check(2026, True, "2026-02-01")], False),
        ([check(2028, True, "2028-02-01")], False),
        ([check(2027, False, "2027-02-01")], False),
        ([check(2027, True, "2027-02-01"), check(2027, False, "2027-06-01")], False),
        ([check(2027, True, "2027-06-01"), check(2027, False, "2027-02-01")], True),
        ([check(2027, True, "2027-02-01", cohort="small")], False),
    ],
)
def test_a_cohort_is_proven_every_year(checks: list[CohortCheck], is_in: bool) -> None:
    assert is_in_cohort(checks, "academic", 2027) is is_in


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_using_more_never_costs_less(use: int, more: int, bound: int, price: int) -> None:
    def charged(permits: int) -> tuple[int, int]:
        silence = notify_charge(UK_ULTRA_SMALL, use=permits, bound=bound, free_equivalent=bound, price_minor=price)
        return target_charge(permits, bound, price).cash_minor, silence.cash_minor

    (target_before, notify_before), (target_after, notify_after) = charged(use), charged(use + more)

    assert target_before <= target_after
    assert notify_before <= notify_after


@pytest.mark.parametrize(
    "scope", [Scope(), UK, REPORTING, Scope(tiers=(QUEBEC, Tier(Regime.OPT_IN, min_stay_years=5)))]
)
def test_the_scopes_of_real_schemes_contradict_nothing(scope: Scope) -> None:
    assert contradictions(scope) == []


@pytest.mark.parametrize(
    ("scope", "codes"),
    [
        (Scope(activities=()), ["no_activity_covered"]),
        (Scope(activities=("mining",)), ["activity_unknown"]),
        (Scope(activities=("training", "training")), ["activity_twice"]),
        (Scope(basis="everywhere"), ["basis_unknown"]),
        (Scope(obligated_party="nobody"), ["party_unknown"]),
        (Scope(tiers=(replace(QUEBEC, measure="mass"),)), ["measure_unknown"]),
        (Scope(tiers=(replace(QUEBEC, threshold_in=Decimal(-1)),)), ["threshold_negative"]),
        (Scope(tiers=(Tier(Regime.FULL, threshold_out=Decimal(1)),)), ["threshold_out_alone"]),
        (Scope(tiers=(replace(QUEBEC, threshold_out=Decimal(25_001)),)), ["threshold_out_above_in"]),
        (Scope(tiers=(replace(QUEBEC, exit_after=0),)), ["exit_without_report"]),
        (Scope(tiers=(replace(UK_ULTRA_SMALL, notify_by="31 March"),)), ["notify_day_unknown"]),
        (Scope(tiers=(replace(UK_ULTRA_SMALL, notify_by=None),)), ["notify_day_misplaced"]),
        (Scope(tiers=(replace(QUEBEC, notify_by="03-31"),)), ["notify_day_misplaced"]),
        (Scope(tiers=(replace(QUEBEC, avoided_cost_minor=1),)), ["avoided_cost_misplaced"]),
        (Scope(tiers=(replace(UK_SMALL, target=None),)), ["target_missing"]),
        (Scope(tiers=(replace(QUEBEC, target=5),)), ["target_misplaced"]),
        (Scope(tiers=(replace(QUEBEC, min_stay_years=5),)), ["min_stay_misplaced"]),
        (Scope(tiers=(QUEBEC, QUEBEC)), ["tier_twice"]),
        (
            Scope(tiers=(replace(QUEBEC, threshold_in=Decimal(2_499)), UK_SMALL)),
            ["regimes_out_of_order"],
        ),
        (Scope(tiers=(UK_ULTRA_SMALL, Tier(Regime.FULL))), ["regimes_out_of_order"]),
        (
            Scope(
                activities=("mining", "mining"),
                basis="",
                obligated_party="",
                tiers=(
                    Tier(Regime.FULL, "mass", Decimal(5), Decimal(6), exit_after=0, target=-1),
                    Tier(Regime.NOTIFY_ONLY, threshold_out=Decimal(-1)),
                ),
            ),
            [
                "activity_unknown",
                "activity_unknown",
                "activity_twice",
                "basis_unknown",
                "party_unknown",
                "measure_unknown",
                "threshold_out_above_in",
                "exit_without_report",
                "target_misplaced",
                "threshold_negative",
                "threshold_out_alone",
                "notify_day_misplaced",
            ],
        ),
    ],
)
def test_every_contradiction_is_listed(scope: Scope, codes: list[str]) -> None:
    assert [one.code for one in contradictions(scope)] == codes
