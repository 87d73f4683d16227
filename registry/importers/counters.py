"""Logs of energy counters: NVML or DCGM of accelerators (mJ), and RAPL of processors (uJ), as CSV.

A counter says nothing alone: energy is the difference of two readings, and belongs to the hour in which the second one
was taken. One line comes out for each device and UTC hour, so that the same hour of the same device is the same
measurement in whatever file it stands: cut logs at full hours.

An accelerator's counter starts again at zero with its driver: what it shows then counts, and what was drawn between the
last reading and the restart is lost, which a flag says. A processor's counter wraps at `max_energy_range_uj`.

Domains of a processor overlap. Where a host has `psys`, it alone counts; else its packages with their memory (`dram`,
which no package contains); cores count only where there is no package above them. Nothing is ever added twice.

A log may be chained: its last column `chain` is the SHA-256 of the chain of the row before, a line feed and the row's
other cells joined by commas; the first row follows 64 zeros, or the chain with which the log before ended. A row that
was changed, left out or put in breaks it, and only a chained log is evidence of tier 2.

| flag | what was seen |
|---|---|
| not_chained | no chain: a changed row would not be noticed |
| counter_reset | the counter began again at zero: what was drawn just before is not in it |
| counter_wrapped | the counter went once through its range |
| wrap_unseen | readings are so far apart that the counter could have wrapped more than once |
| gap | nothing was read for longer than the option `max_gap_s` allows; the counter went on counting |
| power_implausible | more than 5 kW follow from two readings of one device |
| domains_overlap | a domain is part of another and was not added |
| cores_only | there is no package domain: the rest of the processor is missing |
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from registry.engine.emissions import JOULES_PER_KWH, CountedEnergy, ItEnergy, nvml_energy, rapl_energy, rapl_total
from registry.engine.rounding import EXACT_DECIMALS, exact
from registry.importers.lines import ImportedFile, ImportedLine, kept_kwh, measurement_key
from registry.importers.table import (
    BadFile,
    Cells,
    Flag,
    Limits,
    Table,
    bad_file,
    cells_of,
    read_table,
    sha256_hex,
)

LIMITS = Limits(max_bytes=20_000_000, max_rows=100_000, max_columns=8, max_cell=200)
NVML_COLUMNS = ("timestamp", "device", "energy_mj")
RAPL_COLUMNS = ("timestamp", "host", "domain", "energy_uj", "max_energy_range_uj")
CHAIN = "chain"
NO_CHAIN = "0" * 64
HIGHEST_COUNT = 2**64 - 1
MICROJOULES_PER_JOULE = 1_000_000
MOST_WATTS = 5_000
MOST_PROCESSOR_WATTS = 1_000
"""More than a device, or one domain of a processor, draws today."""

LONGEST_GAP_S = 300

_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,59}", re.ASCII)
_DOMAIN = re.compile(r"psys|(package|core|uncore|dram)-[0-9]{1,3}", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class _Reading:
    line: int
    device: str
    domain: str
    at: datetime
    count: int
    wraps_at: int


@dataclass
class _Hour:
    """What one device counted in one hour."""

    line: int
    started_at: datetime
    ended_at: datetime
    joules: Decimal = Decimal(0)
    differences: int = 0


@dataclass
class _Counted:
    """What one counter counted in a file, and what was seen on the way: the first line of each kind and how often."""

    hours: dict[datetime, _Hour] = field(default_factory=dict)
    seen: dict[str, list[int]] = field(default_factory=dict)
    joules: Decimal = Decimal(0)

    def saw(self, code: str, line: int) -> None:
        self.seen.setdefault(code, []).append(line)


_SENTENCES = {
    "counter_reset": "The counter began again at zero: what was drawn after the reading before it is not in it.",
    "counter_wrapped": "The counter went through its whole range once.",
    "wrap_unseen": "Readings are so far apart that the counter could have wrapped unseen: read it more often.",
    "gap": "Nothing was read for longer than allowed; the counter went on counting.",
    "power_implausible": "More than 5 kW follow from two readings of one device: check the unit.",
}


def parse_nvml(
    content: bytes, *, max_gap_s: int = LONGEST_GAP_S, previous_chain: str = "", limits: Limits = LIMITS
) -> ImportedFile | BadFile:
    """Read a log of accelerators' counters (NVML total energy or DCGM field 156, in mJ), or refuse it."""
    table = read_table(content, required=NVML_COLUMNS, limits=limits)
    return _parse(content, table, "nvml", max_gap_s, previous_chain, limits)


