"""Rows come back from a backup: all of them or some, in one transaction, exactly as they were."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import errors, sql

from dualwrite import projection, runs, switch
from dualwrite.exceptions import UsageError, first_line
from dualwrite.failpoints import reach
from dualwrite.models import LegalHold, RestoreRun, RetentionPolicy, RetentionRun, RetentionStatus
from dualwrite.retention import backups, schema, vault
from dualwrite.retention.backups import Backup
from dualwrite.retention.exceptions import RestoreRefused, TableChanged
from dualwrite.retention.manifest import Stored
from dualwrite.retention.planner import LIMITS
from dualwrite.retention.verify import require_same
from dualwrite.runs import Outcome, Watch
from dualwrite.stages import Store
from dualwrite.stores import Session, dedicated, failing, reaching
from dualwrite.switch import Actor


class Conflict(StrEnum):
    """What becomes of a row that is in the table already."""

    FAIL = "fail"  #: nothing is restored
    SKIP = "skip"  #: it stays as it is
    OVERWRITE = "overwrite"  #: it becomes as it was

    @property
    def clause(self) -> str:
        """What the insert does then; a conflict that was not found before ends the restore."""
        return "DO UPDATE SET {assignments}" if self is Conflict.OVERWRITE else "DO NOTHING"


@dataclass(frozen=True)
class Asked:
    """Which rows of a backup: all, or those of a part (from 1), of keys, of a time from `since` until before `until`.

    A key is the table's own, or a value of what its holds may name, e.g. an instrument.
    """

    part: int | None = None
    keys: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    on_conflict: Conflict = Conflict.FAIL
    dry_run: bool = False

    def as_data(self) -> dict[str, object]:
        """As JSON."""
        since, until = (moment and moment.isoformat() for moment in (self.since, self.until))
        own = {"part": self.part, "keys": list(self.keys), "since": since, "until": until}
        return {**own, "on_conflict": self.on_conflict.value}

    @classmethod
    def kept(cls, data: Mapping[str, Any], *, dry_run: bool) -> "Asked":
        """The same again, of what a restore kept."""
        since, until = (datetime.fromisoformat(data[name]) if data[name] else None for name in ("since", "until"))
        on_conflict = Conflict(data["on_conflict"])
        return cls(data["part"], tuple(data["keys"]), since, until, on_conflict, dry_run)


@dataclass(frozen=True)
class _Counts:
    found: int
    there: int
    restored: int
    overwritten: int


def restore(number: int, asked: Asked, actor: Actor, watch: Watch | None = None) -> RestoreRun:
    """Bring rows back that the retention run of that number removed; a dry run counts, and changes nothing.

    Raises UsageError where there is no such backup or part, RestoreRefused where rows are there already or the table
    does not take them, TableChanged, BackupUnusable, AlreadyRunning beside a retention run of the table.
    """
    row = backups.of_run(number)
    backup = backups.opened(row, vault.configured())
    chosen = _chosen(backup, asked.part)
    watch = watch or Watch()
    subject = backup.rows.policy.subject
    # Beside a retention run it could bring back what is being removed.
    with runs.only(RetentionRun, subject), runs.only(RestoreRun, subject) as owner:
        own = {"actor": actor.name, "reason": actor.reason, "dry_run": asked.dry_run, "asked": asked.as_data()}
        made = RestoreRun(stream=subject.name, backup=row, **own, **owner.as_fields())
        with reaching(Store.REGISTRY):
            made.save(force_insert=True)
        runs.conduct(made, owner, watch, Store.REGISTRY, lambda: _work(backup, chosen, asked, watch))
        made.refresh_from_db()
        if not asked.dry_run:
            switch.audit(Store.REGISTRY, actor, "restore", None, {"run": made.pk, "of": number, "rows": made.restored})
    return made


def _chosen(backup: Backup, part: int | None) -> list[Stored]:
    parts = list(backup.manifest.parts)
    if part is None:
        return parts
    if not 1 <= part <= len(parts):
        raise UsageError(f"part {part}; this backup has parts 1 to {len(parts)}")
    return [parts[part - 1]]


def _work(backup: Backup, chosen: list[Stored], asked: Asked, watch: Watch) -> Outcome:
    watch.phase("restoring", sum(stored.part.rows for stored in chosen))
    with (
        failing(Store.REGISTRY),
        dedicated(Store.REGISTRY, "retention restore", limits=LIMITS) as session,
        watch.session(session),
        _refusing(),
        session.transaction(force_rollback=asked.dry_run),
    ):
        _require_fitting(session, backup)
        _load(session, backup, chosen, watch)
        _choose(session, backup, asked)
        counts = _put(session, backup, asked.on_conflict)
        reach("retention restored")
    return _outcome(backup, asked, counts)


def _outcome(backup: Backup, asked: Asked, counts: _Counts) -> Outcome:
    skipped = counts.found - counts.restored - counts.overwritten
    fields = {"found": counts.found, "restored": counts.restored, "overwritten": counts.overwritten, "skipped": skipped}
    said = "" if asked.dry_run or not counts.restored else _goes_again(backup)
    return Outcome(RetentionStatus.PLANNED if asked.dry_run else RetentionStatus.COMPLETE, said, fields)


def _goes_again(backup: Backup) -> str:
    """What comes back is as old as it was."""
    name, table = backup.row.policy, backup.row.table
    with reaching(Store.REGISTRY):
        if LegalHold.objects.filter(table=table, released_at=None).exists():
            return ""
        if not RetentionPolicy.objects.filter(name=name, enabled=True).exists():
            return ""
    return f"policy {name} is enabled and would remove these rows again: disable it, or hold them"


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (errors.IntegrityError, errors.RaiseException, errors.InsufficientPrivilege) as exc:
        raise RestoreRefused(first_line(exc)) from exc
    except psycopg.Error as exc:
        if (exc.sqlstate or "").startswith("DW"):
            raise RestoreRefused(first_line(exc)) from exc
        raise


def _require_fitting(session: Session, backup: Backup) -> None:
    """The table has every column of the backup, of the same type, and the same key."""
    subject, key = backup.rows.policy.subject, backup.manifest.key
    now = schema.read(session, subject)
    if now.key != key:
        raise TableChanged(f"the key of {subject.name} is {now.key}, and was {key}")
    other = [name for name, type_ in backup.manifest.columns.items() if now.types.get(name) != type_]
    if other:
        raise TableChanged(f"{subject.name} has no such columns any more, or has them otherwise: {', '.join(other)}")


def _load(session: Session, backup: Backup, chosen: list[Stored], watch: Watch) -> None:
    """The parts in a temporary table, held against what was exported."""
    session.execute(backup.rows.compose("receive"))
    for stored in chosen:
        backup.load(session, stored)
        watch.advance(stored.part.rows)
    batches = [batch for stored in chosen for batch in stored.batches]
    require_same(session, backup.rows, batches, backup.row.location)


def _choose(session: Session, backup: Backup, asked: Asked) -> None:
    """Forget the rows that nobody asked for."""
    conditions: list[sql.Composable] = []
    if asked.keys:
        own = sql.SQL("t.{}::text").format(sql.Identifier(backup.manifest.key))
        named = [projection.expression(expression) for expression in backup.rows.policy.subject.holds.values()]
        either = [sql.SQL("{} = ANY(%(keys)s)").format(expression) for expression in (own, *named)]
        conditions.append(sql.SQL("({})").format(sql.SQL(" OR ").join(either)))
    if asked.since:
        conditions.append(sql.SQL("{} >= %(since)s").format(backup.rows.date))
    if asked.until:
        conditions.append(sql.SQL("{} < %(until)s").format(backup.rows.date))
    if conditions:
        values = {"keys": list(asked.keys), "since": asked.since, "until": asked.until}
        session.execute(backup.rows.compose("forget_others", asked=sql.SQL(" AND ").join(conditions)), values)


def _put(session: Session, backup: Backup, on_conflict: Conflict) -> _Counts:
    rows = backup.rows
    found = session.execute(rows.compose("present")).fetchone()
    loaded, there = (int(found[0]), int(found[1])) if found else (0, 0)
    if there and on_conflict is Conflict.FAIL:
        raise RestoreRefused(
            f"{there} of {loaded} rows are in the table; --on-conflict skip leaves them as they are, overwrite makes "
            "them as they were"
        )
    if rows.policy.subject.archive:
        _take_out(session, backup, on_conflict)
    own = [name for name in backup.manifest.columns if name != backup.manifest.key]
    assignments = sql.SQL(", ").join([sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in own])
    clause = sql.SQL(on_conflict.clause).format(assignments=assignments)
    done = session.execute(rows.compose("restore", on_conflict=clause)).fetchone()
    restored, overwritten = (int(done[0]), int(done[1])) if done else (0, 0)
    return _Counts(loaded, there, restored, overwritten)


def _take_out(session: Session, backup: Backup, on_conflict: Conflict) -> None:
    """The archive loses what comes back; raises RestoreRefused where it has another version of a row."""
    with reaching(Store.REGISTRY):
        own = list(RetentionRun.objects.filter(backup=backup.row).values_list("pk", flat=True))
    values = {"runs": own, "skip": on_conflict is Conflict.SKIP}
    found = session.execute(backup.rows.compose("take_out"), values).fetchone()
    if found and found[0]:
        archive = backup.rows.policy.subject.archive
        raise RestoreRefused(f"{found[0]} rows are in {archive} as another run put them there; restore that one first")
