"""Changing the rules of a scheme: proposed by one officer with what they come to, approved by another, kept for good.

A change is a list of rules, typed one by one or read from a rule document, that takes its place over the book in force.
It is checked at proposal, at approval and at execution: every contradiction, on every day on which a rule begins or
ends. Who approves decides on exactly the preview that was shown, so a proposal lapses when another change overtakes it.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import JSONField, Value

from accounts.models import Approval, User
from accounts.services import approvals, audit
from common.database import assert_in_transaction
from common.errors import Refused, SeveralRefusals, require, require_none
from common.idempotency import fingerprint
from registry import rulebook
from registry.engine import cap
from registry.engine import parameters as engine
from registry.engine.parameters import Contradiction, Entry, OutlookRow, RuleDocument, SpanChange, Terms
from registry.engine.policy import Policy
from registry.engine.refusals import Refusal
from registry.models import Rule, RuleChange, Scheme
from registry.permissions import may_sign_for_the_regulator, may_work_the_desk, regulator_of
from registry.rulebook import History

CHANGE_RULES = "registry.change_rules"
OUTLOOK_YEARS = 10
LARGEST_FILE = 2 * 1024 * 1024

REASONS: Mapping[str, str] = {
    "court_decision": "Decision of a court",
    "change_of_law": "Change of law",
    "correction": "Correction of an error",
    "special_circumstances": "Special circumstances named in the law",
    "emergency": "Emergency",
}
"""Why rules change that are past, or locked for years ahead: the words that a change may give as its reason."""


@dataclass(frozen=True)
class Preview:
    """What a change would do, for both officers to read before it is law."""

    changes: tuple[SpanChange, ...]
    contradictions: tuple[Contradiction, ...]
    outlook: tuple[OutlookRow, ...]
    unlocked: tuple[str, ...]
    """Rules that are past or locked, so that the change needs a reason."""

    def document(self) -> dict[str, Any]:
        """Return it as JSON, as the approval keeps it."""
        return {
            "changes": [_dated(asdict(change)) for change in self.changes],
            "outlook": [asdict(row) for row in self.outlook if row.differs],
            "unlocked": list(self.unlocked),
        }


# Reading --------------------------------------------------------------------------------------------------------------


def policy_at(scheme: Scheme, on: date, known_at: datetime | None = None) -> Policy:
    """Return the rules of a scheme that hold on a day, as known at an instant or now. One query.

    A scheme without rules of its own has its founding terms: unit, money, zone, cash sanction and large transfer.
    """
    return rulebook.policy_at(scheme, on, known_at)


def rules_version(scheme: Scheme, on: date, known_at: datetime | None = None) -> str:
    """Return the hash of the rule book that says what holds on a day; empty where only founding terms do."""
    return rulebook.rules_version(scheme, on, known_at)


def export(scheme: Scheme, on: date | None = None) -> dict[str, Any]:
    """Return the rule book of a scheme, or of it what holds on a day, as one document that can be imported."""
    return rulebook.history(scheme).document(on)


def preview(*, scheme: Scheme, entries: Sequence[Entry], now: datetime) -> Preview:
    """Return what rules would change and come to, with every contradiction, and change nothing."""
    return preview_of(rulebook.history(scheme), entries, _today(scheme, now))


# Proposing ------------------------------------------------------------------------------------------------------------


def propose_change(
    *,
    actor: User,
    scheme: Scheme,
    title: str,
    now: datetime,
    entries: object = None,
    document: object = None,
    reason_code: str = "",
    key: uuid.UUID | None = None,
) -> Approval:
    """Propose rules, or the document that is to be the whole rule book; another officer approves.

    `entries` are JSON as in a rule document. Rules whose day is past or locked need a reason.
    """
    regulator = regulator_of(actor)
    asked = fingerprint({"title": title, "reason_code": reason_code, "entries": entries, "document": document})
    repeated = Approval.objects.filter(key=key, act=CHANGE_RULES, organisation=regulator).first() if key else None
    if repeated is not None and repeated.parameters["asked_sha256"] == asked:
        return repeated  # also when it has been decided since, and the rules have moved on
    book = rulebook.history(scheme)
    rules = read_rules(entries) if document is None else rules_of_document(book, document)
    found = preview_of(book, rules, _today(scheme, now))
    _require_sound(title, reason_code, found)
    return approvals.propose(
        actor=actor,
        act=CHANGE_RULES,
        organisation=regulator,
        summary=f"Change rules of {scheme.name}: {title.strip()}",
        parameters={
            "scheme": str(scheme.pk),
            "code": scheme.code,
            "title": title.strip(),
            "reason_code": reason_code,
            "based_on": book.version,
            "asked_sha256": asked,
            "entries": [engine.write_entry(entry) for entry in rules],
            "preview": found.document(),
        },
        now=now,
        key=key,
    )


def read_rules(raw: object) -> tuple[Entry, ...]:
    """Return rules as JSON carries them, or refuse them with every fault and its place."""
    faults: list[Refusal] = []
    rules = engine.read_entries(raw, faults)
    require_none([Refused(fault.code, fault.sentence) for fault in faults])
    return rules


def rules_of_document(book: History, document: object) -> tuple[Entry, ...]:
    """Return the rules that turn a scheme's rule book into a document, or refuse the document with every fault."""
    read, terms = read_document(document), book.terms
    require_none(
        [
            Refused(
                "terms_differ",
                f"scheme, {name}: the document says {getattr(read.terms, name)}, the scheme was founded with "
                f"{getattr(terms, name)}. Founding terms never change: found another scheme.",
            )
            for name in Terms.__dataclass_fields__
            if getattr(read.terms, name) != getattr(terms, name)
        ]
    )
    return engine.difference(book.with_founding, read.entries, "Taken out of the rule book.")


