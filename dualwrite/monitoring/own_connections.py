"""Connections of the asking thread's own: unpooled, with limits, given up after the first failure to connect.

Watching must not wait for the web server's pool, which waits for a server that is away, nor take its places.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper

from dualwrite.stages import Store
from dualwrite.stores import present

#: The least that the driver keeps to.
CONNECT_TIMEOUT_SECONDS = 2
STATEMENT_TIMEOUT_MILLISECONDS = 2000
NOTHING_AWAY: Mapping[Store, str] = {}


class OwnConnection(DatabaseWrapper):
    """Django's connection to a store; where connecting failed once, it fails again at once."""

    _away = ""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; raises the driver's OperationalError."""
        if self._away:
            raise psycopg.OperationalError(self._away)
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError as exc:
            self._away = str(exc)
            raise


@contextmanager
def own_connections(away: Mapping[Store, str] = NOTHING_AWAY) -> Iterator[None]:
    """Give this thread its own connections to the stores, and close them at the end; `away`: stores not to be tried."""
    for store in present():
        made = OwnConnection(_settings(store), store.alias)
        made._away = away.get(store, "")
        connections[store.alias] = made
    try:
        yield
    finally:
        connections.close_all()


def _settings(store: Store) -> dict[str, Any]:
    settings = copy.deepcopy(connections.settings[store.alias])
    options = settings["OPTIONS"]
    options.pop("pool", None)
    options["connect_timeout"] = CONNECT_TIMEOUT_SECONDS
    options["application_name"] = "dualwrite monitoring"
    limit = f"-c statement_timeout={STATEMENT_TIMEOUT_MILLISECONDS}"
    options["options"] = f"{options.get('options', '')} {limit}".strip()
    return dict(settings)
