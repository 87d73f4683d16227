"""What published models lead to expect of a training: a prior for plausibility and conservative estimates, no figure.

The most telling comparison that is known is taken, and named:

| basis | compared with | range |
|---|---|---|
| model | the model of this name | its compute, wider the less its estimate is trusted |
| size | models with half to twice the parameters | the least to the most of them |
| hardware | models trained on the same hardware | the least to the most of them |
| organisation | models of the same organisation | the least to the most of them |

A group of fewer than three says nothing and is passed over. A figure outside a range asks for an explanation and is
never refused for it: every record was implausible once.

Trust in an estimate is Epoch AI's: 90 per cent of confident figures lie within a factor of 3, of likely ones within 10,
of speculative ones within 30.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Protocol

from registry.engine.rounding import exact, half_up

FEWEST = 3
WIDEST_SIZE = 2
FACTOR_OF_TRUST = {"Confident": 3, "Likely": 10, "Speculative": 30}
UNTRUSTED = 30


class KnownTraining(Protocol):
    """A published model; what is not known of it is None or empty."""

    @property
    def model(self) -> str: ...
    @property
    def organisations(self) -> Sequence[str]: ...
    @property
    def training_flop(self) -> int | None: ...
    @property
    def parameters(self) -> Decimal | None: ...
    @property
    def hardware(self) -> str: ...
    @property
    def confidence(self) -> str: ...


@dataclass(frozen=True)
class Prior:
    """What to expect, in FLOP: the middle of a comparison and its ends, with the models that it rests on."""

    basis: str
    lowest_flop: int
    median_flop: int
    highest_flop: int
    models: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """A reported figure beside a prior: `within` its range, `below` or `above` it, and how often the median it is."""

    verdict: str
    times_median: Fraction
    prior: Prior


def expected_training(
    known: Iterable[KnownTraining],
    *,
    model: str = "",
    parameters: Decimal | None = None,
    hardware: str = "",
    organisation: str = "",
) -> Prior | None:
    """Return the most telling prior for a training of which at least one of these is known; or nothing."""
    trained = [one for one in known if one.training_flop]
    same = [one for one in trained if model and _plain(one.model) == _plain(model)]
    if same:
        return _of_model(same[0])

    def is_of_size(one: KnownTraining) -> bool:
        if not parameters or not one.parameters:
            return False
        return exact(parameters) <= WIDEST_SIZE * exact(one.parameters) <= WIDEST_SIZE**2 * exact(parameters)

    def is_on_hardware(one: KnownTraining) -> bool:
        return bool(hardware) and _plain(hardware) in map(_plain, one.hardware.split(","))

    def is_of_organisation(one: KnownTraining) -> bool:
        return bool(organisation) and _plain(organisation) in map(_plain, one.organisations)

    groups: tuple[tuple[str, Callable[[KnownTraining], bool]], ...] = (
        ("size", is_of_size),
        ("hardware", is_on_hardware),
        ("organisation", is_of_organisation),
    )
    for basis, belongs in groups:
        group = [one for one in trained if belongs(one)]
        if len(group) >= FEWEST:
            return _of_group(basis, group)
    return None


def compare_training(flop: int, prior: Prior) -> Comparison:
    """Say where a reported figure lies beside its prior; the ends of the range belong to it."""
    assert flop >= 0 and prior.median_flop > 0
    verdict = "within"
    if flop < prior.lowest_flop:
        verdict = "below"
    elif flop > prior.highest_flop:
        verdict = "above"
    return Comparison(verdict, Fraction(flop, prior.median_flop), prior)


def _of_model(found: KnownTraining) -> Prior:
    flop, factor = found.training_flop or 0, FACTOR_OF_TRUST.get(found.confidence, UNTRUSTED)
    return Prior("model", half_up(Fraction(flop, factor)), flop, flop * factor, (found.model,))


def _of_group(basis: str, group: Collection[KnownTraining]) -> Prior:
    figures = sorted(one.training_flop or 0 for one in group)
    middle = len(figures) // 2
    median = figures[middle] if len(figures) % 2 else half_up(Fraction(figures[middle - 1] + figures[middle], 2))
    return Prior(basis, figures[0], median, figures[-1], tuple(sorted(one.model for one in group)))


def _plain(name: str) -> str:
    """Return a name for comparing: case and spaces at its ends do not matter."""
    return name.strip().casefold()
