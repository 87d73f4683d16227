"""The rights of the application's role in production: it works through the functions and cannot write around them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, transaction

from registry.ledger import services as ledger
from tests.ledger.cast import NOON, Cast

GRANTS = Path(__file__).resolve().parents[2] / "docs" / "sql" / "ledger_grants.sql"


@pytest.fixture
def as_application(cast: Cast) -> Iterator[Cast]:
    """Act as a role that has only what the file grants. Roles made in a transaction end with it."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE ledger_test_app")
        cursor.execute("CREATE ROLE ledger_test_auditor")
        cursor.execute("GRANT SELECT ON accounts_organisation TO ledger_test_app")
        grants = GRANTS.read_text().replace(":auditor", "ledger_test_auditor").replace(":app", "ledger_test_app")
        cursor.execute(grants)
        cursor.execute("SET LOCAL ROLE ledger_test_app")
        yield cast
        cursor.execute("RESET ROLE")


def test_the_application_does_all_its_work_through_the_functions(as_application: Cast) -> None:
    cast = as_application

    cast.move(cast.acme, cast.birch, 10)
    cast.post(cast.posting(cast.acme, cast.lab, 1), cast.posting(cast.lab, cast.surrendered, 1))
    hold = cast.hold(cast.acme, 5)
    with transaction.atomic():
        ledger.set_holds([ledger.HoldChange(hold, 6)])
        ledger.release(hold_ids=[hold], now=NOON)
        ledger.freeze_account(account_id=cast.lab.pk)
        ledger.set_issue_limit(account_id=cast.mint.pk, asset_id=cast.permit.pk, limit=5_000)
        ledger.create_asset(code="ai-2031", kind="permit", name="AI allowance 2031", now=NOON)
        ledger.open_account(kind="holding", reference="new", label="New", now=NOON)

    assert cast.position(cast.birch) == (10, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_balance SET balance = balance + 1",
        "UPDATE ledger_hold SET quantity = 0",
        "INSERT INTO ledger_journal (kind, reference, at, note) VALUES ('x', 'x', now(), '')",
        "UPDATE ledger_transfer SET amount = 1",
        "DELETE FROM ledger_transfer",
        "TRUNCATE ledger_transfer",
        "SELECT ledger_move_balances(ARRAY[1], ARRAY[1], ARRAY[1], now())",
        "UPDATE ledger_account SET contra = true",
    ],
)
def test_the_application_may_not_write_around_them(as_application: Cast, statement: str) -> None:
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
