"""What watching costs with a full outbox and many runs, beside the same with none; and health with everything hanging.

*full* has the rows in the outbox of the old store, of a stream that is mirrored and nobody relays, and 1,000 runs
with their lists of differences; *empty* has neither. Both are kept as tables of their own, which change places, so that
every round measures both. Pages are asked for in this process, as often anew as they are asked: nothing is kept. The
ping of a worker is left out: there is none, and to wait for it takes the same second in both.

*hanging*: both databases and Redis accept connections and say nothing. *second* is what that is measured by.
"""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.db import connections
from django.test import Client

from actuator import metrics, status
from benchmarks.enabling import enable_empty
from benchmarks.errors import BenchError
from benchmarks.harness import Goal, Group, Ratio, Sample, quotient
from dualwrite.monitoring import checks, side_by_side, snapshot
from dualwrite.monitoring.snapshot import Snapshots
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream, stream_named

ROUNDS = 9
RUNS = 1_000
FULL_OVER_EMPTY, HANGING = Goal(3.0), Goal(1.0)
PAGES = {"metrics": "/metrics", "status": "/actuator/status"}
#: The keys that wait as both pages tell them, the only stream with any first; a large outbox is estimated.
PENDING = re.compile(r'(?:outbox_pending\{stream="index_memberships"\} |"pending":)([0-9.e+]+)')
ROUGHLY = 0.2
#: The tables that are exchanged, by the store they are in.
TABLES = {Store.SCREENER: ("dualwrite", "outbox"), Store.REGISTRY: ("instrument_registry", "dualwrite_validation_run")}
FILL_OUTBOX = """
INSERT INTO dualwrite.outbox_full (lane, key, cause)
SELECT s.lanes | (g %% s.partitions), '["NSE:S' || g || '","NIFTY 50"]', 'w'
  FROM dualwrite.stream_state s, generate_series(1, %(rows)s) AS g WHERE s.stream = %(stream)s
"""
FILL_RUNS = """
INSERT INTO instrument_registry.dualwrite_validation_run_full
       (stream, status, level, scope, authority, generation, matched, seconds, started_at, finished_at, differences,
        error, owner, progress, cancel_asked_by, configuration, snapshots, missing_in_mirror, extra_in_mirror,
        field_mismatch, unsettled, relay_stuck, fields, thresholds, violations, cut_short, rules)
SELECT %(stream)s, 'failed', 'detailed', CASE WHEN g = 1 THEN 'whole' ELSE 'slice ' || g %% 48 || '/48' END, 'screener',
       %(generation)s, 1000, 1.5, now() - (%(runs)s - g) * interval '30 minutes',
       now() - (%(runs)s - g) * interval '30 minutes',
       (SELECT jsonb_agg(jsonb_build_object('key', k, 'authority', md5(k::text), 'mirror', md5((k + g)::text)))
          FROM generate_series(1, 100) AS k),
       '', '', '{}', '', '{}', '{}', 1, 0, 0, 0, 0, '{}', '{}', '[]', '', '[]'
  FROM generate_series(1, %(runs)s) AS g
"""


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Iterable[Group]]:
    """One group for the two pages, one for health with everything hanging."""
    stream = stream_named("index_memberships")
    for one in (stream, stream_named("instruments")):
        enable_empty(one)
    _without_a_worker()
    metrics.snapshots = Snapshots(kept_seconds=-1)
    say(f"filling an outbox with {rows} rows, and {RUNS} validations")
    _fill(stream, rows)
    logging.getLogger("django.request").setLevel(logging.CRITICAL)  # that health is 503 is no news here
    yield [_full_beside_empty(rows), _hanging()]


def _without_a_worker() -> None:
    watched = tuple(check for check in checks.ALL if check.name != "celery")
    for module in (status, snapshot):
        module.ALL = watched  # type: ignore[attr-defined]


def _fill(stream: Stream, rows: int) -> None:
    for store, (schema, table) in TABLES.items():
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(f"CREATE TABLE {schema}.{table}_full (LIKE {schema}.{table} INCLUDING ALL)".encode())
            _fill_table(session, store, stream, rows)
            session.execute(f"VACUUM (ANALYZE) {schema}.{table}_full".encode())


