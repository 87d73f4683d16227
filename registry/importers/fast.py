"""Fast readers for tables of a million rows: columns are checked as wholes instead of cell by cell.

They take a text only where every row of it is plain: numbers as programs write them, no flag but the usual ones, no
quoted line breaks. Whatever is not plainly right is left to the row reader, which alone judges: a fast reader never
refuses, and what it takes is exactly what the row reader would have made of it.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Literal, NamedTuple

from registry.engine.canonical import canonical_json
from registry.engine.emissions import ItEnergy
from registry.importers import codecarbon, template
from registry.importers.lines import ImportedLine
from registry.importers.table import Cells, Row, RowError

LONGEST_ROW = 2000
MOST_DISTINCT = 256

_PLAIN_BYTES = bytes([9, 10, 13, *range(32, 127)])
_ODD = re.compile("[\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029]")
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,25})?(?:[eE]-(?:[0-2]?[0-9]|3[0-4]))?"
_NUMBERS = re.compile(rf"(?:{_NUMBER}\n)+", re.ASCII)
_NUMBERS_OR_NOTHING = re.compile(rf"(?:(?:{_NUMBER})?\n)+", re.ASCII)
_RUNS = re.compile(r"(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\n)+", re.ASCII)
_TIMES = re.compile(
    r"(?:[12][0-9]{3}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?\n)+", re.ASCII
)

_COMPUTED = (
    "duration", "emissions", "cpu_power", "gpu_power", "ram_power", "cpu_energy", "gpu_energy", "ram_energy",
    "energy_consumed",
)  # fmt: skip
_UNBOUNDED = ("emissions_rate", "water_consumed")
"""Numbers without a bound below a thousand million: whatever the pattern admits is within it."""
_HUNDRED = ("cpu_utilization_percent", "gpu_utilization_percent", "ram_utilization_percent", "wue")
_FEW = ("longitude", "latitude", "ram_total_size", "ram_used_gb", "cpu_count", "gpu_count", "pue")
"""Numbers of a machine: they repeat from row to row, and each is judged once, as the row reader judges it."""
_TEXTS = (
    "experiment_id", "country_name", "os", "python_version", "cpu_model", "gpu_model", "region", "cloud_provider",
    "cloud_region",
)  # fmt: skip
_LONGEST_TEXT = 500


Columns = Mapping[str, Sequence[str]]


class Sort(NamedTuple):
    """What many rows have in common: everything but their names and figures."""

    activity: str
    method: str
    zone: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tier: int | None = None
    energy: Literal["site", "computers", ""] = "site"


class Amounts(NamedTuple):
    """What a row counts beside energy."""

    requests: int | None = None
    tokens: int | None = None
    flop: int = 0


@dataclass(frozen=True)
class FastRows:
    """Rows by column: the line on which the first one stands, and for each one what a draft keeps of it.

    `claimed` is in units of `claimed_unit_g` grams; `is_compared` says whether the row reader holds it against ours.
    Without amounts a row has nothing but energy.
    """

    first_line: int
    cells: Columns
    keys: Sequence[str]
    labels: Sequence[str]
    sorts: Sequence[Sort]
    kwh: Sequence[Decimal]
    claimed: Sequence[Decimal | None]
    claimed_unit_g: Decimal
    amounts: Sequence[Amounts] | None = None
    is_compared: bool = False

    def row(self, place: int) -> Row:
        """Return one row as the row reader takes it."""
        return Row(self.first_line + place, {name: cells[place] for name, cells in self.cells.items()})


# CodeCarbon -----------------------------------------------------------------------------------------------------------


def read_codecarbon(columns: tuple[str, ...], text: str, first_line: int) -> FastRows | None:
    """Read a text of whole records, or leave it to the row reader."""
    by_name = _columns(columns, text)
    if by_name is None or "task_name" in by_name or not all(name in by_name for name in codecarbon.REQUIRED):
        return None
    if not (_has_plain_identities(by_name) and _has_plain_numbers(by_name) and _has_plain_texts(by_name)):
        return None
    if not _needs_no_flag(by_name):
        return None
    names = {name: name.strip()[:200] for name in set(by_name["project_name"])}
    sorts = {country: Sort("", "codecarbon", country) for country in set(by_name["country_iso_code"])}
    return FastRows(
        first_line=first_line,
        cells=by_name,
        keys=["codecarbon:" + run for run in by_name["run_id"]],
        labels=[names[name] for name in by_name["project_name"]],
        sorts=[sorts[country] for country in by_name["country_iso_code"]],
        kwh=list(map(Decimal, by_name["energy_consumed"])),
        claimed=list(map(Decimal, by_name["emissions"])),
        claimed_unit_g=Decimal(1000),
        is_compared=True,
    )


def _has_plain_identities(by_name: Columns) -> bool:
    """Say whether runs, moments, versions, countries and modes are what the row reader takes as they are."""
    if not _RUNS.fullmatch(_joined(by_name["run_id"])) or not _TIMES.fullmatch(_joined(by_name["timestamp"])):
        return False
    try:
        for day in {moment[:10] for moment in by_name["timestamp"]}:
            date.fromisoformat(day)
    except ValueError:
        return False
    few = ("codecarbon_version", "country_iso_code", "tracking_mode", "on_cloud")
    judged = (codecarbon.VERSION, codecarbon.COUNTRY, codecarbon.MODE, codecarbon.YES_OR_NO)
    return all(
        pattern.fullmatch(value) is not None
        for name, pattern in zip(few, judged, strict=True)
        for value in set(by_name[name])
    )


def _has_plain_numbers(by_name: Columns) -> bool:
    """Say whether every number is one, and within the bounds of the row reader."""
    if not all(_NUMBERS.fullmatch(_joined(by_name[name])) for name in _COMPUTED):
        return False
    durations = [float(one) for one in by_name["duration"]]
    if not 0 < min(durations) <= max(durations) < float(codecarbon.LONGEST_RUN_S):
        return False
    for name in (*_UNBOUNDED, *_HUNDRED):
        if name in by_name and not _NUMBERS_OR_NOTHING.fullmatch(_joined(by_name[name])):
            return False
    if any(float(one or 0) > 99 for name in _HUNDRED if name in by_name for one in by_name[name] if one):
        return False
    return all(_are_few_and_right(name, by_name[name]) for name in _FEW if name in by_name)


def _are_few_and_right(name: str, values: Sequence[str]) -> bool:
    """Judge each value once, by the row reader's own rules."""
    distinct = set(values)
    if len(distinct) > MOST_DISTINCT:
        return False
    errors: list[RowError] = []
    for value in distinct:
        cells = Cells(Row(0, {name: value}), errors)
        if name == "pue":
            cells.decimal("pue", Decimal(1), codecarbon.HIGHEST_PUE)
        else:
            codecarbon.check_descriptive_cells(cells)
    return not errors


