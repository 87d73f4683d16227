"""The ledger's SQL: posting, holds, entries, and what serial blocks promise."""

from pathlib import Path
from typing import ClassVar

from django.db import migrations
from django.db.migrations.operations.base import Operation

from common.database import run_sql_files

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("ledger", "0001_accounts_balances_transfers_holds")]

    operations: ClassVar[list[Operation]] = [
        *run_sql_files(
            SQL, ["0001_balances", "0002_entries", "0003_posting", "0004_holds", "0005_serial_blocks"]
        )
    ]
