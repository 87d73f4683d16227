"""The entrance of an order asks for the account's grade and for freezes."""

from pathlib import Path

from django.db import migrations

from common.database import run_sql_files


class Migration(migrations.Migration):
    dependencies = [("exchange", "0003_fewer_indexes"), ("registry", "0005_holders_limits_freezes")]
    operations = run_sql_files(Path(__file__).resolve().parent.parent / "sql", ["0002_entrance_grades"])
