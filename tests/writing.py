"""Writes of every kind to the memberships of either store, in the same words for both.

A record is a key (a symbol; on the exchange NSE, in one index) and its sector. What a kind of write does is told as
key → sector afterwards, None where the record is gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from dualwrite import router
from dualwrite.stages import Store
from dualwrite.stores import Session
from registry.models import IndexMembership
from registry.screener.models import ScreenerIndexMembership

INDEX = "NIFTY 50"
Effect = Mapping[str, str | None]


@dataclass(frozen=True)
class Table:
    """The memberships of one store: the column of its symbol, and the columns that are the same in every row."""

    store: Store
    key: str
    same: Mapping[str, object]

    def name(self, symbol: str) -> str:
        """The symbol as that column has it."""
        return symbol if self.store is Store.SCREENER else f"NSE:{symbol}"

    def symbol(self, name: str) -> str:
        """The other way round."""
        return name.removeprefix("NSE:")

    def sql(self, text: LiteralString) -> sql.Composed:
        """The text with {key}, the names {same} and the values {values} of the columns that are always the same."""
        return sql.SQL(text).format(
            key=sql.Identifier(self.key),
            same=sql.SQL(", ").join(map(sql.Identifier, self.same)),
            values=sql.SQL(", ").join(map(sql.Literal, self.same.values())),
        )


TABLES = {
    Store.SCREENER: Table(Store.SCREENER, "symbol", {"exchange": "NSE", "index_name": INDEX}),
    Store.REGISTRY: Table(Store.REGISTRY, "instrument_key", {"index_id": INDEX, "is_active": True}),
}


RECORDS: dict[Store, LiteralString] = {
    Store.SCREENER: "SELECT {key}, sector FROM index_memberships",
    Store.REGISTRY: "SELECT {key}, sector FROM index_memberships WHERE is_active",
}


def records(session: Session, table: Table) -> dict[str, str]:
    """What the store holds; fails for a key that is there twice."""
    rows = session.execute(table.sql(RECORDS[table.store])).fetchall()
    found = {table.symbol(name): sector for name, sector in rows}
    assert len(found) == len(rows), sorted(rows)
    return found


def put(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """Update and insert in one statement."""
    query = table.sql(
        "WITH changed AS (UPDATE index_memberships SET sector = %(sector)s"
        " WHERE {key} = ANY (%(names)s) RETURNING {key})"
        " INSERT INTO index_memberships ({key}, sector, {same}) SELECT k, %(sector)s, {values}"
        " FROM unnest(%(names)s::text[]) AS k WHERE k NOT IN (SELECT {key} FROM changed)"
    )
    session.execute(query, {"names": [table.name(s) for s in symbols], "sector": sector})
    return dict.fromkeys(symbols, sector)


def merge(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """MERGE that updates what is there, inserts what is not, and deletes the last."""
    query = table.sql(
        "MERGE INTO index_memberships AS t"
        " USING (SELECT k, k = %(last)s AS goes FROM unnest(%(names)s::text[]) AS k) AS n ON t.{key} = n.k"
        " WHEN MATCHED AND n.goes THEN DELETE WHEN MATCHED THEN UPDATE SET sector = %(sector)s"
        " WHEN NOT MATCHED AND NOT n.goes THEN INSERT ({key}, sector, {same}) VALUES (n.k, %(sector)s, {values})"
    )
    names = [table.name(s) for s in symbols]
    session.execute(query, {"names": names, "last": names[-1], "sector": sector})
    return {**dict.fromkeys(symbols, sector), symbols[-1]: None}


def delete(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """DELETE of several."""
    names = [table.name(s) for s in symbols]
    session.execute(table.sql("DELETE FROM index_memberships WHERE {key} = ANY (%s)"), (names,))
    return dict.fromkeys(symbols)


def recreate(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """Delete and insert again, in one transaction."""
    with session.transaction():
        delete(session, table, symbols, sector)
        return put(session, table, symbols, sector)


def move(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """Change the key of a record; the registry, whose keys are immutable, gets the record under another one."""
    source, target = symbols[0], symbols[-1]
    with session.transaction():
        delete(session, table, [target], sector)
        if source == target:
            return {target: None}
        put(session, table, [source], sector)
        if table.store is Store.SCREENER:
            session.execute("UPDATE index_memberships SET symbol = %s WHERE symbol = %s", (target, source))
        else:
            delete(session, table, [source], sector)
            put(session, table, [target], sector)
    return {source: None, target: sector}


def copy(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """COPY, of rows that are not there yet."""
    with session.transaction():
        delete(session, table, symbols, sector)
        with session.cursor().copy(table.sql("COPY index_memberships ({key}, sector, {same}) FROM STDIN")) as rows:
            for symbol in symbols:
                rows.write_row((table.name(symbol), sector, *table.same.values()))
    return dict.fromkeys(symbols, sector)


def savepoint(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """A write that stays, and writes to other keys within a savepoint that is rolled back."""
    with session.transaction():
        put(session, table, symbols[:1], sector)
        with session.transaction(force_rollback=True):
            put(session, table, symbols[1:], "never")
            delete(session, table, symbols[:1], sector)
    return {symbols[0]: sector}


def truncate(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """TRUNCATE: what was there is gone."""
    with session.transaction():
        session.execute("LOCK index_memberships")
        gone = records(session, table)
        session.execute("TRUNCATE index_memberships")
    return dict.fromkeys(gone)


def save(session: Session, table: Table, symbols: Sequence[str], sector: str) -> Effect:
    """The ORM through the router, each record in a transaction of its own; of one key, so that it is all or nothing."""
    router.forget_roles()
    symbol = symbols[0]
    if table.store is Store.SCREENER:
        ScreenerIndexMembership.objects.update_or_create(
            exchange="NSE", symbol=symbol, index_name=INDEX, defaults={"sector": sector}
        )
    else:
        IndexMembership.objects.update_or_create(
            instrument_key=table.name(symbol), index_id=INDEX, defaults={"sector": sector}
        )
    return {symbol: sector}


Write = Callable[[Session, Table, Sequence[str], str], Effect]
WRITES: dict[str, Write] = {
    write.__name__: write for write in (put, merge, delete, recreate, move, copy, savepoint, truncate, save)
}
