"""Batches go: each in one transaction, only rows that were exported and are as they were exported.

A batch is removed by its range of keys, the policy's condition, and the version of each row (`rows`). Where fewer rows
went than were exported, the batch's rows are loaded from the stored part. Those of a version that may be older than the
export, and with the values that were exported, go too: a row that nobody changed can have a version too young to tell,
where a transaction was open for long. What was written or restored since the export stays. The others are counted by
their keys: changed, held, or gone before this run was broken off. Of a stream's table they are loaded in any case: a
key that waited to be relayed was not exported, and may be at rest now. What was held at the export stays, whether or
not it is held still: it was not exported either.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from psycopg import errors, sql

from dualwrite.exceptions import StoreFailed, first_line
from dualwrite.failpoints import reach
from dualwrite.parameters import RETENTION_SESSIONS, RETRY_ATTEMPTS
from dualwrite.retention import holds, schema
from dualwrite.retention.exceptions import TableChanged
from dualwrite.retention.manifest import Moment
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.rows import Batch, Holds, Rows
from dualwrite.retention.subject import Action
from dualwrite.retention.vault import Vault
from dualwrite.retention.verify import batch_of, receive
from dualwrite.runs import Watch
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, reaching

STATEMENTS = {Action.DELETE: "delete", Action.ARCHIVE: "archive", Action.MARK_INACTIVE: "mark_inactive"}
#: Somebody else had the rows: the batch is tried again.
IN_THE_WAY = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


@dataclass(frozen=True)
class Place:
    """A batch, and where it is stored: the file, and how many bytes of its text come before. No file: not at all."""

    batch: Batch
    file: str = ""
    before: int = 0


@dataclass(frozen=True)
class Trim:
    """Whose rows go, the backup's vault and folder, what was held at its moment, and that moment: none where nothing
    was exported. `stop`: a sentence ends it between two batches."""

    rows: Rows
    vault: Vault
    folder: str
    held: Holds
    moment: Moment | None
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
                raise StoreFailed(f"a batch was in others' way {attempts} times: {first_line(exc)}") from exc
        except errors.ForeignKeyViolation as exc:
            raise StoreFailed(f"rows are referred to: {first_line(exc)}") from exc
        except (errors.UndefinedColumn, errors.UndefinedTable, errors.DatatypeMismatch) as exc:
            raise TableChanged(first_line(exc)) from exc


def _go(session: Session, case: Trim, place: Place) -> tuple[int, int, int]:
    """Rows gone, changed, held."""
    rows, batch, by_key = case.rows, place.batch, bool(case.rows.policy.subject.stream)
    with session.transaction():
        session.execute(statement("retention", "begin_batch"), {"subject": rows.policy.subject.name})
        held = holds.read(session, rows.policy.subject).and_also(case.held)
        if case.moment is None:
            moved = _removed(session, case, batch, held, sql.SQL("true"))
            reach("retention batch removed")
            return moved, 0, 0
        gone = 0 if by_key else _removed(session, case, batch, held, rows.exported(loaded=False))
        if gone < batch.rows:
            _load(session, case, place)
            _removed(session, case, batch, held, rows.exported(loaded=True))
        reach("retention batch removed")
        return (gone, 0, 0) if gone == batch.rows else _counted(session, case, batch)


def _removed(session: Session, case: Trim, batch: Batch, held: Holds, exported: sql.Composable) -> int:
    rows = case.rows
    query = rows.compose(STATEMENTS[rows.policy.action], held, exported=exported)
    found = session.execute(query, _values(case, held, batch)).fetchone()
    gone, arrived = (int(found[0]), int(found[1])) if found else (0, 0)
    if gone != arrived:
        archive = rows.policy.subject.archive
        raise StoreFailed(f"{archive} took {arrived} of {gone} rows, so the batch stays where it was")
    _require_same_table(session, rows)
    return gone


def _values(case: Trim, held: Holds | None, batch: Batch) -> dict[str, object]:
    moment = {"snapshot": case.moment.snapshot, "until": case.moment.until} if case.moment else {}
    return case.rows.values(held, batch, **moment)


def _require_same_table(session: Session, rows: Rows) -> None:
    """Backup or archive have every column, and no row of another table goes along.

    Asked when the table is locked against changes, as rows were removed.
    """
    now = schema.read(session, rows.policy.subject)
    if now.hash != rows.table.hash:
        raise TableChanged(rows.policy.subject.name)
    schema.require_no_reach(rows.policy, now)


def _load(session: Session, case: Trim, place: Place) -> None:
    with case.vault.read(f"{case.folder}/{place.file}") as file:
        receive(session, case.rows, batch_of(file, place.before, place.batch, place.file), place.file)


def _counted(session: Session, case: Trim, batch: Batch) -> tuple[int, int, int]:
    """Of the batch's rows, those that are gone, whoever removed them, and why the others stayed."""
    found = session.execute(case.rows.compose("survivors"), _values(case, None, batch)).fetchone()
    there, changed = (int(found[0]), int(found[1])) if found else (0, 0)
    return batch.rows - there, changed, there - changed
