"""The entrance of an order asks for debts in permits."""

from pathlib import Path

from django.db import migrations

from common.database import run_sql_files


class Migration(migrations.Migration):
    dependencies = [("exchange", "0004_entrance_grades"), ("registry", "0006_cases_and_corrections")]
    operations = run_sql_files(Path(__file__).resolve().parent.parent / "sql", ["0003_entrance_debts"])
