"""Planning a green tariff on any zone and year whose hours are loaded. Nothing is stored, and nothing is claimed."""

from dataclasses import dataclass
from datetime import UTC, datetime

from common.errors import Unknown, require
from registry.engine.flexing import (
    Estimate,
    GridYear,
    Offer,
    Scenario,
    Sensitivity,
    best_offer,
    estimate,
    offers_by_hours,
    sensitivities,
)
from registry.engine.grid import Fill
from registry.services.grid import intensities

HOURS_OF_A_DAY = 24


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


def plan(loaded: Loaded, scenario: Scenario, offer: Offer) -> Planned:
    """Work out what an offer would have done, beside the best offer of its kind."""
    return Planned(
        loaded=loaded,
        asked=estimate(scenario, offer, loaded.grid),
        best=best_offer(scenario, loaded.grid, offer.shift_hours),
        by_hours=tuple(offers_by_hours(scenario, loaded.grid, offer.shift_hours)),
    )


def sensitivity(loaded: Loaded, scenario: Scenario, offer: Offer) -> list[Sensitivity]:
    """Work out how the offer answers to each assumption."""
    return sensitivities(scenario, offer, loaded.grid)
