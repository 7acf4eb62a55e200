"""Who calls which contract: counted in memory, and added to the day's row every few seconds.

How it can fail, and the answer: the process is killed → what it counted since is lost, a few seconds of it; the
registry is away → what was counted is kept and added later, said once in the log. No request waits for it.
"""

import atexit
import datetime as dt
import logging
import os
import threading
from collections import Counter

from django.db import DatabaseError, connections
from django.utils import timezone

from dualwrite.exceptions import first_line
from dualwrite.stages import Store
from registry.reading import counted

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
ADD = """
INSERT INTO instrument_registry.consumer_calls AS c (consumer, contract, day, calls, last_at)
VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (consumer, contract, day) DO UPDATE
   SET calls = c.calls + excluded.calls, last_at = greatest(c.last_at, excluded.last_at)
"""
Call = tuple[str, str, dt.date]


class Usage:
    """The counts of this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._calls: Counter[Call] = Counter()
        self._last: dict[Call, dt.datetime] = {}
        self._thread: threading.Thread | None = None
        self._end = threading.Event()
        self._told = False

    def note(self, consumer: str, contract: str) -> None:
        """A consumer called."""
        counted.called(consumer, contract)
        now = timezone.now()
        with self._guard:
            self._calls[consumer, contract, now.date()] += 1
            self._last[consumer, contract, now.date()] = now
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="consumer calls", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Add what was counted to the rows; what cannot be added now is kept."""
        with self._guard:
            calls, last = self._calls, self._last
            self._calls, self._last = Counter(), {}
        left = Counter(calls)
        try:
            with connections[Store.REGISTRY.alias].cursor() as cursor:
                for call, number in calls.items():
                    cursor.execute(ADD, [*call, number, last[call]])
                    del left[call]
            self._told = False
        except DatabaseError as exc:
            if not self._told:
                log.warning("calls of consumers are counted and not kept yet: %s", first_line(exc))
                self._told = True
            with self._guard:
                self._calls.update(left)
                self._last = {**{call: last[call] for call in left}, **self._last}

    def close(self) -> None:
        """End the thread; it adds what is left."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(10)

    def _run(self) -> None:
        ends = False
        while not ends:
            ends = self._end.wait(EVERY_SECONDS)
            self.flush()
            connections.close_all()


USAGE = Usage()


def note(consumer: str, contract: str) -> None:
    """A consumer called; costs no message."""
    USAGE.note(consumer, contract)


def close() -> None:
    """Keep what was counted and begin anew, as at the end of a process."""
    global USAGE
    USAGE.close()
    USAGE = Usage()


def _forked() -> None:
    global USAGE
    USAGE = Usage()


os.register_at_fork(after_in_child=_forked)
atexit.register(close)
