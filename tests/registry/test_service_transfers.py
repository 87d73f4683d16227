"""Transfers: small ones at once, large ones by the firm's own second person, and always to the right number."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from accounts.models import Approval, AuditEvent
from accounts.services import approvals, organisations
from common.errors import Forbidden, Refused, Unknown
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Journal, account_number
from registry.models import Period
from registry.services import central, transfers
from registry.services.transfers import TransferOutcome
from tests import cast
from tests.cast import LARGE_TRANSFER, Party, Regulator

Send = Callable[..., TransferOutcome]


@pytest.fixture
def send(acme: Party, borealis: Party, period: Period) -> Send:
    """Let Acme's initiator send permits to Borealis."""

    def send(quantity: object = 10, **changes: object) -> TransferOutcome:
        arguments = {
            "actor": acme.initiator,
            "organisation": acme.organisation,
            "to_number": borealis.account.number,
            "asset": period.permit,
            "quantity": quantity,
            "key": cast.key(),
            "now": cast.OPENING,
        }
        return transfers.transfer(**(arguments | changes))  # type: ignore[arg-type]

    return send


@pytest.fixture
def large(send: Send) -> Approval:
    """A large transfer that waits for Acme's second person."""
    approval = send(LARGE_TRANSFER).approval
    assert approval is not None
    return approval


def permits(party: Party) -> tuple[int, int]:
    """Return a party's permits and how many of them are held."""
    balance = Balance.objects.get(account=party.account, asset__kind="permit")
    return balance.balance, balance.held


class TestSmall:
    """Below the scheme's large quantity one person is enough."""

    def test_it_is_made_at_once(self, send: Send, acme: Party, borealis: Party) -> None:
        outcome = send(LARGE_TRANSFER - 1, note="Joint project")

        assert outcome.approval is None
        assert outcome.journal is not None
        assert (outcome.journal.kind, outcome.journal.note) == ("transfer", "Joint project")
        assert (permits(acme), permits(borealis)) == ((3_001, 0), (2_999, 0))

    def test_it_leaves_one_event(self, send: Send, acme: Party) -> None:
        journal = send().journal

        event = AuditEvent.objects.get(action="registry.transfer.made")
        assert journal is not None
        assert (event.subject_id, event.actor, event.organisation) == (
            str(journal.pk),
            acme.initiator,
            acme.organisation,
        )

    def test_the_same_key_again_is_the_same_transfer(self, send: Send, acme: Party) -> None:
        key = cast.key()

        first, second = send(key=key), send(key=key)

        assert first == second
        assert permits(acme) == (3_990, 0)
        assert AuditEvent.objects.filter(action="registry.transfer.made").count() == 1

    def test_it_stays_done_when_the_receiver_has_gone_since(self, send: Send, cobalt: Party) -> None:
        key = cast.key()
        first = send(key=key, to_number=cobalt.account.number)
        with transaction.atomic():
            ledger.freeze_account(account_id=cobalt.account.pk)

        assert send(key=key, to_number=cobalt.account.number) == first

    @pytest.mark.parametrize("change", [{"quantity": 11}, {"to": "cobalt"}])
    def test_the_same_key_for_something_else_is_refused(
        self, send: Send, cobalt: Party, change: dict[str, object]
    ) -> None:
        key = cast.key()
        send(key=key)
        other = {"to_number": cobalt.account.number} if "to" in change else change

        with pytest.raises(Refused) as refused:
            send(key=key, **other)

        assert refused.value.code == "key_reused"


class TestLarge:
    """From the scheme's large quantity on, the permits are held until the firm's approver decides."""

    def test_it_waits_with_its_permits_held(self, large: Approval, acme: Party, borealis: Party) -> None:
        assert (large.status, large.act, large.organisation) == (
            "proposed",
            "registry.large_transfer",
            acme.organisation,
        )
        assert (permits(acme), permits(borealis)) == ((4_000, LARGE_TRANSFER), (2_000, 0))

    def test_the_second_person_has_it_made(self, large: Approval, acme: Party, borealis: Party) -> None:
        done = approvals.approve(actor=acme.approver, approval_id=large.pk, now=cast.OPENING)

        assert done.status == "executed"
        assert (permits(acme), permits(borealis)) == ((3_000, 0), (3_000, 0))
        assert Journal.objects.get(kind="transfer").actor == acme.approver

    @pytest.mark.parametrize(("ending", "who"), [("reject", "approver"), ("cancel", "initiator")])
    def test_permits_come_back_when_it_is_not_made(self, large: Approval, acme: Party, ending: str, who: str) -> None:
        getattr(approvals, ending)(
            actor=getattr(acme, who), approval_id=large.pk, reason="A mistake.", now=cast.OPENING
        )

        assert permits(acme) == (4_000, 0)
        assert not Journal.objects.filter(kind="transfer").exists()

    def test_permits_come_back_when_it_fails(self, large: Approval, acme: Party, regulator: Regulator) -> None:
        membership = acme.initiator.memberships.get()
        organisations.end_role(actor=regulator.senior, membership=membership, now=cast.OPENING)

        failed = approvals.approve(actor=acme.approver, approval_id=large.pk, now=cast.OPENING)

        assert (failed.status, failed.failure_code) == ("failed", "proposer_no_longer_entitled")
        assert permits(acme) == (4_000, 0)

    def test_a_receiver_suspended_meanwhile_stops_it(
        self, large: Approval, acme: Party, borealis: Party, regulator: Regulator
    ) -> None:
        organisations.change_status(
            actor=regulator.senior,
            organisation=borealis.organisation,
            status="suspended",
            reason="Under inquiry.",
            now=cast.OPENING,
        )

        with pytest.raises(Refused) as refused:
            approvals.approve(actor=acme.approver, approval_id=large.pk, now=cast.OPENING)

        assert refused.value.code == "receiver_suspended"
        assert permits(acme) == (4_000, LARGE_TRANSFER)

    def test_held_permits_cannot_be_sent_again(self, large: Approval, send: Send) -> None:
        for _ in range(3):
            send(LARGE_TRANSFER)

        with pytest.raises(Refused) as refused:
            send(1)

        assert refused.value.code == "insufficient_available"

    def test_the_same_key_again_is_the_same_proposal(self, send: Send, acme: Party) -> None:
        key = cast.key()

        first, second = send(LARGE_TRANSFER, key=key), send(LARGE_TRANSFER, key=key)

        assert first.approval == second.approval
        assert permits(acme) == (4_000, LARGE_TRANSFER)
        with pytest.raises(Refused) as refused:
            send(LARGE_TRANSFER + 1, key=key)
        assert refused.value.code == "key_reused"

    def test_nobody_in_another_firm_or_office_approves_it(
        self, large: Approval, borealis: Party, regulator: Regulator, acme: Party
    ) -> None:
        for stranger in (borealis.approver, regulator.senior, acme.trader, acme.viewer):
            with pytest.raises(Forbidden):
                approvals.approve(actor=stranger, approval_id=large.pk, now=cast.OPENING)

    def test_an_approver_does_not_approve_their_own(self, send: Send, acme: Party) -> None:
        own = send(LARGE_TRANSFER, actor=acme.approver).approval
        assert own is not None

        with pytest.raises(Refused) as refused:
            approvals.approve(actor=acme.approver, approval_id=own.pk, now=cast.OPENING)

        assert refused.value.code == "second_person_needed"


