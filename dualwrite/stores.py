"""Connections to the stores. Django's own for short statements, dedicated ones where a session must survive.

Whatever the driver reports when a server is away becomes StoreUnreachable naming the store, never its password.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from django.conf import settings as configured
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.utils import CursorWrapper

from dualwrite.exceptions import NoOldStore, StoreFailed, StoreUnreachable, first_line
from dualwrite.session import DEDICATED, SESSION
from dualwrite.stages import Stage, Store

Session: TypeAlias = psycopg.Connection[tuple[Any, ...]]
CONNECT_TIMEOUT_SECONDS = 5
#: What Django adds to the parameters for its own cursors.
DJANGOS_OWN = ("cursor_factory", "context", "prepare_threshold")


def present() -> tuple[Store, ...]:
    """The stores this installation has: both, or the registry alone where the setting OLD_STORE is false."""
    return tuple(Store) if getattr(configured, "OLD_STORE", True) else (Store.REGISTRY,)


def first_stage() -> Stage:
    """The stage of a stream that nobody has moved yet."""
    return Stage.OFF if Store.SCREENER in present() else Stage.COMPLETE


def require_present(store: Store, so: str = "") -> None:
    """Raise NoOldStore for a store this installation does not have; `so`: what follows from it."""
    if store not in present():
        raise NoOldStore(so)


@contextmanager
def cursor(store: Store) -> Iterator[CursorWrapper]:
    """A cursor of Django's connection to the store, in autocommit unless the caller opened a transaction.

    Raises StoreUnreachable, StoreFailed for anything else the server refuses, NoOldStore.
    """
    require_present(store)
    with failing(store), connections[store.alias].cursor() as found:
        yield found


@contextmanager
def reaching(store: Store) -> Iterator[None]:
    """Turn the driver's word that a server is away into StoreUnreachable."""
    try:
        yield
    except (psycopg.OperationalError, OperationalError, InterfaceError) as exc:
        # A cancelled statement, a lock timeout or a deadlock is an OperationalError too, but the server did answer.
        if _answered(exc):
            raise
        _forget(store)
        raise StoreUnreachable(f"{describe(store)}: {first_line(exc)}", store.value) from exc


@contextmanager
def failing(store: Store) -> Iterator[None]:
    """As `reaching`, and whatever else the server refuses becomes StoreFailed: for work with Django's models."""
    try:
        with reaching(store):
            yield
    except (DatabaseError, psycopg.Error) as exc:
        raise StoreFailed(f"{describe(store)}: {first_line(exc)}") from exc


def dedicated(store: Store, purpose: str, *, owner: bool = False, limits: str = "") -> Session:
    """An unpooled connection in autocommit mode, for locks and sessions that outlive a transaction.

    With `owner`, under the account that may change the schema, where one is configured; `limits` are further settings
    of the session, as in `session`. The caller closes it.
    """
    require_present(store)
    alias = store.owner_alias if owner and store.owner_alias in connections else store.alias
    settings = connections[alias].get_connection_params()
    if owner:
        # A migrated test database is known to Django's main alias only.
        settings["dbname"] = connections[store.alias].settings_dict["NAME"]
    own = {
        "options": f"{settings.get('options', '')} {SESSION} {DEDICATED} {limits}",
        "application_name": f"dualwrite {purpose}"[:63],
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "client_encoding": "utf-8",
        # The server ends the session when its client vanishes, so that locks of a dead process do not stay.
        "keepalives": 1,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    parameters = {name: value for name, value in settings.items() if name not in DJANGOS_OWN}
    with reaching(store):
        return psycopg.connect(**{**parameters, **own}, autocommit=True)


def _forget(store: Store) -> None:
    """Drop Django's broken connection: outside of a request nobody does, and every later use would fail as well."""
    connection = connections[store.alias]
    if not connection.in_atomic_block:
        connection.close()


def describe(store: Store) -> str:
    """Name, host and database of a store, fit to be shown; raises NoOldStore."""
    require_present(store)
    settings = connections[store.alias].settings_dict
    return f"{store} ({settings.get('HOST') or 'local socket'}:{settings.get('PORT') or 5432}/{settings.get('NAME')})"


def _answered(exc: BaseException) -> bool:
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    # Classes 08 (connection), 57P (shutdown) and 53 (out of resources) mean that the server is not to be had.
    return state is not None and state[:2] not in ("08", "53") and state[:3] != "57P"
