"""Transactions over REST: asking, waiting, the receiver's word, trusted lists, and certificates for everybody."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from accounts.models import Approval
from accounts.services import approvals
from common.errors import Refused
from registry.engine.policy import TransactionRule
from registry.ledger.models import Balance
from registry.models import AccountTerms, Transaction, TrustedAccount
from registry.services import central, rules, transactions
from registry.services.transactions import trust
from tests.api.asking import field_codes, is_problem, refused
from tests.api.test_access import OVERSIGHT, READ_TOKENS, REPRESENTATIVES
from tests.api.world import World
from tests.cast import OPENING, REPORTING, Regulator


def ask(client: APIClient, world: World, key: str = "", **change: Any) -> Any:
    """Ask for a transfer of 5 permits to Borealis, or for something else."""
    body = {"kind": "transfer", "asset": world.period.permit.code, "quantity": "5", "to": world.borealis.account.number}
    return client.post(reverse("transaction-list"), body | change, headers={"Idempotency-Key": key or str(uuid4())})


@pytest.fixture
def delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transfers off the trusted list wait for a second person and a working day."""
    base = rules.policy_at
    for place in ("facts", "trust"):
        monkeypatch.setattr(
            f"registry.services.transactions.{place}.policy_at",
            lambda scheme, on: replace(base(scheme, on), transactions=TransactionRule(delay_days=1, activation_days=1)),
        )


def waiting(world: World) -> Transaction:
    """Ask for a transfer and have it approved; it waits for its time."""
    row = transactions.propose(
        actor=world.acme.initiator,
        organisation=world.acme.organisation,
        request=transactions.Request(
            kind="transfer", sender=world.acme.account, asset=world.period.permit, quantity=5,
            to_number=world.borealis.account.number,
        ),
        key=uuid4(),
        now=REPORTING,
    )  # fmt: skip
    if row.approval is not None:
        approvals.approve(actor=world.acme.approver, approval_id=row.approval.pk, now=REPORTING)
        row.refresh_from_db()
    return row


def test_a_transaction_is_carried_out_and_shown_as_it_is_listed(world: World) -> None:
    initiator = world.callers["acme initiator"]

    answer = ask(initiator, world, "t-1", price_minor=2_650, agreement="Contract 7", note="spare")
    again = ask(initiator, world, "t-1", price_minor=2_650, agreement="Contract 7", note="spare")
    listed = initiator.get(reverse("transaction-list"), {"kind": "transfer", "status": "completed"}).json()

    shown = answer.json()
    assert (answer.status_code, shown["status"], shown["price_minor"], shown["note"]) == (
        201, "completed", "2650", "spare",
    )  # fmt: skip
    assert again.json() == shown == initiator.get(answer.headers["Location"]).json()
    assert [one["id"] for one in listed["results"]] == [shown["id"]]


def test_every_failing_check_is_listed(world: World) -> None:
    AccountTerms.objects.create(account=world.borealis.account, grade="suspended")

    answer = ask(world.callers["acme initiator"], world, quantity="900000")

    refused(answer, 422, "several_refusals")
    assert {one["code"] for one in answer.json()["errors"]} == {"receiver_restricted", "insufficient_available"}


def test_what_waits_says_until_when(world: World, delayed: None) -> None:
    answer = ask(world.callers["acme initiator"], world)
    row = Transaction.objects.get(pk=answer.json()["id"])
    assert row.approval is not None

    approvals.approve(actor=world.acme.approver, approval_id=row.approval.pk, now=REPORTING)
    shown = world.callers["acme viewer"].get(reverse("transaction-detail", args=[row.pk])).json()

    assert (answer.status_code, answer.json()["status"]) == (202, "proposed")
    assert (shown["status"], shown["execute_after"]) == ("delayed", "2027-02-02T09:00:00Z")


def test_a_receiver_sees_what_arrives_and_nothing_before(world: World, delayed: None) -> None:
    borealis = world.callers["borealis trader"]
    row = waiting(world)
    address = reverse("transaction-detail", args=[row.pk])

    before = borealis.get(address).status_code
    transactions.execute_due(now=REPORTING.replace(day=20))
    after = borealis.get(address)

    assert (before, after.status_code, after.json()["status"]) == (404, 200, "completed")


