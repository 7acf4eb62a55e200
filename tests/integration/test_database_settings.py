"""What a database, a role or a connection is set to changes neither what is read nor what is compared."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections
from psycopg import sql

from dualwrite import capture
from dualwrite.control.enable import enable
from dualwrite.exceptions import StoreFailed, StoreUnreachable
from dualwrite.models import ValidationRun
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from dualwrite.stream import Stream
from dualwrite.validation.run import validate
from tests.conftest import SCREENER_SCHEMA, TESTER
from tests.support import (
    add,
    column,
    database_setting,
    enabled,
    engine_role,
    mirrored,
    one,
    opened,
)


def renew_connections() -> None:
    for store in Store:
        connections[store.alias].close()


@pytest.mark.parametrize("store", Store)
def test_dates_are_compared_alike_whatever_the_databases_style(
    screener: Session, registry: Session, memberships: Stream, store: Store
) -> None:
    with database_setting(screener if store is Store.SCREENER else registry, "datestyle", "German, DMY"):
        renew_connections()
        add(screener, "A", effective_date="2024-02-03")
        enabled(memberships)
        assert one(registry, "SELECT to_char(date_added, 'YYYY-MM-DD') FROM index_memberships") == "2024-02-03"
        run = validate(memberships)
        assert (run.status, run.differences) == ("passed", [])
        screener.execute("UPDATE dualwrite.stream_state SET backfilled = false")
        found = enable(memberships, TESTER).preview
        assert found is not None
        assert (found.add, found.overwrite, found.delete) == (0, 0, 0)
    renew_connections()


def test_rows_hidden_by_a_policy_are_an_error_and_not_deletes(
    screener: Session, registry: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(screener, "A")
    add(screener, "HIDDEN")
    with engine_role(screener, monkeypatch):
        enabled(memberships)
        assert validate(memberships).status == "passed"
        with hidden(screener), opened(memberships) as pipe:
            screener.execute("UPDATE index_memberships SET weight = 1")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
                pipe.move()
            with pytest.raises(StoreFailed, match="row-level security"):
                validate(memberships)
        assert set(mirrored(registry)) == {"NSE:A", "NSE:HIDDEN"}
        newest = ValidationRun.objects.first()
        assert newest is not None
        assert newest.status == "error"


@contextmanager
def hidden(screener: Session) -> Iterator[None]:
    """A policy that shows one row only to whoever does not own the table."""
    screener.execute("CREATE POLICY only_a ON index_memberships FOR SELECT USING (symbol = 'A')")
    screener.execute("ALTER TABLE index_memberships ENABLE ROW LEVEL SECURITY")
    try:
        yield
    finally:
        screener.execute("ALTER TABLE index_memberships DISABLE ROW LEVEL SECURITY")
        screener.execute("DROP POLICY only_a ON index_memberships")


def test_a_right_that_the_engines_role_lacks_is_named(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = sql.Identifier(screener.info.dbname)
    with engine_role(screener, monkeypatch) as role:
        assert capture.problems(memberships, Store.SCREENER) == []
        screener.execute(sql.SQL("REVOKE SELECT ON index_memberships FROM {}").format(sql.Identifier(role)))
        screener.execute(sql.SQL("REVOKE TEMP ON DATABASE {} FROM PUBLIC").format(database))
        try:
            found = capture.problems(memberships, Store.SCREENER)
        finally:
            screener.execute(sql.SQL("GRANT TEMP ON DATABASE {} TO PUBLIC").format(database))
    assert any(f"role {role} may not create temporary tables" in problem for problem in found)
    assert any(f"role {role} lacks SELECT on" in problem for problem in found)
    assert len(found) == 2


def test_a_database_in_another_encoding_is_named(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"test_dw_ascii_{os.getpid()}"
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
    screener.execute(sql.SQL(create).format(sql.Identifier(name)))
    try:
        with monkeypatch.context() as patch:
            connections[Store.SCREENER.alias].close()
            patch.setitem(connections[Store.SCREENER.alias].settings_dict, "NAME", name)
            with dedicated(Store.SCREENER, "test") as session:
                session.execute(SCREENER_SCHEMA.read_text().encode())
            capture.install(Store.SCREENER)
            found = capture.problems(memberships, Store.SCREENER)
            connections[Store.SCREENER.alias].close()
    finally:
        connections[Store.SCREENER.alias].close()
        screener.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    assert found == ["the database is encoded in SQL_ASCII; records are compared in UTF8"]


def test_a_limit_of_the_database_does_not_end_the_relays_statements(
    screener: Session, registry: Session, memberships: Stream
) -> None:
    enabled(memberships)
    with (
        database_setting(screener, "statement_timeout", "40ms"),
        database_setting(registry, "statement_timeout", "40ms"),
        opened(memberships) as pipe,
    ):
        for session in (pipe._source, pipe._mirror):
            assert one(session, "SELECT 'done' FROM pg_sleep(0.08)") == "done"


def test_a_connection_that_stands_still_does_not_hold_its_locks_for_ever(stores: None, memberships: Stream) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout")

    def limits(session: Session) -> list[str]:
        return [one(session, "SELECT current_setting(%s)", name) for name in names]

    enabled(memberships)
    with dedicated(Store.SCREENER, "test") as session:
        assert limits(session) == ["0", "10s", "5min", "0"]
    with opened(memberships) as pipe:
        for session in (pipe._source, pipe._mirror):
            assert limits(session) == ["0", "10s", "30s", "5min"]


def test_the_script_is_recorded_alike_whatever_the_sessions_search_path(screener: Session, memberships: Stream) -> None:
    script = capture.installation_sql(Store.SCREENER, str(one(screener, "SELECT current_user")))
    screener.execute("DROP SCHEMA dualwrite CASCADE")
    screener.execute("SET search_path = dualwrite, public")
    screener.execute(script.encode())
    assert capture.problems(memberships, Store.SCREENER) == []
    assert column(screener, "SELECT stream FROM dualwrite.installation ORDER BY 1") == [
        "index_memberships",
        "instruments",
    ]


def test_dedicated_connections_keep_what_the_address_asks_for(
    screener: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections[Store.SCREENER.alias].settings_dict["OPTIONS"], "sslmode", "require")
    if one(screener, "SHOW ssl") == "on":
        with dedicated(Store.SCREENER, "test") as session:
            assert one(session, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    else:
        with pytest.raises(StoreUnreachable, match="SSL"):
            dedicated(Store.SCREENER, "test")
