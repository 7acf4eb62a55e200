"""Canonical records of either store, by the same projection that relay and validation use."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias

from psycopg import sql

from dualwrite import projection
from dualwrite.stages import Store
from dualwrite.stores import cursor
from dualwrite.stream import Side, Stream, key_text, stream_named
from registry.reading.ask import STATEMENTS

_OF_RECORD = re.compile(r"\br\.(\w+)")
Record: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """Which records are wanted: those with these texts in these fields, behind this key, so many; all of a filter."""

    where: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    limit: int | None = None

    def single(self, stream: Stream) -> str | None:
        """The key, where one record is asked for."""
        parts = [self.where.get(part.name) for part in stream.key]
        return None if None in parts else key_text(parts)


def read(stream: Stream, store: Store, asked: Asked) -> list[Record]:
    """The records, by the bytes of their keys; each has the key's fields and the others by name.

    Raises StoreUnreachable, StoreFailed.
    """
    query = _query(stream.name, store, frozenset(asked.where), bool(asked.after), asked.limit is not None)
    after = {f"after_{number}": value for number, value in enumerate(asked.after)}
    names = [f.name for f in (*stream.key, *stream.fields)]
    with cursor(store) as found:
        found.execute(query, {**asked.where, **after, "limit": asked.limit})
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def key_of(stream: Stream, record: Record) -> str:
    """The key of a record as the engine writes it."""
    return key_text([record[part.name] for part in stream.key])


@cache
def _query(stream_name: str, store: Store, fields: frozenset[str], after: bool, limited: bool) -> str:
    stream = stream_named(stream_name)
    side = stream.side(store)
    keys = [projection.typed(part, side) for part in stream.key]
    order = [sql.SQL('({}) COLLATE "C"').format(key) for key in keys]
    named = [sql.SQL("{} AS {}").format(k, sql.Identifier(p.name)) for k, p in zip(keys, stream.key, strict=True)]
    wanted = [sql.SQL("({}) IS NOT NULL").format(key) for key in keys] + _conditions(stream, side, fields)
    if after:
        places = sql.SQL(", ").join([sql.Placeholder(f"after_{number}") for number in range(len(keys))])
        wanted.append(sql.SQL("({}) > ({})").format(sql.SQL(", ").join(order), places))
    composed = sql.SQL(STATEMENTS["records"]).format(
        order=sql.SQL(", ").join(order),
        keys=sql.SQL(", ").join(named),
        fields=projection.record(stream, store),
        table=projection.table(side),
        is_record=projection.is_record(side),
        wanted=sql.SQL(" AND ").join(wanted),
        limit=sql.SQL("LIMIT %(limit)s" if limited else ""),
    )
    return composed.as_string(None)


def _conditions(stream: Stream, side: Side, fields: frozenset[str]) -> list[sql.Composable]:
    """Each field has its text; and the columns that the store's own index has, as far as these fields tell them."""
    every = {field.name: field for field in (*stream.key, *stream.fields)}
    found: list[sql.Composable] = [
        sql.SQL("{} = {}").format(projection.typed(every[name], side), sql.Placeholder(name)) for name in sorted(fields)
    ]
    for column in side.match:
        needed = set(_OF_RECORD.findall(side.writes[column]))
        if needed and needed <= fields:
            text = _OF_RECORD.sub(r"%(\1)s::text", side.writes[column])
            found.append(sql.SQL("t.{} = {}").format(sql.Identifier(column), projection.expression(text)))
    return found
