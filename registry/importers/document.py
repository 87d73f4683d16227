"""JSON and YAML bytes into checked values: size and nesting are measured before parsing, and every fault has a place.

A place is a JSON pointer such as /measures/0/powerConsumption, with the line where the format has lines. Numbers stay
the text that was written until they are read as exact decimals, so that no binary float ever stands between.

YAML is read as plain text, lists and tables: no tags, no merge keys, few aliases, and an alias counts as often as it is
used. What JSON leaves open (a key twice, NaN, half a character) is refused, because two readers would differ in it.
"""

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

import yaml

from registry.importers.lines import NOT_A_ZONE, ZONE
from registry.importers.table import BYTE_ORDER_MARKS, BadFile, Cells, Limits, Row, RowError, sha256_hex

MOST_DEPTH = 40
MOST_NODES = 300_000
"""Values of one document; where each line is one, of a line."""

MOST_ALIASES = 100
WHOLE_FILE = "/"

_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)|[\[\]{},]', re.DOTALL)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_YAML_NOTHING = ("", "~", "null", "Null", "NULL")


class _Fault(Exception):
    """What is wrong with a whole document; it never leaves this module."""

    def __init__(self, line: int, pointer: str, code: str, sentence: str) -> None:
        super().__init__(code)
        self.error = RowError(line, pointer, code, sentence)


class _Number(str):
    """A number as it was written."""


class _Table(dict[str, Any]):
    """A table of a YAML file, with the line it begins on."""

    line = 1


class _List(list[Any]):
    """A list of a YAML file, with the line it begins on."""

    line = 1


@dataclass(frozen=True)
class Place:
    """One table, list or value of a document, read field by field; what cannot be read adds an error."""

    value: Any
    pointer: str
    line: int
    errors: list[RowError]

    def at(self, name: str | int) -> "Place":
        """Return the place below; what is not there reads as empty."""
        value = None
        if isinstance(name, int):
            value = self.value[name]
        elif isinstance(self.value, dict):
            value = self.value.get(name)
        escaped = str(name).replace("~", "~0").replace("/", "~1")
        return Place(value, f"{self.pointer}/{escaped}", getattr(value, "line", self.line), self.errors)

    def refuse(self, code: str, sentence: str) -> None:
        """Add an error at this place."""
        self.errors.append(RowError(self.line, self.pointer or WHOLE_FILE, code, sentence))

    @property
    def has_value(self) -> bool:
        """Say whether something stands here."""
        return self.value is not None

    def group(self, name: str, *, required: bool = False) -> "Place":
        """Return a table below; a place that is none is an error, and reads as an empty one."""
        place = self.at(name)
        return place if place.is_group(required=required) else Place({}, place.pointer, place.line, place.errors)

    def is_group(self, *, required: bool = True) -> bool:
        """Say whether this is a table, and refuse it if it is something else."""
        if isinstance(self.value, dict):
            return True
        if self.has_value:
            self.refuse("not_a_table", "This has to be a table of names and values: correct it.")
        elif required:
            self.refuse("missing_value", "This part is missing: fill it in.")
        return False

    def items(self, name: str, *, required: bool = False) -> list["Place"]:
        """Return the entries of a list below; a place that is none is an error, and reads as an empty one."""
        place = self.at(name)
        if isinstance(place.value, list):
            if required and not place.value:
                place.refuse("missing_value", "This list is empty: fill it in.")
            return [place.at(number) for number in range(len(place.value))]
        if place.has_value:
            place.refuse("not_a_list", "This has to be a list: correct it.")
        elif required:
            place.refuse("missing_value", "This list is missing: fill it in.")
        return []

    def text(self, name: str, *, required: bool = False, longest: int = 500) -> str:
        """Return the text of a field without surrounding spaces; a field that is not there reads as empty."""
        cells, column = self._cell(name)
        return cells.text(column, required=required, longest=longest)

    def decimal(self, name: str, low: Decimal, high: Decimal, *, required: bool = False) -> Decimal | None:
        """Return an exact decimal between the bounds, both included."""
        cells, column = self._cell(name)
        return cells.decimal(column, low, high, required=required)

    def positive(self, name: str, high: Decimal, *, required: bool = False) -> Decimal | None:
        """Return an exact decimal above zero."""
        cells, column = self._cell(name)
        return cells.positive(column, high, required=required)

    def whole(self, name: str, low: int, high: int, *, required: bool = False) -> int | None:
        """Return a whole number."""
        cells, column = self._cell(name)
        return cells.whole(column, low, high, required=required)

    def instant(self, name: str, *, required: bool = False) -> datetime | None:
        """Return a moment in UTC."""
        cells, column = self._cell(name)
        return cells.instant(column, required=required)

    def choice(self, name: str, pattern: re.Pattern[str], code: str, sentence: str, *, required: bool = True) -> str:
        """Return a text that has to match a pattern as a whole."""
        cells, column = self._cell(name)
        return cells.choice(column, pattern, code, sentence, required=required)

    def scalars(self) -> dict[str, str]:
        """Return the plain fields of this table as text, for the evidence."""
        if not isinstance(self.value, dict):
            return {}
        return {name: _written(value) for name, value in self.value.items() if not isinstance(value, dict | list)}

    def _cell(self, name: str) -> tuple[Cells, str]:
        """Return a field as a cell of a table, so that one set of rules reads both."""
        place = self.at(name)
        if isinstance(place.value, dict | list):
            place.refuse("not_one_value", "One value has to stand here, not several: correct it.")
            # Read as empty and never as missing: this one error says it.
            return Cells(Row(place.line, {}), []), place.pointer
        return Cells(Row(place.line, {place.pointer: _written(place.value)}), self.errors), place.pointer


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@dataclass(frozen=True)
class Documents:
    """The documents of a file, and the errors that all of them add to while they are read."""

    places: Iterator[Place]
    errors: list[RowError]


