"""Processes in small: work in a thread of its own that falls asleep at every failpoint, until it is told to go on.

Only one of them moves at a time, so that a history is the same whenever it is replayed. One that sleeps may be killed
(its sessions end, as those of a dead process do), or its server may end its sessions while it sleeps; it is a zombie
then, which goes on with what it knew.
"""

import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connections

import dualwrite
from dualwrite import failpoints
from dualwrite.stores import Session
from dualwrite.switch.decision import Step

#: Between two failpoints nothing takes nearly as long, whatever locks are waited for.
STUCK_AFTER_SECONDS = 60
#: More places than any work passes.
MOST_PLACES = 2_000

END = """
SELECT pg_terminate_backend(p, 5000) FROM unnest(%(pids)s::int[]) AS p
 WHERE %(all)s OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = p AND l.locktype = 'advisory' AND l.classid = 25719
                             AND l.mode = 'ExclusiveLock' AND l.granted)
"""

_thread = threading.local()
_alive: "set[Sleeper]" = set()


class Killed(BaseException):
    """The process ended here: nothing catches it."""


class Sleeper:
    """One such process; it has not begun until it is woken for the first time."""

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name, self._work = name, work
        self.place = "its beginning"
        self._ended = threading.Event()
        self.error: BaseException | None = None
        self.sessions: list[psycopg.Connection[Any]] = []
        self._killed = False
        self._go, self._rests = threading.Event(), threading.Event()
        self._body = threading.Thread(target=self._live, name=name, daemon=True)
        _alive.add(self)
        self._body.start()

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self._ended.is_set()

    def __repr__(self) -> str:
        return f"<{self.name} at {self.place}>"

    def wake(self) -> None:
        """Let it go on to the next failpoint, or to its end."""
        if self._ended.is_set():
            return
        self._rests.clear()
        self._go.set()
        if not self._rests.wait(STUCK_AFTER_SECONDS):
            frame = sys._current_frames().get(self._body.ident or 0)
            raise AssertionError(f"{self} is stuck:\n{''.join(traceback.format_stack(frame))}")
        if self._ended.is_set():
            self._body.join()
            _alive.discard(self)

    def kill(self) -> None:
        """End it where it sleeps."""
        self._killed = True
        self.wake()

    def sever(self, observer: Session, only_locks: bool) -> None:
        """Let the observer's server end its sessions there while it sleeps on: all, or those that hold writers up."""
        here = _place(observer)
        pids = [s.info.backend_pid for s in self.sessions if not s.closed and _place(s) == here]
        observer.execute(END, {"pids": pids, "all": not only_locks})

    def fall_asleep(self, place: str) -> None:
        """Sleep here; called in its own thread."""
        self.place = place
        self._rest()

    def _live(self) -> None:
        _thread.sleeper = self
        try:
            self._go.wait()
            self._go.clear()
            if not self._killed:
                self._work()
        except BaseException as exc:
            self.error = exc
        finally:
            connections.close_all()
            self.place = "its end"
            self._ended.set()
            self._rests.set()

    def _rest(self) -> None:
        self._rests.set()
        self._go.wait()
        self._go.clear()
        if self._killed:
            raise Killed


def _place(session: psycopg.Connection[Any]) -> tuple[str, int, str]:
    return (session.info.host, session.info.port, session.info.dbname)


def places() -> list[str]:
    """Every failpoint of the engine, as its source names them."""
    found: set[str] = set()
    for path in Path(dualwrite.__file__).parent.rglob("*.py"):
        found.update(re.findall(r'\breach\(f?"([^"]+)"\)', path.read_text(encoding="utf-8")))
    steps = {f"settle {step}" for step in Step}
    return sorted(found - {"settle {move.step}"} | steps)


@contextmanager
def sleeping_at_failpoints() -> Iterator[None]:
    """Let sleepers, and nobody else, fall asleep at every failpoint; in the end none is left alive."""
    connect = psycopg.connect

    def known(*args: Any, **kwargs: Any) -> Any:
        session = connect(*args, **kwargs)
        sleeper: Sleeper | None = getattr(_thread, "sleeper", None)
        if sleeper is not None:
            sleeper.sessions.append(session)
        return session

    def at(place: str) -> Callable[[], None]:
        def fall_asleep() -> None:
            sleeper: Sleeper | None = getattr(_thread, "sleeper", None)
            if sleeper is not None:
                sleeper.fall_asleep(place)

        return fall_asleep

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg, "connect", known)
        for place in places():
            failpoints.at(place, at(place))
        try:
            yield
        finally:
            for sleeper in list(_alive):
                sleeper.kill()
            failpoints.clear()
