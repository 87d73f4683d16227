"""Planning a green tariff on a past year of a grid: what would have been avoided, and whether it would have paid.

Everything here is an estimate in binary floats for somebody who designs a tariff. Nothing of it is ever claimed: claims
are worked out exactly in avoided.py, from what was really served.

Symbols of docs/guides/green-inference.md: requests N per hour, green share s, flexed share f, the K dirtiest hours of
each day, operating point j with accuracy a_j, latency l_j and energy e_j, weight of accuracy w, environmental
consciousness g, money value of a unit of utility m.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate

from registry.engine.flexing.hours import HOURS_OF_A_DAY

ANY_HOUR = 0
"""A deadline that lets a request be served in any hour of its day, also an earlier one: the most that moving gives."""
MOST_SHIFTED_HOURS = HOURS_OF_A_DAY // 2
"""Half a day can be moved into the other half, hour by hour."""


@dataclass(frozen=True)
class ServedAt:
    """An operating point as it is planned."""

    code: str
    accuracy: float
    latency_ms: float
    kwh_per_request: float
    flop_per_request: float = 0.0


@dataclass(frozen=True)
class Prices:
    """Money per kWh, per tonne of CO2e, per 10^18 FLOP, and what one request is sold for."""

    electricity_per_kwh: float
    co2_per_tonne: float
    compute_per_exaflop: float
    request: float


@dataclass(frozen=True)
class Taste:
    """What subscribers want: w between latency (0) and accuracy (1), g from 0 to 1, and m in money."""

    accuracy_weight: float
    consciousness: float
    utility_value: float


@dataclass(frozen=True)
class Floors:
    """The worst that a tariff promises."""

    accuracy: float
    latency_ms: float


@dataclass(frozen=True)
class Scenario:
    """Who asks, how the model can be run (point 0 is full quality), what things cost, and what people want."""

    requests_per_hour: float
    green_share: float
    flex_cap: float
    points: tuple[ServedAt, ...]
    prices: Prices
    taste: Taste
    floors: Floors

    @property
    def full(self) -> ServedAt:
        """The point of full quality."""
        return self.points[0]

    def is_kept(self, point: ServedAt) -> bool:
        """Say whether a point keeps the floors."""
        return point.accuracy >= self.floors.accuracy and point.latency_ms <= self.floors.latency_ms

    def estimated_quality(self, point: ServedAt) -> float:
        """Return q_j = w A_j + (1 - w) L_j: how good a request is between the floors (0) and the best point (1)."""
        best, quickest = max(p.accuracy for p in self.points), min(p.latency_ms for p in self.points)
        accuracy = _between(point.accuracy, self.floors.accuracy, best)
        latency = 1 - _between(point.latency_ms, quickest, self.floors.latency_ms)
        return self.taste.accuracy_weight * accuracy + (1 - self.taste.accuracy_weight) * latency


@dataclass(frozen=True)
class Offer:
    """How requests would be flexed: in the dirtiest hours of a day a share of the green ones, to a point or later.

    `shift_hours` puts requests off instead of lowering their quality; None lowers quality at once.
    """

    point: int
    hours_per_day: int
    flexed_share: float
    shift_hours: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What an offer would have done in the year. Mass in kg CO2e, money in the currency of the prices."""

    offer: Offer
    estimated_baseline_kg: float
    estimated_energy_effect_kg: float
    estimated_timing_effect_kg: float
    estimated_flexed_requests: float
    estimated_saving: float
    estimated_discount: float
    estimated_green_requests: float
    estimated_threshold: float
    """The consciousness g* above which a subscriber needs no discount, at the mean of the flexed hours."""

    @property
    def estimated_avoided_kg(self) -> float:
        """Both effects together."""
        return self.estimated_energy_effect_kg + self.estimated_timing_effect_kg

    @property
    def estimated_share(self) -> float:
        """The part of the baseline that is avoided."""
        return self.estimated_avoided_kg / self.estimated_baseline_kg if self.estimated_baseline_kg else 0.0

    @property
    def estimated_margin(self) -> float:
        """What the provider keeps: saving less discount."""
        return self.estimated_saving - self.estimated_discount

    @property
    def is_viable(self) -> bool:
        """Whether the savings pay for the discounts that subscribers need."""
        return self.estimated_flexed_requests > 0 and self.estimated_margin >= 0

    def estimated_discount_share(self, request_price: float) -> float:
        """Return the discount as a part of what the green subscribers pay."""
        revenue = self.estimated_green_requests * request_price
        return self.estimated_discount / revenue if revenue else 0.0


