"""The engine's parameters: name, default, bounds, meaning."""

import operator
from decimal import Decimal

from dualwrite.parameters.parameter import Parameter, register
from dualwrite.parameters.parsing import between, boolean, one_of

DUAL_WRITE_ENABLED = Parameter("DUAL_WRITE_ENABLED", False, boolean, "whether a stream may be enabled")
BATCH_SIZE = Parameter("BATCH_SIZE", 10_000, between(1, 100_000, int), "keys the relay moves in one transaction")
INLINE_RELAY_SECONDS = Parameter(
    "INLINE_RELAY_SECONDS",
    0.5,
    between(0, 60, float),
    "how long a write waits at most for its keys to be mirrored; 0: not at all, the relay carries them",
)
MIRROR_BREAKER_FAILURES = Parameter(
    "MIRROR_BREAKER_FAILURES",
    5,
    between(1, 1_000_000, int),
    "failures in a row to reach the mirror after which writes do not wait for it any more",
)
MIRROR_BREAKER_SECONDS = Parameter(
    "MIRROR_BREAKER_SECONDS",
    30.0,
    between(1, 3_600, float),
    "how long at most until a write tries again whether the mirror is back",
)
RETRY_ATTEMPTS = Parameter(
    "RETRY_ATTEMPTS",
    3,
    between(1, 100, int),
    "how often a key that the mirror refuses is tried before it stays parked; a write, where another gets in its way",
)
VALIDATION_MODE = Parameter(
    "VALIDATION_MODE",
    "strict",
    one_of("strict", "lenient", "disabled"),
    "what is done when the mirror keeps a record otherwise than it was sent: parked, only told, or not looked at",
)
BRAKE_DELETE_PERCENT = Parameter(
    "BRAKE_DELETE_PERCENT",
    10.0,
    between(0, 100, float),
    "share of the mirror's rows the relay may delete within the brake's window; more holds the stream",
)
BRAKE_DELETE_ROWS = Parameter(
    "BRAKE_DELETE_ROWS",
    50,
    between(0, 1_000_000_000, int),
    "deletes always allowed, however small the mirror",
)
BRAKE_WINDOW_SECONDS = Parameter(
    "BRAKE_WINDOW_SECONDS",
    60.0,
    between(1, 86_400, float),
    "how long the brake adds deletes up, once caught up",
)
OUTBOX_MAX_KEYS = Parameter(
    "OUTBOX_MAX_KEYS",
    50_000_000,
    between(0, 1_000_000_000_000, int),
    "keys of a stream that may wait before it is disabled; 0: any number",
)
OUTBOX_MAX_BYTES = Parameter(
    "OUTBOX_MAX_BYTES",
    20_000_000_000,
    between(0, 1_000_000_000_000_000, int),
    "bytes the outbox may have before the stream that fills it is disabled; 0: any number",
)
OUTBOX_MAX_DATABASE_BYTES = Parameter(
    "OUTBOX_MAX_DATABASE_BYTES",
    0,
    between(0, 1_000_000_000_000_000, int),
    "bytes the authority's whole database may have before the stream that fills it is disabled; 0: any number",
)
OUTBOX_ALARM_PERCENT = Parameter(
    "OUTBOX_ALARM_PERCENT",
    50.0,
    between(1, 100, float),
    "share of a ceiling of the outbox from which on it is told",
)
DELETED_ROWS_KEPT_DAYS = Parameter(
    "DELETED_ROWS_KEPT_DAYS",
    30,
    between(0, 36_500, int),
    "for how many days a row that the relay deleted from the mirror is kept; 0: not at all",
)
HEALTH_KEPT_DAYS = Parameter(
    "HEALTH_KEPT_DAYS",
    90,
    between(1, 3_650, int),
    "for how many days it is kept how every component was",
)
TASK_RUNS_KEPT_DAYS = Parameter(
    "TASK_RUNS_KEPT_DAYS",
    30,
    between(1, 3_650, int),
    "for how many days it is kept what ran by schedule or by order, and how it ended",
)
OUTBOX_AT_LIMIT = Parameter(
    "OUTBOX_AT_LIMIT",
    "disable",
    one_of("disable", "alarm"),
    "what is done at a ceiling of the outbox: the stream is disabled, or it is only told",
)
MIRROR_MAX_SESSIONS = Parameter(
    "MIRROR_MAX_SESSIONS",
    0,
    between(0, 100_000, int),
    "sessions at work in the mirror's database, besides the engine's, above which it is spared; 0: however many",
)
MIRROR_MAX_REPLICA_LAG_SECONDS = Parameter(
    "MIRROR_MAX_REPLICA_LAG_SECONDS",
    30.0,
    between(0, 86_400, float),
    "how far a replica of the mirror may be behind before the mirror is spared; 0: however far",
)
SWITCH_TIMEOUT_SECONDS = Parameter(
    "SWITCH_TIMEOUT_SECONDS",
    5.0,
    between(0.1, 300, float),
    "how long writers wait for a switch at most, before it is taken back",
)
SWITCH_LOCK_SECONDS = Parameter(
    "SWITCH_LOCK_SECONDS",
    30.0,
    between(0.1, 3_600, float),
    "how long a switch tries to get between two writers before it is refused",
)
CANARY_TIMEOUT_SECONDS = Parameter(
    "CANARY_TIMEOUT_SECONDS",
    10.0,
    between(0.1, 300, float),
    "how long a gate waits for a key it noted itself to be relayed",
)
VALIDATION_MAX_AGE_SECONDS = Parameter(
    "VALIDATION_MAX_AGE_SECONDS",
    3600.0,
    between(1, 2_592_000, float),
    "how old the clean strict validation may be on which a stage change relies",
)
MAX_LAG_SECONDS = Parameter(
    "MAX_LAG_SECONDS",
    5.0,
    between(0.01, 86_400, float),
    "age of the oldest waiting key that a stage change tolerates",
)
SOAK_SECONDS = Parameter(
    "SOAK_SECONDS",
    5.0,
    between(0, 3600, float),
    "how long the lag must stay below its limit before a stage change",
)
VALIDATION_LEVEL = Parameter(
    "VALIDATION_LEVEL",
    "detailed",
    one_of("basic", "detailed", "strict"),
    "how closely a validation compares when nobody says",
)
VALIDATION_BATCH_SIZE = Parameter(
    "VALIDATION_BATCH_SIZE",
    10_000,
    between(1, 1_000_000, int),
    "rows a validation takes over from a server at a time",
)
VALIDATION_ENABLED = Parameter("VALIDATION_ENABLED", True, boolean, "whether scheduled validation does anything")
NUMERIC_TOLERANCE_PERCENT = Parameter(
    "NUMERIC_TOLERANCE_PERCENT",
    Decimal("0.01"),
    between(0, 100, Decimal),
    "how far two numbers may be apart, in percent of the greater one, and be equal at level detailed",
)
DATE_TOLERANCE_SECONDS = Parameter(
    "DATE_TOLERANCE_SECONDS",
    Decimal(3600),
    between(0, 31_536_000, Decimal),
    "how far two points in time may be apart and be equal at level detailed",
)
MAX_MISSING_PERCENT = Parameter(
    "MAX_MISSING_PERCENT",
    5.0,
    between(0, 100, float),
    "share of the authority's records that the mirror may lack before a validation fails instead of warning",
)
MAX_MISMATCH_PERCENT = Parameter(
    "MAX_MISMATCH_PERCENT",
    2.0,
    between(0, 100, float),
    "share of the records in both stores that may differ before a validation fails instead of warning",
)
MAX_DRIFT_PERCENT = Parameter(
    "MAX_DRIFT_PERCENT",
    10.0,
    between(0, 100, float),
    "difference of both stores' row totals, of the greater one, before a validation fails instead of warning",
)
REPAIR_MAX_KEYS = Parameter(
    "REPAIR_MAX_KEYS",
    1_000,
    between(0, 1_000_000_000, int),
    "keys that a validation repairs at most without being forced",
)
REPAIR_TIMEOUT_SECONDS = Parameter(
    "REPAIR_TIMEOUT_SECONDS",
    60.0,
    between(0.1, 86_400, float),
    "how long a repair waits at most for its keys to be relayed",
)
THROTTLE_SESSIONS = Parameter(
    "THROTTLE_SESSIONS",
    50,
    between(0, 100_000, int),
    "sessions in a transaction on the authority's server from which on a long run makes pauses; 0: never",
)
THROTTLE_PAUSE_SECONDS = Parameter(
    "THROTTLE_PAUSE_SECONDS",
    0.0,
    between(0, 60, float),
    "pause a long run makes between two parts in any case",
)
RETENTION_ENABLED = Parameter(
    "RETENTION_ENABLED", True, boolean, "whether scheduled retention does anything", careful=operator.and_
)
DEFAULT_RETENTION_DAYS = Parameter(
    "DEFAULT_RETENTION_DAYS",
    2555,
    between(1, 365_000, int),
    "for how many days rows of a table stay that has no parameter of its own",
    careful=max,
)
BACKUP_BEFORE_DELETE = Parameter(
    "BACKUP_BEFORE_DELETE",
    True,
    boolean,
    "whether rows are backed up before they are archived or marked inactive too; deleted ones always are",
    careful=operator.or_,
)
BACKUP_KEPT_DAYS = Parameter(
    "BACKUP_KEPT_DAYS", 2555, between(1, 365_000, int), "for how many days a backup is kept", careful=max
)
BACKUP_PART_ROWS = Parameter(
    "BACKUP_PART_ROWS",
    250_000,
    between(1, 100_000_000, int),
    "rows of a part of a backup, rounded to whole batches",
)
BACKUP_TRIED_ROWS = Parameter(
    "BACKUP_TRIED_ROWS",
    10_000,
    between(1, 1_000_000_000, int),
    "rows of each new backup that are restored into a temporary table before anything is removed",
    careful=max,
)
RETENTION_MAX_ROWS = Parameter(
    "RETENTION_MAX_ROWS",
    5_000_000,
    between(1, 1_000_000_000_000, int),
    "rows that a retention run removes at most without being forced",
    careful=min,
)
RETENTION_MAX_PERCENT = Parameter(
    "RETENTION_MAX_PERCENT",
    20.0,
    between(0, 100, float),
    "share of a table's rows that a retention run removes at most without being forced",
    careful=min,
)
RETENTION_FREE_ROWS = Parameter(
    "RETENTION_FREE_ROWS",
    1_000,
    between(0, 1_000_000_000, int),
    "rows that may always go, however large a share of a small table they are",
    careful=min,
)
RETENTION_SESSIONS = Parameter(
    "RETENTION_SESSIONS",
    2,
    between(1, 16, int),
    "sessions by which a retention run removes batches at once",
)
CLOCK_SKEW_SECONDS = Parameter(
    "CLOCK_SKEW_SECONDS",
    60.0,
    between(0.1, 86_400, float),
    "how far this machine's clock and the registry's may be apart before retention is refused",
    careful=min,
)

