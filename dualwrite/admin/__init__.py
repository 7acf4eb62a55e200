"""What the engine keeps, in Django's admin, and the verbs an operator may use on a stream.

Rows are read, never edited: the verbs change them, and each is the function that command, endpoint and task call too.

1. `standing` says how a stream stands; `verbs` decides from it which verbs are of use, and why another is not.
2. `question` asks by a dry run what a verb would do, what it risks and what is in its way: the page that is confirmed.
3. `carry_out` does it and says what was done.
4. `streams` are the pages; `rows` those of transitions, parked keys and the audit; `validations` those of validations,
   `tasks` those of scheduled and ordered tasks, `parameters` those of live parameters, `alerts` and `alerting` those of
   alerts, their rules and channels, `health` those of the looks at every component, `access` those of API keys.
   `running` is what pages of runs share.
5. `retention` is a package of its own.
"""

from dualwrite.admin.access import ApiKeyAdmin
from dualwrite.admin.alerting import AlertChannelAdmin, AlertRuleAdmin
from dualwrite.admin.alerts import AlertAdmin
from dualwrite.admin.health import HealthRecordAdmin
from dualwrite.admin.parameters import ParameterChangeAdmin, ParameterKnownAdmin, ParameterOverrideAdmin
from dualwrite.admin.reading import ReadOnly
from dualwrite.admin.retention import (
    BackupAdmin,
    DrillAdmin,
    LegalHoldAdmin,
    PolicyAdmin,
    RestoreAdmin,
    RetentionRunAdmin,
)
from dualwrite.admin.rows import AuditAdmin, ParkedKeyAdmin, StageTransitionAdmin
from dualwrite.admin.streams import StreamControlAdmin
from dualwrite.admin.tasks import TaskRunAdmin
from dualwrite.admin.validations import ValidationRunAdmin

__all__ = [
    "AlertAdmin",
    "AlertChannelAdmin",
    "AlertRuleAdmin",
    "ApiKeyAdmin",
    "AuditAdmin",
    "BackupAdmin",
    "DrillAdmin",
    "HealthRecordAdmin",
    "LegalHoldAdmin",
    "ParameterChangeAdmin",
    "ParameterKnownAdmin",
    "ParameterOverrideAdmin",
    "ParkedKeyAdmin",
    "PolicyAdmin",
    "ReadOnly",
    "RestoreAdmin",
    "RetentionRunAdmin",
    "StageTransitionAdmin",
    "StreamControlAdmin",
    "TaskRunAdmin",
    "ValidationRunAdmin",
]
