"""Two real connections at once: one transaction is approved, cancelled and carried out by one of them only."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import transaction

from accounts.services import approvals
from registry.engine.policy import TransactionRule
from registry.ledger.models import Balance, Hold, Journal
from registry.models import Period, Transaction
from registry.services import rules, transactions
from registry.services.transactions import Request
from tests import cast
from tests.cast import ACME_PERMITS, LARGE_TRANSFER, OPENING, Party, Regulator
from tests.registry.test_service_races import at_once

pytestmark = pytest.mark.django_db(transaction=True)

DUE = OPENING + timedelta(days=3)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch, acme: Party, borealis: Party, period: Period) -> Transaction:
    """Ten permits to Borealis that wait for their working day."""

    base = rules.policy_at
    monkeypatch.setattr(
        "registry.services.transactions.facts.policy_at",
        lambda scheme, on: replace(base(scheme, on), transactions=TransactionRule(delay_days=1)),
    )
    row = proposed(acme, borealis, period, 10)
    assert row.approval_id is not None
    approvals.approve(actor=acme.approver, approval_id=row.approval_id, now=OPENING)
    row.refresh_from_db()
    assert row.status == "delayed"
    return row


def proposed(acme: Party, borealis: Party, period: Period, quantity: int) -> Transaction:
    """Propose a transfer as Acme's initiator."""
    return transactions.propose(
        actor=acme.initiator,
        organisation=acme.organisation,
        request=Request(
            kind="transfer",
            sender=acme.account,
            asset=period.permit,
            quantity=quantity,
            to_number=borealis.account.number,
        ),
        key=cast.key(),
        now=OPENING,
    )


def moved() -> int:
    """Return how many transfers were posted."""
    return Journal.objects.filter(kind="transfer").count()


def books(party: Party) -> tuple[int, int]:
    """Return a party's permits and how many of them are held."""
    balance = Balance.objects.get(account=party.account, asset__kind="permit")
    return balance.balance, balance.held


def test_two_workers_carry_a_transaction_out_once(waiting: Transaction, acme: Party) -> None:
    tried = at_once(*(lambda: transactions.execute_due(now=DUE) for _ in range(3)))

    waiting.refresh_from_db()
    assert all(isinstance(one, int) for one in tried), tried
    assert (waiting.status, moved(), books(acme)) == ("completed", 1, (ACME_PERMITS - 10, 0))


def test_a_cancellation_and_a_worker_at_once_leave_one_of_the_two(
    waiting: Transaction, acme: Party, borealis: Party
) -> None:
    at_once(
        lambda: transactions.execute_due(now=DUE),
        lambda: transactions.cancel(actor=acme.initiator, transaction_id=waiting.pk, reason="Stop it.", now=DUE),
    )

    waiting.refresh_from_db()
    gone = moved()
    assert (waiting.status, gone) in {("completed", 1), ("cancelled", 0)}
    assert books(acme) == (ACME_PERMITS - 10 * gone, 0)
    assert books(borealis) == (2_000 + 10 * gone, 0)
    assert not Hold.objects.filter(purpose="transaction", status="open").exists()


def test_two_second_persons_at_once_approve_once(
    acme: Party, borealis: Party, period: Period, regulator: Regulator
) -> None:
    row = proposed(acme, borealis, period, LARGE_TRANSFER)
    approval_id = row.approval_id
    assert approval_id is not None

    outcomes = at_once(
        *(lambda: approvals.approve(actor=acme.approver, approval_id=approval_id, now=OPENING) for _ in range(2))
    )

    row.refresh_from_db()
    assert sorted(type(one).__name__ for one in outcomes) == ["Approval", "Refused"]
    assert (row.status, moved(), books(acme)) == ("completed", 1, (ACME_PERMITS - LARGE_TRANSFER, 0))


def test_two_reversals_proposed_at_once_are_one(
    acme: Party, borealis: Party, period: Period, regulator: Regulator
) -> None:
    original = proposed(acme, borealis, period, 10)

    def undo() -> Transaction:
        return transactions.reverse(
            actor=regulator.desk, original=original, reason="By mistake.", key=cast.key(), now=OPENING
        )

    at_once(undo, undo)

    assert Transaction.objects.filter(reverses=original).count() == 1


def test_without_the_lock_two_workers_would_both_find_it_waiting(waiting: Transaction) -> None:
    """The race exists: two who read the state before either writes both believe that it is theirs to carry out."""
    both_read = threading.Barrier(2)

    def look() -> str:
        with transaction.atomic():
            status = Transaction.objects.get(pk=waiting.pk).status
            both_read.wait(10)
            return status

    assert at_once(look, look) == ["delayed", "delayed"]


def test_with_the_lock_the_second_worker_waits_for_what_the_first_one_wrote(waiting: Transaction) -> None:
    """The twin of the test above: under the lock that the service takes, only one of two still finds it waiting."""
    started = threading.Barrier(2)

    def take() -> str:
        started.wait(10)
        with transaction.atomic():
            row = Transaction.objects.select_for_update(of=("self",)).get(pk=waiting.pk)
            found = row.status
            if found == "delayed":
                row.status = "cancelled"
                row.save(update_fields=["status"])
            return found

    assert sorted(map(str, at_once(take, take))) == ["cancelled", "delayed"]
