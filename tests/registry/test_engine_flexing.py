"""Two-tier inference: published figures reproduce, claims are exact and never in hindsight, plans agree with a twin."""

import csv
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine import canonical
from registry.engine.flexing import (
    ANY_HOUR,
    FULL,
    GREEN,
    DayAhead,
    Estimate,
    Facts,
    Flexed,
    Floors,
    GridYear,
    HighHours,
    Offer,
    Point,
    Prices,
    Scenario,
    Served,
    ServedAt,
    Taste,
    Terms,
    assess,
    best_offer,
    document,
    estimate,
    facts_from_document,
    high_hours,
    offers_by_hours,
    sensitivities,
)
from registry.engine.grid import hour_number

DAY = date(2022, 4, 17)
MIDNIGHT = hour_number(datetime(2022, 4, 17, tzinfo=UTC))
EVENING_BEFORE = datetime(2022, 4, 16, 18, tzinfo=UTC)
FULL_KWH, SMALL_KWH = 340_000_000, 100_000_000
"""0.34 and 0.10 Wh in 10^-12 kWh."""
REQUESTS, GREEN_REQUESTS, FLEXED = 100_000, 40_000, 20_000

CISO = (
    "138.69 167.27 238.25 255.55 271.05 272.27 272.03 260.39 261.13 252.06 240.82 235.69 "
    "232.68 235.32 182.55 108.82 99.73 112.26 125.4 128.65 119.62 121.77 115.79 123.48"
)
INTENSITY = tuple(int(Decimal(value) * 10**6) for value in CISO.split())
DIRTY = (3, 4, 5, 6, 7, 8)
CLEAN = (15, 16, 17, 20, 21, 22)

TERMS = Terms(
    tariff="Green v1",
    high=HighHours(per_day=6),
    flex_cap=Decimal("0.5"),
    accuracy_floor=Decimal("0.8"),
    latency_ceiling_ms=Decimal(2000),
    shift_hours=19,
    notice_hours=0,
    valid_from=date(2022, 1, 1),
    valid_until=None,
    points=(
        Point("full", Decimal("0.90"), Decimal(800), FULL_KWH),
        Point("small", Decimal("0.84"), Decimal(500), SMALL_KWH),
    ),
)
FORECAST = DayAhead(1, DAY, EVENING_BEFORE, INTENSITY)


def served(hour: int, tier: str, point: str, requests: int, each: int | None = None) -> Served:
    drawn = each if each is not None else {"full": FULL_KWH, "small": SMALL_KWH}.get(point, FULL_KWH)
    return Served(MIDNIGHT + hour, "CISO", tier, point, requests, requests * drawn, is_signed=True)


def a_day(flexed: tuple[Flexed, ...], records: tuple[Served, ...]) -> Facts:
    """One day of the stream, claimed whole."""
    return Facts(
        stream="chat",
        zone="CISO",
        first=MIDNIGHT,
        end=MIDNIGHT + 24,
        terms=TERMS,
        served=records,
        flexed=flexed,
        forecasts=(FORECAST,),
        intensity=INTENSITY,
        is_filled=(False,) * 24,
        versions=("us-hourly-2022 v1",),
        batches=("0" * 64,),
        marginal=(),
        subscribers=2_000,
        subscribers_before=1_000,
        requests_before=1_000_000,
    )


def degraded_day() -> Facts:
    """Half of the green requests of the six dirtiest hours get the small model."""
    records = []
    for hour in range(24):
        records.append(served(hour, FULL, "full", REQUESTS - GREEN_REQUESTS))
        small = FLEXED if hour in DIRTY else 0
        records.append(served(hour, GREEN, "full", GREEN_REQUESTS - small))
        if small:
            records.append(served(hour, GREEN, "small", small))
    lots = tuple(Flexed(MIDNIGHT + hour, MIDNIGHT + hour, "small", FLEXED, 1) for hour in DIRTY)
    return a_day(lots, tuple(records))