ALL = (
    DUAL_WRITE_ENABLED,
    BATCH_SIZE,
    INLINE_RELAY_SECONDS,
    MIRROR_BREAKER_FAILURES,
    MIRROR_BREAKER_SECONDS,
    RETRY_ATTEMPTS,
    VALIDATION_MODE,
    BRAKE_DELETE_PERCENT,
    BRAKE_DELETE_ROWS,
    BRAKE_WINDOW_SECONDS,
    OUTBOX_MAX_KEYS,
    OUTBOX_MAX_BYTES,
    OUTBOX_MAX_DATABASE_BYTES,
    OUTBOX_ALARM_PERCENT,
    DELETED_ROWS_KEPT_DAYS,
    HEALTH_KEPT_DAYS,
    TASK_RUNS_KEPT_DAYS,
    OUTBOX_AT_LIMIT,
    MIRROR_MAX_SESSIONS,
    MIRROR_MAX_REPLICA_LAG_SECONDS,
    SWITCH_TIMEOUT_SECONDS,
    SWITCH_LOCK_SECONDS,
    CANARY_TIMEOUT_SECONDS,
    VALIDATION_MAX_AGE_SECONDS,
    MAX_LAG_SECONDS,
    SOAK_SECONDS,
    VALIDATION_LEVEL,
    VALIDATION_BATCH_SIZE,
    VALIDATION_ENABLED,
    NUMERIC_TOLERANCE_PERCENT,
    DATE_TOLERANCE_SECONDS,
    MAX_MISSING_PERCENT,
    MAX_MISMATCH_PERCENT,
    MAX_DRIFT_PERCENT,
    REPAIR_MAX_KEYS,
    REPAIR_TIMEOUT_SECONDS,
    THROTTLE_SESSIONS,
    THROTTLE_PAUSE_SECONDS,
    RETENTION_ENABLED,
    DEFAULT_RETENTION_DAYS,
    BACKUP_BEFORE_DELETE,
    BACKUP_KEPT_DAYS,
    BACKUP_PART_ROWS,
    BACKUP_TRIED_ROWS,
    RETENTION_MAX_ROWS,
    RETENTION_MAX_PERCENT,
    RETENTION_FREE_ROWS,
    RETENTION_SESSIONS,
    CLOCK_SKEW_SECONDS,
)
register(*ALL)
