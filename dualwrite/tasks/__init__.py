"""What runs by schedule, and what an operator asked for; each task calls what commands and endpoints call too.

`monitoring`, `validation`, `retention` and `relay` have a task for each thing; `quietly` has what all of them share.
What is refused, lost or under way already is one line in the log: nothing about it is a fault of this program.
"""

from dualwrite.tasks.monitoring import check_monitoring
from dualwrite.tasks.relay import sweep_relay
from dualwrite.tasks.retention import drill_backups, restore_rows, run_all, run_policy
from dualwrite.tasks.validation import validate_all, validate_ordered

__all__ = [
    "check_monitoring",
    "drill_backups",
    "restore_rows",
    "run_all",
    "run_policy",
    "sweep_relay",
    "validate_all",
    "validate_ordered",
]
