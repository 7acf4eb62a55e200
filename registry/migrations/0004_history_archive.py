"""The archive of the history of memberships: its table, its rules, and the view that answers from both."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.functions
import django.db.models.functions.comparison
from django.db import migrations, models

from registry import sql

SETTLE_V1 = """
DROP FUNCTION
    instrument_registry.follow_inserted_memberships_v1(),
    instrument_registry.follow_updated_memberships_v1(),
    instrument_registry.follow_deleted_memberships_v1(),
    instrument_registry.follow_truncated_memberships_v1(),
    instrument_registry.settle_spells_v1(text[], text[])
CASCADE;
"""
SETTLE_V2 = SETTLE_V1.replace("_v1(", "_v2(")
# Without the archive its versions would be lost, and answers with them.
REFUSE = """
DO $$
BEGIN
    IF EXISTS (SELECT FROM instrument_registry.index_membership_history_archive) THEN
        RAISE EXCEPTION 'the archive of the history holds versions: restore them into the history first';
    END IF;
END
$$;
"""
DROP = """
DROP FUNCTION
    instrument_registry.refuse_archived_overlap_v1(),
    instrument_registry.refuse_archive_rewrite_v1()
CASCADE;
DROP VIEW instrument_registry.index_membership_history_all;
"""


def replaced(old: str, new: str) -> str:
    """The functions and triggers that follow memberships, of another version: dropped with their triggers, and made."""
    return old + sql.load(f"settle_spells_{new}") + sql.load(f"follow_memberships_{new}")


class Migration(migrations.Migration):
    dependencies = [("registry", "0003_logs")]

    operations = [
        # The order of the columns is that of the history, so that rows of one fit the other.
        migrations.CreateModel(
            name="IndexMembershipHistoryArchive",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("instrument_key", models.TextField()),
                ("index_id", models.TextField()),
                ("spell", django.contrib.postgres.fields.ranges.DateRangeField()),
                ("recorded_at", models.DateTimeField(editable=False)),
                ("superseded_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("source", models.TextField()),
                (
                    "archived_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("archived_by", models.BigIntegerField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name_plural": "index membership history archive",
                "db_table": "index_membership_history_archive",
                "ordering": ["index_id", "instrument_key", "recorded_at", "id"],
                "indexes": [models.Index(fields=["index_id", "instrument_key"], name="membership_archive_key")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "instrument_key__regex",
                                "^[A-Z0-9]+:[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$",
                            )
                        ),
                        name="index_membership_history_archive_instrument_key_format",
                        violation_error_message="instrument_key must be exchange:symbol.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("index_id__regex", "^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$")
                        ),
                        name="index_membership_history_archive_index_id_format",
                        violation_error_message="index_id must be text without surrounding blanks.",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(("superseded_at__isnull", True)),
                        expressions=[
                            (django.db.models.functions.comparison.Collate("instrument_key", "C"), "="),
                            (django.db.models.functions.comparison.Collate("index_id", "C"), "="),
                            ("spell", "&&"),
                        ],
                        name="index_membership_history_archive_no_overlap",
                        violation_error_message="The spell overlaps another of this instrument and index.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("spell__isempty", False), ("spell__lower_inf", False)),
                        name="index_membership_history_archive_spell_begins",
                        violation_error_message="A spell needs a first day and may not be empty.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("superseded_at__isnull", True),
                            ("superseded_at__gte", models.F("recorded_at")),
                            _connector="OR",
                        ),
                        name="index_membership_history_archive_superseded_later",
                        violation_error_message="superseded_at may not be before recorded_at.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("superseded_at__isnull", False), ("spell__upper_inf", False), _connector="OR"
                        ),
                        name="index_membership_history_archive_ended",
                        violation_error_message="A current spell without an end is not archived.",
                    ),
                ],
            },
        ),
        migrations.RunSQL(sql.load("history_archive_v1"), REFUSE + DROP),
        migrations.CreateModel(
            name="IndexMembershipSpell",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("instrument_key", models.TextField()),
                ("index_id", models.TextField()),
                ("spell", django.contrib.postgres.fields.ranges.DateRangeField()),
                (
                    "recorded_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                ("superseded_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("source", models.TextField()),
            ],
            options={
                "db_table": "index_membership_history_all",
                "ordering": ["index_id", "instrument_key", "recorded_at", "id"],
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.RunSQL(replaced(SETTLE_V1, "v2"), replaced(SETTLE_V2, "v1")),
    ]
