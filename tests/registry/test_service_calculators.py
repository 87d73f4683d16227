"""The table of calculators: each gives what the guide shows, and says where figures make no sense."""

from pathlib import Path

import pytest

from registry.services.calculators import CALCULATORS
from registry.services.calculators.parts import InputsRefused, plain
from tests.cast import OPENING, Regulator
from tests.registry.gridded import intensity_file, load

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "calculators.md"

FIRST_FIGURES = {
    "training-compute": "315000000000000000000000",
    "active-parameters": "10000000000",
    "adapter-compute": "32120000000000000000",
    "network-compute": "2833920000000000000",
    "hardware-compute": "43938858240000000000000000",
    "request-compute": "12800000000000",
    "serving-compute": "16000000000000000000000",
    "device-energy": "1289376",
    "counter-energy": "0.003",
    "host-energy": "0.0213888888884",
    "emissions": "0.056039",
    "hourly-emissions": "0.02216838",
    "market-emissions": "0.006",
    "fuel-mix": "731.59",
    "american-factor": "453.59237",
    "sci": "36290/219",
    "llmcarbon": "1040732/22755",
    "llmcarbon-embodied": "1596096/28515625",
    "llmcarbon-hardware": "1503.41373271875",
    "request-estimate": "0.20160209720587935",
    "size-class": "C",
    "stars": "5",
    "thresholds": "general-purpose model",
    "modifier": "no provider by it",
    "bridge": "1000000000000000000000000000",
    "plausibility": "1",
    "training-prior": "",
}
"""What the first example of each gives; published trainings are loaded in a test of their own."""


@pytest.mark.django_db
def test_every_example_can_be_worked_out_and_the_first_gives_what_the_guide_says() -> None:
    firsts = {}
    for name, calculator in CALCULATORS.items():
        if name == "training-prior":
            continue
        outcomes = [calculator.run(example.typed, OPENING) for example in calculator.examples]
        firsts[name] = plain(outcomes[0].figures[0].value)
        assert all(plain(step.value) for outcome in outcomes for step in outcome.steps)

    assert set(FIRST_FIGURES) == set(CALCULATORS)
    for name, figure in firsts.items():
        assert figure == FIRST_FIGURES[name], name


def test_the_guide_has_the_address_of_every_calculator() -> None:
    guide = GUIDE.read_text()

    assert [name for name in CALCULATORS if f"/calculators/{name}/" not in guide] == []


@pytest.mark.parametrize(
    ("name", "typed", "refused"),
    [
        ("emissions", {"kwh": "-1", "country": "FRA"}, {"kwh": "not_a_number"}),
        ("emissions", {"kwh": "1"}, {"country": "place_missing"}),
        ("emissions", {"kwh": "1", "country": "FRA", "year": "1999"}, {"year": "year_unknown"}),
        ("emissions", {"kwh": "1" * 31, "country": "FRA"}, {"kwh": "too_many_digits"}),
        ("training-compute", {}, {"parameters": "figure_missing", "tokens": "figure_missing"}),
        ("training-compute", {"parameters": "1.5", "tokens": "1e99"},
         {"parameters": "not_whole", "tokens": "out_of_range"}),
        ("training-compute", {"parameters": "1", "tokens": "1", "heads": "8"}, {"layers": "attention_incomplete"}),
        ("active-parameters", {"shared": "1", "per_expert": "1", "experts": "2", "experts_per_token": "3"},
         {"experts_per_token": "more_experts_than_there_are"}),
        ("request-compute", {"parameters": "1", "tokens_in": "1", "tokens_out": "1", "cached": "2"},
         {"cached": "more_cached_than_read"}),
        ("serving-compute", {"tokens": "1", "flop_per_token": "1", "watts": "700"}, {"it_kwh": "check_incomplete"}),
        ("device-energy", {"device_hours": "1", "watts": "0", "pue": "0.9"},
         {"watts": "out_of_range", "pue": "out_of_range"}),
        ("counter-energy", {"readings": "5"}, {"readings": "readings_missing"}),
        ("counter-energy", {"readings": "5\n6", "counter": "processor"}, {"range": "range_missing"}),
        ("host-energy", {"domains": "psys 1\npsys 2"}, {"domains": "domain_twice"}),
        ("hourly-emissions", {"zone": "?", "start": "2022-01-01 00:30", "kwh": "1"}, {"start": "not_an_hour"}),
        ("hourly-emissions", {"zone": "?", "start": "2022-01-01 00:00", "kwh": "1"}, {"zone": "not_a_zone"}),
        ("hourly-emissions", {"zone": "FRA", "start": "2022-01-01 00:00", "kwh": "1e-13"}, {"kwh": "energy_too_fine"}),
        ("market-emissions", {"hours": "1"}, {"hours": "row_malformed"}),
        ("fuel-mix", {"shares": "coal 0.5"}, {"shares": "shares_not_one"}),
        ("fuel-mix", {"shares": "peat 1", "factors": "magic"}, {"factors": "not_a_choice"}),
        ("llmcarbon-embodied", {"parts": "A100 1 1", "days": "1"}, {"parts": "part_unknown"}),
        ("request-estimate", {"total_billions": "8", "shape": "moe", "tokens_out": "1"},
         {"active_billions": "active_missing"}),
        ("request-estimate", {"total_billions": "8", "tokens_out": "1", "pue_high": "1"},
         {"pue_high": "range_reversed"}),
        ("stars", {"board": "ant 1\nant 2", "on": "2026-02-01"}, {"board": "model_twice"}),
        ("stars", {"board": "ant 1", "on": "2026-02-30"}, {"on": "not_a_day"}),
        ("training-prior", {"model": "GPT-4"}, {"model": "nothing_loaded"}),
    ],
)  # fmt: skip
@pytest.mark.django_db
def test_what_makes_no_sense_is_refused_at_its_field(name: str, typed: dict[str, str], refused: dict[str, str]) -> None:
    with pytest.raises(InputsRefused) as caught:
        CALCULATORS[name].run(typed, OPENING)

    assert {one.name: one.code for one in caught.value.refusals} == refused


@pytest.mark.django_db(transaction=True)
def test_hours_are_reckoned_with_the_set_that_is_loaded(regulator: Regulator) -> None:
    load(regulator, intensity_file("CISO", ["100", "", "310.5"]))

    found = CALCULATORS["hourly-emissions"].run(
        {"zone": "ciso", "start": "2026-01-01 00:00", "kwh": "1\n1\n2", "country": "USA"}, OPENING
    )

    assert plain(found.figures[1].value) == "1031.5"  # the hour that is missing takes the higher of those beside it
    assert "1 of 3 hours were filled: the higher of the hours beside it." in found.notes
