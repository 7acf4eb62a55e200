"""Batches go: each in one transaction, only the rows that were exported and are as they were.

A batch is removed by its range of keys and the policy's condition, and taken back unless count and fingerprints come
out as exported. Then something has changed since, or was removed before this run was broken off: its rows are loaded
from the stored part, and only those that are still the same go. Where no backup is made (rows are then only moved or
marked, never lost), what fits the policy at that moment goes.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from psycopg import errors

from dualwrite.exceptions import StoreFailed
from dualwrite.failpoints import reach
from dualwrite.parameters import RETENTION_SESSIONS, RETRY_ATTEMPTS
from dualwrite.retention import holds
from dualwrite.retention.exceptions import TableChanged
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.rows import Batch, Holds, Rows
from dualwrite.retention.subject import Action
from dualwrite.retention.vault import Vault
from dualwrite.retention.verify import receive, taken
from dualwrite.runs import Watch
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, reaching

FAST = {Action.DELETE: "delete", Action.ARCHIVE: "archive", Action.MARK_INACTIVE: "mark_inactive"}
SLOW = {Action.DELETE: "delete_unchanged", Action.ARCHIVE: "archive_unchanged", Action.MARK_INACTIVE: "mark_unchanged"}
#: Somebody else had the rows: the batch is tried again.
IN_THE_WAY = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


@dataclass(frozen=True)
class Place:
    """A batch, and where its rows are stored: the file, and how many of its rows come before. No file: not at all."""

    batch: Batch
    file: str = ""
    before: int = 0


@dataclass(frozen=True)
class Trim:
    """Whose rows go, the backup's vault and folder, and whether to go on: a sentence ends it between two batches."""

    rows: Rows
    vault: Vault
    folder: str
    stop: Callable[[], str] = lambda: ""


@dataclass
class Removed:
    """Rows that are gone, that stayed as they had changed, that stayed unchanged; why it ended before the end."""

    gone: int = 0
    changed: int = 0
    held: int = 0
    stopped: str = ""
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, gone: int, changed: int, held: int) -> None:
        """Count a batch; safe for several threads."""
        with self._guard:
            self.gone, self.changed, self.held = self.gone + gone, self.changed + changed, self.held + held


def trim(case: Trim, places: Sequence[Place], watch: Watch) -> Removed:
    """Let the batches go, several at once; raises StoreUnreachable, StoreFailed, Cancelled by the watch."""
    watch.phase(_PHASES[case.rows.policy.action], sum(place.batch.rows for place in places))
    removed, left = Removed(), _Queue(places)
    sessions = min(RETENTION_SESSIONS.value(), max(len(places), 1))
    with ThreadPoolExecutor(max_workers=sessions) as pool:
        workers = [pool.submit(_work, case, left, removed, watch) for _ in range(sessions)]
    for worker in workers:
        worker.result()
    return removed


_PHASES = {Action.DELETE: "deleting", Action.ARCHIVE: "archiving", Action.MARK_INACTIVE: "marking"}


class _Queue:
    """Places for several workers, each of which takes the next one; `end` leaves none."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._guard, self._left = threading.Lock(), iter(places)

    def next(self) -> Place | None:
        with self._guard:
            return next(self._left, None)

    def end(self) -> None:
        with self._guard:
            self._left = iter(())

    def __iter__(self) -> Iterator[Place]:
        while (place := self.next()) is not None:
            yield place


def _work(case: Trim, left: _Queue, removed: Removed, watch: Watch) -> None:
    with ExitStack() as stack:
        stack.callback(left.end)  # one that fails ends the others' work after the batch each has
        session = stack.enter_context(dedicated(Store.REGISTRY, "retention batch", limits=LIMITS))
        stack.enter_context(watch.session(session))
        for place in left:
            watch.breathe()
            if why := case.stop():
                removed.stopped = why
                return
            reach("retention batch")
            with reaching(Store.REGISTRY):
                _batch(session, case, place, removed)
            reach("retention batch committed")
            watch.advance(place.batch.rows)


def _batch(session: Session, case: Trim, place: Place, removed: Removed) -> None:
    attempts = RETRY_ATTEMPTS.value()
    for attempt in range(1, attempts + 1):
        try:
            removed.add(*_go(session, case, place))
            return
        except IN_THE_WAY as exc:
            if attempt == attempts:
                raise StoreFailed(f"a batch was in others' way {attempts} times: {str(exc).splitlines()[0]}") from exc
        except errors.ForeignKeyViolation as exc:
            raise StoreFailed(f"rows are referred to: {str(exc).splitlines()[0]}") from exc
        except (errors.UndefinedColumn, errors.UndefinedTable, errors.DatatypeMismatch) as exc:
            raise TableChanged(str(exc).splitlines()[0]) from exc


def _go(session: Session, case: Trim, place: Place) -> tuple[int, int, int]:
    """Rows gone, changed, held."""
    with session.transaction() as whole:
        held = _held(session, case.rows)
        gone, digest = _fast(session, case.rows, place.batch, held)
        if not place.file:
            return gone, 0, 0
        if (gone, digest) == (place.batch.rows, int(place.batch.digest)):
            reach("retention batch removed")
            return gone, 0, 0
        whole.force_rollback = True
    with session.transaction():
        return _slow(session, case, place, _held(session, case.rows))


def _held(session: Session, rows: Rows) -> Holds:
    """What is held from now on: the lock first, then, in a later snapshot, what was committed before it."""
    session.execute(statement("retention", "lock_holds"), {"subject": rows.policy.subject.name})
    return holds.read(session, rows.policy.subject)


def _fast(session: Session, rows: Rows, batch: Batch, held: Holds) -> tuple[int, int]:
    found = session.execute(rows.compose(FAST[rows.policy.action], held), rows.values(held, batch)).fetchone()
    return (int(found[0]), int(found[1] or 0)) if found else (0, 0)


def _slow(session: Session, case: Trim, place: Place, held: Holds) -> tuple[int, int, int]:
    rows, batch = case.rows, place.batch
    with case.vault.read(f"{case.folder}/{place.file}") as file:
        receive(session, rows, taken(file, place.before, batch.rows), place.file)
    session.execute(rows.compose(SLOW[rows.policy.action], held), rows.values(held, batch))
    found = session.execute(rows.compose("survivors"), rows.values(None, batch)).fetchone()
    there, changed = (int(found[0]), int(found[1])) if found else (0, 0)
    reach("retention batch removed")
    return batch.rows - there, changed, there - changed
