"""Say what an empty time of publication means: letters are public by name from the closing on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0008_allocation_data_and_stages")]

    operations = [
        migrations.AlterField(
            model_name="period",
            name="names_public_at",
            field=models.DateTimeField(
                blank=True,
                help_text="From when letters are public by name; empty where that is with the closing.",
                null=True,
            ),
        ),
    ]
