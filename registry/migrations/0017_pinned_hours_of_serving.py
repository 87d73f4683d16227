"""What a calculation of a stream pins besides its end: its first hour, and the country that stood in."""

from datetime import UTC, datetime

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("registry", "0016_evidence_in_chunks"),
    ]

    operations = [
        migrations.AddField(
            model_name="servingcalculation",
            name="country",
            field=models.CharField(default="", help_text="Whose yearly figure stood in.", max_length=3),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="servingcalculation",
            name="since",
            field=models.DateTimeField(
                default=datetime(1970, 1, 1, tzinfo=UTC), help_text="First hour that counted."
            ),
            preserve_default=False,
        ),
    ]