def parse(content: bytes) -> object:
    """Return the JSON in an uploaded file, or refuse it: also where an object says the same twice."""
    require(len(content) <= LARGEST_FILE, "file_too_large", "The document is larger than 2 MB. Check the file.")
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise Refused(
            "document_unreadable", f"This is no JSON document that we can read ({str(error)[:120]})."
        ) from error


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("one object names a part twice")
    return read


def read_document(document: object) -> RuleDocument:
    """Return the rule book that a document stands for, or refuse it with every fault and its place."""
    read = engine.read_document(document)
    if isinstance(read, RuleDocument):
        require(bool(read.entries), "rules_missing", "The document has no rules. Give at least one.")
        return read
    raise SeveralRefusals([Refused(fault.code, fault.sentence) for fault in read])


# The acts -------------------------------------------------------------------------------------------------------------


def _check_change(parameters: Mapping[str, Any]) -> None:
    scheme = Scheme.objects.select_related("currency").get(pk=parameters["scheme"])
    book, rules = rulebook.history(scheme), read_rules(parameters["entries"])
    require(
        book.version == parameters["based_on"],
        "rules_moved_on",
        "Another change was published since this one was proposed. Propose it again on the rules in force now.",
    )
    since = min(rule.valid_from for rule in rules)
    found = engine.contradictions_over_time(book.terms, (*book.entries, *rules), book.founding, since=since)
    require_none(as_refusals(found))


def _recheck_change(approval: Approval, now: datetime) -> None:
    """Refuse a change whose days have passed, or come under the lock, while it waited without a reason."""
    scheme = Scheme.objects.select_related("currency").get(pk=approval.parameters["scheme"])
    rules = read_rules(approval.parameters["entries"])
    late = _unlocked(rulebook.history(scheme), rules, _today(scheme, now))
    require(
        not late or bool(approval.parameters["reason_code"]),
        "change_came_too_late",
        f"While this waited, the first day came of {', '.join(late)}. Propose it again for a later day, or with a "
        "reason.",
    )


def _execute_change(approval: Approval, now: datetime) -> dict[str, object]:
    """Write the change and its rules, and name the rule book that follows."""
    scheme = lock_rules(Scheme.objects.get(pk=approval.parameters["scheme"]))
    _check_change(approval.parameters)  # under the lock: two proposals may have been approved at once
    _recheck_change(approval, now)
    change = publish(
        scheme,
        approval,
        title=approval.parameters["title"],
        reason_code=approval.parameters["reason_code"],
        rules=read_rules(approval.parameters["entries"]),
        now=now,
    )
    return {"change": change.number, "book_sha256": change.book_sha256}


ACTS = (
    approvals.Act(
        name=CHANGE_RULES,
        may_propose=may_work_the_desk,
        may_approve=may_sign_for_the_regulator,
        check=_check_change,
        recheck=_recheck_change,
        execute=_execute_change,
    ),
)


# Parts ----------------------------------------------------------------------------------------------------------------


def lock_rules(scheme: Scheme) -> Scheme:
    """Let one change of a scheme's rules go on at a time."""
    return Scheme.objects.select_for_update(of=("self",), no_key=True).select_related("currency").get(pk=scheme.pk)