def refused(content: bytes, errors: Collection[RowError]) -> BadFile:
    """Refuse a file with its errors by line, those of one line in the order of reading."""
    return BadFile(sha256_hex(content), tuple(sorted(errors, key=lambda error: error.line)))


def until_too_many(places: Iterable[Place], errors: list[RowError], limits: Limits) -> Iterator[Place]:
    """Yield places until a file turns out to be nothing but errors or too long."""
    for number, place in enumerate(places):
        if len(errors) >= limits.max_errors:
            sentence = f"Reading stopped here after {len(errors):,} errors: correct them and send the file again."
            errors.append(RowError(place.line, place.pointer, "too_many_errors", sentence))
            return
        if number == limits.max_rows:
            place.refuse("too_many_rows", f"The file has more than {limits.max_rows:,} entries: send it in parts.")
            return
        yield place


def read_zone(place: Place, name: str) -> str:
    """Return a grid zone or country, in capital letters."""
    return place.choice(name, ZONE, "not_a_zone", NOT_A_ZONE, required=False)


def read_json(content: bytes, *, limits: Limits) -> Place | RowError:
    """Read one JSON document."""
    try:
        return Place(_json(_decoded(content, limits)), "", 1, [])
    except _Fault as fault:
        return fault.error


def read_documents(content: bytes, *, limits: Limits) -> Documents | RowError:
    """Read one JSON document, the entries of a list, or one document on each line; lines are parsed when used."""
    try:
        text = _decoded(content, limits)
        first = next((line for line in io.StringIO(text) if line.strip()), "")
        errors: list[RowError] = []
        if len(first) < len(text.strip()) and _stands_alone(first):
            return Documents(_on_lines(text, errors), errors)
        root = Place(_json(text), "", 1, errors)
    except _Fault as fault:
        return fault.error
    if not isinstance(root.value, list):
        return Documents(iter((root,)), errors)
    return Documents((root.at(number) for number in range(len(root.value))), errors)


def _on_lines(text: str, errors: list[RowError]) -> Iterator[Place]:
    """Yield the document of each line; one that cannot be read is an error, and reading goes on below it."""
    for number, line in enumerate(io.StringIO(text), start=1):
        if line.strip():
            try:
                yield Place(_json(line.strip(), number), "", number, errors)
            except _Fault as fault:
                errors.append(fault.error)


def read_yaml(content: bytes, *, limits: Limits) -> Place | RowError:
    """Read one YAML document."""
    try:
        return Place(_Composer(_decoded(content, limits)).document(), "", 1, [])
    except _Fault as fault:
        return fault.error
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        return RowError(line, WHOLE_FILE, "bad_yaml", "This is no YAML from here on: export the file again.")


