"""The story's figures: real files where the data folder is there, else a small table of published figures.

With the data folder, compute comes from Epoch AI's data on AI models (CC BY 4.0) and energy from genuine CodeCarbon
files. Without it, the figures below stand in; each names its source.
"""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path

from common.errors import require
from demo.cast import PARTIES, Party
from registry.engine.factors import BUILT_IN, WORLD_AVERAGE
from registry.importers import codecarbon, epoch

EPOCH_FILE = "epoch/notable_ai_models_2025-12-02.csv"
EPOCH_YEAR = 2024


@dataclass(frozen=True)
class Activity:
    """One published figure: a model's training compute, or a measured run's energy."""

    label: str
    flop: Decimal = Decimal(0)
    energy_kwh: Decimal = Decimal(0)
    country: str = ""
    """Where the energy was used, by ISO 3166 code of three letters."""


@dataclass(frozen=True)
class Figures:
    """What every party reports, and where it comes from."""

    source: str
    compute: Mapping[str, tuple[Activity, ...]]
    """Training compute by party (its short name)."""
    compute_files: Mapping[str, bytes] = field(default_factory=dict)
    """Each party's rows of Epoch's file, as it files them, where the data folder is there."""
    pilot: Mapping[str, bytes] = field(default_factory=dict)
    """The CodeCarbon file each pilot party reports, where the data folder is there."""
    pilot_history: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    pilot_activities: Mapping[str, tuple[Activity, ...]] = field(default_factory=dict)
    """What the pilot parties report where it is not."""

    def pilot_use(self, short: str) -> Decimal:
        """What a party emits in the pilot's period, in grams, by our own factors."""
        if short in self.pilot:
            return grams(self.pilot[short])
        return sum(
            (one.energy_kwh * BUILT_IN.factor(one.country).g_per_kwh for one in self.pilot_activities[short]),
            Decimal(0),
        )

    def pilot_base(self, short: str) -> Decimal:
        """What it emitted in the base year; without files, the same energy at the world's average."""
        if short in self.pilot_history:
            return sum((grams(content) for content in self.pilot_history[short]), Decimal(0))
        return sum((one.energy_kwh * WORLD_AVERAGE.g_per_kwh for one in self.pilot_activities[short]), Decimal(0))


PUBLISHED_COMPUTE: Mapping[str, tuple[Activity, ...]] = {
    "marlowe": (Activity("Llama 3.1 405B, model card (2024)", Decimal("3.79e25")),),
    "halvorsen": (Activity("Qwen2.5 72B, 6ND at 72e9 x 18e12 (technical report, 2024)", Decimal("7.776e24")),),
    "castellan": (Activity("Nemotron-4 340B, 6ND at 340e9 x 9e12 (technical report, 2024)", Decimal("1.836e25")),),
    "quayside": (Activity("DeepSeek-V3, 6ND at 37e9 x 14.8e12 (technical report, 2024)", Decimal("3.2856e24")),),
    "redshank": (Activity("Kimi K2, 6ND at 32e9 x 15.5e12 (Epoch AI, 2025)", Decimal("2.976e24")),),
    "umbra": (Activity("PaLM 540B, 6ND at 540e9 x 780e9 (arXiv 2204.02311)", Decimal("2.5272e24")),),
    "bracken": (Activity("Llama 2 70B, 6ND at 70e9 x 2e12 (arXiv 2307.09288)", Decimal("8.4e23")),),
    "tinderbox": (Activity("LLaMA 65B, 6ND at 65e9 x 1.4e12 (arXiv 2302.13971)", Decimal("5.46e23")),),
    "fennel": (Activity("OPT-175B, 6ND at 175e9 x 180e9 (arXiv 2205.01068)", Decimal("1.89e23")),),
    "aldermere": (Activity("BLOOM 176B, 6ND at 176e9 x 366e9 (arXiv 2211.05100)", Decimal("3.865e23")),),
    "sparse": (Activity("GPT-3, measured (arXiv 2104.10350)", Decimal("3.14e23")),),
    "skerry": (Activity("T5-11B, measured (arXiv 2104.10350)", Decimal("4.05e22")),),
}
"""Published training compute, used where Epoch's file is not there."""