def shifted_day() -> Facts:
    """The same requests wait for the six cleanest hours, which all come later on this day."""
    moved = dict.fromkeys(DIRTY, -FLEXED) | dict.fromkeys(CLEAN, FLEXED)
    records = []
    for hour in range(24):
        records.append(served(hour, FULL, "full", REQUESTS - GREEN_REQUESTS))
        records.append(served(hour, GREEN, "full", GREEN_REQUESTS + moved.get(hour, 0)))
    lots = tuple(
        Flexed(MIDNIGHT + came, MIDNIGHT + left, "full", FLEXED, 1) for came, left in zip(DIRTY, CLEAN, strict=True)
    )
    return a_day(lots, tuple(records))


# Hours ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forecast", "rule", "hours"),
    [
        (INTENSITY, HighHours(per_day=6), set(DIRTY)),
        ([5] * 24, HighHours(per_day=2), {0, 1}),  # of equals the earlier ones
        (list(range(24)), HighHours(percentile=Decimal(75)), {18, 19, 20, 21, 22, 23}),
        (list(range(24)), HighHours(percentile=Decimal("99.9")), set()),
        ([5] * 24, HighHours(percentile=Decimal(0)), set()),  # nothing lies above what all are
        ([1] * 23 + [2], HighHours(percentile=Decimal(50)), {23}),
    ],
)
def test_high_carbon_hours_follow_the_forecast(forecast: list[int], rule: HighHours, hours: set[int]) -> None:
    assert high_hours(forecast, rule) == hours


# Claims ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "actual_kg", "share", "energy_part"),
    [
        (degraded_day(), "147.78", "0.0492", 1),
        (shifted_day(), "149.21", "0.0400", 0),
    ],
    ids=["lower quality", "later"],
)
def test_a_real_day_in_california_avoids_what_the_reference_says(
    facts: Facts, actual_kg: str, share: str, energy_part: int
) -> None:
    judged = assess(facts)

    figures = judged.figures
    assert figures is not None and not judged.failed
    assert round(Decimal(figures.baseline_ug) / 10**9, 2) == Decimal("155.42")
    assert round(Decimal(figures.actual_ug) / 10**9, 2) == Decimal(actual_kg)
    assert round(figures.share, 4) == Fraction(share)
    assert figures.energy_ug == energy_part * figures.avoided_ug
    assert figures.requests == 24 * REQUESTS
    assert figures.flexed == 6 * FLEXED
    assert judged.rebound.change == Fraction(1200, 1000) - 1


def without(facts: Facts, *hours: int) -> Facts:
    gone = {MIDNIGHT + hour for hour in hours}
    return replace(facts, served=tuple(row for row in facts.served if row.hour not in gone))


def with_terms(**terms: object) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, terms=replace(facts.terms, **terms))  # type: ignore[arg-type]


def with_first_lot(**lot: int | str) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, flexed=(replace(facts.flexed[0], **lot), *facts.flexed[1:]))  # type: ignore[arg-type]


def with_forecasts(*forecasts: DayAhead) -> Callable[[Facts], Facts]:
    return lambda facts: replace(facts, forecasts=forecasts)


def with_records(chosen: Callable[[Served], bool], **changed: object) -> Callable[[Facts], Facts]:
    return lambda facts: replace(
        facts,
        served=tuple(replace(row, **changed) if chosen(row) else row for row in facts.served),  # type: ignore[arg-type]
    )