@dataclass(frozen=True)
class GridYear:
    """The complete UTC days of a zone in a year, in g CO2e per kWh. Days with a missing hour are left out before."""

    days: tuple[tuple[float, ...], ...]
    _dirtiest: dict[int, "_Hours"] = field(default_factory=dict, compare=False, repr=False)
    _moves: dict[tuple[int, int], "_Moves"] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        assert self.days and all(len(day) == HOURS_OF_A_DAY for day in self.days)

    @cached_property
    def estimated_total(self) -> float:
        """The sum over all hours."""
        return sum(map(sum, self.days))

    @cached_property
    def estimated_highest(self) -> float:
        """The dirtiest hour."""
        return max(map(max, self.days))

    @cached_property
    def ranked(self) -> tuple[tuple[int, ...], ...]:
        """The hours of each day, the dirtiest first."""
        hours = range(HOURS_OF_A_DAY)
        return tuple(tuple(sorted(hours, key=lambda hour, day=day: (-day[hour], hour))) for day in self.days)  # type: ignore[misc]

    def dirtiest(self, per_day: int) -> "_Hours":
        """Return the dirtiest hours of every day, remembered."""
        if per_day not in self._dirtiest:
            pairs = zip(self.days, self.ranked, strict=True)
            self._dirtiest[per_day] = _Hours([day[hour] for day, ranked in pairs for hour in ranked[:per_day]])
        return self._dirtiest[per_day]

    def moves(self, per_day: int, shift_hours: int) -> "_Moves":
        """Return how the dirtiest hours of every day are moved into its cleaner ones, remembered."""
        if (per_day, shift_hours) not in self._moves:
            pairs = zip(self.days, self.ranked, strict=True)
            moved = [move for day, ranked in pairs for move in _moves_of(day, ranked, per_day, shift_hours)]
            self._moves[per_day, shift_hours] = _Moves(
                _Hours([left - reached for left, reached in moved]), _Hours([left for left, _ in moved])
            )
        return self._moves[per_day, shift_hours]


