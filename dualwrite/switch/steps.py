"""The steps that change what a store is for a stream. Each is one transaction, and nothing when it comes too late.

`session`: an open session of the store to do it in; else it opens one of its own. Every step may raise
StoreUnreachable, Refused when a lock is not to be had, and ConcurrentChange when what it relies on no longer holds.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from dualwrite.exceptions import ConcurrentChange
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.switch import sequences
from dualwrite.switch.audit import Actor
from dualwrite.switch.change import changing, step
from dualwrite.switch.locks import locked
from dualwrite.switch.state import State


def begin_capture(stream: Stream, store: Store, actor: Actor) -> tuple[int, int]:
    """Switch capture on in the authority as a new generation; returns (generation, epoch)."""
    with changing(stream, store, actor, "begin capture", exclusive=True) as session:
        row = session.execute(statement("state", "begin_capture"), {"stream": stream.name}).fetchone()
        if row is None:
            raise ConcurrentChange(f"stream {stream.name}: {store} is no longer the authority")
    return int(row[0]), int(row[1])


def end_capture(stream: Stream, store: Store, actor: Actor) -> None:
    """Switch capture off in the authority. Without the lock: writers under way only note more than they need."""
    with changing(stream, store, actor, "end capture") as session:
        _one(session, "end_capture", stream, f"{store} is not the authority")


def follow(stream: Stream, store: Store, epoch: int, actor: Actor) -> None:
    """Make a store the mirror and refuse every relay that worked before."""
    with changing(stream, store, actor, "follow") as session:
        _one(session, "follow", stream, f"{store} cannot become the mirror", epoch=epoch)
        _raise_fences(session, stream)


def detach(stream: Stream, store: Store, actor: Actor) -> None:
    """Make the mirror no part of the stream: from now on nobody writes it, neither writers nor relays."""
    with changing(stream, store, actor, "detach") as session:
        _one(session, "detach", stream, f"{store} is not the mirror")
        _raise_fences(session, stream)


def mark_backfilled(stream: Stream, store: Store, generation: int, actor: Actor) -> None:
    """Declare that every key of the generation has been noted; refused when a newer one has begun."""
    with changing(stream, store, actor, "backfilled") as session:
        _one(session, "backfilled", stream, "the backfill belongs to an older generation", generation=generation)


def fence(stream: Stream, store: Store, actor: Actor, *, session: Session | None = None) -> int:
    """Let the authority take no more writes; returns the epoch of the switch that begins with it.

    `session`: the one that holds the stream's lock (`span`); without, in one of its own, under the lock.
    """
    otherwise = f"{store} is no authority with a complete backfill"
    with reaching(store), ExitStack() as stack:
        if session is None:
            session = stack.enter_context(dedicated(store, f"fence {stream.name}"))
            stack.enter_context(locked(session, stream, exclusive=True))
        return step(stream, store, actor, "fence", otherwise, session=session).epoch


def drained(stream: Stream, epoch: int, session: Session) -> bool:
    """Whether the fenced store has nothing left to relay, seen in one statement with its role and epoch."""
    values = {"stream": stream.name, "epoch": epoch, "lanes": stream.lanes}
    row = session.execute(statement("state", "drained"), values).fetchone()
    return bool(row and row[0])


def promote(
    stream: Stream,
    store: Store,
    epoch: int,
    actor: Actor,
    *,
    positions: Mapping[str, int],
    draws: bool | None = None,
    session: Session | None = None,
) -> State:
    """Make the mirror the authority of this epoch, unless the epoch was burnt or a later one has come.

    The caller has seen the fenced store `drained`. `positions` as read there by `sequences.positions`; `draws`:
    whether the store has sequences of its own, where that is known already.
    """
    otherwise = f"{store} cannot become the authority of epoch {epoch}"
    with reaching(store), ExitStack() as stack:
        used = session or stack.enter_context(dedicated(store, f"promote {stream.name}"))
        if draws is None:
            draws = bool(sequences.own(used, stream, store))
        if draws:
            stack.enter_context(used.transaction())
        seen = step(stream, store, actor, "promote", otherwise, session=used, epoch=epoch)
        if draws:
            sequences.take_over(used, stream, store, positions)
    return seen


def demote(
    stream: Stream, store: Store, epoch: int, seen: State, actor: Actor, *, session: Session | None = None
) -> None:
    """Make the fenced store the mirror and refuse every relay that ever wrote it. `seen`: the peer, promoted."""
    if seen.epoch < epoch or seen.role not in (Role.AUTHORITY, Role.FENCED):
        raise ConcurrentChange(f"stream {stream.name}: {seen.store} was not promoted at epoch {epoch}")
    otherwise = f"{store} is not fenced at epoch {epoch}"
    step(stream, store, actor, "demote", otherwise, session=session, epoch=epoch, seen=seen.epoch)


def burn(stream: Stream, store: Store, epoch: int, actor: Actor, *, session: Session | None = None) -> None:
    """Take the epoch away from a switch: nobody can promote this store with it any more."""
    with changing(stream, store, actor, "burn", session=session) as used:
        _one(used, "burn", stream, f"epoch {epoch} cannot be burnt in {store}", epoch=epoch)


def revert(
    stream: Stream, store: Store, epoch: int, seen: State, actor: Actor, *, session: Session | None = None
) -> None:
    """Let the fenced store take writes again. `seen`: the peer, still the mirror, with the epoch burnt."""
    if seen.role is not Role.MIRROR or seen.epoch != epoch:
        raise ConcurrentChange(f"stream {stream.name}: epoch {epoch} was not burnt in {seen.store}")
    with changing(stream, store, actor, "revert", session=session) as used:
        _one(used, "revert", stream, f"{store} is not fenced at epoch {epoch}", epoch=epoch)


def _one(session: Session, name: str, stream: Stream, otherwise: str, **values: Any) -> None:
    if session.execute(statement("state", name), {"stream": stream.name, **values}).rowcount != 1:
        raise ConcurrentChange(f"stream {stream.name}: {otherwise}")


def _raise_fences(session: Session, stream: Stream) -> None:
    session.execute(statement("state", "raise_fences"), {"stream": stream.name})
