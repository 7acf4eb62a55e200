"""Finishing, or taking back, a switch that was left half-done."""

import threading
import time

from dualwrite.exceptions import Refused
from dualwrite.failpoints import reach
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream
from dualwrite.switch import sequences, steps
from dualwrite.switch.audit import Actor
from dualwrite.switch.decision import Next, Step, decide
from dualwrite.switch.identity import require_pair
from dualwrite.switch.locks import blocker
from dualwrite.switch.span import span
from dualwrite.switch.state import State, both

#: A switch under way holds the lock much longer than this, so that it is left alone.
PATIENCE_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 0.05
SILENCE_SECONDS = 15
#: There and back, each with a demotion or a revert, is four; more means that somebody works against it.
MOST_STEPS = 8


def settle(stream: Stream, actor: Actor) -> list[Next]:
    """Bring a half-done switch to its end, forward when everything was relayed, else back; returns the steps taken.

    Nothing when no store is fenced. Raises Refused when a switch is under way in another process, WrongStore or
    WentBack, AuthorityUnknown for rows no switch leaves behind, ConcurrentChange, StoreUnreachable.
    """
    taken: list[Next] = []
    while fenced := _fenced(stream):
        # A store that went back in time has forgotten steps: it would be promoted without what it lacks.
        require_pair()
        if len(taken) >= MOST_STEPS:
            raise Refused(f"stream {stream.name}: others change it all the time; try again")
        _leave_alone(stream, fenced.store)
        with span(stream, fenced.store, patience=PATIENCE_SECONDS, silence=SILENCE_SECONDS) as session:
            done = _one_step(stream, actor, session, fenced.store)
        if done:
            taken.append(done)
    return taken


def _fenced(stream: Stream) -> State | None:
    """The fenced store with the lower epoch."""
    found = [s for s in both(stream) if s.role is Role.FENCED]
    return min(found, key=lambda s: s.epoch) if found else None


def _leave_alone(stream: Stream, store: Store) -> None:
    """Wait a moment for a switch under way to end; raises Refused when it does not.

    Without queueing for its lock: whoever queues is let in before the writers that come after.
    """
    pause, until = threading.Event(), time.monotonic() + PATIENCE_SECONDS
    with reaching(store), dedicated(store, f"switch {stream.name}") as session:
        while _under_way(session, stream):
            if time.monotonic() > until:
                raise Refused(f"stream {stream.name}: a switch is under way ({blocker(session, stream)})")
            pause.wait(LOOK_AGAIN_SECONDS)


def _under_way(session: Session, stream: Stream) -> bool:
    row = session.execute(statement("state", "under_way"), {"stream": stream.name}).fetchone()
    return bool(row and row[0])


def _one_step(stream: Stream, actor: Actor, session: Session, fenced: Store) -> Next | None:
    # Read only now, under the lock: a switch that was under way has ended meanwhile.
    one, other = both(stream)
    here = one if one.store is fenced else other
    move = decide(one, other, drained=steps.drained(stream, here.epoch, session))
    changes_fenced = move is not None and move.step in (Step.DEMOTE, Step.REVERT)
    if move is None or (move.store is fenced) is not changes_fenced:
        return None  # ended meanwhile, or the other store is to be seen to first: look again
    reach(f"settle {move.step}")
    take(stream, move, one if one.store is not move.store else other, actor, session)
    return move


def take(stream: Stream, move: Next, peer: State, actor: Actor, fenced: Session) -> None:
    """Take the step. `peer`: the row of the store it does not change; `fenced`: the session with the lock."""
    match move.step:
        case Step.PROMOTE:
            found = sequences.positions(fenced, stream, move.store.peer)
            steps.promote(stream, move.store, move.epoch, actor, positions=found)
        case Step.DEMOTE:
            steps.demote(stream, move.store, move.epoch, peer, actor, session=fenced)
        case Step.BURN:
            steps.burn(stream, move.store, move.epoch, actor)
        case Step.REVERT:
            steps.revert(stream, move.store, move.epoch, peer, actor, session=fenced)
