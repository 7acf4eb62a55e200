"""One stream's way from authority to mirror, held open: two sessions, the partitions it works on, their fences."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import RLock
from types import TracebackType

import psycopg

from dualwrite import capture, measured, outbox, switch
from dualwrite.exceptions import Held, Overtaken, Superseded
from dualwrite.failpoints import reach
from dualwrite.parameters import BATCH_SIZE
from dualwrite.relay import brake, knot, parking, sparing
from dualwrite.relay.ahead import Ahead, Batch, Wanted
from dualwrite.relay.applier import Applied, Applier
from dualwrite.relay.fences import acquire, holder
from dualwrite.relay.fleet import Presence, share
from dualwrite.relay.horizon import Horizon
from dualwrite.relay.parking import POISON, Failure, refused
from dualwrite.relay.reader import Reader
from dualwrite.relay.way import Way, check_partitions, way
from dualwrite.said import said
from dualwrite.session import RELAY
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import dedicated, reaching
from dualwrite.stream import BULK, Stream

log = logging.getLogger(__name__)

#: A relay gives its partitions up within a poll; one that does not is frozen, and the fences refuse it.
GIVE_WAY_SECONDS = 3.0
#: How often it is looked whether a parked key is due to be tried again.
AGAIN_SECONDS = 1.0
#: Of so many batches one takes first what yields to writes, so that a backfill comes to its end under any load.
YIELDING = 8
#: Keys of a batch while the mirror is spared.
SPARING_KEYS = 500


@dataclass(frozen=True)
class Moved:
    """What one batch did: different keys taken, how many of them were parked; or why nothing is relayed now.

    `wanted`: somebody waits for the partitions, so close the pipe. `spared`: why the mirror is to be given a rest.
    """

    keys: int = 0
    parked: int = 0
    still: str = ""
    wanted: bool = False
    spared: str = ""


class _Ended(Exception):
    """The batch is left in the middle: what was applied is, and all of it is noted still."""


class Pipe:
    """Opened for the way in force; a switch makes it stale, and it then raises Superseded.

    With `insist` it has every partition, whoever had it; with `only` it works on those alone; else on its share.
    """

    def __init__(
        self,
        stream: Stream,
        way: Way,
        stack: ExitStack,
        *,
        insist: bool = False,
        only: Sequence[int] = (),
        limits: str = RELAY,
        reader: str = "",
    ) -> None:
        self.stream, self.way, self.authority = stream, way, way.authority
        authority = way.authority
        of_reader = f"{limits} {reader}"
        self._source = stack.enter_context(dedicated(authority, f"relay {stream.name} reader", limits=of_reader))
        self._mirror = stack.enter_context(dedicated(authority.peer, f"relay {stream.name}", limits=limits))
        for session in (self._source, self._mirror):
            session.execute(statement("relay", "plan_for_batches"))
        self._registry = self._mirror
        if authority is Store.REGISTRY:
            # The source is in the middle of a COPY when the brake wants to account.
            self._registry = stack.enter_context(dedicated(authority, f"relay {stream.name} control", limits=limits))
        self._using = RLock()
        self._ahead = Ahead(self._new_reader)
        self._reader = self._ahead.reader
        stack.callback(self._ahead.close)
        self._applier = Applier(stream, authority.peer, self._mirror, way.partitions)
        self._group: Reader | None = None
        self._horizon = Horizon()
        self._again_at, self._batches = 0.0, 0
        #: Asked where a batch takes long, as records of it are refused.
        self.told_to_stop: Callable[[], bool] = lambda: False
        #: Why the mirror is spared; empty when it is not.
        self.spared = ""
        self.partitions: list[int] = []
        self._insist, self._only = insist, list(only) or list(range(way.partitions))
        self._join(stack, counted=not insist and not only)

    def _new_reader(self, name: str) -> Reader:
        return Reader(self.stream, self.authority, self._source, name, self._using)

    def _join(self, stack: ExitStack, *, counted: bool) -> None:
        """Be one of the stream's relays and take what is free."""
        self._presence = Presence(self.stream, self.authority, stack, counted=counted)
        self._counted = counted
        if self._insist:
            self._presence.claim_all()
        elif not counted:
            self._presence.claim(self._only)
        if self._insist and not self._presence.wait_for(self._only, GIVE_WAY_SECONDS):
            # Safe without the locks: whoever still has one is refused by the fence from here on.
            log.warning("stream %s: a relay does not give way; it is refused from now on", self.stream.name)
        self._balance()

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
        """Close all sessions; the server releases the partitions."""
        self._stack.close()

    def check(self) -> bool:
        """Whether the way is still the one in force; raises CaptureBroken when notes cannot be relied on."""
        switch.require_pair()
        capture.require_trusted(self.stream, self.authority)
        # The relay writes a mirror without its guard all the same; but so may others then.
        capture.distrust_if_damaged(self.stream, self.authority.peer)
        self._reader.ping()
        # Other relays may have come, or gone.
        self._balance()
        self._look_ahead_of_deleted()
        self.spared = "" if self._insist else sparing.reason(self.stream, self.authority.peer)
        return way(self.stream) == self.way

    def _balance(self) -> None:
        """Have this relay's share of the partitions: give away what is above it, take what is free below."""
        mine = self._only
        if not self._insist:
            mine = self._presence.unclaimed(self._only, told=not self._counted)
        most = share(len(mine), self._presence.relays()) if self._counted else len(mine)
        kept = [p for p in self.partitions if p in mine][:most]
        surplus = [p for p in self.partitions if p not in kept]
        if surplus:
            self._give(surplus)
        missing = [p for p in mine if p not in kept and p not in surplus]
        free = missing if self._insist else self._presence.lock(missing, most - len(kept))
        if free:
            self._take(free)

    def _take(self, partitions: Sequence[int]) -> None:
        """Take the fences; without `insist` not those of a relay that stands still with them locked: those are left."""
        epochs = acquire(self._mirror, self.stream, partitions, unlocked=not self._insist)
        self._presence.leave([p for p in partitions if p not in epochs])
        self._applier.hold(epochs, holder(self._mirror))
        self.partitions += [p for p in partitions if p in epochs]
        # Nobody has looked into these.
        self._horizon = Horizon()
        reach("relay fences taken")

    def _give(self, partitions: Sequence[int]) -> None:
        # 1. What was read ahead may be of these; 2. nothing of theirs is applied any more; 3. another may have them.
        self._ahead.drop()
        self._applier.let_go(partitions)
        self.partitions = [p for p in self.partitions if p not in partitions]
        reach("relay gives partitions away")
        self._presence.leave(partitions)

    def _look_ahead_of_deleted(self) -> None:
        # All of them, those too that are not taken from while the mirror is spared.
        lanes = [self.stream.lane(p, bit) for p in self.partitions for bit in (0, BULK)]
        if lanes:
            last = self._reader.last_note()
            self._horizon.look(last, *self._reader.oldest_note(lanes, self._horizon.above))

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
        if not self._insist and self._presence.wanted(self.partitions):
            return Moved(wanted=True)
        still = self.standing_still()
        if still:
            self._ahead.drop()
            return Moved(still=still)
        self._try_again()
        if not self.partitions:
            return Moved()
        batch = self._ahead.take(self._wanted)
        if not batch.taken.notes:
            return Moved(spared=self.spared)
        reach("relay taken")
        self._brake = partial(
            brake.brake,
            self.stream,
            self._registry,
            brake.Batch(batch.taken.oldest_note, caught_up=not batch.full),
        )
        self._newest = batch.taken.newest_note
        if batch.full and not self.spared:
            self._ahead.begin(batch, self._wanted(ahead=1))
        began = time.monotonic()
        try:
            parked = self._move_batch(batch)
            measured.took(self.stream.name, self.authority.peer.value, time.monotonic() - began)
        except Held as exc:
            batch.reader.forget()
            self._ahead.drop()
            brake.hold(self.stream, self._registry, exc.detail)
            raise
        except _Ended:
            batch.reader.forget()
            self._ahead.drop()
            return Moved(wanted=not self.told_to_stop())
        self._turn()
        return Moved(batch.taken.keys, parked, spared=self.spared)

    def _wanted(self, ahead: int = 0) -> Wanted:
        """The next batch, or the one after it. What is parked is read now, before its records (`parking.settle`)."""
        size = BATCH_SIZE.value()
        if self.spared:
            size = min(size, SPARING_KEYS)
        return Wanted(self._lanes(ahead), size, self._horizon.above, parking.seen(self.stream, self._registry))

    def _lanes(self, ahead: int = 0) -> list[int]:
        """In the order in which they are to be taken: what yields to writes last, and once in a while first."""
        partitions = self.partitions[ahead:] + self.partitions[:ahead]
        urgent, yielding = ([self.stream.lane(p, bit) for p in partitions] for bit in (0, BULK))
        if self.spared:
            return urgent
        return yielding + urgent if (self._batches + ahead) % YIELDING == YIELDING - 1 else urgent + yielding

    def _turn(self) -> None:
        # The partition that came first comes last, so that a busy one does not starve the others. Counted here and not
        # where a batch is wanted: of a batch that was read ahead and dropped, the turn would be lost each time.
        self.partitions = [*self.partitions[1:], *self.partitions[:1]]
        self._batches += 1

    def _try_again(self) -> None:
        """Note the parked keys that are due; not for a switch, which is to end, not to begin anything."""
        if self._insist or time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + AGAIN_SECONDS
        keys = parking.due(self.stream, self._registry)
        if keys:
            outbox.note(self.stream, self.authority, keys, outbox.Cause.REDRIVE)

    def _move_batch(self, batch: Batch) -> int:
        self._reader = batch.reader
        failed = dict.fromkeys(self._reader.keyless(), parking.NULL_KEY)
        self._apply_batch(batch, failed)
        if failed:
            # Keys that are applied together now may be in the batch read ahead, as they were before.
            self._ahead.drop()
        self._untie(failed)
        parked = parking.settle(self.stream, self._reader, self._registry, failed, batch.wanted.parked)
        if parked and self._applier.taken_over():
            # Another may have applied what I failed with, and deleted its notes, before I parked it: once more.
            outbox.note(self.stream, self.authority, list(failed), outbox.Cause.REDRIVE)
        reach("relay applied")
        self._ahead.done(batch, self._applier.counted)
        return parked

    def _apply_batch(self, batch: Batch, failed: dict[str, Failure]) -> None:
        if batch.blocks is not None:
            try:
                failed.update(self._applier.apply(batch.blocks, self._brake, self._newest).set_aside)
                return
            except (Overtaken, *POISON) as exc:
                # As if nothing had been read ahead: it is read again, and halved where that fails too.
                log.debug("stream %s: %s; reading the batch again", self.stream.name, said(exc))
        self._apply(1, batch.taken.keys, failed)

    def _untie(self, failed: dict[str, Failure]) -> None:
        knot.untie(self.stream, self._registry, self._together, failed)

    def _together(self, keys: Sequence[str]) -> Applied:
        """Make the mirror equal for these keys in one transaction, whoever has their partitions; their notes stay."""
        if self._group is None:
            self._group = self._new_reader("group")
        group = self._group
        taken = group.take_keys(keys, self.way.partitions)
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
            if self._is_to_end():
                raise _Ended from exc
            middle = (low + high) // 2
            self._apply(low, middle, failed)
            self._apply(middle + 1, high, failed)

    def _is_to_end(self) -> bool:
        """Whether somebody waits for the end of a batch whose records are refused, which may take minutes."""
        return self.told_to_stop() or (not self._insist and self._presence.wanted(self.partitions))

    def _make_equal(self, low: int, high: int) -> Applied:
        try:
            with self._reader.read(low, high) as blocks:
                reach("relay read")
                return self._applier.apply(blocks, self._brake, self._newest)
        except Overtaken:
            # A writer has mirrored its own keys since the fences were mine. What was read may be older: read it again,
            # and the batch behind it as well, which my new fences would let pass.
            self._ahead.drop()
            self._applier.hold(acquire(self._mirror, self.stream, self.partitions), holder(self._mirror))
            return self._applier.apply_anew(partial(self._reader.read, low, high), self._brake, self._newest)


def open_pipe(stream: Stream, *, insist: bool = False, only: Sequence[int] = ()) -> Pipe | None:
    """The pipe of the way in force; None when nothing is mirrored. It has no partition while others have them all.

    With `insist` other relays are asked to give way, and refused by their fences if they do not. Raises
    AuthorityUnknown, StoreUnreachable, NotInstalled, CaptureBroken, UsageError for a partition that there is not.
    """
    in_force = way(stream)
    if in_force is None:
        return None
    check_partitions(stream, only, in_force.partitions)
    switch.require_pair()
    capture.require_trusted(stream, in_force.authority)
    reach("relay opening")
    with ExitStack() as stack:
        pipe = Pipe(stream, in_force, stack, insist=insist, only=only)
        pipe.keep(stack.pop_all())
    return pipe
