"""The canary: proof by trying that a write is noted, and that what is noted is relayed.

1. Traceless: in one transaction that is rolled back, a column of some row of the authority is written as it is, and
   its key must arrive in the outbox. The row is one that nobody has locked, and held for milliseconds, so no writer is
   disturbed; neither row nor outbox shows anything afterwards.
2. The key of an existing record is noted, and its note must be deleted by a relay. Harmless: a relay carries state.

Not to be called inside a transaction of the caller: no relay would see the note.
"""

import time

import psycopg
from psycopg import IsolationLevel, errors, sql

from dualwrite import outbox, projection
from dualwrite.control.evidence import Evidence, asking, pauses, sentence, whole_key
from dualwrite.control.relaying import relaying
from dualwrite.models import ParkedKey
from dualwrite.parameters import CANARY_TIMEOUT_SECONDS
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session, cursor, dedicated, reaching
from dualwrite.stream import Stream

LIMITS = "-c lock_timeout=500ms -c statement_timeout=5s"
#: Seconds in which to find a row that nobody holds, a moment without a switch, a relay that is just starting.
PATIENCE_SECONDS = 2.0
#: Keys looked at to find one that is not parked.
CANDIDATES = 100
EMPTY = "no row to test with"


def canary(stream: Stream, authority: Store) -> Evidence:
    """Try both. Raises StoreUnreachable, StoreFailed."""
    noted = traceless(stream, authority)
    if noted.why:
        return Evidence({"noted": noted.facts}, noted.why, noted.mend)
    relayed = round_trip(stream, authority)
    return Evidence({"noted": noted.facts, "relayed": relayed.facts}, relayed.why, relayed.mend)


def traceless(stream: Stream, store: Store) -> Evidence:
    """Write some row as it is, see its key noted, roll back. Without the right to update skipped, which it says."""
    with asking(store), dedicated(store, f"canary {stream.name}", limits=LIMITS) as session:
        # Whatever the role's default: an older snapshot would wait for, or fail on, what others write.
        session.isolation_level = IsolationLevel.READ_COMMITTED
        column = _touchable(session, stream, store)
        if column is None:
            side = stream.side(store)
            return Evidence({"skipped": f"the engine's role has no right to update {side.schema}.{side.table}"})
        for _ in pauses(PATIENCE_SECONDS):
            found = _try(session, stream, store, column)
            if isinstance(found, Evidence):
                return found
    return Evidence({}, f"no row of stream {stream.name} could be tried: {found}", "try again when it has ended")


def _try(session: Session, stream: Stream, store: Store, column: str) -> Evidence | str:
    """What came of it, or who was in the way."""
    began = time.monotonic()
    try:
        with session.transaction(force_rollback=True):
            key = _touch(session, stream, store, column)
            if key is None:
                return "writers hold every row" if _keys(session, stream, store, 1) else Evidence({"skipped": EMPTY})
            noted = session.execute(statement("gates", "noted_here"), {"lanes": stream.lanes, "key": key}).fetchone()
    except errors.LockNotAvailable:
        return "the stream's lock or the table is held, by a switch or a schema change"
    except errors.QueryCanceled:
        return "the server took longer than it is given"
    except psycopg.OperationalError:
        raise  # the server, not the write
    except psycopg.Error as exc:
        why = f"a write that changes nothing was refused: {sentence(exc)}"
        return Evidence({}, why, f"manage.py dualwrite verify --stream {stream.name}")
    facts = {"key": key, "column": column, "milliseconds": _since(began)}
    if noted is None or not noted[0]:
        why = f"a write of key {key} was not noted in the outbox"
        return Evidence(facts, why, f"manage.py dualwrite install --store {store}")
    return Evidence(facts)


def _touchable(session: Session, stream: Stream, store: Store) -> str | None:
    """A column that may be written, rather not one of the key."""
    side = stream.side(store)
    columns = [c for c in side.writes if c not in side.match] + list(side.match)
    query = compose("gates", "touchable", columns=sql.Literal(columns), table_name=projection.table_name(side))
    row = session.execute(query).fetchone()
    return str(row[0]) if row else None


def _touch(session: Session, stream: Stream, store: Store, column: str) -> str | None:
    """Write the column of some row as it is; returns its key, None when no row is free."""
    table = projection.table(stream.side(store))
    row = session.execute(compose("gates", "pick", table=table, **_records(stream, store))).fetchone()
    if row is None:
        return None
    place, key = sql.Literal(row[0]), str(row[1])
    session.execute(compose("gates", "touch", table=table, column=sql.Identifier(column), ctid=place))
    return key


def round_trip(stream: Stream, store: Store) -> Evidence:
    """Note the key of an existing record and wait until a relay has seen to it."""
    attended = relaying(stream, store, patience=PATIENCE_SECONDS)
    if attended.why:
        return Evidence(attended.facts, f"no key can be seen relayed: {attended.why}", attended.mend)
    with asking(store), dedicated(store, f"canary {stream.name}", limits=LIMITS) as session:
        keys = _keys(session, stream, store, CANDIDATES)
    with reaching(Store.REGISTRY):
        parked = set(ParkedKey.objects.filter(stream=stream.name, key__in=keys).values_list("key", flat=True))
    free = [key for key in keys if key not in parked]
    if keys and not free:
        why = f"the first {len(keys)} keys of stream {stream.name} are all parked"
        return Evidence({}, why, f"manage.py dualwrite parked --stream {stream.name}")
    return _see_relayed(stream, store, free[0]) if free else Evidence({"skipped": EMPTY})


def _see_relayed(stream: Stream, store: Store, key: str) -> Evidence:
    limit, began = CANARY_TIMEOUT_SECONDS.value(), time.monotonic()
    outbox.note(stream, store, [key], outbox.Cause.REDRIVE)
    # Others write the key as well, so notes up to this one count; when it has gone already, any number will do.
    newest = outbox.highest(stream, store)
    for _ in pauses(limit):
        if not _waits(stream, store, key, newest):
            return _relayed(stream, key, _since(began))
    attended = relaying(stream, store)
    why = f"key {key} was noted and not relayed within {limit:g} s"
    mend = attended.mend or "manage.py run_health_checks; a relay that hangs is to be started again"
    return Evidence({"key": key, "milliseconds": _since(began)}, why, mend)


def _relayed(stream: Stream, key: str, milliseconds: float) -> Evidence:
    facts = {"key": key, "milliseconds": milliseconds}
    with reaching(Store.REGISTRY):
        parked = ParkedKey.objects.filter(stream=stream.name, key=key).first()
    if parked is None:
        return Evidence(facts)
    why = f"key {key} could not be applied and was parked: {parked.error}"
    return Evidence(facts, why, f"manage.py dualwrite parked --stream {stream.name}")


def _waits(stream: Stream, store: Store, key: str, newest: int) -> bool:
    with cursor(store) as found:
        found.execute(statement("gates", "still_waits"), {"lanes": stream.lanes, "key": key, "newest": newest})
        return bool(found.fetchone()[0])


def _keys(session: Session, stream: Stream, store: Store, count: int) -> list[str]:
    table = projection.table(stream.side(store))
    fragments = {"table": table, "count": sql.Literal(count), **_records(stream, store)}
    return [str(row[0]) for row in session.execute(compose("gates", "some_keys", **fragments))]


def _records(stream: Stream, store: Store) -> dict[str, sql.Composable]:
    return {
        "key": projection.key(stream, store),
        "is_record": projection.is_record(stream.side(store)),
        "whole_key": whole_key(stream, store),
    }


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)
