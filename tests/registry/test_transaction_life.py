"""The life of a transaction: second person, delay on the clock of working hours, the receiver's word, reversals."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from accounts.models import Approval, Organisation, Task, User
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused, Unknown
from common.invariants import check_all
from registry import movements
from registry.engine.policy import LimitRule, Policy, TransactionRule
from registry.invariants import INVARIANTS
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Hold, Journal, LedgerAccount
from registry.ledger.services import serials
from registry.models import AccountTerms, DebtEntry, Freeze, Period, Suspension, Transaction, TrustedAccount
from registry.services import central, rules, surrenders, transactions
from registry.services.transactions import Request, Terms, terms, trust
from registry.services.transactions.facts import Facts
from registry.standing import records
from registry.tasks import carry_out_transactions
from tests import cast
from tests.cast import ACME_PERMITS, LARGE_TRANSFER, OPENING, Clock, Party, Regulator

BERLIN = ZoneInfo("Europe/Berlin")
STRICT = TransactionRule(large_transfer=LARGE_TRANSFER, delay_days=1, activation_days=4)
Rules = Callable[..., None]


@pytest.fixture
def rule(monkeypatch: pytest.MonkeyPatch) -> Rules:
    """Let a scheme have other rules than those it was founded on."""

    def set_rules(transactions: TransactionRule | None = None, limits: LimitRule | None = None) -> None:
        def changed(scheme: Any, on: Any) -> Policy:
            policy = rules.policy_at(scheme, on)
            return replace(policy, transactions=transactions or policy.transactions, limits=limits or policy.limits)

        for place in ("facts", "trust"):
            monkeypatch.setattr(f"registry.services.transactions.{place}.policy_at", changed)

    return set_rules


@pytest.fixture
def ask(acme: Party, borealis: Party, period: Period) -> Callable[..., Transaction]:
    """Ask for a transaction as Acme's initiator: unless told otherwise, 10 permits to Borealis."""

    def ask(
        kind: str = "transfer", *, now: datetime = OPENING, key: Any = None, actor: User | None = None, **more: Any
    ) -> Transaction:
        usual: dict[str, Any] = {"kind": kind, "sender": acme.account, "asset": period.permit, "quantity": 10}
        if kind == "transfer":
            usual["to_number"] = borealis.account.number
        return transactions.propose(
            actor=actor or acme.initiator,
            organisation=acme.organisation,
            request=Request(**(usual | more)),
            key=key or cast.key(),
            now=now,
        )

    return ask


def approved(party: Party, row: Transaction, now: datetime = OPENING) -> Transaction:
    """Let a party's approver approve a proposal; return the transaction as it is then."""
    assert row.approval_id is not None
    approvals.approve(actor=party.approver, approval_id=row.approval_id, now=now)
    return Transaction.objects.get(pk=row.pk)


def signed(regulator: Regulator, row: Transaction, now: datetime = OPENING) -> Transaction:
    """Let the senior officer approve a proposal of the desk."""
    assert row.approval_id is not None
    approval = approvals.approve(actor=regulator.senior, approval_id=row.approval_id, now=now)
    assert approval.status == "executed", (approval.failure_code, approval.failure)
    return Transaction.objects.get(pk=row.pk)


def permits(party: Party) -> tuple[int, int]:
    """Return a party's permits and how many of them are held."""
    balance = Balance.objects.filter(account=party.account, asset__kind="permit").first()
    return (0, 0) if balance is None else (balance.balance, balance.held)


def local(text: str) -> datetime:
    """Return an instant of March 2026 in Berlin, such as '6 09:50'; the 2nd is a Monday, the 6th a Friday."""
    day, _, clock = text.partition(" ")
    return datetime.fromisoformat(f"2026-03-{int(day):02d}T{clock}").replace(tzinfo=BERLIN).astimezone(UTC)


Ask = Callable[..., Transaction]

# Waiting --------------------------------------------------------------------------------------------------------------

EDGES = [
    # approved, carried out to an untrusted receiver, to a trusted one [UK-REG, its transaction hours]
    ("6 09:50", "9 10:00", "6 10:00"),
    ("6 10:00", "9 10:00", "6 10:00"),
    ("6 15:59", "9 15:59", "6 15:59"),
    ("6 16:00", "10 10:00", "9 10:00"),
    ("6 16:01", "10 10:00", "9 10:00"),
    ("7 12:00", "10 10:00", "9 10:00"),
    ("3 12:30", "4 12:30", "3 12:30"),
]


