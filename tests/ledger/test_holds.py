"""Holds: reserving, moving standing holds in bulk, giving back, and paying with what was reserved."""

import pytest
from django.db import transaction

from common.errors import Refused
from registry.ledger import services as ledger
from registry.ledger.models import Hold
from registry.ledger.services import HoldChange
from tests.ledger.cast import NOON, Cast
from tests.ledger.conftest import Snapshot


def set_holds(*changes: tuple[int, int]) -> None:
    with transaction.atomic():
        ledger.set_holds([HoldChange(*change) for change in changes])


def test_a_hold_reserves_and_asking_again_finds_it(cast: Cast) -> None:
    first = cast.hold(cast.acme, 600)

    again = cast.hold(cast.acme, 600)
    with pytest.raises(Refused) as other_quantity:
        cast.hold(cast.acme, 601)
    with pytest.raises(Refused) as too_much:
        cast.hold(cast.acme, 401, reference="2")

    assert (first, cast.position(cast.acme)) == (again, (1_000, 600))
    assert (other_quantity.value.code, too_much.value.code) == ("key_reused", "insufficient_available")


def test_a_standing_hold_may_begin_at_nothing_in_an_account_that_has_nothing(cast: Cast) -> None:
    standing = cast.hold(cast.birch, 0)
    cast.move(cast.acme, cast.birch, 10)

    set_holds((standing, 10))
    set_holds((standing, 3))

    assert cast.position(cast.birch) == (10, 3)
    assert Hold.objects.get(pk=standing).quantity == 3


def test_many_holds_move_together_and_what_one_frees_another_may_use(cast: Cast) -> None:
    cast.move(cast.acme, cast.birch, 100)
    big = cast.hold(cast.acme, 900)
    small = cast.hold(cast.acme, 0, reference="2")
    birches = cast.hold(cast.birch, 100)

    set_holds((small, 500), (big, 400), (birches, 0))

    assert (cast.position(cast.acme), cast.position(cast.birch)) == ((900, 900), (100, 0))


@pytest.mark.parametrize("alone", [False, True], ids=["in a batch", "alone"])
@pytest.mark.parametrize(
    "code", ["insufficient_available", "hold_unknown", "hold_ended", "quantity_out_of_range", "account_frozen"]
)
def test_a_refused_batch_of_holds_changes_nothing(cast: Cast, snapshot: Snapshot, code: str, alone: bool) -> None:
    cast.move(cast.acme, cast.birch, 100)
    good = cast.hold(cast.acme, 10)
    wrong = cast.hold(cast.birch, 50)
    ended = cast.hold(cast.birch, 1, reference="2")
    with transaction.atomic():
        ledger.release(hold_ids=[ended], now=NOON)
        if code == "account_frozen":
            ledger.freeze_account(account_id=cast.birch.pk)
    change = {
        "insufficient_available": (wrong, 101),
        "hold_unknown": (999_999, 1),
        "hold_ended": (ended, 1),
        "quantity_out_of_range": (wrong, -1),
        "account_frozen": (wrong, 51),
    }[code]
    before = snapshot()

    with pytest.raises(Refused) as refusal:
        set_holds(change) if alone else set_holds((good, 20), change)

    assert refusal.value.code == code
    assert snapshot() == before


def test_a_refusal_names_the_first_account_that_has_too_little(cast: Cast) -> None:
    cast.move(cast.acme, cast.birch, 10)
    holds = [cast.hold(account, 0) for account in (cast.acme, cast.birch, cast.lab)]

    with pytest.raises(Refused) as refusal:
        set_holds((holds[0], 990), (holds[1], 11), (holds[2], 1))

    assert cast.birch.number in refusal.value.sentence


def test_one_hold_named_twice_is_refused(cast: Cast) -> None:
    hold = cast.hold(cast.acme, 1)

    with pytest.raises(Refused) as refusal:
        set_holds((hold, 2), (hold, 3))

    assert refusal.value.code == "hold_named_twice"


def test_a_hold_in_a_frozen_account_can_be_lowered_and_released(cast: Cast) -> None:
    hold = cast.hold(cast.acme, 10)
    with transaction.atomic():
        ledger.freeze_account(account_id=cast.acme.pk)

    set_holds((hold, 5))
    with transaction.atomic():
        ledger.release(hold_ids=[hold], now=NOON)

    assert cast.position(cast.acme) == (1_000, 0)


def test_a_released_hold_keeps_its_quantity_as_a_record_and_never_changes_again(cast: Cast) -> None:
    hold = cast.hold(cast.acme, 70)

    with transaction.atomic():
        ledger.release(hold_ids=[hold], now=NOON)
    with pytest.raises(Refused) as refusal, transaction.atomic():
        ledger.release(hold_ids=[hold], now=NOON)

    assert Hold.objects.filter(pk=hold).values_list("quantity", "status", "ended_at").get() == (70, "released", NOON)
    assert refusal.value.code == "hold_ended"


def test_capturing_pays_with_what_was_held_once(cast: Cast) -> None:
    hold = cast.hold(cast.acme, 1_000)
    payment = cast.posting(cast.acme, cast.birch, 1_000)

    def capture() -> ledger.Posted:
        with transaction.atomic():
            return ledger.capture(
                hold_ids=[hold], transfers=[payment], kind="transfer", reference="delayed", actor=None, now=NOON
            )

    first, again = capture(), capture()

    assert (cast.position(cast.acme), cast.position(cast.birch)) == ((0, 0), (1_000, 0))
    assert (first.repeated, again.repeated) == (False, True)
    assert Hold.objects.get(pk=hold).status == "captured"


def test_a_capture_that_is_refused_leaves_the_hold_and_the_transaction_goes_on(cast: Cast) -> None:
    hold = cast.hold(cast.acme, 10)

    with transaction.atomic():
        with pytest.raises(Refused) as refusal:
            ledger.capture(
                hold_ids=[hold],
                transfers=[cast.posting(cast.acme, cast.birch, 1_001)],
                kind="transfer",
                reference="too much",
                actor=None,
                now=NOON,
            )
        ledger.set_holds([HoldChange(hold, 11)])

    assert refusal.value.code == "insufficient_available"
    assert cast.position(cast.acme) == (1_000, 11)


def test_holding_in_an_unknown_account_or_asset_is_refused(cast: Cast) -> None:
    codes = []
    for account, asset in ((999_999, cast.permit.pk), (cast.acme.pk, 999_999)):
        with pytest.raises(Refused) as refusal, transaction.atomic():
            ledger.hold(account=account, asset=asset, quantity=0, purpose="orders", reference="1", now=NOON)
        codes.append(refusal.value.code)

    assert codes == ["account_unknown", "asset_unknown"]
