"""Tables whose writes could pass the triggers by are refused, and found when they become so later."""

from collections.abc import Iterator
from dataclasses import replace
from typing import LiteralString

import pytest
from django.db import connections

from dualwrite import capture
from dualwrite.capture import script
from dualwrite.exceptions import CaptureBroken, Refused
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from tests.conftest import SCREENER_SCHEMA
from tests.support import add, enabled, noted, one


@pytest.fixture
def reshaped(screener: Session) -> Iterator[Session]:
    """The old table may be given another shape; afterwards it is made anew."""
    yield screener
    screener.execute("DROP TABLE IF EXISTS index_memberships, related CASCADE")
    with connections[Store.SCREENER.alias].cursor() as cursor:
        cursor.execute(SCREENER_SCHEMA.read_text(encoding="utf-8"))


RELATIVES = {
    "a child": "CREATE TABLE related () INHERITS (index_memberships)",
    "a parent": "CREATE TABLE related (symbol text); ALTER TABLE index_memberships INHERIT related",
}


@pytest.mark.parametrize("kind", RELATIVES)
def test_a_table_that_is_given_a_relative_is_reported_and_not_installed_again(
    reshaped: Session, memberships: Stream, kind: str
) -> None:
    enabled(memberships)
    reshaped.execute(RELATIVES[kind].encode())
    with pytest.raises(CaptureBroken, match="has a parent or children, and what is written to those goes unnoted"):
        capture.require_trusted(memberships, Store.SCREENER)
    with pytest.raises(Refused, match="is no plain table: partitions, parents and children of a table cannot be"):
        capture.install(Store.SCREENER)


@pytest.mark.parametrize(
    "kind",
    [
        "CREATE TABLE index_memberships (symbol text, exchange text, index_name text, weight numeric, sector text,"
        " effective_date date) PARTITION BY HASH (index_name)",
        "CREATE TABLE related (symbol text, exchange text, index_name text, weight numeric, sector text,"
        " effective_date date) PARTITION BY LIST (exchange);"
        " CREATE TABLE index_memberships PARTITION OF related DEFAULT",
        "CREATE VIEW index_memberships AS SELECT ''::text AS symbol, ''::text AS exchange, ''::text AS index_name",
    ],
    ids=["partitioned", "partition", "view"],
)
def test_only_a_plain_table_is_installed(reshaped: Session, kind: str) -> None:
    reshaped.execute("DROP TABLE index_memberships")
    reshaped.execute(kind.encode())
    try:
        with pytest.raises(Refused, match=r"\"public\".\"index_memberships\" is no plain table"):
            capture.install(Store.SCREENER)
    finally:
        reshaped.execute("DROP VIEW IF EXISTS index_memberships" if "VIEW" in kind else "SELECT")


def test_a_key_made_of_columns_that_it_is_not_matched_by_is_refused(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of such a column would change the key, and no trigger compares it."""
    side = memberships.side(Store.SCREENER)
    odd = replace(side, reads={**side.reads, "index_id": "t.sector"})
    stream = replace(memberships, sides={**memberships.sides, Store.SCREENER: odd})
    screener.execute("DROP TRIGGER dualwrite_b_rekey ON index_memberships")
    monkeypatch.setattr(capture, "all_streams", lambda: (stream,))
    with pytest.raises(Refused, match=r"column t.sector does not exist"):
        capture.install(Store.SCREENER)


def test_a_key_column_that_is_computed_only_when_it_is_read_is_reported(reshaped: Session, memberships: Stream) -> None:
    if reshaped.info.server_version < 180000:
        pytest.skip("only PostgreSQL 18 and later have such columns")
    reshaped.execute("DROP TRIGGER dualwrite_b_rekey ON index_memberships")
    reshaped.execute(
        "ALTER TABLE index_memberships DROP COLUMN symbol, ADD COLUMN symbol text GENERATED ALWAYS AS (sector)"
    )
    capture.install(Store.SCREENER)
    with pytest.raises(CaptureBroken, match="column symbol is computed when it is read, so triggers do not see it"):
        capture.require(memberships, Store.SCREENER)


CONDITION: LiteralString = (
    "SELECT substring(pg_get_triggerdef(oid) FROM ' (WHEN .*) EXECUTE ') FROM pg_trigger"
    " WHERE tgname = 'dualwrite_b_rekey' AND tgrelid = 'index_memberships'::regclass"
)


def test_a_trigger_that_no_longer_fires_for_every_change_of_a_key_is_noticed(
    screener: Session, memberships: Stream
) -> None:
    trigger = (
        "CREATE OR REPLACE TRIGGER dualwrite_b_rekey AFTER UPDATE {} ON index_memberships FOR EACH ROW {}"
        " EXECUTE FUNCTION dualwrite.index_memberships_rekey_v1()"
    )
    for columns, condition in (
        ("", "WHEN (false)"),
        ("", "WHEN (OLD.symbol IS DISTINCT FROM NEW.symbol)"),
        # The condition as it should be, but only where the statement names the column.
        ("OF symbol, index_name", one(screener, CONDITION)),
    ):
        screener.execute(trigger.format(columns, condition).encode())
        screener.execute("ALTER TABLE index_memberships ENABLE ALWAYS TRIGGER dualwrite_b_rekey")
        found = capture.problems(memberships, Store.SCREENER)
        assert "the table, a trigger or a function was changed since it was installed" in found, (columns, condition)
        assert capture.install(Store.SCREENER)["index_memberships"] == "installed"
        assert capture.problems(memberships, Store.SCREENER) == []


@pytest.mark.parametrize("path", ["pg_catalog", "public, pg_catalog", "dualwrite, public", ""])
def test_what_a_session_looks_names_up_in_does_not_change_the_fingerprint(
    screener: Session, memberships: Stream, path: str
) -> None:
    query = script.finding_problems(memberships, Store.SCREENER)
    screener.execute("SELECT set_config('search_path', %s, false)", (path,))
    assert screener.execute(query).fetchall() == []


def test_uninstalling_takes_every_trigger_and_function_along(screener: Session) -> None:
    capture.uninstall(Store.SCREENER)
    for query in (
        "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'dualwrite%'",
        "SELECT proname FROM pg_proc WHERE pronamespace = 'dualwrite'::regnamespace AND proname NOT LIKE 'audit%'",
    ):
        assert screener.execute(query.encode()).fetchall() == []
    add(screener, "A")
    assert noted(screener) == []
