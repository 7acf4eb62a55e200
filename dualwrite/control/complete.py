"""The last step: the old store becomes no part of the stream, and nothing is mirrored any more.

In this order, while writers wait, so that the old store stays as an exact copy of that instant:

1. the last notes are relayed;
2. the screener is detached: from here on there is no way back, and whoever still writes there gets an error;
3. capture ends in the registry.

Killed before 2, nothing has happened. Killed after it, the screener's row says so for good, and `finish`, which
repairing calls, does the rest; it can be done again and again. The authority is the registry all the time.
"""

import time
from collections.abc import Callable

from dualwrite import capture, router, switch
from dualwrite.control.last_keys import LastKeys
from dualwrite.exceptions import Refused
from dualwrite.failpoints import reach
from dualwrite.parameters import SWITCH_LOCK_SECONDS, SWITCH_TIMEOUT_SECONDS
from dualwrite.relay.pipe import open_pipe
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor

SPARE_SECONDS = 5
#: Finishing is also a health check's work, which may not stay long.
PATIENCE_SECONDS = 1.0
SILENCE_SECONDS = 15

Say = Callable[[str], None]


def complete(stream: Stream, actor: Actor, *, progress: Say = lambda sentence: None) -> float:
    """Detach the screener and end capture; returns the seconds writers had to wait.

    Raises Refused when the last keys cannot be relayed in time or a writer does not finish (nothing was changed),
    ConcurrentChange, StoreUnreachable.
    """
    for store in Store:
        capture.require(stream, store)
    progress("relaying what waits")
    pipe = open_pipe(stream, insist=True)
    if pipe is None:
        raise Refused(f"stream {stream.name}: nothing is mirrored to the {Store.SCREENER} store")
    seconds = SWITCH_TIMEOUT_SECONDS.value()
    with pipe:
        last = LastKeys(pipe, seconds)
        last.catch_up()
        progress("waiting for the writers under way")
        silence = int(seconds) + SPARE_SECONDS
        with switch.span(stream, Store.REGISTRY, patience=SWITCH_LOCK_SECONDS.value(), silence=silence) as writers:
            began = time.monotonic()
            progress("writers wait; relaying the last keys")
            last.drain(lambda: not _waiting(stream, writers), began)
            reach("complete drained")
            switch.detach(stream, Store.SCREENER, actor)
            reach("complete detached")
            _end_capture(stream, actor, writers)
    router.forget_roles()
    return time.monotonic() - began


def finish(stream: Stream, actor: Actor) -> None:
    """Do what is left to be done once the screener is detached; doing it again changes nothing.

    Raises Refused when a writer does not finish, StoreUnreachable.
    """
    with switch.span(stream, Store.REGISTRY, patience=PATIENCE_SECONDS, silence=SILENCE_SECONDS) as writers:
        _end_capture(stream, actor, writers)


def _end_capture(stream: Stream, actor: Actor, writers: Session) -> None:
    """Under the lock of `writers`: no writer is left that saw capture on, so no note comes after this."""
    if switch.state(stream, Store.REGISTRY).capture:
        switch.end_capture(stream, Store.REGISTRY, actor)
    reach("complete capture ended")
    writers.execute(statement("complete", "forget_notes"), {"lanes": stream.lanes})
    reach("complete notes forgotten")


def _waiting(stream: Stream, session: Session) -> bool:
    row = session.execute(statement("complete", "notes_left"), {"lanes": stream.lanes}).fetchone()
    return bool(row and row[0])
