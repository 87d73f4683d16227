"""The rules of a scheme as data: the catalogue of what may be set, rule documents, and the policy of a day.

An auditor needs only this package: `read_document` takes the published document, `policy_on` says which rules hold on
a day, `contradictions` which of them cannot both be law, and `changes` what differs between two days.
"""

from registry.engine.canonical import sha256
from registry.engine.parameters.catalogue import CHAPTERS, FOUNDING_TERMS, PARAMETERS, Parameter
from registry.engine.parameters.coherence import Contradiction, contradictions, contradictions_over_time
from registry.engine.parameters.documents import (
    FORMAT,
    Entry,
    RuleDocument,
    Terms,
    read_document,
    read_entries,
    schema,
    write_document,
    write_entry,
)
from registry.engine.parameters.folding import (
    Change,
    SpanChange,
    changes,
    days_of_change,
    difference,
    effective,
    folded,
    in_force,
    policy_on,
    spans_changed,
    values_of,
)
from registry.engine.parameters.outlook import OutlookRow, outlook

__all__ = [
    "CHAPTERS",
    "FORMAT",
    "FOUNDING_TERMS",
    "PARAMETERS",
    "Change",
    "Contradiction",
    "Entry",
    "OutlookRow",
    "Parameter",
    "RuleDocument",
    "SpanChange",
    "Terms",
    "changes",
    "contradictions",
    "contradictions_over_time",
    "days_of_change",
    "difference",
    "effective",
    "folded",
    "in_force",
    "outlook",
    "policy_on",
    "read_document",
    "read_entries",
    "schema",
    "sha256",
    "spans_changed",
    "values_of",
    "write_document",
    "write_entry",
]
