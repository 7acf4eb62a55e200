"""Roles, epochs and capture of a stream: read and changed by conditional updates, nowhere else.

Each function is one transaction in one store and does nothing when what it relies on no longer holds; it then raises
ConcurrentChange. docs/protocol.md says what breaks without each condition.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg import errors
from psycopg.types.json import Jsonb

from dualwrite.exceptions import (
    AuthorityUnknown,
    ConcurrentChange,
    NotInstalled,
    Refused,
    StoreUnreachable,
    WrongStore,
)
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, cursor, dedicated, describe, reaching
from dualwrite.stream import Stream

LOCK_TRY = "200ms"
LOCK_PAUSE_SECONDS = 0.6
ROW_LOCK_TIMEOUT = "10s"
LOCK_DEADLINE_SECONDS = 10.0


@dataclass(frozen=True)
class State:
    """What one store is for one stream, as its own triggers see it."""

    store: Store
    role: Role
    epoch: int
    capture: bool
    generation: int
    backfilled: bool


@dataclass(frozen=True)
class Actor:
    """Who does it, and why."""

    name: str
    reason: str = ""


def state(stream: Stream, store: Store) -> State:
    """The stream's state in that store; raises NotInstalled or StoreUnreachable."""
    with cursor(store) as found:
        found.execute(statement("state", "installed"))
        if not found.fetchone()[0]:
            raise NotInstalled(describe(store))
        found.execute(statement("state", "read"), {"stream": stream.name})
        row = found.fetchone()
    if row is None:
        raise NotInstalled(f"stream {stream.name} in {describe(store)}")
    return State(store, Role(row[0]), *row[1:])


def authority(stream: Stream) -> State:
    """The state of the store that takes the writes, or took them until it was fenced.

    Raises AuthorityUnknown when neither or both claim to be it, StoreUnreachable when one is away and the other
    does not claim it.
    """
    found: list[State] = []
    away: list[StoreUnreachable] = []
    for store in Store:
        try:
            found.append(state(stream, store))
        except StoreUnreachable as exc:
            away.append(exc)
    claims = [s for s in found if s.role is Role.AUTHORITY] or [s for s in found if s.role is Role.FENCED]
    if len(claims) == 1:
        return claims[0]
    if away:
        raise away[0]
    raise AuthorityUnknown(f"stream {stream.name}: " + ", ".join(f"{s.store} is {s.role}" for s in found))


def begin_capture(stream: Stream, store: Store, actor: Actor) -> tuple[int, int]:
    """Switch capture on in the authority as a new generation; returns (generation, epoch)."""
    with _changing(stream, store, actor, "begin capture", exclusive=True) as session:
        row = session.execute(statement("state", "begin_capture"), {"stream": stream.name}).fetchone()
        if row is None:
            raise ConcurrentChange(f"stream {stream.name}: {store} is no longer the authority")
    return int(row[0]), int(row[1])


def follow(stream: Stream, store: Store, epoch: int, actor: Actor) -> None:
    """Make a store the mirror and refuse every relay that worked before."""
    with _changing(stream, store, actor, "follow") as session:
        if session.execute(statement("state", "follow"), {"stream": stream.name, "epoch": epoch}).rowcount != 1:
            raise ConcurrentChange(f"stream {stream.name}: {store} cannot become the mirror")
        session.execute(statement("state", "raise_fences"), {"stream": stream.name})


def mark_backfilled(stream: Stream, store: Store, generation: int, actor: Actor) -> None:
    """Declare that every key of the generation has been noted; refused when a newer one has begun."""
    with _changing(stream, store, actor, "backfilled") as session:
        values = {"stream": stream.name, "generation": generation}
        if session.execute(statement("state", "backfilled"), values).rowcount != 1:
            raise ConcurrentChange(f"stream {stream.name}: the backfill belongs to an older generation")


