"""What does not fit is found, by its code; what fits is left alone, also at the very limit."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from registry.engine.emissions import Figures, codecarbon_power_has_pue, findings, round_share

D = Decimal


def codes(figures: Mapping[str, Any]) -> list[str]:
    return [finding.code for finding in findings(Figures(**figures))]


HOUR = D(3600)
GPT_3: dict[str, Any] = {"kwh": D(1_287_000), "g_per_kwh": D(429), "pue": D("1.10")}
DEVICES = {"devices": 10, "rated_watts": D(700), "duration_s": HOUR}
SPEED = {"devices": 10, "peak_flop_per_second": D("1E15"), "duration_s": HOUR}
ODD = [D(number) for number in (1213, 3417, 5519, 7243, 9677, 1187, 2741, 3359, 4673, 5881)]


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({}, []),
        ({"kwh": D(6), "parts_kwh": {"cpu": D(1), "gpu": D(4), "ram": D(1)}}, []),
        ({"kwh": D(6), "parts_kwh": {"cpu": D(1), "gpu": D(4), "ram": D("1.0000001")}}, ["energy_sum_differs"]),
        # Energy against power and time; the PUE is in the power or not by the version of the client.
        ({"kwh": D(1), "watts": D(1000), "duration_s": HOUR}, []),
        ({"kwh": D("1.051"), "watts": D(1000), "duration_s": HOUR}, ["energy_power_mismatch"]),
        ({"kwh": D("1.5"), "watts": D(1000), "duration_s": HOUR, "pue": D("1.5"), "client_version": (2, 3, 5)}, []),
        (
            {"kwh": D("1.5"), "watts": D(1000), "duration_s": HOUR, "pue": D("1.5"), "client_version": (3, 3, 2)},
            ["energy_power_mismatch"],
        ),
        (
            {"kwh": D(1), "watts": D(1000), "duration_s": HOUR, "pue": D("1.5"), "client_version": (2, 3, 5)},
            ["energy_power_mismatch"],
        ),
        ({"kwh": D(1), "watts": D(1000), "duration_s": HOUR, "pue": D("1.5"), "client_version": (3, 2, 0)}, []),
        ({"kwh": D("0.00463"), "watts": D(1000), "duration_s": D(15)}, []),  # 11 per cent, within a sample of 15 s
        ({"duration_s": D(0)}, ["duration_not_positive"]),
        # The physical bound: 0.7075 pJ per FLOP on an H100.
        ({"kwh": D(1), "flop": D("5.08E18"), "hardware": "H100"}, []),
        ({"kwh": D(1), "flop": D("5.09E18"), "hardware": "H100"}, ["below_physical_bound"]),
        ({"kwh": D(1), "flop": D("5.09E18"), "hardware": "H100", "reduced_precision": True}, []),
        ({"kwh": D(1), "flop": D("5.09E18"), "hardware": "Abacus"}, []),
        # Claimed totals against their own inputs.
        ({**GPT_3, "claimed_kg": D(552_100)}, []),
        ({**GPT_3, "claimed_kg": D(502_000)}, ["pue_left_out"]),
        ({**GPT_3, "claimed_kg": D(607_300)}, ["pue_applied_twice"]),
        ({**GPT_3, "claimed_kg": D(700_000)}, ["implied_factor_differs"]),
        ({"kwh": D(100), "g_per_kwh": D(1000), "claimed_kg": D(101)}, []),
        ({"kwh": D(100), "g_per_kwh": D(1000), "claimed_kg": D("101.01")}, ["implied_factor_differs"]),
        # Ceiling and floor of ten devices of 700 W in an hour.
        ({**DEVICES, "kwh": D("8.4"), "pue": D("1.2")}, []),
        ({**DEVICES, "kwh": D("8.401"), "pue": D("1.2")}, ["energy_above_ceiling"]),
        ({**DEVICES, "kwh": D(21)}, []),
        ({**DEVICES, "kwh": D("21.1")}, ["energy_above_ceiling"]),
        ({**DEVICES, "kwh": D("0.7")}, []),
        ({**DEVICES, "kwh": D("0.699")}, ["energy_below_floor"]),
        # Utilisation and the two methods: at most 3.6E19 FLOP in the hour.
        ({**SPEED, "flop": D("2.34E19")}, []),
        ({**SPEED, "flop": D("2.35E19")}, ["utilisation_too_high"]),
        ({**SPEED, "flop": D("2.35E19"), "reduced_precision": True}, []),
        ({**SPEED, "flop": D("1E19"), "mean_utilisation": D("0.3")}, []),
        ({**SPEED, "flop": D("1E19"), "mean_utilisation": D("0.4")}, ["methods_disagree"]),
        # Tokens.
        ({"flop": 2000, "active_parameters": 10, "tokens": 100}, []),
        ({"flop": 20_000, "active_parameters": 10, "tokens": 100}, []),
        ({"flop": 1999, "active_parameters": 10, "tokens": 100}, ["flop_do_not_fit_tokens"]),
        ({"flop": 20_001, "active_parameters": 10, "tokens": 100}, ["flop_do_not_fit_tokens"]),
        # Ranges.
        ({"pue": D("1.02"), "wue": D(10), "utilisation_percent": D(100), "g_per_kwh": D(1500)}, []),
        (
            {"pue": D("1.01"), "wue": D("10.1"), "utilisation_percent": D(101), "g_per_kwh": D(1501)},
            ["pue_implausible", "wue_implausible", "utilisation_implausible", "intensity_implausible"],
        ),
        ({"pue": D("3.01"), "wue": D("-1")}, ["pue_implausible", "wue_implausible"]),
        # Energy per request: the published 0.047 and 2.907 kWh per 1,000 are plausible, 0.002 asks for a word.
        ({"kwh": D("0.047"), "requests": 1000}, []),
        ({"kwh": D("2.907"), "requests": 1000, "modality": "image"}, []),
        ({"kwh": D("0.002"), "requests": 1000}, ["energy_per_request_implausible"]),
        ({"kwh": D("0.4"), "requests": 1000, "modality": "image"}, ["energy_per_request_implausible"]),
        ({"kwh": D("50.1"), "requests": 1000}, ["energy_per_request_implausible"]),
        # From year to year.
        ({"kwh": D(130), "last_year_kwh": D(100)}, []),
        ({"kwh": D(131), "last_year_kwh": D(100)}, ["year_on_year"]),
        ({"kwh": D(69), "last_year_kwh": D(100)}, ["year_on_year"]),
        # Digits.
        ({"figures": ODD}, []),
        ({"figures": [D(1000)] * 9}, []),
        ({"figures": [*ODD[:5], *[D(1200)] * 5]}, []),
        ({"figures": [*ODD[:4], *[D(1200)] * 6]}, ["round_numbers"]),
    ],
)
def test_what_does_not_fit_is_found(figures: Mapping[str, Any], expected: list[str]) -> None:
    assert codes(figures) == expected


def test_the_published_pair_names_the_pue_as_its_factor() -> None:
    (finding,) = findings(Figures(**GPT_3, claimed_kg=D(502_000)))

    assert "inconsistent, factor 1.10 = PUE" in finding.sentence
    assert finding.expected == Fraction(552_123)


@pytest.mark.parametrize(
    ("version", "has_pue"),
    [((2, 3, 5), False), ((3, 1, 0), False), ((3, 2, 0), None), ((3, 3, 2), True), ((4, 0, 0), True)],
)
def test_clients_differ_in_the_pue_of_their_power(version: tuple[int, ...], has_pue: bool | None) -> None:
    assert codecarbon_power_has_pue(version) is has_pue


def test_a_round_figure_has_two_digits_and_zeros() -> None:
    assert round_share([D("1200000"), D("0.050"), D("1.20"), D("105"), D("123"), D(0)]) == Fraction(4, 6)
    assert round_share([]) == 0
