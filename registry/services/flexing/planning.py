"""Planning a green tariff on any zone and year whose hours are loaded. Nothing is stored, and nothing is claimed."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal

from common.errors import Refused, Unknown, require, require_none
from registry.engine.flexing import (
    Estimate,
    Floors,
    GridYear,
    Offer,
    Prices,
    Scenario,
    Sensitivity,
    ServedAt,
    Taste,
    best_offer,
    estimate,
    offers_by_hours,
    sensitivities,
)
from registry.engine.flexing.planning import MOST_SHIFTED_HOURS
from registry.engine.grid import Fill
from registry.services.grid import intensities

HOURS_OF_A_DAY = 24
LOWER, LATER = "lower", "later"
"""The two ways to flex: at once at a lower point, or at full quality later."""


@dataclass(frozen=True)
class Bounds:
    """What one assumption is called, in which unit, and between which figures it makes sense."""

    label: str
    unit: str
    lowest: Decimal
    highest: Decimal


def _between(label: str, unit: str, lowest: str, highest: str) -> Bounds:
    return Bounds(label, unit, Decimal(lowest), Decimal(highest))


_ENERGY = ("Wh", "0.000001", "1000000")
_SHARE = ("0 to 1", "0", "1")
_LATENCY = ("ms", "0.001", "86400000")
_WORK = ("TFLOP", "0", "1000000000000")
_MONEY = ("money", "0", "1000000")

BOUNDS = {
    "requests_per_hour": _between("Requests an hour", "requests", "1", "1000000000000"),
    "green_share": _between("Share of requests by green subscribers, s", *_SHARE),
    "flexed_share": _between("Share of these that is flexed, f", *_SHARE),
    "flex_cap": _between("Cap of the contract on f", *_SHARE),
    "hours_per_day": _between("High-carbon hours a day, K", "hours", "1", "24"),
    "shift_hours": _between("Put off by at most", "hours; 0: any hour of the day", "0", "23"),
    "full_wh": _between("Energy of a request at full quality (e0)", *_ENERGY),
    "full_accuracy": _between("Accuracy at full quality", *_SHARE),
    "full_latency_ms": _between("Latency at full quality", *_LATENCY),
    "full_tflop": _between("Compute of a request at full quality", *_WORK),
    "low_wh": _between("Energy of a request at the lower point (ej)", *_ENERGY),
    "low_accuracy": _between("Accuracy at the lower point", *_SHARE),
    "low_latency_ms": _between("Latency at the lower point", *_LATENCY),
    "low_tflop": _between("Compute of a request at the lower point", *_WORK),
    "accuracy_floor": _between("Lowest accuracy promised", *_SHARE),
    "latency_ceiling_ms": _between("Longest latency promised", *_LATENCY),
    "electricity_per_kwh": _between("Price of electricity", "money per kWh", "0", "1000"),
    "co2_per_tonne": _between("Price of emissions", "money per t CO2e", "0", "1000000"),
    "compute_per_exaflop": _between("Price of compute", "money per EFLOP", "0", "1000000"),
    "request_price": _between("Price of a request", *_MONEY),
    "accuracy_weight": _between("Weight of accuracy against latency, w", *_SHARE),
    "consciousness": _between("Environmental consciousness, g", *_SHARE),
    "utility_value": _between("Money value of full quality for one request, m", *_MONEY),
}


@dataclass(frozen=True)
class Assumptions:
    """What is planned with. The figures it begins with are the worked example of docs/guides/green-inference.md."""

    mode: str = LOWER
    requests_per_hour: Decimal = Decimal(100_000)
    green_share: Decimal = Decimal("0.4")
    flexed_share: Decimal = Decimal("0.5")
    flex_cap: Decimal = Decimal("0.5")
    hours_per_day: Decimal = Decimal(6)
    shift_hours: Decimal = Decimal(0)
    full_wh: Decimal = Decimal("0.34")
    full_accuracy: Decimal = Decimal("0.9")
    full_latency_ms: Decimal = Decimal(800)
    full_tflop: Decimal = Decimal(340)
    low_wh: Decimal = Decimal("0.1")
    low_accuracy: Decimal = Decimal("0.84")
    low_latency_ms: Decimal = Decimal(500)
    low_tflop: Decimal = Decimal(100)
    accuracy_floor: Decimal = Decimal("0.8")
    latency_ceiling_ms: Decimal = Decimal(2000)
    electricity_per_kwh: Decimal = Decimal("0.12")
    co2_per_tonne: Decimal = Decimal(80)
    compute_per_exaflop: Decimal = Decimal("0.05")
    request_price: Decimal = Decimal("0.002")
    accuracy_weight: Decimal = Decimal("0.6")
    consciousness: Decimal = Decimal("0.3")
    utility_value: Decimal = Decimal("0.0002")

    def require_sensible(self) -> None:
        """Refuse figures that make no sense, each of them by its name."""
        require_none(list(_wrong(self)))

    @property
    def scenario(self) -> Scenario:
        """The assumptions as the engine plans with them, in binary floats."""
        return Scenario(
            requests_per_hour=float(self.requests_per_hour),
            green_share=float(self.green_share),
            flex_cap=float(self.flex_cap),
            points=(
                _point("full quality", self.full_accuracy, self.full_latency_ms, self.full_wh, self.full_tflop),
                _point("the lower point", self.low_accuracy, self.low_latency_ms, self.low_wh, self.low_tflop),
            ),
            prices=Prices(
                electricity_per_kwh=float(self.electricity_per_kwh),
                co2_per_tonne=float(self.co2_per_tonne),
                compute_per_exaflop=float(self.compute_per_exaflop),
                request=float(self.request_price),
            ),
            taste=Taste(float(self.accuracy_weight), float(self.consciousness), float(self.utility_value)),
            floors=Floors(float(self.accuracy_floor), float(self.latency_ceiling_ms)),
        )

    @property
    def offer(self) -> Offer:
        """How the requests are flexed."""
        lower = self.mode == LOWER
        return Offer(
            point=1 if lower else 0,
            hours_per_day=int(self.hours_per_day),
            flexed_share=float(self.flexed_share),
            shift_hours=None if lower else int(self.shift_hours),
        )


NAMES = tuple(each.name for each in fields(Assumptions))


@dataclass(frozen=True)
class Loaded:
    """A year of a zone as it is planned with: its complete days, those left out, and the sets it comes from."""

    zone: str
    year: int
    grid: GridYear
    days_left_out: int
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """What was asked, what the best offer would be, and how the number of hours matters."""

    loaded: Loaded
    asked: Estimate
    best: Estimate | None
    by_hours: tuple[Estimate, ...]


def zones_and_years(now: datetime) -> list[tuple[str, int]]:
    """Return the zones whose hours are loaded with each of their years, by name and the latest year first."""
    found = set()
    for one in intensities.effective_sets(now):
        if one.resolution != "hour":
            continue
        for zone, span in one.zones.items():
            found |= {(zone, year) for year in range(int(str(span["first"])[:4]), int(str(span["last"])[:4]) + 1)}
    return sorted(found, key=lambda each: (each[0], -each[1]))


def load(zone: str, year: int, now: datetime) -> Loaded:
    """Read a year of a zone. Only days of which all 24 UTC hours are known are planned with: nothing is filled."""
    if (zone, year) not in zones_and_years(now):
        raise Unknown("zone_year_unknown", "No hours of this zone and year are loaded. Choose one of the list.")
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    series = intensities.series(zone, start, end, at=now)
    values = [micro / 1_000_000 for micro in series.micro_g_per_kwh]
    spans = range(0, len(values), HOURS_OF_A_DAY)
    days = tuple(
        tuple(values[first : first + HOURS_OF_A_DAY])
        for first in spans
        if all(fill is Fill.KNOWN for fill in series.fills[first : first + HOURS_OF_A_DAY])
    )
    require(bool(days), "no_complete_day", f"No day of {zone} in {year} is known in all of its hours.")
    require(max(map(max, days)) > 0, "nothing_emitted", f"{zone} emitted nothing in {year}: there is nothing to plan.")
    return Loaded(zone, year, GridYear(days), len(spans) - len(days), series.versions)


def plan(loaded: Loaded, assumed: Assumptions) -> Planned:
    """Work out what an offer would have done, beside the best offer of its kind."""
    assumed.require_sensible()
    scenario, offer = assumed.scenario, assumed.offer
    return Planned(
        loaded=loaded,
        asked=estimate(scenario, offer, loaded.grid),
        best=best_offer(scenario, loaded.grid, offer.shift_hours),
        by_hours=tuple(offers_by_hours(scenario, loaded.grid, offer.shift_hours)),
    )


def sensitivity(loaded: Loaded, assumed: Assumptions) -> list[Sensitivity]:
    """Work out how the offer answers to each assumption."""
    assumed.require_sensible()
    return sensitivities(assumed.scenario, assumed.offer, loaded.grid)


def _point(code: str, accuracy: Decimal, latency_ms: Decimal, watt_hours: Decimal, tflop: Decimal) -> ServedAt:
    return ServedAt(code, float(accuracy), float(latency_ms), float(watt_hours) / 1000, float(tflop) * 1e12)


def _wrong(assumed: Assumptions) -> Iterator[Refused]:
    if assumed.mode not in (LOWER, LATER):
        yield Refused("mode_unknown", "Choose lower, for a lower point at once, or later, for full quality later.")
    for name, bounds in BOUNDS.items():
        value = getattr(assumed, name)
        if not value.is_finite() or not bounds.lowest <= value <= bounds.highest:
            sentence = f"{bounds.label}: enter a figure from {bounds.lowest:f} to {bounds.highest:f}."
            yield Refused(f"{name}_out_of_range", sentence)
        elif name in ("hours_per_day", "shift_hours") and value != int(value):
            yield Refused(f"{name}_out_of_range", f"{bounds.label}: enter a whole number of hours.")
    if assumed.flexed_share > assumed.flex_cap:
        yield Refused(
            "flexed_share_out_of_range", "No more is flexed than the contract allows: lower f or raise its cap."
        )
    if assumed.low_wh > assumed.full_wh:
        yield Refused("low_wh_out_of_range", "The lower point draws no more than full quality.")
    if assumed.low_accuracy > assumed.full_accuracy:
        yield Refused("low_accuracy_out_of_range", "The lower point is no more accurate than full quality.")
    if assumed.mode == LATER and assumed.hours_per_day > MOST_SHIFTED_HOURS:
        yield Refused("hours_per_day_out_of_range", f"At most {MOST_SHIFTED_HOURS} hours of a day can be put off.")
    if assumed.mode == LOWER and not assumed.scenario.is_kept(assumed.scenario.points[1]):
        yield Refused(
            "accuracy_floor_out_of_range", "The lower point does not keep the floors: lower them, or choose another."
        )
