"""A trial: records of the mirror written to a table like the authority's, as the relay would, and read back.

A projection that does not invert would make every record it does not invert a difference; a check, or a type that is
too narrow, would park it. The table is a temporary one, in a transaction that is rolled back: column types, defaults,
generated columns and checks are those of the real one. Triggers, foreign keys and unique indexes are not tried.
"""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from dualwrite import projection
from dualwrite.control.evidence import asking, sentence, whole_key
from dualwrite.relay.parking import POISON
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream

SAMPLE_ROWS = 1_000
#: So many failures are enough to show.
MOST_FAILURES = 10
DIFFERENT = "it reads back otherwise, or not at all"
EVERY_RECORD = "every record"

_SAMPLE, _TRIAL = sql.Identifier("pg_temp", "dualwrite_sample"), sql.Identifier("pg_temp", "dualwrite_trial")


@dataclass(frozen=True)
class Failure:
    """A key whose record does not come back, and why."""

    key: str
    why: str


@dataclass(frozen=True)
class Tried:
    """How many records were tried, and the first that failed."""

    rows: int
    failures: tuple[Failure, ...]


class Trial:
    """One trial in a session of the authority's store."""

    def __init__(self, stream: Stream, store: Store, session: Session) -> None:
        self._stream, self._store, self._session = stream, store, session
        self._side = stream.side(store)
        self._failures: list[Failure] = []

    def run(self) -> Tried:
        """Try a sample of the mirror's records; raises StoreUnreachable, and what the driver says of this session."""
        with self._session.transaction(force_rollback=True):
            rows = self._take_sample()
            self._make_table()
            try:
                self._write(1, rows)
            except psycopg.ProgrammingError as exc:  # about the statement, so about every record
                return Tried(rows, (Failure(EVERY_RECORD, sentence(exc)),))
            if len(self._failures) < MOST_FAILURES:
                self._compare()
        return Tried(rows, tuple(self._failures[:MOST_FAILURES]))

    def _take_sample(self) -> int:
        stream, names = self._stream, [part.name for part in self._stream.key]
        definitions = {
            "key_definitions": projection.definitions(stream.key),
            "definitions": projection.definitions(stream.fields),
        }
        self._do("sample_table", **definitions)
        columns = {
            "key_names": projection.names(names),
            "field_names": projection.names([f.name for f in stream.fields]),
        }
        with asking(self._store.peer), dedicated(self._store.peer, f"way back {stream.name}") as mirror:
            rows = self._copy(mirror, _share(mirror, stream, self._store.peer), columns)
            # Statistics may be far from the truth.
            return rows or self._copy(mirror, 100.0, columns)

    def _copy(self, mirror: Session, percent: float, columns: dict[str, sql.Composable]) -> int:
        stream, store = self._stream, self._store.peer
        side = stream.side(store)
        values = [projection.typed(part, side) for part in stream.key]
        query = compose(
            "gates",
            "sample_out",
            key=projection.key(stream, store),
            key_values=sql.SQL(", ").join(values),
            record=projection.record(stream, store),
            table=projection.table(side),
            percent=sql.Literal(percent),
            is_record=projection.is_record(side),
            whole_key=whole_key(stream, store),
            rows=sql.Literal(SAMPLE_ROWS),
        )
        target = self._session.cursor()
        into = compose("gates", "sample_in", sample=_SAMPLE, **columns)
        with mirror.cursor().copy(query) as source, target.copy(into) as copy:
            for block in source:
                copy.write(block)
        return target.rowcount

    def _make_table(self) -> None:
        self._do("trial_table", table=projection.table(self._side))
        written = sql.Literal(list(self._side.writes))
        drawn = compose("gates", "drawn", table_name=projection.table_name(self._side), written=written)
        for row in self._session.execute(drawn).fetchall():
            self._do("leave_empty", column=sql.Identifier(str(row[0])))

    def _write(self, low: int, high: int) -> None:
        """Write the records numbered low to high; where that fails, each half, down to the one that cannot be."""
        if low > high or len(self._failures) >= MOST_FAILURES:
            return
        writes = self._side.writes
        values = sql.SQL(", ").join([projection.expression(text) for text in writes.values()])
        bounds = {"low": sql.Literal(low), "high": sql.Literal(high)}
        try:
            with self._session.transaction():
                self._do("write_trial", columns=projection.names(list(writes)), values=values, **bounds)
        except POISON as exc:
            if low == high:
                self._failures.append(Failure(self._key_at(low), sentence(exc)))
                return
            middle = (low + high) // 2
            self._write(low, middle)
            self._write(middle + 1, high)

    def _compare(self) -> None:
        same = [
            sql.SQL("{} IS NOT DISTINCT FROM r.{}").format(projection.typed(f, self._side), sql.Identifier(f.name))
            for f in self._stream.fields
        ]
        query = compose(
            "gates",
            "not_inverted",
            sample=_SAMPLE,
            trial=_TRIAL,
            match=projection.match(self._stream, self._store),
            is_record=projection.is_record(self._side),
            refused=sql.Literal([failure.key for failure in self._failures]),
            key=projection.key(self._stream, self._store),
            same=sql.SQL(" AND ").join([sql.SQL("true"), *same]),
        )
        self._failures += [Failure(str(row[0]), DIFFERENT) for row in self._session.execute(query).fetchall()]

    def _key_at(self, ordinal: int) -> str:
        row = self._session.execute(compose("gates", "key_at", sample=_SAMPLE, ordinal=sql.Literal(ordinal))).fetchone()
        return str(row[0]) if row else ""

    def _do(self, name: str, **fragments: sql.Composable) -> None:
        """Each template takes of the two tables those it names."""
        self._session.execute(compose("gates", name, sample=_SAMPLE, trial=_TRIAL, **fragments))


def _share(mirror: Session, stream: Stream, store: Store) -> float:
    """The percentage of the mirror's table to read, by statistics."""
    name = projection.table_name(stream.side(store))
    row = mirror.execute(compose("gates", "share", rows=sql.Literal(SAMPLE_ROWS), table_name=name)).fetchone()
    return float(row[0]) if row else 100.0
