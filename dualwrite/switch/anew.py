"""Accepting both databases as they are now, although they are not as they remember each other.

Every stream ends as if it had been disabled, with one authority: nothing is noted, relayed or proven until it is
enabled, which notes all keys of both stores. Both tables stay as they are until then, so that they can be looked at.

The order is what makes it safe to die anywhere: first the roles of every stream, then the numbers. As long as a number
is behind what is remembered, the stores are refused as before, and the same command does all of it again.
"""

from collections.abc import Sequence

from dualwrite.exceptions import AuthorityUnknown, ConcurrentChange, NotInstalled
from dualwrite.failpoints import reach
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, dedicated, reaching
from dualwrite.stream import Stream, all_streams
from dualwrite.switch.audit import Actor, audit
from dualwrite.switch.change import changing
from dualwrite.switch.memory import Reading, stranger
from dualwrite.switch.state import State

#: Who may speak for a stream, the strongest claim last.
CLAIMS = (Role.DETACHED, Role.MIRROR, Role.FENCED, Role.AUTHORITY)
WRITTEN = (Role.FENCED, Role.AUTHORITY)


def rightful(one: State, other: State, *, comparable: bool = True) -> Store:
    """The store whose records count: the one that takes the writes, of two that do the one with the higher epoch.

    `comparable`: their epochs are of one history. Raises AuthorityUnknown when it cannot be told.
    """
    claims = [row for row in (one, other) if row.role in WRITTEN]
    if len(claims) == 1:
        return claims[0].store
    low, high = sorted((one, other), key=_claim)
    if not comparable or _claim(low) == _claim(high):
        rows = ", ".join(f"{row.store} is {row.role} at epoch {row.epoch}" for row in (one, other))
        raise AuthorityUnknown(f"{rows}; name the store whose records count")
    return high.store


def _claim(row: State) -> tuple[bool, int, int]:
    return row.role is not Role.DETACHED, row.epoch, CLAIMS.index(row.role)


def accept(one: Reading, other: Reading, actor: Actor, because: str, right: Store | None) -> None:
    """Give every stream one authority and numbers above all that were ever seen. `because`: what was wrong.

    Raises AuthorityUnknown when `right` is needed, NotInstalled, Refused naming a writer in the way, ConcurrentChange.
    """
    comparable = not stranger(one, other)
    pairs = [(stream, _row(one, stream), _row(other, stream)) for stream in all_streams()]
    # For all of them before anything is changed.
    chosen = {stream.name: right or rightful(*rows, comparable=comparable) for stream, *rows in pairs}
    audit(Store.REGISTRY, actor, "pair anew", evidence={"because": because, "authorities": chosen})
    for stream, *rows in pairs:
        # First the one that loses the writes: at no instant do we make two authorities.
        for row in sorted(rows, key=lambda row: row.store is chosen[stream.name]):
            _end(stream, row, row.store is chosen[stream.name], actor)
            reach(f"pair anew {row.store}")
    for here, there in ((one, other), (other, one)):
        _raise_numbers([stream for stream, *_ in pairs], here, there, actor)
        reach(f"pair anew {here.store} numbers")


def _row(reading: Reading, stream: Stream) -> State:
    if stream.name not in reading.states:
        raise NotInstalled(f"stream {stream.name} in {reading.name}")
    return reading.states[stream.name]


def _end(stream: Stream, row: State, takes_writes: bool, actor: Actor) -> None:
    role = Role.AUTHORITY if takes_writes else Role.DETACHED if row.role is Role.DETACHED else Role.MIRROR
    # A writer under way in a store that loses the writes would commit after its keys were read for the backfill.
    exclusive = row.role in WRITTEN and not takes_writes
    values = {"stream": stream.name, "role": role, "was": row.role, "epoch": row.epoch, "lanes": stream.lanes}
    with changing(stream, row.store, actor, "pair anew", exclusive=exclusive) as session:
        if session.execute(statement("state", "begin_anew"), values).rowcount != 1:
            raise ConcurrentChange(f"stream {stream.name}: {row.store} is no longer {row.role} at epoch {row.epoch}")
        session.execute(statement("state", "drop_notes"), values)
        session.execute(statement("state", "raise_fences"), values)


def _raise_numbers(streams: Sequence[Stream], here: Reading, there: Reading, actor: Actor) -> None:
    with reaching(here.store), dedicated(here.store, "pair anew") as session:
        for stream in streams:
            with changing(stream, here.store, actor, "raise epoch", session=session):
                _raise_stream(session, stream, here, there)
        # Setting a sequence is never rolled back, so it comes last.
        session.execute(statement("state", "raise_noted"), {"noted": there.peer.noted})


def _raise_stream(session: Session, stream: Stream, here: Reading, there: Reading) -> None:
    name = stream.name
    epochs = [reading.epoch(name) for reading in (here, there)]
    epochs += [reading.peer.epochs[name] for reading in (here, there)]
    session.execute(statement("state", "raise_epoch"), {"stream": name, "epoch": max(epochs) + 1})
    known = {key.partition("/")[2]: count for key, count in there.peer.applied.items() if key.startswith(f"{name}/")}
    values = {"stream": name, "partitions": [int(p) for p in known], "applied": list(known.values())}
    session.execute(statement("state", "raise_applied"), values)
