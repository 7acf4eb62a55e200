"""What retention refuses or cannot do; each docstring is its message, as in `dualwrite.exceptions`."""

from dualwrite.exceptions import DualWriteError, Refused, UsageError


class InvalidSubject(UsageError):
    """A table is declared wrongly for retention."""


class InvalidPolicy(UsageError):
    """A retention policy cannot be carried out as it is."""

    def __init__(self, detail: str = "", field: str = "") -> None:
        """`field`: the one of the policy that is wrong, where it is one."""
        self.field = field
        super().__init__(detail)


class NotApproved(Refused):
    """Nobody approved this policy as it is now; `manage.py run_retention --approve --policy NAME --reason WHY` does."""


class Braked(Refused):
    """A brake held the run, so nothing was removed."""


class WrongClock(Refused):
    """A clock is not to be trusted, so nothing was removed."""


class StorageFailed(DualWriteError):
    """The backup storage did not do what was asked, so nothing was removed."""

    exit_code = 3


class BackupUnusable(DualWriteError):
    """The backup is not what was exported, so nothing is done with it."""

    exit_code = 3


class TableChanged(Refused):
    """The table is not what it was when the rows were exported, so none is removed."""


class RestoreRefused(Refused):
    """Rows cannot be restored as asked, so none was."""
