"""Rows of one stream in both stores: filled, changed in the authority, staged for an upsert in the mirror."""

from dataclasses import dataclass

from psycopg import sql

from dualwrite import projection
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Side, Stream

#: The mirror's rows, times the rows that are relayed.
MIRROR_FACTOR = 5
INSERTED_SHARE = 10
#: Record n of those that are there from the beginning. The weight tells which round wrote it.
_OLD = """
SELECT 'NSE:S' || n / 200 AS instrument_key, 'INDEX ' || mod(n, 200) AS index_id, {weight}::numeric(12,6) AS weight,
       'Sector ' || mod(n, 11) AS sector, date '2020-01-01' + mod(n, 2000) AS date_added
  FROM generate_series({first}, {last}) AS n
"""
#: Record n of those that a round adds.
_NEW = _OLD.replace("NSE:S", "NSE:{batch}X")
#: Nine tenths of the rows to relay, spread over the whole table.
_CHANGED = "mod(n * 7919::bigint, 1000) < 180"


@dataclass(frozen=True)
class Members:
    """The rows of one stream; `rows` of them change each round."""

    stream: Stream
    rows: int

    def fill(self) -> None:
        """The same rows in both stores. The mirror's own triggers see them, except those that keep spells."""
        for store in Store:
            with dedicated(store, "benchmark", owner=True) as session, session.transaction():
                if store is Store.REGISTRY:
                    session.execute("SET LOCAL session_replication_role = replica")
                    self._mark(session)
                session.execute(insertion(self.stream.side(store), self._old(0)))
        for store in Store:
            self._tidy(store)

    def change(self, serial: int) -> None:
        """Update nine tenths and insert one tenth of `rows` in the authority; its triggers note the keys."""
        side = self.stream.side(Store.SCREENER)
        update = sql.SQL("UPDATE {} AS t SET weight = {} FROM ({}) AS r WHERE {}").format(
            projection.table(side),
            sql.Literal(serial),
            self._old(serial, changed=True),
            projection.match(self.stream, Store.SCREENER),
        )
        with dedicated(Store.SCREENER, "benchmark", owner=True) as session:
            session.execute(update)
            session.execute(insertion(self.stream.side(Store.SCREENER), self._new(serial)))
        self.tidy()

    def stage(self, serial: int, session: Session) -> None:
        """A change of the same shape as records in a temporary table of the mirror's session."""
        session.execute("DROP TABLE IF EXISTS pg_temp.staged_records")
        session.execute(
            sql.SQL("CREATE TEMP TABLE staged_records AS {} UNION ALL {}").format(
                self._old(serial, changed=True), self._new(serial)
            )
        )
        session.execute("ANALYZE staged_records")
        self.tidy()

    def upsert(self, session: Session) -> None:
        """All staged records into the mirror by one statement, past the guard as the relay goes past it."""
        side = self.stream.side(Store.REGISTRY)
        conflict = sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(
            projection.names(side.match),
            sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(c)) for c in side.writes if c not in side.match
            ),
        )
        with session.transaction():
            self._mark(session)
            session.execute(
                insertion(self.stream.side(Store.REGISTRY), sql.SQL("SELECT * FROM pg_temp.staged_records")) + conflict
            )

    def note(self, count: int) -> None:
        """Note `count` keys whose records are equal in both stores already."""
        side = self.stream.side(Store.SCREENER)
        key = projection.key(self.stream, Store.SCREENER)
        with dedicated(Store.SCREENER, "benchmark", owner=True) as session:
            session.execute(
                sql.SQL(
                    "INSERT INTO dualwrite.outbox (lane, key)"
                    " SELECT {} | (hashtextextended(k.key, 0) & 15)::int, k.key"
                    "   FROM (SELECT {} AS key FROM {} AS t LIMIT {}) AS k"
                ).format(sql.Literal(self.stream.lanes), key, projection.table(side), sql.Literal(count))
            )
        self.tidy()

    def note_many(self, count: int, among: int) -> None:
        """Note so many different keys of that many, in no order; those beyond the rows have no record in any store."""
        query = sql.SQL(
            "INSERT INTO dualwrite.outbox (lane, key)"
            " SELECT {lanes} | (hashtextextended(k.key, 0) & 15)::int, k.key"
            "   FROM (SELECT '[\"NSE:S' || n / 200 || '\",\"INDEX ' || mod(n, 200) || '\"]' AS key"
            "           FROM (SELECT 1 + mod(g * 7919::bigint, {among}) AS n"
            "                   FROM generate_series(1, {count}) AS g) AS numbers) AS k"
        )
        with dedicated(Store.SCREENER, "benchmark", owner=True) as session:
            session.execute(
                query.format(lanes=sql.Literal(self.stream.lanes), count=sql.Literal(count), among=sql.Literal(among))
            )
        self.tidy()

    def tidy(self) -> None:
        """Let no dead row of one case slow the next one down."""
        for store in Store:
            self._tidy(store)

    def _tidy(self, store: Store) -> None:
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(sql.SQL("VACUUM ANALYZE {}").format(projection.table(self.stream.side(store))))
            session.execute("VACUUM dualwrite.outbox")

    def _old(self, serial: int, *, changed: bool = False) -> sql.Composable:
        every = self._records(_OLD, serial, self.rows * MIRROR_FACTOR)
        return every + sql.SQL(f" WHERE {_CHANGED}") if changed else every

    def _new(self, serial: int) -> sql.Composable:
        return self._records(_NEW, serial, self.rows // INSERTED_SHARE)

    @staticmethod
    def _records(template: str, serial: int, last: int) -> sql.Composed:
        text = template.replace("{batch}", str(serial))
        return sql.SQL(text).format(weight=sql.Literal(serial), first=sql.Literal(1), last=sql.Literal(last))

    def _mark(self, session: Session) -> None:
        session.execute(
            "SELECT set_config('dualwrite.relay', stream || ':' || epoch, true) FROM dualwrite.stream_state"
            " WHERE stream = %s",
            (self.stream.name,),
        )


def insertion(side: Side, records: sql.Composable) -> sql.Composed:
    """The statement that writes canonical records into a store's table."""
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM ({}) AS r").format(
        projection.table(side),
        projection.names(list(side.writes)),
        sql.SQL(", ").join(projection.expression(text) for text in side.writes.values()),
        records,
    )
