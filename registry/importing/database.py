"""The rim towards the databases: one locked transaction for an import, and errors in the domain's words."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from django.db import DatabaseError, InterfaceError, connections, transaction

from registry.exceptions import RegistryError, StoreUnreachableError, WriteRefusedError

REGISTRY, SCREENER = "default", "screener"
STORES = {"registry": REGISTRY, "screener": SCREENER}
BATCH = 1000
# Any number nobody else uses as an advisory lock.
_LOCK = 7_203_118_640_221_004
# SQLSTATE classes of a server that understood and said no: constraints (23), rights (42501), stores that take
# no writes from applications (DW).
_REFUSALS = ("23", "42501", "DW")


@contextmanager
def importing(alias: str) -> Iterator[None]:
    """The one transaction of an import into a store.

    Waits for another import into the same store: the old tables have no unique key that would keep two of
    them from adding the same row. Raises what ``translated`` raises.
    """
    with translated(alias), transaction.atomic(using=alias):
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield


@contextmanager
def translated(alias: str) -> Iterator[None]:
    """Turn database errors into StoreUnreachableError (naming the store) or WriteRefusedError."""
    try:
        yield
    except (DatabaseError, InterfaceError) as exc:
        raise _translate(alias, exc) from exc


def chunks(items: Iterable[str]) -> Iterator[list[str]]:
    """The distinct items in lists short enough for one statement."""
    rest = iter(sorted(set(items)))
    while chunk := list(islice(rest, BATCH)):
        yield chunk


def _translate(alias: str, exc: Exception) -> RegistryError:
    sqlstate = getattr(exc.__cause__, "sqlstate", None) or ""
    diagnosis = getattr(exc.__cause__, "diag", None)
    message = (getattr(diagnosis, "message_primary", None) or str(exc)).strip().partition("\n")[0]
    if sqlstate.startswith(_REFUSALS):
        return WriteRefusedError(message)
    settings = connections[alias].settings_dict
    name = next(store for store, known in STORES.items() if known == alias)
    where = f"{settings['HOST'] or 'local socket'}:{settings['PORT'] or 5432}/{settings['NAME']}"
    return StoreUnreachableError(f"{name} at {where}: {message}")
