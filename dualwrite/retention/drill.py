"""The drill: every backup is read and restored into a temporary table, so that nobody learns too late."""

from dataclasses import asdict, dataclass

from django.db.models.functions import Now

from dualwrite import runs, switch
from dualwrite.exceptions import Cancelled, DualWriteError, RunLost, UsageError
from dualwrite.models import BackupState, DrillRun, RetentionBackup
from dualwrite.retention import backups, vault
from dualwrite.retention.exceptions import BackupUnusable
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.vault import Vault
from dualwrite.retention.verify import receive, require_same
from dualwrite.runs import Outcome, Watch
from dualwrite.stages import Store
from dualwrite.stores import dedicated, failing, reaching
from dualwrite.switch import Actor

PASSED, FAILED = "passed", "failed"


@dataclass(frozen=True)
class _Backups:
    """What one drill at a time is at work on."""

    name: str = "all"


@dataclass(frozen=True)
class Tried:
    """A backup, and what is wrong with it; `known`: whether that could be told at all."""

    backup: int
    location: str
    rows: int
    finding: str = ""
    known: bool = True


def drill(actor: Actor, number: int | None = None, watch: Watch | None = None) -> DrillRun:
    """Try every backup, or the one of that number; the run has failed where one cannot be restored.

    Raises UsageError where there is no such backup, AlreadyRunning, StoreUnreachable.
    """
    chosen = _chosen(number)
    watch = watch or Watch()
    place = vault.configured()
    with runs.only(DrillRun, _Backups()) as owner:
        made = DrillRun(stream=_Backups.name, actor=actor.name, **owner.as_fields())
        with reaching(Store.REGISTRY):
            made.save(force_insert=True)
        runs.conduct(made, owner, watch, Store.REGISTRY, lambda: _work(chosen, place, watch))
        made.refresh_from_db()
        evidence = {"run": made.pk, "status": made.status, "backups": len(chosen)}
        switch.audit(Store.REGISTRY, actor, "drill backups", None, evidence)
    return made


def _chosen(number: int | None) -> list[RetentionBackup]:
    with reaching(Store.REGISTRY):
        found = RetentionBackup.objects.exclude(state=BackupState.EXPIRED).order_by("id")
        if number is None:
            return list(found)
        one = list(found.filter(pk=number))
    if not one:
        raise UsageError(f"there is no backup {number}, or it has expired")
    return one


def _work(chosen: list[RetentionBackup], place: Vault, watch: Watch) -> Outcome:
    watch.phase("trying backups", sum(row.rows for row in chosen))
    tried = [_tried(row, place, watch) for row in chosen]
    for one in tried:
        _keep(one)
    wrong = [one for one in tried if one.finding]
    sentence = f"{len(wrong)} of {len(tried)} backups cannot be restored: {wrong[0].finding}" if wrong else ""
    return Outcome(FAILED if wrong else PASSED, sentence, {"checked": [asdict(one) for one in tried]})


def _tried(row: RetentionBackup, place: Vault, watch: Watch) -> Tried:
    try:
        _restore(row, place, watch)
    except BackupUnusable as exc:
        return Tried(row.pk, row.location, row.rows, str(exc))
    except (Cancelled, RunLost):
        raise
    except DualWriteError as exc:
        return Tried(row.pk, row.location, row.rows, str(exc), known=False)
    return Tried(row.pk, row.location, row.rows)


def _restore(row: RetentionBackup, place: Vault, watch: Watch) -> None:
    _require_chained(row, place)
    backup = backups.opened(row, place)
    with (
        failing(Store.REGISTRY),
        dedicated(Store.REGISTRY, "retention drill", limits=LIMITS) as session,
        watch.session(session),
    ):
        for stored in backup.manifest.parts:
            watch.breathe()
            with session.transaction(force_rollback=True):
                receive(session, backup.rows, backup.read(stored), stored.part.file)
                require_same(session, backup.rows, stored.batches, stored.part.file)
            watch.advance(stored.part.rows)


def _require_chained(row: RetentionBackup, place: Vault) -> None:
    """Each manifest names the one before it of its table, so that none can be exchanged or lost unseen."""
    with reaching(Store.REGISTRY):
        before = RetentionBackup.objects.filter(table=row.table, pk__lt=row.pk).order_by("-id").first()
    named = backups.opened(row, place).manifest.previous
    if named != (before.manifest_sha256 if before else ""):
        raise BackupUnusable("its manifest names another backup before it than there is")


def _keep(tried: Tried) -> None:
    """What could be told is kept with the backup."""
    if not tried.known:
        return
    state = BackupState.BROKEN if tried.finding else BackupState.VERIFIED
    with reaching(Store.REGISTRY):
        mine = RetentionBackup.objects.filter(pk=tried.backup).exclude(state=BackupState.EXPIRED)
        mine.update(state=state, finding=tried.finding, drilled_at=Now())