def _fill_table(session: Session, store: Store, stream: Stream, rows: int) -> None:
    if store is Store.SCREENER:
        session.execute(FILL_OUTBOX.encode(), {"rows": rows, "stream": stream.name})
        return
    with dedicated(Store.SCREENER, "benchmark") as other:
        asked = "SELECT generation FROM dualwrite.stream_state WHERE stream = %s"
        found = other.execute(asked, (stream.name,)).fetchone()
    values = {"stream": stream.name, "runs": RUNS, "generation": found[0] if found else 0}
    session.execute(FILL_RUNS.encode(), values)


def _full_beside_empty(rows: int) -> Group:
    waiting = {"empty": 0, "full": rows}
    cases = {
        f"{name}_{state}": partial(_page, path, state, waiting[state])
        for name, path in PAGES.items()
        for state in STATES
    }
    ratios = [
        Ratio(f"{name}_full_over_empty", quotient(f"{name}_full", f"{name}_empty"), FULL_OVER_EMPTY) for name in PAGES
    ]
    return Group(ROUNDS, cases, ratios)


def _client() -> Client:
    return Client(SERVER_NAME="127.0.0.1", headers={"X-Internal-API-Key": settings.INTERNAL_API_KEY})


def _page(path: str, state: str, waiting: int) -> Sample:
    with STATES[state]():
        began = time.perf_counter()
        answer = _client().get(path)
        seconds = time.perf_counter() - began
    found = float((PENDING.search(answer.content.decode()) or ["-1", "-1"])[1])
    if not waiting * (1 - ROUGHLY) <= found <= waiting * (1 + ROUGHLY):
        raise BenchError(f"{path} answered {answer.status_code}: {found:.0f} keys wait, where {waiting} do")
    return Sample(seconds)


@contextmanager
def _empty() -> Iterator[None]:
    """As it is."""
    yield


@contextmanager
def _full() -> Iterator[None]:
    """With the full tables in their places."""
    _rename("{table}", "{table}_empty")
    _rename("{table}_full", "{table}")
    try:
        yield
    finally:
        _rename("{table}", "{table}_full")
        _rename("{table}_empty", "{table}")


STATES = {"empty": _empty, "full": _full}


def _rename(before: str, after: str) -> None:
    for store, (schema, table) in TABLES.items():
        old, new = before.format(table=table), after.format(table=table)
        with dedicated(store, "benchmark", owner=True) as session:
            session.execute(f"ALTER TABLE {schema}.{old} RENAME TO {new}".encode())


def _hanging() -> Group:
    cases = {"second": _second, "health_hanging": _health_hanging}
    return Group(ROUNDS, cases, [Ratio("health_hanging", quotient("health_hanging", "second"), HANGING)])


def _second() -> Sample:
    began = time.perf_counter()
    threading.Event().wait(1.0)
    return Sample(time.perf_counter() - began)


def _health_hanging() -> Sample:
    with _silent() as port, _moved(port):
        began = time.perf_counter()
        answer = _client().get("/actuator/health")
        seconds = time.perf_counter() - began
    found = {name: one["status"] for name, one in answer.json()["components"].items()}
    if {found["database"], found["screener"], found["redis"], found["celery"]} != {"DOWN"}:
        raise BenchError(f"with everything hanging, health is {found}")
    return Sample(seconds)


@contextmanager
def _silent() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        yield server.getsockname()[1]


@contextmanager
def _moved(port: int) -> Iterator[None]:
    """Both databases and Redis there, and no answer of before in use."""
    kept = {alias: dict(connections.settings[alias]) for alias in connections}
    urls = settings.REDIS_URL, settings.CELERY_BROKER_URL
    for alias in connections:
        connections[alias].close()
        connections.settings[alias].update(HOST="127.0.0.1", PORT=str(port))
    settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{port}/0"
    side_by_side.forget()
    try:
        yield
    finally:
        for alias, before in kept.items():
            connections.settings[alias].update(before)
        settings.REDIS_URL, settings.CELERY_BROKER_URL = urls
        side_by_side.forget()
