"""Pages about transactions: what will happen is said before anything is sent, and each step has its button."""

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.services import approvals
from registry.engine.policy import TransactionRule
from registry.models import AccountTerms, Transaction, TrustedAccount
from registry.services import central, rules, transactions
from registry.services.transactions import Request, terms
from tests.cast import REPORTING
from tests.pages.world import World

AsPerson = Callable[[str], Client]


@pytest.fixture
def delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transfers off the trusted list wait for a second person and a working day."""
    base = rules.policy_at
    for place in ("facts", "trust"):
        monkeypatch.setattr(
            f"registry.services.transactions.{place}.policy_at",
            lambda scheme, on: replace(base(scheme, on), transactions=TransactionRule(delay_days=1, activation_days=1)),
        )


def sending(world: World, **typed: str) -> dict[str, str]:
    """Return what a browser sends to transfer 7 permits to Borealis."""
    balance = world.account.balances.get(asset=world.period.permit)
    return {
        "key": str(uuid4()),
        "to_number": world.borealis.account.number,
        "permits": str(balance.pk),
        "quantity": "7",
    } | typed


def text(answer: object) -> str:
    """Return a page's words without its line breaks."""
    return " ".join(answer.content.decode().split())  # type: ignore[attr-defined]


def asked(world: World, quantity: int = 5) -> Transaction:
    """Ask for a transfer to Borealis; where a second person is needed, have it approved."""
    row = transactions.propose(
        actor=world.acme.initiator,
        organisation=world.acme.organisation,
        request=Request(
            kind="transfer", sender=world.account, asset=world.period.permit, quantity=quantity,
            to_number=world.borealis.account.number,
        ),
        key=uuid4(),
        now=REPORTING,
    )  # fmt: skip
    if row.approval is not None:
        approvals.approve(actor=world.acme.approver, approval_id=row.approval.pk, now=REPORTING)
        row.refresh_from_db()
    return row


