"""Which way a stream's keys go now, and into how many partitions they fall."""

from collections.abc import Sequence
from dataclasses import dataclass

from dualwrite import switch
from dualwrite.exceptions import Refused, UsageError
from dualwrite.stages import Role, Store
from dualwrite.stream import Stream


@dataclass(frozen=True)
class Way:
    """The direction in force: from this authority to its peer, and into how many partitions the keys fall."""

    authority: Store
    partitions: int


def check_partitions(stream: Stream, only: Sequence[int], partitions: int) -> None:
    """Raise UsageError unless the stream has all of these partitions."""
    beyond = [str(p) for p in only if p not in range(partitions)]
    if beyond:
        valid = f"valid: 0 to {partitions - 1}"
        raise UsageError(f"stream {stream.name} has no partition {', '.join(beyond)}; {valid}")


def way(stream: Stream) -> Way | None:
    """The way in force; None when nothing is mirrored. Raises Refused when changing the partitions is half-done."""
    authority = switch.authority(stream)
    mirror = switch.state(stream, authority.store.peer)
    if mirror.role is not Role.MIRROR:
        return None
    if mirror.partitions != authority.partitions:
        counts = " and ".join(f"{one.partitions} in the {one.store} store" for one in (authority, mirror))
        mend = f"run `manage.py dualwrite partitions --stream {stream.name} --to {mirror.partitions}` to its end"
        raise Refused(f"stream {stream.name} has {counts}; {mend}")
    return Way(authority.store, authority.partitions)
