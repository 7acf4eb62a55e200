"""Installing, checking and removing what notes the writes: schema `dualwrite` and the triggers of each stream.

How it can fail, and the answer:

* a trigger is dropped, disabled, or skipped in replica mode → ENABLE ALWAYS, and `problems` names it;
* somebody replaces a function or alters the table → the fingerprint taken at installation differs;
* triggers are off for a while, rows are written, they are on again → once seen broken, the stream is distrusted: it
  counts as backfilled and verified only after it was enabled again, and installing over damage says so too;
* an UPDATE changes a key → a row trigger notes the old one; as it compares the key's columns, the server refuses to
  change their type or to drop them until `dualwrite_b_rekey` is dropped, and then the stream is to be installed and
  enabled anew;
* a write goes through a parent, a child or a partition of the table → such tables are refused, and found later;
* installing waits behind a long transaction and blocks every writer behind itself → lock_timeout, and an error;
* two installers at once → an advisory lock; the second finds everything unchanged.
"""

from psycopg import errors, sql

from dualwrite import switch
from dualwrite.capture import script
from dualwrite.exceptions import CaptureBroken, NotInstalled, OldStoreMissing, Refused
from dualwrite.sql import compose, statement
from dualwrite.stages import Store
from dualwrite.stores import Session, cursor, dedicated, describe, present, reaching
from dualwrite.stream import Stream, all_streams

MADE_OTHERWISE = "version of the records"
INSTALL_LOCK = 25721
LOCK_TIMEOUT = "5s"
NOT_INSTALLED = "the engine is not installed"

#: What a table, or the account, that cannot be installed for is answered with.
UNFIT = (
    errors.InsufficientPrivilege,
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedObject,
    errors.FeatureNotSupported,
)


def installation_sql(store: Store, role: str) -> str:
    """The whole installation as one script for psql, in one transaction. `role` is the engine's database role."""
    parts = [*script.installing(all_streams(), store), *script.granting(all_streams(), store, role)]
    return sql.SQL("\n\n").join([sql.SQL("BEGIN;"), *parts, sql.SQL("COMMIT;")]).as_string(None) + "\n"


def install(store: Store, role: str | None = None) -> dict[str, str]:
    """Install or bring up to date; returns stream → "installed" or "unchanged".

    Raises StoreUnreachable, and Refused when a lock is not to be had, the account may not do it or a table is of a
    kind whose writes cannot all be noted. Where there is no old store, OldStoreMissing when a stream still has one.
    """
    with reaching(store), dedicated(store, "install", owner=True) as session:
        try:
            return _install(session, store, role or _runtime_role(store))
        except errors.LockNotAvailable as exc:
            raise Refused(f"a long transaction holds a table in {describe(store)}; end it and try again") from exc
        except UNFIT as exc:
            raise Refused(f"installing in {describe(store)}: {exc.diag.message_primary}") from exc


def _install(session: Session, store: Store, role: str) -> dict[str, str]:
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(%s)", (INSTALL_LOCK,))
        session.execute("SELECT set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
        _require_old_store_of(session)
        stale = [stream for stream in all_streams() if _stale(session, stream, store)]
        if stale:
            _distrust_damaged(session, store, stale)
            for part in script.installing(stale, store):
                session.execute(part)
        # Who may use it can change without any trigger changing.
        for part in script.granting(all_streams(), store, role):
            session.execute(part)
    return {s.name: "installed" if s in stale else "unchanged" for s in all_streams()}


def _require_old_store_of(session: Session) -> None:
    """Without an old store only what never had one, or is complete, goes on: else two stores would take the writes."""
    row = session.execute(statement("install", "installed")).fetchone()
    if Store.SCREENER in present() or row is None or not row[0]:
        return
    names = [stream.name for stream in all_streams()]
    found = session.execute(statement("install", "of_two_stores"), {"streams": names}).fetchall()
    if found:
        standing = ", ".join(f"stream {name} is {role}" for name, role in found)
        raise OldStoreMissing(f"{standing} in {describe(Store.REGISTRY)}")


def _stale(session: Session, stream: Stream, store: Store) -> bool:
    row = session.execute(statement("install", "installed")).fetchone()
    return row is None or not row[0] or bool(session.execute(script.finding_problems(stream, store)).fetchall())


def _distrust_damaged(session: Session, store: Store, stale: list[Stream]) -> None:
    """Streams whose triggers were damaged may have missed writes; installing alone would hide that."""
    row = session.execute(statement("install", "installed")).fetchone()
    if row is None or not row[0]:
        return
    for stream in stale:
        found = session.execute(script.finding_problems(stream, store)).fetchall()
        # With other records than those that were relayed so far, every key is to be relayed again.
        if may_have_missed([str(row[0]) for row in found]) or any(
            str(row[0]).startswith(MADE_OTHERWISE) for row in found
        ):
            session.execute(compose("install", "distrust", stream=sql.Literal(stream.name)))


def may_have_missed(found: list[str]) -> bool:
    """Whether with these problems a write may have gone unnoted; an older version or a missing right misses nothing."""
    return any(not problem.startswith(("version ", "role ")) for problem in found)


def require_trusted(stream: Stream, store: Store) -> None:
    """As `require`; a stream that may have missed writes counts as backfilled and verified only when enabled again."""
    _raise(stream, store, distrust_if_damaged(stream, store))


def distrust_if_damaged(stream: Stream, store: Store) -> list[str]:
    """The problems. That writes may have passed unseen is kept: once the triggers are back nothing else shows it."""
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
    return found


def _runtime_role(store: Store) -> str:
    with cursor(store) as found:
        found.execute("SELECT current_user")
        return str(found.fetchone()[0])


def problems(stream: Stream, store: Store) -> list[str]:
    """What keeps capture of the stream in that store from being relied on; empty when it can be."""
    with cursor(store) as found:
        found.execute(statement("install", "installed"))
        if not found.fetchone()[0]:
            return [NOT_INSTALLED]
        found.execute(script.finding_problems(stream, store).as_string(found.connection))
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
            for part in script.uninstalling_stream(stream, store):
                session.execute(part)
        session.execute(statement("install", "uninstall_shared"))
