"""What each store is for a stream, as its own triggers see it."""

from dataclasses import dataclass

from dualwrite.exceptions import AuthorityUnknown, NotInstalled, OldStoreMissing, StoreUnreachable
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import cursor, describe, present
from dualwrite.stream import Stream

SECOND_LOOKS = 2


@dataclass(frozen=True)
class State:
    """One store's row for one stream. `distrusted`: it may have been written unseen since it was enabled.

    `partitions`: into how many parts its keys fall, the same in both stores unless changing that was left half-done.
    """

    store: Store
    role: Role
    epoch: int
    capture: bool
    generation: int
    backfilled: bool
    distrusted: bool = False
    partitions: int = 16


def state(stream: Stream, store: Store) -> State:
    """The stream's state in that store; raises NotInstalled or StoreUnreachable.

    An old store that this installation does not have is no part of any stream.
    """
    if store not in present():
        return State(store, Role.DETACHED, epoch=0, capture=False, generation=0, backfilled=False)
    with cursor(store) as found:
        found.execute(statement("state", "installed"))
        if not found.fetchone()[0]:
            raise NotInstalled(describe(store))
        found.execute(statement("state", "read"), {"stream": stream.name})
        row = found.fetchone()
    if row is None:
        raise NotInstalled(f"stream {stream.name} in {describe(store)}")
    return State(store, Role(row[0]), *row[1:])


def both(stream: Stream) -> tuple[State, State]:
    """The states of both stores; raises NotInstalled or StoreUnreachable."""
    return state(stream, Store.SCREENER), state(stream, Store.REGISTRY)


def authority(stream: Stream) -> State:
    """The state of the store that takes the writes, or took them until it was fenced.

    Raises AuthorityUnknown when neither or both claim to be it, StoreUnreachable when one is away and the other
    does not claim it, OldStoreMissing when only an old store that is not configured can be it.
    """
    if Store.SCREENER not in present():
        return sole_authority(stream)
    for _ in range(SECOND_LOOKS):
        try:
            return _authority(stream)
        except AuthorityUnknown:
            # The stores are read one after the other, and a switch may have gone by in between.
            continue
    return _authority(stream)


def sole_authority(stream: Stream) -> State:
    """The registry's state where there is no old store.

    Raises OldStoreMissing when it is not the authority: nothing but a switch between both stores may make it that.
    """
    found = state(stream, Store.REGISTRY)
    if found.role is not Role.AUTHORITY:
        raise OldStoreMissing(f"stream {stream.name} is {found.role} in {describe(Store.REGISTRY)}")
    return found


def _authority(stream: Stream) -> State:
    found: list[State] = []
    away: list[StoreUnreachable] = []
    for store in Store:
        try:
            found.append(state(stream, store))
        except StoreUnreachable as exc:
            away.append(exc)
    claims = [s for s in found if s.role is Role.AUTHORITY] or [s for s in found if s.role is Role.FENCED]
    if {s.role for s in claims} == {Role.FENCED} and len({s.epoch for s in claims}) == 2:
        # Two switches, there and back, were left half-done: the later epoch is that of the later authority.
        claims = sorted(claims, key=lambda s: s.epoch)[-1:]
    if len(claims) == 1:
        return claims[0]
    if away:
        raise away[0]
    raise AuthorityUnknown(f"stream {stream.name}: " + ", ".join(f"{s.store} is {s.role}" for s in found))
