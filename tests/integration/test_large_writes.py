"""A statement of many rows is noted completely, many keys to a note, and so is every change of a key."""

from collections.abc import Iterator

import psycopg
import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualwrite import capture, switch
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Stream
from registry.screener.models import ScreenerIndexMembership
from tests.conftest import SCREENER_SCHEMA, TESTER
from tests.support import add, fill, noted, one

#: From here on a statement's keys are noted many at a time.
MANY = 64
ROWS = 10_000
A, B, C = '["NSE:A","NIFTY 50"]', '["NSE:B","NIFTY 50"]', '["NSE:C","NIFTY 50"]'


@pytest.fixture(autouse=True)
def capturing(screener: Session, memberships: Stream) -> None:
    switch.begin_capture(memberships, Store.SCREENER, TESTER)


def keys(rows: int, index: str = "X", first: int = 1) -> set[str]:
    """The keys of rows made by `fill`."""
    return {f'["NSE:S{number}","{index}"]' for number in range(first, first + rows)}


def forget(screener: Session) -> None:
    """Empty the outbox."""
    screener.execute("TRUNCATE dualwrite.outbox")


def notes(screener: Session) -> int:
    """How many notes there are, however many keys they carry."""
    return int(one(screener, "SELECT count(*) FROM dualwrite.outbox"))


@pytest.mark.parametrize("rows", [1, 2, MANY - 1, MANY, MANY + 1, 2 * MANY, 511, 512, 513])
@pytest.mark.parametrize(
    "write",
    [
        "INSERT INTO index_memberships (symbol, exchange, index_name)"
        " SELECT 'S' || g, 'NSE', 'X' FROM generate_series(1, {}) AS g",
        "UPDATE index_memberships SET weight = 1 WHERE id <= {}",
        "DELETE FROM index_memberships WHERE id <= {}",
    ],
    ids=["insert", "update", "delete"],
)
def test_around_the_size_where_notes_carry_many_keys_every_row_is_noted(
    screener: Session, write: str, rows: int
) -> None:
    if not write.startswith("INSERT"):
        fill(screener, 600)
        forget(screener)
    assert screener.execute(write.format(rows).encode()).rowcount == rows
    assert set(noted(screener)) == keys(rows)
    packed = one(screener, "SELECT count(*) FROM dualwrite.outbox WHERE others IS NOT NULL")
    assert bool(packed) == (rows >= MANY)
    if rows < MANY:
        assert notes(screener) == rows, "each key once"


def test_the_notes_of_one_lane_alone_carry_its_keys(screener: Session) -> None:
    fill(screener, 3000)
    wrong = "SELECT count(*) FROM dualwrite.waiting WHERE hashtextextended(key, 0) & 15 <> partition"
    assert one(screener, wrong) == 0
    assert one(screener, "SELECT max(cardinality(others)) FROM dualwrite.outbox") < 512


LARGE: dict[str, str] = {
    "update": "UPDATE index_memberships SET weight = 1",
    "update from": "UPDATE index_memberships t SET weight = v.n FROM generate_series(1, 10000) v (n) WHERE t.id = v.n",
    "delete": "DELETE FROM index_memberships",
    "truncate": "TRUNCATE index_memberships",
    "merge that updates": "MERGE INTO index_memberships t USING generate_series(1, 10000) v (n) ON t.id = v.n"
    " WHEN MATCHED THEN UPDATE SET weight = v.n",
    "merge that deletes and inserts": "MERGE INTO index_memberships t USING generate_series(5001, 15000) v (n)"
    " ON t.id = v.n WHEN MATCHED THEN DELETE"
    " WHEN NOT MATCHED THEN INSERT (symbol, exchange, index_name) VALUES ('S' || v.n - 10000, 'NSE', 'X')",
    "upsert": "INSERT INTO index_memberships (id, symbol, exchange, index_name)"
    " SELECT n, 'S' || n, 'NSE', 'X' FROM generate_series(1, 10000) n ON CONFLICT (id) DO UPDATE SET weight = 2",
}


@pytest.mark.parametrize("kind", LARGE)
def test_sql_of_every_kind_notes_ten_thousand_rows(screener: Session, kind: str) -> None:
    fill(screener, ROWS)
    assert set(noted(screener)) == keys(ROWS)
    forget(screener)
    screener.execute(LARGE[kind].encode())
    assert set(noted(screener)) == keys(ROWS)
    assert notes(screener) < ROWS / 10


def test_copy_notes_ten_thousand_rows(screener: Session) -> None:
    with screener.cursor().copy("COPY index_memberships (symbol, exchange, index_name) FROM STDIN") as copy:
        for number in range(1, ROWS + 1):
            copy.write_row((f"S{number}", "NSE", "X"))
    assert set(noted(screener)) == keys(ROWS)


