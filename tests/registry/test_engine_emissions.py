"""Emissions arithmetic: PUE counts once, every result lists its steps, and nothing is rounded on the way."""

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
    differs_materially,
    emissions,
    mix_intensity,
    pue_left_out,
    total_energy,
)
from registry.engine.factors import BUILT_IN, WORLD_AVERAGE, Factor, factor_table
from registry.engine.rounding import Exact

decimals = st.decimals(min_value=0, max_value=10**12, places=20)


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
