"""Rules in force: changed by two officers, superseded and never lost, read for any day as known at any instant."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals
from common.errors import Forbidden, Refused, SeveralRefusals
from registry import rulebook
from registry.engine import parameters as engine
from registry.engine.policy import Policy
from registry.models import Rule, RuleChange, Scheme
from registry.services import founding, rules
from tests import cast
from tests.cast import Party, Regulator

NEW_YEAR = "2027-01-01"
DAY = timedelta(days=1)


def rule(name: str, value: Any, first: str = NEW_YEAR, end: str | None = None) -> dict[str, Any]:
    """Return one rule as a document carries it."""
    return {"name": name, "value": value, "valid_from": first, "valid_to": end, "source": "Order 7"}


def document(*of: dict[str, Any], code: str = "power-flop") -> dict[str, Any]:
    """Return a document that founds a scheme."""
    return {
        "format": engine.FORMAT,
        "scheme": {
            "code": code,
            "name": "Power and compute",
            "metric": "flop",
            "unit_size": "1000000000000000000",
            "currency": "usd",
            "zone": "America/New_York",
        },
        "rules": list(of or (rule("sanction.rate_minor", "10250.5"), rule("cap.table", {"2027": "1000", "2028": 900}))),
    }


@pytest.fixture
def propose(regulator: Regulator, scheme: Scheme) -> Callable[..., Approval]:
    """Let the desk propose rules of the cast's scheme."""

    def propose(*entries: dict[str, Any], **changes: Any) -> Approval:
        arguments: dict[str, Any] = {
            "actor": regulator.desk,
            "scheme": scheme,
            "title": "New year, new rules",
            "entries": list(entries) or [rule("sanction.rate_minor", "12000")],
            "now": cast.OPENING,
        }
        return rules.propose_change(**(arguments | changes))

    return propose


@pytest.fixture
def change(propose: Callable[..., Approval], regulator: Regulator) -> Callable[..., RuleChange]:
    """Publish rules of the cast's scheme."""

    def change(*entries: dict[str, Any], **changes: Any) -> RuleChange:
        approval = propose(*entries, **changes)
        regulator.approve(approval, changes.get("now", cast.OPENING))
        return RuleChange.objects.get(approval=approval)

    return change


@pytest.fixture
def found(regulator: Regulator) -> Callable[..., Scheme]:
    """Found a scheme by a document."""

    def found(read: dict[str, Any]) -> Scheme:
        regulator.approve(founding.import_scheme(actor=regulator.desk, document=read, now=cast.OPENING))
        return Scheme.objects.select_related("currency").get(code=read["scheme"]["code"])

    return found


def refusals(refused: Any) -> list[str]:
    """Return the code of every refusal."""
    error = refused.value
    return [each.code for each in error.refusals] if isinstance(error, SeveralRefusals) else [error.code]


# Founding terms -------------------------------------------------------------------------------------------------------


def test_a_scheme_without_rules_has_its_founding_terms(scheme: Scheme) -> None:
    policy = rules.policy_at(scheme, date(2026, 3, 2))

    assert (policy.scheme, policy.zone, policy.currency) == ("ai-flop", "Europe/Berlin", "eur")
    assert (policy.unit.metric, policy.unit.size) == ("flop", Decimal(cast.PERMIT_FLOP))
    assert policy.sanction.rate_minor == cast.SANCTION_MINOR
    assert policy.transactions.large_transfer == cast.LARGE_TRANSFER
    assert rules.rules_version(scheme, date(2026, 3, 2)) == ""


def test_reading_the_policy_takes_one_query(
    scheme: Scheme, change: Callable[..., RuleChange], django_assert_num_queries: Any
) -> None:
    change()
    change(rule("cap.lock_years", 3, "2028-01-01"))
    scheme = Scheme.objects.select_related("currency").get(pk=scheme.pk)

    with django_assert_num_queries(1):
        rules.policy_at(scheme, date(2028, 1, 1))


# Changing -------------------------------------------------------------------------------------------------------------


def test_a_proposal_does_nothing_yet(propose: Callable[..., Approval], scheme: Scheme) -> None:
    proposal = propose()

    assert proposal.status == "proposed"
    assert not Rule.objects.exists()
    assert rules.policy_at(scheme, date(2027, 1, 1)).sanction.rate_minor == cast.SANCTION_MINOR