PUBLISHED_ENERGY: Mapping[str, tuple[Activity, ...]] = {
    "quayside": (
        Activity("1,000 image generations (arXiv 2311.16863)", energy_kwh=Decimal("2.907e-4"), country="DEU"),
    ),
    "bracken": (Activity("1,000 text generations (arXiv 2311.16863)", energy_kwh=Decimal("4.7e-4"), country="POL"),),
    "tinderbox": (Activity("1,000 classifications (arXiv 2311.16863)", energy_kwh=Decimal("2.0e-4"), country="IRL"),),
    "aldermere": (Activity("One prompt, full stack (arXiv 2508.15734)", energy_kwh=Decimal("2.4e-4"), country="FRA"),),
    "sparse": (Activity("One query, full stack (arXiv 2601.19886)", energy_kwh=Decimal("3.4e-4"), country="NLD"),),
    "skerry": (
        Activity("One prompt, accelerator only (arXiv 2508.15734)", energy_kwh=Decimal("1.0e-4"), country="GBR"),
    ),
}
"""Published energy per task, scaled down to the size of the pilot's runs, where CodeCarbon's files are not there."""


def data_folder(named: str | None) -> Path | None:
    """Return the folder with the real files: the one named, else HEADROOM_DATA, else ../shared/data if it is there.

    `none` asks for the published figures. A folder that was named and is not right is refused, not passed over.
    """
    if named == "none":
        return None
    chosen = named or os.environ.get("HEADROOM_DATA")
    folder = Path(chosen) if chosen else Path(__file__).resolve().parents[2] / "shared" / "data"
    if (folder / EPOCH_FILE).is_file():
        return folder
    require(chosen is None, "data_folder_wrong", f"{folder} has no {EPOCH_FILE}. Name the data folder, or `none`.")
    return None


def gather(folder: Path | None) -> Figures:
    """Read the real files, or fall back on the published figures."""
    if folder is None:
        return Figures(
            source="published figures (data folder not found; each line names its source)",
            compute=PUBLISHED_COMPUTE,
            pilot_activities=PUBLISHED_ENERGY,
        )
    content = (folder / EPOCH_FILE).read_bytes()
    parsed = epoch.parse_notable_models(content)
    assert isinstance(parsed, epoch.ParsedModels), f"{EPOCH_FILE} cannot be read: {parsed.errors[:3]}"
    return Figures(
        source=f"Epoch AI data on AI models (CC BY 4.0), models of {EPOCH_YEAR}; CodeCarbon files of five versions",
        compute={party.short: _models_of(party, parsed.models) for party in PARTIES},
        compute_files={party.short: _rows_of(party, content) for party in PARTIES},
        pilot={party.short: _codecarbon(folder, party.pilot_file) for party in PARTIES if party.pilot_file},
        pilot_history={
            party.short: tuple(_codecarbon(folder, name) for name in party.pilot_history)
            for party in PARTIES
            if party.pilot_history
        },
    )


def _models_of(party: Party, models: Sequence[epoch.NotableModel]) -> tuple[Activity, ...]:
    """The published models of the party's source, each with this organisation's share of the compute."""
    found = [
        (model.model, epoch.training_flop_by_organisation_and_year([model]).get((party.source, EPOCH_YEAR), 0))
        for model in models
    ]
    return tuple(
        Activity(f"{name} ({party.source}), Epoch AI", flop=Decimal(flop)) for name, flop in sorted(found) if flop
    )


def _rows_of(party: Party, content: bytes) -> bytes:
    """The rows of Epoch's file that name the party's source, under the same header."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    column = rows[0].index(epoch.ORGANISATION)
    extract = io.StringIO(newline="")
    csv.writer(extract).writerows([rows[0], *(row for row in rows[1:] if party.source in row[column])])
    return extract.getvalue().encode()


@cache
def grams(content: bytes) -> Decimal:
    """The emissions of a CodeCarbon file by our own factors, in grams. Read once: every party asks every day."""
    parsed = codecarbon.parse_emissions_csv(content, factors=BUILT_IN)
    assert isinstance(parsed, codecarbon.ParsedFile), f"A pilot file cannot be read: {parsed.errors[:3]}"
    return parsed.emissions_g


def _codecarbon(folder: Path, name: str) -> bytes:
    return (folder / "codecarbon" / name).read_bytes()
