"""What alerts refuse. The docstring is the message."""

from dualwrite.exceptions import DualWriteError


class NotDelivered(DualWriteError):
    """A message was not delivered."""

    exit_code = 3