def pair(actor: Actor, *, anew: bool = False) -> None:
    """Let both stores remember each other.

    Raises WrongStore when one of them remembers another, unless they are to be paired `anew`: what was enabled with
    that other one then counts no longer, for any stream.
    """
    identities = {store: _identity(store) for store in Store}
    strangers = [s for s, (_, peer) in identities.items() if peer is not None and peer != identities[s.peer][0]]
    if strangers and not anew:
        raise WrongStore(f"{strangers[0]} was paired with another {strangers[0].peer} database")
    # Before the strangers are forgotten: killed in between, the next call still finds them.
    for store in Store if strangers else ():
        with cursor(store) as found:
            found.execute(statement("state", "void"))
    for store, (_, peer) in identities.items():
        mine = identities[store.peer][0]
        if peer != mine:
            with cursor(store) as found:
                found.execute(statement("state", "pair"), {"peer": mine, "known": peer})
                if found.rowcount != 1:
                    raise ConcurrentChange(f"somebody else pairs the {store} store")
            audit(store, actor, "pair", evidence={"before": peer, "after": mine})


def require_pair() -> None:
    """Raise WrongStore when a store remembers another peer: an exchanged database is not to be mirrored."""
    identities = {store: _identity(store) for store in Store}
    for store, (_, peer) in identities.items():
        if peer is not None and peer != identities[store.peer][0]:
            raise WrongStore(f"{store} was paired with another {store.peer} database than {describe(store.peer)}")


def _identity(store: Store) -> tuple[str, str | None]:
    with cursor(store) as found:
        found.execute(statement("state", "installed"))
        if not found.fetchone()[0]:
            raise NotInstalled(describe(store))
        found.execute(statement("state", "identity"))
        row = found.fetchone()
    if row is None:
        raise NotInstalled(describe(store))
    return row[0], row[1]


def audit(
    store: Store,
    actor: Actor,
    verb: str,
    stream: str | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Add a line to the store's audit: who did what to which stream, and why."""
    with cursor(store) as found:
        found.execute(statement("state", "audit"), _line(actor, verb, stream, evidence=evidence))


def _line(
    actor: Actor,
    verb: str,
    stream: str | None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    images = {"before": before, "after": after, "evidence": evidence}
    return {
        "actor": actor.name,
        "reason": actor.reason,
        "verb": verb,
        "stream": stream,
        **{name: None if image is None else Jsonb(dict(image)) for name, image in images.items()},
    }


@contextmanager
def _changing(stream: Stream, store: Store, actor: Actor, verb: str, *, exclusive: bool = False) -> Iterator[Session]:
    """One transaction that changes the stream's state in a store and audits it there with before and after."""
    try:
        with reaching(store), dedicated(store, f"{verb} {stream.name}") as session, _locked(session, stream, exclusive):
            before = _image(session, stream)
            yield session
            line = _line(actor, verb, stream.name, before=before, after=_image(session, stream))
            session.execute(statement("state", "audit"), line)
    except errors.LockNotAvailable as exc:
        raise Refused(f"stream {stream.name}: somebody else holds its state in the {store} store; try again") from exc


def _image(session: Session, stream: Stream) -> dict[str, Any]:
    row = session.execute(
        "SELECT to_jsonb(s) FROM dualwrite.stream_state s WHERE stream = %s FOR UPDATE", (stream.name,)
    ).fetchone()
    return dict(row[0]) if row else {}


@contextmanager
def _locked(session: Session, stream: Stream, exclusive: bool) -> Iterator[None]:
    """A transaction, under the stream's exclusive lock when asked.

    A waiting exclusive request blocks every later writer, so each try is short; between two tries writers pass.
    """
    deadline, pause = time.monotonic() + LOCK_DEADLINE_SECONDS, threading.Event()
    while True:
        with session.transaction():
            if exclusive and not _try_lock(session, stream):
                if time.monotonic() > deadline:
                    raise Refused(f"stream {stream.name}: a writer does not finish ({_blocker(session, stream)})")
                # Not a wait for anything: the time in which writers pass that queued behind the try.
                pause.wait(LOCK_PAUSE_SECONDS)
                continue
            yield
            return


def _try_lock(session: Session, stream: Stream) -> bool:
    try:
        with session.transaction():
            session.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TRY,))
            session.execute(statement("state", "exclusive"), {"stream": stream.name})
            # Only the stream's lock is asked for so impatiently; row locks of a backfill's step are waited for.
            session.execute("SELECT set_config('lock_timeout', %s, true)", (ROW_LOCK_TIMEOUT,))
    except errors.LockNotAvailable:
        return False
    return True


def _blocker(session: Session, stream: Stream) -> str:
    row = session.execute(statement("state", "blockers"), {"stream": stream.name}).fetchone()
    return "it has just gone" if row is None else f"process {row[0]}, role {row[1]}, {row[2]!r}, {row[3]} s"
