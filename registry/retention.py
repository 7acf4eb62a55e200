"""The registry's tables that are trimmed by age, and the policies they begin with.

Instruments and memberships are streams: rows of theirs go only where the registry takes the writes, and their old
table follows.
"""

from typing import Any

from dualwrite.parameters import Parameter, between, register
from dualwrite.retention.subject import Action, Subject, declare

SCHEMA = "instrument_registry"


def _days(name: str, default: int, meaning: str) -> Parameter[int]:
    return Parameter(name, default, between(1, 365_000, int), f"for how many days {meaning} stay", max)


AUDIT_LOG_DAYS = _days("AUDIT_LOG_RETENTION_DAYS", 365, "rows of the business audit")
TEMP_DATA_DAYS = _days("TEMP_DATA_RETENTION_DAYS", 30, "rows of imported files")
INDEX_HISTORY_DAYS = _days("INDEX_HISTORY_RETENTION_DAYS", 1095, "ended versions of spells outside of the archive")
BROKER_API_LOG_DAYS = _days("BROKER_API_LOG_RETENTION_DAYS", 90, "calls of brokers")
CHANGES_DAYS = _days("CHANGES_RETENTION_DAYS", 400, "changes that consumers may follow, and weights of before,")
READ_LOG_DAYS = _days("READ_LOG_RETENTION_DAYS", 30, "mismatches of reads")
CONSUMER_CALLS_DAYS = _days("CONSUMER_CALLS_RETENTION_DAYS", 400, "counts of consumers' calls")
register(AUDIT_LOG_DAYS, TEMP_DATA_DAYS, INDEX_HISTORY_DAYS, BROKER_API_LOG_DAYS)
register(CHANGES_DAYS, READ_LOG_DAYS, CONSUMER_CALLS_DAYS)

AUDIT_LOG = declare(
    Subject(
        name="audit_log",
        schema=SCHEMA,
        table="audit_log",
        dates={"at": "t.at"},
        filters=("actor", "action", "object_type", "object_key"),
        holds={"object_key": "t.object_key", "actor": "t.actor"},
        period=AUDIT_LOG_DAYS,
        minimum_days=30,
    )
)
INGESTION_SCRATCH = declare(
    Subject(
        name="ingestion_scratch",
        schema=SCHEMA,
        table="ingestion_scratch",
        dates={"loaded_at": "t.loaded_at"},
        filters=("file", "outcome"),
        holds={"file": "t.file"},
        period=TEMP_DATA_DAYS,
    )
)
BROKER_API_LOG = declare(
    Subject(
        name="broker_api_log",
        schema=SCHEMA,
        table="broker_api_log",
        dates={"called_at": "t.called_at"},
        filters=("broker", "operation", "status"),
        holds={"broker": "t.broker", "instrument_key": "t.instrument_key"},
        period=BROKER_API_LOG_DAYS,
        minimum_days=7,
    )
)
INDEX_HISTORY = declare(
    Subject(
        name="index_membership_history",
        schema=SCHEMA,
        table="index_membership_history",
        # A version is over when it was superseded, or when its spell ended; a current spell without an end never is.
        dates={"ended": "least(t.superseded_at, upper(t.spell)::timestamp AT TIME ZONE 'UTC')"},
        filters=("index_id", "instrument_key", "source"),
        holds={"instrument_key": "t.instrument_key", "index_id": "t.index_id"},
        actions=(Action.ARCHIVE,),
        archive="index_membership_history_archive",
        period=INDEX_HISTORY_DAYS,
        minimum_days=90,
    )
)
CHANGES = declare(
    Subject(
        name="changes",
        schema=SCHEMA,
        table="changes",
        # One without a place was told to nobody yet.
        dates={"at": "CASE WHEN t.position IS NOT NULL THEN t.at END"},
        filters=("instrument_key", "index_id"),
        holds={"instrument_key": "t.instrument_key", "index_id": "t.index_id"},
        period=CHANGES_DAYS,
        minimum_days=7,
    )
)
READ_MISMATCHES = declare(
    Subject(
        name="read_mismatches",
        schema=SCHEMA,
        table="read_mismatches",
        dates={"at": "t.at"},
        filters=("stream", "consumer"),
        period=READ_LOG_DAYS,
    )
)
CONSUMER_CALLS = declare(
    Subject(
        name="consumer_calls",
        schema=SCHEMA,
        table="consumer_calls",
        dates={"last_at": "t.last_at"},
        filters=("consumer", "contract"),
        period=CONSUMER_CALLS_DAYS,
        minimum_days=30,
    )
)
INSTRUMENTS = declare(
    Subject(
        name="instruments",
        schema=SCHEMA,
        table="instruments",
        dates={"updated_at": "t.updated_at"},
        filters=("exchange", "instrument_type", "country", "currency"),
        holds={"instrument_key": "t.instrument_key"},
        actions=(Action.MARK_INACTIVE,),
        inactive="is_active",
        minimum_days=365,
        stream="instruments",
    )
)

#: What a new registry begins with; operators edit the rows in the admin from then on.
SEEDS: tuple[dict[str, Any], ...] = (
    {"name": "audit_log", "table": "audit_log", "action": "delete", "date": "at"},
    {"name": "ingestion_scratch", "table": "ingestion_scratch", "action": "delete", "date": "loaded_at"},
    {"name": "index_history", "table": "index_membership_history", "action": "archive", "date": "ended"},
    {"name": "broker_api_log", "table": "broker_api_log", "action": "delete", "date": "called_at"},
)

#: Likewise of what came with the API.
API_SEEDS: tuple[dict[str, Any], ...] = (
    {"name": "changes", "table": "changes", "action": "delete", "date": "at"},
    {"name": "read_mismatches", "table": "read_mismatches", "action": "delete", "date": "at"},
    {"name": "consumer_calls", "table": "consumer_calls", "action": "delete", "date": "last_at"},
)
