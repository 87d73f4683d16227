"""Founding a scheme by one rule document: proposed by one officer, in force with the approval of another."""

import uuid
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from accounts.models import Approval, User
from accounts.services import approvals
from common.errors import Refused, require_none
from registry.engine import parameters as engine
from registry.engine.parameters import RuleDocument
from registry.engine.policy import TransactionRule
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.rulebook import IMPORT_SCHEME, History
from registry.services import rules, schemes
from registry.services.rules import as_refusals, preview_of, read_document


def import_scheme(*, actor: User, document: object, now: datetime, key: uuid.UUID | None = None) -> Approval:
    """Propose a scheme with its whole rule book from one document; it exists once another officer approves."""
    regulator = regulator_of(actor)
    read = read_document(document)
    found = preview_of(_founded_on(read, now.date()), read.entries, now.date())
    require_none([*_founding_faults(read), *as_refusals(found.contradictions)])
    written = engine.write_document(read.terms, read.entries)
    return approvals.propose(
        actor=actor,
        act=IMPORT_SCHEME,
        organisation=regulator,
        summary=f"Found {read.terms.name} ({read.terms.code}) with {len(read.entries)} rules.",
        parameters={"document": written, "sha256": engine.sha256(written), "preview": found.document()},
        now=now,
        key=key,
    )


def _check_import(parameters: Mapping[str, Any]) -> None:
    read = read_document(parameters["document"])
    found = engine.contradictions_over_time(read.terms, read.entries)
    require_none([*_founding_faults(read), *as_refusals(found)])


def _execute_import(approval: Approval, now: datetime) -> dict[str, object]:
    """Create the scheme and publish its first rule book."""
    assert approval.decided_by is not None
    read = read_document(approval.parameters["document"])
    sanction, large_transfer = _founding_figures(read)
    scheme = schemes.found_scheme(
        actor=approval.decided_by,
        regulator=approval.organisation,
        code=read.terms.code,
        name=read.terms.name,
        metric=read.terms.metric,
        unit_size=read.terms.unit_size,
        currency=read.terms.currency,
        zone=read.terms.zone,
        large_transfer=large_transfer,
        sanction_minor=sanction,
        now=now,
    )
    change = rules.publish(
        rules.lock_rules(scheme), approval, title="First rule book", reason_code="", rules=read.entries, now=now
    )
    return {"scheme": scheme.code, "change": change.number, "book_sha256": change.book_sha256}


ACTS = (
    approvals.Act(
        name=IMPORT_SCHEME,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_import,
        execute=_execute_import,
    ),
)


def _founded_on(read: RuleDocument, today: date) -> History:
    """Return the history of a scheme that a document is about to found: none."""
    return History(terms=read.terms, founding={}, entries=(), version="", created_on=today)


def _founding_faults(read: RuleDocument) -> Iterator[Refused]:
    sanction, large_transfer = _founding_figures(read)
    return schemes.founding_faults(
        code=read.terms.code,
        name=read.terms.name,
        metric=read.terms.metric,
        unit_size=read.terms.unit_size,
        currency=read.terms.currency,
        zone=read.terms.zone,
        large_transfer=large_transfer,
        sanction_minor=sanction,
    )


def _founding_figures(read: RuleDocument) -> tuple[int, int]:
    """Return the first cash sanction, in whole minor units, and the first large transfer that a document sets."""
    first: dict[str, Any] = {}
    for rule in reversed(read.entries):  # the rules of one name stand in the order of their days
        if rule.value is not None:
            first[rule.name] = rule.value
    sanction, large = first.get("sanction.rate_minor", "0"), first.get("transactions.large_transfer")
    return int(Decimal(sanction)), TransactionRule.large_transfer if large is None else int(large)