def test_the_delay_is_that_of_the_table_at_the_edges_of_the_window(
    rule: Rules, acme: Party, borealis: Party, period: Period
) -> None:
    rule(STRICT)
    asked = Request(
        kind="transfer", sender=acme.account, asset=period.permit, quantity=1, to_number=borealis.account.number
    )

    def foreseen(at: str) -> str:
        now = local(at)
        course, refusals = transactions.foresee(acme.organisation, asked, now)
        assert refusals == []
        until = (course.execute_after or now).astimezone(BERLIN)
        return f"{until.day} {until:%H:%M}"

    untrusted = [foreseen(at) for at, _, _ in EDGES]
    TrustedAccount.objects.create(
        account=acme.account, trusted=borealis.account, status="active", added_by=acme.initiator,
        added_at=OPENING - timedelta(days=9), active_from=OPENING - timedelta(days=2),
    )  # fmt: skip
    trusted = [foreseen(at) for at, _, _ in EDGES]

    assert untrusted == [until for _, until, _ in EDGES]
    assert trusted == [until for _, _, until in EDGES]


def test_off_the_list_it_waits_for_a_second_person_and_a_working_day(
    rule: Rules, ask: Ask, acme: Party, borealis: Party
) -> None:
    rule(STRICT)
    row = ask(now=local("6 12:00"), price_minor=2_650, agreement="Contract 7")
    proposed = (row.status, permits(acme))

    row = approved(acme, row, local("6 13:00"))
    waiting = (row.status, row.execute_after, permits(acme))
    early = transactions.execute_due(now=local("9 12:59"))
    due = transactions.execute_due(now=local("9 13:00"))
    again = transactions.execute_due(now=local("9 13:01"))
    row.refresh_from_db()

    assert proposed == ("proposed", (ACME_PERMITS, 10))
    assert waiting == ("delayed", local("9 13:00"), (ACME_PERMITS, 10))
    assert (early, due, again) == (0, 1, 0)
    assert (row.status, row.journal.kind if row.journal else "") == ("completed", "transfer")
    assert (row.price_minor, row.agreement) == (2_650, "Contract 7")
    assert (permits(acme), permits(borealis)) == ((ACME_PERMITS - 10, 0), (2_010, 0))
    assert [moment.what for moment in movements.timeline(row)] == [
        "Proposed; its permits are held",
        "Approved by the second person",
        "Approved; waits for its time",
        "Carried out",
    ]


def test_the_worker_carries_out_what_is_due(rule: Rules, ask: Ask, acme: Party, clock: Clock) -> None:
    rule(STRICT)
    row = approved(acme, ask())
    clock.move_to(OPENING + timedelta(days=3))

    carry_out_transactions()

    row.refresh_from_db()
    assert row.status == "completed"


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("sender suspended", "sender_suspended"),
        ("sender restricted", "sender_restricted"),
        ("receiver suspended", "receiver_suspended"),
        ("receiver frozen", "account_frozen"),
        ("limit lowered", "transfer_limit_exceeded"),
        ("debt", "debt_outstanding"),
    ],
)
def test_what_happens_during_the_delay_stops_it_and_the_permits_come_back(
    rule: Rules, ask: Ask, acme: Party, borealis: Party, regulator: Regulator, period: Period, what: str, code: str
) -> None:
    """The UK engine checks at the proposal only, so that a suspension stops nothing [UK-REG]."""
    rule(STRICT)
    row = approved(acme, ask())
    if what.endswith("suspended"):
        organisations.change_status(
            actor=regulator.senior, organisation=(acme if what.startswith("sender") else borealis).organisation,
            status="suspended", reason="Under inquiry.", now=OPENING,
        )  # fmt: skip
    elif what == "receiver frozen":
        with transaction.atomic():
            ledger.freeze_account(account_id=borealis.account.pk)
    elif what == "sender restricted":
        AccountTerms.objects.create(account=acme.account, grade="restricted")
    elif what == "limit lowered":
        rule(STRICT, LimitRule(transfer=9))
    else:
        assert acme.operator is not None
        DebtEntry.objects.create(
            operator=acme.operator, period=period, kind="sanction", quantity=ACME_PERMITS - 5, reference="x", at=OPENING
        )

    tried = transactions.execute_due(now=OPENING + timedelta(days=3))

    row.refresh_from_db()
    assert (tried, row.status, row.reason_code) == (1, "failed", code)
    assert row.reason.endswith(".")
    assert permits(acme) == (ACME_PERMITS, 0)
    assert not Journal.objects.filter(kind="transfer").exists()


