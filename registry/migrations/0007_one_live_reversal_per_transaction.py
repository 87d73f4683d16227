import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0006_cases_and_corrections"),
    ]

    operations = [
        migrations.AlterField(
            model_name="transaction",
            name="reverses",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="reversals",
                to="registry.transaction",
            ),
        ),
        migrations.AddConstraint(
            model_name="transaction",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", ["rejected", "cancelled", "failed"]), _negated=True),
                fields=("reverses",),
                name="one_live_reversal_per_transaction",
            ),
        ),
    ]
