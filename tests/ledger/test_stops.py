"""Stopped serial numbers: exactly they stay where they are, however much moves around them."""

import random
from uuid import uuid4

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from common.errors import Refused
from registry.ledger import selectors
from registry.ledger import services as ledger
from registry.ledger.models import LedgerAccount, SerialStop
from registry.ledger.services.reconciliation import reconcile
from registry.ledger.services.serials import derive_serial_blocks
from registry.ledger.services.stops import stopped_quantities
from tests.ledger.cast import NOON, Cast


def stop(cast: Cast, first: int, last: int, reference: str = "theft") -> list[ledger.StoppedPart]:
    derive_serial_blocks()
    with transaction.atomic():
        found = ledger.stop_serials(asset_id=cast.permit.pk, first=first, last=last, reference=reference, now=NOON)
    assert found is not None
    return found


def lift(reference: str = "theft") -> None:
    with transaction.atomic():
        ledger.release_serials(reference=reference, now=NOON)


def numbers(cast: Cast, account: LedgerAccount) -> list[tuple[int, int]]:
    derive_serial_blocks()
    return [(block.first, block.last) for block in selectors.serial_blocks(account.pk, cast.permit.pk)]


def test_what_is_sent_passes_the_stopped_numbers_over(cast: Cast) -> None:
    assert stop(cast, 11, 20) == [ledger.StoppedPart(cast.acme.pk, 10, 10)]

    cast.move(cast.acme, cast.birch, 15)

    assert numbers(cast, cast.birch) == [(1, 10), (21, 25)]
    assert numbers(cast, cast.acme) == [(11, 20), (26, 1_000)]
    assert stopped_quantities([cast.acme.pk, cast.birch.pk]) == {(cast.acme.pk, cast.permit.pk): 10}


def test_everything_but_the_stopped_numbers_may_leave(cast: Cast) -> None:
    stop(cast, 1, 100)

    with pytest.raises(Refused) as refused:
        cast.move(cast.acme, cast.birch, 901)
    cast.move(cast.acme, cast.birch, 900)

    assert refused.value.code == "insufficient_available"
    assert numbers(cast, cast.acme) == [(1, 100)]


def test_stopped_numbers_are_found_in_every_account(cast: Cast) -> None:
    cast.move(cast.acme, cast.birch, 300)
    cast.move(cast.birch, cast.surrendered, 50)

    found = stop(cast, 40, 320)

    assert {part.account_id: part.quantity for part in found} == {
        cast.surrendered.pk: 11,
        cast.birch.pk: 250,
        cast.acme.pk: 20,
    }


def test_a_lifted_stop_lets_the_oldest_numbers_go_first_again(cast: Cast) -> None:
    stop(cast, 1, 10)
    cast.move(cast.acme, cast.birch, 5)
    lift()

    cast.move(cast.acme, cast.lab, 12)

    assert numbers(cast, cast.lab) == [(1, 10), (16, 17)]
    assert cast.position(cast.acme) == (983, 0)


def test_permits_that_back_something_else_are_held_as_soon_as_they_are_free(cast: Cast) -> None:
    order = cast.hold(cast.acme, 995)

    assert stop(cast, 1, 10) == [ledger.StoppedPart(cast.acme.pk, 10, 5)]

    with transaction.atomic():
        assert ledger.hold_stopped(account_id=cast.acme.pk, now=NOON) == 5
        ledger.set_holds([ledger.HoldChange(order, 900)])
        assert ledger.hold_stopped(account_id=cast.acme.pk, now=NOON) == 0
    assert cast.position(cast.acme) == (1_000, 910)


def test_a_frozen_account_is_searched_too_and_stays_frozen(cast: Cast) -> None:
    with transaction.atomic():
        ledger.freeze_account(account_id=cast.acme.pk)

    assert stop(cast, 1, 10) == [ledger.StoppedPart(cast.acme.pk, 10, 10)]

    cast.acme.refresh_from_db()
    assert cast.acme.status == "frozen"


@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        (0, 5, "serials_out_of_order"),
        (5, 4, "serials_out_of_order"),
        (990, 1_001, "serials_not_issued"),
        (15, 30, "serials_stopped_already"),
    ],
)
def test_odd_ranges_are_refused(cast: Cast, first: int, last: int, code: str) -> None:
    stop(cast, 10, 20)

    with pytest.raises(Refused) as refused:
        stop(cast, first, last, "again")

    assert refused.value.code == code


def test_a_stop_ends_once(cast: Cast) -> None:
    stop(cast, 10, 20)
    lift()

    with pytest.raises(Refused) as refused:
        lift()

    assert refused.value.code == "serials_not_stopped"


def test_numbers_on_their_way_are_derived_first(cast: Cast) -> None:
    derive_serial_blocks()
    cast.move(cast.acme, cast.birch, 5)

    with transaction.atomic():
        assert ledger.stop_serials(asset_id=cast.permit.pk, first=1, last=9, reference="theft", now=NOON) is None

    assert not SerialStop.objects.exists()


def test_no_number_is_stopped_twice_whatever_service_is_passed_by(cast: Cast) -> None:
    stop(cast, 10, 20)
    known = SerialStop.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        SerialStop.objects.create(asset=cast.permit, first=20, last=30, reference="other", since=known.since + 5)
    lift()
    with pytest.raises(ProgrammingError, match="Cannot"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_serial_stop SET until = NULL")


@pytest.mark.parametrize("seed", range(4))
def test_random_transfers_around_stops_move_what_a_naive_list_says(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("registry.ledger.services.serials._TRANSFERS_PER_STEP", 7)
    rng = random.Random(seed)
    accounts = [cast.acme, cast.birch, cast.lab]
    queues: dict[LedgerAccount, list[int]] = {cast.acme: list(range(1, 1_001)), cast.birch: [], cast.lab: []}
    stops: dict[str, range] = {}
    for _ in range(110):
        debit, credit = rng.sample(accounts, 2)
        stopped = {number for numbers in stops.values() for number in numbers}
        free = [number for number in queues[debit] if number not in stopped]
        roll = rng.random()
        if roll < 0.06:
            first = rng.randint(1, 980)
            last = first + rng.randint(0, 60)
            if last <= 1_000 and not stopped & set(range(first, last + 1)):
                reference = str(uuid4())
                stop(cast, first, last, reference)
                stops[reference] = range(first, last + 1)
        elif roll < 0.10 and stops:
            reference = rng.choice(sorted(stops))
            lift(reference)
            del stops[reference]
        elif free:
            amount = rng.randint(1, min(len(free), 150))
            cast.move(debit, credit, amount)
            queues[credit] += sorted(free[:amount])
            queues[debit] = [number for number in queues[debit] if number not in set(free[:amount])]
        if free:
            with pytest.raises(Refused):
                cast.move(debit, credit, len(queues[debit]) + 1)
        assert {cast.position(one)[1] for one in accounts} == {
            len([n for n in queues[one] if any(n in numbers for numbers in stops.values())]) for one in accounts
        }

    for account in accounts:
        held = [number for first, last in numbers(cast, account) for number in range(first, last + 1)]
        assert sorted(held) == sorted(queues[account])
    assert reconcile(now=NOON).differences == 0
