"""The service's roles cannot do what they must not: each is tried, and rolled back were it to succeed."""

from collections.abc import Iterator

import psycopg
from django.apps import apps
from psycopg import sql

from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.router import DualWriteRouter
from dualwrite.sql import compose
from dualwrite.stages import Store
from dualwrite.stores import dedicated, present
from dualwrite.stream import Stream, all_streams

NAME = "dualwrite_readiness"
#: The schemas in which the registry's role could make tables, were it allowed to.
SCHEMAS = {Store.REGISTRY: ("instrument_registry", "public", "dualwrite"), Store.SCREENER: ("public", "dualwrite")}
LIMITS = "-c statement_timeout=5s -c lock_timeout=2s"


def check(_: Service) -> str:
    """Tables and schemas made, triggers switched off, the engine's rows and the audit rewritten, in each store."""
    tried = 0
    for store in present():
        for what, statement in _forbidden(store):
            _require_refused(store, what, statement)
            tried += 1
    _require_no_relation()
    where = " and ".join(store.value for store in present())
    return f"{tried} writes across schemas were refused in {where}; models of two stores cannot be related"


def _forbidden(store: Store) -> Iterator[tuple[str, sql.Composed]]:
    for schema in SCHEMAS[store]:
        yield f"make a table in schema {schema}", compose("readiness", "make_table", table=sql.Identifier(schema, NAME))
    yield "make a schema", compose("readiness", "make_schema", schema=sql.Identifier(NAME))
    for stream in all_streams():
        side = stream.side(store)
        table = sql.Identifier(side.schema, side.table)
        yield f"switch triggers of {side.table} off", compose("readiness", "switch_triggers_off", table=table)
    yield "make rows of dualwrite.stream_state", compose("readiness", "take_authority")
    yield "rewrite dualwrite.audit", compose("readiness", "rewrite_audit")


def _require_refused(store: Store, what: str, statement: sql.Composed) -> None:
    with dedicated(store, "readiness", limits=LIMITS) as session:
        try:
            with session.transaction(force_rollback=True):
                session.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            return
        role = session.info.user
    raise NotReady(f"role {role} may {what} of the {store}; give the service a role that may not (docs/deployment.md)")


def _require_no_relation() -> None:
    """The router keeps models of one store from referring to the other's."""
    for stream in all_streams() if Store.SCREENER in present() else ():
        if _related(stream):
            raise NotReady(f"a model of stream {stream.name} may refer to one of the other store")


def _related(stream: Stream) -> bool:
    one, other = (apps.get_model(stream.side(store).model) for store in Store)
    return DualWriteRouter().allow_relation(one(), other())
