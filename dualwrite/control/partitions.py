"""`partitions`: into how many parts the keys of a stream fall, and so how many relays can share it.

A key must never be in the hands of two relays. The partition of a key changes with their number, so the number may only
change when nothing is noted, and nobody may go on who took keys by the old number:

1. other relays give way, and what waits is relayed while writers still write;
2. the stream's lock is taken, so that writers wait, and the last notes are relayed;
3. on the mirror, in one transaction: the new number, and every fence raised;
4. on the authority, if nothing is noted still: the new number.

How it can fail, and the answer:

* a relay or a writer has keys by the old number in hand → the mirror compares its own number in the transaction that
  applies, and refuses;
* keys are noted by hand (redrive, repair) in between → that waits for the row which 4 has locked, and then takes the
  new number;
* the process dies between 3 and 4 → the numbers differ, nobody relays, and it is said; the same command first gives the
  mirror the authority's number back;
* 4 fails, or is interrupted → the mirror gets the authority's number back at once;
* the process sleeps before 3, and the number is changed meanwhile → 3 asks for the number with which it began;
* two at once, or beside a switch or a backfill → one at a time changes a stream, as with those (`transition.only`);
* writers do not end, or the last keys cannot be relayed → nothing was changed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from dualwrite import switch
from dualwrite.control import transition
from dualwrite.control.last_keys import LastKeys
from dualwrite.exceptions import ConcurrentChange, DualWriteError, Refused, UsageError, first_line
from dualwrite.failpoints import reach
from dualwrite.parameters import SWITCH_LOCK_SECONDS, SWITCH_TIMEOUT_SECONDS
from dualwrite.relay.pipe import open_pipe
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State
from dualwrite.switch.change import changing

VALID = (1, 2, 4, 8, 16, 32, 64)
#: Beyond what the switch itself may take: its session is ended when it is silent for longer.
SPARE_SECONDS = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class Partitioned:
    """The number before and now (or, of a dry run, then); for how many seconds writers waited."""

    stream: str
    before: int
    partitions: int
    changed: bool
    writers_waited_seconds: float = 0.0


def repartition(
    stream: Stream, to: int, actor: Actor, *, dry_run: bool = False, progress: Say = lambda sentence: None
) -> Partitioned:
    """Let the keys fall into that number of partitions.

    Raises UsageError for a number that is none of VALID; Refused when the last keys cannot be relayed in time or a
    writer does not finish; ConcurrentChange when keys were noted meanwhile (nothing was changed); AlreadyRunning;
    StoreUnreachable.
    """
    if to not in VALID:
        raise UsageError(f"{to} is no number of partitions; valid: {', '.join(map(str, VALID))}")
    transition.require_not_complete(stream)
    if dry_run:
        here = switch.authority(stream)
        return Partitioned(stream.name, here.partitions, to, changed=to != here.partitions)
    with transition.only(stream, actor):
        agree(stream, actor)
        here = switch.authority(stream)
        if here.partitions == to:
            return Partitioned(stream.name, to, to, changed=False)
        waited = _change(stream, here, to, actor, progress)
        return Partitioned(stream.name, here.partitions, to, changed=True, writers_waited_seconds=round(waited, 3))


def agree(stream: Stream, actor: Actor) -> bool:
    """Give the other store the authority's number, where changing it was left half-done; whether it was.

    Raises as `repartition`: under the stream's lock, as another command may be between its two steps.
    """
    if _agreed(stream):
        return False
    authority = switch.authority(stream).store
    with switch.span(stream, authority, patience=SWITCH_LOCK_SECONDS.value(), silence=SPARE_SECONDS):
        return _make_agree(stream, actor)


def _agreed(stream: Stream) -> bool:
    return len({state.partitions for state in switch.both(stream)}) == 1


def _make_agree(stream: Stream, actor: Actor) -> bool:
    here = switch.authority(stream)
    there = switch.state(stream, here.store.peer)
    if here.partitions == there.partitions:
        return False
    _set(stream, there, here.partitions, actor)
    return True


def _change(stream: Stream, here: State, to: int, actor: Actor, progress: Say) -> float:
    progress("relaying what waits")
    pipe = open_pipe(stream, insist=True)
    if pipe is None:
        return _under_lock(stream, here, to, actor, lambda writers: None)
    with _relaying(stream), pipe:
        last = LastKeys(pipe, SWITCH_TIMEOUT_SECONDS.value())
        last.catch_up()
        progress("waiting for the writers under way")

        def drain(writers: Session) -> None:
            last.drain(lambda: not _waiting(stream, writers), time.monotonic())

        return _under_lock(stream, here, to, actor, drain)


@contextmanager
def _relaying(stream: Stream) -> Iterator[None]:
    """Turn what the driver says while the last keys are relayed into Refused: somebody holds the mirror's rows."""
    try:
        yield
    except psycopg.Error as exc:
        said = exc.diag.message_primary or first_line(exc)
        raise Refused(f"stream {stream.name}: the last keys could not be relayed: {said}; try again") from exc


def _under_lock(stream: Stream, here: State, to: int, actor: Actor, drain: Callable[[Session], None]) -> float:
    there = switch.state(stream, here.store.peer)
    silence = int(SWITCH_TIMEOUT_SECONDS.value()) + SPARE_SECONDS
    try:
        with switch.span(stream, here.store, patience=SWITCH_LOCK_SECONDS.value(), silence=silence) as writers:
            began = time.monotonic()
            drain(writers)
            reach("partitions drained")
            _set(stream, there, to, actor)
            reach("partitions half-done")
            _set_authority(stream, here.store, to, actor, writers)
            return time.monotonic() - began
    except (Exception, KeyboardInterrupt):
        # Where it cannot be put right now, it is said wherever a relay or a person looks, with what mends it.
        with suppress(DualWriteError, psycopg.Error):
            agree(stream, actor)
        raise


def _set(stream: Stream, there: State, to: int, actor: Actor) -> None:
    """The number of a store that takes no writes and is as it was found; every relay of before is refused there."""
    values = {"stream": stream.name, "partitions": to, "before": there.partitions}
    with changing(stream, there.store, actor, "partitions") as session:
        if session.execute(statement("partitions", "follow"), values).rowcount != 1:
            raise ConcurrentChange(f"stream {stream.name}: it was changed in the {there.store} store; nothing was done")
        session.execute(statement("state", "raise_fences"), values)


def _set_authority(stream: Stream, store: Store, to: int, actor: Actor, writers: Session) -> None:
    values = {"stream": stream.name, "partitions": to, "lanes": stream.lanes, "role": Role.AUTHORITY}
    with changing(stream, store, actor, "partitions", session=writers) as session:
        # The row is locked by now: who notes keys by hand has ended, so that his notes are seen, or waits.
        if session.execute(statement("partitions", "lead"), values).rowcount != 1:
            raise ConcurrentChange(f"stream {stream.name}: keys were noted meanwhile; try again")


def _waiting(stream: Stream, session: Session) -> bool:
    row = session.execute(statement("complete", "notes_left"), {"lanes": stream.lanes}).fetchone()
    return bool(row and row[0])
