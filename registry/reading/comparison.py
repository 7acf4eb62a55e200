"""Reads the same from the other store once an answer is given, in a thread of its own, and says what differs.

A job costs whoever answers one place in a queue. The thread gives up at the deadline; a queue that is full drops.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import SystemRandom

from django.db import DatabaseError, connections, transaction

from dualwrite.exceptions import DualWriteError, first_line
from dualwrite.stages import Store
from dualwrite.stores import present
from dualwrite.stream import Stream
from registry.models import ReadMismatch
from registry.reading import counted, records
from registry.reading.ignoring import covered_by, rules_of
from registry.reading.judging import LOOKED_AT, Difference, Result, differences, resting
from registry.reading.parameters import COMPARED_PERCENT, COMPARED_WITH_ITSELF, DEADLINE_SECONDS
from registry.reading.records import Asked
from registry.reading.route import Answer

log = logging.getLogger(__name__)

WAITING = 100
#: Mismatches kept a minute, by each process.
KEPT_A_MINUTE = 20


@dataclass(frozen=True)
class Job:
    """One answer to be compared: who asked for what, and what was told."""

    stream: Stream
    consumer: str
    asked: Asked
    answer: Answer
    itself: bool
    until: float
    since: float = field(default_factory=time.monotonic)

    @property
    def mode(self) -> str:
        """Whether it is compared with the other store (ab) or with the one that answered (aa)."""
        return "aa" if self.itself else "ab"

    @property
    def store(self) -> Store:
        """The store to ask."""
        return self.answer.route.store if self.itself else self.answer.route.store.peer


def job(stream: Stream, consumer: str, asked: Asked, answer: Answer) -> Job | None:
    """The answer as a job, where it belongs to the sample."""
    if not answer.route.is_compared or len(present()) < len(Store):
        return None
    if SystemRandom().random() * 100 >= COMPARED_PERCENT.value():
        return None
    until = time.monotonic() + DEADLINE_SECONDS.value()
    return Job(stream, consumer, asked, answer, COMPARED_WITH_ITSELF.value(), until)


class Comparer:
    """The thread of this process, begun with the first job."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._jobs: queue.Queue[Job | None] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None
        self._making = threading.Lock()
        self._minute, self._kept = 0, 0

    def offer(self, given: Job) -> None:
        """Have it compared some time, or drop it. Never waits, never raises."""
        try:
            self._jobs.put_nowait(given)
            self._begin()
        except (queue.Full, RuntimeError):
            counted.compared(given.stream.name, given.mode, Result.DROPPED)

    def close(self) -> None:
        """End the thread, once what waits is done."""
        with self._making:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(30)

    def _begin(self) -> None:
        with self._making:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="compare reads", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (given := self._jobs.get()) is not None:
            result = self._result(given)
            counted.compared(given.stream.name, given.mode, result)
        connections.close_all()

    def _result(self, given: Job) -> Result:
        try:
            return self._compare(given)
        except (DualWriteError, DatabaseError) as exc:
            late = time.monotonic() >= given.until
            log.info("a read of %s was not compared: %s", given.stream.name, first_line(exc))
            return Result.TIMEOUT if late else Result.FAILED
        except Exception:
            # Whatever it is, it must not end the thread: the next comparison may be of use.
            log.exception("a read of %s was not compared", given.stream.name)
            return Result.FAILED
        finally:
            connections.close_all()

    def _compare(self, given: Job) -> Result:
        if time.monotonic() >= given.until:
            return Result.TIMEOUT
        began = time.monotonic()
        with _limited(given.store, given.until):
            other = records.read(given.stream, given.store, given.asked)
        counted.read_again(given.stream.name, given.store, time.monotonic() - began)
        found = differences(given.stream, given.answer.records, other, given.asked.limit)
        if not found:
            return Result.EQUAL
        if given.itself:
            # Nothing is looked at again: how much that hides is what is to be measured.
            return Result.MISMATCH
        return self._judge(given, found)

    def _judge(self, given: Job, found: Sequence[Difference]) -> Result:
        authority = given.answer.route.authority
        keys = [one.key for one in found[:LOOKED_AT]]
        with _limited(authority, given.until), _limited(authority.peer, given.until):
            different, unsettled = resting(given.stream, authority, keys, given.until)
        rules = rules_of(given.stream.name)
        counting = [one for one in found if one.key in different and covered_by(one, rules) is None]
        if counting:
            self._keep(given, counting)
            return Result.MISMATCH
        if different:
            return Result.IGNORED
        return Result.UNSETTLED if unsettled else Result.EQUAL

    def _keep(self, given: Job, found: Sequence[Difference]) -> None:
        minute = int(time.monotonic() // 60)
        self._minute, self._kept = minute, self._kept if minute == self._minute else 0
        for one in found[: KEPT_A_MINUTE - self._kept]:
            ReadMismatch.objects.create(
                stream=given.stream.name,
                consumer=given.consumer,
                stage=given.answer.route.stage,
                served_by=given.answer.route.store,
                key=one.key,
                fields=list(one.fields),
                served=_told(one.served),
                other=_told(one.other),
            )
            self._kept += 1


def _told(record: records.Record | None) -> dict[str, object] | None:
    if record is None:
        return None
    return {name: value if isinstance(value, bool) or value is None else str(value) for name, value in record.items()}


@contextmanager
def _limited(store: Store, until: float) -> Iterator[None]:
    """Statements in this store end by then. In a transaction, so that the limit ends with it in a pooled session."""
    milliseconds = max(1, int((until - time.monotonic()) * 1000))
    with transaction.atomic(using=store.alias), connections[store.alias].cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(milliseconds)])
        yield


COMPARER = Comparer()


def offer(given: Job) -> None:
    """Have it compared after the answer; never waits, never raises."""
    COMPARER.offer(given)


def close() -> None:
    """End the thread of this process; a later job begins another one."""
    COMPARER.close()


def _forked() -> None:
    global COMPARER
    COMPARER = Comparer()


os.register_at_fork(after_in_child=_forked)
