"""The formats a draft can be filled from: one table, from which the page, the API and the guides know them all.

A format is read whole, or, where it is a table of rows that stand alone, row by row: a file of any length then needs
no more memory than a few thousand rows. Both ways read a row by the same function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from registry.engine.factors import BUILT_IN
from registry.importers import adapters, codecarbon, counters, epoch, fast, template
from registry.importers.fast import FastRows
from registry.importers.lines import ImportedFile, ImportedLine, measurement_key
from registry.importers.table import BadFile, Cells, Flag, Limits, RowError

Options: TypeAlias = Mapping[str, str]
"""What a file cannot say by itself, as the user chose it beside the file."""
Parser: TypeAlias = Callable[[bytes, Options], ImportedFile | BadFile]
RowReader: TypeAlias = Callable[[Cells, list[Flag]], ImportedLine | None]

CSV = "text/csv"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
JSON = "application/json"
JSON_LINES = "application/x-ndjson"
YAML = "application/yaml"
TEXT = "text/plain"


@dataclass(frozen=True)
class Option:
    """One choice beside the file: free text, or one of the choices (value and label)."""

    name: str
    label: str
    help_text: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    is_required: bool = True


@dataclass(frozen=True)
class Rows:
    """How a table is read row by row: its columns, its limits, and what reads one row.

    `columns_flags` says what a verifier should know of the header; a header that is wrong is an error of
    `columns_errors`.
    """

    required: tuple[str, ...]
    limits: Limits
    read: RowReader
    column_flags: Callable[[tuple[str, ...]], list[Flag]] = lambda columns: []
    column_errors: Callable[[tuple[str, ...]], list[RowError]] = lambda columns: []
    fast: Callable[[tuple[str, ...], str, int], FastRows | None] | None = None
    """Reads plain rows by column, or leaves them to `read`."""
    duplicate: tuple[str, str] = ("row", "duplicate_row")
    """Column and code of the refusal of a row that was there before."""


@dataclass(frozen=True)
class Format:
    """One format: what schemes it measures for, which media types its files have, and how it is read."""

    code: str
    title: str
    metrics: frozenset[str]
    media_types: tuple[str, ...]
    parse: Parser
    options: tuple[Option, ...] = ()
    rows: Rows | None = None
    columns: frozenset[str] = frozenset()
    """Columns by which a table is recognised: the header has them all."""
    says_activity: bool = False
    """Whether every line says what was done; otherwise it is chosen beside the file."""


# CodeCarbon -----------------------------------------------------------------------------------------------------------


def codecarbon_line(row: codecarbon.Measurement) -> ImportedLine:
    """Return a measurement as every importer returns it. Its moment names no zone, so that it stays evidence."""
    parts = (str(row.run_id),) if row.run_id else ("None", row.recorded_at_local.isoformat(), row.project_name)
    return ImportedLine(
        line=row.line,
        key=measurement_key("codecarbon", *parts, *filter(None, (row.task_name,))),
        label=" / ".join(filter(None, (row.project_name, row.task_name)))[:200],
        method="codecarbon",
        energy=row.energy,
        zone=row.country_iso3,
        claimed_co2e_g=row.reported_emissions_kg * 1000,
        evidence=row.evidence,
    )


def parse_codecarbon(content: bytes, options: Options) -> ImportedFile | BadFile:
    """Read a whole CodeCarbon file."""
    parsed = codecarbon.parse_emissions_csv(content, factors=BUILT_IN)
    if isinstance(parsed, BadFile):
        return parsed
    return ImportedFile(
        parsed.sha256,
        "codecarbon",
        ", ".join(parsed.client_versions),
        tuple(codecarbon_line(row) for row in parsed.rows),
        tuple(flag for flag in parsed.flags if flag.code != "country_unknown"),  # whoever values the line says it
    )


def read_codecarbon_row(cells: Cells, flags: list[Flag]) -> ImportedLine | None:
    """Read one row of a CodeCarbon file."""
    found: list[Flag] = []
    row = codecarbon.read_row(cells, BUILT_IN, found)
    flags += [flag for flag in found if flag.code != "country_unknown"]
    return None if row is None else codecarbon_line(row)


# Epoch AI -------------------------------------------------------------------------------------------------------------


def parse_epoch(content: bytes, options: Options) -> ImportedFile | BadFile:
    """Read the training compute that Epoch AI's data give one organisation for the models of one year."""
    parsed = epoch.parse_notable_models(content)
    if isinstance(parsed, BadFile):
        return parsed
    organisation, year = options.get("organisation", ""), options.get("year", "")
    lines = []
    for model in parsed.models:
        shares = epoch.training_flop_by_organisation_and_year([model])
        share = next((flop for (name, of), flop in shares.items() if (name, str(of)) == (organisation, year)), 0)
        if share:
            lines.append(
                ImportedLine(
                    line=model.line,
                    key=measurement_key("epoch", organisation, model.model),
                    label=model.model[:200],
                    method="epoch",
                    flop=share,
                    activity=options.get("activity") or "training",
                )
            )
    if not lines:
        sentence = f"The file has no model of {organisation} in {year} with known training compute."
        return BadFile(parsed.sha256, (RowError(1, epoch.ORGANISATION, "no_lines", sentence),))
    numbers = {line.line for line in lines}
    flags = tuple(flag for flag in parsed.flags if flag.line in numbers)
    return ImportedFile(parsed.sha256, "epoch", "", tuple(lines), flags)


