"""One stream's way from authority to mirror, held open: two sessions, the partitions it works on, their fences."""

import logging
import os
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType

import psycopg
from psycopg import errors

from dualwrite import capture, outbox, switch
from dualwrite.exceptions import Held, Overtaken, Refused, Superseded
from dualwrite.failpoints import reach
from dualwrite.parameters import BATCH_SIZE
from dualwrite.relay import brake, knot, parking
from dualwrite.relay.applier import Applied, Applier, acquired
from dualwrite.relay.parking import POISON, Failure, refused
from dualwrite.relay.reader import Reader
from dualwrite.session import RELAY
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream

log = logging.getLogger(__name__)

PARTITIONS = range(16)
#: A relay gives its partitions up within a poll; one that does not is frozen, and the fences refuse it.
GIVE_WAY_SECONDS = 3.0
#: How often it is looked whether a parked key is due to be tried again.
AGAIN_SECONDS = 1.0


@dataclass(frozen=True)
class Moved:
    """What one batch did: different keys taken, how many of them were parked; or why nothing is relayed now.

    `wanted`: somebody waits for the partitions, so close the pipe.
    """

    keys: int = 0
    parked: int = 0
    still: str = ""
    wanted: bool = False


class Pipe:
    """Opened for the direction in force; a switch makes it stale, and it then raises Superseded."""

    def __init__(
        self,
        stream: Stream,
        authority: Store,
        stack: ExitStack,
        *,
        insist: bool = False,
        limits: str = RELAY,
        reader: str = "",
    ) -> None:
        self.stream, self.authority = stream, authority
        of_reader = f"{limits} {reader}"
        self._source = stack.enter_context(dedicated(authority, f"relay {stream.name} reader", limits=of_reader))
        self._mirror = stack.enter_context(dedicated(authority.peer, f"relay {stream.name}", limits=limits))
        for session in (self._source, self._mirror):
            session.execute(statement("relay", "plan_for_batches"))
        self._registry = self._mirror
        if authority is Store.REGISTRY:
            # The source is in the middle of a COPY when the brake wants to account.
            self._registry = stack.enter_context(dedicated(authority, f"relay {stream.name} control", limits=limits))
        self._reader = Reader(stream, authority, self._source)
        self._applier = Applier(stream, authority.peer, self._mirror)
        self._group: Reader | None = None
        self._again_at = 0.0
        self.partitions: list[int] = []
        self._insist = insist
        if insist:
            _wait_for_partitions(self._source, stream)
        self._take_over()

    def __enter__(self) -> "Pipe":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def keep(self, stack: ExitStack) -> None:
        """Own the sessions from now on."""
        self._stack = stack

    def close(self) -> None:
        """Close both sessions; the server releases the partitions."""
        self._stack.close()

    def check(self) -> bool:
        """Whether the direction is still the one in force; raises CaptureBroken when notes cannot be relied on."""
        switch.require_pair()
        capture.require_trusted(self.stream, self.authority)
        # The relay writes a mirror without its guard all the same; but so may others then.
        capture.distrust_if_damaged(self.stream, self.authority.peer)
        self._reader.ping()
        # Another relay may have gone since, one that held a part of the partitions.
        self._take_over()
        return switch.authority(self.stream).store is self.authority

    def _take_over(self) -> None:
        """Work on every partition that nobody else works on."""
        missing = [p for p in PARTITIONS if p not in self.partitions]
        # Safe without the locks: whoever still has one is refused by the fence from here on.
        free = missing if self._insist else _lock_partitions(self._source, self.stream, missing)
        if free:
            self._applier.hold(_acquire(self._mirror, self.stream, free), _holder(self._mirror))
            self.partitions += free
            reach("relay fences taken")

    def standing_still(self) -> str:
        """Why nothing is to be relayed now; empty when relaying may go on."""
        row = self._registry.execute(statement("relay", "control"), {"stream": self.stream.name}).fetchone()
        if row is None:
            return "the stream was never enabled"
        return "paused by an operator" if row[0] else str(row[1])

    def move(self) -> Moved:
        """Relay one batch; raises Superseded, Held, StoreUnreachable or the driver's error."""
        try:
            return self._move()
        except psycopg.OperationalError as exc:
            # Either session may be the one that was lost; the error itself does not say.
            lost = self.authority if self._source.closed else self.authority.peer
            with reaching(lost):
                raise exc from None

    def _move(self) -> Moved:
        if not self._insist and self._wanted():
            return Moved(wanted=True)
        still = self.standing_still()
        if still:
            return Moved(still=still)
        self._try_again()
        size = BATCH_SIZE.value()
        taken = self._reader.take(self.partitions, size)
        if not taken.notes:
            return Moved()
        reach("relay taken")
        batch = brake.Batch(taken.oldest_note, caught_up=taken.notes < size)
        self._brake = partial(brake.brake, self.stream, self._registry, batch)
        self._newest = taken.newest_note
        try:
            parked = self._move_batch(taken.keys)
        except Held as exc:
            self._reader.forget()
            brake.hold(self.stream, self._registry, exc.detail)
            raise
        # The partition that came first comes last, so that a busy one does not starve the others.
        self.partitions = [*self.partitions[1:], self.partitions[0]]
        return Moved(taken.keys, parked)

    def _wanted(self) -> bool:
        names = {"names": [_name(self.stream, partition) for partition in self.partitions]}
        row = self._source.execute(statement("relay", "wanted"), names).fetchone()
        return bool(row and row[0])

    def _try_again(self) -> None:
        """Note the parked keys that are due; not for a switch, which is to end, not to begin anything."""
        if self._insist or time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + AGAIN_SECONDS
        keys = parking.due(self.stream, self._registry)
        if keys:
            outbox.note(self.stream, self.authority, keys, outbox.Cause.REDRIVE)

    def _move_batch(self, keys: int) -> int:
        failed = dict.fromkeys(self._reader.keyless(), parking.NULL_KEY)
        before = parking.seen(self.stream, self._registry)
        self._apply(1, keys, failed)
        self._untie(failed)
        parked = parking.settle(self.stream, self._reader, self._registry, failed, before)
        if parked and self._applier.taken_over():
            # Another may have applied what I failed with, and deleted its notes, before I parked it: once more.
            outbox.note(self.stream, self.authority, list(failed), outbox.Cause.REDRIVE)
        reach("relay applied")
        self._reader.done(self._applier.counted)
        return parked

    def _untie(self, failed: dict[str, Failure]) -> None:
        knot.untie(self.stream, self._registry, self._together, failed)

    def _together(self, keys: Sequence[str]) -> Applied:
        """Make the mirror equal for these keys in one transaction, whoever has their partitions; their notes stay."""
        if self._group is None:
            self._group = Reader(self.stream, self.authority, self._source, "group")
        group = self._group
        taken = group.take_keys(keys)
        try:
            if not taken.keys:
                raise Superseded(f"stream {self.stream.name}: nothing is noted any more")
            read = partial(group.read, 1, taken.keys)
            return self._applier.apply_anew(read, self._brake, 0, partitions=group.partitions, together=True)
        finally:
            group.forget()

    def _apply(self, low: int, high: int, failed: dict[str, Failure]) -> None:
        """Apply the keys numbered low to high; where that fails, each half, down to the key that cannot be applied."""
        try:
            applied = self._make_equal(low, high)
            failed.update(applied.set_aside)
        except POISON as exc:
            if low == high:
                failed[self._reader.key_at(low)] = refused(exc)
                return
            middle = (low + high) // 2
            self._apply(low, middle, failed)
            self._apply(middle + 1, high, failed)

    def _make_equal(self, low: int, high: int) -> Applied:
        try:
            with self._reader.read(low, high) as blocks:
                reach("relay read")
                return self._applier.apply(blocks, self._brake, self._newest)
        except Overtaken:
            # A writer has mirrored its own keys since the fences were mine. What was read may be older: read it again.
            self._applier.hold(_acquire(self._mirror, self.stream, self.partitions), _holder(self._mirror))
            return self._applier.apply_anew(partial(self._reader.read, low, high), self._brake, self._newest)


