"""One thread of this process for each stream, which mirrors the keys that were just written.

A thread, since nothing else bounds a wait for a server that is frozen, and since what several writers wrote meanwhile
is mirrored in one transaction. It keeps its pipe open, looks every second whether it may, and closes it when unused.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

import psycopg
from django.db import Error as DatabaseError
from django.db import connections

from dualwrite import measured
from dualwrite.breaker import breaker_of
from dualwrite.exceptions import DualWriteError, Held, StoreUnreachable, first_line
from dualwrite.parameters import INLINE_RELAY_SECONDS
from dualwrite.relay.inline import Inline, open_inline
from dualwrite.said import said
from dualwrite.stages import Store
from dualwrite.stream import Stream
from dualwrite.written import InStore, Outcome

log = logging.getLogger(__name__)

#: More keys than this, written by one call, are left to the relay: no moment is long enough for them.
MOST_KEYS = 1_000
CHECK_SECONDS = 1.0
UNUSED_SECONDS = 30.0
#: Of the writer's patience, what one statement of the lane may take, so that the server's word comes before its end.
STATEMENT_SHARE = 0.8
SILENT = "the mirror did not answer within {seconds:g} s"
NO_MIRROR = "no store follows now"
UNFORESEEN = "this process could not mirror it; its log says why"
SWITCHED = "the stream was switched meanwhile"


@dataclass(frozen=True)
class Job:
    """Keys written to the authority, committed at `since` (monotonic); `done` gets what became of each.

    `parts`: of each key its partition, were there 64 of them. `tries`: whether the mirror is back, while its breaker is
    open.
    """

    authority: Store
    keys: Sequence[str]
    parts: Mapping[str, int]
    tries: bool = False
    since: float = field(default_factory=time.monotonic)
    done: "Future[Mapping[str, InStore]]" = field(default_factory=Future)


class Lane:
    """Mirrors jobs one after the other, those that wait together."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        #: Why the mirror cannot be had; empty when it answered last time. While it is set, nobody waits.
        self.trouble = ""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._pipe: Inline | None = None
        self._seconds = 0.0
        self._check_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"mirror {stream.name}", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Have it mirrored; false when the lane is stuck and it is left to the relay."""
        if self.trouble and not self._jobs.empty():
            return False
        self._jobs.put(job)
        return True

    def wait(self, job: Job, seconds: float) -> Mapping[str, InStore]:
        """What became of the job's keys, after so many seconds at the latest."""
        if self.trouble:
            return outcomes(job, Outcome.PENDING, self.trouble)
        try:
            return job.done.result(seconds)
        except NotYet:
            # Only a mirror that says nothing is in trouble; one that is busy says so by itself.
            self.trouble = SILENT.format(seconds=seconds)
            breaker_of(job.authority.peer).failed(self.trouble)
            return outcomes(job, Outcome.PENDING, self.trouble)

    def close(self) -> None:
        """End the thread and its sessions."""
        self._jobs.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        try:
            while True:
                try:
                    job = self._jobs.get(timeout=UNUSED_SECONDS)
                except Empty:
                    self._drop()
                    continue
                if job is None:
                    return
                self._mirror_all(self._with_waiting(job))
        finally:
            self._drop()

    def _with_waiting(self, first: Job) -> list[Job]:
        """The job and those that wait behind it, as far as they fit into one batch."""
        jobs, keys = [first], len(first.keys)
        while keys < MOST_KEYS:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                self._jobs.put(None)
                break
            jobs.append(job)
            keys += len(job.keys)
        return jobs

    def _mirror_all(self, jobs: Sequence[Job]) -> None:
        for authority in {job.authority for job in jobs}:
            of_it = [job for job in jobs if job.authority is authority]
            parts = {key: part for job in of_it for key, part in job.parts.items()}
            # What waited behind the failure that opened the breaker does not reach for the mirror either.
            left = "" if any(job.tries for job in of_it) else breaker_of(authority.peer).why_not()
            found, why, parked = (Outcome.PENDING, left, {}) if left else self._mirror(authority, parts)
            for job in of_it:
                job.done.set_result(_outcomes(job, found, why, parked))
            self._finish()

    def _finish(self) -> None:
        """What is left to do once the writers were told; notes that are left by a failure are relayed once more."""
        if self._pipe is None:
            return
        try:
            self._pipe.finish()
        except (DualWriteError, DatabaseError, psycopg.Error) as exc:
            log.debug("stream %s: notes are left to the relay: %s", self.stream.name, said(exc))
            self._drop()

    def _mirror(self, authority: Store, parts: Mapping[str, int]) -> tuple[Outcome, str, Mapping[str, str]]:
        try:
            pipe = self._opened(authority)
            if pipe is None:
                return Outcome.PAUSED, NO_MIRROR, {}
            if pipe.authority is not authority:
                return Outcome.PENDING, SWITCHED, {}
            began = time.monotonic()
            parked = pipe.mirror(list(parts), parts)
            measured.took(self.stream.name, authority.peer.value, time.monotonic() - began)
        except Held as exc:
            # Both stores were reached to find that out.
            self._drop()
            self.trouble = ""
            breaker_of(authority.peer).succeeded()
            return Outcome.PAUSED, exc.detail, {}
        except (DualWriteError, DatabaseError, psycopg.Error) as exc:
            self._drop()
            return Outcome.PENDING, self._troubled(exc, authority.peer), {}
        except Exception:
            # No file left to open, no memory: whatever it is, the next writer must find the lane alive.
            log.exception("stream %s: what was written is left to the relay", self.stream.name)
            self._drop()
            return Outcome.PENDING, UNFORESEEN, {}
        self._recovered()
        breaker_of(authority.peer).succeeded()
        return Outcome.MIRRORED, "", parked

    def _troubled(self, exc: Exception, mirror: Store) -> str:
        measured.failed(self.stream.name, type(exc).__name__)
        sentence = first_line(exc)
        if not isinstance(exc, StoreUnreachable):
            self.trouble = ""
            return sentence
        if exc.store == mirror:
            breaker_of(mirror).failed(sentence)
        if not self.trouble:
            log.warning("stream %s: what is written is left to the relay: %s", self.stream.name, sentence)
        self.trouble = sentence
        return sentence

    def _recovered(self) -> None:
        if self.trouble:
            log.info("stream %s: what is written is mirrored at once again", self.stream.name)
            self.trouble = ""

    def _opened(self, authority: Store) -> Inline | None:
        """The pipe in the direction in force, which need not be that of the write any more."""
        seconds = INLINE_RELAY_SECONDS.value() * STATEMENT_SHARE
        if self._pipe is not None and (self._pipe.authority, self._seconds) == (authority, seconds):
            if time.monotonic() < self._check_at:
                return self._pipe
            if self._pipe.check():
                self._check_at = time.monotonic() + CHECK_SECONDS
                return self._pipe
        self._drop()
        self._pipe, self._seconds = open_inline(self.stream, seconds=seconds), seconds
        self._check_at = time.monotonic() + CHECK_SECONDS
        return self._pipe

    def _drop(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        connections.close_all()


def outcomes(job: Job, outcome: Outcome, why: str = "") -> Mapping[str, InStore]:
    """The same outcome for every key of the job."""
    return _outcomes(job, outcome, why, {})


def _outcomes(job: Job, outcome: Outcome, why: str, parked: Mapping[str, str]) -> Mapping[str, InStore]:
    milliseconds = round((time.monotonic() - job.since) * 1000, 3)
    one = InStore(outcome, milliseconds, why)
    return {key: InStore(Outcome.PARKED, milliseconds, parked[key]) if key in parked else one for key in job.keys}


_lanes: dict[str, Lane] = {}
_making = threading.Lock()


def lane_of(stream: Stream) -> Lane:
    """The stream's lane in this process."""
    with _making:
        if stream.name not in _lanes:
            _lanes[stream.name] = Lane(stream)
        return _lanes[stream.name]


def begin(stream: Stream, job: Job) -> Lane | str:
    """Have the job mirrored; returns the lane that does it, or why the relay has to. Raises nothing: it is written."""
    breaker = breaker_of(job.authority.peer)
    asked = breaker.ask()
    if asked.why and not asked.tries:
        return asked.why
    try:
        used = lane_of(stream)
    except RuntimeError as exc:
        log.warning("stream %s: what is written is left to the relay: %s", stream.name, exc)
        return UNFORESEEN
    if not used.submit(replace(job, tries=asked.tries)):
        breaker.failed(used.trouble)
        return used.trouble
    return asked.why or used


def close() -> None:
    """End all lanes of this process; a later write makes new ones."""
    with _making:
        lanes = list(_lanes.values())
        _lanes.clear()
    for lane in lanes:
        lane.close()


def _forked() -> None:
    """The threads stayed in the parent, and so do the sessions."""
    global _making
    _making = threading.Lock()
    _lanes.clear()


os.register_at_fork(after_in_child=_forked)
