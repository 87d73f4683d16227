"""Raw SQL against the ledger's tables: what has been written stays, whoever asks."""

import pytest
from django.db import DatabaseError, connection, transaction

from tests.ledger.cast import Cast

REFUSED = [
    "UPDATE ledger_transfer SET amount = amount + 1",
    "DELETE FROM ledger_transfer",
    "TRUNCATE ledger_transfer",
    "UPDATE ledger_journal SET note = 'something else'",
    "DELETE FROM ledger_journal",
    "TRUNCATE ledger_journal CASCADE",
    "DELETE FROM ledger_balance",
    "TRUNCATE ledger_balance CASCADE",
    "DELETE FROM ledger_hold",
    "DELETE FROM ledger_account",
    "DELETE FROM ledger_asset",
    "UPDATE ledger_account SET contra = true WHERE reference = 'acme'",
    "UPDATE ledger_account SET number = 'HR-100-0000042-44' WHERE reference = 'acme'",
    "UPDATE ledger_asset SET kind = 'currency'",
    "UPDATE ledger_balance SET balance = -1 WHERE NOT contra",
    "UPDATE ledger_balance SET held = balance + 1 WHERE NOT contra",
    "UPDATE ledger_balance SET held = -1",
    "UPDATE ledger_balance SET issue_limit = 1 WHERE contra",
    "UPDATE ledger_balance SET issue_limit = 1 WHERE NOT contra",
    "INSERT INTO ledger_transfer (journal_id, key, asset_id, debit_id, credit_id, amount, debit_seq, credit_seq,"
    " debit_after, credit_after, at) SELECT journal_id, key, asset_id, debit_id, credit_id, amount, debit_seq + 100,"
    " credit_seq + 100, debit_after, credit_after, at FROM ledger_transfer",
    "INSERT INTO ledger_transfer (journal_id, key, asset_id, debit_id, credit_id, amount, debit_seq, credit_seq,"
    " debit_after, credit_after, at) SELECT journal_id, gen_random_uuid(), asset_id, debit_id, credit_id, amount,"
    " debit_seq, credit_seq + 100, debit_after, credit_after, at FROM ledger_transfer",
    "INSERT INTO ledger_journal (kind, reference, at, note) SELECT kind, reference, at, note FROM ledger_journal",
    "UPDATE ledger_hold SET quantity = -1",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses(cast: Cast, statement: str) -> None:
    cast.hold(cast.acme, 1)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(statement)


def test_an_ended_hold_cannot_be_opened_again(cast: Cast) -> None:
    hold = cast.hold(cast.acme, 1)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_hold SET status = 'captured', ended_at = now() WHERE id = %s", [hold])

        with pytest.raises(DatabaseError), transaction.atomic():
            cursor.execute("UPDATE ledger_hold SET status = 'open', ended_at = NULL WHERE id = %s", [hold])