COUNTER_OPTIONS = (
    Option(
        "max_gap_s",
        "Longest gap in seconds",
        f"Longer pauses between two readings are flagged; {counters.LONGEST_GAP_S} if empty.",
        is_required=False,
    ),
    Option(
        "previous_chain",
        "Chain of the log before",
        "For a chained log that goes on from another: the chain with which that one ended.",
        is_required=False,
    ),
)

FORMATS: dict[str, Format] = {
    one.code: one
    for one in (
        Format(
            code="codecarbon",
            title="CodeCarbon emissions.csv",
            metrics=frozenset({"co2e"}),
            media_types=(CSV,),
            parse=parse_codecarbon,
            rows=Rows(
                required=codecarbon.REQUIRED,
                limits=codecarbon.LIMITS,
                read=read_codecarbon_row,
                column_flags=codecarbon.unknown_columns,
                fast=fast.read_codecarbon,
                duplicate=("run_id", "duplicate_run"),
            ),
            columns=frozenset({"run_id", "energy_consumed", "codecarbon_version"}),
        ),
        Format(
            code="epoch",
            title="Epoch AI notable models",
            metrics=frozenset({"flop"}),
            media_types=(CSV,),
            parse=parse_epoch,
            options=(
                Option("organisation", "Organisation in the file", "As the file spells the name."),
                Option("year", "Year in the file", "The year in which the models were published."),
            ),
            columns=frozenset(epoch.REQUIRED),
            says_activity=True,
        ),
        Format(
            code="template",
            title="Our own table",
            metrics=frozenset({"co2e", "flop"}),
            media_types=(CSV, XLSX),
            parse=adapters.parse_template,
            rows=Rows(
                required=template.REQUIRED,
                limits=template.LIMITS,
                read=template.read_row,
                column_errors=template.unknown_columns,
                fast=fast.read_template,
                duplicate=("label", "row_twice"),
            ),
            columns=frozenset(template.REQUIRED),
            says_activity=True,
        ),
        Format(
            code="boamps",
            title="BoAmps report",
            metrics=frozenset({"co2e"}),
            media_types=(JSON, JSON_LINES),
            parse=adapters.parse_boamps,
            options=(
                Option(
                    "measures",
                    "Several measures in one report",
                    "The format does not say whether they are parts of the energy or views of the same energy.",
                    (("", "refuse the file"), ("add", "parts: add them"), ("largest", "views: take the largest")),
                    is_required=False,
                ),
            ),
        ),
        Format(
            code="ecologits",
            title="EcoLogits impacts or OpenTelemetry spans",
            metrics=frozenset({"co2e"}),
            media_types=(JSON_LINES, JSON),
            parse=adapters.parse_ecologits,
            options=(
                Option(
                    "lines",
                    "Lines",
                    "By hour, the file has to hold whole hours.",
                    (("request", "one for each request"), ("hour", "one for each model and hour")),
                    is_required=False,
                ),
            ),
            says_activity=True,
        ),
        Format(
            code="impact_framework",
            title="Impact Framework manifest",
            metrics=frozenset({"co2e"}),
            media_types=(YAML,),
            parse=adapters.parse_impact_framework,
            options=(
                Option(
                    "includes_pue",
                    "The energy includes the PUE",
                    "The manifest does not say so. If it does not, the PUE of the site is applied.",
                    (("no", "no"), ("yes", "yes")),
                    is_required=False,
                ),
            ),
        ),
        Format(
            code="ai_energy_score",
            title="AI Energy Score result",
            metrics=frozenset({"co2e"}),
            media_types=(JSON, TEXT),
            parse=adapters.parse_energy_score,
            options=(
                Option("model", "Model", "The model that was benchmarked and served."),
                Option("queries", "Queries served", "How many queries the result is applied to."),
                Option(
                    "samples",
                    "Queries of the benchmark",
                    "A thousand, unless it was run with another number.",
                    is_required=False,
                ),
            ),
            says_activity=True,
        ),
        Format(
            code="nvml",
            title="Counters of accelerators (NVML, DCGM)",
            metrics=frozenset({"co2e"}),
            media_types=(CSV,),
            parse=adapters.parse_nvml,
            options=COUNTER_OPTIONS,
            columns=frozenset(counters.NVML_COLUMNS),
        ),
        Format(
            code="rapl",
            title="Counters of processors (RAPL)",
            metrics=frozenset({"co2e"}),
            media_types=(CSV,),
            parse=adapters.parse_rapl,
            options=COUNTER_OPTIONS,
            columns=frozenset(counters.RAPL_COLUMNS),
        ),
        Format(
            code="prometheus",
            title="Prometheus metrics (says what to send instead)",
            metrics=frozenset({"co2e"}),
            media_types=(TEXT,),
            parse=adapters.parse_prometheus,
        ),
    )
}
"""By code. An importer that is added here can be used on every page and through the API."""


def recognised(columns: frozenset[str]) -> Format | None:
    """Return the format whose columns a table has."""
    return next((one for one in FORMATS.values() if one.columns and one.columns <= columns), None)