@pytest.mark.parametrize("order", ["scheme frozen", "everything frozen", "stopped by a court"])
def test_one_that_meets_an_order_waits_for_its_end(
    order: str, rule: Rules, ask: Ask, acme: Party, regulator: Regulator, period: Period
) -> None:
    rule(STRICT)
    row, due = approved(acme, ask()), OPENING + timedelta(days=3)
    if order == "stopped by a court":
        stop = Suspension.objects.create(
            scheme=period.scheme, stopped_at=OPENING, trading=False, reason="Order 7.", stopped_by=regulator.senior
        )
    else:
        scheme = period.scheme if order == "scheme frozen" else None
        freeze = Freeze.objects.create(scheme=scheme, reason="Theft.", frozen_by=regulator.senior, frozen_at=OPENING)

    tried = [transactions.execute_due(now=due), transactions.execute_due(now=due + timedelta(days=1))]
    row.refresh_from_db()
    meanwhile = (row.status, row.reason_code, permits(acme))
    if order == "stopped by a court":
        Suspension.objects.filter(pk=stop.pk).update(resumed_at=due, resumed_by=regulator.senior)
    else:
        Freeze.objects.filter(pk=freeze.pk).update(lifted_at=due)
    transactions.execute_due(now=due + timedelta(days=2))
    row.refresh_from_db()

    assert tried == [1, 1]
    assert meanwhile == ("delayed", "", (ACME_PERMITS, row.quantity))
    assert (row.status, row.ended_at) == ("completed", due + timedelta(days=2))


def test_one_that_meets_an_order_and_something_else_fails(
    rule: Rules, ask: Ask, acme: Party, borealis: Party, regulator: Regulator
) -> None:
    rule(STRICT)
    row = approved(acme, ask())
    Freeze.objects.create(scheme=None, reason="Theft.", frozen_by=regulator.senior, frozen_at=OPENING)
    with transaction.atomic():
        ledger.freeze_account(account_id=borealis.account.pk)

    transactions.execute_due(now=OPENING + timedelta(days=3))

    row.refresh_from_db()
    assert (row.status, row.reason_code) == ("failed", "several_refusals")
    assert permits(acme) == (ACME_PERMITS, 0)


def test_one_that_fails_does_not_keep_the_others_waiting(rule: Rules, ask: Ask, acme: Party, cobalt: Party) -> None:
    rule(STRICT)
    broken, fine = approved(acme, ask()), approved(acme, ask(to_number=cobalt.account.number))
    with transaction.atomic():
        ledger.freeze_account(account_id=broken.receiver_id)

    transactions.execute_due(now=OPENING + timedelta(days=3))

    assert [Transaction.objects.get(pk=row.pk).status for row in (broken, fine)] == ["failed", "completed"]


