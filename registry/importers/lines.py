"""What every importer returns: measured activities with what their source knows of them, before any factor is applied.

Energy keeps its kind. Device counters and benchmarks give IT energy, to which the PUE of a site is still to be applied,
once; files that include it already give site energy. An estimate that is a range stays one, and its upper end counts.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from registry.engine.emissions import ItEnergy, SiteEnergy
from registry.engine.rounding import EXACT_DECIMALS, half_up
from registry.importers.table import Flag

ZONE = re.compile(r"[A-Z][A-Z0-9_-]{1,19}", re.ASCII)
NOT_A_ZONE = "Write the grid zone or the country in capital letters, as in CISO or FRA."
KWH_PLACES = 24
"""Twice as many digits as are stored, so that what a PUE is applied to is not rounded twice."""
LONGEST_KEY = 100
"""The database keeps 120 characters; the rest is left to whoever keeps several sources beside each other."""


@dataclass(frozen=True)
class ImportedLine:
    """One activity of a file. What the source does not know is None or empty, and never guessed here.

    `key` tells measurements apart across files: the same key twice in one draft is the same measurement. Moments are
    UTC; a source without a zone leaves them None. `lowest_kwh` is the lower end where the source gives a range.
    """

    line: int
    key: str
    label: str
    method: str
    energy: ItEnergy | SiteEnergy | None = None
    lowest_kwh: Decimal | None = None
    flop: int = 0
    activity: str = ""
    zone: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    requests: int | None = None
    tokens: int | None = None
    claimed_co2e_g: Decimal | None = None
    tier: int | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImportedFile:
    """A file without errors: its lines in reading order, and what a verifier should look at."""

    sha256: str
    format: str
    version: str
    lines: tuple[ImportedLine, ...]
    flags: tuple[Flag, ...]


def kept_kwh(kwh: Fraction) -> Decimal:
    """Return energy with the digits that are kept, half-up, where a unit does not divide into kilowatt-hours."""
    return EXACT_DECIMALS.scaleb(Decimal(half_up(kwh * 10**KWH_PLACES)), -KWH_PLACES)


def measurement_key(kind: str, *parts: str) -> str:
    """Return the key of a measurement; one that is too long to keep is replaced by its hash."""
    key = ":".join((kind, *parts))
    return key if len(key) <= LONGEST_KEY else f"{kind}:{hashlib.sha256(key.encode()).hexdigest()[:40]}"
