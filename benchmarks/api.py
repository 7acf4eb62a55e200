"""The registry's API over HTTP, two web workers, beside what no answer can do without: the statement and the JSON.

resolve: 2,000 keys. members: an index of 500 names as of a day, among all the spells. bulk: 10,000 records by one
request, and by `stream.write` in this process, which is what the request calls.
"""

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from itertools import count
from statistics import median
from typing import Any

import psycopg
from django.db import connections

from benchmarks.enabling import enable_empty
from benchmarks.errors import BenchError
from benchmarks.harness import Goal, Group, Ratio, Sample, quotient
from dualwrite import writing
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream, stream_named

ROUNDS = 9
REQUESTS = 15
WORKERS, THREADS = 2, 4
KEYS, NAMES, RECORDS = 2_000, 500, 10_000
RESOLVE, MEMBERS, BULK = Goal(2.0), Goal(2.5), Goal(2.0)
DAY = "2024-06-28"
STARTS_WITHIN_SECONDS = 120.0
FILL = """
SET LOCAL session_replication_role = replica;
SELECT set_config('dualwrite.relay', stream || ':' || epoch, true) FROM dualwrite.stream_state
 WHERE stream = 'instruments';
INSERT INTO instruments (instrument_key, exchange, symbol, name, isin, currency, country)
SELECT 'NSE:S' || n, 'NSE', 'S' || n, 'Company ' || n, 'INE' || lpad(n::text, 8, '0') || n % 10, 'INR', 'India'
  FROM generate_series(1, {instruments}) AS n;
-- Of the index that is asked for: its members, and twice as many that left long before the day.
INSERT INTO index_membership_history (instrument_key, index_id, spell, source)
SELECT 'NSE:S' || n, 'BIG', daterange(date '2000-01-01', CASE WHEN n > {names} THEN date '2001-01-01' END), 'x'
  FROM generate_series(1, {names} * 3) AS n;
INSERT INTO index_membership_history (instrument_key, index_id, spell, source)
SELECT 'NSE:S' || 1 + n % {instruments}, 'INDEX ' || n / {instruments} % 250,
       daterange(date '1990-01-01' + lap * 400, date '1991-01-01' + lap * 400), 'x'
  FROM generate_series(1, {spells}) AS n, LATERAL (SELECT n / ({instruments} * 250) AS lap) AS laps
"""
CONSTRAINT = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint
 WHERE conname = 'index_membership_history_no_overlap' AND conrelid = 'index_membership_history'::regclass
"""
BARE_RESOLVE = """
SELECT i.instrument_key, i.symbol, i.exchange, i.mic, i.instrument_type, i.isin, i.figi, i.name, i.currency, i.country,
       i.lot_size, i.tick_size, i.is_active
  FROM unnest(%s::text[]) WITH ORDINALITY AS k (key, n) JOIN instruments AS i ON i.instrument_key = k.key ORDER BY k.n
"""
BARE_MEMBERS = """
SELECT h.instrument_key, i.name, i.isin, lower(h.spell), upper(h.spell)
  FROM index_membership_history_all AS h LEFT JOIN instruments AS i USING (instrument_key)
 WHERE h.index_id = %s AND h.spell @> %s::date AND h.superseded_at IS NULL ORDER BY h.instrument_key
"""


class Api:
    """A client that keeps its connection, as consumers do."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"X-Internal-API-Key": key, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer; raises BenchError unless it is 200."""
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise BenchError(f"{method} {path}: {answer.status} {content[:200]!r}")
        return content


