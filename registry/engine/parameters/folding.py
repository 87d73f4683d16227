"""From rules to the `Policy` of one day, and what differs between two of them.

A later change supersedes an earlier one on the days on which it holds. `effective` flattens a history of changes into
one rule book without overlaps; `policy_on` folds the rules that hold on a day over the defaults.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from datetime import date
from typing import Any, get_type_hints

from registry.engine.parameters.catalogue import PARAMETERS, group_of
from registry.engine.parameters.documents import Entry, Terms, in_order
from registry.engine.parameters.kinds import Json
from registry.engine.policy import Policy
from registry.engine.refusals import Refusal


@dataclass(frozen=True)
class Change:
    """One rule that differs: its canonical value before and after, None where the rule does not apply."""

    name: str
    before: Json
    after: Json


def in_force(entries: Iterable[Entry], on: date) -> dict[str, Entry]:
    """Return the rules that hold on a day by name; `entries` come in the order of the changes that made them."""
    return {entry.name: entry for entry in entries if entry.holds_on(on)}


def effective(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return the rule book that a history of changes adds up to: per rule, spans that do not overlap.

    `entries` come in the order of the changes that made them. Spans that follow each other with the same value and
    source are one and a rule that was taken back leaves none, so that the same outcome gives the same rule book.
    """
    by_name: dict[str, list[Entry]] = {}
    for entry in entries:
        by_name.setdefault(entry.name, []).append(entry)
    return in_order(span for same in by_name.values() for span in _spans(same))


def _spans(same: list[Entry]) -> list[Entry]:
    """Flatten the history of one rule."""
    spans = []
    for day, end in _intervals(same):
        holding = [entry for entry in same if entry.holds_on(day)]
        if holding and holding[-1].value is not None:
            latest = holding[-1]
            spans.append(Entry(latest.name, latest.value, day, end, latest.source))
    return list(_joined(spans))


def difference(entries: Iterable[Entry], target: Iterable[Entry], source: str) -> tuple[Entry, ...]:
    """Return the rules that turn a history of changes into another rule book, for the days that differ and no others.

    What the target does not have is taken back; `source` is why.
    """
    old, new = effective(entries), effective(target)
    found: list[Entry] = []
    for name in PARAMETERS:
        before, after = ([span for span in book if span.name == name] for book in (old, new))
        for day, end in _intervals((*before, *after)):
            was = next((span for span in before if span.holds_on(day)), None)
            wanted = next((span for span in after if span.holds_on(day)), None)
            if _says_the_same(was, wanted):
                continue
            if wanted is None:
                found.append(Entry(name, None, day, end, source))
            else:
                found.append(Entry(name, wanted.value, day, end, wanted.source))
    return _joined(found)


@dataclass(frozen=True)
class SpanChange:
    """One rule that differs over a span of days: its value before and after, None where the default holds."""

    name: str
    first: date
    end: date | None
    before: Json
    after: Json


def spans_changed(before: Iterable[Entry], after: Iterable[Entry]) -> tuple[SpanChange, ...]:
    """List the days on which two histories of changes give a rule another value, rule by rule and then by day."""
    old, new = effective(before), effective(after)
    found: list[SpanChange] = []
    for name in PARAMETERS:
        was, will = ([span for span in book if span.name == name] for book in (old, new))
        for day, end in _intervals((*was, *will)):
            one, other = _value_on(was, day), _value_on(will, day)
            if same_json(one, other):
                continue
            last = found[-1] if found else None
            if last is not None and (last.name, last.end) == (name, day) and _goes_on(last, one, other):
                found[-1] = SpanChange(name, last.first, end, one, other)
            else:
                found.append(SpanChange(name, day, end, one, other))
    return tuple(found)


def _value_on(spans: Iterable[Entry], day: date) -> Json:
    return next((span.value for span in spans if span.holds_on(day)), None)


def _goes_on(last: SpanChange, before: Json, after: Json) -> bool:
    return same_json(last.before, before) and same_json(last.after, after)


