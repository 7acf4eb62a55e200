"""Small words the tests share."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, LiteralString, Protocol, TypeVar

import pytest
from django.db import connections
from psycopg import sql

from dualwrite import capture
from dualwrite.control.enable import enable
from dualwrite.relay import worker
from dualwrite.relay.pipe import Pipe, open_pipe
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import TESTER

T = TypeVar("T")


def one(session: Session, query: LiteralString, *values: Any) -> Any:
    """The first column of the only row."""
    row = session.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]


def column(session: Session, query: LiteralString, *values: Any) -> list[Any]:
    """The first column of all rows."""
    return [row[0] for row in session.execute(query, values or None).fetchall()]


def add(screener: Session, symbol: str | None, index: str | None = "NIFTY 50", **fields: Any) -> None:
    """A membership in the old store, on the exchange NSE unless said."""
    values = {"exchange": "NSE", "weight": None, "sector": None, "effective_date": None, **fields}
    screener.execute(
        "INSERT INTO index_memberships (symbol, exchange, index_name, weight, sector, effective_date)"
        " VALUES (%(symbol)s, %(exchange)s, %(index)s, %(weight)s, %(sector)s, %(effective_date)s)",
        {"symbol": symbol, "index": index, **values},
    )


def fill(screener: Session, rows: int) -> None:
    """That many memberships in the old store, symbols S1, S2, ..."""
    screener.execute(
        "INSERT INTO index_memberships (symbol, exchange, index_name)"
        " SELECT 'S' || g, 'NSE', 'X' FROM generate_series(1, %s) AS g",
        (rows,),
    )


def noted(screener: Session) -> list[str]:
    """Keys in the old store's outbox, in the order of their notes, however many a note carries."""
    return column(screener, "SELECT key FROM dualwrite.waiting ORDER BY id")


def mirrored(registry: Session) -> dict[str, Any]:
    """instrument key → weight in the registry's active memberships."""
    rows = registry.execute("SELECT instrument_key, weight FROM index_memberships WHERE is_active").fetchall()
    return {str(key): weight for key, weight in rows}


def enabled(stream: Stream) -> None:
    """Enable a stream and relay what there is."""
    enable(stream, TESTER)
    worker.drain(stream)


def opened(stream: Stream) -> Pipe:
    """A pipe of the stream, which must be there to be opened."""
    pipe = open_pipe(stream)
    assert pipe is not None
    return pipe


def tampered(registry: Session, query: LiteralString) -> None:
    """Change the mirror behind the relay's back; the registry must be the mirror."""
    with registry.transaction():
        marker = one(registry, "SELECT stream || ':' || epoch FROM dualwrite.stream_state WHERE stream ~ 'memberships'")
        registry.execute("SELECT set_config('dualwrite.relay', %s, true)", (marker,))
        assert registry.execute(query).rowcount


@contextmanager
def at_work(work: Callable[[], T]) -> Iterator["Future[T]"]:
    """The work, done in a thread of its own; it has ended when this ends."""

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(run)


class Work(Protocol):
    """What may be done already, such as a future."""

    def done(self) -> bool:
        """Whether it is."""
        ...


def until_it_waits(observer: Session, work: Work) -> None:
    """Return when a session of the observer's database waits for another one's lock; fail when the work ends first."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 20
    while not one(observer, waiting):
        assert not work.done(), "it did not wait"
        assert time.monotonic() < deadline, "neither waiting nor done within 20 s"


@contextmanager
def database_setting(session: Session, name: str, value: str) -> Iterator[None]:
    """Let the session's database give this setting to every new session."""
    database = sql.Identifier(session.info.dbname)
    change = sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(name), sql.Literal(value))
    session.execute(change)
    try:
        yield
    finally:
        session.execute(sql.SQL("ALTER DATABASE {} RESET {}").format(database, sql.Identifier(name)))


@contextmanager
def engine_role(screener: Session, monkeypatch: pytest.MonkeyPatch, *, only_reads: bool = False) -> Iterator[str]:
    """Let the engine use a role in the old store that owns nothing there and may do what `install` grants.

    With `only_reads` somebody has taken the rights away again that following the other store needs.
    """
    name = f"dw_test_plain_{os.getpid()}"
    role = sql.Identifier(name)
    password = secrets.token_urlsafe()
    screener.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
    try:
        capture.install(Store.SCREENER, role=name)
        if only_reads:
            writes = sql.SQL("REVOKE INSERT, UPDATE, DELETE ON index_memberships, instruments FROM {}").format(role)
            screener.execute(writes)
            screener.execute(sql.SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {}").format(role))
        connections[Store.SCREENER.alias].close()
        with monkeypatch.context() as patch:
            patch.setitem(connections[Store.SCREENER.alias].settings_dict, "USER", name)
            patch.setitem(connections[Store.SCREENER.alias].settings_dict, "PASSWORD", password)
            yield name
            connections[Store.SCREENER.alias].close()
    finally:
        connections[Store.SCREENER.alias].close()
        screener.execute(sql.SQL("DROP OWNED BY {}").format(role))
        screener.execute(sql.SQL("DROP ROLE {}").format(role))
