"""Answers to repeated writes are kept where those to repeated runs are: their own table and its policy go.

Nothing is lost that anybody could still ask for but the answers of the last minutes before the migration: a write that
is repeated over it is carried out again, which leaves the same records. No release had the table.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "idempotent_writes"


def forget(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The policy of a table that is no more could only fail."""
    policies = apps.get_model("dualwrite", "RetentionPolicy").objects.using(schema_editor.connection.alias)
    policies.filter(table=TABLE).delete()


class Migration(migrations.Migration):
    """After the API's tables."""

    dependencies = [("registry", "0006_api"), ("dualwrite", "0009_idempotent_calls")]

    operations = [
        migrations.RunPython(forget, migrations.RunPython.noop),
        migrations.DeleteModel("IdempotentWrite"),
    ]
