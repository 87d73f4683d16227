"""Efficiency measures: intensity before and after, what is not comparable, published figures, ranking and labels.

Intensity is Wh per 1,000 requests or per million tokens, an exact fraction. What is published of it has three
significant digits: with every digit, the volumes behind it could be read off the fraction. Ranks and stars are worked
out on the published figures, so that a stranger gets the same ones.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from statistics import median
from typing import Any

from registry.engine.canonical import sha256
from registry.engine.emissions import StarRule, stars
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact, exact_decimal, exact_text, half_up

EDITION_SCHEMA = "headroom/label-edition/1"
UNITS = {"requests": 1_000, "tokens": 1_000_000}
"""How many of what was counted make the unit of intensity."""
PUBLISHED_DIGITS = 3
FEWEST = 3
"""Figures about a field as a whole are published from this many organisations on."""
MOST_QUALITY = Decimal(10) ** 9
MOST_BATCH = 1_000_000
LEAST_WH, MOST_WH = Decimal("0.000001"), Decimal(10) ** 12
"""An intensity beyond these is a mistake in a unit."""

TEXT_WH, IMAGE_WH = (Decimal("0.01"), Decimal(50)), (Decimal("0.5"), Decimal(50))
"""Usual Wh of one request; what lies outside asks for an explanation and is not refused."""
_IMAGE_TASKS = frozenset({"image_generation"})
_TEXT_TASKS = frozenset({"text_generation", "summarisation", "translation", "question_answering", "reasoning"})

_CHANGES = {"batch_size": "batching", "number_format": "quantisation", "hardware": "hardware", "zone": "siting"}
"""What a difference between the two measurements has to be named as."""
_SAYS = {
    "batch_size": "The batch size",
    "number_format": "The number format",
    "hardware": "The hardware",
    "zone": "The grid zone",
}


@dataclass(frozen=True)
class Measurement:
    """What was counted and measured on one side of a measure."""

    task_class: str
    counted: str
    boundary: str
    started_on: date
    ended_on: date
    quantity: int
    energy_kwh: Decimal
    batch_size: int | None
    number_format: str
    hardware: str
    zone: str
    quality_measure: str
    quality: Decimal


@dataclass(frozen=True)
class Comparison:
    """What two comparable measurements say. A loss of quality beyond the tolerance is said, never hidden."""

    before_wh: Fraction
    after_wh: Fraction
    saving: Fraction
    quality_change: Fraction
    within_tolerance: bool


def intensity_wh(measured: Measurement) -> Fraction:
    """Return Wh per 1,000 requests or per million tokens."""
    return exact(measured.energy_kwh) * 1_000 * UNITS[measured.counted] / measured.quantity


def faults(before: Measurement, after: Measurement, kinds: Collection[str]) -> tuple[Refusal, ...]:
    """Return every reason why the two cannot be held against each other."""
    return (
        *_side_faults("before", before),
        *_side_faults("after", after),
        *_pair_faults(before, after),
        *_unnamed(before, after, kinds),
    )


def compare(before: Measurement, after: Measurement, tolerance: Decimal) -> Comparison:
    """Return what was saved for the same task, and whether its quality held within the stated tolerance."""
    first, second = intensity_wh(before), intensity_wh(after)
    change = exact(after.quality) / exact(before.quality) - 1
    return Comparison(first, second, 1 - second / first, change, change >= -exact(tolerance))


def remarks(measured: Measurement) -> tuple[str, ...]:
    """Return what a verifier should ask about: an energy of one request outside what is usual."""
    if measured.counted != "requests":
        return ()
    wh = exact(measured.energy_kwh) * 1_000 / measured.quantity
    usual = IMAGE_WH if measured.task_class in _IMAGE_TASKS else TEXT_WH
    if measured.task_class not in _IMAGE_TASKS | _TEXT_TASKS or exact(usual[0]) <= wh <= exact(usual[1]):
        return ()
    return (f"{published(wh):f} Wh for one request lies outside the usual {usual[0]} to {usual[1]} Wh.",)


def published(value: Fraction) -> Decimal:
    """Return a figure above zero with three significant digits, half-up."""
    assert value > 0, "energy was used"
    exponent = len(str(value.numerator)) - len(str(value.denominator))
    if value < _power(exponent):
        exponent -= 1
    step = exponent - PUBLISHED_DIGITS + 1
    return Decimal(half_up(value / _power(step))) * exact_decimal(_power(step))


def published_percent(share: Fraction) -> Decimal:
    """Return a share in per cent with one place, half away from zero."""
    tenths = half_up(abs(share) * 1_000)
    return Decimal(tenths if share >= 0 else -tenths).scaleb(-1)


# Ranking and labels ---------------------------------------------------------------------------------------------------


def places(wh: Mapping[str, Decimal]) -> dict[str, int]:
    """Rank by published intensity, the least first. Equal figures share the better place and the next ones wait."""
    first: dict[Decimal, int] = {}
    for place, value in enumerate(sorted(wh.values()), start=1):
        first.setdefault(value, place)
    return {name: first[value] for name, value in wh.items()}


@dataclass(frozen=True)
class FieldSummary:
    """What is said of a field as a whole, without naming anybody."""

    measures: int
    organisations: int
    median_saving: Decimal | None
    by_kind: Mapping[str, int]


def summary(rows: Sequence[tuple[str, Sequence[str], Decimal]]) -> FieldSummary:
    """Sum up a field from organisation, kinds and saving in per cent of each measure.

    Below three organisations only the counts of measures and organisations are given, which the table shows anyway.
    """
    organisations = len({organisation for organisation, _, _ in rows})
    if organisations < FEWEST:
        return FieldSummary(len(rows), organisations, None, {})
    kinds = sorted({kind for _, named, _ in rows for kind in named})
    return FieldSummary(
        measures=len(rows),
        organisations=organisations,
        median_saving=median(saving for _, _, saving in rows),
        by_kind={kind: sum(kind in named for _, named, _ in rows) for kind in kinds},
    )


def edition(
    *, task_class: str, counted: str, boundary: str, rule: StarRule, on: date, wh: Mapping[str, Decimal]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the document of an edition with the field it rests on, and the stars of everyone in it."""
    given = stars(wh, rule, on)
    document = {
        "schema": EDITION_SCHEMA,
        "task_class": task_class,
        "counted": counted,
        "boundary": boundary,
        "rule": rule.value,
        "on": on.isoformat(),
        "field": [
            {"measure": name, "wh": exact_text(value)}
            for name, value in sorted(wh.items(), key=lambda row: (row[1], row[0]))
        ],
        "steps": [
            {"name": step.name, "value": exact_text(step.value), "unit": step.unit}
            for step in given.steps
            if not isinstance(step.value, float)
        ],
    }
    return document, dict(given.stars)