def test_approval_publishes_the_change_with_its_rules_and_version(
    propose: Callable[..., Approval], regulator: Regulator, scheme: Scheme
) -> None:
    approval = regulator.approve(propose(rule("supply.unsold.rule", "CANCEL"), rule("sanction.rate_minor", "12000.50")))

    change = RuleChange.objects.get()
    assert approval.result is not None
    assert (change.number, change.title, change.reason_code, change.approval) == (
        1,
        "New year, new rules",
        "",
        approval,
    )
    assert change.book_sha256 == engine.sha256(rules.export(scheme)) == approval.result["book_sha256"]
    assert [(r.name, r.value, r.unit, r.rounding) for r in Rule.objects.order_by("id")] == [
        ("supply.unsold.rule", "CANCEL", "", ""),
        ("sanction.rate_minor", "12000.5", "minor units per permit", "R8"),
    ]
    event = AuditEvent.objects.get(action="registry.rules.changed")
    assert event.details["book_sha256"] == change.book_sha256


def test_a_rule_begins_with_its_first_day_in_the_zone_of_the_scheme(
    scheme: Scheme, change: Callable[..., RuleChange]
) -> None:
    change()
    last_second = datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC)  # 23:59:59 in Berlin

    rates = [
        rules.policy_at(scheme, instant.astimezone(scheme.tz).date()).sanction.rate_minor
        for instant in (last_second, last_second + timedelta(seconds=1))
    ]

    assert rates == [Decimal(cast.SANCTION_MINOR), Decimal(12_000)]


def test_a_later_change_supersedes_from_its_day_and_the_history_stays(
    scheme: Scheme, change: Callable[..., RuleChange]
) -> None:
    change(rule("cap.lock_years", 1))
    change(rule("cap.lock_years", 3, "2030-01-01", "2031-01-01"))

    assert [rules.policy_at(scheme, date(year, 6, 1)).cap.lock_years for year in (2026, 2027, 2030, 2031)] == [
        0,
        1,
        3,
        1,
    ]
    assert Rule.objects.count() == 2
    assert list(RuleChange.objects.order_by("number").values_list("number", flat=True)) == [1, 2]


def test_what_was_known_at_an_instant_can_be_read_later(scheme: Scheme, change: Callable[..., RuleChange]) -> None:
    day = date(2027, 6, 1)
    later = cast.OPENING + DAY
    change(rule("cap.lock_years", 2))
    change(rule("cap.lock_years", 4), now=later)

    known = [cast.OPENING - cast.MICROSECOND, cast.OPENING, later - cast.MICROSECOND, later, None]

    assert [rules.policy_at(scheme, day, known_at=at).cap.lock_years for at in known] == [0, 2, 2, 4, 4]


def test_the_version_of_a_day_is_that_of_the_latest_change_that_reaches_it(
    scheme: Scheme, change: Callable[..., RuleChange]
) -> None:
    first = change(rule("cap.lock_years", 2), now=cast.OPENING)
    second = change(rule("cap.lock_years", 4, "2029-01-01"), now=cast.OPENING + DAY)
    in_force = [date(2026, 6, 1), date(2027, 1, 1), date(2028, 12, 31), date(2029, 1, 1)]

    assert [rules.rules_version(scheme, day) for day in in_force] == [
        "",
        first.book_sha256,
        first.book_sha256,
        second.book_sha256,
    ]
    assert rules.rules_version(scheme, date(2029, 1, 1), known_at=cast.OPENING) == first.book_sha256


def test_a_rule_can_be_taken_back_to_its_founding_value(scheme: Scheme, change: Callable[..., RuleChange]) -> None:
    change()
    change(rule("sanction.rate_minor", None, "2028-01-01"))

    rates = [rules.policy_at(scheme, date(year, 1, 1)).sanction.rate_minor for year in (2027, 2028)]

    assert rates == [Decimal(12_000), Decimal(cast.SANCTION_MINOR)]
    assert Rule.objects.filter(value__isnull=False).count() == 2  # the second is JSON null, which is a value


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE registry_rule SET value = '\"1\"'",
        "DELETE FROM registry_rule",
        "UPDATE registry_rulechange SET title = 'x'",
        "DELETE FROM registry_rulechange",
    ],
)
def test_what_was_published_never_changes(change: Callable[..., RuleChange], statement: str) -> None:
    change()

    with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


# Refusals -------------------------------------------------------------------------------------------------------------


