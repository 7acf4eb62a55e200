"""The safety net: a switch left half-done is ended, and what is noted is relayed where no relay is there to do it.

How it can fail, and the answer: a relay lives → nothing is taken from it; one starts meanwhile → the two share, as
relays do; a mountain of keys waits → only so many seconds are spent, and the next sweep goes on; one stream cannot be
reached, or stands still → it is passed over with a sentence, and the others are swept.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import psycopg
from django.db import Error as DatabaseError
from django.db import connections

from dualwrite import outbox, switch
from dualwrite.control import transition
from dualwrite.exceptions import DualWriteError, first_line
from dualwrite.models import StreamControl
from dualwrite.relay import worker
from dualwrite.relay.fleet import lock_name
from dualwrite.sql import statement
from dualwrite.stages import Role, Store
from dualwrite.stores import cursor, present, reaching
from dualwrite.stream import Stream, all_streams
from dualwrite.switch import Actor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Swept:
    """What was done for a stream: whether something half-done was ended, keys relayed and parked; or what hindered."""

    stream: str
    settled: bool = False
    relayed: int = 0
    parked: int = 0
    sentence: str = ""

    @property
    def is_eventful(self) -> bool:
        """Whether there was anything to do, or to be told."""
        return bool(self.settled or self.relayed or self.parked or self.sentence)

    def as_data(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)


def sweep(actor: Actor, seconds: float, streams: Sequence[Stream] | None = None) -> list[Swept]:
    """Sweep these streams, or all; side by side, so that none waits for another. Raises nothing foreseen.

    `seconds`: how long a stream is relayed for at most.
    """
    chosen = list(all_streams() if streams is None else streams)
    if Store.SCREENER not in present():
        return []
    with ThreadPoolExecutor(max(len(chosen), 1), thread_name_prefix="sweep") as pool:
        return list(pool.map(lambda stream: _swept(stream, actor, seconds), chosen))


def _swept(stream: Stream, actor: Actor, seconds: float) -> Swept:
    settled = False
    try:
        settled = transition.settle_and_repair(stream, actor)
        if not relayed_by_nobody(stream):
            return Swept(stream.name, settled)
        log.warning("stream %s: no relay is there; the sweep relays for %g s", stream.name, seconds)
        moved = worker.relay_for(stream, seconds)
        return Swept(stream.name, settled, moved.keys, moved.parked)
    except (DualWriteError, DatabaseError, psycopg.Error) as exc:
        return Swept(stream.name, settled, sentence=first_line(exc))
    finally:
        # Those of the thread, which ends now.
        connections.close_all()


def relayed_by_nobody(stream: Stream) -> bool:
    """Whether keys wait that may be relayed, and no relay has any of the stream's partitions.

    Raises what reading the states raises.
    """
    here = switch.authority(stream)
    if not here.capture or switch.state(stream, here.store.peer).role is not Role.MIRROR or _stands_still(stream):
        return False
    return bool(outbox.pending(stream, here.store).count) and not _partitions_held(stream, here.store, here.partitions)


def _stands_still(stream: Stream) -> bool:
    with reaching(Store.REGISTRY):
        control = StreamControl.objects.filter(stream=stream.name).first()
    return control is not None and bool(control.paused or control.held_because)


def _partitions_held(stream: Stream, store: Store, partitions: int) -> int:
    with cursor(store) as found:
        names = [lock_name(stream, partition) for partition in range(partitions)]
        found.execute(statement("monitoring", "partitions_held"), {"names": names})
        return int(found.fetchone()[0])
