"""From which store a consumer is answered, and the answer."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dualwrite import outbox, switch
from dualwrite.exceptions import StoreUnreachable
from dualwrite.stages import Role, Stage, Store
from dualwrite.stream import Stream
from registry.reading import counted, records
from registry.reading.parameters import LIVE_PERCENT, PINNED, SHADOW_PERCENT
from registry.reading.records import Asked, Record
from registry.reading.rollout import Rollout, store_for
from registry.reading.stage import Standing, standing

#: Of more notes than these it is not looked whether a record is among them: its authority is asked instead.
FEW_NOTES = 2_000


@dataclass(frozen=True)
class Route:
    """The stage, the store that answers, and the store that takes the writes."""

    stage: Stage
    store: Store
    authority: Store

    @property
    def is_compared(self) -> bool:
        """Whether both stores should tell the same."""
        return self.stage.compares


@dataclass(frozen=True)
class Answer:
    """What a consumer is told, from where, and the seconds it took to read."""

    route: Route
    records: Sequence[Record]
    seconds: float


def route(stream: Stream, consumer: str) -> Route:
    """Where this consumer reads; raises StoreUnreachable, AuthorityUnknown when nothing is known of the stream."""
    rollout = Rollout(SHADOW_PERCENT.value(), LIVE_PERCENT.value(), PINNED.value())
    return decide(standing(stream), consumer, rollout)


def decide(found: Standing, consumer: str, rollout: Rollout) -> Route:
    """A store that follows answers only while it does. Pure."""
    authority = found.stage.authority
    wanted = store_for(found.stage, consumer, rollout)
    return Route(found.stage, wanted if found.follows else authority, authority)


def serve(stream: Stream, asked: Asked, consumer: str) -> Answer:
    """The records, from the store that is to answer this consumer.

    Raises StoreUnreachable and StoreFailed of the store that takes the writes, AuthorityUnknown.
    """
    way = route(stream, consumer)
    if (key := asked.single(stream)) is not None and way.is_compared:
        way = _for_one(stream, way, key)
    try:
        return _read(stream, asked, way)
    except StoreUnreachable:
        if way.store is way.authority:
            raise
        return _read(stream, asked, replace(way, store=way.authority))


def _read(stream: Stream, asked: Asked, way: Route) -> Answer:
    began = time.monotonic()
    found = records.read(stream, way.store, asked)
    seconds = time.monotonic() - began
    counted.read(stream.name, way.store, seconds)
    return Answer(way, found, seconds)


def _for_one(stream: Stream, way: Route, key: str) -> Route:
    """The same for one record, which whoever wrote it is to read.

    The stage is a second old, and in a switch the authority moves before the stage does: so it is asked itself.
    """
    authority = way.authority
    if switch.state(stream, authority).role is not Role.AUTHORITY:
        authority = switch.authority(stream).store
    stays = way.store is authority or not _waits(stream, authority, key)
    return replace(way, authority=authority, store=way.store if stays else authority)


def _waits(stream: Stream, authority: Store, key: str) -> bool:
    """Whether the record may be newer in the authority."""
    if outbox.pending(stream, authority, exact_up_to=FEW_NOTES).is_estimate:
        return True
    return key in outbox.pending_of(stream, authority, [key])
