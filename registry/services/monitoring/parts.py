"""What the services of monitoring share: who may act, names and days as people type them, and files kept as proof."""

import io
import re
from datetime import date, datetime
from typing import Final

from accounts.models import Organisation, User
from common.errors import require, require_permission
from registry.models import EvidenceFile
from registry.permissions import may_report
from registry.services.drafting import evidence

MAX_PROOF_BYTES: Final = 5 * 1024 * 1024
FIRST_DAY: Final = date(2000, 1, 1)

_COUNTRY = re.compile(r"[A-Z]{3}", re.ASCII)
_ZONE = re.compile(r"[A-Z][A-Z0-9_-]{1,19}", re.ASCII)


def require_reporter(actor: User, organisation: Organisation) -> None:
    """Turn away whoever does not report for the organisation."""
    require_permission(
        may_report(actor, organisation), "Only an initiator or approver of the organisation may record this."
    )


def name_of(typed: str, most: int = 120) -> str:
    """Return a name as it is kept, or refuse one that is empty, too long, or cannot be read."""
    name = " ".join(typed.split())
    require(
        0 < len(name) <= most and name.isprintable(), "name_missing", f"Give it a name of at most {most} plain letters."
    )
    return name


def words_of(typed: str, most: int = 200) -> str:
    """Return a remark as it is kept; it may be empty."""
    words = " ".join(typed.split())
    require(
        len(words) <= most and (not words or words.isprintable()),
        "words_unreadable",
        f"Write at most {most} plain letters.",
    )
    return words


def country_of(typed: str) -> str:
    """Return a country in its three letters."""
    country = typed.strip().upper()
    require(bool(_COUNTRY.fullmatch(country)), "not_a_country", "Write the country in three letters, such as FRA.")
    return country


def zone_of(typed: str, country: str) -> str:
    """Return a grid zone; without one the country is the zone."""
    zone = typed.strip().upper() or country
    require(bool(_ZONE.fullmatch(zone)), "not_a_zone", "Write the grid zone in capital letters, such as CISO or FRA.")
    return zone


def require_opening(opened_on: date, now: datetime) -> None:
    """Refuse a first day that cannot be."""
    require(
        FIRST_DAY <= opened_on <= now.date(),
        "opening_day_implausible",
        f"Give the day on which it began to run, from {FIRST_DAY:%Y} to today.",
    )


def require_end(opened_on: date, closed_on: date, now: datetime) -> None:
    """Refuse a last day that lies before the first or has not come."""
    require(
        opened_on <= closed_on <= now.date(),
        "closing_day_implausible",
        f"Give the last day on which it ran, from {opened_on} to today.",
    )


def keep_proof(actor: User, organisation: Organisation, name: str, content: bytes, now: datetime) -> EvidenceFile:
    """Keep a file as proof, hashed and never opened. What it is follows from its bytes and not from its name."""
    return evidence.keep(
        organisation=organisation,
        actor=actor,
        name=name,
        file=io.BytesIO(content),
        at=now,
        max_bytes=MAX_PROOF_BYTES,
    )
