"""Races with real connections: what the locks prevent, beside a twin without them to prove that the danger is real."""

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import uuid4

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from common.errors import Refused
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount, Transfer
from tests.ledger.cast import NOON, Cast


def in_threads(work: Sequence[Callable[[], str]], threads: int) -> list[str]:
    """Run the work in threads with a connection each, and return the outcomes."""

    def run(one: Callable[[], str]) -> str:
        try:
            return one()
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, work))


def outcome_of(post: Callable[[], object]) -> str:
    try:
        post()
    except Refused as refusal:
        return refusal.code
    except OperationalError as error:
        return "deadlock" if isinstance(error.__cause__, psycopg.errors.DeadlockDetected) else str(error)
    return "done"


def test_of_fifty_parallel_spends_of_one_balance_exactly_one_succeeds(committed_cast: Cast) -> None:
    cast = committed_cast
    start = threading.Barrier(10)

    def spend() -> str:
        start.wait(timeout=30)
        return outcome_of(lambda: cast.move(cast.acme, cast.birch, 1_000))

    outcomes = in_threads([spend] * 50, threads=10)

    assert (outcomes.count("done"), outcomes.count("insufficient_available")) == (1, 49)
    assert cast.position(cast.birch) == (1_000, 0)


def test_without_the_lock_more_than_one_of_them_succeeds(committed_cast: Cast) -> None:
    """The twin reads the balance, then writes it: everybody reads before anybody writes, so everybody pays."""
    cast = committed_cast
    everybody_has_read = threading.Barrier(10)

    def read_then_write() -> str:
        with transaction.atomic():
            balance = Balance.objects.get(account=cast.acme, asset=cast.permit)
            everybody_has_read.wait(timeout=30)
            if balance.available < 1_000:
                return "insufficient_available"
            balance.balance -= 1_000
            balance.save(update_fields=["balance"])
            return "done"

    outcomes = in_threads([read_then_write] * 10, threads=10)

    assert outcomes.count("done") == 10


def test_of_fifty_parallel_holds_and_spends_no_more_is_taken_than_there_is(committed_cast: Cast) -> None:
    cast = committed_cast

    def hold(number: int) -> str:
        return outcome_of(lambda: cast.hold(cast.acme, 100, reference=str(number)))

    def spend(_: int) -> str:
        return outcome_of(lambda: cast.move(cast.acme, cast.birch, 100))

    outcomes = in_threads([partial(hold if n % 2 else spend, n) for n in range(50)], threads=10)

    balance, held = cast.position(cast.acme)
    assert (outcomes.count("done"), balance - held) == (10, 0)
    assert set(outcomes) == {"done", "insufficient_available"}


def test_one_request_sent_by_many_at_once_has_one_effect_and_one_answer(committed_cast: Cast) -> None:
    cast = committed_cast
    request = cast.posting(cast.acme, cast.birch, 10)
    start = threading.Barrier(8)

    def send() -> str:
        start.wait(timeout=30)
        return str(cast.post(request, reference="order 66").journal_id)

    answers = in_threads([send] * 8, threads=8)

    assert len(set(answers)) == 1
    assert Transfer.objects.filter(key=request.key).count() == 1


def test_one_key_under_two_references_at_once_moves_once(committed_cast: Cast) -> None:
    """The balances differ, so no lock meets: the unique key is what is left."""
    cast = committed_cast
    cast.move(cast.acme, cast.lab, 100)
    key = uuid4()
    requests = [
        (cast.posting(cast.acme, cast.birch, 1, key=key), "one"),
        (cast.posting(cast.lab, cast.surrendered, 1, key=key), "other"),
    ]
    start = threading.Barrier(2)

    def send(posting: ledger.Posting, reference: str) -> str:
        start.wait(timeout=30)
        return outcome_of(lambda: cast.post(posting, reference=reference))

    outcomes = in_threads([partial(send, *request) for request in requests], threads=2)

    assert sorted(outcomes) == ["done", "key_reused"]
    assert Transfer.objects.filter(key=key).count() == 1


def pairs(cast: Cast, count: int) -> list[tuple[LedgerAccount, LedgerAccount]]:
    rng = random.Random(8)
    accounts = [cast.acme, cast.birch, cast.lab]
    return [(debit, credit) for debit, credit in (rng.sample(accounts, 2) for _ in range(count))]


def test_two_thousand_random_transfers_between_a_few_accounts_never_deadlock(committed_cast: Cast) -> None:
    cast = committed_cast
    for account in (cast.birch, cast.lab):
        cast.move(cast.mint, account, 100_000)
    cast.move(cast.mint, cast.acme, 99_000)

    def move(debit: LedgerAccount, credit: LedgerAccount) -> str:
        return outcome_of(lambda: cast.move(debit, credit, 1))

    outcomes = in_threads([partial(move, *pair) for pair in pairs(cast, 2_000)], threads=8)

    assert outcomes.count("done") == 2_000
    assert sum(cast.position(account)[0] for account in (cast.acme, cast.birch, cast.lab)) == 300_000


def test_locking_in_the_order_of_the_request_deadlocks(committed_cast: Cast) -> None:
    """The twin locks the debit side first: two opposite transfers each hold what the other wants."""
    cast = committed_cast
    cast.move(cast.acme, cast.birch, 500)
    each_has_its_first_lock = threading.Barrier(2)

    def move(debit: LedgerAccount, credit: LedgerAccount) -> str:
        def unordered() -> None:
            with transaction.atomic():
                Balance.objects.select_for_update().get(account=debit, asset=cast.permit)
                each_has_its_first_lock.wait(timeout=30)
                Balance.objects.select_for_update().get(account=credit, asset=cast.permit)

        return outcome_of(unordered)

    outcomes = in_threads([lambda: move(cast.acme, cast.birch), lambda: move(cast.birch, cast.acme)], threads=2)

    assert sorted(outcomes) == ["deadlock", "done"]


def test_freezing_waits_for_a_posting_under_way_and_stops_the_next(committed_cast: Cast) -> None:
    cast = committed_cast
    posted, freezing = threading.Event(), threading.Event()

    def spend_slowly() -> str:
        with transaction.atomic():
            slow = cast.posting(cast.acme, cast.birch, 1)
            ledger.post(transfers=[slow], kind="transfer", reference="slow", actor=None, now=NOON)
            posted.set()
            freezing.wait(timeout=30)
        return "done"

    def freeze() -> str:
        posted.wait(timeout=30)
        freezing.set()
        with transaction.atomic():
            ledger.freeze_account(account_id=cast.acme.pk)
        return outcome_of(lambda: cast.move(cast.acme, cast.birch, 1))

    outcomes = in_threads([spend_slowly, freeze], threads=2)

    assert outcomes == ["done", "account_frozen"]
    assert cast.position(cast.birch) == (1, 0)


@pytest.mark.parametrize("first_time", [True, False], ids=["balances made on the way", "balances there"])
def test_batches_over_the_same_accounts_in_any_order_all_go_through(committed_cast: Cast, first_time: bool) -> None:
    cast = committed_cast
    everybody = [cast.birch, cast.lab, cast.surrendered]
    if not first_time:
        cast.post(*[cast.posting(cast.acme, account, 1) for account in everybody])

    def batch(number: int) -> str:
        mixed = random.Random(number).sample(everybody, len(everybody))
        return outcome_of(lambda: cast.post(*[cast.posting(cast.acme, account, 1) for account in mixed]))

    outcomes = in_threads([partial(batch, n) for n in range(64)], threads=8)

    assert outcomes == ["done"] * 64