class _Hours:
    """Values of many hours, sorted and summed up, so that sums of max(0, a - b x) take one look-up."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = sorted(values)
        self.sums = [0.0, *accumulate(self.values)]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def estimated_sum(self) -> float:
        return self.sums[-1]

    def estimated_excess(self, level: float, slope: float) -> float:
        """Return the sum of max(0, level - slope x) over all values."""
        if slope <= 0:
            return (
                max(0.0, level) * len(self.values)
                if slope == 0
                else sum(max(0.0, level - slope * x) for x in self.values)
            )
        count = bisect_left(self.values, level / slope)
        return level * count - slope * self.sums[count]


@dataclass(frozen=True)
class _Moves:
    """Hours that were left for cleaner ones: by how much cleaner, and how dirty they were."""

    gained: _Hours
    left: _Hours


def _moves_of(
    day: Sequence[float], ranked: Sequence[int], per_day: int, shift_hours: int
) -> Iterator[tuple[float, float]]:
    """Pair the dirtiest hours with the cleanest free ones, the dirtiest first; each takes the load of one hour.

    A request is served later on the day that the forecast covers, within the deadline, or in any hour of it.
    """
    free = set(ranked[per_day:])
    for hour in ranked[:per_day]:
        within = free if shift_hours == ANY_HOUR else {at for at in free if hour < at <= hour + shift_hours}
        best = min(within, key=lambda at: (day[at], at), default=None)
        if best is not None and day[best] < day[hour]:
            free.discard(best)
            yield day[hour], day[best]


def estimate(scenario: Scenario, offer: Offer, year: GridYear) -> Estimate:
    """Work out what an offer would have done on a year of a grid."""
    per_hour = scenario.requests_per_hour * scenario.green_share * offer.flexed_share
    full, taste, prices = scenario.full, scenario.taste, scenario.prices
    hours_in_all = len(year.days) * HOURS_OF_A_DAY
    if offer.shift_hours is None:
        point = scenario.points[offer.point]
        cheaper = full.kwh_per_request - point.kwh_per_request
        hours = year.dirtiest(offer.hours_per_day)
        energy_g, timing_g = per_hour * cheaper * hours.estimated_sum, 0.0
        saved_kwh = per_hour * cheaper * len(hours)
        saved_flop = per_hour * (full.flop_per_request - point.flop_per_request) * len(hours)
        lost_quality = scenario.estimated_quality(full) - scenario.estimated_quality(point)
        cleaner, per_gram = hours, cheaper / full.kwh_per_request / year.estimated_highest
    else:
        moves = year.moves(offer.hours_per_day, offer.shift_hours)
        hours, cleaner = moves.left, moves.gained
        energy_g, timing_g = 0.0, per_hour * full.kwh_per_request * cleaner.estimated_sum
        saved_kwh = saved_flop = 0.0
        lost_quality = 1 - taste.accuracy_weight  # who waits for hours has the longest latency there is
        per_gram = 1 / year.estimated_highest
    level = taste.utility_value * (1 - taste.consciousness) * lost_quality
    slope = taste.utility_value * taste.consciousness * per_gram
    mean_gain = per_gram * cleaner.estimated_sum / len(cleaner) if len(cleaner) else 0.0
    return Estimate(
        offer=offer,
        estimated_baseline_kg=scenario.requests_per_hour * full.kwh_per_request * year.estimated_total / 1000,
        estimated_energy_effect_kg=energy_g / 1000,
        estimated_timing_effect_kg=timing_g / 1000,
        estimated_flexed_requests=per_hour * len(hours),
        estimated_saving=saved_kwh * prices.electricity_per_kwh
        + (energy_g + timing_g) / 1e6 * prices.co2_per_tonne
        + saved_flop / 1e18 * prices.compute_per_exaflop,
        estimated_discount=per_hour * cleaner.estimated_excess(level, slope),
        estimated_green_requests=scenario.requests_per_hour * scenario.green_share * hours_in_all,
        estimated_threshold=_threshold(lost_quality, mean_gain),
    )


def best_offer(scenario: Scenario, year: GridYear, shift_hours: int | None = None) -> Estimate | None:
    """Choose the point, the hours, the flexed share and the discount that leave the provider most.

    The discount is the least that subscribers need, and the margin grows in proportion to the flexed share, so that
    the share is the cap of the contract wherever anything is left. Points below the floors are never chosen. Where
    nothing pays there is no offer; where two offers leave the same, that with fewer hours is chosen.
    """
    found = [found for found in offers_by_hours(scenario, year, shift_hours) if found.is_viable]
    return max(found, key=lambda each: (each.estimated_margin, -each.offer.hours_per_day), default=None)


def offers_by_hours(scenario: Scenario, year: GridYear, shift_hours: int | None = None) -> list[Estimate]:
    """Return the best that each number of hours a day can do, over the points that keep the floors."""
    if shift_hours is not None:
        candidates = [Offer(0, hours, scenario.flex_cap, shift_hours) for hours in range(1, MOST_SHIFTED_HOURS + 1)]
        return [estimate(scenario, offer, year) for offer in candidates]
    kept = [number for number, point in enumerate(scenario.points) if number and scenario.is_kept(point)]
    rows = []
    for hours in range(1, HOURS_OF_A_DAY + 1):
        found = [estimate(scenario, Offer(point, hours, scenario.flex_cap), year) for point in kept]
        if found:
            rows.append(max(found, key=lambda each: each.estimated_margin))
    return rows


def with_point_energy(scenario: Scenario, point: int, kwh_per_request: float) -> Scenario:
    """Return the scenario with another energy of one point."""
    points = list(scenario.points)
    points[point] = replace(points[point], kwh_per_request=kwh_per_request)
    return replace(scenario, points=tuple(points))


def _between(value: float, low: float, high: float) -> float:
    """Place a value between two ends, 0 to 1; where the ends meet, everything is at the upper one."""
    return (
        1.0
        if high <= low and value >= high
        else 0.0
        if high <= low
        else min(1.0, max(0.0, (value - low) / (high - low)))
    )


def _threshold(lost_quality: float, gain: float) -> float:
    """Return g*: above it what is gained in emissions outweighs what is lost in quality."""
    return lost_quality / (lost_quality + gain) if lost_quality + gain > 0 else 0.0
