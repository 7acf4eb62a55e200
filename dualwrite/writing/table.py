"""The authority's table: all records of a call by one statement, and what the driver's refusals mean."""

import select
from contextlib import nullcontext
from enum import Enum

import psycopg
from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from dualwrite import projection
from dualwrite.exceptions import DualWriteError, NotAuthority, NotInstalled, RecordRefused, StoreFailed
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import describe, reaching, require_present
from dualwrite.stream import Stream

#: Stands for them until the statement is text.
_JSON = "<the records>"


class InTheWay(DualWriteError):
    """Another writer was in the way, so nothing was written; try again."""


class Refusal(Enum):
    """What a store's refusal is about."""

    FENCE = "the store does not take the stream's writes"
    UNKNOWN = "the engine does not know the stream here"
    OTHERS = "another writer was in the way"
    RECORD = "a record cannot be stored"
    ELSE = "anything else"


def refusal(state: str | None) -> Refusal:
    """What the server's SQLSTATE is about."""
    if state in ("DW001", "DW002"):
        return Refusal.FENCE if state == "DW001" else Refusal.UNKNOWN
    # A unique key, a serialization failure, a deadlock.
    if state in ("23505", "40001", "40P01"):
        return Refusal.OTHERS
    # Data and integrity; an exception a trigger raises; a row too large for its index.
    return Refusal.RECORD if state and (state[:2] in ("22", "23", "54") or state == "P0001") else Refusal.ELSE


def in_callers_transaction(store: Store) -> bool:
    """Whether this thread's connection to the store is in a transaction that somebody else ends."""
    connection = connections[store.alias]
    # One that is not open yet is in none; to ask it for its mode would open it.
    return connection.in_atomic_block or (connection.connection is not None and not connection.autocommit)


def put(stream: Stream, store: Store, records: str) -> list[tuple[str, int]]:
    """Write the records (JSON of `records.as_json`); returns their keys in order, each with its partition among 64.

    In an atomic block of the caller's it is part of it, and a refusal leaves that as it was. Raises NotAuthority,
    RecordRefused, InTheWay, NotInstalled, StoreUnreachable, StoreFailed; nothing is written then.
    """
    require_present(store)
    connection = connections[store.alias]
    statement = _statement(stream, store)
    if not in_callers_transaction(store):
        _close_if_ended(connection)
        # A database may be set otherwise, and a snapshot from before the lock of a key does not show who just had it.
        statement = f"SET TRANSACTION ISOLATION LEVEL READ COMMITTED;{statement}"
    inner = transaction.atomic(using=store.alias) if connection.in_atomic_block else nullcontext()
    try:
        with reaching(store), inner, connection.cursor() as cursor:
            cursor.execute(statement, {"records": records})
            while cursor.nextset():
                pass
            return [(str(key), int(part or 0)) for key, part in cursor.fetchall()]
    except DatabaseError as exc:
        raise _refused(stream, store, exc) from exc


def _close_if_ended(connection: BaseDatabaseWrapper) -> None:
    """Close a connection whose server has ended it meanwhile, so that a new one is opened. Costs no message."""
    if connection.connection is None or connection.connection.closed:
        return
    waiting = select.poll()
    # Nothing was asked, so what can be read is the server's last word.
    waiting.register(connection.connection.pgconn.socket, select.POLLIN | select.POLLHUP)
    if waiting.poll(0):
        connection.close()


def _refused(stream: Stream, store: Store, exc: DatabaseError) -> DualWriteError:
    cause = exc.__cause__
    if not isinstance(cause, psycopg.Error):
        return StoreFailed(f"{describe(store)}: {exc}")
    lines = [cause.diag.message_primary or str(exc).strip().partition("\n")[0], cause.diag.message_detail or ""]
    sentence = ". ".join(line.replace("\n", " ") for line in lines if line)
    kind = refusal(cause.sqlstate)
    if kind is Refusal.FENCE:
        return NotAuthority(sentence)
    if kind is Refusal.UNKNOWN:
        return NotInstalled(sentence)
    if kind is Refusal.OTHERS:
        return InTheWay(f"{describe(store)}: {sentence}")
    if kind is Refusal.RECORD:
        return RecordRefused(f"{stream.name} in {describe(store)}: {sentence}")
    return StoreFailed(f"{describe(store)}: {sentence}")


_texts: dict[tuple[str, Store], tuple[Stream, str]] = {}


def _statement(stream: Stream, store: Store) -> str:
    """The statement with a place for the records' JSON, composed once."""
    known = _texts.get((stream.name, store))
    if known is None or known[0] is not stream:
        # A percent sign of an expression is its own; the driver takes a single one for the place of a value.
        text = _put(stream, store).as_string(None).replace("%", "%%").replace(_JSON, "%(records)s")
        known = _texts[stream.name, store] = (stream, text)
    return known[1]


def _put(stream: Stream, store: Store) -> sql.Composed:
    side, fields = stream.side(store), (*stream.key, *stream.fields)
    source = compose(
        "writing",
        "source",
        json=sql.SQL(_JSON),
        definitions=projection.definitions(fields),
        names=projection.names([f.name for f in fields]),
    )
    values = {column: projection.expression(text) for column, text in side.writes.items()}
    matched = [sql.SQL("{} AS {}").format(values[column], sql.Identifier(column)) for column in side.match]
    keys = compose(
        "writing", "keys", key=projection.key(stream, store), columns=sql.SQL(", ").join(matched), source=source
    )
    # A table of nothing but its key is written, too, so that the key is noted.
    changed = [column for column in values if column not in side.match] or list(side.match[:1])
    return compose(
        "writing",
        "put",
        stream=sql.Literal(f"{stream.name}/"),
        keys=keys,
        table=projection.table(side),
        source=source,
        match=projection.match(stream, store),
        assignments=sql.SQL(", ").join(
            [sql.SQL("{} = {}").format(sql.Identifier(column), values[column]) for column in changed]
        ),
        written=projection.names(list(values)),
        values=sql.SQL(", ").join(list(values.values())),
    )
