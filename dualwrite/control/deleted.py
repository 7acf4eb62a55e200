"""Rows that the relay deleted from the mirror, and having them back.

Whatever is deleted in the authority is deleted in the mirror a moment later, so the mirror is no backup. Therefore the
relay keeps each row it deletes, in the transaction that deletes it, for `DELETED_ROWS_KEPT_DAYS`. They are had back by
writing the record to the store that takes the writes, from where it is relayed as any other write.

How it can fail, and the answer:

* the record is there again → it is left as it is, and counted: nothing newer is overwritten;
* somebody writes it in the same moment → he waits, or comes first: the look and the write are under the stream's lock,
  which is asked for in short tries, so that nobody waits for a writer that does not end;
* the stores have changed roles since → a row is looked for in both;
* the table was changed since → columns that are gone are left out, new ones get their default;
* a row cannot be read any more, or its record is refused → it is named, and the others are written all the same;
* a row cannot be kept, as one of its values is none in JSON → it is deleted all the same, and the log says so;
* the process dies → each thousand is one transaction, audited after it; the same command writes the rest;
* columns that only the mirror has → they are in the kept row, which is shown whole, and are not written.
"""

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import DataError, IntegrityError, connections, transaction
from django.db import Error as DatabaseError
from psycopg import errors, sql

from dualwrite import projection, switch
from dualwrite.control import transition
from dualwrite.control.reasons import require_reason
from dualwrite.exceptions import (
    ConcurrentChange,
    NotAuthority,
    RecordInvalid,
    RecordRefused,
    Refused,
    StoreFailed,
    UsageError,
)
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, present, reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor, locks

#: Rows listed; and written in one transaction.
MOST, AT_A_TIME = 100, 1_000
#: Records that are refused before no more are tried: it is not about single ones then.
MOST_REFUSED = 100
#: Keys named in a line of the audit.
AUDITED = 100
#: Above every number of a row.
ABOVE_ALL = 2**63 - 1


@dataclass(frozen=True)
class Deleted:
    """A row as the mirror had it (column → value), its canonical record (field → text), and when it was deleted.

    `error`: why the row cannot be read as the table is now; there is no record then.
    """

    id: int
    stream: str
    store: Store
    key: str
    deleted_at: datetime
    row: dict[str, Any]
    record: dict[str, str | None] | None
    error: str = ""