def test_every_role_tries_to_cancel(world: World, delayed: None) -> None:
    statuses = {}
    for who, client in world.callers.items():
        address = reverse("transaction-cancellation", args=[waiting(world).pk])
        answer = client.post(address, {"reason": "A mistake."})
        statuses[who] = answer.status_code
        if answer.status_code >= 400:
            is_problem(answer)

    may = REPRESENTATIVES | {"desk officer", "senior officer"}
    assert statuses == _expected(world, may, 200)


def test_every_role_tries_to_say_the_receivers_word(world: World) -> None:
    AccountTerms.objects.create(account=world.borealis.account, confirms_incoming=True)
    statuses = {}
    for who, client in world.callers.items():
        address = reverse("transaction-confirmation", args=[waiting(world).pk])
        statuses[who] = client.post(address, {"accept": True}).status_code

    assert statuses == _expected(world, set(), 200) | {"borealis trader": 403}


def _expected(world: World, may: set[str], done: int) -> dict[str, int]:
    """Return what each caller is told about a thing of Acme's that only some may act on."""
    return {
        who: 401
        if who == "anyone"
        else done
        if who in may
        else 403
        if who in READ_TOKENS | OVERSIGHT or who.startswith("acme")
        else 404
        for who in world.callers
    }


def test_the_receiver_turns_it_down(world: World) -> None:
    AccountTerms.objects.create(account=world.borealis.account, confirms_incoming=True)
    row = waiting(world)
    before = Balance.objects.get(account=world.acme.account, asset=world.period.permit).held

    row = transactions.decline(actor=world.borealis.approver, transaction_id=row.pk, reason="Not ours.", now=REPORTING)

    shown = world.callers["acme viewer"].get(reverse("transaction-detail", args=[row.pk])).json()
    assert (shown["status"], shown["reason"]) == ("rejected", "Not ours.")
    assert Balance.objects.get(account=world.acme.account, asset=world.period.permit).held == before - 5


def test_every_role_tries_to_trust_and_to_remove(world: World) -> None:
    added, removed = {}, {}
    for who, client in world.callers.items():
        TrustedAccount.objects.all().update(status="cancelled") if who == "acme approver" else None
        answer = client.post(
            reverse("trusted-account-list"), {"number": world.borealis.account.number},
            headers={"Idempotency-Key": str(uuid4())},
        )  # fmt: skip
        added[who] = answer.status_code
    Approval.objects.filter(act=trust.TRUST_ACCOUNT).count()
    for who, client in world.callers.items():
        entry = TrustedAccount.objects.create(
            account=world.acme.account, trusted=_another(world), status="active", added_by=world.acme.initiator,
            added_at=OPENING, active_from=OPENING,
        )  # fmt: skip
        removed[who] = client.delete(reverse("trusted-account-detail", args=[entry.pk])).status_code
        if removed[who] == 200:
            entry.refresh_from_db()
            assert entry.status == "removed"
        else:
            TrustedAccount.objects.filter(pk=entry.pk).update(status="removed")

    refused_to = {who: 401 if who == "anyone" else 403 for who in world.callers}
    assert added == refused_to | dict.fromkeys(REPRESENTATIVES, 202)
    assert removed == _expected(world, REPRESENTATIVES, 200)


def _another(world: World) -> Any:
    return world.market.clearing


def test_an_account_of_somebody_else_is_no_sender(world: World) -> None:
    answer = ask(world.callers["acme initiator"], world, account=world.borealis.account.number)

    assert field_codes(answer) == {"/account": "sender_unknown"}


@pytest.mark.parametrize("kind", ["issue", "allocate", "correct", "nothing"])
def test_what_the_registry_does_itself_nobody_asks_for(world: World, kind: str) -> None:
    answer = ask(world.callers["acme initiator"], world, kind=kind)

    assert field_codes(answer) == {"/kind": "invalid_choice"}


DESK = {"desk officer", "senior officer"}


def into_the_set_aside(world: World) -> dict[str, Any]:
    """Return what the desk asks for to put 40 permits nobody holds yet aside."""
    return {
        "kind": "move_to_reserve",
        "account": central.account(world.period, central.AUCTION).number,
        "to": central.account(world.period, central.SET_ASIDE).number,
        "quantity": "40",
        "reason": "By the rule on new entrants.",
    }


def test_every_role_tries_to_move_permits_by_order(world: World) -> None:
    answers = {who: ask(client, world, **into_the_set_aside(world)) for who, client in world.callers.items()}

    expected = {who: 401 if who == "anyone" else 202 if who in DESK else 403 for who in world.callers}
    assert {who: answer.status_code for who, answer in answers.items()} == expected
    assert Transaction.objects.filter(kind="move_to_reserve", status="proposed").count() == len(DESK)


