"""The authority's table: all records of a call by one statement, and what the driver's refusals mean."""

import re
import select
from contextlib import nullcontext
from enum import Enum

import psycopg
from django.db import Error as DatabaseError
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg import sql

from dualwrite import projection
from dualwrite.exceptions import DualWriteError, NotAuthority, NotInstalled, RecordRefused, StoreFailed, first_line
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import describe, reaching, require_present
from dualwrite.stream import Field, Stream

#: Stands for them until the statement is text.
_JSON = "<the records>"
#: What is done with them, besides amending named fields.
PUT, REMOVE = ("<put>",), ("<remove>",)
#: The fields that an expression over a record uses.
OF_RECORD = re.compile(r"\br\.(\w+)")


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
    return _carry_out(stream, store, records, PUT)


def remove(stream: Stream, store: Store, keys: str) -> list[tuple[str, int]]:
    """Remove the records of these keys (JSON of `records.keys_as_json`); returns those that had one, as `put`."""
    return _carry_out(stream, store, keys, REMOVE)


def amend(stream: Stream, fields: tuple[str, ...], store: Store, records: str) -> list[tuple[str, int]]:
    """Give existing records these fields (JSON of `records.amended_as_json`); returns those there were, as `put`."""
    return _carry_out(stream, store, records, fields)


def _carry_out(stream: Stream, store: Store, records: str, what: tuple[str, ...]) -> list[tuple[str, int]]:
    require_present(store)
    connection = connections[store.alias]
    statement = _statement(stream, store, what)
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
    lines = [cause.diag.message_primary or first_line(exc), cause.diag.message_detail or ""]
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


_texts: dict[tuple[str, Store, tuple[str, ...]], tuple[Stream, str]] = {}


def _statement(stream: Stream, store: Store, what: tuple[str, ...]) -> str:
    """The statement with a place for the records' JSON, composed once; `what`: PUT, REMOVE, or the fields to amend."""
    known = _texts.get((stream.name, store, what))
    if known is None or known[0] is not stream:
        composers = {PUT: _put, REMOVE: _remove}
        composed = composers[what](stream, store) if what in composers else _amend(stream, store, what)
        # A percent sign of an expression is its own; the driver takes a single one for the place of a value.
        text = composed.as_string(None).replace("%", "%%").replace(_JSON, "%(records)s")
        known = _texts[stream.name, store, what] = (stream, text)
    return known[1]


def _source(fields: tuple[Field, ...]) -> sql.Composed:
    definitions, names = projection.definitions(fields), projection.names([f.name for f in fields])
    return compose("writing", "source", json=sql.SQL(_JSON), definitions=definitions, names=names)


def _keys(stream: Stream, store: Store, source: sql.Composable) -> sql.Composed:
    side = stream.side(store)
    matched = [
        sql.SQL("{} AS {}").format(projection.expression(side.writes[column]), sql.Identifier(column))
        for column in side.match
    ]
    columns = sql.SQL(", ").join(matched)
    return compose("writing", "keys", key=projection.key(stream, store), columns=columns, source=source)


def _remove(stream: Stream, store: Store) -> sql.Composed:
    side, source = stream.side(store), _source(stream.key)
    return compose(
        "writing",
        "remove",
        stream=sql.Literal(f"{stream.name}/"),
        keys=_keys(stream, store, source),
        key=projection.key(stream, store),
        table=projection.table(side),
        source=source,
        match=projection.match(stream, store),
        is_record=projection.is_record(side),
    )


def _amend(stream: Stream, store: Store, fields: tuple[str, ...]) -> sql.Composed:
    side = stream.side(store)
    source = _source((*stream.key, *[field for field in stream.fields if field.name in fields]))
    # Columns that these fields alone decide, and those that follow from no field.
    changed = {c: text for c, text in side.writes.items() if set(OF_RECORD.findall(text)) <= set(fields)}
    assignments = [
        sql.SQL("{} = {}").format(sql.Identifier(column), projection.expression(text))
        for column, text in changed.items()
    ]
    return compose(
        "writing",
        "amend",
        stream=sql.Literal(f"{stream.name}/"),
        keys=_keys(stream, store, source),
        key=projection.key(stream, store),
        table=projection.table(side),
        source=source,
        assignments=sql.SQL(", ").join(assignments),
        match=projection.match(stream, store),
        is_record=projection.is_record(side),
    )


def _put(stream: Stream, store: Store) -> sql.Composed:
    side, source = stream.side(store), _source((*stream.key, *stream.fields))
    keys = _keys(stream, store, source)
    values = {column: projection.expression(text) for column, text in side.writes.items()}
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
