"""The retention policies a registry begins with: added once, so that what operators change or remove stays so."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from registry.retention import SEEDS


def seed(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    policies = apps.get_model("dualwrite", "RetentionPolicy")
    policies.objects.using(editor.connection.alias).bulk_create(
        [policies(**values) for values in SEEDS], ignore_conflicts=True
    )


class Migration(migrations.Migration):
    dependencies = [("registry", "0004_history_archive"), ("dualwrite", "0002_retention")]

    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
