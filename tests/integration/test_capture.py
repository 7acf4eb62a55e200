"""Whatever writes the old table, its keys are noted in the writer's own transaction."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualwrite import switch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from registry.screener.models import ScreenerIndexMembership
from tests.conftest import TESTER, url_of
from tests.support import add, noted, one

A, B, C = '["NSE:A","NIFTY 50"]', '["NSE:B","NIFTY 50"]', '["NSE:C","NIFTY 50"]'


@pytest.fixture(autouse=True)
def capturing(screener: Session, memberships: Stream) -> None:
    """Two rows from before, then capture on."""
    for symbol in "AB":
        add(screener, symbol)
    switch.begin_capture(memberships, Store.SCREENER, TESTER)


WRITES: dict[str, tuple[str, list[str]]] = {
    "insert": (
        "INSERT INTO index_memberships (symbol, exchange, index_name) VALUES ('C', 'NSE', 'NIFTY 50')",
        [C],
    ),
    "insert of nothing": ("INSERT INTO index_memberships (symbol) SELECT 'x' WHERE false", []),
    "update": ("UPDATE index_memberships SET weight = 1 WHERE symbol = 'A'", [A]),
    "update of many": ("UPDATE index_memberships SET weight = 1", [A, B]),
    "change of the key": ("UPDATE index_memberships SET symbol = 'C' WHERE symbol = 'A'", [A, C]),
    "swap of keys": (
        "UPDATE index_memberships SET symbol = CASE symbol WHEN 'A' THEN 'B' ELSE 'A' END",
        [A, A, B, B],  # each as an old and as a new one
    ),
    "delete": ("DELETE FROM index_memberships WHERE symbol = 'B'", [B]),
    "truncate": ("TRUNCATE index_memberships", [A, B]),
    "delete and recreate in one statement": (
        "WITH gone AS (DELETE FROM index_memberships WHERE symbol = 'A' RETURNING *)"
        " INSERT INTO index_memberships (symbol, exchange, index_name) SELECT 'C', exchange, index_name FROM gone",
        [A, C],
    ),
    "merge": (
        "MERGE INTO index_memberships t USING (VALUES ('A', 2), ('B', NULL), ('C', 3)) v (symbol, weight)"
        " ON t.symbol = v.symbol WHEN MATCHED AND v.weight IS NULL THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET weight = v.weight"
        " WHEN NOT MATCHED THEN INSERT (symbol, exchange, index_name) VALUES (v.symbol, 'NSE', 'NIFTY 50')",
        [A, B, C],
    ),
    "a key with quotes, backslash, newline and other scripts": (
        r"""INSERT INTO index_memberships (symbol, exchange, index_name) VALUES (E'"\\\n', 'NSE', '日経 225')""",
        ['["NSE:\\"\\\\\\n","日経 225"]'],
    ),
    "a key with NULL": (
        "INSERT INTO index_memberships (symbol, exchange, index_name) VALUES (NULL, 'NSE', 'NIFTY 50')",
        ['[null,"NIFTY 50"]'],
    ),
}


@pytest.mark.parametrize("kind", WRITES)
def test_sql_of_every_kind_notes_the_keys_it_touched(screener: Session, kind: str) -> None:
    query, expected = WRITES[kind]
    screener.execute(query)
    assert sorted(noted(screener)) == sorted(expected)


def test_copy_notes_its_keys(screener: Session) -> None:
    with screener.cursor().copy("COPY index_memberships (symbol, exchange, index_name) FROM STDIN") as copy:
        copy.write_row(("C", "NSE", "NIFTY 50"))
    assert noted(screener) == [C]


def test_the_orm_notes_its_keys_however_it_writes(screener: Session) -> None:
    model = ScreenerIndexMembership
    first = model.objects.get(symbol="A")
    first.weight = 3
    first.save()
    model.objects.bulk_create([model(symbol="C", exchange="NSE", index_name="NIFTY 50")])
    model.objects.filter(symbol="B").update(sector="x")
    rows = list(model.objects.filter(symbol="C"))
    rows[0].weight = 4
    model.objects.bulk_update(rows, ["weight"])
    first.delete()
    assert noted(screener) == [A, C, B, C, A]


def test_a_write_that_is_rolled_back_leaves_no_note(screener: Session) -> None:
    with screener.transaction():
        add(screener, "C")
        with screener.transaction(force_rollback=True):
            add(screener, "D")
    assert noted(screener) == [C]


def test_a_session_in_replica_mode_is_captured_as_well(screener: Session) -> None:
    screener.execute("SET session_replication_role = replica")
    screener.execute("DELETE FROM index_memberships WHERE symbol = 'A'")
    assert noted(screener) == [A]


def test_fifty_thousand_rows_in_one_transaction_are_all_noted(screener: Session) -> None:
    with screener.transaction():
        screener.execute(
            "INSERT INTO index_memberships (symbol, exchange, index_name)"
            " SELECT 'S' || g, 'NSE', 'NIFTY 50' FROM generate_series(1, 50000) AS g"
        )
    assert one(screener, "SELECT count(DISTINCT key) FROM dualwrite.waiting") == 50_000


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_truncate_is_refused_under_an_old_snapshot(screener: Session, level: str) -> None:
    with screener.transaction(force_rollback=True):
        screener.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
        with pytest.raises(psycopg.Error, match="only under READ COMMITTED"):
            screener.execute("TRUNCATE index_memberships")
    assert one(screener, "SELECT count(*) FROM index_memberships") == 2


def test_without_capture_nothing_is_noted(screener: Session) -> None:
    screener.execute("UPDATE dualwrite.stream_state SET capture = false")
    add(screener, "C")
    assert noted(screener) == []


@pytest.fixture
def old_service(screener: Session) -> Iterator[Session]:
    """A session of a role that may write the old table and has no right in the engine's schema."""
    screener.execute("DROP ROLE IF EXISTS dw_test_service")
    screener.execute("CREATE ROLE dw_test_service LOGIN PASSWORD 'only-in-this-test'")
    screener.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON index_memberships TO dw_test_service")
    with psycopg.connect(
        url_of(Store.SCREENER, user="dw_test_service", password="only-in-this-test"), autocommit=True
    ) as session:
        yield session
    screener.execute("DROP OWNED BY dw_test_service")
    screener.execute("DROP ROLE dw_test_service")


def test_a_role_without_any_right_in_the_engines_schema_is_captured(screener: Session, old_service: Session) -> None:
    add(old_service, "C")
    assert noted(screener) == [C]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        old_service.execute("SELECT * FROM dualwrite.outbox")


def test_that_role_cannot_pass_itself_off_as_the_relay(screener: Session, old_service: Session) -> None:
    screener.execute("UPDATE dualwrite.stream_state SET role = 'mirror'")
    with old_service.transaction(force_rollback=True):
        old_service.execute("SELECT set_config('dualwrite.relay', 'index_memberships:0', true)")
        with pytest.raises(psycopg.Error, match="the registry store takes its writes"):
            add(old_service, "C")


def test_the_key_is_the_same_text_that_python_would_write(screener: Session) -> None:
    text = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=6)

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(text, text)
    def check(symbol: str, index: str) -> None:
        screener.execute("TRUNCATE dualwrite.outbox")
        add(screener, symbol, index)
        expected = json.dumps([f"NSE:{symbol}", index], ensure_ascii=False, separators=(",", ":"))
        assert noted(screener) == [expected]

    check()