def test_every_fault_of_the_rules_is_listed(propose: Callable[..., Approval]) -> None:
    with pytest.raises(Refused) as refused:
        propose(rule("cap.roof", 1), rule("cap.lock_years", 1.5), rule("cap.type", "SOFT"))

    assert refusals(refused) == ["rule_unknown", "value_kind_wrong", "value_not_offered"]
    assert not Approval.objects.exists()


def test_every_contradiction_is_listed_with_its_day(propose: Callable[..., Approval]) -> None:
    with pytest.raises(Refused) as refused:
        propose(
            rule("alloc.free_share", "0.9"),
            rule("alloc.new_entrants.share", "0.2", "2029-01-01"),
            rule("time.borrow_interest", "0.05", "2028-01-01"),
            title=" ",
        )

    found = refused.value.refusals  # type: ignore[attr-defined]
    assert refusals(refused)[0] == "title_missing"
    assert [each.sentence[:15] for each in found[1:]] == ["From 2028-01-01", "From 2029-01-01"]


def test_rules_that_say_nothing_new_are_refused(propose: Callable[..., Approval], change: Callable[..., Any]) -> None:
    change()

    for entries in ([rule("sanction.rate_minor", "12000.00")], []):
        with pytest.raises(Refused) as refused:
            propose(entries=entries)
        assert refused.value.code == "nothing_changes"


def test_a_past_day_needs_a_reason_and_is_marked(
    propose: Callable[..., Approval], change: Callable[..., RuleChange]
) -> None:
    yesterday = rule("sanction.rate_minor", "12000", "2026-03-01")
    with pytest.raises(Refused) as refused:
        propose(yesterday)
    assert refused.value.code == "reason_needed"

    marked = change(yesterday, reason_code="court_decision")

    assert marked.reason_code == "court_decision"
    assert marked.approval.parameters["preview"]["unlocked"] == ["sanction.rate_minor from 2026-03-01"]


def test_an_unknown_reason_is_none(propose: Callable[..., Approval]) -> None:
    with pytest.raises(Refused) as refused:
        propose(reason_code="because")

    assert refused.value.code == "reason_unknown"


def test_years_inside_the_lock_need_a_reason(propose: Callable[..., Approval], change: Callable[..., Any]) -> None:
    change(rule("cap.lock_years", 2, "2026-03-02"))

    with pytest.raises(Refused) as refused:
        propose(rule("sanction.rate_minor", "12000", "2028-12-31"))
    assert refused.value.code == "reason_needed"
    assert propose(rule("sanction.rate_minor", "12000", "2029-01-01")).status == "proposed"
    assert propose(rule("sanction.rate_minor", "12000", "2028-01-01"), reason_code="emergency").status == "proposed"


def test_a_change_whose_day_came_while_it_waited_is_refused(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    proposal = propose()
    after = datetime(2027, 1, 2, 12, 0, tzinfo=UTC)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=after)

    assert refused.value.code == "change_came_too_late"
    assert not RuleChange.objects.exists()


def test_only_the_desk_proposes(propose: Callable[..., Approval], regulator: Regulator, acme: Party) -> None:
    for stranger in (regulator.monitor, acme.approver):
        with pytest.raises(Forbidden):
            propose(actor=stranger)


def test_nobody_approves_their_own_rules(propose: Callable[..., Approval], regulator: Regulator) -> None:
    proposal = propose(actor=regulator.senior)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)

    assert refused.value.code == "second_person_needed"
    assert not RuleChange.objects.exists()


def test_the_same_key_proposes_once(propose: Callable[..., Approval]) -> None:
    key = cast.key()

    assert propose(key=key) == propose(key=key)
    assert Approval.objects.count() == 1


def test_the_same_request_gives_the_same_proposal_also_after_it_was_published(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    key = cast.key()
    proposal = propose(key=key)
    regulator.approve(proposal)

    assert propose(key=key).pk == proposal.pk
    with pytest.raises(Refused) as refused:
        propose(rule("cap.lock_years", 2), key=key)
    assert refused.value.code == "key_reused"


def test_a_proposal_lapses_when_another_overtakes_it(propose: Callable[..., Approval], regulator: Regulator) -> None:
    first, second = propose(rule("cap.lock_years", 2)), propose(rule("cap.lock_years", 3, "2028-01-01"))
    regulator.approve(first)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=second.pk, now=cast.OPENING)

    assert refused.value.code == "rules_moved_on"
    assert RuleChange.objects.count() == 1


# The preview ----------------------------------------------------------------------------------------------------------


