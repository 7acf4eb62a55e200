"""What a check of readiness raises."""

from dualwrite.exceptions import DualWriteError


class NotReady(DualWriteError):
    """A part does not do what it is there for."""
