"""The one spelling in which documents are published and hashed: rule books, allocations and runs alike."""

import hashlib
import json
from typing import Any


def canonical_json(document: Any) -> bytes:
    """Write a document in the one form that is hashed: sorted keys, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def sha256(document: Any) -> str:
    """Return the hash of a document in its canonical form, as lower-case hex."""
    return hashlib.sha256(canonical_json(document)).hexdigest()
