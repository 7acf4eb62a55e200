"""What somebody who asks over HTTP may do: three steps, each allowing what those before it do. No I/O."""

from enum import StrEnum

from dualwrite.exceptions import UnknownName


class Clearance(StrEnum):
    """How much somebody may do, from least to most. The interface calls it the role of an API key."""

    VIEWER = "viewer"  #: reads
    OPERATOR = "operator"  #: acts: runs, pauses, moves
    ADMIN = "admin"  #: also resets and edits configuration

    def covers(self, needed: "Clearance") -> bool:
        """Whether whoever has this one may do what needs the other."""
        order = list(Clearance)
        return order.index(self) >= order.index(needed)


def clearance_named(name: str) -> Clearance:
    """Return the clearance of that name; raises UnknownName listing the valid ones."""
    try:
        return Clearance(name)
    except ValueError as exc:
        raise UnknownName("role", name, list(Clearance)) from exc
