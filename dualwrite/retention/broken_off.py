"""What becomes of a run that ended before its end: discarded, abandoned, or gone on with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from dualwrite.models import BackupState, RetentionBackup, RetentionRun, RetentionState
from dualwrite.retention import manifest, planner, states
from dualwrite.retention.case import Case
from dualwrite.retention.exceptions import BackupUnusable, TableChanged, WrongClock
from dualwrite.retention.manifest import Manifest, Moment
from dualwrite.retention.policy import frozen
from dualwrite.retention.rows import Rows
from dualwrite.retention.verify import verify
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, reaching


def to_go_on_with(case: Case) -> RetentionRun | None:
    """The broken-off run of the policy that is to be continued; what others left is cleared away.

    Raises StorageFailed, StoreUnreachable.
    """
    for left in states.broken_off(case.policy.name):
        if left.pk != case.run.pk and _continues(case, left):
            return left
    return None


def _continues(case: Case, left: RetentionRun) -> bool:
    """Whether a broken-off run is to be continued; what it left is cleared away where it is not."""
    if left.state in states.TO_DISCARD or left.backup is None:
        if left.location:
            case.vault.remove(left.location)
        states.leave(left, RetentionState.DISCARDED)
        return False
    cutoff: datetime | None = left.cutoff
    still_old = cutoff is not None and cutoff <= case.policy.cutoff(_server_time())
    same = left.policy_hash == case.policy.hash and left.backup.state == BackupState.VERIFIED
    if same and still_old:
        return True
    # Its backup stays: nobody has counted which of its rows are gone.
    states.leave(left, RetentionState.ABANDONED)
    return False


def taken_over(case: Case, left: RetentionRun) -> tuple[Rows, Manifest]:
    """Go on where that run was: the statements by which it planned, and its backup, which was read again.

    Raises TableChanged, BackupUnusable, WrongClock, StorageFailed.
    """
    states.take_over(case.run, left)
    backup = case.run.backup
    assert backup is not None  # noqa: S101  what is taken over has one
    with _keeping_what_is_found(backup):
        found = manifest.load(case.vault, backup.location, backup.manifest_sha256)
    plan = planner.make(case.policy, case.watch)
    if plan.table.hash != case.run.schema_hash:
        states.to(case.run, RetentionState.ABANDONED)
        raise TableChanged(f"{case.policy.subject.name}, since run {left.pk}; the next run begins anew")
    if plan.refused:
        raise WrongClock(plan.refused)
    _require_that_cluster(case, found.moment)
    rows = Rows(frozen(case.policy.name, case.run.frozen), plan.table, case.run.cutoff or plan.cutoff, case.run.pk)
    with _keeping_what_is_found(backup):
        verify(found, case.vault, case.run.location, rows, case.watch)
    return rows, found


def _server_time() -> datetime:
    """This machine's clock is held against it later; until then a wrong one changes nothing."""
    with cursor(Store.REGISTRY) as asked:
        asked.execute(statement("retention", "clock"))
        row = asked.fetchone()
    assert row is not None  # noqa: S101  it has no FROM
    now: datetime = row[0]
    return now


def _require_that_cluster(case: Case, moment: Moment) -> None:
    with cursor(Store.REGISTRY) as asked:
        asked.execute(statement("retention", "still_that_cluster"), asdict(moment))
        row = asked.fetchone()
    if row is None or not row[0]:
        states.to(case.run, RetentionState.ABANDONED)
        raise TableChanged("the registry is another cluster than the rows were exported from; the next run begins anew")


@contextmanager
def _keeping_what_is_found(backup: RetentionBackup) -> Iterator[None]:
    """A backup that is no good is marked, so that the next run begins anew."""
    try:
        yield
    except BackupUnusable as exc:
        with reaching(Store.REGISTRY):
            mine = RetentionBackup.objects.filter(pk=backup.pk)
            mine.update(state=BackupState.BROKEN, finding=str(exc))
        raise
