import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0002_rules_transactions_year_cases"),
    ]

    operations = [
        migrations.AlterField(
            model_name="transaction",
            name="journal",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="transactions",
                to="ledger.journal",
            ),
        ),
    ]
