"""Serial numbers: oldest first, derived in the background, traceable through every hand."""

import random

import pytest
from django.db import IntegrityError, connection, transaction

from registry.ledger import selectors
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount, Mark, SerialBlock, Transfer
from registry.ledger.services.serials import derive_serial_blocks
from registry.ledger.tasks import derive_serial_blocks as task
from tests.ledger.cast import NOON, Cast


def numbers(cast: Cast, account: LedgerAccount) -> list[tuple[int, int]]:
    return [(block.first, block.last) for block in selectors.serial_blocks(account.pk, cast.permit.pk)]


def test_an_account_passes_on_the_permits_it_has_had_longest(cast: Cast) -> None:
    cast.move(cast.acme, cast.birch, 300)
    cast.move(cast.mint, cast.birch, 50)
    cast.move(cast.birch, cast.lab, 310)

    derive_serial_blocks()

    assert numbers(cast, cast.acme) == [(301, 1_000)]
    assert numbers(cast, cast.birch) == [(1_011, 1_050)]
    assert numbers(cast, cast.lab) == [(1, 300), (1_001, 1_010)]


def test_a_permit_can_be_traced_through_every_hand(cast: Cast) -> None:
    for debit, credit in ((cast.acme, cast.birch), (cast.birch, cast.lab), (cast.lab, cast.surrendered)):
        cast.move(debit, credit, 10)
        derive_serial_blocks()

    history = selectors.history_of_serial(cast.permit.pk, 7)
    holder = selectors.holder_of_serial(cast.permit.pk, 7)

    assert [one.account for one in history] == [cast.acme, cast.birch, cast.lab, cast.surrendered]
    assert [one.until for one in history] == [*[one.since for one in history[1:]], None]
    assert holder is not None and holder.account == cast.surrendered
    assert selectors.holder_of_serial(cast.permit.pk, 1_001) is None


def test_units_that_return_to_the_issuer_are_issued_again_before_new_numbers(cast: Cast) -> None:
    cast.move(cast.acme, cast.mint, 100)
    cast.move(cast.mint, cast.birch, 150)

    derive_serial_blocks()

    assert numbers(cast, cast.birch) == [(1, 100), (1_001, 1_050)]
    assert numbers(cast, cast.mint) == []


def test_reading_twice_changes_nothing_and_reading_on_reads_only_what_is_new(cast: Cast) -> None:
    assert derive_serial_blocks() == 1
    cast.move(cast.acme, cast.birch, 1)

    assert [task(), task()] == [1, 0]

    assert Mark.objects.get(name="serial_blocks").up_to == Transfer.objects.latest("pk").pk


def test_money_has_no_serial_numbers(cast: Cast) -> None:
    with transaction.atomic():
        bank = ledger.open_account(kind="bank", reference="bank", label="Bank", contra=True, now=NOON)
    cast.post(cast.posting(bank, cast.acme, 500, asset=cast.euro))

    assert derive_serial_blocks() == 2

    assert not SerialBlock.objects.filter(asset=cast.euro).exists()


@pytest.mark.parametrize("seed", range(3))
def test_reading_in_many_steps_gives_the_blocks_of_a_naive_list(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("registry.ledger.services.serials._TRANSFERS_PER_STEP", 7)
    rng = random.Random(seed)
    accounts = [cast.acme, cast.birch, cast.lab]
    queues: dict[LedgerAccount, list[int]] = {cast.acme: list(range(1, 1_001)), cast.birch: [], cast.lab: []}
    issued = 1_000
    for _ in range(120):
        credit = rng.choice(accounts)
        if rng.random() < 0.1:
            amount = rng.randint(1, 30)
            cast.move(cast.mint, credit, amount)
            queues[credit] += range(issued + 1, issued + amount + 1)
            issued += amount
        else:
            debit = rng.choice([account for account in accounts if account != credit])
            if queues[debit]:
                amount = rng.randint(1, min(len(queues[debit]), 90))
                cast.move(debit, credit, amount)
                queues[credit] += sorted(queues[debit][:amount])
                del queues[debit][:amount]
        if rng.random() < 0.2:
            derive_serial_blocks()

    derive_serial_blocks()

    for account in accounts:
        held = [number for first, last in numbers(cast, account) for number in range(first, last + 1)]
        assert sorted(held) == sorted(queues[account])


def test_two_blocks_can_never_hold_one_number_at_the_same_time(cast: Cast) -> None:
    derive_serial_blocks()
    block = SerialBlock.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        SerialBlock.objects.create(
            asset=cast.permit,
            first=block.last,
            last=block.last + 5,
            balance=Balance.objects.get(account=cast.acme),
            since=block.since + 1,
        )


def test_what_a_transaction_under_way_may_still_bring_is_waited_for(
    committed_cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer with a lower id may be committed after one with a higher id; the mark must not pass it by."""
    monkeypatch.setattr("registry.ledger.services.serials._PATIENCE_SECONDS", 0.1)
    cast = committed_cast
    derive_serial_blocks()
    slow = connection.copy()
    try:
        slow.set_autocommit(False)
        with slow.cursor() as cursor:
            low = cast.posting(cast.mint, cast.birch, 5)
            cursor.execute(
                "SELECT outcome FROM ledger_post_one('issuance', 'slow', NULL, %s, '', %s, %s, %s, %s, %s)",
                [NOON, *low],
            )
        cast.post(cast.posting(cast.acme, cast.lab, 5))

        while_it_runs = derive_serial_blocks()
        slow.commit()
        afterwards = derive_serial_blocks()
    finally:
        slow.close()

    assert (while_it_runs, afterwards) == (0, 2)
    assert numbers(cast, cast.birch) == [(1_001, 1_005)]