def test_the_desk_moves_permits_when_another_officer_approves(world: World, regulator: Regulator) -> None:
    desk = world.callers["desk officer"]
    aside = central.account(world.period, central.SET_ASIDE)

    answer = ask(desk, world, **into_the_set_aside(world))
    row = Transaction.objects.get(pk=answer.json()["id"])
    assert row.approval is not None
    approvals.approve(actor=regulator.senior, approval_id=row.approval.pk, now=REPORTING)

    assert (answer.status_code, answer.json()["status"]) == (202, "proposed")
    assert desk.get(answer.headers["Location"]).json()["status"] == "completed"
    assert Balance.objects.get(account=aside).balance == 40


def test_what_the_desk_asks_for_is_checked_like_everything(world: World) -> None:
    desk = world.callers["desk officer"]
    right = into_the_set_aside(world)
    holder = world.acme.account.number

    unknown = ask(desk, world, **(right | {"account": "HR-100-0000000-00"}))
    silent = ask(desk, world, **(right | {"reason": " "}))
    wrong = ask(desk, world, **(right | {"account": holder, "to": holder, "kind": "release"}))

    assert field_codes(unknown) == {"/account": "sender_unknown"}
    refused(silent, 422, "reason_missing")
    refused(wrong, 422, "several_refusals")
    assert {"sender_kind_wrong", "receiver_kind_wrong"} <= {one["code"] for one in wrong.json()["errors"]}


def test_what_is_left_in_an_account_goes_to_the_total_by_two_officers(world: World, regulator: Regulator) -> None:
    answer = ask(
        world.callers["senior officer"], world, kind="closure_transfer", account=world.borealis.account.number, to="",
        reason="The account closes.",
    )  # fmt: skip
    row = Transaction.objects.get(pk=answer.json()["id"])
    assert row.approval is not None

    with pytest.raises(Refused) as alone:
        approvals.approve(actor=regulator.senior, approval_id=row.approval.pk, now=REPORTING)

    assert (answer.status_code, row.receiver) == (202, central.account(world.period, central.TOTAL))
    assert alone.value.code == "second_person_needed"


def test_every_role_tries_to_undo(world: World) -> None:
    statuses = {}
    for who, client in world.callers.items():
        row = transfer_made(world)
        address = reverse("transaction-reversal", args=[row.pk])
        answer = client.post(address, {"reason": "Sent by mistake."}, headers={"Idempotency-Key": str(uuid4())})
        statuses[who] = answer.status_code
        if answer.status_code >= 400:
            is_problem(answer)

    # Borealis is the receiver: it sees what arrived, and may not undo it
    assert statuses == _expected(world, DESK, 202) | {"borealis trader": 403}


def test_what_is_undone_over_rest_waits_for_another_officer(world: World, regulator: Regulator) -> None:
    row = transfer_made(world)
    address = reverse("transaction-reversal", args=[row.pk])

    answer = world.callers["desk officer"].post(address, {"reason": "A mistake."}, headers={"Idempotency-Key": "u-1"})
    again = world.callers["desk officer"].post(address, {"reason": "A mistake."}, headers={"Idempotency-Key": "u-1"})
    undoing = Transaction.objects.get(reverses=row)
    assert undoing.approval is not None
    approvals.approve(actor=regulator.senior, approval_id=undoing.approval.pk, now=REPORTING)
    row.refresh_from_db()

    assert (answer.status_code, answer.json()["reverses"], answer.json()["kind"]) == (202, str(row.pk), "correct")
    assert again.json()["id"] == answer.json()["id"]
    assert row.status == "reversed"


def transfer_made(world: World) -> Transaction:
    """Return a transfer of 5 permits to Borealis that was carried out."""
    row = waiting(world)
    assert row.status == "completed"
    return row


def test_a_certificate_is_for_everybody(world: World) -> None:
    row = world.certificate

    shown = APIClient().get(reverse("certificate-detail", args=[row.pk])).json()
    nothing = APIClient().get(reverse("certificate-detail", args=[uuid4()]))

    assert (shown["beneficiary"], shown["quantity"], shown["vintage"], shown["reversed"]) == (
        "Everybody", "3", 2026, False,
    )  # fmt: skip
    refused(nothing, 404, "certificate_unknown")
