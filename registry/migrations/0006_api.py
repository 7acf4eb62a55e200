"""What the API needs: indexes to search and page by, the feed of changes, what is kept of consumers."""

import django.contrib.postgres.functions
import django.contrib.postgres.indexes
import django.db.models.functions.comparison
from django.apps.registry import Apps
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from registry import sql
from registry.retention import API_SEEDS

TRIGGERS = """
DROP FUNCTION
    instrument_registry.note_instruments_v1(),
    instrument_registry.note_memberships_v1(),
    instrument_registry.note_truncated_instruments_v1(),
    instrument_registry.number_changes_v1(integer),
    instrument_registry.instrument_told_v1(text, text, text, text, text, text, text, numeric, numeric, boolean),
    instrument_registry.membership_told_v1(boolean, numeric, text, date)
CASCADE;
"""
#: The task's name (registry.tasks).
NUMBER = "registry.changes.number"
# The feed begins now: its first row says so.
BEGIN = "SELECT instrument_registry.number_changes_v1(1);"


def seed(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    policies = apps.get_model("dualwrite", "RetentionPolicy")
    policies.objects.using(editor.connection.alias).bulk_create(
        [policies(**values) for values in API_SEEDS], ignore_conflicts=True
    )


def schedule(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    alias = editor.connection.alias
    tasks = apps.get_model("django_celery_beat", "PeriodicTask").objects.using(alias)
    hourly = apps.get_model("django_celery_beat", "IntervalSchedule").objects.using(alias)
    every = hourly.filter(every=1, period="hours").first() or hourly.create(every=1, period="hours")
    own = {"task": NUMBER, "description": "Changes that nobody has read get their places.", "expire_seconds": 3300}
    tasks.get_or_create(name=NUMBER, defaults={**own, "interval": every})


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0005_retention_policies"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        TrigramExtension(),
        migrations.CreateModel(
            name="Change",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(editable=False, null=True)),
                (
                    "at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("instrument_key", models.TextField()),
                ("index_id", models.TextField(null=True)),
                ("before", models.JSONField(null=True)),
                ("after", models.JSONField(null=True)),
            ],
            options={
                "db_table": "changes",
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="ChangesHead",
            fields=[
                ("one", models.BooleanField(default=True, primary_key=True, serialize=False)),
                ("position", models.BigIntegerField(db_default=0)),
                ("feed", models.TextField()),
                (
                    "began_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
            ],
            options={
                "db_table": "changes_head",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="ConsumerCalls",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("consumer", models.TextField()),
                ("contract", models.TextField(choices=[("api", "/api/v1"), ("screener", "/screener")])),
                ("day", models.DateField()),
                ("calls", models.BigIntegerField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "consumer calls",
                "db_table": "consumer_calls",
                "ordering": ["-day", "consumer", "contract"],
            },
        ),
        migrations.CreateModel(
            name="IdempotentWrite",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("consumer", models.TextField()),
                ("key", models.TextField()),
                ("request", models.TextField()),
                ("claimed_until", models.DateTimeField()),
                ("status", models.IntegerField(null=True)),
                ("answer", models.JSONField(null=True)),
                (
                    "at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
            ],
            options={
                "db_table": "idempotent_writes",
                "ordering": ["-id"],
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="IgnoreRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.SlugField(unique=True)),
                ("stream", models.TextField()),
                (
                    "fields",
                    models.JSONField(blank=True, default=list, help_text='e.g. ["sector"]; empty: whatever differs.'),
                ),
                (
                    "key_contains",
                    models.TextField(blank=True, default="", help_text='e.g. "NIFTY 50"; empty: every key.'),
                ),
                ("reason", models.TextField()),
                ("until", models.DateTimeField(help_text="From then on the difference counts again.")),
            ],
            options={
                "db_table": "read_ignore_rules",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="ReadMismatch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("stream", models.TextField()),
                ("consumer", models.TextField()),
                ("stage", models.TextField()),
                ("served_by", models.TextField()),
                ("key", models.TextField()),
                ("fields", models.JSONField()),
                ("served", models.JSONField(null=True)),
                ("other", models.JSONField(null=True)),
            ],
            options={
                "verbose_name_plural": "read mismatches",
                "db_table": "read_mismatches",
                "ordering": ["-id"],
            },
        ),
        migrations.AddIndex(
            model_name="instrument",
            index=models.Index(fields=["symbol"], name="instruments_symbol"),
        ),
        migrations.AddIndex(
            model_name="instrument",
            index=models.Index(
                django.db.models.functions.comparison.Collate("instrument_key", "C"), name="instruments_by_key"
            ),
        ),
        migrations.AddIndex(
            model_name="instrument",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["name", "symbol"], name="instruments_search", opclasses=["gin_trgm_ops", "gin_trgm_ops"]
            ),
        ),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(
                condition=models.Q(("position__isnull", True)), fields=["id"], name="changes_without_position"
            ),
        ),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(fields=["index_id", "at"], name="changes_index_at"),
        ),
        migrations.AddConstraint(
            model_name="change",
            constraint=models.UniqueConstraint(fields=("position",), name="changes_position"),
        ),
        migrations.AddConstraint(
            model_name="changeshead",
            constraint=models.CheckConstraint(condition=models.Q(("one", True)), name="changes_head_is_one"),
        ),
        migrations.AddConstraint(
            model_name="consumercalls",
            constraint=models.UniqueConstraint(fields=("consumer", "contract", "day"), name="consumer_calls_once"),
        ),
        migrations.AddIndex(
            model_name="idempotentwrite",
            index=models.Index(fields=["at"], name="idempotent_writes_at"),
        ),
        migrations.AddConstraint(
            model_name="idempotentwrite",
            constraint=models.UniqueConstraint(fields=("consumer", "key"), name="idempotent_writes_once"),
        ),
        migrations.AddIndex(
            model_name="readmismatch",
            index=models.Index(fields=["at"], name="read_mismatches_at"),
        ),
        migrations.RunSQL([sql.load("note_changes_v1"), sql.load("number_changes_v1"), BEGIN], [TRIGGERS]),
        migrations.RunPython(seed, migrations.RunPython.noop),
        migrations.RunPython(schedule, migrations.RunPython.noop),
    ]
