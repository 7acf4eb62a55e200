"""Restoring a store for real: its database is replaced by a copy taken earlier."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from django.db import connections
from psycopg import sql

from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated
from tests.support import one

#: Databases that were replaced or are copies. Dropping one makes the server write everything out, so that is left for
#: the end.
_left: list[tuple[Store, str]] = []


class Backup:
    """A copy of a store's database as it was when this was made."""

    def __init__(self, store: Store) -> None:
        self.store, self.database = store, _database(store)
        self.copy = _spare(store)
        _away(self.store)
        self._alter("CREATE DATABASE {} TEMPLATE {}", self.copy, self.database)

    def restore(self, *, as_a_disk: bool = False) -> None:
        """Put it in the place of the database, once; every session of the database ends, as it does with a restore.

        `as_a_disk`: as if its disk had been set back, so that nothing shows that it is a copy.
        """
        _away(self.store)
        self._alter("ALTER DATABASE {} RENAME TO {}", self.database, _spare(self.store))
        self._alter("ALTER DATABASE {} RENAME TO {}", self.copy, self.database)
        if as_a_disk:
            hide_the_copy(self.store)

    def _alter(self, change: LiteralString, *names: str) -> None:
        with server(self.store) as session:
            session.execute(sql.SQL(change).format(*map(sql.Identifier, names)))


def tidy() -> None:
    """Drop every copy and every database that was replaced; several at once, which share the server's writing out."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        for done in [pool.submit(_drop, *left) for left in _left]:
            done.result()
    _left.clear()


def _drop(store: Store, database: str) -> None:
    with server(store) as session:
        session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def hide_the_copy(store: Store) -> None:
    """Let the other store take the database that is there now for the one it was paired with."""
    number = asked(store, "SELECT oid::text FROM pg_database WHERE datname = current_database()")
    execute(
        store.peer,
        "UPDATE dualwrite.store_identity SET peer_place = peer_place || jsonb_build_object('database', %s::text)",
        number,
    )


def asked(store: Store, query: LiteralString, *values: Any) -> Any:
    """The first column of the only row, in a session of its own: those of before end with a restore."""
    with dedicated(store, "test") as session:
        return one(session, query, *values)


def execute(store: Store, query: LiteralString, *values: Any) -> None:
    """A statement in a session of its own."""
    with dedicated(store, "test") as session:
        session.execute(query, values or None)


def _database(store: Store) -> str:
    return str(connections[store.alias].settings_dict["NAME"])


def _spare(store: Store) -> str:
    _left.append((store, f"{_database(store)}_{os.getpid()}_{len(_left)}"))
    return _left[-1][1]


def _away(store: Store) -> None:
    """End every session of the store's database."""
    for alias in connections:
        connections[alias].close()
    with server(store) as session:
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        query += " WHERE datname = %s AND usename = current_user"
        session.execute(query, (_database(store),))


@contextmanager
def server(store: Store) -> Iterator[Session]:
    """A session of the store's server, in no database of ours."""
    settings = {**connections[store.alias].get_connection_params(), "dbname": "postgres"}
    known = {name: settings[name] for name in ("host", "port", "user", "password", "dbname") if settings.get(name)}
    with psycopg.connect(**known, autocommit=True) as session:
        yield session
