"""Fences: whoever took a partition's last has the right to write it, and older epochs are refused."""

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import errors

from dualwrite.exceptions import DualWriteError, Refused
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream

#: A writer that mirrors has fences locked for some milliseconds; a relay for as long as it applies a batch.
LOCKED_FOR_LONG = "200ms"


def acquire(session: Session, stream: Stream, partitions: Sequence[int], *, unlocked: bool = False) -> dict[int, int]:
    """Take these fences, all of them; with `unlocked` only those that are not locked for long."""
    values = {"stream": stream.name, "partitions": list(partitions), "holder": holder(session)}
    try:
        with session.transaction():
            if unlocked:
                session.execute("SELECT set_config('lock_timeout', %s, true)", (LOCKED_FOR_LONG,))
            rows = session.execute(statement("relay", "acquire"), values).fetchall()
    except errors.LockNotAvailable as exc:
        if unlocked:
            rows = session.execute(statement("relay", "acquire_unlocked"), values).fetchall()
            return {int(partition): int(epoch) for partition, epoch in rows}
        raise Refused(
            f"stream {stream.name}: a relay stands still in the middle of a batch; the server ends it soon, try again"
        ) from exc
    return acquired(rows, values)


def acquired(rows: Sequence[tuple[Any, ...]], wanted: Mapping[str, Any]) -> dict[int, int]:
    """Partition → epoch of the fences that were taken; raises DualWriteError when some of those wanted are missing."""
    if len(rows) != len(wanted["partitions"]):
        raise DualWriteError(f"stream {wanted['stream']}: the mirror lacks fences; run `dualwrite install`")
    return {int(partition): int(epoch) for partition, epoch in rows}


def holder(session: Session) -> str:
    """Under which name this session takes fences; no two have the same."""
    return f"{socket.gethostname()}:{os.getpid()}/{session.info.backend_pid}"
