"""The guide to the calculators: every example in it gives what is printed below it."""

import doctest
from pathlib import Path

from registry.engine import emissions

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "calculators.md"


def test_every_example_of_the_guide_gives_what_it_shows() -> None:
    examples = doctest.DocTestParser().get_doctest(GUIDE.read_text(), {}, GUIDE.name, str(GUIDE), 0)
    complaints: list[str] = []

    results = doctest.DocTestRunner().run(examples, out=complaints.append)

    assert not results.failed, "".join(complaints)
    assert len(examples.examples) > 40


def test_the_guide_shows_every_calculator() -> None:
    guide = GUIDE.read_text()
    calculators = {name for name in emissions.__all__ if name[0].islower()}
    explained_in_their_place = {
        "codecarbon_power_has_pue", "differs_materially", "from_grams", "from_kwh", "hardware_flop",
        "inference_flop_per_token", "joules_per_flop", "memory_gb", "pue_left_out", "round_share", "total_energy",
        "training_flop",
    }  # fmt: skip

    assert {name for name in calculators if f"{name}(" not in guide} == explained_in_their_place
