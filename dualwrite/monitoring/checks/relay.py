"""Whether somebody relays what is to be relayed, and the outbox stays below its ceilings."""

from dataclasses import dataclass
from typing import Any

from dualwrite import outbox, switch
from dualwrite.control.ceiling import near
from dualwrite.control.parked import parked_count
from dualwrite.models import StreamControl
from dualwrite.monitoring.exceptions import Down
from dualwrite.monitoring.health import Check
from dualwrite.relay import sparing
from dualwrite.relay.fleet import lock_name
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import cursor, reaching
from dualwrite.stream import Stream, all_streams


@dataclass(frozen=True)
class Relaying:
    """How one mirrored stream is relayed; `standing` says why it stands still, `spared` why its mirror is spared."""

    stream: str
    partitions: int
    partitions_held: int
    holders: tuple[str, ...]
    pending: int
    oldest_age_seconds: float
    parked: int
    standing: str
    spared: str


@dataclass(frozen=True, kw_only=True)
class RelayCheck(Check):
    """Mirrored streams are worked on; no noted key waits longer than `oldest_limit_seconds`; no ceiling is near."""

    name: str = "relay"
    mend: str = "manage.py relay, where none runs; otherwise manage.py dualwrite status"
    oldest_limit_seconds: float = 300.0

    def run(self) -> dict[str, Any]:
        """Return how each stream is relayed; raise Down naming every stream that is not."""
        found = {stream.name: relaying(stream) for stream in all_streams()}
        details = {name: _as_data(one) for name, one in found.items()}
        troubles = [trouble for one in found.values() if one for trouble in self.troubles(one)]
        troubles += [f"{one.stream}: {one.sentence}" for one in near()]
        if troubles:
            raise Down("; ".join(troubles), details)
        return details

    def troubles(self, one: Relaying) -> list[str]:
        """What is wrong with the relaying of a stream."""
        found = []
        if not one.partitions_held:
            found.append(f"no relay works on stream {one.stream}")
        elif one.partitions_held < one.partitions:
            found.append(f"{one.stream}: {one.partitions_held} of {one.partitions} partitions are worked on")
        if one.oldest_age_seconds > self.oldest_limit_seconds and not one.standing:
            found.append(f"{one.stream}: the oldest noted key waits for {one.oldest_age_seconds:.0f} s")
        return found


def relaying(stream: Stream) -> Relaying | None:
    """How the stream is relayed now; None while it is not mirrored. Raises what reading the states raises."""
    authority = switch.authority(stream)
    mirror = authority.store.peer
    if not authority.capture or switch.state(stream, mirror).role is not Role.MIRROR:
        return None
    waiting = outbox.pending(stream, authority.store)
    return Relaying(
        stream=stream.name,
        partitions=authority.partitions,
        partitions_held=_partitions_held(stream, authority.store, authority.partitions),
        holders=_holders(stream, mirror),
        pending=waiting.count,
        oldest_age_seconds=waiting.oldest_age_seconds,
        parked=parked_count(stream),
        standing=_standing(stream),
        spared=sparing.reason(stream, mirror),
    )


def _partitions_held(stream: Stream, store: Store, number: int) -> int:
    names = [lock_name(stream, partition) for partition in range(number)]
    with cursor(store) as found:
        found.execute(statement("monitoring", "partitions_held"), {"names": names})
        return int(found.fetchone()[0])


def _holders(stream: Stream, mirror: Store) -> tuple[str, ...]:
    with cursor(mirror) as found:
        found.execute(statement("monitoring", "holders"), {"stream": stream.name})
        return tuple(str(row[0]) for row in found.fetchall())


def _standing(stream: Stream) -> str:
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    if control is None:
        return ""
    return control.held_because or ("paused by an operator" if control.paused else "")


def _as_data(one: Relaying | None) -> dict[str, Any]:
    if one is None:
        return {"mirrored": False}
    return {
        "mirrored": True,
        "partitions": one.partitions,
        "partitions_held": one.partitions_held,
        "holders": list(one.holders),
        "pending": one.pending,
        "oldest_age_seconds": round(one.oldest_age_seconds, 3),
        "parked": one.parked,
        "standing_still": one.standing or None,
        "mirror_spared": one.spared or None,
    }
