"""The noted keys of a store: how many wait, and how keys that nobody wrote get there (backfill, repair, redrive)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from psycopg import sql

from dualwrite import projection
from dualwrite.exceptions import ConcurrentChange, UsageError
from dualwrite.failpoints import reach
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session, cursor, dedicated, reaching
from dualwrite.stream import BULK, PARTITIONS, Stream

#: Notes counted exactly up to here; beyond, the server's estimate is given.
EXACT_UP_TO = 10_000
#: Blocks of the table noted in one transaction: about 100,000 rows of usual width.
BLOCKS_A_STEP = 1_000


class Cause(StrEnum):
    """Why a key was noted."""

    WRITE = "w"  #: somebody wrote it
    BACKFILL = "b"  #: enabling noted every key
    REDRIVE = "r"  #: a parked key is tried again, by an operator or by itself


@dataclass(frozen=True)
class Pending:
    """Keys waiting to be relayed and the age of the oldest in seconds (0 when none)."""

    count: int
    is_estimate: bool
    oldest_age_seconds: float


def pending(stream: Stream, store: Store, exact_up_to: int | None = None, only: Sequence[int] = ()) -> Pending:
    """What waits in the store's outbox for one stream; of more notes than `exact_up_to` (EXACT_UP_TO), an estimate.

    `only`: what waits in these partitions.
    """
    exact_up_to = EXACT_UP_TO if exact_up_to is None else exact_up_to
    lanes = [stream.lane(p, bit) for p in only or PARTITIONS for bit in (0, BULK)]
    with cursor(store) as found:
        found.execute(statement("outbox", "pending"), {"lanes": lanes, "limit": exact_up_to + 1})
        notes, keys, age = found.fetchone()
        oldest = max(float(age or 0), 0.0)
        if notes <= exact_up_to:
            return Pending(int(keys), False, oldest)
        found.execute(statement("outbox", "estimate"))
        # The notes that were not counted carry as many keys each as those that were.
        return Pending(max(int(found.fetchone()[0] * keys / notes), int(keys)), True, oldest)


def pending_of(stream: Stream, store: Store, keys: Sequence[str]) -> set[str]:
    """Those of the keys that wait in the store's outbox."""
    with cursor(store) as found:
        found.execute(statement("outbox", "pending_of"), {"lanes": stream.lanes, "keys": list(keys)})
        return {str(row[0]) for row in found.fetchall()}


def note(stream: Stream, store: Store, keys: Sequence[str], cause: Cause) -> int:
    """Note keys by hand; returns how many. Raises UsageError for a text that is no key of the stream."""
    for key in keys:
        check_key(stream, key)
    with cursor(store) as found:
        found.execute(statement("outbox", "note"), {"lanes": stream.lanes, "keys": list(keys), "cause": cause.value})
        return int(found.rowcount)


def highest(stream: Stream, store: Store) -> int:
    """The id of the newest note of the stream in that store, 0 when none waits."""
    with cursor(store) as found:
        found.execute(statement("outbox", "highest"), {"lanes": stream.lanes})
        return int(found.fetchone()[0])


def check_key(stream: Stream, key: str) -> None:
    """Raise UsageError unless the text is a JSON array with the stream's key fields."""
    try:
        parts = json.loads(key)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or len(parts) != len(stream.key):
        fields = ", ".join(part.name for part in stream.key)
        raise UsageError(f"{key!r} is no key of {stream.name}; valid: a JSON array of {fields}")


def note_all(
    stream: Stream,
    store: Store,
    generation: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Note the keys of both stores in the authority's outbox, block by block; returns how many.

    Raises ConcurrentChange as soon as the store is no longer the authority in that generation.
    """
    with reaching(store), dedicated(store, f"backfill {stream.name}") as session:
        noted = _note_foreign(session, stream, store, generation)
        reach("backfill half noted")
        while True:
            file = _file(session, stream, store)
            noted += _note_table(session, stream, store, generation, file, progress)
            # Rewritten in between, the table has its rows in other blocks: once more from the start.
            if file == _file(session, stream, store):
                return noted


def _note_table(
    session: Session, stream: Stream, store: Store, generation: int, file: int, progress: Callable[[int, int], None]
) -> int:
    size = session.execute(compose("outbox", "blocks", table_name=projection.table_name(stream.side(store)))).fetchone()
    total, noted = int(size[0]) if size else 0, 0
    for low in range(0, total, BLOCKS_A_STEP):
        high = min(low + BLOCKS_A_STEP, total)
        step = _note_blocks(session, stream, store, generation, file, low, high)
        if step is None:
            return noted
        noted += step
        progress(high, total)
    return noted


def _note_blocks(
    session: Session, stream: Stream, store: Store, generation: int, file: int, low: int, high: int
) -> int | None:
    """Note one range; None when the table has been rewritten."""
    side = stream.side(store)
    with session.transaction():
        _require_generation(session, stream, generation)
        session.execute(compose("outbox", "hold_still", table=projection.table(side)))
        if _file(session, stream, store) != file:
            return None
        keys = compose(
            "outbox",
            "keys_of_blocks",
            key=projection.key(stream, store),
            table=projection.table(side),
            is_record=projection.is_record(side),
            low=sql.Literal(f"({low},0)"),
            high=sql.Literal(f"({high},0)"),
        )
        return _note_packed(session, stream, keys)


def _file(session: Session, stream: Stream, store: Store) -> int:
    query = compose("outbox", "file", table_name=projection.table_name(stream.side(store)))
    row = session.execute(query).fetchone()
    return int(row[0]) if row else 0


def _note_foreign(session: Session, stream: Stream, store: Store, generation: int) -> int:
    side, other = stream.side(store), stream.side(store.peer)
    session.execute(statement("outbox", "foreign_table"))
    copy_out = compose(
        "outbox",
        "foreign_copy_out",
        key=projection.key(stream, store.peer),
        table=projection.table(other),
        is_record=projection.is_record(other),
    )
    with (
        reaching(store.peer),
        dedicated(store.peer, f"backfill {stream.name}") as peer,
        peer.cursor().copy(copy_out) as source,
        session.cursor().copy(statement("outbox", "foreign_copy_in")) as target,
    ):
        for block in source:
            target.write(block)
    reach("backfill read")
    with session.transaction():
        _require_generation(session, stream, generation)
        keys = compose(
            "outbox",
            "only_foreign",
            key_parts=projection.key_parts(stream, "f.key"),
            table=projection.table(side),
            match=projection.match(stream, store),
            is_record=projection.is_record(side),
        )
        return _note_packed(session, stream, keys)


def _note_packed(session: Session, stream: Stream, keys: sql.Composable) -> int:
    cause = sql.Literal(Cause.BACKFILL.value)
    mask = compose("outbox", "mask", stream=sql.Literal(stream.name))
    pack = compose("outbox", "pack", lanes=sql.Literal(stream.lane(0, BULK)), mask=mask, keys=keys, cause=cause)
    row = session.execute(compose("outbox", "counted", pack=pack)).fetchone()
    return int(row[0]) if row else 0


def _require_generation(session: Session, stream: Stream, generation: int) -> None:
    values = {"stream": stream.name, "generation": generation}
    if session.execute(statement("state", "still_generation"), values).rowcount != 1:
        raise ConcurrentChange(f"stream {stream.name}: another enable or disable came between")
