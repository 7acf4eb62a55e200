"""The rehearsal itself: load, switches there and back, drain, comparison."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict

from django.db import connections

from dualwrite import projection, switch
from dualwrite.control.handover import hand_over
from dualwrite.control.rehearsal.figures import Rehearsal, Switched, Window, split, times
from dualwrite.control.rehearsal.load import Written, load
from dualwrite.control.rehearsal.scratch import STREAM, scratch
from dualwrite.exceptions import Refused, UsageError
from dualwrite.relay import worker
from dualwrite.runs import only_run
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor

SECONDS, RATE = 20.0, 200.0
SECONDS_ALLOWED, RATE_ALLOWED = (1.0, 3600.0), (1.0, 5000.0)
#: Load between two switches.
BETWEEN_SECONDS = 1.0
SHOWN_KEYS = 20

Say = Callable[[str], None]


def rehearse(
    actor: Actor, *, seconds: float = SECONDS, rate: float = RATE, progress: Say = lambda sentence: None
) -> Rehearsal:
    """Switch there and back on a scratch stream for about `seconds`, under `rate` writes a second; audited.

    Raises UsageError for values out of bounds, AlreadyRunning, Refused when an account may not make the scratch
    stream, NotInstalled, StoreUnreachable. Whatever happens, the scratch stream is removed.
    """
    _require_within("seconds", seconds, *SECONDS_ALLOWED)
    _require_within("rate", rate, *RATE_ALLOWED)
    progress("making the scratch stream")
    with only_run("rehearse", STREAM), scratch(actor) as stream:
        found = _under_load(stream, actor, seconds, rate, progress)
        progress("removing the scratch stream")
    switch.audit(Store.REGISTRY, actor, "rehearse", STREAM.name, {**asdict(found), "passed": found.passed})
    return found


def _require_within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"--{name} {value:g}; valid: {low:g} to {high:g}")


def _under_load(stream: Stream, actor: Actor, seconds: float, rate: float, progress: Say) -> Rehearsal:
    windows: list[Window] = []
    switches: list[Switched] = []
    began = time.monotonic()
    with _relaying(stream), load(stream, rate) as writers:
        for number in range(_switches(seconds)):
            writers.go_on(BETWEEN_SECONDS)
            if not writers.broken:
                progress(f"switch {number + 1}")
                switches.append(_switch(stream, actor, windows))
        writers.go_on(max(began + seconds - time.monotonic(), BETWEEN_SECONDS))
        took = time.monotonic() - began
        written = writers.stop()
    progress("relaying the last keys, comparing")
    worker.drain(stream)
    lost = _lost(stream, written)
    writes = [write for one in written for write in one.writes]
    ordinary, stalled = split(writes, windows)
    return Rehearsal(
        seconds=took,
        rate=rate,
        acknowledged=len(writes),
        refused=sum(write.refused for write in writes),
        lost=len(lost),
        switches=switches,
        ordinary=times(ordinary),
        stall=times(stalled),
        lost_keys=lost[:SHOWN_KEYS],
    )


def _switches(seconds: float) -> int:
    """There and back as often as it fits, once at least."""
    return 2 * max(int(seconds / BETWEEN_SECONDS - 1) // 2, 1)


def _switch(stream: Stream, actor: Actor, windows: list[Window]) -> Switched:
    to = switch.authority(stream).store.peer
    said: list[float] = []
    try:
        done = hand_over(stream, to, actor, progress=lambda _: said.append(time.monotonic()))
    except Refused as exc:
        if isinstance(exc.__cause__, KeyboardInterrupt):
            raise exc.__cause__ from exc
        return Switched(to, failed=str(exc))
    finally:
        # First a switch says that it catches up, which no writer feels; then that it asks for the lock.
        if len(said) > 1:
            windows.append((said[1], time.monotonic()))
    return Switched(to, done.epoch, done.stall_seconds, done.keys)


@contextmanager
def _relaying(stream: Stream) -> Iterator[None]:
    """A relay in a thread of this process; raises what ended it."""
    stop = threading.Event()

    def relay() -> None:
        try:
            worker.run([stream], stop)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1, thread_name_prefix="rehearsal relay") as pool:
        work: Future[None] = pool.submit(relay)
        try:
            yield
        finally:
            stop.set()
        work.result()


def _lost(stream: Stream, written: list[Written]) -> list[str]:
    """Keys that one of the stores does not have as they were acknowledged last, or has although nobody wrote them."""
    expected = {key: value for one in written for key, value in one.acknowledged.items() if value is not None}
    lost = {key for one in written for key in one.missing}
    for store in Store:
        held = _held(stream, store)
        lost |= {key for key in expected.keys() | held.keys() if expected.get(key) != held.get(key)}
    return sorted(lost)


def _held(stream: Stream, store: Store) -> dict[str, int]:
    query = compose("rehearsal", "held", table=projection.table(stream.side(store)))
    with reaching(store), dedicated(store, "rehearsal") as session:
        return {str(key): int(value) for key, value in session.execute(query)}
