"""The mirror's side of the relay: one transaction that checks the right to write and makes the mirror equal."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from dualwrite import projection
from dualwrite.exceptions import Superseded
from dualwrite.failpoints import reach
from dualwrite.sql import compose, statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session
from dualwrite.stream import Stream

#: Given the number of rows a batch would delete and the mirror's rows, returns or raises Held.
Brake = Callable[[int, Callable[[], int]], None]


#: More keys than this that no validation has looked at are dropped; it looks at everything then.
MOST_TOUCHED = 5_000_000
TOUCHED_CHECK_BATCHES = 500
#: Of records handed to the server at a time.
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Applied:
    """What one transaction did: keys made equal, rows changed, keys set aside since several rows have them."""

    keys: int
    changed: int
    duplicates: tuple[str, ...]


class Applier:
    """Applies records under the fences it holds."""

    def __init__(self, stream: Stream, store: Store, session: Session) -> None:
        self._stream, self._store, self._session = stream, store, session
        self._epochs: dict[int, int] = {}
        self._batches = 0
        #: The partition in which what was applied is counted, and the count; None before the first batch.
        self.counted: tuple[int, int] | None = None
        self._side = stream.side(store)
        self._staged = sql.Identifier("pg_temp", f"staged_{stream.name}")
        session.execute(
            compose(
                "relay",
                "staged_table",
                staged=self._staged,
                key_definitions=projection.definitions(stream.key),
                definitions=projection.definitions(stream.fields),
            )
        )
        self._merge = self._merge_sql()
        self._applied = compose("relay", "applied", staged=self._staged)

    def hold(self, epochs: Mapping[int, int]) -> None:
        """Hold these fences as well: partition → epoch."""
        self._epochs.update(epochs)

    def apply(self, blocks: Iterable[bytes | bytearray | memoryview], brake: Brake, newest_note: int) -> Applied:
        """Make the mirror equal to the records; all or nothing. `newest_note` of the batch, to be remembered.

        Raises Superseded when another relay has the fence or the store is no mirror, whatever `brake` raises, and the
        driver's DataError or IntegrityError when a record cannot be stored.
        """
        with self._session.transaction():
            self._check_right()
            reach("relay may apply")
            keys = self._stage(blocks)
            duplicates, rows = self._take_out_duplicates(keys)
            keys -= rows
            deletes = self._count("would_delete", match=self._match, is_record=projection.is_record(self._side))
            if deletes:
                brake(deletes, self._mirror_rows)
            changed = self._session.execute(self._merge, prepare=True).rowcount
            counted = self._count_applied(keys, newest_note)
            self._drop_touched()
        # Only now: what the authority is to remember must have been committed.
        self.counted = counted
        return Applied(keys, changed, duplicates)

    def _count_applied(self, keys: int, newest_note: int) -> tuple[int, int] | None:
        partition = min(self._epochs)
        values = {"keys": keys, "stream": self._stream.name, "partition": partition, "noted": newest_note}
        row = self._session.execute(self._applied, values).fetchone()
        return (partition, int(row[0])) if row else None

    def _drop_touched(self) -> None:
        """Where nobody validates, the keys kept for it must not grow for ever."""
        self._batches += 1
        if (self._batches - 1) % TOUCHED_CHECK_BATCHES == 0:
            values = {"stream": self._stream.name, "most": MOST_TOUCHED}
            self._session.execute(statement("touched", "dropped"), values)

    def _check_right(self) -> None:
        values = {"stream": self._stream.name, "partitions": list(self._epochs)}
        # The role first, then the fences: whoever changes them takes them in this order, too.
        row = self._session.execute(statement("relay", "mirror_state"), values).fetchone()
        if row is None or row[0] != Role.MIRROR:
            raise Superseded(f"stream {self._stream.name}: the {self._store} store is no mirror")
        held = self._session.execute(statement("relay", "fences"), values).fetchall()
        if {int(partition): int(epoch) for partition, epoch in held} != self._epochs:
            raise Superseded(f"stream {self._stream.name}: the fence was raised")
        self._session.execute(statement("relay", "mark"), {"marker": f"{self._stream.name}:{row[1]}"})

    def _stage(self, blocks: Iterable[bytes | bytearray | memoryview]) -> int:
        query = compose(
            "relay",
            "stage",
            staged=self._staged,
            key_names=projection.names([part.name for part in self._stream.key]),
            field_names=projection.names([f.name for f in self._stream.fields]),
        )
        cursor = self._session.cursor()
        with cursor.copy(query) as copy:
            for chunk in _chunks(blocks):
                copy.write(chunk)
        return cursor.rowcount

    def _take_out_duplicates(self, staged: int) -> tuple[tuple[str, ...], int]:
        if staged < 2:
            return (), 0
        rows = self._session.execute(
            compose("relay", "take_out_duplicates", staged=self._staged), prepare=True
        ).fetchall()
        return tuple(sorted({str(row[0]) for row in rows})), len(rows)

    def _mirror_rows(self) -> int:
        return self._count("mirror_rows", table_name=projection.table_name(self._side))

    def _count(self, name: str, **fragments: sql.Composable) -> int:
        query = compose("relay", name, staged=self._staged, table=projection.table(self._side), **fragments)
        row = self._session.execute(query, prepare=True).fetchone()
        return int(row[0]) if row else 0

    @property
    def _match(self) -> sql.Composable:
        return projection.match(self._stream, self._store)

    def _merge_sql(self) -> sql.Composed:
        columns = list(self._side.writes)
        values = [projection.expression(self._side.writes[c]) for c in columns]
        assignments = [
            sql.SQL("{} = {}").format(sql.Identifier(c), v)
            for c, v in zip(columns, values, strict=True)
            if c not in self._side.match
        ]
        return compose(
            "relay",
            "merge",
            table=projection.table(self._side),
            staged=self._staged,
            match=self._match,
            is_record=projection.is_record(self._side),
            differs=self._differs(),
            assignments=sql.SQL(", ").join(assignments),
            columns=projection.names(columns),
            values=sql.SQL(", ").join(values),
        )

    def _differs(self) -> sql.Composable:
        """Row `t` is no record, or reads otherwise than `r`. Compared by what a reader sees, not by column."""
        reads = [
            sql.SQL("{}{} IS DISTINCT FROM r.{}").format(
                projection.typed(f, self._side),
                # By its bytes: a collation may take for the same what a reader sees to be different.
                sql.SQL(' COLLATE "C"' if f.type == "text" else ""),
                sql.Identifier(f.name),
            )
            for f in self._stream.fields
        ]
        absent = sql.SQL("NOT {}").format(projection.is_record(self._side))
        return sql.SQL(" OR ").join([absent, *reads])


def _chunks(blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes]:
    """The blocks, one a row, in pieces that are worth sending."""
    chunk = bytearray()
    for block in blocks:
        chunk += block
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)
