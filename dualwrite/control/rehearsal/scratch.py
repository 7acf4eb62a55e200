"""The stream that is rehearsed on: made, mirrored, and removed without a trace but its lines in the audit."""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import errors, sql

from dualwrite import capture, projection, switch
from dualwrite.capture import script
from dualwrite.exceptions import NotInstalled, Refused
from dualwrite.failpoints import reach
from dualwrite.models import ParkedKey, StreamControl
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session, cursor, dedicated, describe, reaching
from dualwrite.stream import Field, Side, Stream
from dualwrite.switch import Actor

SCHEMA = "dualwrite_rehearsal"


def _side(store: Store) -> Side:
    return Side(
        schema=SCHEMA,
        table="records",
        reads={"code": "t.code", "value": "t.value"},
        writes={"code": "r.code", "value": "r.value"},
        match=("code",),
        model=f"rehearsal.{store}",
    )


#: Declared nowhere: only who is handed it can do anything with it.
STREAM = Stream("rehearsal", (Field("code"),), (Field("value", "bigint"),), {store: _side(store) for store in Store})


@contextmanager
def scratch(actor: Actor) -> Iterator[Stream]:
    """The stream, captured in the old store and mirrored to the new one; removed on leaving, whatever happened.

    What an earlier rehearsal left is removed first. Raises Refused when an account may not make it or something of
    another kind stands in its place, NotInstalled, StoreUnreachable.
    """
    for store in Store:
        _require_rights(store)
    _remove()
    try:
        for store in Store:
            _make(store)
        _mirror(actor)
        yield STREAM
    finally:
        _remove()


def _require_rights(store: Store) -> None:
    with reaching(store), dedicated(store, "rehearsal", owner=True) as session:
        row = session.execute(statement("install", "installed")).fetchone()
        if row is None or not row[0]:
            raise NotInstalled(describe(store))
        lacking = [str(row[0]) for row in session.execute(statement("rehearsal", "rights"))]
    if lacking:
        raise Refused(f"rehearsing in {describe(store)}: {'; '.join(lacking)}")


def _make(store: Store) -> None:
    with cursor(store) as found:
        found.execute("SELECT current_user")
        role = str(found.fetchone()[0])
    with _changing(store) as session:
        session.execute(compose("rehearsal", "make", role=sql.Identifier(role), **_names()))
        for part in script.installing_stream(STREAM, store):
            session.execute(part)


def _mirror(actor: Actor) -> None:
    """Enabled as protocol.md says; there are no keys yet that would have to be noted."""
    with reaching(Store.REGISTRY):
        StreamControl.objects.create(stream=STREAM.name)
    generation, epoch = switch.begin_capture(STREAM, Store.SCREENER, actor)
    switch.follow(STREAM, Store.REGISTRY, epoch, actor)
    switch.mark_backfilled(STREAM, Store.SCREENER, generation, actor)


def _remove() -> None:
    for store in Store:
        with _changing(store) as session:
            session.execute(compose("rehearsal", "remove", lanes=sql.Literal(STREAM.lanes), **_names()))
            session.execute(script.uninstalling_functions(STREAM))
        reach(f"rehearsal removed from {store}")
    with reaching(Store.REGISTRY):
        for model in (StreamControl, ParkedKey):
            model.objects.filter(stream=STREAM.name).delete()


@contextmanager
def _changing(store: Store) -> Iterator[Session]:
    """One transaction of the account that owns the engine's tables, alone among installers."""
    try:
        with reaching(store), dedicated(store, "rehearsal", owner=True) as session, session.transaction():
            session.execute("SELECT pg_advisory_xact_lock(%s)", (capture.INSTALL_LOCK,))
            session.execute("SELECT set_config('lock_timeout', %s, true)", (capture.LOCK_TIMEOUT,))
            yield session
    except errors.DependentObjectsStillExist as exc:
        raise Refused(f"schema {SCHEMA} in {describe(store)} holds more than a rehearsal; remove it yourself") from exc
    except errors.LockNotAvailable as exc:
        raise Refused(f"something holds the rehearsal's table in {describe(store)}; end it and try again") from exc
    except (errors.UndefinedColumn, errors.UndefinedFunction, errors.UndefinedTable) as exc:
        raise NotInstalled(f"{describe(store)} has another version: {exc.diag.message_primary}") from exc
    except errors.InsufficientPrivilege as exc:
        raise Refused(f"rehearsing in {describe(store)}: {exc.diag.message_primary}") from exc


def _names() -> dict[str, sql.Composable]:
    side = STREAM.side(Store.SCREENER)
    return {"schema": sql.Identifier(SCHEMA), "table": projection.table(side), "stream": sql.Literal(STREAM.name)}
