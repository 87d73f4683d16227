"""Bulk work: a table is carried out as a whole or not at all, and says of every row that cannot be why."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Approval, AuditEvent, Organisation
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused
from common.invariants import check_all
from registry.engine.policy import HoldingLimit, LimitRule, Policy, TransactionRule
from registry.invariants import INVARIANTS
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Hold, Journal, LedgerAccount
from registry.ledger.services import serials
from registry.models import (
    AccountTerms,
    ComplianceRecord,
    DebtEntry,
    EvidenceFile,
    Freeze,
    Period,
    SerialFreeze,
    Surrender,
    Transaction,
    TrustedAccount,
)
from registry.services import bulk, rules, transactions
from registry.services.bulk import BulkSurrender, Checked
from registry.services.drafting import evidence
from registry.services.reports import RowsRefused
from tests import cast
from tests.cast import ACME_PERMITS, BOREALIS_PERMITS, OPENING, Party, Regulator

Rules = Callable[..., None]


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Rules:
    """Let a scheme have other rules than those it was founded on."""

    def set_rules(transactions: TransactionRule | None = None, limits: LimitRule | None = None) -> None:
        def changed(scheme: Any, on: Any) -> Policy:
            policy = rules.policy_at(scheme, on)
            return replace(policy, transactions=transactions or policy.transactions, limits=limits or policy.limits)

        monkeypatch.setattr("registry.services.transactions.facts.policy_at", changed)

    return set_rules


def transfers(*rows: tuple[object, ...]) -> bytes:
    """Write rows of (to, quantity, agreement, from), of which the last two may be left out, as a table."""
    written = ["to,quantity,agreement,from,permit"]
    for row in rows:
        to, quantity, agreement, sender = [*row, "", ""][:4]
        written.append(f"{to},{quantity},{agreement},{sender},ai-flop-2026")
    return "\n".join((*written, "")).encode()


def surrenders(*rows: tuple[object, ...]) -> bytes:
    """Write rows of (quantity, permit, account), of which the last two may be left out, for Acme's year."""
    written = ["scheme,year,quantity,permit,account"]
    for row in rows:
        quantity, permit, account = [*row, "", ""][:3]
        written.append(f"ai-flop,2026,{quantity},{permit},{account}")
    return "\n".join((*written, "")).encode()


def propose(party: Party, content: bytes, **more: Any) -> Approval:
    usual: dict[str, Any] = {"actor": party.initiator, "organisation": party.organisation, "name": "table.csv"}
    return bulk.propose_transfers(**(usual | {"content": content, "key": cast.key(), "now": OPENING} | more))


def surrender(party: Party, content: bytes, **more: Any) -> BulkSurrender:
    usual: dict[str, Any] = {"actor": party.initiator, "organisation": party.organisation, "name": "table.csv"}
    return bulk.bulk_surrender(**(usual | {"content": content, "key": cast.key(), "now": OPENING} | more))


def approve(party: Party, approval: Approval, now: datetime = OPENING) -> Approval:
    return approvals.approve(actor=party.approver, approval_id=approval.pk, now=now)


def permits(account: LedgerAccount) -> tuple[int, int]:
    """Return an account's permits and how many of them are held."""
    balance = Balance.objects.filter(account=account, asset__code="ai-flop-2026").first()
    return (0, 0) if balance is None else (balance.balance, balance.held)


def errors(refused: Any) -> list[tuple[int, str, str]]:
    """Return line, column and code of everything that a table was refused for."""
    assert isinstance(refused.value, RowsRefused)
    return [(error.line, error.column, error.code) for error in refused.value.errors]


def look(party: Party, content: bytes) -> Checked:
    return bulk.check_transfers(organisation=party.organisation, content=content, now=OPENING)


def found(checked: Checked) -> list[tuple[int, str, str]]:
    return [(error.line, error.column, error.code) for error in checked.errors]


def opened(party: Party, kind: str) -> LedgerAccount:
    """Open another account of a party."""
    with transaction.atomic():
        return ledger.open_account(kind=kind, owner=party.organisation, label=kind, now=OPENING)


