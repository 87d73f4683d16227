"""What a claim is judged by: the terms of the tariff, what was served, flexed, forecast and measured, as plain values.

Energy is in 10^-12 kWh, intensity in 10^-6 g per kWh, an hour is its number since the beginning of 1970 in UTC. The
document of the facts is what is frozen and hashed with a claim: whoever has it gets the same figures from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from registry.engine.flexing.hours import HOURS_OF_A_DAY, HighHours
from registry.engine.grid import hour_number

SCHEMA = "headroom/avoided-claim-inputs/1"
FULL, GREEN = "full", "green"


@dataclass(frozen=True)
class Point:
    """An operating point as the tariff publishes it."""

    code: str
    accuracy: Decimal
    latency_ms: Decimal
    pico_kwh: int
    """Published energy of one request."""


@dataclass(frozen=True)
class Terms:
    """What a green tariff promises: when it may flex, how much, and how good the answers stay. Point 0 is full."""

    tariff: str
    high: HighHours
    flex_cap: Decimal
    accuracy_floor: Decimal
    latency_ceiling_ms: Decimal
    shift_hours: int
    notice_hours: int
    valid_from: date
    valid_until: date | None
    points: tuple[Point, ...]

    @property
    def full(self) -> Point:
        """The point of full quality."""
        return self.points[0]


@dataclass(frozen=True)
class Served:
    """A serving record: what a stream served in one hour, for one tier at one point, and what the site drew for it."""

    hour: int
    zone: str
    tier: str
    point: str
    requests: int
    pico_kwh: int
    is_signed: bool


@dataclass(frozen=True)
class Flexed:
    """Requests that came in one hour and were served at a lower point or later; `forecast` names what that rests on."""

    hour: int
    served: int
    point: str
    requests: int
    forecast: int


@dataclass(frozen=True)
class DayAhead:
    """A forecast for one UTC day, and when the registry received it."""

    id: int
    day: date
    published_at: datetime
    values: tuple[int, ...]

    def __post_init__(self) -> None:
        assert len(self.values) == HOURS_OF_A_DAY


@dataclass(frozen=True)
class Facts:
    """All that a claim is judged by. `intensity` and `is_filled` have one value for each hour from `first` to `end`."""

    stream: str
    zone: str
    first: int
    end: int
    terms: Terms
    served: tuple[Served, ...]
    flexed: tuple[Flexed, ...]
    forecasts: tuple[DayAhead, ...]
    intensity: tuple[int, ...]
    is_filled: tuple[bool, ...]
    versions: tuple[str, ...]
    batches: tuple[str, ...]
    """Hashes of the deliveries that the records came in."""
    marginal: tuple[int, ...]
    """By marginal factors, for information; empty where none are loaded."""
    subscribers: int
    subscribers_before: int | None
    requests_before: int | None

    def __post_init__(self) -> None:
        assert self.first < self.end
        assert len(self.intensity) == len(self.is_filled) == self.end - self.first
        assert len(self.marginal) in {0, self.end - self.first}

    @property
    def hours(self) -> range:
        """The numbers of the hours that are claimed."""
        return range(self.first, self.end)

    def forecast_in_force(self, day: date) -> DayAhead | None:
        """Return the last forecast that was published in time for a day: before it begins, by the notice promised."""
        begins = hour_number(datetime(day.year, day.month, day.day, tzinfo=UTC))
        in_time = [
            each
            for each in self.forecasts
            if each.day == day and _last_moment(each.published_at) <= begins - self.terms.notice_hours
        ]
        return max(in_time, key=lambda each: (each.published_at, each.id), default=None)


def _last_moment(moment: datetime) -> int:
    """Return the first full hour that is not before a moment."""
    number = hour_number(moment)
    return number if moment.minute == moment.second == moment.microsecond == 0 else number + 1


# The document that is frozen ------------------------------------------------------------------------------------------


def document(facts: Facts) -> dict[str, Any]:
    """Write the facts as the JSON document that is hashed with a claim."""
    terms = facts.terms
    return {
        "schema": SCHEMA,
        "stream": facts.stream,
        "zone": facts.zone,
        "first": facts.first,
        "end": facts.end,
        "terms": {
            "tariff": terms.tariff,
            "hours_per_day": terms.high.per_day,
            "percentile": _text(terms.high.percentile),
            "flex_cap": _text(terms.flex_cap),
            "accuracy_floor": _text(terms.accuracy_floor),
            "latency_ceiling_ms": _text(terms.latency_ceiling_ms),
            "shift_hours": terms.shift_hours,
            "notice_hours": terms.notice_hours,
            "valid_from": terms.valid_from.isoformat(),
            "valid_until": terms.valid_until.isoformat() if terms.valid_until else None,
            "points": [[p.code, _text(p.accuracy), _text(p.latency_ms), p.pico_kwh] for p in terms.points],
        },
        "served": [[s.hour, s.zone, s.tier, s.point, s.requests, s.pico_kwh, s.is_signed] for s in facts.served],
        "flexed": [[f.hour, f.served, f.point, f.requests, f.forecast] for f in facts.flexed],
        "forecasts": [
            [f.id, f.day.isoformat(), f.published_at.astimezone(UTC).isoformat(), list(f.values)]
            for f in facts.forecasts
        ],
        "intensity": list(facts.intensity),
        "filled": [hour for hour, filled in zip(facts.hours, facts.is_filled, strict=True) if filled],
        "versions": list(facts.versions),
        "batches": list(facts.batches),
        "marginal": list(facts.marginal),
        "subscribers": facts.subscribers,
        "subscribers_before": facts.subscribers_before,
        "requests_before": facts.requests_before,
    }


def facts_from_document(frozen: Mapping[str, Any]) -> Facts:
    """Read the facts back from their document."""
    assert frozen["schema"] == SCHEMA
    terms = frozen["terms"]
    percentile = terms["percentile"]
    filled = set(frozen["filled"])
    return Facts(
        stream=frozen["stream"],
        zone=frozen["zone"],
        first=frozen["first"],
        end=frozen["end"],
        terms=Terms(
            tariff=terms["tariff"],
            high=HighHours(terms["hours_per_day"], None if percentile is None else Decimal(percentile)),
            flex_cap=Decimal(terms["flex_cap"]),
            accuracy_floor=Decimal(terms["accuracy_floor"]),
            latency_ceiling_ms=Decimal(terms["latency_ceiling_ms"]),
            shift_hours=terms["shift_hours"],
            notice_hours=terms["notice_hours"],
            valid_from=date.fromisoformat(terms["valid_from"]),
            valid_until=date.fromisoformat(terms["valid_until"]) if terms["valid_until"] else None,
            points=tuple(Point(code, Decimal(a), Decimal(ms), kwh) for code, a, ms, kwh in terms["points"]),
        ),
        served=tuple(Served(*row) for row in frozen["served"]),
        flexed=tuple(Flexed(*row) for row in frozen["flexed"]),
        forecasts=tuple(
            DayAhead(each, date.fromisoformat(day), datetime.fromisoformat(at), tuple(values))
            for each, day, at, values in frozen["forecasts"]
        ),
        intensity=tuple(frozen["intensity"]),
        is_filled=tuple(hour in filled for hour in range(frozen["first"], frozen["end"])),
        versions=tuple(frozen["versions"]),
        batches=tuple(frozen["batches"]),
        marginal=tuple(frozen["marginal"]),
        subscribers=frozen["subscribers"],
        subscribers_before=frozen["subscribers_before"],
        requests_before=frozen["requests_before"],
    )


def _text(value: Decimal | None) -> str | None:
    """Write a decimal in one way, however many zeros it is stored with."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
