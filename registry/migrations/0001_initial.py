"""The registry's tables, in schema instrument_registry."""

import datetime

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.contrib.postgres.functions
import django.db.models.functions.comparison
import django.db.models.functions.text
from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations, models

from registry import sql

COLON = models.Value(":", output_field=models.TextField())


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(sql.load("schema_v1"), migrations.RunSQL.noop),
        # Gives text columns a place in the exclusion constraint of the history.
        BtreeGistExtension(),
        migrations.CreateModel(
            name="Index",
            fields=[
                ("index_id", models.TextField(primary_key=True, serialize=False)),
                ("name", models.TextField(blank=True, null=True)),
                ("exchange", models.TextField(blank=True, null=True)),
                ("country", models.TextField(blank=True, null=True)),
                ("currency", models.TextField(blank=True, null=True)),
            ],
            options={
                "verbose_name_plural": "indices",
                "db_table": "indices",
                "ordering": ["index_id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "index_id__regex",
                                "^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$",
                            )
                        ),
                        name="indices_index_id_format",
                        violation_error_message="index_id must be text without surrounding blanks.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("exchange__regex", "^[A-Z0-9]+$")),
                        name="indices_exchange_format",
                        violation_error_message="exchange must be capital letters and digits.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                        name="indices_currency_format",
                        violation_error_message="currency must be three capital letters.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IndexMembership",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("instrument_key", models.TextField()),
                ("index_id", models.TextField()),
                ("weight", models.DecimalField(blank=True, decimal_places=6, max_digits=12, null=True)),
                ("sector", models.TextField(blank=True, null=True)),
                ("date_added", models.DateField(blank=True, null=True)),
                ("is_active", models.BooleanField(db_default=True, default=True)),
            ],
            options={
                "db_table": "index_memberships",
                "ordering": ["index_id", "instrument_key"],
                "indexes": [models.Index(fields=["index_id"], name="index_memberships_index_id")],
                "constraints": [
                    models.UniqueConstraint(fields=("instrument_key", "index_id"), name="index_memberships_key"),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "instrument_key__regex",
                                "^[A-Z0-9]+:[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$",
                            )
                        ),
                        name="index_memberships_instrument_key_format",
                        violation_error_message="instrument_key must be exchange:symbol.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "index_id__regex",
                                "^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$",
                            )
                        ),
                        name="index_memberships_index_id_format",
                        violation_error_message="index_id must be text without surrounding blanks.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("weight__range", (0, 100))),
                        name="index_memberships_weight_range",
                        violation_error_message="weight must be between 0 and 100 percent.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("date_added__range", (datetime.date(1, 1, 1), datetime.date(9999, 12, 31)))
                        ),
                        name="index_memberships_date_added_range",
                        violation_error_message="date_added must be a date of the years 1 to 9999.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="IndexMembershipHistory",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
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
                "verbose_name_plural": "index membership history",
                "db_table": "index_membership_history",
                "ordering": ["index_id", "instrument_key", "recorded_at", "id"],
                "indexes": [models.Index(fields=["index_id", "instrument_key"], name="index_membership_history_key")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "instrument_key__regex",
                                "^[A-Z0-9]+:[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$",
                            )
                        ),
                        name="index_membership_history_instrument_key_format",
                        violation_error_message="instrument_key must be exchange:symbol.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "index_id__regex",
                                "^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$",
                            )
                        ),
                        name="index_membership_history_index_id_format",
                        violation_error_message="index_id must be text without surrounding blanks.",
                    ),
                    django.contrib.postgres.constraints.ExclusionConstraint(
                        condition=models.Q(("superseded_at__isnull", True)),
                        expressions=[
                            (django.db.models.functions.comparison.Collate("instrument_key", "C"), "="),
                            (django.db.models.functions.comparison.Collate("index_id", "C"), "="),
                            ("spell", "&&"),
                        ],
                        name="index_membership_history_no_overlap",
                        violation_error_message="The spell overlaps another of this instrument and index.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("spell__isempty", False), ("spell__lower_inf", False)),
                        name="index_membership_history_spell_begins",
                        violation_error_message="A spell needs a first day and may not be empty.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("superseded_at__isnull", True),
                            ("superseded_at__gte", models.F("recorded_at")),
                            _connector="OR",
                        ),
                        name="index_membership_history_superseded_later",
                        violation_error_message="superseded_at may not be before recorded_at.",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Instrument",
            fields=[
                ("instrument_key", models.TextField(primary_key=True, serialize=False)),
                ("symbol", models.TextField()),
                ("exchange", models.TextField()),
                ("mic", models.TextField(blank=True, null=True)),
                (
                    "instrument_type",
                    models.TextField(
                        blank=True,
                        choices=[
                            ("equity", "Equity"),
                            ("fund", "Fund"),
                            ("index", "Index"),
                            ("bond", "Bond"),
                            ("derivative", "Derivative"),
                            ("other", "Other"),
                        ],
                        null=True,
                    ),
                ),
                ("isin", models.TextField(blank=True, null=True)),
                ("figi", models.TextField(blank=True, null=True)),
                ("name", models.TextField(blank=True, null=True)),
                ("currency", models.TextField(blank=True, null=True)),
                ("country", models.TextField(blank=True, null=True)),
                ("lot_size", models.DecimalField(blank=True, decimal_places=6, max_digits=18, null=True)),
                ("tick_size", models.DecimalField(blank=True, decimal_places=8, max_digits=18, null=True)),
                ("is_active", models.BooleanField(db_default=True, default=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.contrib.postgres.functions.TransactionNow(), editable=False),
                ),
            ],
            options={
                "db_table": "instruments",
                "ordering": ["instrument_key"],
                "indexes": [
                    models.Index(fields=["isin"], name="instruments_isin"),
                    models.Index(condition=models.Q(("figi__isnull", False)), fields=["figi"], name="instruments_figi"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "instrument_key",
                                django.db.models.functions.text.Concat(
                                    models.F("exchange"),
                                    COLON,
                                    models.F("symbol"),
                                ),
                            )
                        ),
                        name="instruments_key_is_exchange_and_symbol",
                        violation_error_message="instrument_key must be exchange:symbol.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "instrument_type__in",
                                ["equity", "fund", "index", "bond", "derivative", "other"],
                            )
                        ),
                        name="instruments_type_known",
                        violation_error_message="instrument_type must be one of the listed types.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("exchange__regex", "^[A-Z0-9]+$")),
                        name="instruments_exchange_format",
                        violation_error_message="exchange must be capital letters and digits.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("symbol__regex", "^[^[:space:][:cntrl:]]([^[:cntrl:]]*[^[:space:][:cntrl:]])?$")
                        ),
                        name="instruments_symbol_format",
                        violation_error_message="symbol must be text without surrounding blanks.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("mic__regex", "^[A-Z0-9]{4}$")),
                        name="instruments_mic_format",
                        violation_error_message="mic must be four capital letters or digits.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("isin__regex", "^[A-Z]{2}[A-Z0-9]{9}[0-9]$")),
                        name="instruments_isin_format",
                        violation_error_message="isin must be two letters, nine letters or digits, a digit.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("figi__regex", "^[B-DF-HJ-NP-TV-Z]{2}G[B-DF-HJ-NP-TV-Z0-9]{8}[0-9]$")),
                        name="instruments_figi_format",
                        violation_error_message="figi must be a 12 character FIGI.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")),
                        name="instruments_currency_format",
                        violation_error_message="currency must be three capital letters.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("lot_size__gt", 0)),
                        name="instruments_lot_size_positive",
                        violation_error_message="lot_size must be greater than zero.",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("tick_size__gt", 0)),
                        name="instruments_tick_size_positive",
                        violation_error_message="tick_size must be greater than zero.",
                    ),
                ],
            },
        ),
    ]