def others(regulator: Regulator, count: int) -> list[LedgerAccount]:
    """Open accounts of holders who are nobody else."""
    owner = organisations.open_organisation(actor=regulator.senior, name=f"Holder of {count}", kind="firm", now=OPENING)
    with transaction.atomic():
        return [
            ledger.open_account(kind="holding", owner=owner, label=str(place), now=OPENING) for place in range(count)
        ]


def nothing_happened() -> bool:
    """Whether there is no trace of a table."""
    return not (
        EvidenceFile.objects.exists()
        or Approval.objects.filter(act__startswith="registry.bulk").exists()
        or Transaction.objects.filter(kind__in=["transfer", "surrender"]).exists()
        or Hold.objects.filter(purpose="proposal").exists()
        or Surrender.objects.exists()
    )


# Transfers ------------------------------------------------------------------------------------------------------------


def test_five_hundred_transfers_are_one_journal_with_exact_sums_and_as_many_queries_as_five(
    rule: Rules, regulator: Regulator, acme: Party, period: Period
) -> None:
    rule(limits=LimitRule(holding=HoldingLimit(p1=Decimal("0.9"), base=cast.CAP, p2=Decimal(0))))
    asked = []
    for count, holders in ((5, 5), (500, 40)):
        receivers = others(regulator, holders)
        rows = [(receivers[place % holders], 1 + place % 3, f"no {place}") for place in range(count)]
        expected: Counter[int] = Counter()
        for account, quantity, _ in rows:
            expected[account.pk] += quantity
        with CaptureQueriesContext(connection) as proposing:
            approval = propose(acme, transfers(*((account.number, *rest) for account, *rest in rows)))
        held = permits(acme.account)[1]
        with CaptureQueriesContext(connection) as carrying_out:
            done = approve(acme, approval)
        asked.append((len(proposing), len(carrying_out)))

        assert done.status == "executed", done.failure
        assert held == expected.total()
        journal = Journal.objects.get(pk=done.result["journal"])  # type: ignore[index]
        made = Transaction.objects.filter(journal=journal)
        arrived: Counter[int] = Counter()
        for receiver, quantity in made.values_list("receiver", "quantity"):
            arrived[receiver] += quantity
        assert arrived == expected
        assert (journal.kind, journal.transfers.count(), made.count()) == ("transfer", count, count)
        assert {account.pk: permits(account) for account in receivers} == {pk: (n, 0) for pk, n in expected.items()}

    assert asked[0] == asked[1]
    assert permits(acme.account) == (ACME_PERMITS - 999 - 9, 0)
    assert [result.name for result in check_all(INVARIANTS) if result.broken] == []


def test_each_row_leaves_a_transaction_with_its_own_words_and_both_persons_are_known(
    acme: Party, borealis: Party, period: Period
) -> None:
    number = borealis.account.number
    content = f"to,quantity,permit,price,agreement\n{number},7,ai-flop-2026,25.40,contract 7\n".encode()

    approval = approve(acme, propose(acme, content, name="../May\x00 sales.csv"))

    row = Transaction.objects.get(kind="transfer")
    assert (row.price_minor, row.agreement, row.quantity) == (2540, "contract 7", 7)
    assert (row.proposed_by, row.receiver, row.status) == (acme.initiator, borealis.account, "completed")
    assert row.details == {"table": approval.parameters["sha256"], "approval": str(approval.pk)}
    assert approval.parameters["content"] == {
        "columns": ["line", "from", "to", "permit", "quantity", "price", "agreement"],
        "rows": [[2, acme.account.number, number, "ai-flop-2026", 7, "25.40", "contract 7"]],
    }
    assert approval.parameters["totals"]["rows"] == [["ai-flop-2026", 7]]
    kept = EvidenceFile.objects.get()
    assert (evidence.read_all(kept), kept.sha256, kept.name) == (
        content,
        approval.parameters["sha256"],
        "May sales.csv",
    )
    event = AuditEvent.objects.get(action="registry.transfer.bulk_made")
    assert (event.actor, event.details["transfers"], event.details["totals"]) == (acme.approver, 1, {"ai-flop-2026": 7})


