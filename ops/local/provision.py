"""Roles, databases, schemas and the old tables. Everything here can be run again and changes nothing then."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from ops.local import environment as settings
from ops.local.credentials import ADDRESSES, Credentials
from ops.local.errors import LauncherError
from ops.local.place import ROOT

SCRIPTS = Path(__file__).parent / "sql"
SCREENER_TABLES = ROOT / "registry" / "screener" / "schema.sql"
OLD_TABLES = ("instruments", "index_memberships")
OWNERS = {"registry": "registry_owner", "screener": "screener_owner"}
Connection = psycopg.Connection[tuple[object, ...]]


def fingerprint(credentials: Credentials) -> str:
    """Of everything `embedded` depends on; the same value means that there is nothing to do."""
    texts = [path.read_text() for path in (*sorted(SCRIPTS.glob("*.sql")), SCREENER_TABLES) if path.exists()]
    passwords = [credentials.password(name) for name in ADDRESSES]
    return hashlib.sha256("\0".join(texts + passwords).encode()).hexdigest()


def embedded(credentials: Credentials) -> None:
    """Set up the embedded cluster: the roles, the two databases, the rights, the old tables."""
    address = credentials.values["POSTGRES_URL"]
    with connect(address) as connection:
        for name, (role, _) in ADDRESSES.items():
            if role != "postgres":
                create_role(connection, role, credentials.password(name))
        for database, owner in OWNERS.items():
            create_database(connection, database, owner)
            run(connection, "database", database=database, owner=owner)
    server = address.rpartition("/")[0]
    with connect(f"{server}/registry") as connection:
        run(connection, "registry", database="registry", owner="registry_owner", app="registry_app")
    with connect(credentials.values["SCREENER_MIGRATION_DATABASE_URL"]) as connection:
        create_old_tables(connection)
    with connect(f"{server}/screener") as connection:
        run(connection, "screener", database="screener", app="screener_app", service="screener_service")


def external(environment: Mapping[str, str]) -> None:
    """Set up servers named by the environment as far as something is missing there."""
    application = environment["DATABASE_URL"]
    with connect(environment.get("MIGRATION_DATABASE_URL") or application) as connection:
        if not exists(connection, "SELECT 1 FROM pg_namespace WHERE nspname = 'instrument_registry'"):
            owner, app = connection.info.user, urlsplit(application).username or connection.info.user
            run(connection, "registry", database=connection.info.dbname, owner=owner, app=app)
    if not settings.has_old_store(environment):
        return
    screener = environment.get("SCREENER_MIGRATION_DATABASE_URL") or environment["SCREENER_DATABASE_URL"]
    with connect(screener) as connection:
        create_old_tables(connection)


def connect(address: str) -> Connection:
    """An autocommit connection. Raises LauncherError naming server and database, never the password."""
    parts = urlsplit(address)
    try:
        return psycopg.connect(address, autocommit=True, connect_timeout=10)
    except psycopg.Error as exc:
        where = f"{parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
        raise LauncherError(f"The database at {where} cannot be reached: {' '.join(str(exc).split())}") from exc


def exists(connection: Connection, query: LiteralString, *values: str) -> bool:
    """Whether `query` has a row."""
    return connection.execute(query, values).fetchone() is not None


def create_role(connection: Connection, role: str, password: str) -> None:
    """A login role with this password and no other right; only the password's verifier is sent."""
    encoding = connection.info.encoding
    secret = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode(encoding)
    verb = "ALTER" if exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role) else "CREATE"
    statement = sql.SQL(verb) + sql.SQL(" ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(secret))
    connection.execute(statement)


def create_database(connection: Connection, database: str, owner: str) -> None:
    """An empty database of `owner`, when there is none of that name."""
    if not exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", database):
        statement = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(statement.format(sql.Identifier(database), sql.Identifier(owner)))


def create_old_tables(connection: Connection) -> None:
    """The screener's tables, when none of them is there. Raises LauncherError when only some are."""
    query: LiteralString = "SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename = %s"
    found = [name for name in OLD_TABLES if exists(connection, query, name)]
    if len(found) == len(OLD_TABLES) or not SCREENER_TABLES.exists():
        return
    if found:
        raise LauncherError(f"The screener's database has {found[0]} but not all of {', '.join(OLD_TABLES)}.")
    connection.execute(sql.SQL(SCREENER_TABLES.read_text()))


def run(connection: Connection, script: str, **names: str) -> None:
    """Run sql/`script`.sql with its placeholders replaced by quoted identifiers."""
    text = (SCRIPTS / f"{script}.sql").read_text()
    connection.execute(sql.SQL(text).format(**{key: sql.Identifier(name) for key, name in names.items()}))
