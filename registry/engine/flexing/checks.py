"""The checks that a claim has to pass, each with a sentence, and the hours that fail it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from registry.engine.flexing.avoided import baseline_energy
from registry.engine.flexing.facts import FULL, GREEN, Facts
from registry.engine.flexing.hours import high_hours
from registry.engine.grid import hour_at, ranges

SPANS_NAMED = 8


@dataclass(frozen=True)
class Check:
    """One question put to a claim: whether it holds, what was found, and the hours in which it does not hold."""

    code: str
    question: str
    holds: bool
    says: str
    hours: tuple[int, ...] = ()

    @property
    def sentence(self) -> str:
        """What was found, with the hours named."""
        return f"{self.says} {hours_in_words(self.hours)}." if self.hours else self.says


def hours_in_words(hours: Iterable[int]) -> str:
    """Name hours as spans in UTC, the first few of them."""
    spans = ranges(set(hours))
    named = [_span(first, end) for first, end in spans[:SPANS_NAMED]]
    more = len(spans) - len(named)
    return ", ".join(named) + (f" and {more} more spans" if more else "") + " UTC"


def _span(first: int, end: int) -> str:
    begins, ends = hour_at(first), hour_at(end)
    until = f"{ends:%H:%M}" if hour_at(end - 1).date() == begins.date() else f"{ends:%Y-%m-%d %H:%M}"
    return f"{begins:%Y-%m-%d %H:%M} to {'24:00' if until == '00:00' else until}"


def records(facts: Facts) -> Iterator[Check]:
    """Ask whether the claim rests on complete and signed records that fit what is said to have been flexed.

    Nothing can be computed before these hold.
    """
    told = {row.hour for row in facts.served}
    yield _of_hours(
        "hours_missing",
        "Is there a serving record for every hour?",
        "Every hour has its records.",
        "Deliver the serving records of these hours first:",
        (hour for hour in facts.hours if hour not in told),
    )
    yield _of_hours(
        "hours_not_signed",
        "Is every record signed by the organisation?",
        "Every record came in a signed delivery.",
        "Deliver the records of these hours again in a signed file:",
        (row.hour for row in facts.served if not row.is_signed),
    )
    yield _of_hours(
        "zone_differs",
        f"Was everything served in {facts.zone}?",
        f"Every request was served in {facts.zone}.",
        f"Claim hours in which everything was served in {facts.zone}. It was not in:",
        (row.hour for row in facts.served if row.zone != facts.zone),
    )
    known = {point.code for point in facts.terms.points}
    yield _of_hours(
        "point_unpublished",
        "Does the tariff publish every operating point that was used?",
        "The tariff publishes the energy of every point that was used.",
        "Publish a version of the tariff with every point that is used. It lacks one in:",
        (row.hour for row in facts.served if row.point not in known),
    )
    yield _plain(
        "baseline_not_measured",
        "Was full quality measured in these hours?",
        baseline_energy(facts) is not None,
        "The energy of a request at full quality was measured.",
        f"No request was served at the point {facts.terms.full.code!r}: the baseline needs a measurement of it.",
    )
    yield _of_hours(
        "served_outside",
        "Were the requests put off served inside the claimed hours?",
        "Every request put off was served inside them.",
        "Let the claim reach to the hours in which these requests were served:",
        (lot.hour for lot in facts.flexed if lot.served not in facts.hours),
    )
    yield _of_hours(
        "events_differ",
        "Do the flex events agree with the serving records?",
        "Requests at lower points are those of the events, hour by hour.",
        "The requests of the events and of the records differ. Record or deliver what is missing for:",
        _differing(facts),
    )


def promises(facts: Facts) -> Iterator[Check]:
    """Ask whether the tariff was kept, and nothing was chosen in hindsight."""
    terms = facts.terms
    days = {hour_at(hour).date() for hour in facts.hours}
    in_force = {day: facts.forecast_in_force(day) for day in days}
    high = {day: high_hours(forecast.values, terms.high) for day, forecast in in_force.items() if forecast}
    yield _of_hours(
        "tariff_not_valid",
        "Was the tariff valid all the time?",
        "The tariff was valid in every hour.",
        "Claim hours in which this version of the tariff was valid. It was not in:",
        (
            hour
            for hour in facts.hours
            if hour_at(hour).date() < terms.valid_from
            or (terms.valid_until is not None and hour_at(hour).date() > terms.valid_until)
        ),
    )
    notice = f"{terms.notice_hours} hours before the day begins" if terms.notice_hours else "before the day begins"
    yield _of_hours(
        "forecast_late",
        "Was a forecast published before the day began?",
        f"For every day with flexed requests a forecast was published {notice}.",
        f"No forecast was published {notice} for:",
        (lot.hour for lot in facts.flexed if in_force[hour_at(lot.hour).date()] is None),
    )
    yield _of_hours(
        "forecast_replaced",
        "Was it the last forecast published in time?",
        "Every event names the last forecast that was published in time.",
        "Name the last forecast that was published in time. Another one is named in:",
        (
            lot.hour
            for lot in facts.flexed
            if (forecast := in_force[hour_at(lot.hour).date()]) is not None and forecast.id != lot.forecast
        ),
    )
    yield _of_hours(
        "hour_not_high",
        "Were requests flexed in high-carbon hours only, by that forecast?",
        "By that forecast every flexed request came in a high-carbon hour.",
        "By the forecast these are no high-carbon hours:",
        (lot.hour for lot in facts.flexed if hour_at(lot.hour).hour not in high.get(hour_at(lot.hour).date(), ())),
    )
    yield _of_hours(
        "shift_too_long",
        "Were requests put off no longer than promised, and not into a high-carbon hour?",
        "Every request put off was served in time and outside high-carbon hours.",
        f"Requests may be put off by {terms.shift_hours} hours, and not into a high-carbon hour. More was done in:",
        (
            lot.hour
            for lot in facts.flexed
            if lot.served != lot.hour
            and (
                not 0 < lot.served - lot.hour <= terms.shift_hours
                or hour_at(lot.served).hour in high.get(hour_at(lot.served).date(), ())
            )
        ),
    )
    yield _of_hours(
        "cap_exceeded",
        "Was no more flexed than the tariff allows?",
        f"In no hour was more than {terms.flex_cap:.1%} of the green requests flexed.",
        f"More than {terms.flex_cap:.1%} of the green requests were flexed in:",
        _above_cap(facts),
    )
    kept = {
        point.code
        for point in terms.points
        if point.accuracy >= terms.accuracy_floor and point.latency_ms <= terms.latency_ceiling_ms
    }
    yield _of_hours(
        "quality_below_floor",
        "Did quality stay above the floor?",
        f"Every point used has an accuracy of at least {terms.accuracy_floor.normalize():f} and a latency of at most "
        f"{terms.latency_ceiling_ms.normalize():f} ms.",
        "A point below the floor of the tariff was used in:",
        (row.hour for row in facts.served if row.tier == GREEN and row.requests and row.point not in kept),
    )
    yield _of_hours(
        "full_tier_degraded",
        "Did subscribers of the full tier get full quality?",
        "The full tier was served at full quality.",
        "Subscribers of the full tier were served at a lower point in:",
        (row.hour for row in facts.served if row.tier == FULL and row.requests and row.point != terms.full.code),
    )


def result(avoided_ug: int) -> Check:
    """Ask whether anything was avoided at all."""
    return _plain(
        "nothing_avoided",
        "Was anything avoided?",
        avoided_ug > 0,
        "Less was emitted than by the baseline.",
        "Nothing was avoided in these hours: there is nothing to claim.",
    )


def _differing(facts: Facts) -> Iterator[int]:
    """Name the hours in which requests at lower points are not those of the events, or too few were served later."""
    full = facts.terms.full.code
    lower: defaultdict[tuple[int, str], int] = defaultdict(int)
    at_full: defaultdict[int, int] = defaultdict(int)
    for row in facts.served:
        if row.tier == GREEN and row.point != full:
            lower[row.hour, row.point] += row.requests
        elif row.tier == GREEN:
            at_full[row.hour] += row.requests
    for lot in facts.flexed:
        if lot.point != full:
            lower[lot.served, lot.point] -= lot.requests
        elif lot.served == lot.hour:
            yield lot.hour  # full quality at once is not flexed
        else:
            at_full[lot.served] -= lot.requests
    yield from (hour for (hour, _), left in lower.items() if left != 0)
    yield from (hour for hour, left in at_full.items() if left < 0)


def _above_cap(facts: Facts) -> Iterator[int]:
    """Name the hours in which more than the cap's share of the green requests that came was flexed."""
    came: defaultdict[int, int] = defaultdict(int)
    flexed: defaultdict[int, int] = defaultdict(int)
    for row in facts.served:
        if row.tier == GREEN:
            came[row.hour] += row.requests
    for lot in facts.flexed:
        flexed[lot.hour] += lot.requests
        came[lot.hour] += lot.requests
        came[lot.served] -= lot.requests
    cap = Fraction(facts.terms.flex_cap)
    yield from (hour for hour, count in flexed.items() if count > cap * came[hour])


def _of_hours(code: str, question: str, good: str, bad: str, failing: Iterable[int]) -> Check:
    hours = tuple(sorted(set(failing)))
    return Check(code, question, not hours, bad if hours else good, hours)


def _plain(code: str, question: str, holds: bool, good: str, bad: str) -> Check:
    return Check(code, question, holds, good if holds else bad)