def parse_rapl(
    content: bytes, *, max_gap_s: int = LONGEST_GAP_S, previous_chain: str = "", limits: Limits = LIMITS
) -> ImportedFile | BadFile:
    """Read a log of processors' counters (RAPL, in uJ), or refuse it with every error in it."""
    table = read_table(content, required=RAPL_COLUMNS, limits=limits)
    return _parse(content, table, "rapl", max_gap_s, previous_chain, limits)


def chain(previous: str, cells: Iterable[str]) -> str:
    """Return the chain of a row from the one before and the row's other cells."""
    return hashlib.sha256(f"{previous}\n{','.join(cells)}".encode()).hexdigest()


def _parse(
    content: bytes, table: Table, kind: str, max_gap_s: int, previous_chain: str, limits: Limits
) -> ImportedFile | BadFile:
    errors = list(table.errors)
    is_chained = CHAIN in table.columns
    before = previous_chain or NO_CHAIN
    counters: dict[tuple[str, str], list[_Reading]] = {}
    for cells in cells_of(table, errors, limits):
        if is_chained:
            before = _checked_chain(cells, before)
        reading = _nvml(cells) if kind == "nvml" else _rapl(cells)
        if reading is None:
            continue
        earlier = counters.setdefault((reading.device, reading.domain), [])
        if not earlier or _follows(cells, earlier[-1], reading):
            earlier.append(reading)
    for readings in counters.values():
        if len(readings) == 1 and not errors:
            cells = Cells(next(row for row in table.rows if row.line == readings[0].line), errors)
            cells.refuse("timestamp", "one_reading", "There is one reading of this counter: energy takes two.")
    if errors:
        return bad_file(content, table, errors)

    counted = {key: _count(readings, max_gap_s) for key, readings in counters.items()}
    flags = [] if is_chained else [Flag(1, CHAIN, "not_chained", "The log is not chained: it is not tier 2 evidence.")]
    for (device, domain), one in counted.items():
        column = "domain" if domain else "device"
        name = " ".join(filter(None, (device, domain)))
        flags += [
            Flag(lines[0], column, code, f"{name}, {len(lines)} x, first here: {_SENTENCES[code]}")
            for code, lines in one.seen.items()
        ]
    counting, left_out = _without_overlap(counted)
    flags += [Flag(first.line, "domain", code, sentence) for first, code, sentence in left_out]
    chained = {"chain_end": before} if is_chained else {}
    lines = [
        _line(kind, device, domain, hour, found, chained)
        for (device, domain) in counting
        for hour, found in counted[device, domain].hours.items()
    ]
    lines.sort(key=lambda line: (line.line, line.key))
    return ImportedFile(sha256_hex(content), kind, "", tuple(lines), tuple(flags))


def _nvml(cells: Cells) -> _Reading | None:
    at = cells.instant("timestamp", required=True)
    device = cells.choice("device", _DEVICE, "not_a_device", "Write the device's UUID, without spaces.")
    count = cells.whole("energy_mj", 0, HIGHEST_COUNT, required=True)
    if at is None or not device or count is None:
        return None
    return _Reading(cells.row.line, device, "", at, count, 0)


def _rapl(cells: Cells) -> _Reading | None:
    at = cells.instant("timestamp", required=True)
    host = cells.choice("host", _DEVICE, "not_a_device", "Write the host's name, without spaces.")
    domain = cells.choice(
        "domain", _DOMAIN, "not_a_domain", "A domain is psys, package-0, core-0, uncore-0 or dram-0, by its number."
    )
    wraps_at = cells.whole("max_energy_range_uj", 1, HIGHEST_COUNT, required=True)
    count = cells.whole("energy_uj", 0, wraps_at if wraps_at is not None else HIGHEST_COUNT, required=True)
    if at is None or not host or not domain or count is None or wraps_at is None:
        return None
    return _Reading(cells.row.line, host, domain, at, count, wraps_at)


