"""Django's system checks: what is wrong with settings and declarations. No database is asked.

E001 a store has no database; E002 the router is not configured; E003 a stream's model does not exist; E004
it has another table; E005 it is not routed to its store; E006 a parameter has a value that is not allowed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import connections, router

from dualwrite import parameters
from dualwrite.exceptions import InvalidParameter
from dualwrite.stages import Store
from dualwrite.stores import present
from dualwrite.stream import Stream, all_streams

ROUTER = "dualwrite.router.DualWriteRouter"


def register_all() -> None:
    """Let `manage.py check` run them."""
    for check in (check_settings, check_streams, check_parameters):
        register(check, "dualwrite")


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each store has a database, and the router is in force."""
    found: list[CheckMessage] = [
        Error(f"DATABASES has no {store.alias!r}, the {store} store's database.", id="dualwrite.E001")
        for store in present()
        if store.alias not in connections
    ]
    if ROUTER not in settings.DATABASE_ROUTERS:
        hint = "Without it, models of the old store are looked for in the registry."
        found.append(Error(f"DATABASE_ROUTERS lacks {ROUTER!r}.", hint=hint, id="dualwrite.E002"))
    return found


def check_streams(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each stream's models exist, have the stream's tables and are routed to their stores."""
    return [found for stream in all_streams() for store in present() for found in side_problems(stream, store)]


def side_problems(stream: Stream, store: Store) -> Iterator[CheckMessage]:
    """What is wrong with the stream's form in that store."""
    side = stream.side(store)
    where = f"Stream {stream.name}, {store} store:"
    try:
        model = apps.get_model(side.model)
    except (LookupError, ValueError):
        yield Error(f"{where} there is no model {side.model!r}.", id="dualwrite.E003")
        return
    table, routed = model._meta.db_table, router.db_for_read(model)
    if table != side.table:
        yield Error(f"{where} {side.model} has table {table!r}, not {side.table!r}.", id="dualwrite.E004")
    if routed != store.alias:
        why = f"{where} {side.model} is routed to {routed!r}, not {store.alias!r}."
        yield Error(why, id="dualwrite.E005")


def check_parameters(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every live parameter has a value that is allowed."""
    found: list[CheckMessage] = []
    for parameter in parameters.all_parameters():
        try:
            parameter.value()
        except InvalidParameter as exc:
            found.append(Error(exc.detail, id="dualwrite.E006"))
    return found
