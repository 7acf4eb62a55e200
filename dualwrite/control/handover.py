"""Moving the authority over a stream from one store to the other, while writers wait.

The steps are the protocol's (docs/protocol.md), in this order:

1. the relays give their partitions up, so that this process relays the last notes itself; what waits is relayed while
   writers still write, until one batch is soon done;
2. writers wait: a session's exclusive lock on the authority, asked for in short tries;
3. fence, drain, promote, demote; then the lock is released. Writers that waited are told the right store.

How it can fail, and the answer:

* a writer does not finish → the lock is not had in time; nothing was changed, and the error names the writer;
* the drain takes too long, a key is parked, the relay is paused, or anything raises → burn, revert: writers go on;
* this process dies → its locks go with its sessions, writers meet the fence; relay, command, sweep or health check
  settle it (`switch.settle`);
* this process freezes → the server ends the silent session, then as above; waking up, it finds its epoch burnt or
  over, and each of its steps refuses;
* a second switch → it waits for the lock, then finds another role or epoch, and refuses.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dualwrite import capture, router, switch
from dualwrite.control.last_keys import LastKeys
from dualwrite.exceptions import ConcurrentChange, DualWriteError, Refused, TakenBack
from dualwrite.failpoints import reach
from dualwrite.models import StreamControl
from dualwrite.parameters import SWITCH_LOCK_SECONDS, SWITCH_TIMEOUT_SECONDS
from dualwrite.relay.pipe import Pipe, open_pipe
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State, sequences

log = logging.getLogger(__name__)

#: The silent session is ended this much later than the switch gives up by itself.
SPARE_SECONDS = 5

Say = Callable[[str], None]


@dataclass(frozen=True)
class HandedOver:
    """The epoch of the switch, how long writers had to wait, and the keys relayed meanwhile and just before."""

    epoch: int
    stall_seconds: float
    keys: int


def hand_over(stream: Stream, to: Store, actor: Actor, *, progress: Say = lambda sentence: None) -> HandedOver:
    """Make `to` the authority and the other store its mirror.

    Raises Refused when it cannot begin (nothing was changed), TakenBack when it was begun and taken back,
    ConcurrentChange when somebody else settled it meanwhile, StoreUnreachable.
    """
    here = switch.authority(stream)
    if here.role is not Role.AUTHORITY or here.store is to:
        raise ConcurrentChange(f"stream {stream.name}: {here.store} is {here.role}; nothing to hand over to {to}")
    for store in Store:
        capture.require(stream, store)
    progress("relaying what waits")
    pipe = open_pipe(stream, insist=True)
    if pipe is None:
        raise Refused(f"stream {stream.name}: nothing is mirrored to {to}")
    # Opened before anybody waits, and before catching up, so that little is noted in between.
    silence = int(SWITCH_TIMEOUT_SECONDS.value()) + SPARE_SECONDS
    with (
        pipe,
        reaching(to),
        dedicated(to, f"switch {stream.name}") as peer,
        switch.ready(stream, to.peer, silence=silence) as writers,
    ):
        work = _Switch(stream, to, actor, pipe, peer, writers)
        work.last.catch_up()
        with reaching(Store.REGISTRY):
            # What was confirmed to the brake is a number of this outbox; in the other one it would let anything pass.
            StreamControl.objects.filter(stream=stream.name).update(brake_lifted_until=None)
        reach("switch caught up")
        progress("waiting for the writers under way")
        try:
            return work.run(progress)
        finally:
            router.forget_roles()


class _Switch:
    """One switch under way, with the sessions it needs already open."""

    def __init__(self, stream: Stream, to: Store, actor: Actor, pipe: Pipe, peer: Session, writers: Session) -> None:
        self.stream, self.to, self.actor = stream, to, actor
        self.peer, self.writers = peer, writers
        self.draws = bool(sequences.own(peer, stream, to))
        switch.plan(writers, stream, "fence", "demote")
        switch.plan(peer, stream, "promote")
        switch.drained(stream, 0, writers)
        self.last = LastKeys(pipe, SWITCH_TIMEOUT_SECONDS.value())

    def run(self, progress: Say) -> HandedOver:
        """From the lock to its release."""
        writers = self.writers
        # Writers go on between two tries: so little is left to relay in the end, and no session falls silent.
        switch.lock_session(writers, self.stream, SWITCH_LOCK_SECONDS.value(), meanwhile=self.last.relay)
        began = time.monotonic()
        reach("switch locked")
        epoch = switch.fence(self.stream, self.to.peer, self.actor, session=writers)
        progress("writers wait; relaying the last keys")
        try:
            reach("switch fenced")
            self.last.drain(lambda: switch.drained(self.stream, epoch, writers), began)
            reach("switch drained")
            found = sequences.positions(writers, self.stream, self.to.peer) if self.draws else {}
            reach("switch promoting")
            seen = switch.promote(
                self.stream, self.to, epoch, self.actor, positions=found, draws=self.draws, session=self.peer
            )
        except (Exception, KeyboardInterrupt) as exc:
            seen = self._unless_promoted(epoch, exc)
        reach("switch promoted")
        reach("switch demoting")
        switch.demote(self.stream, self.to.peer, epoch, seen, self.actor, session=writers)
        reach("switch demoted")
        # Writers go on as soon as the session is closed, which is next.
        return HandedOver(epoch, time.monotonic() - began, self.last.keys)

    def _unless_promoted(self, epoch: int, why: BaseException) -> State:
        """Take the switch back; return only when the promotion had been done although its answer was lost."""
        try:
            seen = switch.state(self.stream, self.to)
            if seen.role is Role.AUTHORITY and seen.epoch >= epoch:
                return seen
            because = _sentence(why).removeprefix(f"stream {self.stream.name}: ")
            log.warning("stream %s: switch to %s is taken back: %s", self.stream.name, self.to, because)
            reach("switch giving up")
            # In sessions of their own: one of those at hand may be what failed.
            switch.burn(self.stream, self.to, epoch, self.actor)
            reach("switch burnt")
            seen = switch.state(self.stream, self.to)
            reach("switch reverting")
            switch.revert(self.stream, self.to.peer, epoch, seen, self.actor)
        except DualWriteError as exc:
            # Half-done: whoever comes next settles it.
            raise type(exc)(f"{exc.detail}; a switch was to be taken back ({_sentence(why)})") from why
        raise TakenBack(f"stream {self.stream.name}: {because}") from why


def _sentence(exc: BaseException) -> str:
    if isinstance(exc, KeyboardInterrupt):
        return "it was interrupted"
    if isinstance(exc, DualWriteError):
        return exc.detail or str(exc)
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