def test_the_form_says_what_will_happen_before_anything_is_sent(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")

    small = text(client.post(reverse("transfer-preview"), sending(world)))
    large = text(client.post(reverse("transfer-preview"), sending(world, quantity="1000")))
    wrong = text(client.post(reverse("transfer-preview"), sending(world, quantity="900000")))
    half = text(client.post(reverse("transfer-preview"), sending(world, quantity="")))
    whole = text(client.post(reverse("transfer"), sending(world, check="yes")))

    assert "Not needed." in small and "At once. What is done is final." in small
    assert "From 1,000 permits on, a second person approves." in large
    assert "does not have enough available" in wrong
    assert "<dt>" not in half
    assert "At once" in whole and 'value="7"' in whole
    assert not Transaction.objects.filter(kind="transfer", quantity=7).exists()


def test_the_form_says_until_when_a_transfer_waits_and_who_has_to_accept(
    delayed: None, world: World, as_person: AsPerson
) -> None:
    AccountTerms.objects.create(account=world.borealis.account, confirms_incoming=True)

    page = text(as_person("acme initiator").post(reverse("transfer-preview"), sending(world)))

    assert "not on your trusted list, so that a second person approves" in page
    assert "2 February 2027, 09:00 UTC" in page
    assert "Has to accept before the permits move." in page


def test_a_transfer_that_waits_has_its_page_with_history_and_a_button_to_stop_it(
    delayed: None, world: World, as_person: AsPerson
) -> None:
    row = asked(world)
    client, address = as_person("acme approver"), reverse("transaction", args=[row.pk])

    before = text(client.get(address))
    silent = client.post(reverse("transaction-cancel", args=[row.pk]), {"key": str(uuid4()), "reason": ""})
    after = text(
        client.post(
            reverse("transaction-cancel", args=[row.pk]),
            {"key": str(uuid4()), "reason": "The wrong year."},
            follow=True,
        )
    )

    assert "Approved; waits for its time" in before and "Cancel it" in before
    assert silent.status_code == 422
    assert "The wrong year." in after and "Cancel it" not in after
    row.refresh_from_db()
    assert row.status == "cancelled"


def test_the_receiver_accepts_or_turns_down(world: World, as_person: AsPerson) -> None:
    AccountTerms.objects.create(account=world.borealis.account, confirms_incoming=True)
    one, other = asked(world), asked(world)
    client = Client()
    client.force_login(world.borealis.initiator)

    page = text(client.get(reverse("transaction", args=[one.pk])))
    accepted = client.post(reverse("transaction-accept", args=[one.pk]), follow=True)
    declined = client.post(
        reverse("transaction-decline", args=[other.pk]), {"key": str(uuid4()), "reason": "Not ours."}, follow=True
    )

    assert "Do you accept it?" in page
    assert "the permits are in your account" in text(accepted)
    assert "Not ours." in text(declined)
    assert [Transaction.objects.get(pk=row.pk).status for row in (one, other)] == ["completed", "rejected"]
    assert "Do you accept it?" not in text(as_person("acme approver").get(reverse("transaction", args=[one.pk])))


def test_the_list_narrows_by_type_and_state(world: World, as_person: AsPerson) -> None:
    row = asked(world)
    client = as_person("acme viewer")

    everything = text(client.get(reverse("transactions")))
    made = text(client.get(reverse("transactions"), {"kind": "transfer", "status": "completed"}))
    strange = client.get(reverse("transactions"), {"kind": "x", "status": "y", "page": "z"})

    assert "Allocation" in everything.split("<tbody>")[1]
    assert str(row.pk) in made and "Allocation" not in made.split("<tbody>")[1]
    assert strange.status_code == 200


def test_a_longer_list_asks_no_more(world: World, as_person: AsPerson) -> None:
    client = as_person("auditor")
    client.get(reverse("transactions"))

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(reverse("transactions")).status_code == 200
        return len(captured)

    few = queries()
    for _ in range(4):
        asked(world)

    assert queries() <= few


def test_a_cancellation_ends_with_a_certificate_that_everybody_reads(world: World, as_person: AsPerson) -> None:
    typed = sending(world, beneficiary="The <Summer> School", agreement="Its machines")
    proposed = as_person("acme initiator").post(reverse("cancellation-new"), typed, follow=True)
    row = Transaction.objects.get(kind="cancel")
    nothing_yet = Client().get(reverse("certificate", args=[row.pk]))
    assert row.approval is not None
    as_person("acme approver").post(reverse("approval-approve", args=[row.approval.pk]))

    page = Client().get(reverse("certificate", args=[row.pk]))
    file = Client().get(reverse("certificate-json", args=[row.pk]))

    assert "waits for your second person" in text(proposed)
    assert nothing_yet.status_code == 404
    assert page.status_code == 200
    assert "The &lt;Summer&gt; School" in text(page) and "7 permits" in text(page)
    assert "AI compute, 2026" in text(page)
    assert file.json()["beneficiary"] == "The <Summer> School"
    assert file.json()["quantity"] == "7"


@pytest.mark.parametrize("person", ["acme viewer", "acme trader", "auditor"])
def test_who_may_not_cancel_permits_is_turned_away(person: str, world: World, as_person: AsPerson) -> None:
    answer = as_person(person).post(reverse("cancellation-new"), sending(world, beneficiary="Me"))

    assert answer.status_code in {403, 422}
    assert not Transaction.objects.filter(kind="cancel").exists()


def test_the_desk_proposes_to_undo_and_another_officer_decides(world: World, as_person: AsPerson) -> None:
    row = asked(world)
    address = reverse("transaction", args=[row.pk])

    of_the_firm = text(as_person("acme approver").get(address))
    refused = as_person("acme approver").post(
        reverse("transaction-reverse", args=[row.pk]), {"key": str(uuid4()), "reason": "Back."}
    )
    proposed = as_person("desk officer").post(
        reverse("transaction-reverse", args=[row.pk]), {"key": str(uuid4()), "reason": "Sent by mistake."}, follow=True
    )
    undoing = Transaction.objects.get(reverses=row)
    assert undoing.approval is not None
    as_person("senior officer").post(reverse("approval-approve", args=[undoing.approval.pk]))
    row.refresh_from_db()

    assert "Undo it" not in of_the_firm
    assert refused.status_code == 403
    assert "waits for your second person" in text(proposed)
    assert row.status == "reversed"
    assert "Sent by mistake." in text(as_person("acme viewer").get(address))


def by_order(world: World, **typed: str) -> dict[str, str]:
    """Return what a browser sends to put 40 permits nobody holds yet aside."""
    return {
        "key": str(uuid4()),
        "kind": "move_to_reserve",
        "sender": central.account(world.period, central.AUCTION).number,
        "to_number": central.account(world.period, central.SET_ASIDE).number,
        "permits": world.period.permit.code,
        "quantity": "40",
        "reason": "By the rule on new entrants.",
    } | typed


def test_the_desk_sees_what_an_order_will_do_and_another_officer_approves(world: World, as_person: AsPerson) -> None:
    desk = as_person("desk officer")

    listed = text(desk.get(reverse("transactions")))
    blank = text(desk.get(reverse("desk-transaction")))
    shown = text(desk.post(reverse("desk-transaction-preview"), by_order(world)))
    whole = text(desk.post(reverse("desk-transaction"), by_order(world, check="yes")))
    nothing_yet = Transaction.objects.filter(kind="move_to_reserve").exists()
    proposed = text(desk.post(reverse("desk-transaction"), by_order(world), follow=True))
    row = Transaction.objects.get(kind="move_to_reserve")
    assert row.approval is not None
    as_person("senior officer").post(reverse("approval-approve", args=[row.approval.pk]))
    row.refresh_from_db()

    assert "Move permits by order" in listed
    assert central.account(world.period, central.AUCTION).number in blank
    assert "40 permits" in shown and "Set-aside, AI compute 2026" in shown and "A senior officer approves." in shown
    assert "always needs a second person" in whole and not nothing_yet
    assert "waits for your second person" in proposed
    assert row.status == "completed"


def test_an_order_that_would_be_refused_says_so_beside_its_field(world: World, as_person: AsPerson) -> None:
    desk = as_person("desk officer")

    unknown = desk.post(reverse("desk-transaction"), by_order(world, sender="HR-1"))
    too_much = by_order(world, quantity="900000")
    foreseen = text(desk.post(reverse("desk-transaction-preview"), too_much))
    refused = desk.post(reverse("desk-transaction"), too_much)
    silent = desk.post(reverse("desk-transaction"), by_order(world, reason=""))
    closing = by_order(world, kind="closure_transfer", sender=world.account.number, to_number="", quantity="1")
    left = text(desk.post(reverse("desk-transaction-preview"), closing))

    assert unknown.status_code == 422 and "There is no account of this number." in text(unknown)
    assert "does not have enough available" in foreseen
    assert refused.status_code == 422 and "does not have enough available" in text(refused)
    assert silent.status_code == 422
    assert "1 permits" in left and "the total quantity." in left
    assert not Transaction.objects.filter(kind__in=["move_to_reserve", "closure_transfer"]).exists()


@pytest.mark.parametrize("person", ["acme approver", "acme viewer", "auditor", "market monitor"])
def test_who_does_not_work_the_desk_moves_nothing_by_order(person: str, world: World, as_person: AsPerson) -> None:
    client = as_person(person)

    answers = [
        client.get(reverse("desk-transaction")),
        client.post(reverse("desk-transaction-preview"), by_order(world)),
        client.post(reverse("desk-transaction"), by_order(world)),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert "Move permits by order" not in text(client.get(reverse("transactions")))
    assert not Transaction.objects.filter(kind="move_to_reserve").exists()


def test_a_trusted_account_is_proposed_approved_and_removed(world: World, as_person: AsPerson) -> None:
    initiator = as_person("acme initiator")
    typed = {"key": str(uuid4()), "account": str(world.account.pk), "number": world.borealis.account.number}

    wrong = initiator.post(reverse("trust-add"), typed | {"number": "HR-1"})
    proposed = initiator.post(reverse("trust-add"), typed, follow=True)
    entry = TrustedAccount.objects.get()
    as_person("acme approver").post(reverse("approval-approve", args=[entry.pk]))
    listed = text(initiator.get(reverse("trusted-accounts")))
    stranger = as_person("borealis viewer").post(reverse("trust-end", args=[entry.pk]))
    viewer = as_person("acme viewer").post(reverse("trust-end", args=[entry.pk]))
    removed = initiator.post(reverse("trust-end", args=[entry.pk]), follow=True)

    assert wrong.status_code == 422 and "check digits do not fit" in text(wrong)
    assert "waits for your second person" in text(proposed)
    assert world.borealis.account.number in listed and "Remove" in listed
    assert (stranger.status_code, viewer.status_code) == (404, 403)
    assert "is not trusted any more" in text(removed)


def test_rules_for_sending_wait_for_the_second_person(world: World, as_person: AsPerson) -> None:
    client = as_person("acme initiator")

    same = client.post(reverse("account-terms"), {"key": str(uuid4()), "outside_list": "on"})
    proposed = client.post(
        reverse("account-terms"), {"key": str(uuid4()), "outside_list": "on", "transfer_limit": "500"}, follow=True
    )

    assert same.status_code == 422 and "has these terms already" in text(same)
    assert "wait for your second person" in text(proposed)
    assert terms.terms_of(world.account).transfer_limit is None