def _checked_chain(cells: Cells, before: str) -> str:
    """Compare a row's chain with what it has to be, and return what the next row follows."""
    written = cells.choice(CHAIN, HASH, "not_a_hash", "The chain is 64 lower-case hexadecimal digits.")
    expected = chain(before, (text for name, text in cells.row.cells.items() if name != CHAIN))
    if written and written != expected:
        sentence = "The chain breaks here: this row was changed, or rows before it are missing or were put in."
        if before == NO_CHAIN:
            sentence += " A log that goes on from another needs the chain with which that one ended."
        cells.refuse(CHAIN, "chain_broken", sentence)
    return written or expected


def _follows(cells: Cells, earlier: _Reading, later: _Reading) -> bool:
    """Say whether a reading comes after the one before of the same counter, and refuse it if not."""
    if later.at == earlier.at:
        cells.refuse("timestamp", "reading_twice", f"Line {earlier.line} is the same counter at the same moment.")
        return False
    if later.at < earlier.at:
        sentence = f"This is before line {earlier.line} of the same counter: logs of one device must not overlap."
        cells.refuse("timestamp", "readings_overlap", sentence)
        return False
    if later.wraps_at != earlier.wraps_at:
        cells.refuse("max_energy_range_uj", "range_changed", f"The range is another one than in line {earlier.line}.")
        return False
    return True


def _count(readings: Sequence[_Reading], max_gap_s: int) -> _Counted:
    """Add up the differences of a counter's readings by hour; the engine knows what a difference is."""
    counted = _Counted()
    for earlier, later in pairwise(readings):
        counts = (earlier.count, later.count)
        energy = rapl_energy(counts, later.wraps_at) if later.wraps_at else nvml_energy(counts)
        assert isinstance(energy, CountedEnergy), "the bounds of each reading were checked when it was read"
        seconds = Fraction((later.at - earlier.at) // _INSTANT, 10**6)
        if energy.restarts:
            counted.saw("counter_wrapped" if later.wraps_at else "counter_reset", later.line)
        if seconds > max_gap_s:
            counted.saw("gap", later.line)
        if energy.joules > MOST_WATTS * seconds:
            counted.saw("power_implausible", later.line)
        if later.wraps_at and MOST_PROCESSOR_WATTS * MICROJOULES_PER_JOULE * seconds >= later.wraps_at:
            counted.saw("wrap_unseen", later.line)
        hour = (later.at - _INSTANT).replace(minute=0, second=0, microsecond=0)  # 11:00 sharp ends the hour from ten
        found = counted.hours.setdefault(hour, _Hour(later.line, earlier.at, later.at))
        found.ended_at, found.differences = later.at, found.differences + 1
        found.joules = EXACT_DECIMALS.add(found.joules, energy.joules)
        counted.joules = EXACT_DECIMALS.add(counted.joules, energy.joules)
    return counted


def _without_overlap(
    counted: dict[tuple[str, str], _Counted],
) -> tuple[list[tuple[str, str]], list[tuple[_Hour, str, str]]]:
    """Return the counters that count, and what to say of the others of a host."""
    counting: list[tuple[str, str]] = []
    said: list[tuple[_Hour, str, str]] = []
    hosts: dict[str, dict[str, _Counted]] = {}
    for (host, domain), one in counted.items():
        hosts.setdefault(host, {})[domain] = one
    for host, domains in hosts.items():
        is_processor = "" not in domains
        taken = rapl_total({name: one.joules for name, one in domains.items()}).domains if is_processor else ("",)
        for domain in domains:
            first = next(iter(domains[domain].hours.values()))
            if domain in taken:
                counting.append((host, domain))
                if domain.startswith(("core", "uncore")):
                    said.append((first, "cores_only", f"{host} {domain}: no package domain contains it in this log."))
            else:
                said.append((first, "domains_overlap", f"{host} {domain} is part of another domain: it is not added."))
    return counting, said


def _line(kind: str, device: str, domain: str, hour: datetime, found: _Hour, chained: dict[str, str]) -> ImportedLine:
    return ImportedLine(
        line=found.line,
        key=measurement_key(kind, device, *filter(None, (domain,)), f"{hour:%Y-%m-%dT%H}Z"),
        label=" ".join(filter(None, (device, domain))),
        method=kind,
        energy=ItEnergy(kept_kwh(exact(found.joules) / JOULES_PER_KWH)),
        started_at=found.started_at,
        ended_at=found.ended_at,
        tier=2 if chained else None,
        evidence={"energy_j": f"{found.joules:f}", "differences": str(found.differences), **chained},
    )
