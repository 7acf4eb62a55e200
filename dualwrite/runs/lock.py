"""Who runs what is a lock of the registry's server: it ends with the connection that holds it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import psycopg

from dualwrite.exceptions import AlreadyRunning
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, cursor, dedicated, reaching

RUN_LOCK = 25722
#: Only short statements run on the session of a lock; a long one would be a server in trouble.
LIMITS = "-c statement_timeout=10s"


class Named(Protocol):
    """What one run at a time is at work on, e.g. a stream."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


@dataclass(frozen=True)
class Holder:
    """A session of the registry's server: its number, and when it began; None where this role is not told."""

    backend: int
    began: datetime | None

    def may_be(self, backend: int | None, began: datetime | None) -> bool:
        """Whether it is that session, as far as can be told: numbers are used again."""
        return self.backend == backend and (self.began == began or None in (self.began, began))


@contextmanager
def only_run(kind: str, subject: Named, about: str = "stream") -> Iterator[Session]:
    """Be the only run of this kind for the subject, on every machine; the session that holds the lock.

    Raises AlreadyRunning, StoreUnreachable.
    """
    with (
        reaching(Store.REGISTRY),
        dedicated(Store.REGISTRY, f"{kind} {subject.name} lock", limits=LIMITS) as session,
    ):
        row = session.execute(statement("runs", "take"), _named(kind, subject.name)).fetchone()
        if row is None or not row[0]:
            raise AlreadyRunning(f"{kind} of {about} {subject.name}")
        try:
            yield session
        finally:
            _release(session)


def _release(session: Session) -> None:
    """Let go at once: the server takes a moment to notice a closed connection, and the next run may be quick."""
    with suppress(psycopg.Error):  # a session that is gone holds nothing
        session.execute(statement("runs", "release"))


def own(session: Session) -> Holder:
    """That session itself; raises StoreUnreachable."""
    with reaching(Store.REGISTRY):
        row = session.execute(statement("runs", "own")).fetchone()
    return Holder(session.info.backend_pid, row[1] if row else None)


def holder(kind: str, stream: str) -> Holder | None:
    """The server's session that holds the lock, None when it is free; raises StoreUnreachable."""
    with cursor(Store.REGISTRY) as found:
        found.execute(statement("runs", "holder"), _named(kind, stream))
        row = found.fetchone()
        return Holder(int(row[0]), row[1]) if row else None


def _named(kind: str, stream: str) -> dict[str, int | str]:
    return {"lock": RUN_LOCK, "name": f"{kind}/{stream}"}
