"""What is run in a store to install, check and remove capture: SQL made of a stream's declaration. No I/O."""

import hashlib
import json
from collections.abc import Sequence
from typing import TypeAlias

from psycopg import sql

from dualwrite import projection
from dualwrite.sql import compose, statement
from dualwrite.stages import Role, Store
from dualwrite.stores import first_stage
from dualwrite.stream import Side, Stream

#: Raised when what is installed changes; functions carry it in their names.
VERSION = 1
#: What the engine's role needs on a streamed table to mirror from the old store to the new one. What the way back needs
#: besides is another matter (`missing_rights`): asked for where the old store is the mirror.
PRIVILEGES = {Store.SCREENER: ("SELECT",), Store.REGISTRY: ("SELECT", "INSERT", "UPDATE", "DELETE")}

Part: TypeAlias = sql.SQL | sql.Composed


def installing(streams: Sequence[Stream], store: Store) -> list[Part]:
    """The engine's schema, and what each of the streams needs; without the rights of the engine's role."""
    head: list[Part] = [
        sql.SQL(statement("install", "schema")),
        compose("install", "identity", store=sql.Literal(store.value)),
    ]
    return [*head, *(part for stream in streams for part in installing_stream(stream, store))]


def installing_stream(stream: Stream, store: Store) -> list[Part]:
    """Functions and triggers of one stream, and the record of them; what all streams share must be there."""
    record = compose(
        "install",
        "record",
        stream=sql.Literal(stream.name),
        version=sql.Literal(VERSION),
        fingerprint=_fingerprint(stream, store),
        projection=sql.Literal(made_of(stream)),
    )
    return [_stream_sql(stream, store), record]


def granting(streams: Sequence[Stream], store: Store, role: str) -> list[Part]:
    """What the engine's role may do: in the engine's schema, and with the table of each stream."""
    tables = [
        compose("install", "rights", missing_rights=missing_rights(stream.side(store), sql.Literal(role)))
        for stream in streams
    ]
    return [compose("install", "grants", role=sql.Identifier(role)), *tables]


def missing_rights(side: Side, role: sql.Composable) -> sql.Composed:
    """A query for what the role lacks to make the table equal to another one, as the statements that give it."""
    return compose(
        "install",
        "missing_rights",
        role=role,
        table_name=projection.table_name(side),
        written=sql.Literal(list(side.writes)),
        changed=sql.Literal([column for column in side.writes if column not in side.match]),
        read=sql.Literal(_plain_columns(side)),
    )


def _plain_columns(side: Side) -> list[str]:
    """Columns that are read as they are: a switch asks where their sequences stand."""
    columns = [expression.removeprefix("t.") for expression in side.reads.values() if expression.startswith("t.")]
    return [column for column in columns if column.isidentifier()]


def uninstalling_stream(stream: Stream, store: Store) -> list[Part]:
    """Triggers, then functions, of one stream."""
    triggers = compose("install", "uninstall_stream", table=projection.table(stream.side(store)))
    return [triggers, uninstalling_functions(stream)]


def uninstalling_functions(stream: Stream) -> Part:
    """The functions of a stream whose table is gone."""
    return compose("install", "uninstall_stream_functions", **_functions(stream))


def _stream_sql(stream: Stream, store: Store) -> Part:
    side = stream.side(store)
    written, removed = sql.SQL("written"), sql.SQL("removed")
    return compose(
        "install",
        "stream",
        stream=sql.Literal(stream.name),
        lanes=sql.Literal(stream.lanes),
        store=sql.Literal(store.value),
        # Before anything is enabled, the old store takes the writes and the new one is no part of it. Where there never
        # was an old one, the new one takes them.
        role=sql.Literal((Role.AUTHORITY if store is first_stage().authority else Role.DETACHED).value),
        table=projection.table(side),
        table_name=projection.table_name(side),
        key=projection.key(stream, store),
        key_columns=projection.key_columns(side),
        old_key_columns=projection.names(side.match, "OLD"),
        key_columns_differ=_key_columns_differ(side),
        partition_mask=compose("install", "partition_mask", stream=sql.Literal(stream.name)),
        note_first_written=_note_first(stream, store, written),
        note_first_removed=_note_first(stream, store, removed),
        note_all_written=_note_all(stream, store, written),
        note_all_removed=_note_all(stream, store, removed),
        note_all_of_table=_note_all(stream, store, projection.table(side)),
        **_functions(stream),
    )


def _key_columns_differ(side: Side) -> sql.Composable:
    """The condition that an UPDATE changed a column of the key, byte for byte: as text, 1.0 and 1.00 are two keys.

    A key is made of text, so columns of the same text make the same key. Comparing rows as images costs three times
    as much, with every row of every UPDATE.
    """
    column = sql.SQL('{0}.{1}::pg_catalog.text COLLATE pg_catalog."C"')
    pairs = [[column.format(sql.SQL(row), sql.Identifier(name)) for row in ("OLD", "NEW")] for name in side.match]
    return sql.SQL(" OR ").join([sql.SQL(" IS DISTINCT FROM ").join(pair) for pair in pairs])


def _note_first(stream: Stream, store: Store, touched: sql.Composable) -> sql.Composable:
    return compose(
        "install",
        "note_first",
        lanes=sql.Literal(stream.lanes),
        key=projection.key(stream, store),
        key_columns=projection.key_columns(stream.side(store)),
        touched=touched,
    )


def _note_all(stream: Stream, store: Store, touched: sql.Composable) -> sql.Composable:
    keys = sql.SQL("SELECT {} AS key FROM (SELECT {} FROM {}) AS t").format(
        projection.key(stream, store), projection.key_columns(stream.side(store)), touched
    )
    lanes, mask = sql.Literal(stream.lanes), sql.SQL("mask")
    return compose("outbox", "pack", lanes=lanes, mask=mask, keys=keys, cause=sql.Literal("w"))


def made_of(stream: Stream) -> str:
    """A digest of what the stream's records are made of: its key, its fields, how each store reads and writes them."""
    sides = {
        store.value: [dict(side.reads), dict(side.writes), side.match, side.where]
        for store, side in stream.sides.items()
    }
    parts = [[(part.name, part.type) for part in group] for group in (stream.key, stream.fields)]
    return hashlib.md5(json.dumps([parts, sides], sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def _functions(stream: Stream) -> dict[str, sql.Composable]:
    return {
        f"{event}_function": sql.Identifier(f"{stream.name}_{event}_v{VERSION}")
        for event in ("insert", "update", "rekey", "delete", "truncate")
    }


def _fingerprint(stream: Stream, store: Store) -> sql.Composable:
    return compose("install", "fingerprint", table_name=projection.table_name(stream.side(store)))


def finding_problems(stream: Stream, store: Store) -> sql.Composed:
    """A query for what keeps capture of the stream from being relied on."""
    return compose(
        "install",
        "problems",
        stream=sql.Literal(stream.name),
        version=sql.Literal(VERSION),
        projection=sql.Literal(made_of(stream)),
        table_name=projection.table_name(stream.side(store)),
        key_column_names=sql.Literal(list(stream.side(store).match)),
        privileges=sql.Literal(list(PRIVILEGES[store])),
        fingerprint=_fingerprint(stream, store),
        follows=sql.Literal(store is Store.SCREENER),
        missing_rights=missing_rights(stream.side(store), sql.SQL("current_user")),
    )
