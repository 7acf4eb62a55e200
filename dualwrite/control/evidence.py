"""What one gate saw, and how databases are asked for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from dualwrite import projection
from dualwrite.exceptions import StoreFailed
from dualwrite.stages import Store
from dualwrite.stores import describe, reaching
from dualwrite.stream import Stream

#: Growing pauses between two looks at something that is waited for, seconds.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 0.25


@dataclass(frozen=True)
class Evidence:
    """Facts, fit for JSON; why the gate is closed, empty when it is open; the command that mends it."""

    facts: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    mend: str = ""


@contextmanager
def asking(store: Store) -> Iterator[None]:
    """Turn what the driver says into StoreUnreachable or StoreFailed."""
    try:
        with reaching(store):
            yield
    except psycopg.Error as exc:
        raise StoreFailed(f"{describe(store)}: {sentence(exc)}") from exc


def sentence(exc: psycopg.Error) -> str:
    """The server's message without its place in the statement."""
    lines = str(exc.diag.message_primary or exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__


def pauses(seconds: float) -> Iterator[None]:
    """Come back at growing intervals until that many seconds are over, at least once; the last time at the very end."""
    idle, pause, until = threading.Event(), SHORTEST_PAUSE, time.monotonic() + seconds
    yield
    while (left := until - time.monotonic()) > 0:
        idle.wait(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE)
        yield


def whole_key(stream: Stream, store: Store) -> sql.Composable:
    """The condition that no part of the key of row `t` is NULL."""
    side = stream.side(store)
    return sql.SQL(" AND ").join(
        [sql.SQL("{} IS NOT NULL").format(projection.typed(part, side)) for part in stream.key]
    )