def test_one_bad_row_refuses_the_whole_table_and_every_bad_row_is_named(
    regulator: Regulator, acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    organisations.change_status(
        actor=regulator.senior,
        organisation=cobalt.organisation,
        status="suspended",
        reason="Looked into.",
        now=OPENING,
    )
    nobody = borealis.account.number.replace("HR-100", "HR-110")
    good, stranger = borealis.account.number, opened(borealis, "trading").number
    other = transfers((good, 1)).replace(b"2026", b"2099")

    with pytest.raises(RowsRefused) as refused:
        propose(
            acme,
            transfers(
                (good, 1, "a"),
                (acme.account.number, 1),
                (good, 1, "b", stranger),
                (cobalt.account.number, 5),
                (good, 2),
            ),
        )
    with pytest.raises(RowsRefused) as unread:
        propose(acme, transfers((nobody, 1), (good, "x")))
    with pytest.raises(RowsRefused) as unknown:
        propose(acme, other)

    assert errors(refused) == [
        (3, "to", "same_account"),
        (4, "from", "sender_unknown"),
        (5, "to", "receiver_suspended"),
    ]
    assert errors(unread) == [(2, "to", "account_number_wrong"), (3, "quantity", "quantity_not_whole")]
    assert errors(unknown) == [(2, "permit", "asset_unknown")]
    assert nothing_happened()


def test_what_the_rows_take_together_is_found_at_the_first_row_that_has_not_enough(
    acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    rows = [(borealis.account.number, 1500, "a"), (cobalt.account.number, 1500), (borealis.account.number, 1500, "b")]

    checked = look(acme, transfers(*rows, (cobalt.account.number, 1000)))

    assert found(checked) == [(4, "quantity", "insufficient_available")]  # 1,000 more would do: 4,000 in all
    assert found(look(acme, transfers(*rows[:2], (cobalt.account.number, 1000)))) == []
    assert nothing_happened()


def test_a_row_may_spend_what_a_row_before_it_brought_and_only_the_rest_is_held(
    acme: Party, borealis: Party, period: Period
) -> None:
    trading = opened(acme, "trading")
    there, onwards = (trading.number, 100, "in"), (borealis.account.number, 60, "out", trading.number)

    wrong_way_round = look(acme, transfers(onwards, there))
    approval = propose(acme, transfers(there, onwards))
    held = permits(acme.account), permits(trading)
    approve(acme, approval)

    assert found(wrong_way_round) == [(2, "quantity", "insufficient_available")]
    assert held == ((ACME_PERMITS, 100), (0, 0))
    assert (permits(acme.account), permits(trading)) == ((ACME_PERMITS - 100, 0), (40, 0))
    assert permits(borealis.account) == (BOREALIS_PERMITS + 60, 0)


def test_limits_debts_and_frozen_numbers_look_at_the_rows_together(
    rule: Rules, regulator: Regulator, acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    to, other = borealis.account.number, cobalt.account.number
    rows = transfers((to, 400, "a"), (other, 400), (to, 400, "b"), (to, 100, "c"))

    rule(limits=LimitRule(holding=HoldingLimit(p1=Decimal("0.25"), base=cast.CAP, p2=Decimal(0))))
    limited = found(look(acme, rows))  # Borealis holds 2,000 and may hold 2,500
    rule()
    assert acme.operator is not None
    debt = DebtEntry.objects.create(
        operator=acme.operator,
        period=period,
        kind="sanction",
        quantity=ACME_PERMITS - 900,
        reference="debt",
        at=OPENING,
    )
    in_debt = found(look(acme, rows))
    DebtEntry.objects.create(
        operator=acme.operator, period=period, kind="paid", quantity=-debt.quantity, reference="paid", at=OPENING
    )
    serials.derive_serial_blocks()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(s.first) FROM ledger_serial_block s JOIN ledger_balance b ON b.id = s.balance_id"
            " WHERE b.account_id = %s AND s.until IS NULL",
            [acme.account.pk],
        )
        (first,) = cursor.fetchone()
    SerialFreeze.objects.create(
        asset=period.permit, first=first, last=first + ACME_PERMITS - 901, reason="Stolen.",
        frozen_by=regulator.senior, frozen_at=OPENING,
    )  # fmt: skip
    stopped = found(look(acme, rows))

    assert limited == [(4, "to", "holding_limit_exceeded")]
    assert in_debt == [(4, "quantity", "debt_outstanding")]
    assert stopped == [(4, "quantity", "serials_frozen")]


def test_rows_that_would_wait_are_refused_and_trusted_ones_are_carried_out_in_working_hours(
    rule: Rules, acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    to, asks = borealis.account, cobalt.account
    AccountTerms.objects.create(account=asks, confirms_incoming=True)
    with pytest.raises(RowsRefused) as confirmed:
        propose(acme, transfers((to.number, 1), (asks.number, 1)))
    rule(TransactionRule(delay_days=1, activation_days=1))
    with pytest.raises(RowsRefused) as delayed:
        propose(acme, transfers((to.number, 1)))
    nothing = nothing_happened()

    TrustedAccount.objects.create(
        account=acme.account, trusted=to, status="active", active_from=OPENING - timedelta(days=1),
        added_by=acme.initiator, added_at=OPENING - timedelta(days=2),
    )  # fmt: skip
    approval = propose(acme, transfers((to.number, 1)), now=OPENING - timedelta(hours=3))
    with pytest.raises(RowsRefused) as too_early:  # the window opens at ten in Berlin, which is nine UTC
        approve(acme, approval, now=OPENING - timedelta(minutes=1))
    waits = Approval.objects.get(pk=approval.pk).status, permits(acme.account)[1]
    done = approve(acme, approval)

    assert errors(confirmed) == [(3, "to", "bulk_row_would_wait")]
    assert errors(delayed) == [(2, "to", "bulk_row_would_wait")]
    assert "trust the account first, or send it singly" in delayed.value.sentence
    assert nothing
    assert errors(too_early) == [(2, "permit", "bulk_outside_hours")]
    assert waits == ("proposed", 1)
    assert (done.status, permits(to)) == ("executed", (BOREALIS_PERMITS + 1, 0))


def test_the_same_bytes_or_key_again_are_the_same_proposal_until_it_was_stopped(
    acme: Party, borealis: Party, period: Period
) -> None:
    content, key = transfers((borealis.account.number, 10)), cast.key()
    first = propose(acme, content, key=key)

    again = propose(acme, content, key=key), propose(acme, content, name="other.csv", actor=acme.approver)
    with pytest.raises(Refused) as reused:
        propose(acme, transfers((borealis.account.number, 11)), key=key)
    approvals.cancel(actor=acme.initiator, approval_id=first.pk, reason="Too early.", now=OPENING)
    given_back = permits(acme.account)
    second = propose(acme, content)
    approve(acme, second)
    after = propose(acme, content)

    assert again == (first, first)
    assert reused.value.code == "key_reused"
    assert given_back == (ACME_PERMITS, 0)
    assert second != first
    assert (after, after.status) == (second, "executed")
    assert permits(acme.account) == (ACME_PERMITS - 10, 0)
    assert EvidenceFile.objects.count() == 1


def test_nobody_approves_what_they_proposed_and_only_those_who_may_do_either(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    content = transfers((borealis.account.number, 10))
    refused_to_propose = set()
    for who in (acme.viewer, acme.trader, borealis.initiator, regulator.desk, regulator.senior):
        with pytest.raises(Forbidden):
            propose(acme, content, actor=who)
        refused_to_propose.add(who.pk)
    nothing = nothing_happened()
    approval = propose(acme, content, actor=acme.approver)

    for who, code in (
        (acme.approver, "second_person_needed"),
        (acme.initiator, "not_permitted"),
        (acme.viewer, "not_permitted"),
        (borealis.approver, "not_permitted"),
        (regulator.senior, "not_permitted"),
    ):
        with pytest.raises(Refused) as refused:
            approvals.approve(actor=who, approval_id=approval.pk, now=OPENING)
        assert refused.value.code == code

    assert nothing and len(refused_to_propose) == 5
    assert permits(borealis.account) == (BOREALIS_PERMITS, 0)


def test_what_changes_between_proposal_and_approval_stops_the_whole_table_by_line(
    regulator: Regulator, acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    approval = propose(acme, transfers((borealis.account.number, 10), (cobalt.account.number, 20)))
    AccountTerms.objects.create(account=cobalt.account, grade="suspended")
    with pytest.raises(RowsRefused) as graded:
        approve(acme, approval)
    AccountTerms.objects.update(grade="open")
    freeze = Freeze.objects.create(scheme=None, reason="Theft.", frozen_by=regulator.senior, frozen_at=OPENING)
    with pytest.raises(RowsRefused) as frozen:
        approve(acme, approval)
    waiting = permits(acme.account)
    Freeze.objects.filter(pk=freeze.pk).update(lifted_at=OPENING, lifted_by=regulator.senior)

    done = approve(acme, approval)

    assert errors(graded) == [(3, "to", "receiver_restricted")]
    assert errors(frozen) == [(2, "permit", "movements_frozen"), (3, "permit", "movements_frozen")]
    assert waiting == (ACME_PERMITS, 30)
    assert (done.status, permits(acme.account)) == ("executed", (ACME_PERMITS - 30, 0))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 3), st.one_of(st.integers(1, 900), st.integers(900, 5000))),
        min_size=1,
        max_size=12,
    )
)
def test_a_random_table_posts_exactly_its_sums_or_nothing(
    rows: list[tuple[int, int, int]], acme: Party, borealis: Party, cobalt: Party, period: Period
) -> None:
    """Rows are (which own account sends, to whom, how many); the twin beside them is four lines of arithmetic."""
    point = transaction.savepoint()
    places = [acme.account, opened(acme, "trading"), borealis.account, cobalt.account]
    before = [permits(place)[0] for place in places]
    left, good = list(before), []
    for place, (sender, to, quantity) in enumerate(rows):
        if sender != to and quantity <= left[sender]:
            left[sender], left[to] = left[sender] - quantity, left[to] + quantity
            good.append(place)
    written = [(places[to].number, quantity, place, places[sender].number) for place, (sender, to, quantity) in
               enumerate(rows)]  # fmt: skip

    try:
        done = approve(acme, propose(acme, transfers(*written)))
    except RowsRefused as refused:
        after = [permits(place) for place in places]
        assert {error.line - 2 for error in refused.errors} == set(range(len(rows))) - set(good)
        assert after == [(quantity, 0) for quantity in before]
        if good:
            assert look(acme, transfers(*(written[place] for place in good))).errors == ()
    else:
        assert (done.status, good) == ("executed", list(range(len(rows))))
        assert [permits(place) for place in places] == [(quantity, 0) for quantity in left]
    transaction.savepoint_rollback(point)


# Surrenders -----------------------------------------------------------------------------------------------------------


def test_each_row_is_a_surrender_with_its_own_receipt_and_all_come_at_one_instant(
    acme: Party, period: Period, clock: cast.Clock
) -> None:
    compliance = opened(acme, "compliance")
    approve(acme, propose(acme, transfers((compliance.number, 50))))
    assert acme.operator is not None
    ComplianceRecord.objects.create(
        operator=acme.operator, period=period, occasion="deadline", status="A", owed=0, surrendered=0, at=OPENING
    )

    made = surrender(acme, surrenders((30,), (20, "ai-flop-2026", compliance.number)), actor=acme.trader)

    assert [(one.quantity, one.operator, one.surrendered_by) for one in made.receipts] == [
        (30, acme.operator, acme.trader),
        (20, acme.operator, acme.trader),
    ]
    assert len({one.received_at for one in made.receipts}) == 1
    assert len({one.journal_id for one in made.receipts}) == 2  # each may be undone alone
    assert (permits(acme.account), permits(compliance)) == ((ACME_PERMITS - 50 - 30, 0), (30, 0))
    letters = ComplianceRecord.objects.filter(occasion="later").values_list("surrendered", flat=True)
    assert list(letters) == [50]  # worked out once, for all rows together


def test_one_bad_surrender_refuses_them_all_by_line_and_column(
    acme: Party, borealis: Party, period: Period, regulator: Regulator
) -> None:
    later = cast.period_of(regulator, period.scheme, 2027)
    head = b"scheme,year,quantity,permit,account\n"
    rows = (
        b"ai-flop,2026,10,,\nai-coal,2026,1,,\nai-flop,2027,1,,\nai-flop,2026,1,nothing,\n"
        + f"ai-flop,2026,1,{later.permit.code},\nai-flop,2026,2,,{borealis.account.number}\n".encode()
        + f"ai-flop,2026,3,ai-flop-2026,{acme.account.number}\n".encode()
    )

    with pytest.raises(RowsRefused) as refused:
        surrender(acme, head + rows)
    with pytest.raises(RowsRefused) as too_many:
        surrender(acme, surrenders((ACME_PERMITS + 1,)))

    assert errors(refused) == [
        (3, "scheme", "operator_unknown"),
        (4, "year", "period_unknown"),
        (5, "permit", "asset_unknown"),
        (6, "permit", "vintage_not_usable"),
        (7, "account", "sender_unknown"),
        (8, "quantity", "row_twice"),
    ]
    assert errors(too_many) == [(2, "quantity", "insufficient_available")]
    assert nothing_happened()


def test_the_same_surrenders_again_are_the_same_receipts_until_all_were_given_back(
    regulator: Regulator, acme: Party, period: Period
) -> None:
    content, key = surrenders((30,)), cast.key()
    first = surrender(acme, content, key=key)

    again = surrender(acme, content, key=key), surrender(acme, content)
    with pytest.raises(Refused) as reused:
        surrender(acme, surrenders((31,)), key=key)
    undoing = transactions.reverse(
        actor=regulator.desk,
        original=Transaction.objects.get(kind="surrender"),
        reason="A mistake.",
        key=cast.key(),
        now=OPENING,
    )
    assert undoing.approval is not None
    regulator.approve(undoing.approval)
    anew = surrender(acme, content)

    assert again == (first, first)
    assert reused.value.code == "key_reused"
    assert anew.receipts != first.receipts
    assert permits(acme.account) == (ACME_PERMITS - 30, 0)


def test_where_the_terms_ask_for_a_second_person_the_table_waits_with_its_permits_held(
    acme: Party, period: Period
) -> None:
    AccountTerms.objects.create(account=acme.account, second_person_for_surrender=True)
    content = surrenders((30,))

    waiting = surrender(acme, content, actor=acme.trader)
    assert waiting.approval is not None
    held = permits(acme.account)
    same = surrender(acme, content)
    approve(acme, waiting.approval)
    done = surrender(acme, content)

    assert waiting.receipts == () and not Surrender.objects.exclude(surrendered_by=acme.trader).exists()
    assert held == (ACME_PERMITS, 30)
    assert same == waiting
    assert [one.quantity for one in done.receipts] == [30]
    assert done.receipts == bulk.receipts_of(waiting.approval)
    assert permits(acme.account) == (ACME_PERMITS - 30, 0)


def test_a_proposed_surrender_that_is_rejected_gives_its_permits_back(acme: Party, period: Period) -> None:
    AccountTerms.objects.create(account=acme.account, second_person_for_surrender=True)
    waiting = surrender(acme, surrenders((30,)))
    assert waiting.approval is not None

    approvals.reject(actor=acme.approver, approval_id=waiting.approval.pk, reason="Not yet.", now=OPENING)

    assert permits(acme.account) == (ACME_PERMITS, 0)
    assert not Surrender.objects.exists()


def test_only_representatives_surrender_in_bulk(
    regulator: Regulator, acme: Party, borealis: Party, period: Period
) -> None:
    for who in (acme.viewer, borealis.trader, regulator.desk):
        with pytest.raises(Forbidden):
            surrender(acme, surrenders((1,)), actor=who)
    nothing = nothing_happened()

    made = [surrender(acme, surrenders((quantity,)), actor=who).receipts for quantity, who in enumerate(
        (acme.initiator, acme.approver, acme.trader), start=1)]  # fmt: skip

    assert nothing
    assert [receipt.quantity for (receipt,) in made] == [1, 2, 3]
    assert isinstance(acme.organisation, Organisation)
