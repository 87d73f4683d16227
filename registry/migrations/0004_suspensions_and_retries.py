import uuid

import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0003_transactions_share_a_journal"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Suspension",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("stopped_at", models.DateTimeField()),
                (
                    "trading",
                    models.BooleanField(help_text="Whether permits may still be traded while the scheme stands."),
                ),
                (
                    "reason",
                    models.CharField(help_text="The order and the court, as the public reads it.", max_length=500),
                ),
                ("resumed_at", models.DateTimeField(null=True)),
                ("resumed_because", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "ordering": ["-stopped_at", "id"],
            },
        ),
        migrations.AddField(
            model_name="duework",
            name="retry_at",
            field=models.DateTimeField(help_text="When work that failed is tried again.", null=True),
        ),
        migrations.AddField(
            model_name="suspension",
            name="resumed_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="suspension",
            name="scheme",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="suspensions", to="registry.scheme"
            ),
        ),
        migrations.AddField(
            model_name="suspension",
            name="stopped_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddConstraint(
            model_name="suspension",
            constraint=models.UniqueConstraint(
                condition=models.Q(("resumed_at__isnull", True)),
                fields=("scheme",),
                name="one_open_suspension_per_scheme",
            ),
        ),
        migrations.AddConstraint(
            model_name="suspension",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("resumed_at__isnull", True), ("resumed_by__isnull", True)),
                    models.Q(("resumed_at__gte", models.F("stopped_at")), ("resumed_by__isnull", False)),
                    _connector="OR",
                ),
                name="suspension_in_order",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="suspension",
            trigger=pgtrigger.compiler.Trigger(
                name="suspension_frozen",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."scheme_id" IS DISTINCT FROM (NEW."scheme_id") OR OLD."stopped_at" IS DISTINCT FROM (NEW."stopped_at") OR OLD."stopped_by_id" IS DISTINCT FROM (NEW."stopped_by_id") OR OLD."trading" IS DISTINCT FROM (NEW."trading"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="25080f1ba5b0dab858b945786057ce4f2c544ae0",
                    operation="UPDATE",
                    pgid="pgtrigger_suspension_frozen_a9361",
                    table="registry_suspension",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="suspension",
            trigger=pgtrigger.compiler.Trigger(
                name="suspension_ends_once",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."resumed_at" IS NOT NULL)',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="9cfc6116b4a0b1ce0af9f3b4867e3dc4cd07c6e2",
                    operation="UPDATE",
                    pgid="pgtrigger_suspension_ends_once_72097",
                    table="registry_suspension",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="suspension",
            trigger=pgtrigger.compiler.Trigger(
                name="suspension_kept",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;",
                    hash="3f4e2463a0bb59f9cd1953b36bc86e2a330a9b90",
                    operation="DELETE",
                    pgid="pgtrigger_suspension_kept_d6733",
                    table="registry_suspension",
                    when="BEFORE",
                ),
            ),
        ),
    ]
