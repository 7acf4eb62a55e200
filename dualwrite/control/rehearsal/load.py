"""Writers in threads: each write goes to the store that takes it, and is remembered once it was acknowledged."""

import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import psycopg

from dualwrite import projection
from dualwrite.control.rehearsal.figures import Write
from dualwrite.exceptions import StoreFailed
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, describe, reaching
from dualwrite.stream import Stream

WRITERS = 4
#: What the triggers say of a store that does not take the write.
ELSEWHERE = "DW001"
#: Between two tries while no store takes a write: half-done, the stream waits for a relay that settles it.
AGAIN_SECONDS = 0.005
GIVE_UP_SECONDS = 60.0
#: Most writes are of keys of their own, so that the loss of each would show at the end. Deletes stay well below the
#: tenth of the rows at which the relay's brake stops and asks.
UPDATES, DELETES = 0.3, 0.03


@dataclass
class Written:
    """What one writer did: its writes; each key with the value acknowledged last, None once deleted.

    `missing`: keys that were not there any more when it wrote them again.
    """

    writes: list[Write] = field(default_factory=list)
    acknowledged: dict[str, int | None] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


class Load:
    """The writers at work."""

    def __init__(self, work: "list[Future[Written]]", stop: threading.Event) -> None:
        self._work, self._stop = work, stop

    def go_on(self, seconds: float) -> None:
        """Let them write for so long; returns early when they have been stopped by an error of one of them."""
        self._stop.wait(seconds)

    @property
    def broken(self) -> bool:
        """Whether one of them has ended by an error."""
        return self._stop.is_set()

    def stop(self) -> list[Written]:
        """What each did; raises the error that ended one of them."""
        self._stop.set()
        return [one.result() for one in self._work]


@contextmanager
def load(stream: Stream, rate: float) -> Iterator[Load]:
    """Writers with `rate` writes a second in all, until `stop` or the end of the block."""
    stop = threading.Event()
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="rehearsal") as pool:
        try:
            yield Load([pool.submit(_work, stream, number, rate / WRITERS, stop) for number in range(WRITERS)], stop)
        finally:
            stop.set()


def _work(stream: Stream, number: int, rate: float, stop: threading.Event) -> Written:
    try:
        with ExitStack() as stack:
            sessions = {store: stack.enter_context(_session(store, number)) for store in Store}
            return _Writer(stream, sessions, number, stop).write(rate)
    finally:
        # One that fails ends them all: the rehearsal is over.
        stop.set()


@contextmanager
def _session(store: Store, number: int) -> Iterator[Session]:
    with reaching(store), dedicated(store, f"rehearsal writer {number}") as session:
        yield session


class _Writer:
    """One thread's keys and sessions, and the store it takes for the authority."""

    def __init__(self, stream: Stream, sessions: Mapping[Store, Session], number: int, stop: threading.Event) -> None:
        self._sessions, self._stop = sessions, stop
        self._dice = random.Random(number)  # nosec B311  # noqa: S311 - dice of a load
        self._here, self._name, self._count = Store.SCREENER, f"w{number}", 0
        self._statements = {
            (store, kind): compose("rehearsal", kind, table=projection.table(stream.side(store)))
            for store in Store
            for kind in ("insert", "update", "delete")
        }
        self._alive: list[str] = []
        self.written = Written()

    def write(self, rate: float) -> Written:
        """Write at a steady pace until told to stop; after a stall, what is due follows at once."""
        due = time.monotonic()
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            self._one()
            due += 1 / rate
        return self.written

    def _one(self) -> None:
        self._count += 1
        chance = self._dice.random() if self._alive else 1.0
        if chance < UPDATES:
            self._send("update", self._dice.choice(self._alive), self._count)
        elif chance < UPDATES + DELETES:
            self._send("delete", self._alive.pop(self._dice.randrange(len(self._alive))), None)
        else:
            key = f"{self._name}-{self._count}"
            self._send("insert", key, self._count)
            self._alive.append(key)

    def _send(self, kind: str, key: str, value: int | None) -> None:
        """Until one of the stores takes it; told to stop, a write that was refused is given up."""
        began, refused = time.monotonic(), 0
        while (changed := self._try(kind, key, value, began)) is None:
            refused += 1
            if self._stop.wait(AGAIN_SECONDS if refused > 1 else 0):
                return
        self.written.writes.append(Write(began, time.monotonic(), refused))
        if changed:
            self.written.acknowledged[key] = value
        else:
            self.written.missing.add(key)

    def _try(self, kind: str, key: str, value: int | None, began: float) -> bool | None:
        """Whether a row was changed; None when the write is to be tried again."""
        try:
            with reaching(self._here):
                query = self._statements[self._here, kind]
                return self._sessions[self._here].execute(query, {"code": key, "value": value}).rowcount == 1
        except psycopg.Error as exc:
            if exc.sqlstate != ELSEWHERE or time.monotonic() - began > GIVE_UP_SECONDS:
                raise StoreFailed(f"{describe(self._here)}: {exc.diag.message_primary or exc}") from exc
            # The role is told by a store that does not take writes; one in the middle of a switch tells none.
            if exc.diag.message_detail:
                self._here = self._here.peer
            return None
