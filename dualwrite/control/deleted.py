"""Rows that the relay deleted from the mirror, and having them back.

Whatever is deleted in the authority is deleted in the mirror a moment later, so the mirror is no backup. Therefore the
relay keeps each row it deletes, in the transaction that deletes it, for `DELETED_ROWS_KEPT_DAYS`. They are had back by
writing the record to the store that takes the writes, from where it is relayed as any other write.

How it can fail, and the answer:

* the record is there again → it is left as it is, and counted: nothing newer is overwritten;
* somebody writes it in the same moment → he waits, or comes first: the look and the write are under the stream's lock;
* the stores have changed roles since → a row is looked for in both;
* the table was changed since → columns that are gone are left out, new ones get their default;
* columns that only the mirror has → they are in the kept row, which is shown whole, and are not written.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import Error as DatabaseError
from django.db import transaction
from psycopg import sql

from dualwrite import projection, switch
from dualwrite.control import transition
from dualwrite.control.reasons import require_reason
from dualwrite.exceptions import Refused, UsageError
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, present, reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor

#: Rows listed; and written in one transaction.
MOST, AT_A_TIME = 100, 1_000
#: Rows had back by one command; for more, say it again.
MOST_BACK = 100_000


@dataclass(frozen=True)
class Deleted:
    """A row as the mirror had it (column → value), its canonical record (field → text), and when it was deleted."""

    stream: str
    store: Store
    key: str
    deleted_at: datetime
    row: dict[str, Any]
    record: dict[str, str | None]


@dataclass(frozen=True)
class Undeleted:
    """How many records were written again (or, of a dry run, would be), and how many are there already."""

    stream: str
    written: int
    there: int


def deleted(
    stream: Stream, keys: Sequence[str] | None = None, since: datetime | None = None, most: int = MOST
) -> list[Deleted]:
    """Of each key the row that was deleted last, the latest first. Raises StoreUnreachable, NotInstalled."""
    found: dict[str, Deleted] = {}
    for store in present():
        for row in _found(stream, store, keys, since, most):
            if row.key not in found or found[row.key].deleted_at < row.deleted_at:
                found[row.key] = row
    return sorted(found.values(), key=lambda row: row.deleted_at, reverse=True)[:most]


def undelete(
    stream: Stream, actor: Actor, *, keys: Sequence[str] | None, since: datetime | None, dry_run: bool = False
) -> Undeleted:
    """Write the deleted records of these keys, or all since then, to the store that takes the writes.

    Raises UsageError without a reason, without keys and time, or for a key that is not kept; Refused when a writer does
    not finish, or a record cannot be stored; StoreUnreachable.
    """
    require_reason(actor, "undelete")
    if not keys and since is None:
        raise UsageError("say which: --key KEY, several times if need be, or --since TIME")
    transition.require_not_complete(stream)
    rows = deleted(stream, keys or None, since, MOST_BACK)
    unknown = sorted(set(keys or ()) - {row.key for row in rows})
    if unknown:
        raise UsageError(f"not kept as deleted from {stream.name}: {', '.join(unknown)}; see `dualwrite deleted`")
    store = switch.authority(stream).store
    written = 0
    for start in range(0, len(rows), AT_A_TIME):
        written += _write(stream, store, rows[start : start + AT_A_TIME], dry_run=dry_run)
    if written and not dry_run:
        about = {"keys": [row.key for row in rows[:100]], "written": written}
        switch.audit(Store.REGISTRY, actor, "undelete", stream.name, about)
    return Undeleted(stream.name, written, len(rows) - written)


def _write(stream: Stream, store: Store, rows: Sequence[Deleted], *, dry_run: bool) -> int:
    try:
        with reaching(store), transaction.atomic(using=store.alias):
            if not dry_run:
                with cursor(store) as alone:
                    alone.execute(statement("deleted", "alone"), {"stream": stream.name})
            there = _there(stream, store, [row.key for row in rows])
            missing = [row.record for row in rows if row.key not in there]
            if missing and not dry_run:
                stream.write(missing)
            return len(missing)
    except DatabaseError as exc:
        raise Refused(f"stream {stream.name}: a writer does not finish; try again") from exc


def _read(value: Any) -> dict[str, Any]:
    """JSON as the driver gives it: read already, or as text."""
    return dict(json.loads(value) if isinstance(value, str) else value)


def _there(stream: Stream, store: Store, keys: Sequence[str]) -> set[str]:
    query = compose(
        "deleted",
        "there",
        key_parts=projection.key_parts(stream, "k"),
        keys=sql.Literal(list(keys)),
        table=projection.table(stream.side(store)),
        match=projection.match(stream, store),
        is_record=projection.is_record(stream.side(store)),
    )
    with cursor(store) as found:
        found.execute(query.as_string(found.connection))
        return {str(row[0]) for row in found.fetchall()}


def _found(
    stream: Stream, store: Store, keys: Sequence[str] | None, since: datetime | None, most: int
) -> list[Deleted]:
    side = stream.side(store)
    parts = [
        sql.SQL("{}, ({})::text").format(sql.Literal(f.name), projection.expression(side.reads[f.name]))
        for f in (*stream.key, *stream.fields)
    ]
    query = compose(
        "deleted",
        "found",
        record=sql.SQL(", ").join(parts),
        table=projection.table(side),
        stream=sql.Literal(stream.name),
        keys=sql.Literal(None if keys is None else list(keys)),
        since=sql.Literal(since),
        most=sql.Literal(most),
    )
    with cursor(store) as found:
        found.execute(query.as_string(found.connection))
        return [
            Deleted(stream.name, store, str(row[0]), row[1], _read(row[2]), _read(row[3])) for row in found.fetchall()
        ]
