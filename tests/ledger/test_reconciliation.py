"""The second tally: agrees with sound books, finds each kind of damage, freezes what differs until it is mended."""

import random
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import AuditEvent
from common.errors import Refused
from registry.ledger import services as ledger
from registry.ledger.models import Balance, LedgerAccount, Reconciliation, SerialBlock
from registry.ledger.services.reconciliation import reconcile
from registry.ledger.services.serials import derive_serial_blocks
from registry.ledger.tally import Movement, count, in_both, same_numbers, tally
from registry.ledger.tasks import reconcile as task
from tests.ledger.cast import NOON, Cast

DAMAGE = {
    "balance": "UPDATE ledger_balance SET balance = balance + 1 WHERE id = %s",
    "entries": "UPDATE ledger_balance SET entries = entries + 1 WHERE id = %s",
    "serials": "UPDATE ledger_serial_block SET last = last - 1 WHERE id = (SELECT max(id) FROM ledger_serial_block"
    " WHERE until IS NULL AND last > first AND balance_id = %s)",
}


def damage(statement: str, *values: int) -> None:
    """Do what only a superuser can, with every trigger silenced."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = origin")


@pytest.fixture
def busy(cast: Cast) -> Cast:
    """Random moves among everybody, some numbered and some not yet."""
    rng = random.Random(5)
    accounts = [cast.acme, cast.birch, cast.lab]
    for step in range(60):
        debit, credit = rng.sample(accounts, 2)
        available = cast.position(debit)[0]
        if available:
            cast.move(debit, credit, rng.randint(1, available))
        if step == 40:
            derive_serial_blocks()
    return cast


def test_sound_books_have_no_differences(busy: Cast) -> None:
    before_the_last_were_numbered = reconcile(now=NOON)
    derive_serial_blocks()
    after = reconcile(now=NOON)

    assert (before_the_last_were_numbered.differences, after.differences) == (0, 0)
    assert after.balances == Balance.objects.count()
    assert after.blocks > 0
    assert not LedgerAccount.objects.filter(status="frozen").exists()
    assert AuditEvent.objects.filter(action="ledger.reconciliation.done").count() == 2


@pytest.mark.parametrize("what", DAMAGE)
def test_each_kind_of_damage_is_found_and_its_account_frozen(busy: Cast, what: str) -> None:
    busy.move(busy.mint, busy.acme, 10)
    derive_serial_blocks()
    acme = Balance.objects.get(account=busy.acme, asset=busy.permit)
    damage(DAMAGE[what], acme.pk)

    done = reconcile(now=NOON)

    found = done.found.get()
    assert (found.account, found.asset, found.what) == (busy.acme, busy.permit, what)
    assert abs(found.booked - found.counted) == 1
    with pytest.raises(Refused) as refusal:
        busy.move(busy.acme, busy.birch, 1)
    assert refusal.value.code == "account_frozen"
    busy.move(busy.mint, busy.lab, 5)  # the others go on


def test_an_account_that_differs_cannot_be_opened_before_it_is_mended(busy: Cast) -> None:
    acme = Balance.objects.get(account=busy.acme, asset=busy.permit)
    damage("UPDATE ledger_balance SET balance = balance + 7 WHERE id = %s", acme.pk)
    reconcile(now=NOON)

    with pytest.raises(Refused) as refusal, transaction.atomic():
        ledger.unfreeze_account(account_id=busy.acme.pk)
    damage("UPDATE ledger_balance SET balance = balance - 7 WHERE id = %s", acme.pk)
    still_frozen = reconcile(now=NOON)
    with transaction.atomic():
        opened = ledger.unfreeze_account(account_id=busy.acme.pk)

    assert refusal.value.code == "reconciliation_differs"
    assert still_frozen.differences == 0
    assert opened.status == "open"


def test_swapped_numbers_are_found_though_every_total_agrees(busy: Cast) -> None:
    busy.move(busy.mint, busy.acme, 10)
    busy.move(busy.mint, busy.birch, 10)
    derive_serial_blocks()
    acme, birch = (Balance.objects.get(account=each, asset=busy.permit).pk for each in (busy.acme, busy.birch))
    newest = {
        account: SerialBlock.objects.filter(balance_id=account, until__isnull=True).order_by("-pk")[0].pk
        for account in (acme, birch)
    }
    for account, other in ((acme, birch), (birch, acme)):
        damage("UPDATE ledger_serial_block SET balance_id = %s WHERE id = %s", other, newest[account])

    done = reconcile(now=NOON)

    assert sorted(found.what for found in done.found.all()) == ["serials", "serials"]
    assert all(found.booked == found.counted + 10 for found in done.found.all())


def test_the_command_and_the_task_say_what_they_found(busy: Cast) -> None:
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert "0 differences" in out.getvalue()
    assert task() == 0

    damage("UPDATE ledger_balance SET balance = balance + 3 WHERE account_id = %s", busy.lab.pk)
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=out)
    assert busy.lab.number in out.getvalue()
    assert task() == 1
    assert Reconciliation.objects.count() == 4


def test_entries_that_came_after_the_books_were_read_are_left_out() -> None:
    movements = [
        Movement(1, asset=1, debit=10, credit=20, amount=5, debit_seq=1, credit_seq=1),
        Movement(2, asset=1, debit=20, credit=30, amount=2, debit_seq=2, credit_seq=1),
    ]

    found = tally(
        movements,
        entries_booked={10: 1, 20: 1},
        numbered_assets=frozenset({1}),
        numbered_up_to=1,
        issuers=frozenset({10}),
    )

    assert dict(found.totals) == {10: -5, 20: 5}
    assert list(found.serials[20]) == [(1, 5)]
    assert not found.unissued


def test_numbers_that_nobody_issued_are_noticed() -> None:
    found = tally(
        [Movement(1, asset=1, debit=20, credit=30, amount=2, debit_seq=1, credit_seq=1)],
        entries_booked={},
        numbered_assets=frozenset({1}),
        numbered_up_to=1,
        issuers=frozenset({10}),
    )

    assert found.unissued == {20}


RANGES = st.sets(st.integers(1, 60)).map(lambda numbers: [(n, n) for n in numbers])


@given(one=RANGES, other=RANGES)
def test_ranges_compare_like_sets_of_numbers(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    left, right = {first for first, _ in one}, {first for first, _ in other}

    assert count(one) == len(left)
    assert same_numbers(one, other) == (left == right)
    assert in_both(one, other) == len(left & right)
