"""Installing, checking and removing what notes the writes: schema `dualwrite` and the triggers of each stream.

How it can fail, and the answer:

* a trigger is dropped, disabled, or skipped in replica mode → ENABLE ALWAYS, and `problems` names it;
* somebody replaces a function or alters the table → the fingerprint taken at installation differs;
* triggers are off for a while, rows are written, they are on again → once seen broken, the stream is distrusted: it
  counts as backfilled and verified only after it was enabled again, and installing over damage says so too;
* installing waits behind a long transaction and blocks every writer behind itself → lock_timeout, and an error;
* two installers at once → an advisory lock; the second finds everything unchanged.
"""

from typing import TypeAlias

from psycopg import errors, sql

from dualwrite import projection, switch
from dualwrite.exceptions import CaptureBroken, NotInstalled, Refused
from dualwrite.sql import compose, statement
from dualwrite.stages import Role, Store
from dualwrite.stores import Session, cursor, dedicated, describe, reaching
from dualwrite.stream import Stream, all_streams

#: Raised when what is installed changes; functions carry it in their names.
VERSION = 1
INSTALL_LOCK = 25721
LOCK_TIMEOUT = "5s"
NOT_INSTALLED = "the engine is not installed"
#: What the engine's role needs on a streamed table to mirror from the old store to the new one.
PRIVILEGES = {Store.SCREENER: ("SELECT",), Store.REGISTRY: ("SELECT", "INSERT", "UPDATE", "DELETE")}

Part: TypeAlias = sql.SQL | sql.Composed


def installation_sql(store: Store, role: str) -> str:
    """The whole installation as one script for psql, in one transaction. `role` is the engine's database role."""
    script = sql.SQL("\n\n").join([sql.SQL("BEGIN;"), *_parts(store, role), sql.SQL("COMMIT;")])
    return script.as_string(None) + "\n"


def install(store: Store, role: str | None = None) -> dict[str, str]:
    """Install or bring up to date; returns stream → "installed" or "unchanged".

    Raises StoreUnreachable, and Refused when a lock is not to be had or the account may not do it.
    """
    with reaching(store), dedicated(store, "install", owner=True) as session:
        try:
            return _install(session, store, role or _runtime_role(store))
        except errors.LockNotAvailable as exc:
            raise Refused(f"a long transaction holds a table in {describe(store)}; end it and try again") from exc
        except (errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedObject) as exc:
            raise Refused(f"installing in {describe(store)}: {exc.diag.message_primary}") from exc


def _install(session: Session, store: Store, role: str) -> dict[str, str]:
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(%s)", (INSTALL_LOCK,))
        session.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
        stale = [stream for stream in all_streams() if _stale(session, stream, store)]
        if stale:
            _distrust_damaged(session, store, stale)
            for part in _parts(store, role, stale):
                session.execute(part)
        else:
            # Who may use it can change without any trigger changing.
            session.execute(compose("install", "grants", role=sql.Identifier(role)))
    return {s.name: "installed" if s in stale else "unchanged" for s in all_streams()}


def _stale(session: Session, stream: Stream, store: Store) -> bool:
    row = session.execute(statement("install", "installed")).fetchone()
    return row is None or not row[0] or bool(session.execute(_problems(stream, store)).fetchall())


def _distrust_damaged(session: Session, store: Store, stale: list[Stream]) -> None:
    """Streams whose triggers were damaged may have missed writes; installing alone would hide that."""
    row = session.execute(statement("install", "installed")).fetchone()
    if row is None or not row[0]:
        return
    for stream in stale:
        found = session.execute(_problems(stream, store)).fetchall()
        if may_have_missed([str(problem[0]) for problem in found]):
            session.execute(compose("install", "distrust", stream=sql.Literal(stream.name)))


def may_have_missed(found: list[str]) -> bool:
    """Whether with these problems a write may have gone unnoted; an older version or a missing right misses nothing."""
    return any(not problem.startswith(("version ", "role ")) for problem in found)


