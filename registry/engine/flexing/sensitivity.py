"""How a plan answers to each of its assumptions, one at a time: shares, hours, energy and prices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from registry.engine.flexing.hours import HOURS_OF_A_DAY
from registry.engine.flexing.planning import (
    MOST_SHIFTED_HOURS,
    Estimate,
    GridYear,
    Offer,
    Scenario,
    estimate,
    with_point_energy,
)

STEPS = tuple(range(-50, 51, 10))
"""Changes in per cent."""


@dataclass(frozen=True)
class Step:
    """One value of an assumption and what the plan gives with it; `percent` is its change, where it is changed so."""

    estimated_value: float
    percent: int | None
    result: Estimate


@dataclass(frozen=True)
class Sensitivity:
    """An assumption over its values, in order. Values that make no sense, such as a share above 1, are left out."""

    code: str
    symbol: str
    label: str
    steps: tuple[Step, ...]

    @property
    def estimated_swing(self) -> float:
        """How far the avoided share moves between the lowest and the highest."""
        shares = [step.result.estimated_share for step in self.steps]
        return max(shares) - min(shares)

    @property
    def estimated_margin_swing(self) -> float:
        """How far the margin moves between the lowest and the highest."""
        margins = [step.result.estimated_margin for step in self.steps]
        return max(margins) - min(margins)


def sensitivities(scenario: Scenario, offer: Offer, year: GridYear) -> list[Sensitivity]:
    """Change each assumption by itself, all others as they are."""
    flexed = scenario.points[offer.point]
    found = [
        _over("green_share", "s", "Green share", scenario.green_share, 1.0, lambda v: _with_share(scenario, offer, v)),
        _over("flexed_share", "f", "Flexed share", offer.flexed_share, 1.0, lambda v: (scenario, _flexing(offer, v))),
        _hours(offer),
        _over(
            "energy",
            "e_j" if offer.shift_hours is None else "e_0",
            f"Energy of a request at {flexed.code}",
            flexed.kwh_per_request,
            scenario.full.kwh_per_request if offer.point else None,
            lambda v: (with_point_energy(scenario, offer.point, v), offer),
        ),
        _price(scenario, offer, "electricity_per_kwh", "p_el", "Price of electricity"),
        _price(scenario, offer, "co2_per_tonne", "p_CO2", "Price of emissions"),
        _price(scenario, offer, "compute_per_exaflop", "p_FLOP", "Price of compute"),
    ]
    return [
        Sensitivity(
            code,
            symbol,
            label,
            tuple(
                Step(value, percent, estimate(*(changed or (scenario, replace(offer, hours_per_day=int(value)))), year))
                for value, percent, changed in rows
            ),
        )
        for code, symbol, label, rows in found
    ]


_Rows = tuple[str, str, str, Sequence[tuple[float, int | None, tuple[Scenario, Offer] | None]]]


def _over(
    code: str,
    symbol: str,
    label: str,
    value: float,
    highest: float | None,
    changed: Callable[[float], tuple[Scenario, Offer]],
) -> _Rows:
    values = [(value * (100 + percent) / 100, percent) for percent in STEPS]
    kept = [(v, percent) for v, percent in values if highest is None or v <= highest]
    return code, symbol, label, [(v, percent, changed(v)) for v, percent in kept]


def _hours(offer: Offer) -> _Rows:
    last = HOURS_OF_A_DAY if offer.shift_hours is None else MOST_SHIFTED_HOURS
    return "hours_per_day", "K", "High-carbon hours a day", [(float(k), None, None) for k in range(1, last + 1)]


def _price(scenario: Scenario, offer: Offer, name: str, symbol: str, label: str) -> _Rows:
    def changed(value: float) -> tuple[Scenario, Offer]:
        return replace(scenario, prices=replace(scenario.prices, **{name: value})), offer

    return _over(name, symbol, label, getattr(scenario.prices, name), None, changed)


def _with_share(scenario: Scenario, offer: Offer, share: float) -> tuple[Scenario, Offer]:
    return replace(scenario, green_share=share), offer


def _flexing(offer: Offer, share: float) -> Offer:
    return replace(offer, flexed_share=share)
