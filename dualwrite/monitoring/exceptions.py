"""What a health check raises when it finds something. The docstring is the default message."""

from collections.abc import Mapping
from typing import Any, ClassVar

from dualwrite.monitoring.status import Status


class Unhealthy(Exception):
    """Something is not as it should be."""

    status: ClassVar[Status] = Status.DOWN

    def __init__(self, why: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.details = dict(details or {})
        super().__init__(why or (type(self).__doc__ or "").strip())


class Down(Unhealthy):
    """It does not work."""


class OutOfService(Unhealthy):
    """It stands still until somebody lets it go on."""

    status = Status.OUT_OF_SERVICE


class CannotTell(Unhealthy):
    """It cannot be told how it is."""

    status = Status.UNKNOWN
