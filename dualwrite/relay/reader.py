"""The authority's side of the relay: take notes, read records, delete notes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any

from psycopg import Copy, sql
from psycopg.pq.abc import PGresult

from dualwrite import projection
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream, split_keyless


@dataclass(frozen=True)
class Taken:
    """A batch: its keys as often as they were noted, its different keys, the ids of its oldest and newest note.

    Fewer `notes` than were asked for means that nothing more waited.
    """

    notes: int = 0
    keys: int = 0
    oldest_note: int = 0
    newest_note: int = 0


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _texts(found: PGresult | None) -> list[tuple[str | None, ...]]:
    if found is None:
        return []
    columns = range(found.nfields)
    return [tuple(_text(found.get_value(row, column)) for column in columns) for row in range(found.ntuples)]


#: As many rows are deleted faster than a table is truncated.
FEW = 1000
#: Of each partition, how many of the newest notes are looked through for those of given keys.
NEWEST = 1000


class Reader:
    """One batch at a time, kept in a temporary table of the connection, so that no key passes through this process.

    `using`: held while the session is used, where several threads share it.
    """

    def __init__(
        self,
        stream: Stream,
        store: Store,
        session: Session,
        batch: str = "batch",
        using: AbstractContextManager[object] | None = None,
    ) -> None:
        self._stream, self._store, self._session = stream, store, session
        self.using: AbstractContextManager[object] = using or RLock()
        self._side = stream.side(store)
        self._notes, self._keyless = 0, list[str]()
        #: Of the keys of the batch.
        self.partitions: list[int] = []
        self._batch = sql.Identifier("pg_temp", f"{batch}_{stream.name}")
        self._session.execute(
            compose(
                "relay",
                "batch_table",
                batch=self._batch,
                key_definitions=projection.definitions(stream.key),
            )
        )

    def take(
        self, lanes: Sequence[int], size: int, *, above: int = 0, beside: Mapping[int, tuple[int, int]] | None = None
    ) -> Taken:
        """Take notes of `size` keys, the oldest of each lane, in the order in which lanes are given.

        The last note may bring more keys than `size`: a note is taken whole, so that `done` can delete it. Notes up to
        the number `above` are not looked for; `beside`: the spans of a batch whose notes are not deleted yet.
        """
        spans = [(beside or {}).get(lane, (None, None)) for lane in lanes]
        take = compose(
            "relay",
            "take",
            batch=self._batch,
            key_parts=projection.key_parts(self._stream, "taken.key"),
            lanes=sql.Literal(list(lanes)),
            low=sql.Literal([low for low, _ in spans]),
            high=sql.Literal([high for _, high in spans]),
            above=sql.Literal(above),
            size=sql.Literal(size),
        )
        no_null_key = projection.no_null_key(self._stream, "b")
        with self.using:
            row = self._session.execute(compose("relay", "took", take=take, no_null_key=no_null_key)).fetchone()
        return self._took(row)

    def spans(self) -> dict[int, tuple[int, int]]:
        """Lane → numbers of the first and the last note of the batch."""
        rows = self._execute(compose("relay", "spans", batch=self._batch))
        return {int(lane): (int(low), int(high)) for lane, low, high in rows}

    def last_note(self) -> int:
        """The last number given to a note in this store."""
        return int(self._execute(statement("relay", "last_note"))[0][0])

    def oldest_note(self, lanes: Sequence[int], above: int) -> tuple[int | None, int, int]:
        """The oldest note of the lanes above a number; the oldest transaction that has not ended, and the next one."""
        row = self._execute(statement("relay", "oldest_note"), {"lanes": list(lanes), "above": above})[0]
        return (None if row[0] is None else int(row[0]), int(row[1]), int(row[2]))

    def _execute(self, query: Any, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        with self.using:
            return self._session.execute(query, values).fetchall()

    def take_keys(self, keys: Sequence[str], partitions: int) -> Taken:
        """Take these keys, noted or not, with their own newest notes.

        Nothing where no keys are noted at all, or where they fall into another number of partitions by now.
        """
        with self.using:
            values = {"keys": list(keys), "partitions": partitions}
            row = self._session.execute(self._take_keys, values, prepare=True).fetchone()
        return self._took(row)

    @cached_property
    def _take_keys(self) -> bytes:
        take = compose(
            "relay",
            "take_keys",
            batch=self._batch,
            key_parts=projection.key_parts(self._stream, "taken.key"),
            stream=sql.Literal(self._stream.name),
            newest=sql.Literal(NEWEST),
            partitions=sql.Placeholder("partitions"),
            wanted=sql.Placeholder("keys"),
        )
        no_null_key = projection.no_null_key(self._stream, "b")
        return compose("relay", "took", take=take, no_null_key=no_null_key).as_bytes(self._session)

    def _took(self, row: Sequence[Any] | None) -> Taken:
        self._notes, self._keyless, self.partitions = 0, [], []
        if row is None:
            return Taken()
        self._notes, self._keyless, self.partitions = int(row[0]), list(row[4] or ()), list(row[5] or ())
        return Taken(*map(int, row[:4]))

    @contextmanager
    def read(self, low: int, high: int) -> Iterator[Copy]:
        """The records of the keys numbered low to high, as COPY text blocks; keys with a NULL part are left out."""
        key_names = [part.name for part in self._stream.key]
        query = compose(
            "relay",
            "read",
            batch=self._batch,
            key_names=projection.names(key_names, "r"),
            batch_key_names=projection.names(key_names, "b"),
            record=projection.record(self._stream, self._store),
            low=sql.Literal(low),
            high=sql.Literal(high),
            no_null_key=projection.no_null_key(self._stream, "b"),
            table=projection.table(self._side),
            match=projection.match(self._stream, self._store),
            is_record=projection.is_record(self._side),
        )
        with self.using, self._session.cursor().copy(query) as copy:
            yield copy

    def take_and_read(self, keys: Sequence[str], partitions: int) -> tuple[Taken, list[tuple[str | None, ...]]]:
        """As `take_keys`, and their records in the same message, each value as the text that `read` would send.

        As key, the key's fields, "t" where there is a record, the fields. The session has to be at READ COMMITTED: to
        the server both are one transaction, and only so the records are of a later snapshot than the notes.
        """
        values = {"keys": list(keys), "partitions": partitions}
        with self.using, self._session.pipeline():
            took = self._session.execute(self._take_keys, values, prepare=True)
            read = self._session.execute(self._read_few, prepare=True)
        return self._took(took.fetchone()), _texts(read.pgresult)

    @cached_property
    def _read_few(self) -> bytes:
        key_names = [part.name for part in self._stream.key]
        return compose(
            "relay",
            "read_few",
            batch=self._batch,
            key_names=projection.names(key_names, "r"),
            batch_key_names=projection.names(key_names, "b"),
            record=projection.record(self._stream, self._store),
            no_null_key=projection.no_null_key(self._stream, "b"),
            table=projection.table(self._side),
            match=projection.match(self._stream, self._store),
            is_record=projection.is_record(self._side),
        ).as_bytes(self._session)

    def keyless(self) -> list[str]:
        """Keys of the batch that have a NULL part."""
        return self._keyless

    def key_at(self, ordinal: int) -> str:
        """The key numbered `ordinal`."""
        query = sql.SQL("SELECT key FROM {} WHERE ordinal = {} LIMIT 1").format(self._batch, sql.Literal(ordinal))
        rows = self._execute(query)
        return str(rows[0][0]) if rows else ""

    def among(self, keys: Sequence[str]) -> list[str]:
        """Those of the keys that are in the batch."""
        query = compose("relay", "keys_among", batch=self._batch, wanted=sql.Literal(list(keys)))
        return [str(row[0]) for row in self._execute(query)]

    def rows_of(self, keys: Sequence[str]) -> dict[str, str]:
        """The authority's rows of some keys as the text of a JSON array; a key without rows is missing."""
        whole, keyless = split_keyless(keys)
        side = projection.table(self._side)
        found: dict[str, str] = {}
        if whole:
            found |= self._rows(
                "rows_of",
                table=side,
                key_parts=projection.key_parts(self._stream, "k"),
                match=projection.match(self._stream, self._store),
                wanted=sql.Literal(whole),
            )
        if keyless:
            key = projection.key(self._stream, self._store)
            found |= self._rows("rows_of_keyless", table=side, key=key, wanted=sql.Literal(keyless))
        return found

    def _rows(self, name: str, **fragments: sql.Composable) -> dict[str, str]:
        return {str(key): str(rows) for key, rows in self._execute(compose("relay", name, **fragments))}

    def ping(self) -> None:
        """Show the server that this end is alive."""
        self._execute("SELECT 1")

    def done(self, counted: tuple[int, int] | None) -> None:
        """Delete the batch's notes and forget it. `counted`: partition and count of what the mirror has applied."""
        partition, applied = counted or (None, 0)
        values = {"stream": self._stream.name, "partition": partition, "applied": applied}
        # Only for few notes: a plan made for a small batch is none for a large one.
        few = self._notes <= FEW
        with self.using, self._session.pipeline() if few else nullcontext():
            self._session.execute(self._done, values, prepare=few)
            self.forget()

    @cached_property
    def _done(self) -> bytes:
        places = {name: sql.Placeholder(name) for name in ("stream", "partition", "applied")}
        return compose("relay", "done", batch=self._batch, **places).as_bytes(self._session)

    @cached_property
    def _forget_few(self) -> bytes:
        return compose("relay", "forget_few", batch=self._batch).as_bytes(self._session)

    def forget(self) -> None:
        """Drop the batch, leaving its notes where they are."""
        with self.using:
            if self._notes <= FEW:
                self._session.execute(self._forget_few, prepare=True)
            else:
                self._session.execute(compose("relay", "forget_batch", batch=self._batch))