def _has_plain_texts(by_name: Columns) -> bool:
    names = set(by_name["project_name"])
    if any(not name.strip() or len(name) > _LONGEST_TEXT or "\r" in name or "\n" in name for name in names):
        return False
    return all(
        len(value) <= _LONGEST_TEXT and "\r" not in value and "\n" not in value
        for name in _TEXTS
        if name in by_name
        for value in set(by_name[name])
    )


def _needs_no_flag(by_name: Columns) -> bool:
    """Say whether the figures agree so clearly that the row reader flags none of them, by estimates with a margin."""
    estimated = [[float(one) for one in by_name[name]] for name in _COMPUTED if name != "emissions"]
    sorts = {
        (version, pue): _expected(version, pue)
        for version, pue in set(
            zip(by_name["codecarbon_version"], by_name.get("pue", ("",) * len(estimated[0])), strict=True)
        )
    }
    kinds = zip(
        by_name["codecarbon_version"],
        by_name.get("pue", ("",) * len(estimated[0])),
        by_name["tracking_mode"],
        strict=True,
    )
    for (duration, cpu_w, gpu_w, ram_w, cpu, gpu, ram, total), (version, pue, mode) in zip(
        zip(*estimated, strict=True), kinds, strict=True
    ):
        parts = cpu + gpu + ram
        if abs(parts - total) > 0.9e-9 * (parts if parts > total else total):
            return False
        if (cpu_w == 0 and cpu > 0) or (gpu > 0 and mode == "process"):
            return False
        watts = cpu_w + gpu_w + ram_w
        expected = sorts[version, pue]
        if watts and expected:
            ratio = total * 3_600_000 / (watts * duration)
            tolerance = 0.0499 + 1.499 / duration
            if all(abs(ratio / one - 1) > tolerance for one in expected):
                return False
    return True


def _expected(version: str, pue: str) -> tuple[float, ...]:
    found = codecarbon.expected_ratios(
        codecarbon.version_numbers(version), Decimal(pue.strip()) if pue.strip() else None
    )
    return tuple(float(one) for one in found)


# Our own table --------------------------------------------------------------------------------------------------------

_SORT = ("activity", "method", "started_at", "ended_at", "zone", "tier")
_KWH = re.compile(r"(?:(?:[0-9]{1,12}(?:\.[0-9]{1,25})?(?:[eE]-(?:[0-2]?[0-9]|3[0-4]))?)?\n)+", re.ASCII)
_GRAMS = re.compile(r"(?:(?:[0-9]{1,18}(?:\.[0-9]{1,25})?(?:[eE]-(?:[0-2]?[0-9]|3[0-4]))?)?\n)+", re.ASCII)
_COUNTS = re.compile(r"(?:(?:[0-9]{1,18})?\n)+", re.ASCII)
_WHOLE_FLOP = r"[0-9]{1,35}|[0-9][eE]\+?(?:[0-2]?[0-9]|3[0-4])|[0-9]\.[0-9]{1,9}[eE]\+?(?:[12][0-9]|3[0-4])"
_FLOP = re.compile(rf"(?:(?:{_WHOLE_FLOP})?\n)+", re.ASCII)
_FIGURES = (
    ("energy_kwh", _KWH), ("it_energy_kwh", _KWH), ("flop", _FLOP), ("requests", _COUNTS), ("tokens", _COUNTS),
    ("claimed_co2e_g", _GRAMS),
)  # fmt: skip
_LONGEST_LABEL = 200


