"""Relaying for as long as the process lives, or until everything noted has been relayed."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import psycopg
from django.db import Error as DatabaseError
from django.db import connections

from dualwrite import measured, outbox, switch, trace
from dualwrite.breaker import breaker_of
from dualwrite.exceptions import DualWriteError, Held, Refused, RelayStalled, Superseded
from dualwrite.relay.pipe import Moved, Pipe, open_pipe
from dualwrite.said import said
from dualwrite.stages import Role, Store
from dualwrite.stores import require_present
from dualwrite.stream import Stream

log = logging.getLogger(__name__)

BUSY_POLL_SECONDS = 0.025
IDLE_POLL_SECONDS = 0.25
CHECK_SECONDS = 1.0
RETRY_SECONDS = (0.5, 5.0)
STALLED_AFTER_SECONDS = 60.0
RELAY = switch.Actor("relay", "a switch was left half-done")


@dataclass
class Lane:
    """One stream of a worker: its pipe when open, and what it last said, so that a trouble is logged once.

    A patient lane waits troubles out; one that is not raises them. `only`: its partitions, if not its share of all.
    `told_to_stop`: whether it is to leave a batch in the middle.
    """

    stream: Stream
    patient: bool = True
    only: Sequence[int] = ()
    told_to_stop: Callable[[], bool] = lambda: False
    pipe: Pipe | None = None
    said: str = ""
    try_again_at: float = 0.0
    check_at: float = 0.0
    backoff: float = field(default=RETRY_SECONDS[0])

    def step(self) -> Moved:
        """Relay one batch if there is one; alone on its thread, each is a request of its own in log and audit."""
        with trace.begun(stream=self.stream.name):
            return self._step()

    def _step(self) -> Moved:
        if time.monotonic() < self.try_again_at:
            return Moved()
        try:
            moved = self._move()
        except Held as exc:
            if not self.patient:
                raise
            moved = Moved(still=exc.detail)
        except Superseded as exc:
            log.info("%s; starting over", exc)
            self.close()
            return Moved()
        except (DualWriteError, DatabaseError, psycopg.Error) as exc:
            self.close()
            if isinstance(exc, DualWriteError) and not self.patient:
                raise
            measured.failed(self.stream.name, type(exc).__name__)
            self._say(f"{said(exc)}; trying again")
            self.try_again_at = time.monotonic() + self.backoff
            self.backoff = min(self.backoff * 2, RETRY_SECONDS[1])
            return Moved()
        if moved.wanted:
            log.info("stream %s: giving way to a switch", self.stream.name)
            self.close()
            self.try_again_at = time.monotonic() + IDLE_POLL_SECONDS
            return Moved()
        if moved.still:
            self._say(f"stream {self.stream.name} stands still: {moved.still}")
        elif moved.spared:
            self._say(f"stream {self.stream.name} is relayed slowly: {moved.spared}")
        else:
            self._recovered()
        return moved

    def close(self) -> None:
        """Give the partitions back."""
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _move(self) -> Moved:
        if self.pipe is None:
            self._settle()
            self.pipe = open_pipe(self.stream, only=self.only)
            if self.pipe is not None:
                self.pipe.told_to_stop = self.told_to_stop
            self.check_at = time.monotonic() + CHECK_SECONDS
        if self.pipe is None:
            # Nothing is mirrored yet: look again soon.
            self.try_again_at = time.monotonic() + CHECK_SECONDS
            return Moved()
        if time.monotonic() >= self.check_at:
            self.check_at = time.monotonic() + CHECK_SECONDS
            self._settle()
            if not self.pipe.check():
                raise Superseded(f"stream {self.stream.name}: the direction has changed")
        return self.pipe.move()

    def _settle(self) -> None:
        """Bring a switch to its end whose process died; one that lives holds the lock, and is left alone."""
        if Role.FENCED not in {state.role for state in switch.both(self.stream)}:
            return
        try:
            taken = switch.settle(self.stream, RELAY)
        except Refused as exc:
            self._say(str(exc))
            return
        if not taken:
            return  # it was under way, and has ended meanwhile
        log.warning("stream %s: a switch was left half-done; settled: %s", self.stream.name, ", ".join(map(str, taken)))

    def _say(self, sentence: str) -> None:
        if sentence != self.said:
            log.warning("%s", sentence)
            self.said = sentence

    def _recovered(self) -> None:
        if self.said:
            log.info("stream %s: relaying again", self.stream.name)
            if self.pipe is not None:
                breaker_of(self.pipe.authority.peer).succeeded()
        self.said, self.backoff = "", RETRY_SECONDS[0]


def run(streams: Sequence[Stream], stop: threading.Event, only: Sequence[int] = ()) -> None:
    """Relay until `stop` is set. `only`: these partitions, instead of its share.

    The batch in hand is finished first, but one whose records are refused, which are tried one by one then.

    Each stream has a thread of its own, so that one whose keys are parked one by one, or whose store is slow, holds no
    other one up. What ends one of them unforeseen stops the others and is raised.
    """
    with ThreadPoolExecutor(max(len(streams), 1), thread_name_prefix="relay") as pool:
        lanes = [pool.submit(_relay, stream, stop, only) for stream in streams]
        try:
            wait(lanes, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    for lane in lanes:
        lane.result()


def _relay(stream: Stream, stop: threading.Event, only: Sequence[int]) -> None:
    lane, pause = Lane(stream, only=only, told_to_stop=stop.is_set), BUSY_POLL_SECONDS
    try:
        while not stop.is_set():
            moved = lane.step()
            if moved.keys and not moved.spared:
                pause = BUSY_POLL_SECONDS
                continue
            stop.wait(pause)
            pause = min(pause * 2, IDLE_POLL_SECONDS)
    finally:
        lane.close()
        connections.close_all()


def relay_for(stream: Stream, seconds: float) -> Moved:
    """Relay until nothing waits, for so many seconds at most; returns what this call moved. Raises as `drain`."""
    lane, keys, parked = Lane(stream, patient=False), 0, 0
    idle, until = threading.Event(), time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            moved = lane.step()
            keys, parked = keys + moved.keys, parked + moved.parked
            if not moved.keys:
                if not outbox.pending(stream, switch.authority(stream).store).count:
                    break
                idle.wait(BUSY_POLL_SECONDS)
        return Moved(keys, parked)
    finally:
        lane.close()


def drain(stream: Stream, progress: Callable[[int], None] = lambda done: None, only: Sequence[int] = ()) -> Moved:
    """Relay until nothing waits; returns what this call moved itself (another relay may have helped).

    `only`: until nothing waits in these partitions.

    Raises StoreUnreachable, NoOldStore and the like at once, Held when an operator or the brake stopped the stream,
    RelayStalled when nothing moves for a minute.
    """
    lane, keys, parked = Lane(stream, patient=False, only=only), 0, 0
    idle = threading.Event()
    waiting, since = -1, time.monotonic()
    try:
        while True:
            moved = lane.step()
            keys, parked = keys + moved.keys, parked + moved.parked
            if moved.keys:
                progress(keys)
                since = time.monotonic()
                continue
            left = outbox.pending(stream, switch.authority(stream).store, only=only).count
            if not left:
                return Moved(keys, parked)
            if left != waiting:
                waiting, since = left, time.monotonic()
            _require_progress(lane, since, left)
            idle.wait(BUSY_POLL_SECONDS)
    finally:
        lane.close()


def _require_progress(lane: Lane, since: float, left: int) -> None:
    require_present(Store.SCREENER, f"stream {lane.stream.name} has {left} keys noted for it")
    because = lane.pipe.standing_still() if lane.pipe else ""
    if because:
        raise Held(f"stream {lane.stream.name}: {because}")
    if time.monotonic() - since > STALLED_AFTER_SECONDS:
        raise RelayStalled(f"stream {lane.stream.name}: {left} keys wait; {lane.said or 'another relay holds them'}")
