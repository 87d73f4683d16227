"""Rule documents: a whole rule book as one JSON document, with its schema, its canonical form and its hash.

A document names the scheme's founding terms and its rules. Each rule is a value with unit, validity, rounding rule and
source. `valid_to` is the first day on which the value does not hold any more; without one it holds until a later rule
takes its place. Reading never raises: it returns the document, or every fault that it found, each with its place.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from registry.engine.parameters.catalogue import PARAMETERS
from registry.engine.parameters.kinds import Amount, Choice, Day, Json, Text
from registry.engine.refusals import Refusal
from registry.engine.rounding import exact_text

FORMAT: Final = "headroom.scheme-rules/1"
SCHEMA_ADDRESS: Final = "urn:headroom:scheme-rules:1"
MOST_RULES: Final = 5000
LONGEST_SOURCE: Final = 500

METRIC = Choice(("flop", "co2e"))
UNIT_SIZE = Amount(Decimal(0), Decimal(10) ** 30 - 1, above_least=True, word="the size of a permit")
TERM_PATTERNS: Final = {
    "code": "^[a-z0-9]+(-[a-z0-9]+)*$",
    "currency": "^[a-z0-9]+(-[a-z0-9]+)*$",
    "zone": "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
}
TERM_LENGTHS: Final = {"code": 40, "name": 200, "currency": 12, "zone": 60}
TERMS: Final = ("code", "name", "metric", "unit_size", "currency", "zone")
RULE_PARTS: Final = ("name", "value", "unit", "valid_from", "valid_to", "rounding", "source")


@dataclass(frozen=True)
class Terms:
    """The terms on which a scheme is founded and which never change. `unit_size` is in FLOP, or in grams of CO2e."""

    code: str
    name: str
    metric: str
    unit_size: Decimal
    currency: str
    zone: str


@dataclass(frozen=True)
class Entry:
    """One rule: a value in its canonical JSON form, and the days on which it holds.

    `None` as the value takes the rule back: while it holds, so does the default, as if nobody had set the rule.
    """

    name: str
    value: Json
    valid_from: date
    valid_to: date | None
    source: str

    def holds_on(self, day: date) -> bool:
        """Say whether the value holds on a day: from the first day on, and before the day on which it ends."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True)
class RuleDocument:
    """A rule book without overlaps, its rules in the order of the catalogue and then of their first days."""

    terms: Terms
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class _Span:
    """The days on which a rule of a list holds, and its place in the list."""

    name: str
    first: date
    end: date | None
    place: int


# Reading --------------------------------------------------------------------------------------------------------------


def read_document(document: Json) -> RuleDocument | tuple[Refusal, ...]:
    """Return the rule book that a document stands for, or everything that is wrong with it."""
    if not isinstance(document, dict):
        return (Refusal("document_malformed", f"The document is one JSON object with the format {FORMAT}."),)
    faults: list[Refusal] = []
    if document.get("format") != FORMAT:
        faults.append(Refusal("format_unknown", f'The document needs "format": "{FORMAT}".'))
    _find_unknown(document, ("format", "scheme", "rules"), "The document", faults)
    terms = _read_terms(document.get("scheme"), faults)
    entries = read_entries(document.get("rules"), faults)
    return tuple(faults) if faults or terms is None else RuleDocument(terms, entries)


