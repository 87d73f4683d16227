"""What flexing avoided, exactly: for each lot of flexed requests what they would have emitted less what they did.

A request that came in hour h and was served in hour t at point j (t = h where it was not put off) avoids

    e_0 I_h - e_j I_t  =  (e_0 - e_j) I_h  +  e_j (I_h - I_t)
                          energy effect       timing effect

The baseline is thus what was emitted plus what was avoided: requests that were not flexed count as they were measured,
so that noise of the meters in other hours is never claimed. Every rounding is against the claimant: each effect of each
lot is rounded down to the microgram.
"""

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from registry.engine.flexing.facts import GREEN, Facts
from registry.engine.flexing.hours import high_hours
from registry.engine.grid import hour_at
from registry.engine.rounding import half_up

BASELINE_RULE = "lower-of-published-and-measured/1"
"""Energy per request in the baseline: what the tariff publishes for full quality, or the average of what was really
measured at that point in the claimed hours, whichever is lower. Publishing a high figure gains nothing."""

_TO_MICROGRAMS = 10**12
"""Energy in 10^-12 kWh times intensity in 10^-6 g per kWh is 10^-18 g."""


@dataclass(frozen=True)
class HourAvoided:
    """One hour of a claim. What is avoided is told where requests came, energy and emissions where it was drawn."""

    hour: int
    is_high: bool
    is_filled: bool
    requests: int
    flexed: int
    pico_kwh: int
    forecast: int | None
    intensity: int
    actual_ug: int
    energy_ug: int
    timing_ug: int

    @property
    def avoided_ug(self) -> int:
        """What the requests of this hour avoided, in micrograms."""
        return self.energy_ug + self.timing_ug


@dataclass(frozen=True)
class Avoided:
    """The figures of a claim in micrograms, each of them the sum of its hours."""

    baseline_energy: Fraction
    """Energy of one request in the baseline, in 10^-12 kWh."""
    actual_ug: int
    energy_ug: int
    timing_ug: int
    not_credited_ug: int
    """What would have been avoided by requests that touch an hour whose intensity was filled: nothing is claimed."""
    marginal_ug: int | None
    hours: tuple[HourAvoided, ...]

    @property
    def avoided_ug(self) -> int:
        """What is claimed."""
        return self.energy_ug + self.timing_ug

    @property
    def baseline_ug(self) -> int:
        """What would have been emitted at full quality and without delay."""
        return self.actual_ug + self.avoided_ug + self.not_credited_ug

    @property
    def share(self) -> Fraction:
        """What is avoided as a part of the baseline."""
        return Fraction(self.avoided_ug, self.baseline_ug) if self.baseline_ug else Fraction(0)

    @property
    def requests(self) -> int:
        """All requests of the claimed hours."""
        return sum(row.requests for row in self.hours)

    @property
    def flexed(self) -> int:
        """Those that were flexed."""
        return sum(row.flexed for row in self.hours)


@dataclass(frozen=True)
class Rebound:
    """Requests per subscriber, now and in the same hours a year earlier: cheap answers may be asked for more often."""

    now: Fraction
    before: Fraction | None

    @property
    def change(self) -> Fraction | None:
        """By which part it grew."""
        return self.now / self.before - 1 if self.before else None


def baseline_energy(facts: Facts) -> Fraction | None:
    """Return the energy of one request in the baseline, by BASELINE_RULE; nothing where none was measured."""
    full = [row for row in facts.served if row.point == facts.terms.full.code]
    requests = sum(row.requests for row in full)
    if not requests:
        return None
    return min(Fraction(facts.terms.full.pico_kwh), Fraction(sum(row.pico_kwh for row in full), requests))


