"""Emissions arithmetic: published figures reproduce, PUE counts once, and nothing is rounded on the way."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.emissions import (
    MIX_G_PER_KWH,
    ItEnergy,
    SiteEnergy,
    at_site,
    device_hours_energy,
    differs_materially,
    emissions,
    hardware_flop,
    joules_per_flop,
    mix_intensity,
    pue_left_out,
    total_energy,
    training_flop,
)
from registry.engine.factors import BUILT_IN, WORLD_AVERAGE, Factor, factor_table
from registry.engine.published import COMPUTE, RUNS, PublishedCompute, PublishedRun
from registry.engine.rounding import Exact

decimals = st.decimals(min_value=0, max_value=10**12, places=20)


def close(ours: Exact, published: Exact, tolerance: str | Decimal) -> bool:
    return abs(Fraction(ours) / Fraction(published) - 1) <= Fraction(tolerance)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.model)
def test_published_energy_and_emissions_reproduce(run: PublishedRun) -> None:
    grid = factor_table(
        "as published", run.source, "-", [Factor("HERE", run.year, run.kg_per_kwh * 1000)], WORLD_AVERAGE
    )

    energy = at_site(device_hours_energy(run.device_hours, run.watts), run.pue)
    result = emissions(energy, "HERE", grid)

    assert run.energy_kwh is None or close(energy.kwh, run.energy_kwh, run.tolerance)
    assert run.emissions_t is None or close(result.tonnes, run.emissions_t, run.tolerance)
    assert run.energy_kwh or run.emissions_t


@pytest.mark.parametrize("run", COMPUTE, ids=lambda run: run.model)
def test_published_training_compute_is_six_n_d(run: PublishedCompute) -> None:
    assert training_flop(run.active_parameters, run.tokens) == run.training_flop


@pytest.mark.parametrize(
    ("device_hours", "peak", "utilisation", "flop", "tolerance"),
    [
        (3_552_000, Decimal("24.6E12"), 1, "3.14E23", "0.02"),  # GPT-3 at its measured 24.6 TFLOP/s
        (30_840_000, Decimal("989.4E12"), Decimal("0.345"), "3.79E25", "0.005"),  # Llama 3.1 405B, implied utilisation
    ],
)
def test_compute_follows_from_hardware(
    device_hours: int, peak: Decimal, utilisation: int | Decimal, flop: str, tolerance: str | Decimal
) -> None:
    assert close(hardware_flop(device_hours, peak, utilisation), Decimal(flop), tolerance)


def test_bloom_hours_give_two_results_because_two_grids_were_used() -> None:
    energy = device_hours_energy(Decimal(1_082_990), Decimal(400))

    assert energy.kwh == Decimal(433_196)
    assert close(433_196 * Decimal("0.057") / 1000, Decimal("24.7"), "0.005")
    assert close(at_site(energy, Decimal("1.1")).kwh * Decimal("0.385") / 1000, 183, "0.01")


@pytest.mark.parametrize(
    ("mwh", "tonnes", "left_out"),
    [
        (1287, Decimal("502"), True),  # the pair that belongs to no calculation: 502 = 1287 / 1.10 x 0.429
        (1287, Decimal("552.1"), False),
        (1287, Decimal("700"), False),
    ],
)
def test_emissions_that_left_the_pue_out_are_recognised(mwh: int, tonnes: Decimal, left_out: bool) -> None:
    energy = SiteEnergy(Decimal(mwh * 1000))

    assert pue_left_out(energy, tonnes * 1000, Decimal("0.429"), Decimal("1.10")) == left_out


@pytest.mark.parametrize(
    ("shares", "factors", "intensity"),
    [
        (
            {"coal": "0.25", "oil": "0.35", "gas": "0.26", "nuclear": "0.14"},
            {"coal": Decimal(995), "oil": Decimal(816), "gas": Decimal(743), "nuclear": Decimal(29)},
            "731.59",  # printed in CodeCarbon's documentation, which calls it kg/kWh instead of kg/MWh
        ),
        ({"coal": "0.5", "wind": "0.5"}, MIX_G_PER_KWH, "415.5"),
    ],
)
def test_the_intensity_of_a_mix(shares: dict[str, str], factors: dict[str, Decimal], intensity: str) -> None:
    assert mix_intensity({fuel: Decimal(share) for fuel, share in shares.items()}, factors) == Decimal(intensity)


def test_efficiency_follows_from_a_days_energy_and_a_years_compute() -> None:
    assert close(joules_per_flop(850_000 * 365, 10**27), Decimal("1.117E-12"), "0.0005")


def test_every_result_lists_its_steps_and_its_table() -> None:
    result = emissions(SiteEnergy(Decimal("0.5")), "FRA", BUILT_IN)

    assert [(step.name, step.value, step.unit) for step in result.steps] == [
        ("site energy", Decimal("0.5"), "kWh"),
        ("FRA 2023", Decimal("56.039"), "g CO2e/kWh"),
        ("site energy x factor", Decimal("28.0195"), "g CO2e"),
    ]
    assert (result.kilograms, result.tonnes) == (Decimal("0.0280195"), Decimal("0.0000280195"))
    assert (result.table_version, result.default_factor) == (BUILT_IN.version, False)


@pytest.mark.parametrize("country", ["", "XXX", "fra"])
def test_an_unknown_country_gets_the_world_average_and_says_so(country: str) -> None:
    result = emissions(SiteEnergy(Decimal(2)), country, BUILT_IN)

    assert (result.grams, result.zone, result.default_factor) == (Decimal(950), "WORLD", True)


def test_the_latest_year_of_a_country_wins_wherever_it_stands() -> None:
    years = [Factor("FRA", 2022, Decimal(85)), Factor("FRA", 2023, Decimal(56)), Factor("FRA", 2021, Decimal(68))]

    table = factor_table("v", "s", "l", years, WORLD_AVERAGE)

    assert table.factor("FRA") == Factor("FRA", 2023, Decimal(56))


def test_pue_below_one_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        at_site(ItEnergy(Decimal(1)), Decimal("0.99"))


@pytest.mark.parametrize(
    ("claimed", "recomputed", "differs"),
    [(101, 100, False), (Decimal("101.01"), 100, True), (99, 100, False), (98, 100, True), (0, 0, False), (1, 0, True)],
)
def test_one_per_cent_is_the_line(claimed: Exact, recomputed: Exact, differs: bool) -> None:
    assert differs_materially(claimed, recomputed) == differs


@given(decimals, decimals, st.decimals(1, 3, places=6))
def test_sums_and_products_keep_every_digit(one: Decimal, other: Decimal, pue: Decimal) -> None:
    assert Fraction(total_energy([SiteEnergy(one), SiteEnergy(other)]).kwh) == Fraction(one) + Fraction(other)
    assert Fraction(at_site(ItEnergy(one), pue).kwh) == Fraction(one) * Fraction(pue)
    assert Fraction(emissions(SiteEnergy(one), "FRA", BUILT_IN).tonnes) == Fraction(one) * Fraction("56.039") / 10**6
