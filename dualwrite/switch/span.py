"""The lock under which a whole switch stands, so that writers wait for its end instead of failing in the middle."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.switch.locks import lock_session

#: The server ends a session that stood still for longer, so that a switch whose process froze, or whose machine went
#: away, stops nobody: writers then meet the fence and raise.
SILENCE = "-c idle_session_timeout={seconds}s"


@contextmanager
def span(
    stream: Stream,
    store: Store,
    *,
    patience: float,
    silence: int,
    meanwhile: Callable[[], object] = lambda: None,
) -> Iterator[Session]:
    """A session that holds the stream's exclusive lock in that store until it ends.

    `patience`: seconds in which to get the lock; `meanwhile` is called between two tries. `silence`: whole seconds the
    session may do nothing before the server ends it. Raises Refused naming the writer in the way, StoreUnreachable.
    """
    with ready(stream, store, silence=silence) as session:
        lock_session(session, stream, patience, meanwhile)
        yield session


@contextmanager
def ready(stream: Stream, store: Store, *, silence: int) -> Iterator[Session]:
    """The same session, open, without the lock: what is done before `lock_session` costs writers nothing."""
    limits = SILENCE.format(seconds=int(silence))
    with reaching(store), dedicated(store, f"switch {stream.name}", limits=limits) as session:
        yield session
