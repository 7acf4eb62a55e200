"""Ceilings of the outbox: a mirror that is away must never fill the authority's disk.

What waits to be relayed stands in the authority's own database. It grows for as long as the mirror is away, the stream
paused or the relay dead, and an authority without disk loses more than a mirror does. So there are ceilings: keys of a
stream, bytes of the outbox, bytes of the database. From `OUTBOX_ALARM_PERCENT` of a ceiling on it is told; at the
ceiling the stream is disabled (`OUTBOX_AT_LIMIT`): nothing is noted any more, and `enable` demands the full backfill.

How it can fail, and the answer:

* the estimate of a large outbox is of all streams → near the ceiling the keys of the one stream are counted;
* one stream fills it and another one is stopped → of bytes only the stream that most keys wait of is stopped;
* the outbox was large and is drained, its file is not → with few keys waiting nothing is stopped, which would not help;
* that one is stopped already, and its notes are what fills it → no other one is, and it is told all the same;
* the server cannot be asked → nothing is stopped on suspicion; the health check of the store says that it is away;
* nobody relays, so nobody looks → the health checks tell, whoever calls them.

A server does not say how full its disk is; what it can be asked is how large the database is.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from django.db import Error as DatabaseError
from django.db import connections

from dualwrite import outbox, switch
from dualwrite.control.disable import disable
from dualwrite.exceptions import DualWriteError
from dualwrite.parameters import (
    OUTBOX_ALARM_PERCENT,
    OUTBOX_AT_LIMIT,
    OUTBOX_MAX_BYTES,
    OUTBOX_MAX_DATABASE_BYTES,
    OUTBOX_MAX_KEYS,
)
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Stream, all_streams, stream_named
from dualwrite.switch import Actor

#: A stream of which fewer keys wait is not stopped for its bytes.
WORTH_STOPPING = 100_000
#: How often the relay's process looks.
CHECK_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """A stream: how many of its keys wait, and whether more are noted."""

    stream: str
    keys: int
    noting: bool


@dataclass(frozen=True)
class Limits:
    """The ceilings; 0: none."""

    keys: int
    bytes: int
    database_bytes: int
    alarm_percent: float
    worth_stopping: int = WORTH_STOPPING

    @classmethod
    def in_force(cls) -> "Limits":
        """Those of the parameters."""
        return cls(
            OUTBOX_MAX_KEYS.value(),
            OUTBOX_MAX_BYTES.value(),
            OUTBOX_MAX_DATABASE_BYTES.value(),
            OUTBOX_ALARM_PERCENT.value(),
        )


@dataclass(frozen=True)
class Near:
    """Something near its ceiling or over it: which stream, and the sentence. `stops`: the stream is to be disabled."""

    stream: str
    sentence: str
    stops: bool = False


def decide(store: Store, streams: Sequence[Waiting], sizes: tuple[int, int], limits: Limits) -> Iterator[Near]:
    """What is near a ceiling in one store. `sizes`: bytes of the outbox and of the database. Pure."""
    for one in streams:
        if limits.keys and one.keys * 100 >= limits.keys * limits.alarm_percent:
            what = f"{one.keys} keys wait in the {store} store; the ceiling is {limits.keys}"
            yield Near(one.stream, what, stops=one.noting and one.keys >= limits.keys)
    most = max(streams, key=lambda one: one.keys, default=None)
    named = zip(("outbox", "database"), sizes, (limits.bytes, limits.database_bytes), strict=True)
    for name, size, limit in named:
        if most and most.keys and limit and size * 100 >= limit * limits.alarm_percent:
            what = f"the {name} of the {store} store has {size} bytes; the ceiling is {limit}"
            worth = most.noting and most.keys >= limits.worth_stopping
            yield Near(most.stream, what, stops=worth and size >= limit)


def near() -> list[Near]:
    """What is near a ceiling now, of all streams: which of them fills an outbox cannot be told from one alone.

    Raises StoreUnreachable, StoreFailed, AuthorityUnknown.
    """
    limits = Limits.in_force()
    by_store: dict[Store, list[Waiting]] = {}
    for stream in all_streams():
        here = switch.authority(stream)
        by_store.setdefault(here.store, []).append(
            Waiting(stream.name, _keys(stream, here.store, limits), here.capture)
        )
    return [found for store, some in by_store.items() for found in decide(store, some, _sizes(store), limits)]


def _keys(stream: Stream, store: Store, limits: Limits) -> int:
    """The keys that wait; where the estimate, which is of all streams, comes near the ceiling, those of this one."""
    waiting = outbox.pending(stream, store)
    if waiting.is_estimate and limits.keys and waiting.count * 100 >= limits.keys * limits.alarm_percent:
        waiting = outbox.pending(stream, store, exact_up_to=limits.keys)
    return waiting.count


def _sizes(store: Store) -> tuple[int, int]:
    with cursor(store) as found:
        found.execute(statement("ceiling", "sizes"))
        outbox_bytes, database_bytes = found.fetchone()
    return int(outbox_bytes), int(database_bytes)


def keep_below() -> list[Near]:
    """Disable each stream that is over a ceiling, where that is chosen; returns what is near one. Raises as `near`."""
    found = near()
    if OUTBOX_AT_LIMIT.value() == "disable":
        why = {one.stream: one.sentence for one in reversed(found) if one.stops}
        for name, sentence in why.items():
            disable(stream_named(name), Actor("outbox ceiling", sentence))
    return found


def watch(stop: threading.Event) -> None:
    """Keep all streams below their ceilings until `stop` is set. What it cannot ask it asks again; it is said once."""
    said: object = ()
    try:
        while not stop.wait(CHECK_SECONDS):
            try:
                found = keep_below()
                what: object = [(one.stream, one.stops) for one in found]
                sentence = "; ".join(f"stream {one.stream}: {one.sentence}" for one in found)
            except (DualWriteError, DatabaseError, psycopg.Error) as exc:
                what = sentence = f"the ceilings of the outbox cannot be looked at: {exc}"
            # The figures change with every look: only what they mean is said anew.
            if sentence and what != said:
                log.warning("%s", sentence)
            said = what
    finally:
        connections.close_all()