class TestReceiver:
    """A typing mistake in the number is caught before anything moves."""

    def test_wrong_check_digits_are_caught(self, send: Send, borealis: Party) -> None:
        number = borealis.account.number
        wrong = number[:-1] + str((int(number[-1]) + 1) % 10)

        with pytest.raises(Refused) as refused:
            send(to_number=wrong)

        assert refused.value.code == "account_number_wrong"

    def test_a_right_number_of_nobody_is_unknown(self, send: Send) -> None:
        with pytest.raises(Unknown) as refused:
            send(to_number=account_number("holding", 9_999_999))

        assert refused.value.code == "account_unknown"

    def test_central_accounts_are_not_for_sending(self, send: Send, period: Period) -> None:
        with pytest.raises(Unknown) as refused:
            send(to_number=central.account(period, "surrender").number)

        assert refused.value.code == "account_unknown"

    def test_ones_own_account_is_no_receiver(self, send: Send, acme: Party) -> None:
        with pytest.raises(Refused) as refused:
            send(to_number=acme.account.number)

        assert refused.value.code == "same_account"

    def test_a_frozen_receiver_is_refused(self, send: Send, borealis: Party) -> None:
        with transaction.atomic():
            ledger.freeze_account(account_id=borealis.account.pk)

        with pytest.raises(Refused) as refused:
            send()

        assert refused.value.code == "account_frozen"

    def test_a_closed_receiver_looks_unknown(self, send: Send, cobalt: Party) -> None:
        with transaction.atomic():
            ledger.close_account(account_id=cobalt.account.pk)

        with pytest.raises(Unknown) as refused:
            send(to_number=cobalt.account.number)

        assert refused.value.code == "account_unknown"


@pytest.mark.django_db(transaction=True)
def test_one_key_sent_twice_at_once_is_one_transfer(send: Send, acme: Party) -> None:
    key, journals = cast.key(), []

    def once() -> None:
        journals.append(send(key=key).journal)
        connection.close()

    both = [threading.Thread(target=once) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(20)

    assert len(journals) == 2
    assert journals[0] == journals[1]
    assert permits(acme) == (3_990, 0)


def test_money_is_not_sent_outside_a_trade(send: Send, period: Period) -> None:
    with pytest.raises(Refused) as refused:
        send(asset=period.scheme.currency)

    assert refused.value.code == "cash_not_transferable"


@pytest.mark.parametrize(
    ("quantity", "code"),
    [
        (0, "quantity_out_of_range"),
        (-3, "quantity_out_of_range"),
        ("1,000", "quantity_not_whole"),
        (1.5, "quantity_not_whole"),
    ],
)
def test_odd_quantities_are_refused(send: Send, quantity: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        send(quantity)

    assert refused.value.code == code


def test_more_than_there_is_is_refused(send: Send, acme: Party) -> None:
    with pytest.raises(Refused) as refused:
        send(cast.ACME_PERMITS + 1)

    assert refused.value.code == "insufficient_available"
    assert not Approval.objects.filter(act="registry.large_transfer").exists()


def test_only_initiators_and_approvers_send(send: Send, acme: Party, borealis: Party, regulator: Regulator) -> None:
    for stranger in (acme.viewer, acme.trader, borealis.initiator, regulator.senior):
        with pytest.raises(Forbidden):
            send(actor=stranger)


def test_an_organisation_without_an_account_has_nothing_to_send(send: Send, regulator: Regulator) -> None:
    dunlin = cast.party(regulator, "Dunlin", "firm")

    with pytest.raises(Unknown) as refused:
        send(actor=dunlin.initiator, organisation=dunlin.organisation)

    assert refused.value.code == "account_missing"
