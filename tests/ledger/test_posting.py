"""Posting: what moves, what is refused, and what happens when the same request comes again."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction

from common.errors import Refused
from registry.ledger import services as ledger
from registry.ledger.models import Balance, Journal, Transfer
from tests.ledger.cast import NOON, Cast
from tests.ledger.conftest import Snapshot


def test_a_transfer_moves_the_amount_and_records_what_both_sides_held_afterwards(cast: Cast) -> None:
    posted = cast.move(cast.acme, cast.birch, 300)

    transfer = Transfer.objects.get(journal=posted.journal_id)
    assert (cast.position(cast.acme), cast.position(cast.birch)) == ((700, 0), (300, 0))
    assert (transfer.debit_after, transfer.credit_after, transfer.debit_seq, transfer.credit_seq) == (700, 300, 2, 1)
    assert not posted.repeated


def test_the_legs_of_a_journal_are_booked_together_in_the_order_given(cast: Cast) -> None:
    posted = cast.post(
        cast.posting(cast.acme, cast.birch, 400),
        cast.posting(cast.birch, cast.lab, 400),
        cast.posting(cast.lab, cast.acme, 100),
    )

    legs = Transfer.objects.filter(journal=posted.journal_id).values_list("debit_after", "credit_after")
    assert list(legs) == [(600, 400), (0, 400), (300, 700)]
    assert [cast.position(account)[0] for account in (cast.acme, cast.birch, cast.lab)] == [700, 0, 300]


def test_a_leg_that_is_not_covered_when_its_turn_comes_is_refused(cast: Cast, snapshot: Snapshot) -> None:
    before = snapshot()

    with pytest.raises(Refused) as refusal:
        cast.post(cast.posting(cast.birch, cast.lab, 400), cast.posting(cast.acme, cast.birch, 400))

    assert refusal.value.code == "insufficient_available"
    assert snapshot() == before


def test_permits_and_money_change_hands_in_one_journal(cast: Cast) -> None:
    with transaction.atomic():
        bank = ledger.open_account(kind="bank", reference="bank", label="Bank", contra=True, now=NOON)
    cast.post(cast.posting(bank, cast.birch, 50_000, asset=cast.euro))

    cast.post(cast.posting(cast.acme, cast.birch, 20), cast.posting(cast.birch, cast.acme, 48_000, asset=cast.euro))

    money = dict(Balance.objects.filter(asset=cast.euro).values_list("account__reference", "balance"))
    assert money == {"bank": -50_000, "birch": 2_000, "acme": 48_000}
    assert cast.position(cast.birch) == (20, 0)


def refusals(cast: Cast) -> dict[str, list[ledger.Posting]]:
    """Return one batch for each way to be refused, its second transfer being the wrong one."""
    good = cast.posting(cast.acme, cast.birch, 1)
    elsewhere = ledger.Posting(uuid4(), cast.acme.pk, 999_999, cast.permit.pk, 1)
    nameless = ledger.Posting(uuid4(), cast.acme.pk, cast.birch.pk, 999_999, 1)
    return {
        "account_unknown": [good, elsewhere],
        "asset_unknown": [good, nameless],
        "same_account": [good, cast.posting(cast.acme, cast.acme, 1)],
        "quantity_out_of_range": [good, cast.posting(cast.acme, cast.birch, 0)],
        "insufficient_available": [good, cast.posting(cast.birch, cast.lab, 2)],
        "cap_exceeded": [good, cast.posting(cast.mint, cast.lab, 501)],
        "account_final": [good, cast.posting(cast.surrendered, cast.acme, 1)],
        "account_frozen": [good, cast.posting(cast.acme, cast.lab, 1)],
        "account_closed": [good, cast.posting(cast.acme, cast.lab, 1)],
        "key_reused": [good, cast.posting(cast.acme, cast.birch, 1, key=Transfer.objects.earliest("pk").key)],
    }


@pytest.mark.parametrize("alone", [False, True], ids=["in a batch", "alone"])
@pytest.mark.parametrize(
    "code",
    [
        "account_unknown",
        "asset_unknown",
        "same_account",
        "quantity_out_of_range",
        "insufficient_available",
        "cap_exceeded",
        "account_final",
        "account_frozen",
        "account_closed",
        "key_reused",
    ],
)
def test_a_refused_request_changes_nothing_and_the_transaction_goes_on(
    cast: Cast, snapshot: Snapshot, code: str, alone: bool
) -> None:
    cast.move(cast.acme, cast.surrendered, 5)
    batch = refusals(cast)[code]
    with transaction.atomic():
        ledger.set_issue_limit(account_id=cast.mint.pk, asset_id=cast.permit.pk, limit=1_500)
        if code == "account_frozen":
            ledger.freeze_account(account_id=cast.lab.pk)
        if code == "account_closed":
            ledger.close_account(account_id=cast.lab.pk)
    with transaction.atomic():
        ledger.open_balances((account.pk, cast.permit.pk) for account in (cast.birch, cast.lab))
    before = snapshot()

    with transaction.atomic():
        with pytest.raises(Refused) as refusal:
            ledger.post(
                transfers=batch[1:] if alone else batch, kind="transfer", reference="wrong", actor=None, now=NOON
            )
        assert snapshot() == before
        ledger.post(transfers=batch[:1], kind="transfer", reference="right", actor=None, now=NOON)

    assert refusal.value.code == code
    assert refusal.value.sentence.endswith(".")
    assert Journal.objects.filter(reference="right").exists()


@pytest.mark.parametrize("amount", [-1, 0, 10**15 + 1, 2**63 - 1, 2**63, 10**40])
def test_an_amount_outside_one_to_ten_to_the_fifteenth_is_refused(cast: Cast, amount: int) -> None:
    with pytest.raises(Refused) as refusal:
        cast.move(cast.mint, cast.acme, amount)

    assert refusal.value.code == "quantity_out_of_range"


def test_a_balance_that_no_bigint_holds_is_refused_with_the_same_code(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_balance SET balance = 9223372036854775000 WHERE account_id = %s", [cast.acme.pk])

    with pytest.raises(Refused) as refusal:
        cast.move(cast.mint, cast.acme, 10**15)

    assert refusal.value.code == "quantity_out_of_range"


@pytest.mark.parametrize("legs", [1, 2], ids=["one transfer", "a batch"])
def test_the_same_request_again_gives_the_first_result_even_when_the_money_is_gone(cast: Cast, legs: int) -> None:
    batch = [cast.posting(cast.acme, cast.birch, 500) for _ in range(legs)]
    first = cast.post(*batch, reference="order 66")

    again = cast.post(*batch, reference="order 66", now=NOON + timedelta(days=1))

    assert again == ledger.Posted(first.journal_id, first.at, repeated=True)
    assert cast.position(cast.birch) == (500 * legs, 0)


def test_a_reference_or_key_with_other_content_is_refused(cast: Cast, snapshot: Snapshot) -> None:
    used = cast.posting(cast.acme, cast.birch, 5)
    cast.post(used, reference="once")
    before = snapshot()
    others = {
        "another amount": ("once", [used._replace(amount=6)]),
        "another account": ("once", [used._replace(credit_account=cast.lab.pk)]),
        "another key": ("once", [used._replace(key=uuid4())]),
        "one transfer more": ("once", [used, cast.posting(cast.acme, cast.birch, 5)]),
        "the key under another reference": ("twice", [used]),
        "one key twice in a batch": ("twice", [cast.posting(cast.acme, cast.birch, 1, key=uuid4())] * 2),
    }

    codes = {}
    for what, (reference, batch) in others.items():
        with pytest.raises(Refused) as refusal:
            cast.post(*batch, reference=reference)
        codes[what] = refusal.value.code

    assert set(codes.values()) == {"key_reused"}, codes
    assert snapshot() == before


def test_what_is_held_cannot_be_spent(cast: Cast) -> None:
    cast.hold(cast.acme, 900)

    with pytest.raises(Refused) as refusal:
        cast.move(cast.acme, cast.birch, 101)
    cast.move(cast.acme, cast.birch, 100)

    assert refusal.value.code == "insufficient_available"
    assert cast.position(cast.acme) == (900, 900)


def test_instants_never_go_backwards_within_a_balance(cast: Cast) -> None:
    late = cast.move(cast.acme, cast.birch, 1, now=NOON + timedelta(hours=1))

    told_an_earlier_time = cast.move(cast.birch, cast.lab, 1, now=NOON)
    other_balances = cast.move(cast.mint, cast.lab, 1, now=NOON + timedelta(minutes=1))

    assert (late.at, told_an_earlier_time.at) == (NOON + timedelta(hours=1),) * 2
    assert other_balances.at == NOON + timedelta(hours=1), "the lab's balance had been touched by then"


def test_a_reversal_undoes_a_journal_once_and_points_at_it(cast: Cast) -> None:
    original = cast.post(cast.posting(cast.acme, cast.birch, 10), cast.posting(cast.birch, cast.lab, 4))

    with transaction.atomic():
        ledger.reverse(
            journal_id=original.journal_id, kind="reversal", reference="reversal of it", actor=None, now=NOON
        )
        again = ledger.reverse(
            journal_id=original.journal_id, kind="reversal", reference="reversal of it", actor=None, now=NOON
        )
        with pytest.raises(Refused) as second:
            ledger.reverse(journal_id=original.journal_id, kind="reversal", reference="more", actor=None, now=NOON)
        with pytest.raises(Refused) as of_a_reversal:
            ledger.reverse(journal_id=again.journal_id, kind="reversal", reference="more", actor=None, now=NOON)

    assert [cast.position(account)[0] for account in (cast.acme, cast.birch, cast.lab)] == [1_000, 0, 0]
    assert again.repeated
    assert Journal.objects.get(pk=again.journal_id).reverses_id == original.journal_id
    assert (second.value.code, of_a_reversal.value.code) == ("already_reversed", "reversal_final")


def test_surrendered_permits_come_back_by_a_reversal_and_not_otherwise(cast: Cast) -> None:
    surrender = cast.move(cast.acme, cast.surrendered, 100)

    with pytest.raises(Refused) as refusal:
        cast.move(cast.surrendered, cast.acme, 100)
    with transaction.atomic():
        ledger.reverse(journal_id=surrender.journal_id, kind="reversal", reference="back", actor=None, now=NOON)

    assert refusal.value.code == "account_final"
    assert cast.position(cast.acme) == (1_000, 0)


def test_a_reversal_needs_the_units_to_be_still_there(cast: Cast) -> None:
    original = cast.move(cast.acme, cast.birch, 10)
    cast.move(cast.birch, cast.lab, 10)

    with pytest.raises(Refused) as refusal, transaction.atomic():
        ledger.reverse(journal_id=original.journal_id, kind="reversal", reference="back", actor=None, now=NOON)

    assert refusal.value.code == "insufficient_available"


def test_posting_needs_the_transaction_of_a_service(committed_cast: Cast) -> None:
    with pytest.raises(AssertionError):
        ledger.post(
            transfers=[committed_cast.posting(committed_cast.acme, committed_cast.birch, 1)],
            kind="transfer",
            reference="alone",
            actor=None,
            now=NOON,
        )