def read_template(columns: tuple[str, ...], text: str, first_line: int) -> FastRows | None:
    """Read a text of whole records, or leave it to the row reader."""
    by_name = _columns(columns, text)
    if by_name is None or not all(name in by_name for name in template.REQUIRED):
        return None
    nothing = ("",) * len(by_name["label"])
    if any(name in by_name and not figures.fullmatch(_joined(by_name[name])) for name, figures in _FIGURES):
        return None
    labels = [label.strip() for label in by_name["label"]]
    if not all(labels) or max(map(len, by_name["label"])) > _LONGEST_LABEL:
        return None
    energies, computers, flop = (by_name.get(name, nothing) for name in template.FIGURES)
    if not all(map(_says_one_thing, energies, computers, flop)):
        return None
    judged = [_sort(*cells) for cells in zip(*(by_name.get(name, nothing) for name in _SORT), strict=True)]
    kwh, sorts, keys = [], [], []
    for label, energy, drawn, found in zip(labels, energies, computers, judged, strict=True):
        if found is None:
            return None
        kwh.append(Decimal(energy or drawn or 0))
        sorts.append(found.at_site if energy else found.of_computers if drawn else found.without_energy)
        keys.append("template:" + sha256(f"[{encode_basestring(label)},{found.hashed}".encode()).hexdigest()[:40])
    counted = zip(by_name.get("requests", nothing), by_name.get("tokens", nothing), flop, strict=True)
    return FastRows(
        first_line=first_line,
        cells=by_name,
        keys=keys,
        labels=labels,
        sorts=sorts,
        kwh=kwh,
        claimed=[Decimal(one) if one else None for one in by_name.get("claimed_co2e_g", nothing)],
        claimed_unit_g=Decimal(1),
        amounts=[
            Amounts(int(requests) if requests else None, int(tokens) if tokens else None, _whole(operations))
            for requests, tokens, operations in counted
        ],
    )


def _says_one_thing(site: str, computers: str, flop: str) -> bool:
    """Say whether a row has energy once, or operations."""
    return not (site and computers) and bool(site or computers or flop)


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else int(Decimal(text)) if text else 0


class _Judged(NamedTuple):
    """The sorts of a row with each kind of energy, and what its key is hashed from after its label."""

    at_site: Sort
    of_computers: Sort
    without_energy: Sort
    hashed: str


@lru_cache(maxsize=8192)
def _sort(*cells: str) -> _Judged | None:
    """Judge by the row reader's own rules what many rows have in common; a row that needs a flag is left to it."""
    if max(map(len, cells)) > template.LIMITS.max_cell:
        return None
    errors: list[RowError] = []
    row = dict(zip(_SORT, cells, strict=True)) | {"label": "x", "it_energy_kwh": "1"}
    line: ImportedLine | None = template.read_row(Cells(Row(0, row), errors), [])
    if line is None or errors or line.tier:
        return None
    assert isinstance(line.energy, ItEnergy)
    first = Sort(line.activity, line.method, line.zone, line.started_at, line.ended_at, line.tier)
    parts = [line.activity, line.method, str(line.started_at), str(line.ended_at), line.zone]
    return _Judged(
        first, first._replace(energy="computers"), first._replace(energy=""), canonical_json(parts).decode()[1:]
    )


# Texts ----------------------------------------------------------------------------------------------------------------


def _columns(columns: tuple[str, ...], text: str) -> Columns | None:
    """Split a text into columns, one row to a line; anything odd about its form is left to the row reader."""
    if _is_odd(text):
        return None
    plain = text.replace("\r\n", "\n").removesuffix("\n")
    lines = plain.split("\n")
    if not plain or "\r" in plain or max(map(len, lines)) > LONGEST_ROW:
        return None
    width = len(columns)
    if '"' not in plain:
        if {line.count(",") for line in lines} != {width - 1}:
            return None
        cells = plain.replace("\n", ",").split(",")
        return {name: cells[place::width] for place, name in enumerate(columns)}
    try:
        rows = list(csv.reader(io.StringIO(plain, newline=""), strict=True))
    except csv.Error:
        return None
    if len(rows) != len(lines) or {len(row) for row in rows} != {width}:
        return None
    return dict(zip(columns, zip(*rows, strict=True), strict=True))


def _is_odd(text: str) -> bool:
    """Say whether a text has a character that a plain table has not."""
    if text.isascii():
        return bool(text.encode("ascii").translate(None, _PLAIN_BYTES))
    return _ODD.search(text) is not None


def _joined(cells: Sequence[str]) -> str:
    return "\n".join(cells) + "\n"