def publish(
    scheme: Scheme, approval: Approval, *, title: str, reason_code: str, rules: Iterable[Entry], now: datetime
) -> RuleChange:
    """Write a change with its rules, as part of an act. The caller holds the scheme's lock."""
    assert_in_transaction()
    number = RuleChange.objects.filter(scheme=scheme).count() + 1
    rules = tuple(rules)
    past = rulebook.history(scheme)
    before = () if approval.act == rulebook.IMPORT_SCHEME else past.with_founding
    book = engine.write_document(past.terms, engine.effective((*before, *rules)))
    change = RuleChange.objects.create(
        scheme=scheme,
        number=number,
        title=title[:200],
        reason_code=reason_code,
        book_sha256=engine.sha256(book),
        approval=approval,
        published_at=now,
    )
    Rule.objects.bulk_create(_row(change, rule) for rule in rules)
    audit.record(
        approval.decided_by,
        "registry.rules.changed",
        change,
        at=now,
        organisation=approval.organisation,
        scheme=scheme.code,
        number=number,
        rules=len(rules),
        reason_code=reason_code,
        book_sha256=change.book_sha256,
    )
    return change


def _row(change: RuleChange, rule: Entry) -> Rule:
    parameter = engine.PARAMETERS[rule.name]
    return Rule(
        scheme_id=change.scheme_id,
        change=change,
        name=rule.name,
        value=Value(None, JSONField()) if rule.value is None else rule.value,  # JSON null, which takes a rule back
        unit=parameter.unit,
        rounding=parameter.rounding or "",
        valid_from=rule.valid_from,
        valid_to=rule.valid_to,
        source=rule.source,
    )


def preview_of(book: History, rules: Sequence[Entry], today: date) -> Preview:
    """Return what rules would do to a rule book, with every contradiction; refuse rules that say nothing new."""
    require(bool(rules), "nothing_changes", "This says what the rules say already. Change at least one of them.")
    after = (*book.entries, *rules)
    since = min(rule.valid_from for rule in rules)
    changes = engine.spans_changed(book.with_founding, (*book.with_founding, *rules))
    require(bool(changes), "nothing_changes", "This says what the rules say already. Change at least one of them.")
    return Preview(
        changes=changes,
        contradictions=engine.contradictions_over_time(book.terms, after, book.founding, since=since),
        outlook=engine.outlook(
            book.terms, book.entries, after, range(today.year, today.year + OUTLOOK_YEARS), book.founding
        ),
        unlocked=_unlocked(book, rules, today),
    )


def _unlocked(book: History, rules: Iterable[Entry], today: date) -> tuple[str, ...]:
    """Return the rules whose first day is past, or in a year that the rules in force have locked."""
    locked = cap.locked_years(book.policy_on(today).cap, today.year)
    return tuple(
        f"{rule.name} from {rule.valid_from}"
        for rule in rules
        if rule.valid_from < today or rule.valid_from.year in locked
    )


def _require_sound(title: str, reason_code: str, found: Preview) -> None:
    """Refuse a proposal with everything that is wrong with it."""
    require_none(
        [
            *_title_faults(title),
            *_reason_faults(reason_code, found.unlocked),
            *as_refusals(found.contradictions),
        ]
    )


def _title_faults(title: str) -> Iterator[Refused]:
    if not 0 < len(title.strip()) <= 200 or not title.isprintable():
        yield Refused("title_missing", "Say in at most 200 characters what changes, for those who read the history.")


def _reason_faults(reason_code: str, unlocked: Sequence[str]) -> Iterator[Refused]:
    if reason_code and reason_code not in REASONS:
        yield Refused("reason_unknown", f"Choose a reason: {', '.join(REASONS)}.")
    if unlocked and not reason_code:
        yield Refused(
            "reason_needed",
            f"Past or locked: {', '.join(unlocked)}. Choose a later day, or say why the change may not wait.",
        )


def as_refusals(found: Iterable[Contradiction]) -> list[Refused]:
    """Return contradictions as refusals that name their first day."""
    return [Refused(one.refusal.code, f"From {one.on}: {one.refusal.sentence}") for one in found]


def _today(scheme: Scheme, now: datetime) -> date:
    return now.astimezone(scheme.tz).date()


def _dated(change: dict[str, Any]) -> dict[str, Any]:
    """Write the days of a change as JSON carries them."""
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in change.items()}
