"""Two databases that exist for one benchmark, made on the servers of DATABASE_URL and SCREENER_DATABASE_URL.

The accounts of these addresses must be allowed to create databases.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import django
import psycopg
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from benchmarks.errors import BenchError, Busy
from dualwrite.exceptions import first_line

NAMES = {"DATABASE_URL": "bench_registry", "SCREENER_DATABASE_URL": "bench_screener"}
#: They would lead to other databases than ours.
FOREIGN = ("MIGRATION_DATABASE_URL", "SCREENER_MIGRATION_DATABASE_URL")
MAINTENANCE = "postgres"
LOCK = 25722


@contextmanager
def prepared() -> Iterator[None]:
    """Both databases made, Django set up on them, tables migrated, engine installed; dropped on leaving.

    Raises BenchError when an address is missing, a server cannot be reached or refuses; Busy when another one runs.
    """
    with ExitStack() as stack:
        for variable, name in NAMES.items():
            stack.enter_context(_database(variable, name))
        for variable in FOREIGN:
            os.environ.pop(variable, None)
        os.environ["INSTRUMENT_REGISTRY_DUAL_WRITE_ENABLED"] = "true"
        os.environ.setdefault("SECRET_KEY", "only for a benchmark's own databases")
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        stack.callback(connections.close_all)
        _make_tables()
        yield


@contextmanager
def _database(variable: str, name: str) -> Iterator[None]:
    address = os.environ.get(variable, "")
    if not address:
        raise BenchError(f"{variable} is not set; ./run bench sets it")
    with _reaching(variable):
        server = psycopg.connect(_with_name(address, MAINTENANCE), autocommit=True, connect_timeout=5)
    with server:
        with _reaching(variable):
            _take_lock(server, name)
            _drop(server, name)
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        os.environ[variable] = _with_name(address, name)
        try:
            yield
        finally:
            with _reaching(variable):
                _drop(server, name)


def _with_name(address: str, name: str) -> str:
    return urlsplit(address)._replace(path=f"/{name}").geturl()


@contextmanager
def _reaching(variable: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as exc:
        raise BenchError(f"the server of {variable}: {first_line(exc)}") from exc


def _take_lock(server: "psycopg.Connection[tuple[object, ...]]", name: str) -> None:
    row = server.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (LOCK, name)).fetchone()
    if row is None or not row[0]:
        raise Busy(f"another benchmark uses the database {name} on this server; wait until it has ended")


def _drop(server: "psycopg.Connection[tuple[object, ...]]", name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _make_tables() -> None:
    # Models and engine can be imported only now that Django is set up.
    from dualwrite.capture import install
    from dualwrite.stages import Store
    from registry.screener import SCHEMA_SQL

    with connections["screener"].cursor() as cursor:
        cursor.execute(SCHEMA_SQL.read_text(encoding="utf-8"))
    with connections["default"].cursor() as cursor:
        cursor.execute("CREATE SCHEMA IF NOT EXISTS instrument_registry")
    call_command("migrate", verbosity=0)
    for store in Store:
        install(store)