@dataclass(frozen=True)
class Undeleted:
    """How many records were written again (or, of a dry run, would be), how many are there already, and which cannot
    be written: key → why."""

    stream: str
    written: int
    there: int
    refused: Mapping[str, str] = field(default_factory=dict)


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
    not finish, or MOST_REFUSED records cannot be stored; ConcurrentChange when a switch is under way; StoreUnreachable.
    """
    require_reason(actor, "undelete")
    if not keys and since is None:
        raise UsageError("say which: --key KEY, several times if need be, or --since TIME")
    transition.require_not_complete(stream)
    wanted = sorted(set(keys or ()))
    kept = {row.key for row in deleted(stream, wanted, since, len(wanted))} if wanted else set()
    unknown = [key for key in wanted if key not in kept]
    if unknown:
        raise UsageError(f"not kept as deleted from {stream.name}: {', '.join(unknown)}; see `dualwrite deleted`")
    if not dry_run:
        transition.settle_and_repair(stream, actor)
    work = _Undeleting(stream, switch.authority(stream).store, actor, dry_run=dry_run)
    for page in _pages(stream, wanted or None, since):
        work.do(page)
    return Undeleted(stream.name, work.written, work.there, work.refused)


def _pages(stream: Stream, keys: Sequence[str] | None, since: datetime | None) -> Iterator[list[Deleted]]:
    """All such rows, some at a time; not those of a key that was deleted from the other store later."""
    for store in present():
        below = ABOVE_ALL
        while page := _found(stream, store, keys, since, AT_A_TIME, below):
            below = page[-1].id
            elsewhere = _elsewhere(stream, store, page)
            yield [row for row in page if elsewhere.get(row.key, row.deleted_at) <= row.deleted_at]


def _elsewhere(stream: Stream, store: Store, rows: Sequence[Deleted]) -> dict[str, datetime]:
    """When keys of these rows were last deleted from the other store, as far as they were."""
    keys, others = [row.key for row in rows], [other for other in present() if other is not store]
    return {row.key: row.deleted_at for other in others for row in _found(stream, other, keys, None, len(keys))}


class _Undeleting:
    """One command's work, and what came of it so far."""

    def __init__(self, stream: Stream, store: Store, actor: Actor, *, dry_run: bool) -> None:
        self._stream, self._store, self._actor, self._dry_run = stream, store, actor, dry_run
        self.written, self.there = 0, 0
        self.refused: dict[str, str] = {}

    def do(self, rows: Sequence[Deleted]) -> None:
        """Write those of the rows that have no record; those that cannot be written are left out."""
        self.refused.update({row.key: row.error for row in rows if row.record is None})
        self._write([row for row in rows if row.record is not None])

    def _write(self, rows: Sequence[Deleted]) -> None:
        """Write all rows but those that are refused: halves are tried, down to these."""
        if not rows:
            return
        try:
            written = self._write_together(rows)
        except (RecordRefused, RecordInvalid) as exc:
            if len(rows) == 1:
                return self._refuse(rows[0].key, exc.detail)
            half = len(rows) // 2
            self._write(rows[:half])
            return self._write(rows[half:])
        self.written += len(written)
        self.there += len(rows) - len(written)
        if written and not self._dry_run:
            about = {"keys": written[:AUDITED], "written": len(written)}
            switch.audit(Store.REGISTRY, self._actor, "undelete", self._stream.name, about)

    def _refuse(self, key: str, why: str) -> None:
        self.refused[key] = why
        if len(self.refused) >= MOST_REFUSED:
            raise Refused(
                f"stream {self._stream.name}: {self.written} records were written again, {len(self.refused)} cannot be,"
                f" and no more were tried; the last one, {key}: {why}"
            )

    def _write_together(self, rows: Sequence[Deleted]) -> list[str]:
        until = time.monotonic() + locks.DEADLINE_SECONDS
        while True:
            try:
                with reaching(self._store), transaction.atomic(using=self._store.alias):
                    return self._write_alone(rows)
            except NotAuthority as exc:
                raise ConcurrentChange(f"stream {self._stream.name}: a switch between the stores is under way") from exc
            except DatabaseError as exc:
                if not isinstance(exc.__cause__, errors.LockNotAvailable):
                    raise
                if time.monotonic() > until:
                    raise Refused(f"stream {self._stream.name}: a writer does not finish; try again") from exc
            # Not a wait for anything: the time in which writers pass that queued behind the try.
            threading.Event().wait(locks.PAUSE_SECONDS)

    def _write_alone(self, rows: Sequence[Deleted]) -> list[str]:
        keys = [row.key for row in rows]
        if not self._dry_run:
            with connections[self._store.alias].cursor() as alone:
                alone.execute(statement("deleted", "alone"), {"stream": self._stream.name, "keys": keys})
        there = _there(self._stream, self._store, keys)
        missing = {row.key: row.record for row in rows if row.record is not None and row.key not in there}
        if missing and not self._dry_run:
            self._stream.write(list(missing.values()))
        return list(missing)


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
    stream: Stream,
    store: Store,
    keys: Sequence[str] | None,
    since: datetime | None,
    most: int,
    below: int = ABOVE_ALL,
) -> list[Deleted]:
    query = compose(
        "deleted",
        "found",
        stream=sql.Literal(stream.name),
        keys=sql.Literal(None if keys is None else list(keys)),
        since=sql.Literal(since),
        most=sql.Literal(most),
        below=sql.Literal(below),
    )
    with cursor(store) as found:
        found.execute(query.as_string(found.connection))
        rows = found.fetchall()
    records = _records(stream, store, [int(row[0]) for row in rows])
    return [
        Deleted(int(row[0]), stream.name, store, str(row[1]), row[2], _read(row[3]), *records[int(row[0])])
        for row in rows
        if int(row[0]) in records  # else it was given up meanwhile, as it was kept for long enough
    ]


def _records(stream: Stream, store: Store, ids: Sequence[int]) -> dict[int, tuple[dict[str, Any] | None, str]]:
    """Number of a row → its record, or none and why: a value need not fit into its column any more."""
    try:
        return {number: (record, "") for number, record in _read_records(stream, store, ids)}
    except StoreFailed as exc:
        if not isinstance(exc.__cause__, (DataError, IntegrityError)):
            raise
        if len(ids) == 1:
            return {ids[0]: (None, exc.detail)}
    half = len(ids) // 2
    return {**_records(stream, store, ids[:half]), **_records(stream, store, ids[half:])}


def _read_records(stream: Stream, store: Store, ids: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    side = stream.side(store)
    parts = [
        sql.SQL("{}, ({})::text").format(sql.Literal(f.name), projection.expression(side.reads[f.name]))
        for f in (*stream.key, *stream.fields)
    ]
    query = compose(
        "deleted",
        "records",
        record=sql.SQL(", ").join(parts),
        table=projection.table(side),
        ids=sql.Literal(list(ids)),
    )
    with cursor(store) as found:
        found.execute(query.as_string(found.connection))
        for row in found.fetchall():
            yield int(row[0]), _read(row[1])