def test_one_that_breaks_is_tried_again_and_keeps_nobody_waiting(
    rule: Rules, ask: Ask, acme: Party, cobalt: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule(STRICT)
    broken, fine = approved(acme, ask()), approved(acme, ask(to_number=cobalt.account.number))
    later = OPENING + timedelta(days=3)

    def breaks_for_one(facts: Facts) -> bool:
        assert facts.asked.transaction != broken.pk, "A fault of ours."
        return False

    with monkeypatch.context() as patch:
        patch.setattr("registry.services.transactions.course.needs_confirmation", breaks_for_one)
        transactions.execute_due(now=later)
    first = [Transaction.objects.get(pk=row.pk).status for row in (broken, fine)]
    transactions.execute_due(now=later)

    assert first == ["delayed", "completed"]
    assert Transaction.objects.get(pk=broken.pk).status == "completed"


@pytest.mark.parametrize("who", ["initiator", "approver", "desk"])
def test_while_it_waits_it_may_be_cancelled(rule: Rules, ask: Ask, acme: Party, regulator: Regulator, who: str) -> None:
    rule(STRICT)
    row = approved(acme, ask())
    actor = regulator.desk if who == "desk" else getattr(acme, who)

    with pytest.raises(Refused) as silent:
        transactions.cancel(actor=actor, transaction_id=row.pk, reason=" ", now=OPENING)
    cancelled = transactions.cancel(actor=actor, transaction_id=row.pk, reason="The wrong year.", now=OPENING)
    with pytest.raises(Refused) as twice:
        transactions.cancel(actor=actor, transaction_id=row.pk, reason="Again.", now=OPENING)
    tried = transactions.execute_due(now=OPENING + timedelta(days=9))

    assert silent.value.code == "reason_missing"
    assert (cancelled.status, cancelled.reason) == ("cancelled", "The wrong year.")
    assert twice.value.code == "transaction_not_cancelled_to_cancelled"
    assert (tried, permits(acme)) == (0, (ACME_PERMITS, 0))


def test_nobody_else_cancels_it(rule: Rules, ask: Ask, acme: Party, borealis: Party, regulator: Regulator) -> None:
    rule(STRICT)
    row = approved(acme, ask())

    for stranger in (acme.viewer, acme.trader, borealis.approver, regulator.monitor):
        with pytest.raises(Forbidden):
            transactions.cancel(actor=stranger, transaction_id=row.pk, reason="Mine.", now=OPENING)


def test_a_proposal_is_taken_back_through_its_approval(ask: Ask, acme: Party) -> None:
    row = ask(quantity=LARGE_TRANSFER)

    cancelled = transactions.cancel(actor=acme.initiator, transaction_id=row.pk, reason="Too early.", now=OPENING)

    assert (cancelled.status, cancelled.reason) == ("cancelled", "Too early.")
    assert row.approval is not None
    assert Approval.objects.get(pk=row.approval.pk).status == "cancelled"
    assert permits(acme) == (ACME_PERMITS, 0)


def test_what_became_wrong_since_is_refused_at_the_approval_and_stays_proposed(
    ask: Ask, acme: Party, borealis: Party
) -> None:
    row = ask(quantity=LARGE_TRANSFER)
    AccountTerms.objects.create(account=borealis.account, grade="suspended")

    with pytest.raises(Refused) as refused:
        approved(acme, row)

    row.refresh_from_db()
    assert (refused.value.code, row.status) == ("receiver_restricted", "proposed")


# The receiver's word --------------------------------------------------------------------------------------------------


@pytest.fixture
def arriving(ask: Ask, borealis: Party) -> Transaction:
    """Ten permits that wait until Borealis accepts them."""
    AccountTerms.objects.create(account=borealis.account, confirms_incoming=True)
    row = ask()
    assert row.status == "awaiting_receiver"
    return row


def test_what_arrives_moves_when_the_receiver_accepts(arriving: Transaction, acme: Party, borealis: Party) -> None:
    before = (permits(acme), permits(borealis))

    row = transactions.accept(actor=borealis.initiator, transaction_id=arriving.pk, now=OPENING)

    assert before == ((ACME_PERMITS, 10), (2_000, 0))
    assert (row.status, row.confirmed_by) == ("completed", borealis.initiator)
    assert (permits(acme), permits(borealis)) == ((ACME_PERMITS - 10, 0), (2_010, 0))


@pytest.mark.parametrize(
    ("ending", "state"), [("accepted", "completed"), ("turned down", "completed"), ("cancelled", "cancelled")]
)
def test_the_question_lies_in_the_receivers_inbox_until_it_is_answered(
    arriving: Transaction, acme: Party, borealis: Party, ending: str, state: str
) -> None:
    task = Task.objects.get(organisation=borealis.organisation)
    before = (task.kind, task.status, task.link)

    if ending == "accepted":
        transactions.accept(actor=borealis.initiator, transaction_id=arriving.pk, now=OPENING)
    elif ending == "turned down":
        transactions.decline(actor=borealis.initiator, transaction_id=arriving.pk, reason="No.", now=OPENING)
    else:
        transactions.cancel(actor=acme.initiator, transaction_id=arriving.pk, reason="No.", now=OPENING)

    task.refresh_from_db()
    assert before == ("confirmation", "unclaimed", f"/transactions/{arriving.pk}/")
    assert task.status == state


def test_what_is_turned_down_goes_back(arriving: Transaction, acme: Party, borealis: Party) -> None:
    row = transactions.decline(
        actor=borealis.approver, transaction_id=arriving.pk, reason="We did not buy these.", now=OPENING
    )

    assert (row.status, row.reason_code, row.reason) == ("rejected", "declined", "We did not buy these.")
    assert (permits(acme), permits(borealis)) == ((ACME_PERMITS, 0), (2_000, 0))


def test_only_the_receivers_people_say_its_word_and_only_once(
    arriving: Transaction, acme: Party, borealis: Party, regulator: Regulator
) -> None:
    for stranger in (acme.approver, borealis.viewer, borealis.trader, regulator.senior):
        with pytest.raises(Forbidden):
            transactions.accept(actor=stranger, transaction_id=arriving.pk, now=OPENING)
    transactions.accept(actor=borealis.initiator, transaction_id=arriving.pk, now=OPENING)

    with pytest.raises(Refused) as refused:
        transactions.decline(actor=borealis.initiator, transaction_id=arriving.pk, reason="No.", now=OPENING)

    assert refused.value.code == "nothing_to_confirm"


def test_the_scheme_may_ask_every_receiver_but_not_a_holder_about_its_own(
    rule: Rules, ask: Ask, acme: Party, borealis: Party
) -> None:
    rule(replace(STRICT, receiver_confirms=True))
    with transaction.atomic():
        own = ledger.open_account(kind="trading", owner=acme.organisation, label="Acme trades", now=OPENING)
    now = local("3 12:00")

    to_own = ask(to_number=own.number, now=now)
    to_other = approved(acme, ask(now=now), now)
    transactions.execute_due(now=local("4 12:00"))
    to_other.refresh_from_db()

    assert to_own.status == "completed"  # of the same holder, so trusted, and inside working hours
    assert to_other.status == "awaiting_receiver"


def test_accepting_what_may_not_move_any_more_changes_nothing(
    arriving: Transaction, acme: Party, borealis: Party
) -> None:
    AccountTerms.objects.create(account=acme.account, grade="suspended")

    with pytest.raises(Refused) as refused:
        transactions.accept(actor=borealis.initiator, transaction_id=arriving.pk, now=OPENING)

    arriving.refresh_from_db()
    assert (refused.value.code, arriving.status, permits(acme)) == (
        "sender_restricted", "awaiting_receiver", (ACME_PERMITS, 10),
    )  # fmt: skip


# One-way compliance account -------------------------------------------------------------------------------------------


def test_permits_leave_a_compliance_account_by_surrender_alone(ask: Ask, acme: Party, borealis: Party) -> None:
    with transaction.atomic():
        compliance = ledger.open_account(kind="compliance", owner=acme.organisation, label="Acme owes", now=OPENING)
    ask(to_number=compliance.number, quantity=50)

    for kind, more in (("transfer", {}), ("cancel", {"beneficiary": "Us"}), ("consign", {})):
        with pytest.raises(Refused) as refused:
            ask(kind, sender=compliance, **more)
        assert refused.value.code == "sender_kind_wrong"
    given = ask("surrender", sender=compliance, quantity=20)

    assert given.status == "completed"
    assert Balance.objects.get(account=compliance).balance == 30
    assert [result.name for result in check_all(INVARIANTS) if result.broken] == []


# Surrenders -----------------------------------------------------------------------------------------------------------


def test_a_surrender_leaves_a_transaction_and_a_receipt(ask: Ask, acme: Party, period: Period, clock: Clock) -> None:
    assert acme.operator is not None
    receipt = surrenders.surrender(
        actor=acme.trader, operator=acme.operator, period=period, quantity=7, key=cast.key(), now=clock.now()
    )

    row = Transaction.objects.get(kind="surrender")
    assert (row.quantity, row.status, row.journal) == (7, "completed", receipt.journal)


def test_two_persons_surrender_where_the_holder_says_so(ask: Ask, acme: Party, period: Period, clock: Clock) -> None:
    assert acme.operator is not None
    AccountTerms.objects.create(account=acme.account, second_person_for_surrender=True)
    with pytest.raises(Refused) as alone:
        surrenders.surrender(
            actor=acme.trader, operator=acme.operator, period=period, quantity=7, key=cast.key(), now=clock.now()
        )

    proposed = ask("surrender", quantity=7, actor=acme.trader)
    before = records(period, operator=acme.operator)[0].surrendered
    received = clock.move_to(OPENING + timedelta(hours=5))
    approved(acme, proposed, received)

    assert alone.value.code == "second_person_needed"
    assert (before, records(period, operator=acme.operator)[0].surrendered) == (0, 7)
    assert acme.operator.surrenders.get().received_at == received  # when they moved, and not when it was proposed


def test_an_undone_surrender_does_not_count_and_both_receipts_stay(
    acme: Party, regulator: Regulator, period: Period, clock: Clock
) -> None:
    assert acme.operator is not None
    surrenders.surrender(
        actor=acme.trader, operator=acme.operator, period=period, quantity=7, key=cast.key(), now=clock.now()
    )
    original = Transaction.objects.get(kind="surrender")

    undoing = transactions.reverse(
        actor=regulator.desk, original=original, reason="Meant for 2027.", key=cast.key(), now=OPENING
    )
    counted = records(period, operator=acme.operator)[0].surrendered
    undoing = signed(regulator, undoing)
    original.refresh_from_db()

    assert (counted, records(period, operator=acme.operator)[0].surrendered) == (7, 0)
    assert (original.status, undoing.status, undoing.reverses) == ("reversed", "completed", original)
    assert permits(acme) == (ACME_PERMITS, 0)
    assert list(acme.operator.surrenders.order_by("quantity").values_list("quantity", flat=True)) == [-7, 7]
    assert [result.name for result in check_all(INVARIANTS) if result.broken] == []


# Reversals ------------------------------------------------------------------------------------------------------------


def test_an_allocation_goes_back_where_it_came_from(acme: Party, regulator: Regulator, period: Period) -> None:
    original = Transaction.objects.get(kind="allocate", organisation=acme.organisation)

    undoing = transactions.reverse(
        actor=regulator.desk, original=original, reason="A wrong figure.", key=cast.key(), now=OPENING
    )
    held = permits(acme)
    signed(regulator, undoing)

    assert (undoing.kind, held) == ("reverse_allocation", (ACME_PERMITS, ACME_PERMITS))
    assert permits(acme) == (0, 0)
    assert Transaction.objects.filter(kind="allocate", status="reversed").get() == original


def test_what_was_spent_since_cannot_be_taken_back(ask: Ask, acme: Party, regulator: Regulator) -> None:
    ask()
    original = Transaction.objects.get(kind="allocate", organisation=acme.organisation)

    with pytest.raises(Refused) as refused:
        transactions.reverse(actor=regulator.desk, original=original, reason="Wrong.", key=cast.key(), now=OPENING)

    assert refused.value.code == "insufficient_available"


def test_a_transfer_to_the_wrong_account_is_corrected_by_order_and_both_entries_stay(
    ask: Ask, acme: Party, borealis: Party, regulator: Regulator
) -> None:
    """Late case 16: reversal only with both parties or by the regulator's order; the entries are kept."""
    original = ask()

    with pytest.raises(Forbidden):
        transactions.reverse(actor=acme.approver, original=original, reason="Oops.", key=cast.key(), now=OPENING)
    undoing = transactions.reverse(
        actor=regulator.desk, original=original, reason="Sent by mistake.", key=cast.key(), now=OPENING
    )
    with pytest.raises(Refused) as again:
        transactions.reverse(actor=regulator.desk, original=original, reason="Twice.", key=cast.key(), now=OPENING)
    signed(regulator, undoing)

    assert undoing.kind == "correct"
    assert again.value.code == "reversed_already"
    assert (permits(acme), permits(borealis)) == ((ACME_PERMITS, 0), (2_000, 0))
    assert list(Journal.objects.filter(kind__in=["transfer", "correct"]).values_list("kind", flat=True)) == [
        "transfer", "correct",
    ]  # fmt: skip
    with pytest.raises(Refused) as final:
        transactions.reverse(actor=regulator.desk, original=undoing, reason="Back.", key=cast.key(), now=OPENING)
    assert final.value.code == "not_reversible"


def test_a_reversal_that_was_turned_down_may_be_proposed_again(ask: Ask, regulator: Regulator) -> None:
    original = ask()
    first = transactions.reverse(actor=regulator.desk, original=original, reason="One.", key=cast.key(), now=OPENING)
    assert first.approval_id is not None
    approvals.reject(actor=regulator.senior, approval_id=first.approval_id, reason="Ask them first.", now=OPENING)

    second = transactions.reverse(actor=regulator.desk, original=original, reason="Two.", key=cast.key(), now=OPENING)

    first.refresh_from_db()
    assert (first.status, first.reason, second.status) == ("rejected", "Ask them first.", "proposed")


# Cancellation ---------------------------------------------------------------------------------------------------------


def test_a_cancellation_has_a_certificate_with_its_numbers(
    ask: Ask, acme: Party, period: Period, regulator: Regulator
) -> None:
    row = ask("cancel", beneficiary="The Summer School", agreement="Its machines", quantity=25)
    with pytest.raises(Unknown):
        movements.certificate(row.pk)
    row = approved(acme, row)
    before = movements.certificate(row.pk)
    serials.derive_serial_blocks()

    found = movements.certificate(row.pk)

    assert (before.serials, before.quantity) == ((), 25)
    assert (found.beneficiary, found.vintage, found.cancelled_by) == ("The Summer School", 2026, "Acme")
    assert sum(run.last - run.first + 1 for run in found.serials) == 25
    assert not found.reversed

    undoing = transactions.reverse(actor=regulator.desk, original=row, reason="In error.", key=cast.key(), now=OPENING)
    signed(regulator, undoing)

    assert movements.certificate(row.pk).reversed
    assert permits(acme) == (ACME_PERMITS, 0)


# Idempotency ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"quantity": 11}, {"beneficiary": "Others"}])
def test_a_key_is_good_for_one_transaction(ask: Ask, change: dict[str, Any]) -> None:
    key = cast.key()
    first = ask("cancel", key=key, beneficiary="Us")

    again = ask("cancel", key=key, beneficiary="Us")
    with pytest.raises(Refused) as refused:
        ask("cancel", key=key, **({"beneficiary": "Us"} | change))

    assert again == first
    assert refused.value.code == "key_reused"


# Who may begin --------------------------------------------------------------------------------------------------------


def test_a_type_is_begun_by_those_of_its_row_only(
    acme: Party, borealis: Party, regulator: Regulator, auditor: Party, verity: Party
) -> None:
    people: dict[str, tuple[User, Organisation]] = {
        "viewer": (acme.viewer, acme.organisation),
        "initiator": (acme.initiator, acme.organisation),
        "approver": (acme.approver, acme.organisation),
        "trader": (acme.trader, acme.organisation),
        "stranger": (borealis.initiator, acme.organisation),
        "verifier": (verity.verifier, verity.organisation),
        "auditor": (auditor.auditor, auditor.organisation),
        "desk": (regulator.desk, regulator.organisation),
        "senior": (regulator.senior, regulator.organisation),
        "monitor": (regulator.monitor, regulator.organisation),
    }
    holders, desk = {"initiator", "approver"}, {"desk", "senior"}

    may = {
        kind: {name for name, (user, organisation) in people.items() if transactions.may_start(user, organisation, row)}
        for kind, row in transactions.TYPES.items()
    }

    assert may == {
        "issue": set(), "allocate": set(), "expire": set(),
        "transfer": holders, "return_excess": holders, "cancel": holders, "consign": holders,
        "surrender": holders | {"trader"},
        "reverse_allocation": desk, "reverse_surrender": desk, "reverse_cancellation": desk,
        "move_to_reserve": desk, "release": desk, "closure_transfer": desk, "correct": desk,
    }  # fmt: skip


def test_nobody_sends_from_an_account_of_another(ask: Ask, borealis: Party, cobalt: Party) -> None:
    with pytest.raises(Unknown) as refused:
        ask(sender=borealis.account, to_number=cobalt.account.number)

    assert refused.value.code == "sender_unknown"


def test_the_desk_moves_permits_into_a_reserve_with_two_signatures(regulator: Regulator, capped_period: Period) -> None:
    with transaction.atomic():
        reserve = central.account_on_use(capped_period, central.STABILITY, OPENING)
    total = central.account(capped_period, central.TOTAL)

    def move(kind: str, sender: LedgerAccount, receiver: LedgerAccount) -> Transaction:
        return transactions.propose(
            actor=regulator.desk,
            organisation=regulator.organisation,
            request=Request(
                kind=kind, sender=sender, asset=capped_period.permit, quantity=300, to_number=receiver.number,
                reason="The circulation is above the threshold.",
            ),
            key=cast.key(),
            now=OPENING,
        )  # fmt: skip

    into = signed(regulator, move("move_to_reserve", total, reserve))
    lies = Balance.objects.get(account=reserve).balance
    out = signed(regulator, move("release", reserve, total))

    assert (into.status, lies, out.status) == ("completed", 300, "completed")
    assert Balance.objects.get(account=total).balance == cast.CAP


# The trusted list -----------------------------------------------------------------------------------------------------


def trusting(acme: Party, number: str, now: datetime = OPENING) -> TrustedAccount:
    return trust.propose_addition(actor=acme.initiator, account=acme.account, number=number, now=now)


def test_an_addition_needs_a_second_person_and_then_four_working_days(
    rule: Rules, ask: Ask, acme: Party, borealis: Party, period: Period
) -> None:
    rule(STRICT)
    row = trusting(acme, borealis.account.number)
    with pytest.raises(Refused) as own:
        approvals.approve(actor=acme.initiator, approval_id=row.pk, now=OPENING)
    approvals.approve(actor=acme.approver, approval_id=row.pk, now=local("6 12:00"))
    row.refresh_from_db()
    waiting = (row.status, row.active_from)

    too_early = ask(now=local("11 12:00"))
    in_time = ask(now=local("12 12:00"))
    marked = (trust.activate_due(now=local("11 23:59")), trust.activate_due(now=local("12 00:00")))
    row.refresh_from_db()

    assert own.value.code == "second_person_needed"
    assert waiting == ("waiting", local("12 00:00"))
    assert too_early.status == "proposed"  # off the list still
    assert in_time.status == "completed"  # whether or not a worker has marked it
    assert (marked, row.status) == ((0, 1), "active")


def test_an_addition_may_be_stopped_and_a_trusted_account_removed_at_once(
    rule: Rules, ask: Ask, acme: Party, borealis: Party
) -> None:
    rule(STRICT)
    proposed = trusting(acme, borealis.account.number)
    trust.cancel_addition(actor=acme.initiator, trusted_id=proposed.pk, reason="No.", now=OPENING)
    waiting = trusting(acme, borealis.account.number)
    approvals.approve(actor=acme.approver, approval_id=waiting.pk, now=OPENING)
    trust.cancel_addition(actor=acme.approver, trusted_id=waiting.pk, reason="No.", now=OPENING)
    again = trusting(acme, borealis.account.number)
    approvals.approve(actor=acme.approver, approval_id=again.pk, now=OPENING)
    later = local("20 12:00")

    trusted = ask(now=later)
    trust.remove(actor=acme.initiator, trusted_id=again.pk, now=later)
    untrusted = ask(now=later)

    assert [TrustedAccount.objects.get(pk=one.pk).status for one in (proposed, waiting, again)] == [
        "cancelled", "cancelled", "removed",
    ]  # fmt: skip
    assert (trusted.status, untrusted.status) == ("completed", "proposed")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("HR-100-0000001-99", "account_number_wrong"),
        ("surrender", "account_unknown"),
        ("own", "own_account_trusted"),
        ("twice", "trusted_already"),
    ],
)
def test_what_cannot_be_trusted_is_refused(
    acme: Party, borealis: Party, period: Period, number: str, code: str
) -> None:
    numbers = {
        "surrender": central.account(period, "surrender").number,
        "own": acme.account.number,
        "twice": borealis.account.number,
    }
    if number == "twice":
        trusting(acme, borealis.account.number)

    with pytest.raises(Refused) as refused:
        trusting(acme, numbers.get(number, number))

    assert refused.value.code == code


