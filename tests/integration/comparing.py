"""A stream on two tables that nothing captures, whose rows tests write as they like, on either side."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from psycopg import sql

from dualwrite.runs import Watch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Field, Side, Stream
from dualwrite.validation.engine import compare
from dualwrite.validation.level import Level
from dualwrite.validation.scope import Scope
from dualwrite.validation.tolerance import Tolerance
from dualwrite.validation.verdict import Findings

COLUMNS = {
    "a": "text",
    "b": "text",
    "amount": "numeric",
    "free": "numeric",
    "note": "text",
    "sector": "text",
    "at": "timestamptz",
    "day": "date",
    "ratio": "double precision",
    "pieces": "bigint",
    "flag": "boolean",
}
KEY = (Field("a"), Field("b"))
FIELDS = (
    Field("amount", "numeric(12,6)"),
    Field("free", "numeric"),
    Field("note"),
    Field("sector"),
    Field("at", "timestamptz"),
    Field("day", "date"),
    Field("ratio", "double precision"),
    Field("pieces", "bigint"),
    Field("flag", "boolean"),
)


def _side() -> Side:
    same = {name: f"t.{name}" for name in COLUMNS}
    writes = {name: f"r.{name}" for name in COLUMNS}
    return Side("public", "things", same, writes, match=("a", "b"), model="x.Y", where="t.active")


THINGS = Stream("things", KEY, FIELDS, dict.fromkeys(Store, _side()))
Row = Mapping[str, object]


def key(a: str | None, b: str | None = "B") -> str:
    """The text of a key."""
    return json.dumps([a, b], ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Things:
    """Both tables."""

    sessions: Mapping[Store, Session]

    def put(self, store: Store, *rows: Row) -> None:
        """Write rows into one table."""
        for row in rows:
            names = sql.SQL(", ").join(map(sql.Identifier, row))
            values = sql.SQL(", ").join(map(sql.Literal, row.values()))
            self.sessions[store].execute(sql.SQL("INSERT INTO things ({}) VALUES ({})").format(names, values))

    def both(self, *rows: Row) -> None:
        """Write the same rows into both tables."""
        for store in Store:
            self.put(store, *rows)

    def fill(self, rows: int) -> None:
        """So many plain rows in both, in different places of the tables."""
        for store, order in ((Store.SCREENER, "g"), (Store.REGISTRY, "-g")):
            self.sessions[store].execute(
                sql.SQL(
                    "INSERT INTO things (a, b, amount, note, day) SELECT 'S' || g, 'B', g / 7.0,"
                    " nullif('n' || g % 5, 'n0'), DATE '2020-01-01' + g % 300"
                    " FROM generate_series(1, {}) AS g ORDER BY {}"
                ).format(sql.Literal(rows), sql.SQL(order))
            )

    def run(self, store: Store, query: str) -> None:
        """Change a table; the statement must concern a row."""
        assert self.sessions[store].execute(query.encode()).rowcount

    def run_plain(self, store: Store, query: str) -> None:
        """Change the table itself."""
        self.sessions[store].execute(query.encode())

    def compare(
        self,
        level: Level = Level.STRICT,
        scope: Scope | None = None,
        authority: Store = Store.SCREENER,
        stream: Stream = THINGS,
        tolerance: Tolerance | None = None,
        watch: Watch | None = None,
    ) -> Findings:
        """Compare them."""
        allowed = tolerance or Tolerance(Decimal("0.01"), Decimal(3600))
        return compare(stream, authority, level, scope or Scope.whole(), watch or Watch(), tolerance=allowed)


def found(findings: Findings) -> dict[str, list[str]]:
    """kind → keys, in order; the totals must say the same."""
    kinds: dict[str, list[str]] = {}
    for verdict in findings.differences:
        kinds.setdefault(verdict.kind.value, []).append(verdict.key)
    assert Counter({kind: len(keys) for kind, keys in kinds.items()}) == Counter(
        {kind.value: count for kind, count in findings.tally.items()}
    )
    return {kind: sorted(keys) for kind, keys in kinds.items()}


@contextmanager
def things_in(screener: Session, registry: Session) -> Iterator[Things]:
    """Both tables, empty; removed afterwards."""
    sessions = {Store.SCREENER: screener, Store.REGISTRY: registry}
    columns = sql.SQL(", ").join([sql.SQL(f"{{}} {kind}").format(sql.Identifier(n)) for n, kind in COLUMNS.items()])
    for session in sessions.values():
        session.execute("DROP TABLE IF EXISTS public.things")
        session.execute(sql.SQL("CREATE TABLE public.things ({}, active boolean DEFAULT true)").format(columns))
        session.execute("CREATE INDEX ON public.things (a, b)")
        # Into how many partitions its keys fall stands here.
        state = "INSERT INTO dualwrite.stream_state (stream, lanes, role) VALUES ('things', %s, 'detached')"
        session.execute(f"{state} ON CONFLICT DO NOTHING", (THINGS.lanes,))
    try:
        yield Things(sessions)
    finally:
        for session in sessions.values():
            session.execute("DROP TABLE public.things")
            session.execute("DELETE FROM dualwrite.stream_state WHERE stream = 'things'")
