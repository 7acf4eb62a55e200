"""What the launcher tells its user when it cannot go on: one sentence and an exit code, never a traceback."""

import signal


class LauncherError(Exception):
    """The launcher could not do what was asked."""

    exit_code = 3

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UsageError(LauncherError):
    """The command line or the environment asks for something that does not exist."""

    exit_code = 2


class AlreadyRunning(LauncherError):
    """A supervisor of this checkout is running already."""

    exit_code = 4


class Interrupted(LauncherError):
    """Stopped by a signal."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"stopped by {number.name}")
        self.exit_code = 128 + number
