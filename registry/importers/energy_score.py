"""Results of the AI Energy Score benchmark: what one model takes for a thousand queries, applied to those it served.

Both files of its container are read: GPU_ENERGY_SUMMARY.json with its phases, and GPU_ENERGY_WH.txt with the sum only.
The benchmark measures the accelerator alone, so it is IT energy. How many queries were served it does not know: that is
the option `queries`. It runs a thousand queries; whoever ran another number says so in the option `samples`.

| flag | what was seen |
|---|---|
| gpu_only | processor, memory and network of the server are not in the figure |
| from_benchmark | the energy was not measured while serving: it is a benchmark times a number of queries |
| phases_differ | the phases do not add up to the sum, by more than their rounding |
"""

from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions import ItEnergy
from registry.engine.rounding import exact
from registry.importers.document import Place, read_json, refused
from registry.importers.lines import ImportedFile, ImportedLine, kept_kwh, measurement_key
from registry.importers.table import BadFile, Flag, Limits, RowError, sha256_hex

LIMITS = Limits(max_bytes=1_000_000, max_rows=1)
SAMPLES = 1000
MOST_WH = Decimal(10**9)
MOST_QUERIES = 10**15
TOTAL = "total"
_ROUNDING = Fraction(1, 100)
"""The container writes two decimals of each figure, so that each may be half of one off."""


def parse_energy_score(
    content: bytes, *, queries: int, model: str, samples: int = SAMPLES, limits: Limits = LIMITS
) -> ImportedFile | BadFile:
    """Read a result and apply it to the queries that the model served; or refuse it with every error in it."""
    assert 0 <= queries <= MOST_QUERIES and samples > 0 and model.strip()
    root = read_json(content, limits=limits)
    if isinstance(root, RowError):
        return refused(content, [root])
    is_text_file = not isinstance(root.value, dict)
    place = Place({TOTAL: root.value}, "", 1, root.errors) if is_text_file else root
    total = place.positive(TOTAL, MOST_WH, required=True)
    phases = {} if is_text_file else _phases(place)
    if total is None or place.errors:
        return refused(content, place.errors)

    flags = [
        Flag(1, "/total", "gpu_only", "The benchmark measures the accelerator and nothing else of the server."),
        Flag(1, "/total", "from_benchmark", f"{total} Wh per {samples:,} queries, times {queries:,} queries."),
    ]
    if phases and abs(exact(total) - sum(map(exact, phases.values()))) > _ROUNDING * (len(phases) + 1):
        flags.append(Flag(1, "/total", "phases_differ", "The phases do not add up to the sum."))
    kwh = exact(total) * queries / samples / 1000
    line = ImportedLine(
        line=1,
        key=measurement_key("ai_energy_score", model.strip(), sha256_hex(content)[:40]),
        label=model.strip()[:200],
        method="ai_energy_score",
        energy=ItEnergy(kept_kwh(kwh)),
        activity="inference",
        requests=queries,
        evidence={**place.scalars(), "queries": str(queries), "samples": str(samples)},
    )
    return ImportedFile(sha256_hex(content), "ai_energy_score", "", (line,), tuple(flags))


def _phases(place: Place) -> dict[str, Decimal]:
    """Return the energy of each phase; their names differ by the kind of model."""
    units = place.text("units", required=True)
    if units and units != "Wh":
        place.at("units").refuse("unit_unknown", f"The figures have to be in Wh, not in {units[:20]!r}.")
    read = {name: place.decimal(name, Decimal(0), MOST_WH) for name in place.value if name.endswith("_wh")}
    return {name: number for name, number in read.items() if number is not None}
