"""What a store is, what it remembers of the other one, and whether the two fit together. No I/O.

Epochs, numbers of notes and counts of applied keys only grow, and a store remembers of the other one only what had been
committed there. So a store that is behind what the other one remembers has gone back in time: a backup was restored, a
replica that lacks the last writes was promoted, a disk was set back.

The place says which copy of a database this is. It changes without anything being behind, and then acknowledged writes
may be missing that nothing else shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dualwrite.exceptions import AuthorityUnknown
from dualwrite.stages import Role, Store
from dualwrite.switch.decision import decide
from dualwrite.switch.state import State

#: Part of the place → its words; the parts in the order in which a difference is told.
PARTS = {"system": "server", "timeline": "timeline", "database": "database number", "outbox": "outbox table"}


@dataclass(frozen=True)
class Memory:
    """What a store remembers of the other one.

    noted: the newest note of its outbox that was applied here. epochs: by stream. applied: "stream/partition" → keys.
    place: None as long as they were not paired.
    """

    identity: str | None
    place: Mapping[str, str] | None
    noted: int
    epochs: Mapping[str, int]
    applied: Mapping[str, int]


@dataclass(frozen=True)
class Reading:
    """A store at the moment it was read.

    name: the store with its address. place: as far as the server tells. noted: the newest number given to a note.
    applied: "stream/partition" → keys applied here as a mirror.
    """

    store: Store
    name: str
    identity: str
    place: Mapping[str, str]
    noted: int
    states: Mapping[str, State]
    applied: Mapping[str, int]
    peer: Memory

    def epoch(self, stream: str) -> int:
        """The stream's epoch; 0 when the stream is not installed here, or was not when the backup was made."""
        return self.states[stream].epoch if stream in self.states else 0


def stranger(one: Reading, other: Reading) -> str:
    """Why they are not the databases that were paired; empty when nothing says so."""
    for here, there in ((one, other), (other, one)):
        if here.peer.identity is not None and here.peer.identity != there.identity:
            return f"{here.store} was paired with another {there.store} database than {there.name}"
    return ""


def moved(remembering: Reading, seen: Reading) -> str:
    """What says that the other store is another copy of the database it was; empty when nothing does."""
    known = remembering.peer.place or {}
    for part, words in PARTS.items():
        before, now = known.get(part), seen.place.get(part)
        if before and now and before != now:
            remembers = f"the {remembering.store} store remembers {before}"
            return f"{seen.name} is another copy of itself: {words} {now}, {remembers}"
    return ""


def behind(remembering: Reading, seen: Reading) -> str:
    """What the other store lacks that is remembered of it; empty when nothing. It must have been read the later."""
    known, name = remembering.peer, seen.name
    for stream, epoch in sorted(known.epochs.items()):
        if seen.epoch(stream) < epoch:
            return (
                f"stream {stream} in {name} is at epoch {seen.epoch(stream)}, "
                f"the {remembering.store} store remembers epoch {epoch}"
            )
    if seen.noted < known.noted:
        return (
            f"{name} has given out note {seen.noted} as its newest, "
            f"the {remembering.store} store has applied its note {known.noted}"
        )
    for partition, applied in sorted(known.applied.items()):
        if seen.applied.get(partition, 0) < applied:
            return (
                f"{name} has applied {seen.applied.get(partition, 0)} keys of {partition}, "
                f"the {remembering.store} store remembers {applied}"
            )
    return ""


def contradiction(one: Reading, other: Reading) -> str:
    """The stream whose rows no switch leaves behind, as neither or both take its writes; empty when there is none.

    Both rows must have stood there at one moment.
    """
    for stream in sorted(one.states.keys() & other.states.keys()):
        rows = (one.states[stream], other.states[stream])
        if not _possible(*rows):
            return f"stream {stream}: " + ", ".join(f"{row.store} is {row.role} at epoch {row.epoch}" for row in rows)
    return ""


def _possible(one: State, other: State) -> bool:
    if Role.FENCED in (one.role, other.role):
        try:
            return decide(one, other, drained=True) is not None
        except AuthorityUnknown:
            return False
    return [one.role, other.role].count(Role.AUTHORITY) == 1
