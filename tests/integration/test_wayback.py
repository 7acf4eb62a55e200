"""The preflight of the way back finds, before the switch, what would keep the old store from following."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from psycopg import sql

from dualwrite.control.evidence import Evidence
from dualwrite.control.trial import MOST_FAILURES, SAMPLE_ROWS
from dualwrite.control.wayback import preflight
from dualwrite.exceptions import StoreUnreachable
from dualwrite.stages import Store
from dualwrite.stores import Session
from dualwrite.stream import Field, Side, Stream
from tests.integration.away import CLOSED_PORT, move
from tests.support import add, column, enabled, engine_role, fill, one

KEY = '["NSE:A","NIFTY 50"]'


@pytest.fixture(autouse=True)
def mirrored_row(screener: Session, memberships: Stream) -> None:
    add(screener, "A", weight="2.5", sector="Energy", effective_date="2024-01-31")
    enabled(memberships)


@pytest.fixture
def table(screener: Session) -> Iterator[Session]:
    """The old store, whose table a test may change; as it was afterwards."""
    yield screener
    screener.execute("ALTER TABLE index_memberships DROP COLUMN IF EXISTS extra, DROP COLUMN IF EXISTS code")
    screener.execute("ALTER TABLE index_memberships DROP CONSTRAINT IF EXISTS light, ALTER COLUMN sector TYPE text")
    screener.execute("DROP SEQUENCE IF EXISTS numbers")


def with_side(stream: Stream, **changes: object) -> Stream:
    """The stream with another declaration of the old store's table."""
    side = replace(stream.side(Store.SCREENER), **changes)  # type: ignore[arg-type]
    return replace(stream, sides={**stream.sides, Store.SCREENER: side})


def looked(stream: Stream) -> Evidence:
    return preflight(stream, Store.SCREENER)


def failures(found: Evidence) -> dict[str, str]:
    return {one["key"]: one["why"] for one in found.facts["not_inverted"]}


def test_a_table_that_can_follow_passes_and_nothing_remains(screener: Session, memberships: Stream) -> None:
    rows = column(screener, "SELECT (xmin, ctid, t.*)::text FROM index_memberships t")
    number = one(screener, "SELECT last_value FROM index_memberships_id_seq")
    found = looked(memberships)
    assert (found.why, found.facts["tried"], found.facts["not_inverted"]) == ("", 1, [])
    assert found.facts["unique"] == [
        "CREATE UNIQUE INDEX index_memberships_pkey ON public.index_memberships USING btree (id)"
    ]
    assert column(screener, "SELECT (xmin, ctid, t.*)::text FROM index_memberships t") == rows
    assert one(screener, "SELECT last_value FROM index_memberships_id_seq") == number
    assert (
        one(screener, "SELECT count(*) FROM pg_class WHERE relname LIKE 'dualwrite\\_%' AND relpersistence = 't'") == 0
    )


def test_an_empty_mirror_has_nothing_to_try(screener: Session, registry: Session, memberships: Stream) -> None:
    screener.execute("DELETE FROM index_memberships")
    enabled(memberships)
    found = looked(memberships)
    assert (found.why, found.facts["tried"]) == ("", 0)


def test_a_part_of_a_large_mirror_is_tried(screener: Session, registry: Session, memberships: Stream) -> None:
    fill(screener, 3 * SAMPLE_ROWS)
    enabled(memberships)
    registry.execute("ANALYZE index_memberships")
    found = looked(memberships)
    assert found.why == ""
    # Whole pages are drawn by lot, some dozen of them: the number varies widely, and the limit is never passed.
    assert 0 < found.facts["tried"] <= SAMPLE_ROWS


def test_wrong_statistics_do_not_leave_the_trial_without_records(registry: Session, memberships: Stream) -> None:
    registry.execute("UPDATE pg_class SET reltuples = 1e12 WHERE relname = 'index_memberships'")
    assert looked(memberships).facts["tried"] == 1
    registry.execute("ANALYZE index_memberships")


@pytest.mark.parametrize(
    ("granted", "missing"),
    [
        ("SELECT", "INSERT, UPDATE, DELETE"),
        ("INSERT, DELETE", "UPDATE"),
        ("INSERT, UPDATE", "DELETE"),
        ("UPDATE (weight), INSERT, DELETE", "UPDATE"),
    ],
)
def test_missing_rights_are_named_with_the_statement_that_gives_them(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch, granted: str, missing: str
) -> None:
    with engine_role(screener, monkeypatch, only_reads=True) as role:
        give(screener, granted, role)
        found = looked(memberships)
        assert found.facts["missing_grants"] == [f'GRANT {missing} ON "public"."index_memberships" TO {role};']
        assert found.facts["missing_grants"][0] in found.mend
        screener.execute(found.facts["missing_grants"][0])
        assert looked(memberships).why == ""


