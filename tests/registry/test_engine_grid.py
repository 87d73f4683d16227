"""Hourly emissions: exact to the last digit, complete by stated rules, and true to one real year of two grids."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.grid import (
    HOUR,
    EnergySeries,
    Fill,
    IntensitySeries,
    by_hour_of_day,
    by_month,
    fill_energy,
    fill_intensities,
    first_hour,
    hour_at,
    hour_number,
    hourly_result,
    micro_grams,
    pico_kwh,
    ranges,
    spread,
)
from registry.importers.hourly import HourlyFile, parse_hourly

START = hour_number(datetime(2022, 3, 15, tzinfo=UTC))
MIDDAY, EVENING = {19, 20, 21, 22}, {2, 3, 4, 5}
"""Hours of UTC: noon and evening in California."""
COUNTRY = {2021: micro_grams(Decimal("380")), 2022: micro_grams(Decimal("369.473"))}

kwh = st.decimals(min_value=0, max_value=10**8, places=12)
grams = st.decimals(min_value=0, max_value=1500, places=6)


def series(known: dict[int, int], hours: int = 1, start: int = START) -> IntensitySeries:
    """The hours from the middle of March 2022 on."""
    return fill_intensities("PJM", start, start + hours, known, COUNTRY, ("us v1",))


@given(st.lists(st.tuples(kwh, grams), min_size=1, max_size=60))
def test_a_year_in_whole_numbers_equals_the_plain_sum_of_decimals(hours: list[tuple[Decimal, Decimal]]) -> None:
    energy = EnergySeries(hour_at(START), tuple(pico_kwh(drawn) for drawn, _ in hours))
    intensity = series({START + place: micro_grams(value) for place, (_, value) in enumerate(hours)}, len(hours))

    result = hourly_result(energy, intensity)

    with localcontext(prec=80):
        assert result.grams == sum(drawn * value for drawn, value in hours)
        assert result.energy_kwh == sum(drawn for drawn, _ in hours)
    mean = sum((Fraction(value) for _, value in hours), Fraction(0)) / len(hours)
    exact_annual = mean * sum((Fraction(drawn) for drawn, _ in hours), Fraction(0))
    assert abs(Fraction(result.annual_grams) - exact_annual) <= Fraction(1, 2 * 10**6)


def test_a_flat_load_emits_the_same_by_the_average_and_hour_by_hour() -> None:
    energy = EnergySeries(hour_at(START), (pico_kwh(Decimal(2)),) * 3)
    intensity = series({START: 100_000_000, START + 1: 250_000_000, START + 2: 400_000_000}, 3)

    result = hourly_result(energy, intensity)

    assert result.grams == result.annual_grams == 1500
    assert result.annual_overstates_by == 0
    assert result.g_per_kwh == 250


def test_a_short_gap_takes_the_higher_of_the_hours_beside_it() -> None:
    known = {START - 1: 100_000_000, START + 2: 120_000_000}

    filled = series(known, 2)

    assert filled.fills == (Fill.NEIGHBOURS, Fill.NEIGHBOURS)
    assert filled.values == (Decimal(120), Decimal(120))


def test_a_gap_of_three_hours_takes_the_same_hour_of_the_days_before() -> None:
    days = {START - 24 * day: day * 1_000_000 for day in range(1, 8)}
    known = days | {START - 1: 900_000_000, START + 3: 900_000_000}

    filled = series(known, 3)

    assert filled.fills[0] is Fill.SAME_HOUR
    assert filled.values[0] == 6, "of seven values the sixth is the 75th percentile by nearest rank"
    assert filled.fills[1:] == (Fill.MONTH, Fill.MONTH), "the hours after it were known on no day before"


@pytest.mark.parametrize(("days", "rule"), [(4, Fill.SAME_HOUR), (3, Fill.MONTH)])
def test_the_days_before_count_where_at_least_four_are_known(days: int, rule: Fill) -> None:
    known = {START - 24 * day: 50_000_000 for day in range(1, days + 1)}

    assert series(known).fills == (rule,)


def test_without_days_before_the_highest_hour_of_the_month_counts() -> None:
    known = {START + 100: 70_000_000, START + 200: 80_000_000, START + 24 * 20: 999_000_000}

    filled = series(known)

    assert filled.fills == (Fill.MONTH,)
    assert filled.values[0] == 80, "the last of them lies in April"


def test_without_anything_in_the_month_the_year_of_the_country_counts_with_a_fifth_more() -> None:
    known = {START + 24 * 40: 70_000_000}

    filled = series(known)

    assert (filled.fills, filled.values) == ((Fill.COUNTRY,), (Decimal("443.3676"),))
    early = fill_intensities("PJM", START - 8760, START - 8759, known, COUNTRY, ())
    assert early.values[0] == 456, "2021 has a figure of its own"


def test_a_zone_without_an_hourly_series_has_the_year_of_its_country_as_it_is() -> None:
    filled = series({}, 2)

    assert filled.is_annual
    assert filled.values == (Decimal("369.473"), Decimal("369.473"))


def test_filled_hours_neither_feed_other_fillings_nor_the_average() -> None:
    known = {START: 100_000_000, START + 3: 400_000_000}

    filled = series(known, 4)

    assert filled.fills == (Fill.KNOWN, Fill.NEIGHBOURS, Fill.NEIGHBOURS, Fill.KNOWN)
    assert filled.mean() == 250_000_000
    assert [hour for hour, _ in filled.filled] == [hour_at(START + 1), hour_at(START + 2)]


def test_hours_that_a_stream_leaves_out_count_with_its_highest_of_the_month() -> None:
    april = hour_number(datetime(2022, 4, 1, tzinfo=UTC))
    known = {april - 2: 5, april - 1: 7, april + 1: 3}

    filled = fill_energy(april - 3, april + 3, known)

    assert filled.pico_kwh == (7, 5, 7, 3, 3, 3)
    assert filled.filled == (april - 3, april, april + 2)
    assert fill_energy(april + 800, april + 801, known).pico_kwh == (7,), "a month without any takes the highest of all"


@given(
    kwh,
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=2)),
    st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=2)),
)
def test_a_run_spreads_over_its_hours_without_losing_a_digit(
    energy: Decimal, later: timedelta, lasted: timedelta
) -> None:
    started_at = hour_at(START) + later

    hours = spread(energy, started_at, started_at + lasted)

    assert sum(hours.pico_kwh) == pico_kwh(energy)
    assert len(hours) == first_hour(started_at + lasted) - hour_number(started_at)
    whole = range(1, len(hours) - 1)
    share = Fraction(pico_kwh(energy)) * (HOUR // timedelta.resolution) / (lasted // timedelta.resolution)
    assert all(abs(hours.pico_kwh[place] - share) <= 1 for place in whole)


def test_half_an_hour_of_a_run_draws_half_of_what_a_whole_one_does() -> None:
    at = datetime(2022, 1, 1, 10, 30, tzinfo=UTC)

    hours = spread(Decimal(3), at, at + timedelta(hours=1, minutes=30))

    assert hours == EnergySeries(datetime(2022, 1, 1, 10, tzinfo=UTC), (10**12, 2 * 10**12))


def test_hours_in_a_row_are_told_as_ranges() -> None:
    assert ranges([7, 3, 4, 9, 8]) == [(3, 5), (7, 10)]
    assert ranges([]) == []


# One real year -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def us_2022(shared_data: Path) -> HourlyFile:
    """The hours of seven zones of the United States in 2022."""
    read = parse_hourly((shared_data / "grid" / "us_hourly_ci_2022.csv").read_bytes())
    assert isinstance(read, HourlyFile)
    return read


def known_hours(file: HourlyFile, zone: str) -> dict[int, int]:
    """The known hours of one zone."""
    return {f.hour: micro_grams(f.g_per_kwh) for f in file.figures if f.zone == zone and f.g_per_kwh is not None}


def year_2022(file: HourlyFile, zone: str) -> IntensitySeries:
    """Every hour of the year in one zone."""
    first = hour_number(datetime(2022, 1, 1, tzinfo=UTC))
    return fill_intensities(zone, first, first + 8760, known_hours(file, zone), COUNTRY, ("us v1",))


def test_the_real_year_of_california_has_its_published_shape(us_2022: HourlyFile) -> None:
    year = year_2022(us_2022, "CISO")
    known = [(hour_at(hour), Decimal(value).scaleb(-6)) for hour, value in known_hours(us_2022, "CISO").items()]
    by_hour = {profile.of: profile.mean for profile in by_hour_of_day(known)}

    assert round(year.mean() / 10**6, 1) == Fraction("256.2")
    assert (min(value for _, value in known), max(value for _, value in known)) == (Decimal("74.1"), Decimal("449.03"))
    assert round(sum(by_hour[hour] for hour in MIDDAY) / 4, 1) == Decimal("177.8")
    assert round(sum(by_hour[hour] for hour in EVENING) / 4, 1) == Decimal("304.2")
    assert [profile.of for profile in by_month(known)] == list(range(1, 13))
    assert len(year.filled) == 3


def test_the_average_overstates_a_midday_load_and_understates_an_evening_load(us_2022: HourlyFile) -> None:
    year = year_2022(us_2022, "CISO")

    def only(hours: set[int]) -> Fraction | None:
        return hourly_result(
            EnergySeries(year.start, tuple(10**12 if at.hour in hours else 0 for at in year.hours)), year
        ).annual_overstates_by

    midday, evening = only(MIDDAY), only(EVENING)
    assert midday is not None and evening is not None
    assert round(midday * 100) == 44
    assert round(evening * 100) == -16


def test_the_22_hours_that_the_clock_change_took_from_pjm_are_filled_and_said(us_2022: HourlyFile) -> None:
    year = year_2022(us_2022, "PJM")

    lost = [(hour, fill) for hour, fill in year.filled if hour.month == 3]

    assert len(lost) == 22
    assert lost[0][0] == datetime(2022, 3, 13, 7, tzinfo=UTC)
    assert {fill for _, fill in lost} == {Fill.SAME_HOUR}
    before = sorted(year.at(lost[0][0] - timedelta(days=day)) for day in range(1, 8))
    assert year.at(lost[0][0]) == before[5]
    assert [fill for hour, fill in year.filled if hour.month != 3] == [Fill.NEIGHBOURS]
