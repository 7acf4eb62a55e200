"""The four words of health and which of them wins. No I/O."""

from collections.abc import Iterable
from enum import StrEnum


class Status(StrEnum):
    """How a component is, from worst to best."""

    DOWN = "DOWN"
    OUT_OF_SERVICE = "OUT_OF_SERVICE"
    UNKNOWN = "UNKNOWN"
    UP = "UP"

    @property
    def serves(self) -> bool:
        """Whether it may be relied on as far as one can tell."""
        return self in (Status.UP, Status.UNKNOWN)


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; UNKNOWN when there is none."""
    order = list(Status)
    return min(statuses, key=order.index, default=Status.UNKNOWN)
