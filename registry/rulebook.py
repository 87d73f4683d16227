"""Reading the rules of a scheme: its history of changes, the rule book that they add up to, and the policy of a day."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from accounts.models import Membership
from common.errors import Unknown
from registry.engine import parameters as engine
from registry.engine.parameters import Entry, Parameter, SpanChange, Terms
from registry.engine.parameters.kinds import Json
from registry.engine.policy import Policy
from registry.models import ReportLine, Rule, RuleChange, Scheme

IMPORT_SCHEME = "registry.import_scheme"
"""The act by which a scheme comes into being with a whole rule book. It stands here because reads tell it apart."""

FOUNDING_SOURCE = "Founding terms of the scheme"


@dataclass(frozen=True)
class History:
    """Every rule that was ever published for a scheme, in the order of the changes, and what stands in for them.

    `version` is the hash of the rule book after the last change; empty while a scheme has its founding terms only.
    """

    terms: Terms
    founding: dict[str, Any]
    entries: tuple[Entry, ...]
    version: str
    created_on: date

    @property
    def with_founding(self) -> tuple[Entry, ...]:
        """The history as if the founding terms had been its first change."""
        return (*self._founding_entries(), *self.entries)

    @property
    def book(self) -> tuple[Entry, ...]:
        """The rule book that the history adds up to, without overlaps."""
        return engine.effective(self.with_founding)

    def policy_on(self, day: date) -> Policy:
        """Return the rules that hold on a day."""
        policy, missing = engine.folded(self.terms, self.entries, day, self.founding)
        assert not missing, "a change is published only if its rules are complete"
        return policy

    def document(self, on: date | None = None) -> dict[str, Any]:
        """Return the rule book, or of it what holds on a day, as one canonical document."""
        return engine.write_document(self.terms, [rule for rule in self.book if on is None or rule.holds_on(on)])

    def _founding_entries(self) -> list[Entry]:
        """Return founding terms that differ from the defaults as rules, so that a document is complete without them."""
        kinds = {name: engine.PARAMETERS[name] for name in self.founding}
        return [
            Entry(name, kinds[name].kind.text(value), self.created_on, None, FOUNDING_SOURCE)
            for name, value in self.founding.items()
            if value != kinds[name].default
        ]


def history(scheme: Scheme, known_at: datetime | None = None, below: int | None = None) -> History:
    """Return the rules of a scheme as they were known at an instant, before a change, or as they are now. One query."""
    rules = Rule.objects.filter(scheme=scheme).order_by("change__number", "id")
    if known_at is not None:
        rules = rules.filter(change__published_at__lte=known_at)
    if below is not None:
        rules = rules.filter(change__number__lt=below)
    rows = list(
        rules.values_list(
            "name", "value", "valid_from", "valid_to", "source", "change__book_sha256", "change__approval__act"
        )
    )
    came_with_a_book = bool(rows) and rows[0][6] == IMPORT_SCHEME
    return History(
        terms=terms_of(scheme),
        founding={} if came_with_a_book else founding_values(scheme),
        entries=tuple(Entry(*row[:5]) for row in rows),
        version=rows[-1][5] if rows else "",
        created_on=scheme.created_at.astimezone(scheme.tz).date(),
    )


def policy_at(scheme: Scheme, on: date, known_at: datetime | None = None) -> Policy:
    """Return the rules of a scheme that hold on a day, as known at an instant or now. One query.

    A scheme without rules of its own has its founding terms: unit, money, zone, cash sanction and large transfer.
    """
    return history(scheme, known_at).policy_on(on)


def rules_version(scheme: Scheme, on: date, known_at: datetime | None = None) -> str:
    """Return the hash of the rule book that says what holds on a day; empty where only founding terms do.

    It is the book after the latest change with a rule that began by then: a later change of later years leaves the
    version of this day alone.
    """
    rules = Rule.objects.filter(scheme=scheme, valid_from__lte=on)
    if known_at is not None:
        rules = rules.filter(change__published_at__lte=known_at)
    latest = rules.order_by("-change__number").values_list("change__book_sha256", flat=True).first()
    return latest or ""


def terms_of(scheme: Scheme) -> Terms:
    """Return the terms on which a scheme was founded, as a rule document carries them."""
    return Terms(
        code=scheme.code,
        name=scheme.name,
        metric=scheme.metric,
        unit_size=scheme.unit_size,
        currency=scheme.currency.code,
        zone=scheme.zone,
    )


def founding_values(scheme: Scheme) -> dict[str, Any]:
    """Return the rules that a scheme was founded with, as the policy holds them."""
    return {
        "sanction.rate_minor": Decimal(scheme.sanction_minor),
        "transactions.large_transfer": scheme.large_transfer,
        "scope.activities": tuple(ReportLine.Activity.values),
    }


@dataclass(frozen=True)
class RuleInForce:
    """One rule that holds on a day: its value, the days on which it holds, and the change that published it.

    Without a change it is a founding term of the scheme.
    """

    parameter: Parameter
    value: Json
    first: date
    end: date | None
    source: str
    change: RuleChange | None


def in_force(scheme: Scheme, on: date) -> list[RuleInForce]:
    """Return every rule that holds on a day in the order of a rule book, with the change that published each."""
    past = history(scheme)
    published = {
        rule.name: rule.change
        for rule in Rule.objects.filter(scheme=scheme, valid_from__lte=on)
        .exclude(valid_to__lte=on)
        .select_related("change__approval")
        .order_by("change__number")
    }
    taken_back = {name for name, entry in engine.in_force(past.entries, on).items() if entry.value is None}
    return [
        RuleInForce(
            parameter=engine.PARAMETERS[span.name],
            value=span.value,
            first=span.valid_from,
            end=span.valid_to,
            source=span.source,
            change=None if span.name in taken_back else published.get(span.name),
        )
        for span in past.book
        if span.holds_on(on)
    ]


def approvers(changes: Iterable[RuleChange]) -> dict[uuid.UUID, tuple[str, str]]:
    """Return for each change the roles in which it was proposed and approved, as they were held at that time."""
    listed = list(changes)
    people = {person for change in listed for person in (change.approval.proposed_by_id, change.approval.decided_by_id)}
    memberships = list(Membership.objects.filter(user__in=people, role__in=["desk_officer", "senior_officer"]))

    def role(user_id: object, organisation_id: object, at: datetime | None) -> str:
        held = [
            one.get_role_display()
            for one in memberships
            if (one.user_id, one.organisation_id) == (user_id, organisation_id)
            and at is not None
            and one.granted_at <= at
            and (one.ended_at is None or at < one.ended_at)
        ]
        return max(held, default="Officer")  # "Senior officer" is said before "Desk officer"

    return {
        change.pk: (
            role(change.approval.proposed_by_id, change.approval.organisation_id, change.approval.proposed_at),
            role(change.approval.decided_by_id, change.approval.organisation_id, change.approval.decided_at),
        )
        for change in listed
    }


def changed_by(change: RuleChange) -> tuple[SpanChange, ...]:
    """Return what a published change made differ, rule by rule and span by span."""
    comes_with_the_scheme = change.approval.act == IMPORT_SCHEME
    before = () if comes_with_the_scheme else history(change.scheme, below=change.number).with_founding
    return engine.spans_changed(before, history(change.scheme, below=change.number + 1).with_founding)


def changes_of(scheme: Scheme) -> QuerySet[RuleChange]:
    """Return the published changes of a scheme with their approvals, the latest first."""
    return (
        RuleChange.objects.filter(scheme=scheme)
        .select_related("approval__proposed_by", "approval__decided_by", "scheme__currency")
        .order_by("-number")
    )


def change_numbered(scheme: Scheme, number: int) -> RuleChange:
    """Return one published change, or say that there is none."""
    change = changes_of(scheme).filter(number=number).first()
    if change is None:
        raise Unknown("rule_change_unknown", "There is no such change of these rules. Check the address.")
    return change


def scheme_coded(code: str) -> Scheme:
    """Return the scheme with a code, or say that there is none."""
    scheme = Scheme.objects.select_related("currency").filter(code=code).first()
    if scheme is None:
        raise Unknown("scheme_unknown", "There is no such scheme. Check the address.")
    return scheme
