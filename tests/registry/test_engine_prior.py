"""What Epoch's data lead to expect of a training, and where a reported figure lies beside it."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.engine.prior import Prior, compare_training, expected_training
from registry.importers.epoch import NotableModel, ParsedModels, parse_notable_models


def trained(
    name: str, flop: int | None, *, parameters: int | None = None, hardware: str = "", confidence: str = "Confident"
) -> NotableModel:
    size = None if parameters is None else Decimal(parameters)
    return NotableModel(2, name, ("Quill",), None, flop, size, "", None, hardware, None, None, confidence, "")


SIZED = [trained(f"owl-{flop}", flop, parameters=10, hardware="H100,TPU v4") for flop in (5, 1, 9, 8)]


@pytest.mark.parametrize(
    ("confidence", "lowest", "highest"), [("Confident", 30, 270), ("Likely", 9, 900), ("", 3, 2700)]
)
def test_a_model_of_the_same_name_says_most(confidence: str, lowest: int, highest: int) -> None:
    known = [*SIZED, trained("Elk 7", 90, confidence=confidence)]

    found = expected_training(known, model=" elk 7", parameters=Decimal(10))

    assert found == Prior("model", lowest, 90, highest, ("Elk 7",))


@pytest.mark.parametrize(
    ("asked", "basis"),
    [
        ({"parameters": Decimal(10), "hardware": "H100"}, "size"),
        ({"parameters": Decimal(5)}, "size"),
        ({"parameters": Decimal(20)}, "size"),
        ({"parameters": Decimal(21), "hardware": "tpu v4"}, "hardware"),
        ({"parameters": Decimal("4.9"), "organisation": "quill"}, "organisation"),
        ({"model": "elk", "organisation": "Quill"}, "organisation"),
    ],
)
def test_the_most_telling_group_is_taken_and_named(asked: dict[str, object], basis: str) -> None:
    found = expected_training(SIZED, **asked)  # type: ignore[arg-type]

    assert found == Prior(basis, 1, 7, 9, ("owl-1", "owl-5", "owl-8", "owl-9"))


def test_two_models_or_unknown_compute_say_nothing() -> None:
    assert expected_training(SIZED[:2], parameters=Decimal(10), organisation="Quill") is None
    assert expected_training([trained("elk", None)] * 5, model="elk", organisation="Quill") is None
    assert expected_training(SIZED) is None


@pytest.mark.parametrize(("flop", "verdict"), [(0, "below"), (1, "within"), (9, "within"), (10, "above")])
def test_the_ends_of_the_range_belong_to_it(flop: int, verdict: str) -> None:
    prior = Prior("size", 1, 5, 9, ())

    assert (compare_training(flop, prior).verdict, compare_training(flop, prior).times_median) == (
        verdict,
        Fraction(flop, 5),
    )


def test_the_genuine_data_find_gpt_3_plausible_and_a_slip_of_a_thousand_not(shared_data: Path) -> None:
    parsed = parse_notable_models((shared_data / "epoch" / "notable_ai_models_2025-12-02.csv").read_bytes())
    assert isinstance(parsed, ParsedModels)

    by_name = expected_training(parsed.models, model="GPT-3 175B (davinci)")
    by_size = expected_training(parsed.models, parameters=Decimal("175e9"))

    assert by_name is not None and by_size is not None
    assert compare_training(314 * 10**21, by_name).verdict == "within"
    assert compare_training(314 * 10**24, by_name).verdict == "above"
    assert by_size.basis == "size" and "GPT-3 175B (davinci)" in by_size.models
    assert by_size.lowest_flop <= by_size.median_flop <= by_size.highest_flop


@given(st.lists(st.integers(1, 10**30), min_size=3, max_size=12))
def test_the_median_has_as_many_above_as_below(figures: list[int]) -> None:
    found = expected_training([trained(str(n), flop) for n, flop in enumerate(figures)], organisation="Quill")

    assert found is not None
    below = sum(flop < found.median_flop for flop in figures)
    above = sum(flop > found.median_flop for flop in figures)
    assert max(below, above) <= len(figures) // 2
    assert (found.lowest_flop, found.highest_flop) == (min(figures), max(figures))
