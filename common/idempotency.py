"""Keys and fingerprints: the same request sent twice has one effect, and the second sender gets the first answer."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal

HEADROOM_KEYS = uuid.UUID("6f1c3c3e-5a57-5d0c-9d42-6d9f6b1f3a10")
"""The namespace of every key this system derives itself."""


def derive_key(*parts: object) -> uuid.UUID:
    """Return the one key of an effect that is named by its parts, such as ("surrender", obligation, attempt)."""
    assert parts, "A key needs something to be the key of."
    return uuid.uuid5(HEADROOM_KEYS, "\x1f".join(str(part) for part in parts))


def canonical_json(content: Mapping[str, object]) -> str:
    """Write content in the one spelling that is hashed: sorted keys, no spaces, exact numbers as strings."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_spell)


def fingerprint(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of the content's canonical spelling, in hex."""
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _spell(value: object) -> str:
    match value:
        case datetime() | date():
            return value.isoformat()
        case Decimal() | uuid.UUID():
            return str(value)
    raise TypeError(f"{type(value).__name__} has no canonical spelling")