AT_MIDNIGHT = datetime(2022, 4, 17, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)
FLAT = (100_000_000,) * 24


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (lambda facts: without(facts, 10, 11), "hours_missing", "2022-04-17 10:00 to 12:00"),
        (with_records(lambda row: row.hour == MIDNIGHT, is_signed=False), "hours_not_signed", "00:00 to 01:00"),
        (with_records(lambda row: row.hour == MIDNIGHT + 23, zone="PJM"), "zone_differs", "23:00 to 24:00"),
        (with_records(lambda row: row.point == "small", point="tiny"), "point_unpublished", "03:00 to 09:00"),
        (with_records(lambda row: row.point == "full", point="small"), "baseline_not_measured", "'full'"),
        (with_first_lot(served=MIDNIGHT + 24), "served_outside", "03:00 to 04:00"),
        (with_first_lot(requests=FLEXED - 1), "events_differ", "03:00 to 04:00"),
        (with_first_lot(point="full"), "events_differ", "03:00 to 04:00"),
        (lambda facts: replace(facts, flexed=facts.flexed[1:]), "events_differ", "03:00 to 04:00"),
        (with_terms(valid_from=DAY + timedelta(days=1)), "tariff_not_valid", "00:00 to 24:00"),
        (with_terms(valid_until=DAY - timedelta(days=1)), "tariff_not_valid", "00:00 to 24:00"),
        (with_forecasts(), "forecast_late", "03:00 to 09:00"),
        (with_forecasts(replace(FORECAST, published_at=AT_MIDNIGHT + A_MOMENT)), "forecast_late", "03:00"),
        (with_terms(notice_hours=7), "forecast_late", "7 hours before"),
        (with_forecasts(replace(FORECAST, values=FLAT)), "hour_not_high", "06:00 to 09:00"),
        (
            with_forecasts(FORECAST, replace(FORECAST, id=2, published_at=EVENING_BEFORE + A_MOMENT)),
            "forecast_replaced",
            "03:00 to 09:00",
        ),
        (with_terms(flex_cap=Decimal("0.49999")), "cap_exceeded", "03:00 to 09:00"),
        (with_terms(accuracy_floor=Decimal("0.85")), "quality_below_floor", "03:00 to 09:00"),
        (with_terms(latency_ceiling_ms=Decimal(700)), "quality_below_floor", "00:00 to 24:00"),
        (
            with_records(lambda row: row.tier == FULL and row.hour == MIDNIGHT, point="small"),
            "full_tier_degraded",
            "00:00 to 01:00",
        ),
        (with_records(lambda row: row.point == "small", pico_kwh=FLEXED * FULL_KWH), "nothing_avoided", "no"),
    ],
)
def test_a_claim_that_breaks_a_rule_is_told_which_and_where(
    change: Callable[[Facts], Facts], code: str, named: str
) -> None:
    judged = assess(change(degraded_day()))

    failed = {check.code: check.sentence for check in judged.failed}
    assert code in failed
    assert named in failed[code]


def test_a_forecast_that_came_at_the_last_moment_is_in_time() -> None:
    facts = with_forecasts(replace(FORECAST, published_at=AT_MIDNIGHT))(degraded_day())

    assert not assess(facts).failed


def test_hindsight_does_not_help_a_forecast_that_was_wrong() -> None:
    """The forecast expected a dirty evening; flexing the hours that turned out dirty is refused, though it helped."""
    wrong = replace(FORECAST, values=tuple(reversed(INTENSITY)))
    later = replace(FORECAST, id=2, published_at=AT_MIDNIGHT + timedelta(hours=2))

    judged = assess(with_forecasts(wrong, later)(degraded_day()))

    assert {check.code for check in judged.failed} == {"hour_not_high"}


@pytest.mark.parametrize(
    ("shift_hours", "codes"), [(19, set()), (18, set()), (13, {"shift_too_long"}), (0, {"shift_too_long"})]
)
def test_requests_wait_no_longer_than_promised(shift_hours: int, codes: set[str]) -> None:
    judged = assess(with_terms(shift_hours=shift_hours)(shifted_day()))

    assert {check.code for check in judged.failed} == codes


def test_requests_are_not_put_off_into_a_high_carbon_hour() -> None:
    facts = shifted_day()
    moved = with_first_lot(served=MIDNIGHT + 4)(facts)

    assert "shift_too_long" in {check.code for check in assess(moved).failed}


