"""The ledger's migrations go back to nothing and forward again, SQL files included."""

import pytest
from django.core.management import call_command
from django.db import connection

LEFT_OVER = """
    SELECT proname FROM pg_proc WHERE proname LIKE 'ledger\\_%' AND pronamespace = 'public'::regnamespace
    UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'ledger\\_%' AND relnamespace = 'public'::regnamespace
    UNION ALL SELECT typname FROM pg_type WHERE typname IN ('ledger_posted', 'ledger_held')
    ORDER BY 1
"""


def everything() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(LEFT_OVER)
        return [name for (name,) in cursor.fetchall()]


@pytest.mark.django_db(transaction=True)
def test_the_migrations_leave_nothing_behind_and_come_back_whole() -> None:
    before = everything()

    call_command("migrate", "ledger", "zero", verbosity=0)
    without = everything()
    call_command("migrate", verbosity=0)

    assert without == []
    assert everything() == before
    assert "ledger_post" in before and "ledger_entry" in before