def test_a_preview_shows_changes_and_what_they_come_to_and_writes_nothing(
    scheme: Scheme, change: Callable[..., RuleChange]
) -> None:
    change(
        rule("cap.table", {"2027": "1000", "2028": "900"}),
        rule("supply.floor.start_year", 2027),
        rule("supply.floor.start", "10.00"),
    )
    entries = rules.read_rules([rule("cap.table", {"2027": "1000", "2028": "800"}), rule("supply.floor.real", "0.05")])

    found = rules.preview(scheme=scheme, entries=entries, now=cast.OPENING)

    assert [(c.name, c.first, c.end, c.before, c.after) for c in found.changes] == [
        ("cap.table", date(2027, 1, 1), None, {"2027": "1000", "2028": "900"}, {"2027": "1000", "2028": "800"}),
        ("supply.floor.real", date(2027, 1, 1), None, None, "0.05"),
    ]
    moved = {(row.figure, row.year): (row.before, row.after) for row in found.outlook if row.differs}
    assert moved["Cap", 2028] == ("900", "800")
    assert moved["Floor price", 2029] == ("10", "11.03")  # 10.00, 10.50, 11.03 by R5
    assert ("Cap", 2027) not in moved
    assert found.contradictions == ()
    assert RuleChange.objects.count() == 1


def test_a_preview_lists_contradictions_without_refusing(scheme: Scheme) -> None:
    entries = rules.read_rules([rule("alloc.new_entrants.share", "0.1", "2029-01-01")])

    found = rules.preview(scheme=scheme, entries=entries, now=cast.OPENING)

    assert [one.on for one in found.contradictions] == [date(2029, 1, 1)]


def test_the_second_person_reads_the_preview(propose: Callable[..., Approval]) -> None:
    preview = propose(rule("cap.table", {"2027": "1000"})).parameters["preview"]

    assert preview["changes"] == [
        {"name": "cap.table", "first": "2027-01-01", "end": None, "before": None, "after": {"2027": "1000"}}
    ]
    assert {"year": 2027, "figure": "Cap", "unit": "permits", "before": None, "after": "1000"} in preview["outlook"]


# Documents ------------------------------------------------------------------------------------------------------------


def test_a_scheme_comes_into_being_with_the_approval_of_its_document(
    regulator: Regulator, found: Callable[..., Scheme]
) -> None:
    proposal = founding.import_scheme(actor=regulator.desk, document=document(), now=cast.OPENING)
    assert not Scheme.objects.exists()

    regulator.approve(proposal)

    scheme = Scheme.objects.select_related("currency").get()
    policy = rules.policy_at(scheme, date(2027, 1, 1))
    assert (scheme.code, scheme.zone, scheme.currency.code, scheme.sanction_minor) == (
        "power-flop",
        "America/New_York",
        "usd",
        10_250,
    )
    assert (policy.sanction.rate_minor, dict(policy.cap.table)) == (Decimal("10250.5"), {2027: 1000, 2028: 900})
    assert RuleChange.objects.get().book_sha256 == engine.sha256(rules.export(scheme))


def test_a_scheme_that_came_with_its_book_has_no_other_rules(found: Callable[..., Scheme]) -> None:
    """Before its first day and after its last, the default holds and not the figure that the scheme shows first."""
    scheme = found(document(rule("sanction.rate_minor", "500", "2027-01-01", "2029-01-01")))

    rates = [rules.policy_at(scheme, date(year, 1, 1)).sanction.rate_minor for year in (2026, 2027, 2029)]

    assert rates == [Decimal(0), Decimal(500), Decimal(0)]


def test_an_export_imported_gives_the_same_document_and_the_same_policy(
    scheme: Scheme, change: Callable[..., RuleChange], found: Callable[..., Scheme]
) -> None:
    change(rule("cap.table", {"2027": "1000"}), rule("cap.lock_years", 1, end="2029-01-01"))
    change(rule("sanction.rate_minor", "12000.5", "2029-01-01"), rule("cap.lock_years", None, "2028-01-01"))
    exported = rules.export(scheme)
    renamed = exported | {"scheme": exported["scheme"] | {"code": "ai-again"}}

    again = found(json.loads(json.dumps(renamed)))

    assert rules.export(again) == renamed
    for year in (2026, 2027, 2028, 2029):
        one, other = (rules.policy_at(of, date(year, 12, 31)) for of in (scheme, again))
        assert engine.values_of(one) == engine.values_of(other)
        assert isinstance(one, Policy)


