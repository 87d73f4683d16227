"""Metrics as Prometheus scrapes them: refused with the reason, because one scrape holds no energy of a period.

CodeCarbon's `codecarbon_*` metrics are gauges of the last value, without the run that they belong to: a scrape shows
the end of one run and nothing of the runs before. A counter of an accelerator's energy in one scrape is one reading,
and energy is the difference of two. Both come in by a format that keeps what was between.
"""

import re

from registry.importers.table import BadFile, Limits, RowError, sha256_hex

LIMITS = Limits(max_bytes=5_000_000, max_rows=100_000, max_errors=50)

_METRIC = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(\{.*\})?\s+\S+(\s+-?[0-9]+)?", re.ASCII)
_COUNTERS = ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "nvidia_gpu_total_energy", "node_rapl_")


def refuse_prometheus(content: bytes, *, limits: Limits = LIMITS) -> BadFile:
    """Say of each metric that looks like energy why it cannot be taken, and which format can."""
    errors: list[RowError] = []
    if len(content) > limits.max_bytes:
        errors.append(RowError(1, "column 1", "file_too_large", f"At most {limits.max_bytes:,} bytes are read."))
        return BadFile(sha256_hex(content), tuple(errors))
    for line, text in enumerate(content.decode(errors="replace").split("\n"), start=1):
        found = _METRIC.fullmatch(text.strip())
        if found is None or len(errors) == limits.max_errors:
            continue
        name = found.group(1)
        if name.startswith("codecarbon_"):
            sentence = "This gauge shows the last value of one run: send CodeCarbon's emissions.csv, or let it report."
            errors.append(RowError(line, name[:100], "gauge_last_value", sentence))
        elif name.startswith(_COUNTERS):
            sentence = "One scrape is one reading, and energy is the difference of two: send a log of the counter."
            errors.append(RowError(line, name[:100], "single_reading", sentence))
    if not errors:
        sentence = "No metric of this file is an energy that could be reported: choose another file."
        errors.append(RowError(1, "column 1", "no_energy_metric", sentence))
    return BadFile(sha256_hex(content), tuple(errors))