@contextmanager
def opened(rows: int, say: Callable[[str], None]) -> Iterator[Iterable[Group]]:
    """One group for each goal."""
    memberships = stream_named("index_memberships")
    for stream in (memberships, stream_named("instruments")):
        enable_empty(stream)
    instruments = max(NAMES * 3, min(rows // 10, 100_000))
    say(f"filling in {instruments} instruments and {rows} spells")
    _fill(instruments, rows)
    with _served(say) as api, dedicated(Store.REGISTRY, "benchmark") as session:
        try:
            yield [_resolve(api, session, instruments), _members(api, session), _bulk(api, memberships)]
        finally:
            writing.close()


def _fill(instruments: int, spells: int) -> None:
    with dedicated(Store.REGISTRY, "benchmark", owner=True) as session:
        # Built in one go, it is there sooner than row by row.
        [definition] = session.execute(CONSTRAINT).fetchone() or [""]
        session.execute("ALTER TABLE index_membership_history DROP CONSTRAINT index_membership_history_no_overlap")
        with session.transaction():
            session.execute(FILL.format(instruments=instruments, names=NAMES, spells=spells).encode())
        constraint = f"ADD CONSTRAINT index_membership_history_no_overlap {definition}"
        session.execute(f"ALTER TABLE index_membership_history {constraint}".encode())
        for table in ("instruments", "index_membership_history"):
            session.execute(f"VACUUM (ANALYZE) {table}".encode())


@contextmanager
def _served(say: Callable[[str], None]) -> Iterator[Api]:
    """The web server as `./run` starts it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    key = secrets.token_urlsafe()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:config.gunicorn", "config.wsgi"]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--threads", str(THREADS)]
    environment = {**os.environ, "INTERNAL_API_KEY": key, "LOG_LEVEL": "ERROR"}
    say(f"starting the web server with {WORKERS} workers")
    with subprocess.Popen(
        [*command, "--no-control-socket"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _until_it_answers(server, port)
            yield Api(port, key)
        finally:
            server.terminate()


def _until_it_answers(server: "subprocess.Popen[bytes]", port: int) -> None:
    pause, until = threading.Event(), time.monotonic() + STARTS_WITHIN_SECONDS
    while server.poll() is None and time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass  # nobody listens yet
        pause.wait(0.1)
    raise BenchError("the web server did not start")


def _timed(work: Callable[[], Any]) -> Sample:
    """The median of several, the first not counted."""
    seconds = []
    for _ in range(REQUESTS + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return Sample(median(seconds[1:]))


def _resolve(api: Api, session: Session, instruments: int) -> Group:
    keys = [f"NSE:S{1 + number * 7919 % instruments}" for number in range(KEYS)]
    body = json.dumps({"identifiers": keys}).encode()

    def bare() -> int:
        found = session.execute(BARE_RESOLVE, (keys,))
        return len(_told(found))

    def ours() -> None:
        if json.loads(api.ask("POST", "/api/v1/instruments/resolve", body))["found"] != KEYS:
            raise BenchError("not every key was found")

    ours()
    ask = partial(api.ask, "POST", "/api/v1/instruments/resolve", body)
    cases = {"resolve_bare": partial(_timed, bare), "resolve": partial(_timed, ask)}
    return Group(ROUNDS, cases, [Ratio("resolve_over_bare", quotient("resolve", "resolve_bare"), RESOLVE)])


def _members(api: Api, session: Session) -> Group:
    path = f"/api/v1/indices/BIG/members?as_of={DAY}"

    def bare() -> int:
        return len(_told(session.execute(BARE_MEMBERS, ("BIG", DAY))))

    if json.loads(api.ask("GET", path))["count"] != NAMES:
        raise BenchError("the index has another number of members")
    cases = {"members_bare": partial(_timed, bare), "members": partial(_timed, partial(api.ask, "GET", path))}
    return Group(ROUNDS, cases, [Ratio("members_over_bare", quotient("members", "members_bare"), MEMBERS)])


def _told(found: "psycopg.Cursor[tuple[Any, ...]]") -> str:
    """The rows as the JSON of a list of objects."""
    names = [column.name for column in found.description or ()]
    return json.dumps([dict(zip(names, row, strict=True)) for row in found.fetchall()], default=str)


def _bulk(api: Api, stream: Stream) -> Group:
    changes = count(1)

    def records(weight: Decimal) -> list[dict[str, Any]]:
        own = {"index_id": "WRITTEN", "sector": "Energy", "date_added": None}
        return [{"instrument_key": f"NSE:S{number}", "weight": str(weight), **own} for number in range(RECORDS)]

    def ours() -> Sample:
        body = json.dumps({"memberships": records(_weight(changes))}).encode()
        began = time.perf_counter()
        api.ask("POST", "/api/v1/index-memberships/bulk", body)
        return Sample(time.perf_counter() - began)

    def engine() -> Sample:
        given = records(_weight(changes))
        began = time.perf_counter()
        stream.write(given)
        return Sample(time.perf_counter() - began)

    cases = {"bulk_engine": engine, "bulk": ours}
    ratio = Ratio("bulk_over_engine", quotient("bulk", "bulk_engine"), BULK)
    return Group(ROUNDS, cases, [ratio], between=_forget_notes)


def _forget_notes() -> None:
    """Nobody relays here, and a growing outbox is not what is measured."""
    with connections[Store.SCREENER.alias].cursor() as cursor:
        cursor.execute("TRUNCATE dualwrite.outbox")
        cursor.execute("VACUUM ANALYZE index_memberships")


def _weight(changes: Iterator[int]) -> Decimal:
    """One that no row has yet."""
    return Decimal(next(changes)).scaleb(-6)
