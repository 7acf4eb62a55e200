"""The memberships that a validation compares: the same in both stores, smaller tables of the same kind, differences.

Record n is the same wherever it is. Every so many numbers one is left out, to be what the mirror has too much.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from psycopg import sql

from benchmarks.enabling import empty_outbox
from benchmarks.members import insertion
from dualwrite import projection
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream, key_text
from dualwrite.validation.verdict import Kind

#: One record in so many differs, in each of the three ways.
SPAN = 10_000
INDICES = 2_000
#: Rows inserted by one statement: what waits in the outbox meanwhile is thrown away after each.
CHUNK = 500_000
_RECORDS = """
SELECT 'NSE:S' || n / 2000 AS instrument_key, 'INDEX-' || mod(n, 2000) AS index_id,
       CASE WHEN mod(n, 50) > 0 THEN mod(n * 7919, 100000000) / 1000000.0 END::numeric(12,6) AS weight,
       CASE WHEN mod(n, 33) > 0 THEN 'Sector ' || mod(n, 11) END AS sector,
       CASE WHEN mod(n, 40) > 0 THEN date '2015-01-01' + mod(n, 4000)::int END AS date_added
  FROM unnest({numbers}::bigint[]) AS n
"""
_FILLED = _RECORDS.replace(
    "unnest({numbers}::bigint[]) AS n",
    "(SELECT g + (g - 1) / {span} AS n FROM generate_series({first}::bigint, {last}::bigint) AS g) AS numbers",
)


@dataclass(frozen=True)
class Memberships:
    """So many memberships in both stores."""

    stream: Stream
    rows: int

    def fill(self) -> None:
        """Insert them, past the triggers of the domain; no note of it is left in the outbox."""
        for first in range(1, self.rows + 1, CHUNK):
            last = min(first + CHUNK - 1, self.rows)
            _in_both(partial(self._insert_filled, first, last))
            empty_outbox()
        _in_both(self._tidy)

    def smaller(self, name: str, rows: int) -> Stream:
        """The stream with the first so many of them, in tables of its own, without any trigger."""
        stream = replace(
            self.stream,
            sides={store: replace(side, table=f"{side.table}_{name}") for store, side in self.stream.sides.items()},
        )
        made = Memberships(stream, rows)
        _in_both(partial(self._make_like, made))
        return stream

    @property
    def planted(self) -> dict[Kind, list[int]]:
        """The numbers of the records that differ once they are planted."""
        ends = range(self._span + 1, (self.rows // self._span) * (self._span + 1) + 1, self._span + 1)
        return {
            Kind.EXTRA: list(ends),
            Kind.MISMATCH: [end - self._span // 3 for end in ends],
            Kind.MISSING: [end - self._span * 2 // 3 for end in ends],
        }

    def plant(self) -> None:
        """Let these differ in the mirror, which neither its triggers nor the outbox get to see."""
        match = projection.match(self.stream, Store.REGISTRY)
        table = projection.table(self.stream.side(Store.REGISTRY))
        statements = {
            Kind.MISMATCH: "UPDATE {} AS t SET weight = abs(coalesce(t.weight, 1) - 0.000001) FROM ({}) AS r WHERE {}",
            Kind.MISSING: "DELETE FROM {} AS t USING ({}) AS r WHERE {}",
        }
        with dedicated(Store.REGISTRY, "benchmark", owner=True) as session, session.transaction():
            self._go_past(session)
            for kind, text in statements.items():
                session.execute(sql.SQL(text).format(table, _records(self.planted[kind]), match))
            session.execute(insertion(self.stream.side(Store.REGISTRY), _records(self.planted[Kind.EXTRA])))
        self._tidy(Store.REGISTRY)

    def some(self, share: int) -> list[str]:
        """The keys of one record in `share`, evenly spread."""
        step = min(share, self.rows)
        return [key(g + (g - 1) // self._span) for g in range(step, self.rows + 1, step)]

    @property
    def _span(self) -> int:
        return min(SPAN, self.rows)

    def _insert_filled(self, first: int, last: int, store: Store) -> None:
        values = {"first": sql.Literal(first), "last": sql.Literal(last), "span": sql.Literal(self._span)}
        with dedicated(store, "benchmark", owner=True) as session, session.transaction():
            if store is Store.REGISTRY:
                self._go_past(session)
            session.execute(insertion(self.stream.side(store), sql.SQL(_FILLED).format(**values)))

    def _make_like(self, made: "Memberships", store: Store) -> None:
        like, table = (projection.table(one.stream.side(store)) for one in (self, made))
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(table, like))
        made._insert_filled(1, made.rows, store)
        made._tidy(store)

    def _tidy(self, store: Store) -> None:
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(sql.SQL("VACUUM ANALYZE {}").format(projection.table(self.stream.side(store))))

    def _go_past(self, session: Session) -> None:
        """Past the guard as the relay goes, and past the triggers that keep spells."""
        session.execute("SET LOCAL session_replication_role = replica")
        session.execute(
            "SELECT set_config('dualwrite.relay', stream || ':' || epoch, true) FROM dualwrite.stream_state"
            " WHERE stream = %s",
            (self.stream.name,),
        )


def key(number: int) -> str:
    """The key of record n, as the engine writes it."""
    return key_text([f"NSE:S{number // INDICES}", f"INDEX-{number % INDICES}"])


def canonical(stream: Stream, store: Store) -> sql.Composed:
    """A query for the records of a store as they are compared: key and fields, in the types in which they travel."""
    side = stream.side(store)
    columns: Iterator[sql.Composable] = (
        sql.SQL("{} AS {}").format(projection.typed(field, side), sql.Identifier(field.name))
        for field in (*stream.key, *stream.fields)
    )
    return sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
        sql.SQL(", ").join(columns), projection.table(side), projection.is_record(side)
    )


def _records(numbers: Iterable[int]) -> sql.Composed:
    return sql.SQL(_RECORDS).format(numbers=sql.Literal(list(numbers)))


def _in_both(work: Callable[[Store], None]) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(work, Store))
