"""A fast reader of CodeCarbon's rows, for files of a million: columns are checked as wholes instead of cell by cell.

It takes a text only where every row of it is plain: numbers as programs write them, no flag but the usual one, no
quoted line breaks. Whatever is not plainly right is left to the row reader, which alone judges: this reader never
refuses, and what it takes is exactly what the row reader would have made of it.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from registry.importers import codecarbon
from registry.importers.table import Cells, Row, RowError

LONGEST_ROW = 2000
MOST_DISTINCT = 256

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


@dataclass(frozen=True)
class FastRows:
    """Rows by column: the line that follows them, and for each one what a draft keeps of it."""

    first_line: int
    runs: Sequence[str]
    labels: Sequence[str]
    kwh: Sequence[Decimal]
    countries: Sequence[str]
    claimed_kg: Sequence[Decimal]
    cells: Sequence[Sequence[str]]

    def row(self, columns: tuple[str, ...], place: int) -> Row:
        """Return one row as the row reader takes it."""
        return Row(self.first_line + place, dict(zip(columns, self.cells[place], strict=True)))


def read_codecarbon(columns: tuple[str, ...], text: str, first_line: int) -> FastRows | None:
    """Read a text of whole records, or leave it to the row reader."""
    rows = _rows(columns, text)
    if rows is None:
        return None
    by_name: dict[str, tuple[str, ...]] = dict(zip(columns, zip(*rows, strict=True), strict=True))
    if "task_name" in by_name or not all(name in by_name for name in codecarbon.REQUIRED):
        return None
    if not (_has_plain_identities(by_name) and _has_plain_numbers(by_name) and _has_plain_texts(by_name)):
        return None
    if not _needs_no_flag(by_name):
        return None
    labels = [name.strip()[:200] for name in by_name["project_name"]]
    return FastRows(
        first_line=first_line,
        runs=by_name["run_id"],
        labels=labels,
        kwh=[Decimal(one) for one in by_name["energy_consumed"]],
        countries=by_name["country_iso_code"],
        claimed_kg=[Decimal(one) for one in by_name["emissions"]],
        cells=rows,
    )


def _rows(columns: tuple[str, ...], text: str) -> list[list[str]] | None:
    """Split a text into rows, one to a line; anything odd about its form is left to the row reader."""
    if _ODD.search(text):
        return None
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return None
    lines = text.count("\n") + (not text.endswith("\n"))
    if len(rows) != lines or not rows or {len(row) for row in rows} != {len(columns)}:
        return None
    if max(map(len, text.split("\n"))) > LONGEST_ROW:
        return None
    return rows


def _joined(cells: Sequence[str]) -> str:
    return "\n".join(cells) + "\n"


def _has_plain_identities(by_name: dict[str, tuple[str, ...]]) -> bool:
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


def _has_plain_numbers(by_name: dict[str, tuple[str, ...]]) -> bool:
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


def _are_few_and_right(name: str, values: tuple[str, ...]) -> bool:
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


def _has_plain_texts(by_name: dict[str, tuple[str, ...]]) -> bool:
    names = set(by_name["project_name"])
    if any(not name.strip() or len(name) > _LONGEST_TEXT or "\r" in name or "\n" in name for name in names):
        return False
    return all(
        len(value) <= _LONGEST_TEXT and "\r" not in value and "\n" not in value
        for name in _TEXTS
        if name in by_name
        for value in set(by_name[name])
    )


def _needs_no_flag(by_name: dict[str, tuple[str, ...]]) -> bool:
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