def test_only_its_initiators_and_approvers_change_a_list(acme: Party, borealis: Party, regulator: Regulator) -> None:
    row = trusting(acme, borealis.account.number)
    approvals.approve(actor=acme.approver, approval_id=row.pk, now=OPENING)

    for stranger in (acme.viewer, acme.trader, borealis.approver, regulator.senior):
        with pytest.raises(Forbidden):
            trust.propose_addition(actor=stranger, account=acme.account, number="x", now=OPENING)
        with pytest.raises(Forbidden):
            trust.remove(actor=stranger, trusted_id=row.pk, now=OPENING)


# Terms ----------------------------------------------------------------------------------------------------------------


def test_rules_for_sending_are_changed_by_two_persons(ask: Ask, acme: Party) -> None:
    wanted = Terms(second_person_always=True, transfer_limit=500)
    approval = terms.propose_terms(actor=acme.initiator, account=acme.account, terms=wanted, now=OPENING)
    before = ask().status

    approvals.approve(actor=acme.approver, approval_id=approval.pk, now=OPENING)
    after = ask().status

    assert (before, after) == ("completed", "proposed")
    assert terms.terms_of(acme.account) == wanted
    with pytest.raises(Refused) as refused:
        ask(quantity=501)
    assert refused.value.code == "transfer_limit_exceeded"
    with pytest.raises(Refused) as same:
        terms.propose_terms(actor=acme.initiator, account=acme.account, terms=wanted, now=OPENING)
    assert same.value.code == "terms_unchanged"


