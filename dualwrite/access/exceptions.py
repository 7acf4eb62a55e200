"""Why somebody is not let in; each docstring is its message, as in `dualwrite.exceptions`."""

from dualwrite.exceptions import DualWriteError


class KeyRefused(DualWriteError):
    """This API key is not valid."""
