"""The logs of the domain: who changed what, what files said, what brokers were asked."""

import django.contrib.postgres.functions
import django.core.serializers.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registry", "0002_rules")]

    operations = [
        migrations.CreateModel(
            name="AuditLog",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("actor", models.TextField()),
                ("action", models.TextField()),
                ("object_type", models.TextField()),
                ("object_key", models.TextField()),
                (
                    "before",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                (
                    "after",
                    models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
                ),
                ("request_id", models.TextField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "audit log",
                "db_table": "audit_log",
                "ordering": ["-at", "-id"],
                "indexes": [
                    models.Index(fields=["at"], name="audit_log_at"),
                    models.Index(fields=["object_key"], name="audit_log_object_key"),
                ],
            },
        ),
        migrations.CreateModel(
            name="BrokerApiLog",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "called_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("broker", models.TextField()),
                ("operation", models.TextField()),
                ("request", models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ("status", models.TextField(choices=[("ok", "ok"), ("failed", "failed")])),
                ("milliseconds", models.IntegerField()),
                ("error", models.TextField(blank=True, null=True)),
                ("instrument_key", models.TextField(blank=True, null=True)),
            ],
            options={
                "verbose_name": "broker API call",
                "verbose_name_plural": "broker API log",
                "db_table": "broker_api_log",
                "ordering": ["-called_at", "-id"],
                "indexes": [models.Index(fields=["called_at"], name="broker_api_log_called_at")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("error__isnull", True), ("status", "ok")),
                            models.Q(("error__isnull", False), ("status", "failed")),
                            _connector="OR",
                        ),
                        name="broker_api_log_status_known",
                        violation_error_message="status must be ok, or failed with an error.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("milliseconds__gte", 0)),
                        name="broker_api_log_milliseconds_not_negative",
                        violation_error_message="milliseconds may not be negative.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IngestionScratch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "loaded_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("file", models.TextField()),
                ("line", models.IntegerField()),
                ("content", models.JSONField()),
                (
                    "outcome",
                    models.TextField(
                        choices=[("accepted", "Accepted"), ("unchanged", "Unchanged"), ("rejected", "Rejected")]
                    ),
                ),
                ("reason", models.TextField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "ingestion scratch",
                "db_table": "ingestion_scratch",
                "ordering": ["-loaded_at", "file", "line", "id"],
                "indexes": [models.Index(fields=["loaded_at"], name="ingestion_scratch_loaded_at")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("outcome__in", ["accepted", "unchanged", "rejected"])),
                        name="ingestion_scratch_outcome_known",
                        violation_error_message="outcome must be accepted, unchanged or rejected.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("outcome", "rejected"), ("reason__isnull", False)),
                            models.Q(models.Q(("outcome", "rejected"), _negated=True), ("reason__isnull", True)),
                            _connector="OR",
                        ),
                        name="ingestion_scratch_rejected_with_reason",
                        violation_error_message="A rejected row has a reason, and no other has.",
                    ),
                ],
            },
        ),
    ]