def test_new_rules_leave_the_grade_alone(acme: Party) -> None:
    AccountTerms.objects.create(account=acme.account, grade="restricted", grade_reason="Papers missing.")
    approval = terms.propose_terms(
        actor=acme.initiator, account=acme.account, terms=Terms(confirms_incoming=True), now=OPENING
    )

    approvals.approve(actor=acme.approver, approval_id=approval.pk, now=OPENING)

    row = AccountTerms.objects.get(account=acme.account)
    assert (row.grade, row.confirms_incoming) == ("restricted", True)


def test_a_return_of_excess_pays_what_was_given_too_much(ask: Ask, acme: Party, period: Period) -> None:
    assert acme.operator is not None
    DebtEntry.objects.create(
        operator=acme.operator, period=period, kind="true_up", quantity=30, reference="true-up", at=OPENING
    )

    row = ask("return_excess", quantity=20)
    with pytest.raises(Refused) as refused:
        ask("return_excess", quantity=11)

    assert row.status == "completed"
    assert refused.value.code == "more_than_excess"
    assert sum(DebtEntry.objects.values_list("quantity", flat=True)) == 10
    assert not Hold.objects.filter(status="open").exists()


# What is always true --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sabotage", "invariant"),
    [
        (
            "UPDATE registry_transaction SET quantity = quantity + 1 WHERE status = 'completed'",
            "Each transaction that was carried out moved its quantity from its sender to its receiver",
        ),
        (
            "UPDATE registry_transaction SET status = 'cancelled' WHERE status = 'proposed'",
            "Each transaction that waits holds its permits, and no other does",
        ),
        (
            "UPDATE ledger_hold SET quantity = quantity - 1 WHERE purpose = 'transaction'",
            "Each transaction that waits holds its permits, and no other does",
        ),
    ],
)
def test_the_invariants_of_transactions_find_what_a_superuser_did(ask: Ask, sabotage: str, invariant: str) -> None:
    ask()
    ask(quantity=LARGE_TRANSFER)
    before = [result.name for result in check_all(INVARIANTS) if result.broken]

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sabotage)
        cursor.execute("SET LOCAL session_replication_role = origin")

    assert before == []
    assert invariant in [result.name for result in check_all(INVARIANTS) if result.broken]
