"""The function that reads, in one round trip, what decides whether an order may come in."""

from pathlib import Path

from django.db import migrations

from common.database import run_sql_files


class Migration(migrations.Migration):
    dependencies = [("exchange", "0001_markets_orders_trades_settlement")]
    operations = run_sql_files(Path(__file__).resolve().parent.parent / "sql", ["0001_entrance"])