def _decoded(content: bytes, limits: Limits) -> str:
    if len(content) > limits.max_bytes:
        sentence = f"The file has {len(content):,} bytes: {limits.max_bytes:,} are allowed. Send it in parts."
        raise _Fault(1, WHOLE_FILE, "file_too_large", sentence)
    if content.startswith(BYTE_ORDER_MARKS):
        raise _Fault(1, WHOLE_FILE, "bad_encoding", "The file is UTF-16: save it in UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise _Fault(line, WHOLE_FILE, "bad_encoding", "This line is not UTF-8: save the file as UTF-8.") from None
    if not text.strip():
        raise _Fault(1, WHOLE_FILE, "empty_file", "The file is empty.")
    return text


def _stands_alone(line: str) -> bool:
    """Say whether a first line is a whole document, as it is where each line is one."""
    try:
        return isinstance(_json(line), dict)
    except _Fault:
        return False


def _json(text: str, line: int = 1) -> Any:
    """Parse JSON whose nesting has been measured, with its numbers as they were written."""
    depth = deepest = parts = 0
    for match in _BRACKETS.finditer(text):
        bracket = match.group()
        parts += bracket in "[{,"
        if bracket in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in "]}":
            depth -= 1
    if deepest > MOST_DEPTH:
        sentence = f"The file is nested {deepest:,} levels deep: {MOST_DEPTH} are allowed."
        raise _Fault(line, WHOLE_FILE, "too_deep", sentence)
    if parts > MOST_NODES:
        raise _Fault(line, WHOLE_FILE, "too_many_values", f"More than {MOST_NODES:,} values: send it in parts.")
    try:
        value = json.loads(
            text, parse_float=_Number, parse_int=_Number, parse_constant=_no_number, object_pairs_hook=_unique
        )
    except json.JSONDecodeError as fault:
        sentence = f"This is no JSON at column {fault.colno}: export the file again."
        raise _Fault(line + fault.lineno - 1, WHOLE_FILE, "bad_json", sentence) from None
    except _Fault as fault:
        raise _Fault(line, fault.error.column, fault.error.code, fault.error.sentence) from None
    _check_texts(value, line)
    return value


def _no_number(text: str) -> NoReturn:
    raise _Fault(1, WHOLE_FILE, "not_a_number", f"{text} is no number: leave the field out or measure again.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _Fault(1, WHOLE_FILE, "key_twice", f"The name {twice[:60]!r} stands twice in one table: keep one.")
    return table


def _check_texts(value: Any, line: int) -> None:
    """Refuse text that nothing can store, and documents of endless parts."""
    waiting: list[tuple[str, Any]] = [("", value)]
    seen = 0
    while waiting:
        pointer, found = waiting.pop()
        seen += 1
        if seen > MOST_NODES:
            raise _Fault(line, WHOLE_FILE, "too_many_values", f"More than {MOST_NODES:,} values: send it in parts.")
        if isinstance(found, dict):
            for name, below in found.items():
                _check_text(name, pointer, line)
                waiting.append((f"{pointer}/{name[:60]}", below))
        elif isinstance(found, list):
            waiting += [(f"{pointer}/{number}", below) for number, below in enumerate(found)]
        elif isinstance(found, str):
            _check_text(found, pointer, line)


def _check_text(text: str, pointer: str, line: int) -> None:
    if _UNPRINTABLE.search(text):
        sentence = "This text has a control character or half a character: remove it."
        raise _Fault(line, pointer or WHOLE_FILE, "control_character", sentence)


class _Composer:
    """Builds the one document of a YAML file from its events, counting depth, values and aliases on the way."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliases = 0

    def document(self) -> Any:
        """Return the document."""
        if not any(isinstance(event, yaml.DocumentStartEvent) for event in self._events):
            raise _Fault(1, WHOLE_FILE, "empty_file", "The file is empty.")
        value, _ = self._node(next(self._events), 1)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._fault(event, "several_documents", "The file holds several documents: send each alone.")
        _check_texts(value, 1)
        return value

    def _node(self, event: Any, depth: int) -> tuple[Any, int]:
        """Return a value and how many values it stands for."""
        if depth > MOST_DEPTH:
            raise self._fault(event, "too_deep", f"More than {MOST_DEPTH} levels are nested here.")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag is not None:
            raise self._fault(event, "tag", "Tags such as !!python are not read: write plain values.")
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            is_nothing = not event.style and event.value in _YAML_NOTHING
            value, weight = (None if is_nothing else event.value), 1
        elif isinstance(event, yaml.SequenceStartEvent):
            value, weight = self._list(event, depth)
        else:
            value, weight = self._table(event, depth)
        if weight > MOST_NODES:
            raise self._fault(event, "too_many_values", f"More than {MOST_NODES:,} values: send it in parts.")
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, weight)
        return value, weight

    def _alias(self, event: Any) -> tuple[Any, int]:
        self._aliases += 1
        if event.anchor not in self._anchors:
            raise self._fault(event, "alias_unknown", "This alias names nothing complete above it: write it out.")
        if self._aliases > MOST_ALIASES:
            raise self._fault(event, "too_many_aliases", f"{MOST_ALIASES} aliases are allowed: write the values out.")
        return self._anchors[event.anchor]

    def _list(self, start: Any, depth: int) -> tuple[_List, int]:
        found, weight = _List(), 1
        found.line = start.start_mark.line + 1
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value, below = self._node(event, depth + 1)
            found.append(value)
            weight = self._grown(event, weight + below)
        return found, weight

    def _table(self, start: Any, depth: int) -> tuple[_Table, int]:
        found, weight = _Table(), 1
        found.line = start.start_mark.line + 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._fault(event, "key_not_text", "A name in a table has to be plain text.")
            if event.value == "<<":
                raise self._fault(event, "merge_key", "Merge keys are not read: write the values out.")
            if event.value in found:
                raise self._fault(event, "key_twice", f"The name {event.value[:60]!r} stands twice here: keep one.")
            value, below = self._node(next(self._events), depth + 1)
            found[event.value] = value
            weight = self._grown(event, weight + below)
        return found, weight

    def _grown(self, event: Any, weight: int) -> int:
        if weight > MOST_NODES:
            raise self._fault(event, "too_many_values", f"More than {MOST_NODES:,} values: send it in parts.")
        return weight

    def _fault(self, event: Any, code: str, sentence: str) -> _Fault:
        return _Fault(event.start_mark.line + 1, WHOLE_FILE, code, sentence)
