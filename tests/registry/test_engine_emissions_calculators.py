"""The calculators against obvious twins, and at the limits that law and physics draw."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.emissions import (
    FOSSIL_G_PER_KWH,
    Attention,
    Bridge,
    CountedEnergy,
    ItEnergy,
    MarketHour,
    ModelClass,
    Phase,
    Range,
    RequestModel,
    SiteEnergy,
    StarRule,
    adapter_training,
    at_site,
    classify,
    cross_check,
    device_hours_energy,
    embodied_grams,
    estimated_active_billions,
    estimated_gpu_count,
    estimated_request,
    estimated_teraflop_per_second,
    from_flop,
    from_grams,
    from_kwh,
    g_per_kwh_from_pounds,
    inference_flop_per_token,
    market_based,
    modifier_is_provider,
    moe_active_parameters,
    nvml_energy,
    other_training,
    rapl_energy,
    rapl_total,
    request_compute,
    sci_score,
    size_class,
    stars,
    training_flop,
    transformer_training,
)
from registry.engine.refusals import Refusal

sizes = st.integers(1, 10**12)
few = st.integers(0, 40)
hourly_kwh = st.decimals(0, 10**6, places=3)
LEADERBOARD_DAY = date(2026, 2, 1)


def counted(outcome: CountedEnergy | Refusal) -> CountedEnergy:
    assert isinstance(outcome, CountedEnergy)
    return outcome


# Compute


@given(sizes, sizes, st.fractions(0, 1, max_denominator=100))
def test_recomputation_is_work_of_the_hardware_only(parameters: int, tokens: int, share: Fraction) -> None:
    compute = transformer_training(parameters, tokens, recomputed=share)

    assert compute.model_flop == training_flop(parameters, tokens)
    assert compute.hardware_flop == compute.model_flop + 2 * parameters * tokens * share


def test_attention_adds_twelve_operations_per_layer_head_and_pair() -> None:
    attention = Attention(layers=118, heads=48, head_size=256, sequence=2048)

    with_attention = transformer_training(540 * 10**9, 780 * 10**9, attention=attention, recomputed=1)

    extra = 12 * 118 * 48 * 256 * 2048 * 780 * 10**9
    assert with_attention.model_flop == training_flop(540 * 10**9, 780 * 10**9) + extra
    assert with_attention.hardware_flop == with_attention.model_flop * Fraction(4, 3)
    assert [step.value for step in with_attention.steps][1] == extra


def test_only_the_experts_that_a_token_visits_are_active() -> None:
    active = moe_active_parameters(shared=2 * 10**9, per_expert=10**9, experts=64, experts_per_token=8)

    assert (active, training_flop(active, 1000)) == (10**10, 6 * 10**13)


@given(sizes, sizes)
def test_adapters_cost_two_thirds_of_full_fine_tuning_and_their_own(parameters: int, tokens: int) -> None:
    full = transformer_training(parameters, tokens).model_flop

    assert adapter_training(parameters, 0, tokens).model_flop == full * Fraction(2, 3)
    assert adapter_training(parameters, 7, tokens).model_flop == full * Fraction(2, 3) + 42 * tokens


def test_other_networks_count_their_multiply_adds() -> None:
    # ResNet-50: 4.1 billion multiply-adds, 1.28 million images, 90 epochs.
    compute = other_training(41 * 10**8, 1_280_000, 90)

    assert compute.model_flop == 41 * 10**8 * 2 * 3 * 1_280_000 * 90


@pytest.mark.parametrize(
    ("utilisation", "flagged"),
    [("0.69", True), ("0.7", False), ("1", False), ("1.43", False), ("1.431", True)],
)
def test_the_methods_may_differ_by_thirty_per_cent(utilisation: str, flagged: bool) -> None:
    check = cross_check(3600 * 10**12, 1, 10**12, Decimal(utilisation))

    assert (check.ratio, check.implied_utilisation, check.flagged) == (Fraction(utilisation), Fraction(1), flagged)


def test_palm_by_chip_hours_does_not_fit_its_tokens() -> None:
    check = cross_check(training_flop(540 * 10**9, 780 * 10**9), 8_404_992, Decimal("275E12"), Decimal("0.462"))

    assert (round(check.ratio, 2), check.flagged) == (Fraction(152, 100), True)


@given(sizes, few, few, few, few, st.integers(0, 10**5))
def test_a_request_is_the_sum_of_its_tokens(
    parameters: int, cached: int, more: int, out: int, layers: int, width: int
) -> None:
    compute = request_compute(parameters, cached + more, out, cached=cached, layers=layers, attention_width=width)

    assert compute.model_flop == sum(
        inference_flop_per_token(parameters, layers, width, position + 1)
        for position in range(cached, cached + more + out)
    )


# Energy


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=20))
def test_a_counter_that_never_restarts_counts_last_minus_first(readings: list[int]) -> None:
    readings.sort()

    assert counted(nvml_energy(readings)).joules == Decimal(readings[-1] - readings[0]) / 1000
    assert counted(rapl_energy(readings, 10**9)).joules == Decimal(readings[-1] - readings[0]) / 10**6


@given(st.lists(st.integers(0, 999), min_size=1, max_size=20), st.integers(0, 999))
def test_a_counter_that_wraps_loses_nothing(drawn: list[int], start: int) -> None:
    shown, total = [start], start
    for amount in drawn:
        total += amount
        shown.append(total % 1000)

    energy = counted(rapl_energy(shown, 1000))

    assert energy.joules * 10**6 == sum(drawn)
    assert energy.restarts == total // 1000


def test_a_driver_that_restarts_loses_what_it_did_not_show() -> None:
    energy = counted(nvml_energy([5_000_000, 8_600_000, 1_200_000, 3_600_000]))

    assert (energy.joules, energy.restarts, energy.kwh) == (Decimal(7200), 1, Fraction(2, 1000))


@pytest.mark.parametrize(
    ("readings", "code"),
    [([], "readings_missing"), ([7], "readings_missing"), ([0, 1001], "reading_out_of_range"),
     ([-1, 5], "reading_out_of_range")],
)  # fmt: skip
def test_readings_that_are_none_are_refused(readings: list[int], code: str) -> None:
    refusal = rapl_energy(readings, 1000)

    assert isinstance(refusal, Refusal)
    assert refusal.code == code


@pytest.mark.parametrize(
    ("domains", "joules", "added"),
    [
        ({"psys": 100, "package-0": 60, "core-0": 40, "dram-0": 10}, 100, ("psys",)),
        ({"package-0": 60, "core-0": 40, "uncore-0": 5, "dram-0": 10}, 70, ("dram-0", "package-0")),
        ({"package-0": 60, "package-1": 50, "core-1": 40}, 110, ("package-0", "package-1")),
        ({"package-0": 60, "core-0": 1, "core-1": 40}, 100, ("core-1", "package-0")),
        ({"core-0": 40, "dram-0": 10}, 50, ("core-0", "dram-0")),
        ({}, 0, ()),
    ],
)
def test_a_part_is_never_added_to_its_whole(domains: dict[str, int], joules: int, added: tuple[str, ...]) -> None:
    energy = rapl_total(domains)

    assert (energy.joules, energy.domains) == (Fraction(joules), added)


def test_site_energy_lists_its_way_from_the_rating() -> None:
    energy = at_site(device_hours_energy(Decimal(100), Decimal(700), Decimal("0.5")), Decimal("1.2"))

    assert [(step.value, step.unit) for step in energy.steps] == [
        (100, "h"), (700, "W"), (Decimal("0.5"), ""), (35, "kWh"), (Decimal("1.2"), ""), (42, "kWh"),
    ]  # fmt: skip
    assert at_site(ItEnergy(Decimal(35)), Decimal("1.2")) == energy == SiteEnergy(Decimal(42))


# Emissions of electricity


residuals = st.none() | st.decimals(0, 1500, places=2)
contracts = st.decimals(0, 50, places=1)
market_hours = st.lists(st.builds(MarketHour, hourly_kwh, hourly_kwh, residuals, contracts), max_size=12)


@given(market_hours)
def test_market_based_emissions_are_those_of_each_hour_by_itself(hours: Sequence[MarketHour]) -> None:
    result = market_based(hours)

    grams = Fraction(0)
    for hour in hours:
        matched = min(hour.kwh, hour.certified_kwh)
        residual = FOSSIL_G_PER_KWH if hour.residual_g_per_kwh is None else hour.residual_g_per_kwh
        grams += Fraction(hour.kwh - matched) * Fraction(residual)
        grams += Fraction(matched) * Fraction(hour.contract_g_per_kwh)
    assert result.grams == grams
    assert result.without_residual == sum(hour.residual_g_per_kwh is None for hour in hours)
    if result.cfe_score is not None and result.annual_share is not None:
        assert 0 <= result.cfe_score <= result.annual_share <= 1
    else:
        assert sum(hour.kwh for hour in hours) == 0


def test_annual_matching_calls_clean_what_hourly_matching_does_not() -> None:
    hours = [MarketHour(Decimal(10), Decimal(clean), Decimal(400)) for clean in (25, 10, 5, 0)]

    result = market_based(hours)

    assert (result.grams, result.cfe_score) == (Fraction(15 * 400), Fraction(5, 8))
    assert (result.annual_grams, result.annual_share) == (Fraction(0), Fraction(1))
    assert result.steps[-1].name == "comparison: annual matching"


def test_an_hour_without_residual_mix_is_fossil() -> None:
    assert market_based([MarketHour(Decimal(2), Decimal(0), None)]).grams == 2 * 820


def test_pounds_per_megawatt_hour_convert_exactly() -> None:
    assert g_per_kwh_from_pounds(Decimal(1000)) == Decimal("453.59237")


# Software Carbon Intensity


def test_scores_of_components_add_up() -> None:
    chips = sci_score(SiteEnergy(Decimal(12)), 400, embodied_grams(164_000, 10, 26_280, 2, 8), 5000, "1,000 requests")
    disks = sci_score(SiteEnergy(Decimal(3)), 400, 0, 5000, "1,000 requests")
    whole = sci_score(SiteEnergy(Decimal(15)), 400, Fraction(164_000 * 10, 26_280 * 4), 5000, "1,000 requests")

    assert chips.g_per_unit + disks.g_per_unit == whole.g_per_unit
    assert whole.steps[-1].unit == "g CO2e per 1,000 requests"


# Estimates


def test_the_fits_of_llmcarbon_give_what_they_gave() -> None:
    assert estimated_gpu_count(175e9) == pytest.approx(1503.4, abs=0.1)
    assert estimated_teraflop_per_second(18.4e9) == pytest.approx(135.1, abs=0.1)  # Megatron-LM measured 135
    assert estimated_teraflop_per_second(175e9) == pytest.approx(147.6, abs=0.1)  # and 148 for 145.6 billion


def plain_model(active: Range, total: float, **more: float) -> RequestModel:
    return RequestModel(active, Range(total, total), Range(1.2, 1.2), 0.4, 0.5, 3.0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("active", "total", "tokens", "seconds", "kwh", "usage", "embodied", "water"),
    [  # made by the released client of EcoLogits, 0.11.3: PUE 1.2, 0.4 kg/kWh, WUE 0.5 on site and 3 off it
        (Range(8, 8), 8, 100, None, (8.915258455308872e-06,) * 2, (3.566103382123549e-06,) * 2,
         (7.302306974244984e-07,) * 2, (3.0460466388971974e-05,) * 2),
        (Range(70, 70), 70, 400, None, (0.0002630115971334018,) * 2, (0.00010520463885336073,) * 2,
         (2.2638781311133825e-05,) * 2, (0.0008986229568724562,) * 2),
        (Range(17.6, 52.8), 176, 250, None, (0.00020160209720587936, 0.0002870241669047863),
         (8.064083888235175e-05, 0.00011480966676191452), (1.6724953977975487e-05, 2.4499534086089062e-05),
         (0.0006888071654534211, 0.0009806659035913531)),
        (Range(8, 8), 8, 100, 1.0, (6.19140110767128e-06,) * 2, (2.476560443068512e-06,) * 2,
         (1.6276041666666666e-07,) * 2, (2.1153953784543538e-05,) * 2),
    ],
)  # fmt: skip
def test_a_request_is_estimated_as_ecologits_does(
    active: Range,
    total: float,
    tokens: int,
    seconds: float | None,
    kwh: tuple[float, float],
    usage: tuple[float, float],
    embodied: tuple[float, float],
    water: tuple[float, float],
) -> None:
    ours = estimated_request(plain_model(active, total), tokens, seconds)

    for found, published in (
        (ours.energy_kwh, kwh), (ours.usage_kg, usage), (ours.embodied_kg, embodied), (ours.water_l, water)
    ):  # fmt: skip
        assert (found.low, found.high) == pytest.approx(published, rel=1e-9)


def test_a_proprietary_mixture_stays_a_range() -> None:
    active = estimated_active_billions(176)

    assert (active.low, active.high) == pytest.approx((17.6, 52.8))
    estimate = estimated_request(plain_model(active, 176), 250)
    assert estimate.energy_kwh.low < estimate.energy_kwh.high


def test_a_measured_speed_replaces_the_modelled_one() -> None:
    model = plain_model(Range(8, 8), 8, tokens_per_second=50.0, first_token_s=0.5)

    assert next(step.value for step in estimated_request(model, 100).steps if step.unit == "s") == 2.5


# AI Energy Score


@pytest.mark.parametrize(
    ("billions", "bits", "name"),
    [
        (8, 16, "A"),
        (20, 16, "A"),
        (21, 16, "B"),
        (66, 16, "B"),
        (67, 16, "C"),
        (70, 4, "A"),
        (40, 8, "A"),
        (66, 32, "C"),
    ],
)
def test_text_generators_have_classes_by_the_memory_they_need(billions: int, bits: int, name: str) -> None:
    assert size_class(billions, bits) == name


def test_the_two_rules_give_different_stars() -> None:
    energies = {"ant": Decimal(1), "bee": Decimal(2), "cat": Decimal(3), "dog": Decimal(4), "elk": Decimal(101)}

    by_range = stars(energies, StarRule.EQUAL_WIDTH, LEADERBOARD_DAY)
    by_rank = stars(energies, StarRule.QUINTILE, LEADERBOARD_DAY)

    assert list(by_range.stars.values()) == [5, 5, 5, 5, 1]
    assert list(by_rank.stars.values()) == [5, 4, 3, 2, 1]
    assert (by_range.rule, by_rank.rule, by_rank.on) == ("equal_width", "quintile", LEADERBOARD_DAY)
    assert [step.value for step in by_range.steps] == [21, 41, 61, 81]


@given(st.dictionaries(st.text(min_size=1), st.decimals("0.001", 10**4, places=3), max_size=20))
def test_less_energy_never_has_fewer_stars(energies: dict[str, Decimal]) -> None:
    for rule in StarRule:
        given_stars = stars(energies, rule, LEADERBOARD_DAY).stars

        assert given_stars.keys() == energies.keys()
        assert all(1 <= count <= 5 for count in given_stars.values())
        ordered = sorted(energies, key=lambda name: energies[name])
        assert [given_stars[name] for name in ordered] == sorted(given_stars.values(), reverse=True)


# Thresholds of the EU AI Act


@pytest.mark.parametrize(
    ("flop", "generates", "expected"),
    [
        (10**23, True, ModelClass.BELOW),
        (10**23 + 1, True, ModelClass.GENERAL_PURPOSE),
        (10**23 + 1, False, ModelClass.BELOW),
        (10**25, True, ModelClass.GENERAL_PURPOSE),
        (10**25 + 1, True, ModelClass.SYSTEMIC_RISK),
    ],
)
def test_a_threshold_is_passed_by_more_than_it(flop: int, generates: bool, expected: ModelClass) -> None:
    assert classify([(Phase.PRETRAINING, flop)], generates=generates).model_class == expected


def test_public_data_and_evaluation_do_not_count() -> None:
    found = classify([(phase, 10**number) for number, phase in enumerate(Phase)], generates=True)

    assert found.counted_flop == 1 + 10 + 100 + 1000
    assert [step.value for step in found.steps] == [1111, 10**4 + 10**5]


@pytest.mark.parametrize(
    ("change", "original", "systemic", "provider"),
    [
        (10**24, 3 * 10**24, False, False),
        (10**24 + 1, 3 * 10**24, False, True),
        (10**23 // 3, None, False, False),
        (10**23 // 3 + 1, None, False, True),
        (10**25 // 3, None, True, False),
        (10**25 // 3 + 1, None, True, True),
    ],
)
def test_a_modifier_answers_above_a_third(change: int, original: int | None, systemic: bool, provider: bool) -> None:
    assert modifier_is_provider(change, original, systemic_original=systemic) == provider


# The bridge between units


@given(st.integers(1, 10**30), st.decimals("1E-15", "1E-9", places=18), st.decimals(1, 1500, places=3))
def test_a_bridge_leads_back_to_where_one_came_from(flop: int, efficiency: Decimal, intensity: Decimal) -> None:
    bridge = Bridge(efficiency, intensity, date(2026, 1, 1), "verified reports of 2025")

    there = from_flop(bridge, flop)

    assert there.flop == flop
    assert from_kwh(bridge, there.kwh) == from_grams(bridge, there.grams) == there
    assert there.steps[0].name == "efficiency of 2026-01-01"