def require_trusted(stream: Stream, store: Store) -> None:
    """As `require`; a stream that may have missed writes counts as backfilled and verified only when enabled again.

    Once the triggers are back nothing would show what they missed.
    """
    found = problems(stream, store)
    if found != [NOT_INSTALLED] and may_have_missed(found):
        query = compose("install", "distrust", stream=sql.Literal(stream.name))
        with cursor(store) as session:
            session.execute(query.as_string(session.connection))
            distrusted = session.rowcount == 1
        if distrusted:
            switch.audit(
                store, switch.Actor("relay", "capture was seen broken"), "distrust", stream.name, {"found": found}
            )
    _raise(stream, store, found)


def _runtime_role(store: Store) -> str:
    with cursor(store) as found:
        found.execute("SELECT current_user")
        return str(found.fetchone()[0])


def _parts(store: Store, role: str, streams: list[Stream] | None = None) -> list[Part]:
    head: list[Part] = [
        sql.SQL(statement("install", "schema")),
        compose("install", "identity", store=sql.Literal(store.value)),
    ]
    body: list[Part] = []
    for stream in all_streams() if streams is None else streams:
        body.append(_stream_sql(stream, store))
        body.append(
            compose(
                "install",
                "record",
                stream=sql.Literal(stream.name),
                version=sql.Literal(VERSION),
                fingerprint=_fingerprint(stream, store),
            )
        )
    return [*head, *body, compose("install", "grants", role=sql.Identifier(role))]


def _stream_sql(stream: Stream, store: Store) -> Part:
    side = stream.side(store)
    return compose(
        "install",
        "stream",
        stream=sql.Literal(stream.name),
        lanes=sql.Literal(stream.lanes),
        store=sql.Literal(store.value),
        # Before anything is enabled, the old store takes the writes and the new one is no part of it.
        role=sql.Literal((Role.AUTHORITY if store is Store.SCREENER else Role.DETACHED).value),
        table=projection.table(side),
        key=projection.key(stream, store),
        key_columns=projection.key_columns(side),
        **_functions(stream),
    )


def _functions(stream: Stream) -> dict[str, sql.Composable]:
    return {
        f"{event}_function": sql.Identifier(f"{stream.name}_{event}_v{VERSION}")
        for event in ("insert", "update", "delete", "truncate")
    }


def _fingerprint(stream: Stream, store: Store) -> sql.Composable:
    return compose("install", "fingerprint", table_name=projection.table_name(stream.side(store)))


def _problems(stream: Stream, store: Store) -> sql.Composed:
    return compose(
        "install",
        "problems",
        stream=sql.Literal(stream.name),
        version=sql.Literal(VERSION),
        table_name=projection.table_name(stream.side(store)),
        privileges=sql.Literal(list(PRIVILEGES[store])),
        fingerprint=_fingerprint(stream, store),
    )


def problems(stream: Stream, store: Store) -> list[str]:
    """What keeps capture of the stream in that store from being relied on; empty when it can be."""
    with cursor(store) as found:
        found.execute(statement("install", "installed"))
        if not found.fetchone()[0]:
            return [NOT_INSTALLED]
        found.execute(_problems(stream, store).as_string(found.connection))
        return [str(row[0]) for row in found.fetchall()]


def require(stream: Stream, store: Store) -> None:
    """Raise CaptureBroken naming every problem, or NotInstalled; return when capture can be relied on."""
    _raise(stream, store, problems(stream, store))


def _raise(stream: Stream, store: Store, found: list[str]) -> None:
    if found == [NOT_INSTALLED]:
        raise NotInstalled(describe(store))
    if found:
        raise CaptureBroken(f"stream {stream.name} in {describe(store)}: {'; '.join(found)}")


def uninstall(store: Store) -> None:
    """Remove triggers and functions, empty the outbox, void what was proven. The caller has checked and recorded it."""
    with reaching(store), dedicated(store, "uninstall", owner=True) as session, session.transaction():
        session.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
        for stream in all_streams():
            session.execute(compose("install", "uninstall_stream", table=projection.table(stream.side(store))))
            session.execute(compose("install", "uninstall_stream_functions", **_functions(stream)))
        session.execute(statement("install", "uninstall_shared"))
