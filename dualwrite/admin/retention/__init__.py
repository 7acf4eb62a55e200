"""Retention in the admin: what would go, went and came back, and the verbs an operator may use.

1. `verbs`: what a verb is (a question that is confirmed, a function that does it), and the pages of a row's verbs.
2. `background` hands what takes long to the worker, and says so when there is none.
3. `policies` with `policy_form` and `policy_verbs`; `runs`; `backups` with `restore_form`; `restores`; `holds`: the
   pages. `shown` turns plans, parts and findings into tables.

Each verb calls the function of `dualwrite.retention` that command, task and endpoint call too. Policies are written in
a form that is checked by what a run checks them by; all other rows are read only.
"""

from dualwrite.admin.retention.backups import BackupAdmin
from dualwrite.admin.retention.holds import LegalHoldAdmin
from dualwrite.admin.retention.policies import PolicyAdmin
from dualwrite.admin.retention.restores import DrillAdmin, RestoreAdmin
from dualwrite.admin.retention.runs import RetentionRunAdmin

__all__ = ["BackupAdmin", "DrillAdmin", "LegalHoldAdmin", "PolicyAdmin", "RestoreAdmin", "RetentionRunAdmin"]