def test_the_orm_notes_a_thousand_rows_however_it_writes(screener: Session) -> None:
    model = ScreenerIndexMembership
    model.objects.bulk_create([model(symbol=f"S{n}", exchange="NSE", index_name="X") for n in range(1, 1001)])
    assert set(noted(screener)) == keys(1000)
    forget(screener)
    rows = list(model.objects.all())
    for row in rows:
        row.weight = 4
    model.objects.bulk_update(rows, ["weight"])
    assert set(noted(screener)) == keys(1000)
    forget(screener)
    model.objects.filter(symbol__isnull=False).delete()
    assert set(noted(screener)) == keys(1000)


def test_a_session_that_planned_for_few_rows_notes_many(screener: Session) -> None:
    """The server keeps the plans of a trigger's statements for the whole session."""
    fill(screener, ROWS)
    for rows in (1, MANY + 1, ROWS, 1, ROWS):
        forget(screener)
        screener.execute("UPDATE index_memberships SET weight = 1 WHERE id <= %s", (rows,))
        assert set(noted(screener)) == keys(rows)


def test_a_large_write_that_is_rolled_back_leaves_no_note(screener: Session) -> None:
    with screener.transaction(force_rollback=True):
        fill(screener, ROWS)
    assert notes(screener) == 0


def test_without_capture_a_large_write_and_a_change_of_keys_note_nothing(screener: Session) -> None:
    screener.execute("UPDATE dualwrite.stream_state SET capture = false")
    fill(screener, 200)
    screener.execute("UPDATE index_memberships SET index_name = 'Y'")
    screener.execute("TRUNCATE index_memberships")
    assert notes(screener) == 0


@pytest.mark.parametrize("rows", [1, MANY - 1, MANY, ROWS])
def test_a_change_of_every_key_notes_all_old_and_all_new_ones(screener: Session, rows: int) -> None:
    fill(screener, rows)
    forget(screener)
    screener.execute("UPDATE index_memberships SET index_name = 'Y'")
    assert set(noted(screener)) == keys(rows) | keys(rows, "Y")


def test_a_change_of_one_key_among_many_rows_notes_the_old_one(screener: Session) -> None:
    fill(screener, 1000)
    forget(screener)
    screener.execute("UPDATE index_memberships SET symbol = CASE id WHEN 777 THEN 'Z' ELSE symbol END, weight = 1")
    assert set(noted(screener)) == keys(1000) | {'["NSE:Z","X"]'}


REKEYS: dict[str, tuple[str, set[str]]] = {
    "an upsert": (
        "INSERT INTO index_memberships (id, symbol) VALUES (1, 'ignored') ON CONFLICT (id) DO UPDATE SET symbol = 'C'",
        {A, C},
    ),
    "a merge": (
        "MERGE INTO index_memberships t USING (VALUES (1)) v (id) ON t.id = v.id"
        " WHEN MATCHED THEN UPDATE SET symbol = 'C'",
        {A, C},
    ),
    "a part that becomes NULL": (
        "UPDATE index_memberships SET symbol = NULL WHERE symbol = 'A'",
        {A, '[null,"NIFTY 50"]'},
    ),
    "a key that becomes NULL by another column": (
        "UPDATE index_memberships SET exchange = 'A:B' WHERE symbol = 'A'",
        {A, '[null,"NIFTY 50"]'},
    ),
    "the same letters in other columns": (
        "UPDATE index_memberships SET symbol = 'NIFTY 50', index_name = 'A' WHERE symbol = 'A'",
        {A, '["NSE:NIFTY 50","A"]'},
    ),
    "trailing blanks": ("UPDATE index_memberships SET symbol = 'A ' WHERE symbol = 'A'", {A, '["NSE:A ","NIFTY 50"]'}),
    "the same letter in another form": (
        "UPDATE index_memberships SET symbol = U&'A\\030A' WHERE symbol = 'A'",
        {A, '["NSE:A\u030a","NIFTY 50"]'},
    ),
    "in replica mode": (
        "SET session_replication_role = replica; UPDATE index_memberships SET symbol = 'C' WHERE symbol = 'A'",
        {A, C},
    ),
}


@pytest.mark.parametrize("kind", REKEYS)
def test_a_change_of_a_key_of_every_kind_notes_the_old_and_the_new_one(screener: Session, kind: str) -> None:
    add(screener, "A")
    add(screener, "B")
    forget(screener)
    query, expected = REKEYS[kind]
    screener.execute(query.encode())
    assert set(noted(screener)) == expected


def test_a_key_that_a_row_trigger_changes_is_noted_although_the_statement_does_not_name_it(screener: Session) -> None:
    add(screener, "A")
    add(screener, "B")
    forget(screener)
    screener.execute(
        "CREATE FUNCTION public.upper_hand() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN IF NEW.weight = 7 THEN NEW.symbol := ''C''; END IF; RETURN NEW; END'"
    )
    try:
        screener.execute(
            "CREATE TRIGGER upper_hand BEFORE UPDATE ON index_memberships FOR EACH ROW EXECUTE FUNCTION upper_hand()"
        )
        screener.execute("UPDATE index_memberships SET weight = CASE symbol WHEN 'A' THEN 7 END")
    finally:
        screener.execute("DROP FUNCTION public.upper_hand() CASCADE")
    assert set(noted(screener)) == {A, B, C}