def test_a_high_published_energy_does_not_lift_the_baseline() -> None:
    facts = degraded_day()
    boasting = (replace(TERMS.full, pico_kwh=10 * FULL_KWH), *TERMS.points[1:])
    modest = (replace(TERMS.full, pico_kwh=FULL_KWH // 2), *TERMS.points[1:])

    plain, lifted, lower = (
        assess(with_terms(points=points)(facts)).figures for points in (TERMS.points, boasting, modest)
    )

    assert plain is not None and lifted is not None and lower is not None
    assert lifted == plain
    assert lower.avoided_ug < plain.avoided_ug


def test_hours_with_a_filled_intensity_earn_nothing() -> None:
    facts = degraded_day()
    filled = replace(facts, is_filled=tuple(hour == 5 for hour in range(24)))

    plain, less = assess(facts).figures, assess(filled).figures

    assert plain is not None and less is not None
    of_that_hour = FLEXED * (FULL_KWH - SMALL_KWH) * INTENSITY[5] // 10**12
    assert less.not_credited_ug == of_that_hour == plain.avoided_ug - less.avoided_ug
    assert less.baseline_ug == plain.baseline_ug
    assert less.hours[5].is_filled and less.hours[5].avoided_ug == 0


def test_what_was_made_worse_in_a_filled_hour_still_counts_against_the_claim() -> None:
    facts = with_records(lambda row: row.point == "small" and row.hour == MIDNIGHT + 5, pico_kwh=FLEXED * 2 * FULL_KWH)(
        degraded_day()
    )
    filled = replace(facts, is_filled=tuple(hour == 5 for hour in range(24)))

    assert assess(filled).figures == replace(  # nothing but the mark changes
        _figures(facts), hours=tuple(replace(row, is_filled=row.hour == MIDNIGHT + 5) for row in _figures(facts).hours)
    )
    assert _figures(facts).hours[5].avoided_ug < 0


def _figures(facts: Facts):  # type: ignore[no-untyped-def]
    figures = assess(facts).figures
    assert figures is not None
    return figures


def test_marginal_factors_are_an_information_line_only() -> None:
    facts = degraded_day()
    informed = replace(facts, marginal=tuple(2 * value for value in INTENSITY))

    plain, told = _figures(facts), _figures(informed)

    assert plain.marginal_ug is None
    assert told.marginal_ug == 2 * plain.avoided_ug
    assert told.avoided_ug == plain.avoided_ug


lots_of_hours = st.lists(
    st.tuples(
        st.integers(0, 23),  # came
        st.integers(0, 23),  # served
        st.sampled_from(["full", "small"]),
        st.integers(1, 10**6),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda lot: lot[:3],
)
intensities = st.lists(st.integers(0, 1_500_000_000), min_size=24, max_size=24)


@given(lots_of_hours, intensities, st.integers(1, 10**9), st.integers(1, 10**9), st.sets(st.integers(0, 23)))
def test_figures_agree_with_an_obvious_twin(
    lots: list[tuple[int, int, str, int]], intensity: list[int], full: int, small: int, filled: set[int]
) -> None:
    """The twin goes through the lots one by one in fractions of a gram, without rows, effects or rounding."""
    each = {"full": full, "small": small}
    records: defaultdict[tuple[int, str], int] = defaultdict(int)
    for _, left, point, requests in lots:
        records[left, point] += requests
    rows = [Served(MIDNIGHT + h, "CISO", GREEN, p, n, n * each[p], True) for (h, p), n in records.items()]
    rows += [Served(MIDNIGHT + hour, "CISO", FULL, "full", 7, 7 * full, True) for hour in range(24)]
    facts = replace(
        a_day(tuple(Flexed(MIDNIGHT + c, MIDNIGHT + s, p, n, 1) for c, s, p, n in lots if c != s or p != "full"), ()),
        served=tuple(rows),
        intensity=tuple(intensity),
        is_filled=tuple(hour in filled for hour in range(24)),
        terms=replace(TERMS, points=(replace(TERMS.full, pico_kwh=full), TERMS.points[1])),
    )

    figures = assess(facts).figures

    assert figures is not None
    gram = 10**12
    claimed = left_out = Fraction(0)
    for came, left, point, requests in lots:
        saved = Fraction(requests * (full * intensity[came] - each[point] * intensity[left]), gram)
        if saved > 0 and {came, left} & filled:
            left_out += saved
        else:
            claimed += saved
    emitted = sum((Fraction(row.pico_kwh * intensity[row.hour - MIDNIGHT], gram) for row in rows), Fraction(0))
    assert (
        Fraction(0) <= claimed - figures.avoided_ug <= Fraction(2 * len(lots))
    )  # rounded against the claimant, a microgram an effect
    assert abs(left_out - figures.not_credited_ug) <= 2 * len(lots)
    assert abs(emitted - figures.actual_ug) <= 12
    assert figures.baseline_ug == figures.actual_ug + figures.avoided_ug + figures.not_credited_ug
    assert sum(row.avoided_ug for row in figures.hours) == figures.avoided_ug
    assert sum(row.requests for row in figures.hours) == sum(row.requests for row in rows)


def test_the_frozen_document_gives_the_same_claim() -> None:
    for facts in (degraded_day(), shifted_day()):
        frozen = document(facts)

        again = facts_from_document(frozen)

        assert again == facts
        assert canonical.sha256(document(again)) == canonical.sha256(frozen)
        assert assess(again) == assess(facts)


# Planning -------------------------------------------------------------------------------------------------------------

SCENARIO = Scenario(
    requests_per_hour=100_000,
    green_share=0.4,
    flex_cap=0.5,
    points=(ServedAt("full", 0.90, 800, 0.34e-3, 3.4e14), ServedAt("small", 0.84, 500, 0.10e-3, 1e14)),
    prices=Prices(electricity_per_kwh=0.12, co2_per_tonne=80, compute_per_exaflop=0.05, request=0.002),
    taste=Taste(accuracy_weight=0.6, consciousness=0.3, utility_value=0.0002),
    floors=Floors(accuracy=0.8, latency_ms=2000),
)


def zone_year(shared_data: Path, zone: str) -> GridYear:
    days: defaultdict[str, dict[str, float]] = defaultdict(dict)
    with (shared_data / "grid" / "us_hourly_ci_2022.csv").open() as file:
        for row in csv.DictReader(file):
            if row["zone"] == zone and row["gco2e_per_kwh"]:
                days[row["datetime_utc"][:10]][row["datetime_utc"][11:13]] = float(row["gco2e_per_kwh"])
    return GridYear(
        tuple(tuple(day[hour] for hour in sorted(day)) for _, day in sorted(days.items()) if len(day) == 24)
    )


def test_a_whole_year_in_california_avoids_what_the_reference_says(shared_data: Path) -> None:
    year = zone_year(shared_data, "CISO")

    lower, later = (estimate(SCENARIO, offer, year) for offer in (Offer(1, 6, 0.5), Offer(0, 6, 0.5, ANY_HOUR)))

    assert len(year.days) == 362
    assert round(100 * lower.estimated_share, 2) == 4.37
    assert round(100 * later.estimated_share, 2) == 2.75
    assert (lower.estimated_timing_effect_kg, later.estimated_energy_effect_kg) == (0, 0)


def test_a_real_day_is_planned_as_it_is_claimed() -> None:
    year = GridYear((tuple(value / 10**6 for value in INTENSITY),))

    lower, later = (estimate(SCENARIO, offer, year) for offer in (Offer(1, 6, 0.5), Offer(0, 6, 0.5, ANY_HOUR)))

    for planned, facts in ((lower, degraded_day()), (later, shifted_day())):
        assert planned.estimated_baseline_kg == pytest.approx(_figures(facts).baseline_ug / 10**9)
        assert planned.estimated_avoided_kg == pytest.approx(_figures(facts).avoided_ug / 10**9)


def twin(scenario: Scenario, offer: Offer, year: GridYear) -> tuple[float, float, float]:
    """Avoided kg, saving and discount, hour by hour and formula by formula."""
    flexed = scenario.requests_per_hour * scenario.green_share * offer.flexed_share
    full, point = scenario.points[0], scenario.points[offer.point]
    highest = max(max(day) for day in year.days)
    g, m = scenario.taste.consciousness, scenario.taste.utility_value
    avoided = saving = discount = 0.0
    for day in year.days:
        left = sorted(range(24), key=lambda hour, day=day: (-day[hour], hour))  # type: ignore[misc]
        free = left[offer.hours_per_day :]
        for hour in left[: offer.hours_per_day]:
            if offer.shift_hours is None:
                after = point.kwh_per_request * day[hour]
                quality = scenario.estimated_quality(full) - scenario.estimated_quality(point)
                kwh, flop = full.kwh_per_request - point.kwh_per_request, full.flop_per_request - point.flop_per_request
            else:
                open_hours = [
                    at for at in free if hour < at <= hour + offer.shift_hours or offer.shift_hours == ANY_HOUR
                ]
                best = min(open_hours, key=lambda at, day=day: (day[at], at), default=hour)  # type: ignore[misc]
                if day[best] >= day[hour]:
                    continue
                free.remove(best)
                after = full.kwh_per_request * day[best]
                quality, kwh, flop = 1 - scenario.taste.accuracy_weight, 0.0, 0.0
            grams = full.kwh_per_request * day[hour] - after
            clean = grams / (full.kwh_per_request * highest)
            avoided += flexed * grams / 1000
            discount += flexed * max(0.0, m * ((1 - g) * quality - g * clean))
            saving += flexed * (
                kwh * scenario.prices.electricity_per_kwh
                + grams / 1e6 * scenario.prices.co2_per_tonne
                + flop / 1e18 * scenario.prices.compute_per_exaflop
            )
    return avoided, saving, discount


@given(
    st.lists(st.lists(st.integers(1, 900).map(float), min_size=24, max_size=24).map(tuple), min_size=1, max_size=4),
    st.integers(1, 12),
    st.sampled_from([None, ANY_HOUR, 1, 5]),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_plans_agree_with_an_obvious_twin(
    days: list[tuple[float, ...]], hours: int, shift: int | None, consciousness: float, flexed: float
) -> None:
    year = GridYear(tuple(days))
    scenario = replace(SCENARIO, taste=replace(SCENARIO.taste, consciousness=consciousness))
    offer = Offer(0 if shift is not None else 1, hours, flexed, shift)

    planned = estimate(scenario, offer, year)

    found = planned.estimated_avoided_kg, planned.estimated_saving, planned.estimated_discount
    assert found == pytest.approx(twin(scenario, offer, year), abs=1e-9)


def test_the_best_offer_is_the_best_of_all_and_keeps_the_floors() -> None:
    year = GridYear((tuple(value / 10**6 for value in INTENSITY), FLAT_DAY))
    tiny = ServedAt("tiny", 0.5, 100, 0.01e-3, 1e13)
    scenario = replace(SCENARIO, points=(*SCENARIO.points, tiny))

    best = best_offer(scenario, year)

    assert best is not None
    every = [estimate(scenario, Offer(1, k, f / 10), year) for k in range(1, 25) for f in range(6)]
    assert best.estimated_margin == pytest.approx(max(each.estimated_margin for each in every))
    assert best.offer.point == 1  # the tiny model would pay more, and is below the floor
    assert estimate(scenario, Offer(2, 24, 0.5), year).estimated_margin > best.estimated_margin


FLAT_DAY = (100.0,) * 24


def test_without_a_saving_there_is_no_offer() -> None:
    free = replace(SCENARIO, prices=Prices(0, 0, 0, 0.002), taste=Taste(0.6, 0.0, 1.0))
    year = GridYear((FLAT_DAY,))

    assert best_offer(free, year) is None
    assert all(not found.is_viable for found in offers_by_hours(free, year))
    assert best_offer(SCENARIO, year, shift_hours=5) is None  # no hour is cleaner: nothing to put off


def test_those_who_care_enough_need_no_discount() -> None:
    year = GridYear((FLAT_DAY,))
    threshold = estimate(SCENARIO, Offer(1, 6, 0.5), year).estimated_threshold

    def discount(consciousness: float) -> float:
        caring = replace(SCENARIO, taste=replace(SCENARIO.taste, consciousness=consciousness))
        return estimate(caring, Offer(1, 6, 0.5), year).estimated_discount

    assert 0 < threshold < 1
    assert discount(threshold + 1e-9) == pytest.approx(0, abs=1e-6)
    assert discount(threshold - 0.05) > 0


def test_sensitivity_changes_one_assumption_at_a_time() -> None:
    year = GridYear((tuple(value / 10**6 for value in INTENSITY),))
    offer = Offer(1, 6, 0.5)
    base = estimate(SCENARIO, offer, year)

    found = {each.code: each for each in sensitivities(SCENARIO, offer, year)}

    assert set(found) == {
        "green_share",
        "flexed_share",
        "hours_per_day",
        "energy",
        "electricity_per_kwh",
        "co2_per_tonne",
        "compute_per_exaflop",
    }
    for each in found.values():
        at_base = [step.result for step in each.steps if step.percent == 0 or step.estimated_value == 6]
        assert [result.estimated_margin for result in at_base] == [pytest.approx(base.estimated_margin)]
    assert found["co2_per_tonne"].estimated_swing == 0 < found["co2_per_tonne"].estimated_margin_swing
    twice = [step.result for step in found["green_share"].steps if step.percent in {-50, 50}]
    assert _avoided(twice[1]) == pytest.approx(3 * _avoided(twice[0]))
    assert [step.estimated_value for step in found["hours_per_day"].steps] == list(range(1, 25))


def _avoided(result: Estimate) -> float:
    return result.estimated_avoided_kg
