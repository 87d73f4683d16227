"""Epoch AI's notable models: training compute by organisation and year, as real input and as a plausibility prior.

The data are Epoch AI's, published under CC BY 4.0; whoever shows them credits "Epoch AI, Data on AI Models".

Attribution rule. A model may name several organisations, and the file does not say who ran the training. Its FLOP are
divided among them in equal whole shares by the largest-remainder rule (R3), so that the sum over organisations is the
sum over models to the last FLOP. Naming only the first would read a meaning into an order that has none, and counting
the whole for each would count a FLOP twice. A model without an organisation or without known compute counts for nobody.

Sizes may be text (two data sets in one cell): the text is kept, the size stays unknown, and a flag says so. Compute is
an estimate and may carry a fraction of a FLOP: it is rounded half-up to the whole FLOP, with a flag.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from common.quantities import MAX_FLOP
from registry.engine.rounding import half_up, share_pool
from registry.importers.table import BadFile, Cells, Flag, Limits, bad_file, cells_of, read_table, sha256_hex

LIMITS = Limits(max_bytes=20_000_000, max_rows=50_000, max_columns=200, max_cell=50_000)
MODEL, ORGANISATION, PUBLISHED = "Model", "Organization", "Publication date"
TRAINING_FLOP = "Training compute (FLOP)"
DATASET_SIZE = "Training dataset size (gradients)"
REQUIRED = (MODEL, ORGANISATION, PUBLISHED, TRAINING_FLOP)

_SIZE = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)


@dataclass(frozen=True)
class NotableModel:
    """One model: who published it when, and what is known of its size; None is unknown, never zero."""

    line: int
    model: str
    organisations: tuple[str, ...]
    published_on: date | None
    training_flop: int | None
    parameters: Decimal | None
    dataset_size_text: str
    training_hours: Decimal | None
    hardware: str
    hardware_quantity: int | None
    power_w: Decimal | None
    confidence: str
    country: str


@dataclass(frozen=True)
class ParsedModels:
    """A file without errors."""

    sha256: str
    models: tuple[NotableModel, ...]
    flags: tuple[Flag, ...]


def parse_notable_models(content: bytes, *, limits: Limits = LIMITS) -> ParsedModels | BadFile:
    """Read the file, or refuse it with every error in it."""
    table = read_table(content, required=REQUIRED, limits=limits)
    errors = list(table.errors)
    flags: list[Flag] = []
    models: list[NotableModel] = []
    first_line: dict[str, int] = {}
    for cells in cells_of(table, errors, limits):
        estimate = cells.decimal(TRAINING_FLOP, Decimal(1), Decimal(MAX_FLOP))
        found = _model(cells, None if estimate is None else half_up(estimate))
        if found.model in first_line:
            cells.refuse(MODEL, "duplicate_model", f"This model already stands in line {first_line[found.model]}.")
        first_line.setdefault(found.model, found.line)
        models.append(found)
        flags += _flags(found)
        if estimate is not None and estimate != found.training_flop:
            sentence = f"{estimate} FLOP were rounded to {found.training_flop}."
            flags.append(Flag(found.line, TRAINING_FLOP, "flop_rounded", sentence))
    if errors:
        return bad_file(content, table, errors)
    return ParsedModels(sha256_hex(content), tuple(models), tuple(flags))


def training_flop_by_organisation_and_year(models: Iterable[NotableModel]) -> dict[tuple[str, int], int]:
    """Return the training FLOP attributed to each organisation in each year of publication, by name and year."""
    totals: defaultdict[tuple[str, int], int] = defaultdict(int)
    for model in models:
        if model.published_on and model.training_flop and model.organisations:
            shares = share_pool(model.training_flop, dict.fromkeys(model.organisations, 1))
            for organisation, flop in shares.items():
                totals[organisation, model.published_on.year] += flop
    return dict(sorted(totals.items()))


def _model(cells: Cells, training_flop: int | None) -> NotableModel:
    """Read one row; cells that cannot be read add their errors and read as unknown."""
    names = (name.strip() for name in cells.text(ORGANISATION, longest=2000).split(","))
    return NotableModel(
        line=cells.row.line,
        model=cells.text(MODEL, required=True),
        organisations=tuple(dict.fromkeys(name for name in names if name)),
        published_on=cells.day(PUBLISHED),
        training_flop=training_flop,
        parameters=cells.decimal("Parameters", Decimal(0), Decimal(10**18)),
        dataset_size_text=cells.text(DATASET_SIZE),
        training_hours=cells.decimal("Training time (hours)", Decimal(0), Decimal(10**7)),
        hardware=cells.text("Training hardware", longest=2000),
        hardware_quantity=cells.whole("Hardware quantity", 0, 10**9),
        power_w=cells.decimal("Training power draw (W)", Decimal(0), Decimal(10**12)),
        confidence=cells.text("Confidence"),
        country=cells.text("Country (of organization)", longest=2000),
    )


def _flags(found: NotableModel) -> list[Flag]:
    """List what a reader of the figures should know about one model."""
    flags = []
    if not found.published_on:
        flags.append(Flag(found.line, PUBLISHED, "no_publication_date", "The model counts for no year."))
    if found.training_flop and not found.organisations:
        flags.append(Flag(found.line, ORGANISATION, "no_organisation", "Its compute counts for nobody."))
    if found.dataset_size_text and not _SIZE.fullmatch(found.dataset_size_text):
        flags.append(Flag(found.line, DATASET_SIZE, "size_is_text", "The size is kept as text: it is not one number."))
    return flags