@pytest.fixture
def reshaped(screener: Session) -> Iterator[Session]:
    """The old table may be given another shape; afterwards it is made anew."""
    # The server does not let a column that a trigger compares change its type, or go.
    screener.execute("DROP TRIGGER dualwrite_b_rekey ON index_memberships")
    yield screener
    screener.execute("DROP TABLE index_memberships")
    with connections[Store.SCREENER.alias].cursor() as cursor:
        cursor.execute(SCREENER_SCHEMA.read_text(encoding="utf-8"))


SHAPES: dict[str, tuple[str, str, str, set[str]]] = {
    "a number that is equal but written otherwise": (
        "ALTER TABLE index_memberships ALTER COLUMN symbol TYPE numeric USING 1.0",
        "INSERT INTO index_memberships (symbol, exchange, index_name) VALUES (1.0, 'NSE', 'X')",
        "UPDATE index_memberships SET symbol = 1.00",
        {'["NSE:1.0","X"]', '["NSE:1.00","X"]'},
    ),
    "a text that its collation takes for the same": (
        "CREATE COLLATION IF NOT EXISTS public.caseless"
        " (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
        "ALTER TABLE index_memberships ALTER COLUMN symbol TYPE text COLLATE public.caseless",
        "INSERT INTO index_memberships (symbol, exchange, index_name) VALUES ('a', 'NSE', 'X')",
        "UPDATE index_memberships SET symbol = 'A'",
        {'["NSE:a","X"]', '["NSE:A","X"]'},
    ),
    "a column that the server generates": (
        "ALTER TABLE index_memberships DROP COLUMN symbol,"
        " ADD COLUMN symbol text GENERATED ALWAYS AS (upper(sector)) STORED",
        "INSERT INTO index_memberships (exchange, index_name, sector) VALUES ('NSE', 'X', 'b')",
        "UPDATE index_memberships SET sector = 'c'",
        {'["NSE:B","X"]', '["NSE:C","X"]'},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_keys_are_compared_as_they_are_written_not_as_their_type_compares_them(reshaped: Session, shape: str) -> None:
    change, insert, update, expected = SHAPES[shape]
    try:
        reshaped.execute(change.encode())
    except psycopg.errors.FeatureNotSupported as exc:
        pytest.skip(str(exc))  # ICU is not part of every build of the server
    assert capture.install(Store.SCREENER)["index_memberships"] == "installed"
    reshaped.execute(insert.encode())
    forget(reshaped)
    reshaped.execute(update.encode())
    assert set(noted(reshaped)) == expected


def test_whatever_is_written_in_whatever_sizes_every_key_that_a_row_had_or_got_is_noted(screener: Session) -> None:
    size = st.sampled_from([0, 1, 2, MANY - 1, MANY, MANY + 1, 200, 700])
    write = st.tuples(st.sampled_from(["insert", "update", "rekey", "delete"]), size)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(write, min_size=1, max_size=6))
    def check(writes: list[tuple[str, int]]) -> None:
        screener.execute("TRUNCATE index_memberships")
        for kind, rows in writes:
            forget(screener)
            assert set(noted(screener)) == set()
            assert _touched(screener, kind, rows) == set(noted(screener))

    check()


WRITES = {
    "insert": "INSERT INTO index_memberships (symbol, exchange, index_name)"
    " SELECT md5(random()::text), 'NSE', 'X' FROM generate_series(1, %s) RETURNING id, symbol, index_name",
    "update": "UPDATE index_memberships SET weight = 1 WHERE id IN (SELECT id FROM index_memberships LIMIT %s)"
    " RETURNING id, symbol, index_name",
    "rekey": "UPDATE index_memberships SET index_name = 'Y' WHERE id IN (SELECT id FROM index_memberships LIMIT %s)"
    " RETURNING id, symbol, index_name",
    "delete": "DELETE FROM index_memberships WHERE id IN (SELECT id FROM index_memberships LIMIT %s)"
    " RETURNING id, symbol, index_name",
}


def _touched(screener: Session, kind: str, rows: int) -> set[str]:
    """Write that many rows where there are as many; the keys they had before, and have now."""
    before = screener.execute("SELECT id, symbol, index_name FROM index_memberships").fetchall()
    written = screener.execute(WRITES[kind].encode(), (rows,)).fetchall()
    of_these = {row[0] for row in written}
    rows_of_both = [*written, *(row for row in before if row[0] in of_these)]
    return {f'["NSE:{symbol}","{index}"]' for _, symbol, index in rows_of_both}