def test_an_export_of_a_day_has_only_what_holds_on_it(scheme: Scheme, change: Callable[..., RuleChange]) -> None:
    change(rule("cap.lock_years", 1, end="2029-01-01"))

    names = [[r["name"] for r in rules.export(scheme, on=day)["rules"]] for day in (date(2028, 1, 1), date(2029, 1, 1))]

    assert names == [
        ["scope.activities", "cap.lock_years", "sanction.rate_minor", "transactions.large_transfer"],
        ["scope.activities", "sanction.rate_minor", "transactions.large_transfer"],
    ]


def test_an_edited_export_becomes_a_change_of_what_differs(
    scheme: Scheme, change: Callable[..., RuleChange], propose: Callable[..., Approval], regulator: Regulator
) -> None:
    change(rule("cap.lock_years", 1), rule("supply.unsold.rule", "CANCEL"))
    edited = rules.export(scheme)
    edited["rules"] = [r for r in edited["rules"] if r["name"] != "supply.unsold.rule"]
    for each in edited["rules"]:
        if each["name"] == "cap.lock_years":
            each["valid_to"] = "2030-01-01"

    approval = regulator.approve(propose(entries=None, document=edited))

    assert [(e["name"], e["value"], e["valid_from"]) for e in approval.parameters["entries"]] == [
        ("cap.lock_years", None, "2030-01-01"),
        ("supply.unsold.rule", None, "2027-01-01"),
    ]
    assert rules.export(scheme) == edited


def test_a_document_of_another_scheme_is_refused_with_each_term_that_differs(propose: Callable[..., Approval]) -> None:
    with pytest.raises(Refused) as refused:
        propose(entries=None, document=document())

    assert refusals(refused) == ["terms_differ"] * 4  # code, name, currency, zone


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"rules": []}, "rules_missing"),
        ({"rules": [rule("cap.roof", 1)]}, "rule_unknown"),
        ({"format": "x"}, "format_unknown"),
        ({"rules": [rule("alloc.new_entrants.share", "0.1")]}, "shares_exceed_cap"),
        ({"scheme": document()["scheme"] | {"zone": "Atlantis"}}, "zone_unknown"),
        ({"scheme": document()["scheme"] | {"code": "ai-flop"}}, "scheme_exists"),
    ],
)
def test_a_document_that_cannot_found_a_scheme_is_refused(
    regulator: Regulator, scheme: Scheme, wrong: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        founding.import_scheme(actor=regulator.desk, document=document() | wrong, now=cast.OPENING)

    assert refusals(refused) == [code]


def test_of_two_documents_for_one_code_the_second_fails(regulator: Regulator) -> None:
    first, second = (founding.import_scheme(actor=regulator.desk, document=document(), now=cast.OPENING) for _ in "12")
    regulator.approve(first)

    with pytest.raises(Refused) as refused:
        approvals.approve(actor=regulator.senior, approval_id=second.pk, now=cast.OPENING)

    assert refused.value.code == "scheme_exists"


def test_what_each_change_changed_can_be_read_later(scheme: Scheme, change: Callable[..., RuleChange]) -> None:
    first = change()
    second = change(rule("sanction.rate_minor", "13000", "2028-01-01"), rule("cap.lock_years", 1))

    assert [(c.name, c.before, c.after) for c in rulebook.changed_by(first)] == [
        ("sanction.rate_minor", "10000", "12000")
    ]
    assert [(c.name, c.before, c.after) for c in rulebook.changed_by(second)] == [
        ("cap.lock_years", None, 1),
        ("sanction.rate_minor", "12000", "13000"),
    ]


# At the same moment ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_approved_at_once_one_is_published(
    propose: Callable[..., Approval], regulator: Regulator
) -> None:
    proposals = [propose(rule("cap.lock_years", years)) for years in (2, 3)]
    gate = threading.Barrier(2)

    def approve(proposal: Approval) -> None:
        gate.wait(10)
        try:
            approvals.approve(actor=regulator.senior, approval_id=proposal.pk, now=cast.OPENING)
        except Refused as refusal:
            assert refusal.code == "rules_moved_on"
        connection.close()

    threads = [threading.Thread(target=approve, args=(proposal,)) for proposal in proposals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert RuleChange.objects.count() == 1
    statuses = sorted(Approval.objects.filter(act=rules.CHANGE_RULES).values_list("status", flat=True))
    assert statuses[0] == "executed"
    assert statuses[1] in {"failed", "proposed"}
