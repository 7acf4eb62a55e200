"""What live configuration cannot do; each docstring is its message, as in `dualwrite.exceptions`."""

from dualwrite.exceptions import DualWriteError


class ConfigServiceAway(DualWriteError):
    """The config service does not answer as agreed, so its last good values count."""

    exit_code = 3
