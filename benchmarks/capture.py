"""What capture costs a writer: the same writes into the captured table and into a twin without any trigger.

Both have the same columns, indexes and rows, in the same database; the ORM code is the very same, and only the
connection's search_path says which of the two it writes to.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median

from benchmarks.enabling import empty_outbox, enable_empty
from benchmarks.harness import Case, Goal, Group, Ratio, Sample, quotient
from benchmarks.writers import PROCESSES, Job, Writers, use_schema
from dualwrite.stages import Store
from dualwrite.stores import dedicated
from dualwrite.stream import stream_named
from registry.screener.models import ScreenerIndexMembership

CAPTURED, PLAIN = "public", "plain"
ROUNDS = 11
SINGLE_GOALS = {"update": Goal(1.2), "insert": Goal(1.25)}
BULK_GOALS = {"bulk_create": Goal(1.2), "update_many": Goal(1.35)}
TABLE_ROWS = 10  # times the rows of one bulk write

TWIN = """
CREATE SCHEMA plain;
CREATE TABLE plain.index_memberships (LIKE public.index_memberships INCLUDING ALL);
ALTER TABLE plain.index_memberships SET (autovacuum_enabled = off);
ALTER TABLE public.index_memberships SET (autovacuum_enabled = off);
"""
FILL = """
INSERT INTO {}.index_memberships (symbol, exchange, index_name, weight, sector, effective_date)
SELECT 'S' || n / 200, 'NSE', 'INDEX ' || mod(n, 200), mod(n, 10000), 'Sector ' || mod(n, 11),
       date '2020-01-01' + mod(n, 2000)
  FROM generate_series(1, %s) AS n
"""


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Sequence[Group]]:
    """The groups of cases: single saves by one and by eight writers, bulk writes of `rows` rows."""
    table_rows = rows * TABLE_ROWS
    say(f"filling two tables of {table_rows} rows")
    _make_tables(table_rows)
    with Writers(table_rows) as writers:
        saves = max(rows // 25, 10)
        yield [
            _group(_single_cases(writers, operation, count, max(saves // count, 5)), {f"{operation}_{count}": goal})
            for count in (1, PROCESSES)
            for operation, goal in SINGLE_GOALS.items()
        ] + [_group(_bulk_cases(name, rows), {name: goal}) for name, goal in BULK_GOALS.items()]


def _make_tables(table_rows: int) -> None:
    with dedicated(Store.SCREENER, "benchmark", owner=True) as session:
        session.execute(TWIN)
        enable_empty(stream_named("index_memberships"))
        for schema in (CAPTURED, PLAIN):
            session.execute(FILL.format(schema).encode(), (table_rows,))
    _tidy()


def _tidy() -> None:
    """Neither dead rows nor notes of one round are there in the next."""
    empty_outbox()
    with dedicated(Store.SCREENER, "benchmark", owner=True) as session:
        session.execute("VACUUM ANALYZE plain.index_memberships, public.index_memberships")


def _group(cases: dict[str, Case], goals: dict[str, Goal]) -> Group:
    ratios = [Ratio(name, quotient(f"{name}_captured", f"{name}_plain"), goal) for name, goal in goals.items()]
    return Group(ROUNDS, cases, ratios, between=_tidy)


def _single_cases(writers: Writers, operation: str, count: int, saves: int) -> dict[str, Case]:
    """The median of the saves' seconds, each save being a transaction."""

    def measure(schema: str) -> Sample:
        return Sample(median(writers.run(Job(schema, operation, count, saves))))

    return _pair(f"{operation}_{count}", measure)


def _bulk_cases(name: str, rows: int) -> dict[str, Case]:
    def measure(schema: str) -> Sample:
        use_schema(schema)
        return Sample(_BULK[name](rows))

    return _pair(name, measure)


def _pair(name: str, measure: Callable[[str], Sample]) -> dict[str, Case]:
    return {f"{name}_plain": partial(measure, PLAIN), f"{name}_captured": partial(measure, CAPTURED)}


def _bulk_create(rows: int) -> float:
    objects = [
        ScreenerIndexMembership(exchange="NSE", symbol=f"B{n}", index_name="NIFTY 50", weight=n, sector="Energy")
        for n in range(rows)
    ]
    began = time.perf_counter()
    ScreenerIndexMembership.objects.bulk_create(objects)
    return time.perf_counter() - began


def _update_many(rows: int) -> float:
    some = ScreenerIndexMembership.objects.filter(pk__lte=rows)
    began = time.perf_counter()
    some.update(weight=time.time_ns() % 10_000)
    return time.perf_counter() - began


_BULK: dict[str, Callable[[int], float]] = {"bulk_create": _bulk_create, "update_many": _update_many}
