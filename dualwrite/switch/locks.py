"""The stream's lock, which every writer holds shared until it commits, asked for exclusively.

A waiting exclusive request blocks every later writer, so each try is short; between two tries writers pass.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg import errors

from dualwrite.exceptions import Refused
from dualwrite.sql import statement
from dualwrite.stores import Session
from dualwrite.stream import Stream

TRY = "200ms"
PAUSE_SECONDS = 0.6
DEADLINE_SECONDS = 10.0
#: Only the stream's lock is asked for so impatiently; row locks of a backfill's step are waited for.
ROW_LOCK_TIMEOUT = "10s"


@contextmanager
def locked(session: Session, stream: Stream, exclusive: bool) -> Iterator[None]:
    """A transaction, under the stream's exclusive lock when asked; raises Refused naming the writer in the way."""
    patience = _Patience(session, stream, DEADLINE_SECONDS)
    while True:
        with session.transaction():
            if exclusive and not _try(session, stream):
                patience.wait()
                continue
            yield
            return


def lock_session(
    session: Session, stream: Stream, deadline: float, meanwhile: Callable[[], object] = lambda: None
) -> None:
    """Take the exclusive lock for as long as the session lives; raises Refused after `deadline` seconds.

    `meanwhile` is called between two tries.
    """
    patience = _Patience(session, stream, deadline)
    session.execute("SELECT set_config('lock_timeout', %s, false)", (TRY,))
    while True:
        try:
            session.execute(statement("state", "exclusive_session"), {"stream": stream.name})
            break
        except errors.LockNotAvailable:
            patience.wait(meanwhile)
    session.execute("SELECT set_config('lock_timeout', %s, false)", (ROW_LOCK_TIMEOUT,))


class _Patience:
    """Waits between tries, until the deadline."""

    def __init__(self, session: Session, stream: Stream, seconds: float) -> None:
        self._session, self._stream = session, stream
        self._until = time.monotonic() + seconds

    def wait(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        if time.monotonic() > self._until:
            found = blocker(self._session, self._stream)
            raise Refused(f"stream {self._stream.name}: a writer does not finish ({found})")
        # Not a wait for anything: the time in which writers pass that queued behind the try.
        again = time.monotonic() + PAUSE_SECONDS
        meanwhile()
        threading.Event().wait(max(again - time.monotonic(), 0))


def _try(session: Session, stream: Stream) -> bool:
    try:
        with session.transaction():
            session.execute("SELECT set_config('lock_timeout', %s, true)", (TRY,))
            session.execute(statement("state", "exclusive"), {"stream": stream.name})
            session.execute("SELECT set_config('lock_timeout', %s, true)", (ROW_LOCK_TIMEOUT,))
    except errors.LockNotAvailable:
        return False
    return True


def blocker(session: Session, stream: Stream) -> str:
    """Who holds the stream's lock, in words."""
    row = session.execute(statement("state", "blockers"), {"stream": stream.name}).fetchone()
    return "it has just gone" if row is None else f"process {row[0]}, role {row[1]}, {row[2]!r}, {row[3]} s"
