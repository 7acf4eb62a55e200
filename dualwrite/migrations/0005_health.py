from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("dualwrite", "0004_operate_retention"),
    ]

    operations = [
        migrations.CreateModel(
            name="HealthRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(help_text="When it was looked at.")),
                ("component", models.TextField()),
                ("subject", models.TextField(blank=True, default="")),
                ("status", models.TextField(help_text="UP, DOWN, OUT_OF_SERVICE or UNKNOWN.")),
                ("seconds", models.FloatField(help_text="How long the look took.")),
                ("error", models.TextField(blank=True, default="", help_text="Why it was not UP.")),
            ],
            options={
                "verbose_name": "health record",
                "db_table": "dualwrite_health",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["component", "subject", "-at"], name="health_newest"),
                    models.Index(fields=["at"], name="health_at"),
                ],
            },
        ),
    ]