def reissued(document: Mapping[str, Any]) -> tuple[str, dict[str, int]]:
    """Work an edition out again from its document alone: its hash, and the stars of everyone in it."""
    again, given = edition(
        task_class=document["task_class"],
        counted=document["counted"],
        boundary=document["boundary"],
        rule=StarRule(document["rule"]),
        on=date.fromisoformat(document["on"]),
        wh={row["measure"]: Decimal(row["wh"]) for row in document["field"]},
    )
    return sha256(again), given


# Parts ----------------------------------------------------------------------------------------------------------------


def _side_faults(moment: str, measured: Measurement) -> Iterator[Refusal]:
    if measured.ended_on < measured.started_on:
        yield Refusal("dates_out_of_order", f"The measurement {moment} ends before it begins. Put the days right.")
    if measured.quantity <= 0:
        yield Refusal("nothing_counted", f"Count at least one request or token {moment} the measure.")
    if measured.energy_kwh <= 0:
        yield Refusal("energy_missing", f"Enter the energy {moment} the measure in kWh, above 0.")
    if measured.quantity > 0 and measured.energy_kwh > 0 and not LEAST_WH <= intensity_wh(measured) <= MOST_WH:
        yield Refusal(
            "intensity_implausible",
            f"The figures {moment} give less than {LEAST_WH} or more than {MOST_WH:,} Wh. Look at their units.",
        )
    if not 0 < measured.quality <= MOST_QUALITY:
        yield Refusal("quality_out_of_range", f"Enter the quality {moment} as a number above 0; higher is better.")
    if measured.batch_size is None or not 1 <= measured.batch_size <= MOST_BATCH:
        yield Refusal(
            "batch_not_declared", f"Say with which batch size it was measured {moment}; 1 where nothing was batched."
        )
    for value, code, what in (
        (measured.number_format, "precision_not_declared", "in which number format, such as BF16,"),
        (measured.hardware, "hardware_not_declared", "on which hardware"),
        (measured.quality_measure, "quality_measure_missing", "by what the quality"),
    ):
        if not value:
            yield Refusal(code, f"Say {what} it was measured {moment}.")


def _pair_faults(before: Measurement, after: Measurement) -> Iterator[Refusal]:
    for name, code, what in (
        ("task_class", "task_class_differs", "another task class"),
        ("counted", "counted_differs", "another unit"),
        ("boundary", "boundary_differs", "another boundary"),
        ("quality_measure", "quality_measure_differs", "another measure of quality"),
    ):
        if getattr(before, name) != getattr(after, name):
            yield Refusal(code, f"Before and after cannot be compared: they are of {what}. Measure both alike.")
    if after.started_on <= before.ended_on:
        yield Refusal(
            "after_not_after",
            f"The measurement after begins on {after.started_on}, and the one before ended on {before.ended_on}. "
            "Measure after the measure was taken.",
        )


def _unnamed(before: Measurement, after: Measurement, kinds: Collection[str]) -> Iterator[Refusal]:
    for name, kind in _CHANGES.items():
        first, second = getattr(before, name), getattr(after, name)
        if first and second and first != second and kind not in kinds:
            yield Refusal(
                "change_not_named",
                f"{_SAYS[name]} changed from {first} to {second}. Name {kind} among the measures, or measure alike.",
            )


def _power(exponent: int) -> Fraction:
    return Fraction(10) ** exponent
