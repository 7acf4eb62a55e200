"""What the engine keeps in the registry for people: streams, runs, retention and its backups, the schedule, health,
alerts, API keys and calls, the audit.

Roles and epochs are not here: they stand in `dualwrite.stream_state` of each store, where the triggers read them.
"""

from dualwrite.models.access import ApiKey
from dualwrite.models.alerts import Alert, AlertChange, AlertEvaluation, AlertRule, AlertState, Comparison, Severity
from dualwrite.models.calls import IdempotentCall
from dualwrite.models.channels import AlertChannel, AlertDelivery, DeliveryState
from dualwrite.models.configuration import ConfigSource, ParameterChange, ParameterKnown, ParameterOverride
from dualwrite.models.health import HealthRecord
from dualwrite.models.measures import Measure, Unit
from dualwrite.models.retention import (
    BackupState,
    DrillRun,
    LegalHold,
    RestoreRun,
    RetentionBackup,
    RetentionPolicy,
    RetentionRun,
    RetentionState,
    RetentionStatus,
)
from dualwrite.models.runs import Run
from dualwrite.models.schedule import TaskRun, TaskStatus
from dualwrite.models.streams import Audit, ParkedKey, StageTransition, StreamControl, TransitionStatus
from dualwrite.models.validation import ValidationRun, ValidationStatus

__all__ = [
    "Alert",
    "AlertChange",
    "AlertChannel",
    "AlertDelivery",
    "AlertEvaluation",
    "AlertRule",
    "AlertState",
    "ApiKey",
    "Audit",
    "BackupState",
    "Comparison",
    "ConfigSource",
    "DeliveryState",
    "DrillRun",
    "HealthRecord",
    "IdempotentCall",
    "LegalHold",
    "Measure",
    "ParameterChange",
    "ParameterKnown",
    "ParameterOverride",
    "ParkedKey",
    "RestoreRun",
    "RetentionBackup",
    "RetentionPolicy",
    "RetentionRun",
    "RetentionState",
    "RetentionStatus",
    "Run",
    "Severity",
    "StageTransition",
    "StreamControl",
    "TaskRun",
    "TaskStatus",
    "TransitionStatus",
    "Unit",
    "ValidationRun",
    "ValidationStatus",
]