def test_rights_on_the_written_columns_are_enough(
    screener: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_role(screener, monkeypatch, only_reads=True) as role:
        columns = "(symbol, exchange, index_name, weight, sector, effective_date)"
        give(screener, f"INSERT {columns}, UPDATE (weight, sector, effective_date), DELETE", role)
        assert looked(memberships).why == ""


def give(screener: Session, rights: str, role: str) -> None:
    grant = sql.SQL("GRANT {} ON index_memberships TO {}")
    screener.execute(grant.format(sql.SQL(rights), sql.Identifier(role)))


def test_a_sequence_behind_a_default_needs_a_right_and_is_not_drawn_from(
    table: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.execute("CREATE SEQUENCE numbers")
    table.execute("ALTER TABLE index_memberships ADD COLUMN extra bigint NOT NULL DEFAULT nextval('numbers')")
    drawn = one(table, "SELECT last_value FROM numbers")
    with engine_role(table, monkeypatch, only_reads=True) as role:
        give(table, "INSERT, UPDATE, DELETE", role)
        found = looked(memberships)
        assert found.facts["missing_grants"] == [f"GRANT USAGE ON SEQUENCE public.numbers TO {role};"]
        table.execute(found.facts["missing_grants"][0])
        assert looked(memberships).why == ""
    assert one(table, "SELECT last_value FROM numbers") == drawn


def test_a_sequence_of_a_written_column_is_to_be_set_by_a_switch_back(
    table: Session, memberships: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.execute("ALTER TABLE index_memberships ADD COLUMN code serial")
    stream = with_side(memberships, writes={**memberships.side(Store.SCREENER).writes, "code": "length(r.index_id)"})
    with engine_role(table, monkeypatch, only_reads=True) as role:
        give(table, "INSERT, UPDATE, DELETE", role)
        grant = f"GRANT UPDATE, USAGE ON SEQUENCE public.index_memberships_code_seq TO {role};"
        assert looked(stream).facts["missing_grants"] == [grant]


def test_a_column_that_must_have_a_value_and_gets_none_is_named(table: Session, memberships: Stream) -> None:
    table.execute("ALTER TABLE index_memberships ADD COLUMN extra int")
    assert looked(memberships).why == ""
    table.execute("UPDATE index_memberships SET extra = 1")
    table.execute("ALTER TABLE index_memberships ALTER COLUMN extra SET NOT NULL")
    found = looked(memberships)
    assert found.why == "the relay could not insert into the screener store: column extra needs a value and gets none"
    assert "`writes` of the stream's declaration" in found.mend
    assert "tried" not in found.facts
    table.execute("ALTER TABLE index_memberships ALTER COLUMN extra SET DEFAULT 7")
    assert looked(memberships).why == ""


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("extra text GENERATED ALWAYS AS (upper(sector)) STORED", "column extra is generated"),
        ("extra int GENERATED ALWAYS AS IDENTITY", "column extra is an identity column that takes no value"),
        ("code int", "column extra does not exist"),
    ],
)
def test_a_written_column_that_takes_no_value_is_named(
    table: Session, memberships: Stream, definition: str, why: str
) -> None:
    table.execute(sql.SQL("ALTER TABLE index_memberships ADD COLUMN {}").format(sql.SQL(definition)))
    writes = {**memberships.side(Store.SCREENER).writes, "extra": "r.sector"}
    assert why in looked(with_side(memberships, writes=writes)).why


@pytest.mark.parametrize(
    ("column_name", "written"),
    [
        ("sector", "lower(r.sector)"),
        ("weight", "round(r.weight)"),
        ("weight", "NULL::numeric"),
        ("effective_date", "r.date_added + 1"),
        ("symbol", "'X' || substr(r.instrument_key, strpos(r.instrument_key, ':') + 1)"),
        ("index_name", "lower(r.index_id)"),
        ("exchange", "NULL::text"),
    ],
)
def test_a_projection_that_does_not_invert_is_found(memberships: Stream, column_name: str, written: str) -> None:
    writes = {**memberships.side(Store.SCREENER).writes, column_name: written}
    found = looked(with_side(memberships, writes=writes))
    assert failures(found) == {KEY: "it reads back otherwise, or not at all"}
    assert KEY in found.why
    assert "`writes` and `reads` of the stream's declaration" in found.mend


def test_a_written_row_that_is_no_record_does_not_come_back(memberships: Stream) -> None:
    assert failures(looked(with_side(memberships, where="t.sector <> 'Energy'"))).keys() == {KEY}


def test_two_keys_that_become_one_row_do_not_come_back(screener: Session, memberships: Stream) -> None:
    add(screener, "B", weight="2.5", sector="Energy", effective_date="2024-01-31")
    enabled(memberships)
    writes = {**memberships.side(Store.SCREENER).writes, "symbol": "'A'::text"}
    assert failures(looked(with_side(memberships, writes=writes))).keys() == {KEY, KEY.replace("A", "B", 1)}


def test_a_record_that_a_check_refuses_is_named_and_the_others_are_tried(table: Session, memberships: Stream) -> None:
    add(table, "B", weight=3)
    add(table, "C", weight=4, sector="a sector with a long name")
    add(table, "D", weight=1, sector="Tech")
    enabled(memberships)
    table.execute("ALTER TABLE index_memberships ADD CONSTRAINT light CHECK (weight <> 3) NOT VALID")
    stream = with_side(memberships, reads={**memberships.side(Store.SCREENER).reads, "sector": "upper(t.sector)"})
    found = failures(looked(stream))
    assert 'violates check constraint "light"' in found.pop(KEY.replace("A", "B", 1))
    assert found.keys() == {KEY, KEY.replace("A", "C", 1), KEY.replace("A", "D", 1)}


def test_a_type_that_is_too_narrow_is_found(table: Session, memberships: Stream) -> None:
    table.execute("ALTER TABLE index_memberships ALTER COLUMN sector TYPE varchar(5) USING left(sector, 5)")
    assert failures(looked(memberships)) == {KEY: "value too long for type character varying(5)"}


def test_a_column_of_another_type_concerns_every_record(memberships: Stream) -> None:
    writes = {**memberships.side(Store.SCREENER).writes, "weight": "r.sector"}
    (failure,) = looked(with_side(memberships, writes=writes)).facts["not_inverted"]
    assert failure["key"] == "every record"
    assert 'column "weight" is of type numeric but expression is of type text' in failure["why"]


def test_of_many_failures_some_are_enough(table: Session, memberships: Stream) -> None:
    fill(table, 200)
    enabled(memberships)
    table.execute("ALTER TABLE index_memberships ADD CONSTRAINT light CHECK (weight IS NOT NULL) NOT VALID")
    found = looked(memberships)
    assert len(found.facts["not_inverted"]) == MOST_FAILURES


def test_defaults_and_generated_columns_are_those_of_the_real_table(table: Session, memberships: Stream) -> None:
    table.execute("ALTER TABLE index_memberships ADD COLUMN extra text NOT NULL DEFAULT 'x'")
    table.execute(
        "ALTER TABLE index_memberships ADD COLUMN code text GENERATED ALWAYS AS (exchange || ':' || symbol) STORED"
    )
    reads = {**memberships.side(Store.SCREENER).reads, "instrument_key": "t.code"}
    assert looked(with_side(memberships, reads=reads, where="t.extra = 'x'")).why == ""


ODD_VALUES = r"""
('NaN'::numeric, '-Infinity'::float8, '\x00ff'::bytea, 'infinity'::timestamptz, '{"a": null}'::jsonb,
 ARRAY[NULL, '', 'a,"b\c'], '[1,)'::int4range, E'tab\t newline\n backslash\\ \\N', '1 mon -3 days'::interval),
(1e-20, 0.1 + 0.2, '', '2024-02-29 23:59:59.999999+05:30', '"text"', ARRAY[]::text[], 'empty', '', '0'),
(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
"""
TYPES = ("numeric", "float8", "bytea", "timestamptz", "jsonb", "text[]", "int4range", "text", "interval")


@pytest.fixture
def odd(screener: Session, registry: Session) -> Iterator[Stream]:
    """A scratch stream with a column of every awkward type."""
    columns = {f"c{number}": kind for number, kind in enumerate(TYPES)}
    same = Side(
        schema="public",
        table="dw_test_odd",
        reads={name: f"t.{name}" for name in ("code", *columns)},
        writes={name: f"r.{name}" for name in ("code", *columns)},
        match=("code",),
        model="none.None",
    )
    definitions = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    for session in (screener, registry):
        session.execute(sql.SQL("CREATE TABLE public.dw_test_odd (code int, {})").format(sql.SQL(definitions)))
    registry.execute(
        sql.SQL("INSERT INTO public.dw_test_odd SELECT row_number() OVER (), v.* FROM (VALUES {}) AS v").format(
            sql.SQL(ODD_VALUES)
        )
    )
    fields = tuple(Field(name, kind) for name, kind in columns.items())
    yield Stream("odd", (Field("code", "int"),), fields, dict.fromkeys(Store, same))
    for session in (screener, registry):
        session.execute("DROP TABLE public.dw_test_odd")


def test_values_of_awkward_types_come_back(odd: Stream) -> None:
    found = looked(odd)
    assert (found.why, found.facts["tried"]) == ("", 3)


@pytest.mark.parametrize("store", Store)
def test_a_store_that_is_away_is_no_answer(memberships: Stream, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    move(store, CLOSED_PORT, monkeypatch)
    with pytest.raises(StoreUnreachable, match=store.value):
        looked(memberships)