def open_pipe(stream: Stream, *, insist: bool = False) -> Pipe | None:
    """The pipe in the direction in force; None when nothing is mirrored or another relay has every partition.

    With `insist` other relays are asked to give way, and refused by their fences if they do not. Raises
    AuthorityUnknown, StoreUnreachable, NotInstalled, CaptureBroken.
    """
    authority = switch.authority(stream).store
    if switch.state(stream, authority.peer).role is not Role.MIRROR:
        return None
    switch.require_pair()
    capture.require_trusted(stream, authority)
    reach("relay opening")
    with ExitStack() as stack:
        pipe = Pipe(stream, authority, stack, insist=insist)
        if not pipe.partitions:
            return None
        pipe.keep(stack.pop_all())
    return pipe


def _lock_partitions(session: Session, stream: Stream, partitions: Sequence[int]) -> list[int]:
    held = []
    for partition in partitions:
        row = session.execute(statement("relay", "try_partition"), {"name": _name(stream, partition)}).fetchone()
        if row and row[0]:
            held.append(partition)
    return held


def _wait_for_partitions(session: Session, stream: Stream) -> None:
    until = time.monotonic() + GIVE_WAY_SECONDS
    try:
        for partition in PARTITIONS:
            left = max(int((until - time.monotonic()) * 1000), 1)
            session.execute("SELECT set_config('lock_timeout', %s, false)", (f"{left}ms",))
            session.execute(statement("relay", "wait_partition"), {"name": _name(stream, partition)})
    except errors.LockNotAvailable:
        log.warning("stream %s: a relay does not give way; it is refused from now on", stream.name)
    session.execute("RESET lock_timeout")


def _name(stream: Stream, partition: int) -> str:
    """What a partition is called in its lock."""
    return f"{stream.name}/{partition}"


def _acquire(session: Session, stream: Stream, partitions: Sequence[int]) -> dict[int, int]:
    values = {"stream": stream.name, "partitions": list(partitions), "holder": _holder(session)}
    try:
        rows = session.execute(statement("relay", "acquire"), values).fetchall()
    except errors.LockNotAvailable as exc:
        raise Refused(
            f"stream {stream.name}: a relay stands still in the middle of a batch; the server ends it soon, try again"
        ) from exc
    return acquired(rows, values)


def _holder(session: Session) -> str:
    """Under which name this session takes fences; no two have the same."""
    return f"{socket.gethostname()}:{os.getpid()}/{session.info.backend_pid}"
