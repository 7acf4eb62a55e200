"""What constraints cannot say: derived values, immutable keys, the history that follows memberships."""

from django.db import migrations

from registry import sql

DROP = """
DROP FUNCTION IF EXISTS
    instrument_registry.fill_instrument_v1(),
    instrument_registry.mic_of_exchange_v1(text),
    instrument_registry.refuse_key_change_v1(),
    instrument_registry.refuse_history_rewrite_v1(),
    instrument_registry.follow_inserted_memberships_v1(),
    instrument_registry.follow_updated_memberships_v1(),
    instrument_registry.follow_deleted_memberships_v1(),
    instrument_registry.follow_truncated_memberships_v1(),
    instrument_registry.settle_spells_v1(text[], text[])
CASCADE
"""
NAMES = (
    "mic_of_exchange_v1",
    "fill_instrument_v1",
    "refuse_key_change_v1",
    "refuse_history_rewrite_v1",
    "settle_spells_v1",
    "follow_memberships_v1",
)


class Migration(migrations.Migration):
    dependencies = [("registry", "0001_initial")]

    operations = [migrations.RunSQL("".join(map(sql.load, NAMES)), DROP)]