def read_entries(raw: Json, faults: list[Refusal]) -> tuple[Entry, ...]:
    """Return the rules of a list in their order of reading, and add every fault that was found, with its place."""
    if not isinstance(raw, list) or len(raw) > MOST_RULES:
        faults.append(Refusal("rules_malformed", f"The rules are a list of at most {MOST_RULES} rules in [ ]."))
        return ()
    spans: list[_Span] = []
    entries = [_read_entry(rule, place, spans, faults) for place, rule in enumerate(raw, 1)]
    _find_overlaps(spans, faults)
    return in_order(entry for entry in entries if entry is not None)


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return rules in the order of a rule book: that of the catalogue, then of their first days."""
    places = {name: place for place, name in enumerate(PARAMETERS)}
    return tuple(sorted(entries, key=lambda entry: (places[entry.name], entry.valid_from)))


def _read_terms(raw: Json, faults: list[Refusal]) -> Terms | None:
    if not isinstance(raw, dict):
        faults.append(Refusal("scheme_missing", f"The scheme is an object with {', '.join(TERMS)}."))
        return None
    before = len(faults)
    _find_unknown(raw, TERMS, "scheme", faults)
    words = {
        name: Text(longest).read(raw.get(name), f"scheme, {name}", faults) for name, longest in TERM_LENGTHS.items()
    }
    for name, pattern in TERM_PATTERNS.items():
        word = words[name]
        if word is not None and not re.fullmatch(pattern, word, re.ASCII):
            faults.append(Refusal("term_malformed", f"scheme, {name}: {ascii(word)[:60]} does not fit {pattern}."))
    metric = METRIC.read(raw.get("metric"), "scheme, metric", faults)
    unit_size = UNIT_SIZE.read(raw.get("unit_size"), "scheme, unit_size", faults)
    if unit_size is not None and unit_size % Decimal("0.000001"):
        faults.append(Refusal("value_out_of_bounds", "scheme, unit_size: it has at most six decimal places."))
    if len(faults) > before:
        return None
    assert metric is not None and unit_size is not None
    return Terms(metric=metric, unit_size=unit_size, **{name: word for name, word in words.items() if word is not None})


def _read_entry(raw: Json, place: int, spans: list[_Span], faults: list[Refusal]) -> Entry | None:
    """Read one rule of a list; `place` counts from 1. Its validity is compared even where its value is wrong."""
    if not isinstance(raw, dict):
        faults.append(Refusal("rule_malformed", f"Rule {place}: write {', '.join(RULE_PARTS)} in {{ }}."))
        return None
    name = raw.get("name")
    parameter = PARAMETERS.get(name) if isinstance(name, str) else None
    if parameter is None:
        faults.append(
            Refusal(
                "rule_unknown", f"Rule {place}: there is no rule {ascii(name)[:60]}. Take its name from the schema."
            )
        )
        return None
    where, before = f"{parameter.name} (rule {place})", len(faults)
    _find_unknown(raw, RULE_PARTS, where, faults)
    if raw.get("unit", parameter.unit) != parameter.unit:
        faults.append(Refusal("unit_differs", f"{where}: the unit is {parameter.unit!r}, not {_shown(raw['unit'])}."))
    if raw.get("rounding", parameter.rounding) != parameter.rounding:
        what = parameter.rounding or "null, as nothing is rounded"
        faults.append(Refusal("rounding_differs", f"{where}: the rounding is {what}, not {_shown(raw['rounding'])}."))
    value = None
    if "value" not in raw:
        faults.append(Refusal("value_missing", f"{where}: the value is missing; null takes the rule back."))
    elif raw["value"] is not None:
        read = parameter.kind.read(raw["value"], where, faults)
        value = None if read is None else parameter.kind.text(read)
    source = Text(LONGEST_SOURCE).read(raw.get("source"), f"{where}, source", faults)
    first = Day().read(raw.get("valid_from"), f"{where}, valid_from", faults)
    end = raw.get("valid_to")
    last = None if end is None else Day().read(end, f"{where}, valid_to", faults)
    if first is not None and last is not None and last <= first:
        faults.append(
            Refusal(
                "validity_out_of_order",
                f"{where}: valid_to {last} is the first day on which it does not hold any more, so it comes after "
                f"valid_from {first}.",
            )
        )
    elif first is not None and (end is None or last is not None):
        spans.append(_Span(parameter.name, first, last, place))
    return None if len(faults) > before else Entry(parameter.name, value, first, last, source)


def _find_overlaps(spans: list[_Span], faults: list[Refusal]) -> None:
    """Add a fault for every two rules of one name of which one begins while the other holds."""
    by_name: dict[str, list[_Span]] = {}
    for span in sorted(spans, key=lambda span: (span.first, span.place)):
        by_name.setdefault(span.name, []).append(span)
    for name, same in by_name.items():
        holding = same[0]
        for span in same[1:]:
            if holding.end is None or span.first < holding.end:
                faults.append(
                    Refusal(
                        "validity_overlaps",
                        f"{name} (rules {holding.place} and {span.place}): both hold on {span.first}. "
                        f'End the first with "valid_to": "{span.first}", or remove one.',
                    )
                )
            if holding.end is not None and (span.end is None or span.end > holding.end):
                holding = span


def _find_unknown(raw: Mapping[Json, Json], known: Iterable[str], where: str, faults: list[Refusal]) -> None:
    """Add a fault for every part that nobody asked for: it may be a part that was meant and misspelt."""
    faults += [
        Refusal("part_unknown", f"{where}: there is no part {_shown(name)}: use {', '.join(known)}.")
        for name in raw
        if name not in known
    ]


def _shown(raw: Json) -> str:
    """Quote something that a stranger wrote, short and printable."""
    return ascii(raw)[:60]


# Writing --------------------------------------------------------------------------------------------------------------


def write_document(terms: Terms, entries: Iterable[Entry]) -> dict[str, Json]:
    """Return the one canonical document of a rule book."""
    return {
        "format": FORMAT,
        "scheme": {
            "code": terms.code,
            "name": terms.name,
            "metric": terms.metric,
            "unit_size": exact_text(terms.unit_size),
            "currency": terms.currency,
            "zone": terms.zone,
        },
        "rules": [write_entry(entry) for entry in in_order(entries)],
    }


def write_entry(entry: Entry) -> dict[str, Json]:
    """Return one rule as it stands in a document, with what the catalogue says of it."""
    parameter = PARAMETERS[entry.name]
    return {
        "name": entry.name,
        "value": entry.value,
        "unit": parameter.unit,
        "valid_from": entry.valid_from.isoformat(),
        "valid_to": entry.valid_to.isoformat() if entry.valid_to else None,
        "rounding": parameter.rounding,
        "source": entry.source,
    }


# Schema ---------------------------------------------------------------------------------------------------------------


def schema() -> dict[str, Json]:
    """Return the JSON Schema (2020-12) of rule documents.

    A reader checks more than a schema can say: bounds of decimals, overlapping validity, and rules that contradict
    each other.
    """
    words = {
        name: {"type": "string", "minLength": 1, "maxLength": longest}
        | ({"pattern": TERM_PATTERNS[name]} if name in TERM_PATTERNS else {})
        for name, longest in TERM_LENGTHS.items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ADDRESS,
        "title": "Rules of a permit scheme",
        "type": "object",
        "required": ["format", "scheme", "rules"],
        "additionalProperties": False,
        "properties": {
            "format": {"const": FORMAT},
            "scheme": {
                "type": "object",
                "required": list(TERMS),
                "additionalProperties": False,
                "properties": words | {"metric": METRIC.schema(), "unit_size": UNIT_SIZE.schema()},
            },
            "rules": {"type": "array", "maxItems": MOST_RULES, "items": {"$ref": "#/$defs/rule"}},
        },
        "$defs": {
            "rule": {
                "type": "object",
                "required": ["name", "value", "valid_from", "source"],
                "additionalProperties": False,
                "properties": {
                    "name": {"enum": list(PARAMETERS)},
                    "value": {"description": "As the rule of this name asks; null takes the rule back."},
                    "unit": {"type": "string"},
                    "valid_from": Day().schema(),
                    "valid_to": {
                        "oneOf": [Day().schema(), {"type": "null"}],
                        "description": "The first day on which the value does not hold any more.",
                    },
                    "rounding": {"enum": ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", None]},
                    "source": Text(LONGEST_SOURCE).schema(),
                },
                "allOf": [
                    {
                        "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                        "then": {"$ref": f"#/$defs/{name}"},
                    }
                    for name in PARAMETERS
                ],
            },
        }
        | {
            parameter.name: {
                "title": parameter.title,
                "description": parameter.meaning,
                "properties": {
                    "value": {"oneOf": [parameter.kind.schema(), {"type": "null"}]},
                    "unit": {"const": parameter.unit},
                    "rounding": {"const": parameter.rounding},
                },
            }
            for parameter in PARAMETERS.values()
        },
    }
