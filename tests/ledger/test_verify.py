"""manage.py verify: it says nothing is broken when nothing is, and finds each kind of damage, first row named."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from common.invariants import check_all
from registry.ledger import services as ledger
from registry.ledger.invariants import INVARIANTS
from registry.ledger.models import Transfer
from registry.ledger.services.serials import derive_serial_blocks
from tests.ledger.cast import NOON, Cast

# what a superuser does with the triggers silenced -> the invariant that must notice
SABOTAGE = {
    "Each balance is the sum of its entries": ["UPDATE ledger_balance SET balance = balance + 1 WHERE id = {acme}"],
    "Each entry follows from the one before it, without a gap": [
        "UPDATE ledger_transfer SET credit_after = credit_after + 1 WHERE id = {last}"
    ],
    "Each asset sums to zero over all accounts": [
        "UPDATE ledger_transfer SET debit_after = debit_after - 1 WHERE id = {last}"
    ],
    "No account was ever overdrawn": ["UPDATE ledger_transfer SET debit_after = -1 WHERE id = {last}"],
    "What is held is covered by the balance": [
        "ALTER TABLE ledger_balance DROP CONSTRAINT balance_covers_holds",
        "UPDATE ledger_balance SET held = balance + 1 WHERE id = {acme}",
    ],
    "What is held is the sum of the open holds": ["UPDATE ledger_hold SET quantity = quantity - 1"],
    "No more is issued than the limit allows": [
        "ALTER TABLE ledger_balance DROP CONSTRAINT issued_within_limit",
        "UPDATE ledger_balance SET issue_limit = 999 WHERE contra",
    ],
    "Each balance agrees with its account about status and kind": [
        "UPDATE ledger_account SET status = 'frozen' WHERE reference = 'birch'"
    ],
    "Each transfer joins two balances of its asset, in a journal": [
        "UPDATE ledger_transfer SET asset_id = asset_id + 1 WHERE id = {last}"
    ],
    "Each amount is a whole number in range": [
        "ALTER TABLE ledger_transfer DROP CONSTRAINT amount_in_range",
        "UPDATE ledger_transfer SET amount = 0 WHERE id = {last}",
    ],
    "Each key moved something at most once": [
        "ALTER TABLE ledger_transfer DROP CONSTRAINT ledger_transfer_key_key",
        "UPDATE ledger_transfer SET key = (SELECT key FROM ledger_transfer WHERE id = {first}) WHERE id = {last}",
    ],
    "Each business reference was posted at most once": [
        "ALTER TABLE ledger_journal DROP CONSTRAINT ledger_journal_reference_key",
        "UPDATE ledger_journal SET reference = 'the same'",
    ],
    "Surrendered and cancelled units came back only by a reversal": [
        "UPDATE ledger_journal SET reverses_id = NULL WHERE kind = 'reversal'"
    ],
    "Each reversal undoes exactly the journal it points at": [
        "UPDATE ledger_journal SET reverses_id = (SELECT min(id) FROM ledger_journal) WHERE kind = 'reversal'"
    ],
    "Each serial number was in one place at a time": [
        "ALTER TABLE ledger_serial_block DROP CONSTRAINT serial_in_one_place_at_a_time",
        "UPDATE ledger_serial_block SET first = first - 1 WHERE until IS NULL AND first > 1",
    ],
    "Serial blocks cover every permit up to the last transfer read": [
        "DELETE FROM ledger_serial_block WHERE id = (SELECT max(id) FROM ledger_serial_block WHERE until IS NULL)"
    ],
    "Each permit with a stopped number is held where it lies": [
        "UPDATE ledger_hold SET quantity = quantity - 1 WHERE purpose = 'serial_stop'"
    ],
    "Journals and transfers are guarded against UPDATE, DELETE and TRUNCATE": [
        "ALTER TABLE ledger_transfer DISABLE TRIGGER USER"
    ],
}


@pytest.fixture
def busy(cast: Cast) -> Cast:
    """Some of everything: moves, a hold, a limit, a surrender and its reversal, numbered permits, a stop."""
    cast.move(cast.acme, cast.birch, 300)
    surrender = cast.move(cast.birch, cast.surrendered, 40)
    cast.hold(cast.acme, 25)
    with transaction.atomic():
        ledger.set_issue_limit(account_id=cast.mint.pk, asset_id=cast.permit.pk, limit=2_000)
        ledger.reverse(journal_id=surrender.journal_id, kind="reversal", reference="back", actor=None, now=NOON)
    cast.move(cast.birch, cast.lab, 60, now=NOON + timedelta(days=1))
    derive_serial_blocks()
    with transaction.atomic():
        ledger.stop_serials(asset_id=cast.permit.pk, first=901, last=905, reference="theft", now=NOON)
    return cast


@contextmanager
def superuser_with_silent_triggers() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield
        cursor.execute("SET LOCAL session_replication_role = origin")


def broken() -> dict[str, object]:
    return {result.name: result.offender for result in check_all(INVARIANTS) if result.broken}


def test_nothing_is_broken_in_a_busy_ledger_and_something_is_checked_everywhere(busy: Cast) -> None:
    results = check_all(INVARIANTS)

    assert [result.name for result in results if result.broken] == []
    assert [result.name for result in results if result.checked == 0] == []


def test_there_is_a_sabotage_for_every_invariant() -> None:
    assert set(SABOTAGE) == {invariant.name for invariant in INVARIANTS}


@pytest.mark.parametrize("name", SABOTAGE)
def test_each_damage_is_found(busy: Cast, name: str) -> None:
    places = {
        "acme": Transfer.objects.earliest("pk").credit_id,
        "first": Transfer.objects.earliest("pk").pk,
        "last": Transfer.objects.latest("pk").pk,
    }
    with superuser_with_silent_triggers(), connection.cursor() as cursor:
        for statement in SABOTAGE[name]:
            cursor.execute(statement.format(**places))

    found = broken()

    assert name in found
    assert found[name]


def test_verify_looks_back_from_an_instant(busy: Cast) -> None:
    last = Transfer.objects.latest("pk")
    with superuser_with_silent_triggers(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_transfer SET debit_after = -1 WHERE id = %s", [last.pk])

    before, after = (check_all(INVARIANTS, instant) for instant in (NOON, last.at))

    assert [result.name for result in before if result.broken] == []
    assert "No account was ever overdrawn" in [result.name for result in after if result.broken]


def test_the_command_prints_a_line_for_each_and_ends_with_status_1_at_a_breach(committed_cast: Cast) -> None:
    quiet, loud, past = StringIO(), StringIO(), StringIO()

    call_command("verify", stdout=quiet)
    call_command("verify", "--as-of", "2030-05-01T12:00", stdout=past)
    with transaction.atomic(), superuser_with_silent_triggers(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_balance SET balance = balance + 7 WHERE NOT contra")
    with pytest.raises(SystemExit) as ending:
        call_command("verify", stdout=loud)
    with pytest.raises(CommandError):
        call_command("verify", "--as-of", "yesterday", stdout=StringIO())

    assert quiet.getvalue().endswith("invariants, 0 broken\n")
    assert past.getvalue().endswith("invariants, 0 broken\n")
    assert len(quiet.getvalue().splitlines()) > len(past.getvalue().splitlines()) > len(INVARIANTS) // 2
    assert ending.value.code == 1
    assert "BROKEN: Each balance is the sum of its entries" in loud.getvalue()
    assert "balance = 1007" in loud.getvalue()
    assert loud.getvalue().endswith("invariants, 1 broken\n")
