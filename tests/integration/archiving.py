"""Versions of spells moved into the archive and back, each by one statement, as the retention of the engine does it."""

from tests.integration.domain import sql

COLUMNS = "id, instrument_key, index_id, spell, recorded_at, superseded_at, source"
#: What may be archived at all.
ENDED = "(superseded_at IS NOT NULL OR NOT upper_inf(spell))"
# Names and conditions come from the tests, hence S608 is waived.
MOVE = (
    "WITH d AS (DELETE FROM instrument_registry.index_membership_history WHERE {} RETURNING *)"  # noqa: S608
    f" INSERT INTO instrument_registry.index_membership_history_archive ({COLUMNS}, archived_by)"
    f" SELECT {COLUMNS}, 7 FROM d RETURNING id"
)
TAKE_BACK = (
    "WITH d AS (DELETE FROM instrument_registry.index_membership_history_archive RETURNING *)"  # noqa: S608
    f" INSERT INTO instrument_registry.index_membership_history ({COLUMNS}) SELECT {COLUMNS} FROM d RETURNING id"
)


def archive(which: str = ENDED, *parameters: object) -> int:
    """Archive the versions of a condition; how many there were."""
    return len(sql(MOVE.format(which), *parameters))


def restore() -> int:
    """Take everything back; how many there were."""
    return len(sql(TAKE_BACK))