def _says_the_same(one: Entry | None, other: Entry | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.source == other.source and same_json(one.value, other.value)


def _joined(entries: list[Entry]) -> tuple[Entry, ...]:
    """Make one of two entries where the second goes on with what the first says."""
    joined: list[Entry] = []
    for entry in entries:
        before = joined[-1] if joined else None
        goes_on = before is not None and (before.name, before.valid_to) == (entry.name, entry.valid_from)
        if before is not None and goes_on and _says_the_same(before, entry):
            joined[-1] = Entry(before.name, before.value, before.valid_from, entry.valid_to, before.source)
        else:
            joined.append(entry)
    return tuple(joined)


def same_json(one: Json, other: Json) -> bool:
    """Say whether two canonical values are the same; unlike in Python, 1 is not true."""
    return type(one) is type(other) and bool(one == other)


def days_of_change(entries: Iterable[Entry]) -> list[date]:
    """Return every day on which a rule begins or ends, in order."""
    return sorted({day for entry in entries for day in (entry.valid_from, entry.valid_to) if day is not None})


def _intervals(entries: Iterable[Entry]) -> list[tuple[date, date | None]]:
    """Return the spans of days within which no rule begins or ends; the last one has no end."""
    days = days_of_change(entries)
    return list(zip(days, [*days[1:], None], strict=False))


def policy_on(
    terms: Terms, entries: Iterable[Entry], on: date, founding: Mapping[str, Any] | None = None
) -> Policy | tuple[Refusal, ...]:
    """Return the rules of a scheme that hold on a day, or what is missing for them to make sense.

    `entries` come in the order of the changes that made them. `founding` are values as the policy holds them, which
    stand in for the default where no rule holds.
    """
    policy, missing = folded(terms, entries, on, founding)
    return missing or policy


def folded(
    terms: Terms, entries: Iterable[Entry], on: date, founding: Mapping[str, Any] | None = None
) -> tuple[Policy, tuple[Refusal, ...]]:
    """Return the policy of a day as far as it is complete, and what is missing in the parts that were left out."""
    values = dict(founding or {})
    faults: list[Refusal] = []
    for name, entry in in_force(entries, on).items():
        if entry.value is not None:
            values[name] = PARAMETERS[name].kind.read(entry.value, name, faults)
    assert not faults, "a value that was read once can be read again"
    values |= {"unit.metric": terms.metric, "unit.size": terms.unit_size}
    given: dict[str, Any] = {"scheme": terms.code, "on": on, "zone": terms.zone, "currency": terms.currency}
    hints = get_type_hints(Policy)
    for part in fields(Policy):
        group = group_of(hints[part.name])
        if group is not None:
            given[part.name] = _built(group, part.default, f"{part.name}.", values, faults)
        elif part.name in values:
            given[part.name] = values[part.name]
    return Policy(**given), tuple(faults)


def _built(cls: type, default: Any, prefix: str, values: Mapping[str, Any], faults: list[Refusal]) -> Any:
    """Return one part of the policy with the values under its prefix, or its default where there are none.

    A part of which something needed is missing is left out, and the faults say what.
    """
    given = sorted(name for name in values if name.startswith(prefix))
    if not given:
        return None if default is MISSING else default
    before, parts = len(faults), {}
    hints = get_type_hints(cls)
    for part in fields(cls):
        name = prefix + part.name
        group = group_of(hints[part.name])
        if group is not None:
            built = _built(group, part.default, f"{name}.", values, faults)
            if built is None and part.default is MISSING and len(faults) == before:
                faults += _missing(f"{name}.", group, given)
            parts[part.name] = built
        elif name in values:
            parts[part.name] = values[name]
        elif _is_needed(part):
            faults.append(_missing_leaf(name, given))
    if len(faults) == before:
        return cls(**parts)
    return None if default is MISSING else default


def _missing(prefix: str, group: type, given: list[str]) -> list[Refusal]:
    """Say that the required leaves of a part are missing, because others of the same rule are given."""
    return [_missing_leaf(prefix + part.name, given) for part in fields(group) if _is_needed(part)]


def _is_needed(part: Field[Any]) -> bool:
    return part.default is MISSING and part.default_factory is MISSING


def _missing_leaf(name: str, given: list[str]) -> Refusal:
    others = ", ".join(given[:3])
    return Refusal(
        "rule_incomplete", f"{name} is missing: it is needed where {others} is set. Set it, or take that back."
    )


def values_of(policy: Policy) -> dict[str, Json]:
    """Return every rule of a policy by name in its canonical form; None where it has no value."""
    return {name: _value_at(policy, name) for name in PARAMETERS}


def _value_at(policy: Policy, name: str) -> Json:
    value: Any = policy
    for part in name.split("."):
        value = getattr(value, part, None)
    return None if value is None else PARAMETERS[name].kind.text(value)


def changes(before: Policy, after: Policy) -> tuple[Change, ...]:
    """List what differs between two policies, rule by rule in the order of the catalogue."""
    old, new = values_of(before), values_of(after)
    return tuple(Change(name, old[name], new[name]) for name in PARAMETERS if not same_json(old[name], new[name]))