def avoided(facts: Facts) -> Avoided:
    """Work a claim out. The facts have passed the checks that make it possible: every lot has its hours and records."""
    full_energy = baseline_energy(facts)
    assert full_energy is not None, "the checks refuse a baseline that nobody measured"
    per_request = _energy_per_request(facts)
    energy: defaultdict[int, int] = defaultdict(int)
    timing: defaultdict[int, int] = defaultdict(int)
    flexed: defaultdict[int, int] = defaultdict(int)
    moved: defaultdict[int, int] = defaultdict(int)
    not_credited, marginal = 0, Fraction(0)
    for lot in facts.flexed:
        came, left = lot.hour - facts.first, lot.served - facts.first
        drawn = per_request[lot.served, lot.point]
        energy_ug = lot.requests * (full_energy - drawn) * facts.intensity[came] // _TO_MICROGRAMS
        timing_ug = lot.requests * drawn * (facts.intensity[came] - facts.intensity[left]) // _TO_MICROGRAMS
        if facts.marginal:
            marginal += lot.requests * (full_energy * facts.marginal[came] - drawn * facts.marginal[left])
        flexed[lot.hour] += lot.requests
        if lot.served != lot.hour:
            moved[lot.hour] += lot.requests
            moved[lot.served] -= lot.requests
        if (facts.is_filled[came] or facts.is_filled[left]) and energy_ug + timing_ug > 0:
            not_credited += energy_ug + timing_ug
        else:
            energy[lot.hour] += energy_ug
            timing[lot.hour] += timing_ug
    rows = tuple(_rows(facts, energy, timing, flexed, moved))
    return Avoided(
        baseline_energy=full_energy,
        actual_ug=sum(row.actual_ug for row in rows),
        energy_ug=sum(energy.values()),
        timing_ug=sum(timing.values()),
        not_credited_ug=not_credited,
        marginal_ug=int(marginal // _TO_MICROGRAMS) if facts.marginal else None,
        hours=rows,
    )


def rebound(facts: Facts) -> Rebound:
    """Return how often a subscriber asks, now and a year earlier where that is known."""
    now = Fraction(sum(row.requests for row in facts.served), facts.subscribers)
    if facts.requests_before is None or not facts.subscribers_before:
        return Rebound(now, None)
    return Rebound(now, Fraction(facts.requests_before, facts.subscribers_before))


def _energy_per_request(facts: Facts) -> dict[tuple[int, str], Fraction]:
    """Return what one green request drew, by the hour in which it was served and its point."""
    requests: defaultdict[tuple[int, str], int] = defaultdict(int)
    drawn: defaultdict[tuple[int, str], int] = defaultdict(int)
    for row in facts.served:
        if row.tier == GREEN:
            requests[row.hour, row.point] += row.requests
            drawn[row.hour, row.point] += row.pico_kwh
    return {key: Fraction(drawn[key], count) for key, count in requests.items() if count}


def _rows(
    facts: Facts,
    energy: dict[int, int],
    timing: dict[int, int],
    flexed: dict[int, int],
    moved: dict[int, int],
) -> list[HourAvoided]:
    served: defaultdict[int, int] = defaultdict(int)
    drawn: defaultdict[int, int] = defaultdict(int)
    for row in facts.served:
        served[row.hour] += row.requests
        drawn[row.hour] += row.pico_kwh
    forecast_of = {day: facts.forecast_in_force(day) for day in {hour_at(hour).date() for hour in facts.hours}}
    high_of = {day: high_hours(forecast.values, facts.terms.high) for day, forecast in forecast_of.items() if forecast}
    rows = []
    for place, hour in enumerate(facts.hours):
        at = hour_at(hour)
        forecast = forecast_of[at.date()]
        rows.append(
            HourAvoided(
                hour=hour,
                is_high=at.hour in high_of.get(at.date(), ()),
                is_filled=facts.is_filled[place],
                requests=served[hour] + moved[hour],
                flexed=flexed[hour],
                pico_kwh=drawn[hour],
                forecast=forecast.values[at.hour] if forecast else None,
                intensity=facts.intensity[place],
                actual_ug=half_up(Fraction(drawn[hour] * facts.intensity[place], _TO_MICROGRAMS)),
                energy_ug=energy.get(hour, 0),
                timing_ug=timing.get(hour, 0),
            )
        )
    return rows
