"""One run of one policy: planned, exported, verified, removed, reconciled; or continued where one was broken off.

Command, endpoint, admin and schedule call `run`. Nothing is removed unless `Order.execute` says so.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db import connections, transaction
from django.utils import timezone

from dualwrite import runs, switch
from dualwrite.exceptions import Refused, UsageError
from dualwrite.failpoints import reach
from dualwrite.models import BackupState, RetentionBackup, RetentionRun, RetentionState, RetentionStatus
from dualwrite.parameters import BACKUP_KEPT_DAYS, RETENTION_FREE_ROWS
from dualwrite.retention import brakes, manifest, planner, states, vault
from dualwrite.retention.approval import policy_named, require_approved
from dualwrite.retention.exceptions import BackupUnusable, Braked, StorageFailed, TableChanged
from dualwrite.retention.export import Source, batches, export
from dualwrite.retention.manifest import Manifest, Moment, Stored
from dualwrite.retention.planner import Plan
from dualwrite.retention.policy import Policy, frozen, in_force
from dualwrite.retention.rows import Holds, Rows
from dualwrite.retention.trim import Place, Removed, Trim, trim
from dualwrite.retention.vault import Vault
from dualwrite.retention.verify import verify
from dualwrite.runs import Outcome, Watch
from dualwrite.sql import statement
from dualwrite.stages import Store
from dualwrite.stores import cursor, failing, reaching
from dualwrite.switch import Actor


@dataclass(frozen=True)
class Order:
    """Who wants it, and what: `execute` removes, else it is only planned; `force` gets past the brake on rows and
    shares, and needs a reason; `unattended`: nobody asked, so it keeps to the policy's hours."""

    actor: Actor
    execute: bool = False
    force: bool = False
    unattended: bool = False


@dataclass(frozen=True)
class _Case:
    run: RetentionRun
    policy: Policy
    order: Order
    watch: Watch
    vault: Vault

    @property
    def stop(self) -> Callable[[], str]:
        """Why no further batch is to go."""
        if not self.order.unattended:
            return lambda: ""
        return lambda: brakes.hours(self.policy, timezone.now())


def run(name: str, order: Order, watch: Watch | None = None) -> RetentionRun:
    """Plan or execute the policy of that name and return the stored run.

    Raises UnknownName, InvalidPolicy, UsageError, NotApproved, Refused where it is switched off or may not be carried
    out, AlreadyRunning, and whatever kept it from its end (stored as `error`).
    """
    if order.force and not order.actor.reason:
        raise UsageError("force needs a reason")
    policy = executable(name) if order.execute else in_force(policy_named(name))
    place = vault.configured()
    with runs.only(RetentionRun, policy.subject) as owner:
        made = RetentionRun(
            stream=policy.subject.name,
            policy=policy.name,
            dry_run=not order.execute,
            actor=order.actor.name,
            reason=order.actor.reason,
            forced=order.force,
            frozen=policy.as_data(),
            policy_hash=policy.hash,
            **owner.as_fields(),
        )
        with reaching(Store.REGISTRY):
            made.save(force_insert=True)
        case = _Case(made, policy, order, watch or Watch(), place)
        runs.conduct(made, owner, case.watch, Store.REGISTRY, lambda: _work(case))
    return made


def executable(name: str) -> Policy:
    """The policy of that name, if a run may carry it out now; raises as `run`."""
    row = policy_named(name)
    policy = in_force(row)
    if not row.enabled:
        raise Refused(f"policy {name} is not enabled")
    require_approved(row, policy)
    return policy


def cancel(number: int, actor: Actor) -> RetentionRun:
    """Ask the run to stop: between two batches it does. The next run of its policy goes on where it stopped.

    Raises UsageError when there is no such run, Refused when it has ended, StoreUnreachable.
    """
    found = runs.cancel(RetentionRun, number, actor.name)
    switch.audit(Store.REGISTRY, actor, "cancel retention", None, {"run": found.pk, "policy": found.policy})
    return found


def _work(case: _Case) -> Outcome:
    began = time.monotonic()
    with failing(Store.REGISTRY):
        outcome = _execute(case) if case.order.execute else _planned(case)
    return Outcome(outcome.status, outcome.sentence, {**outcome.fields, "seconds": round(time.monotonic() - began, 3)})


def _planned(case: _Case) -> Outcome:
    plan = planner.make(case.policy, case.watch)
    return Outcome(RetentionStatus.PLANNED, plan.refused or plan.braked, _fields(plan))


def _fields(plan: Plan) -> dict[str, object]:
    own = {"cutoff": plan.cutoff, "plan": plan.as_data(), "planned_rows": plan.goes}
    return {**own, "schema_hash": plan.table.hash}


def _execute(case: _Case) -> Outcome:
    _require_unchanged(case.policy)
    if (why := case.stop()) and case.order.unattended:
        states.to(case.run, RetentionState.COMPLETE)
        return Outcome(RetentionStatus.SKIPPED, why)
    for left in states.broken_off(case.policy.name):
        if left.pk == case.run.pk:
            continue
        if _continues(case, left):
            return _go_on(case, left)
    return _begin(case)


def _require_unchanged(policy: Policy) -> None:
    """Whoever changes or disables a policy from now on sees this run, and can cancel it."""
    row = policy_named(policy.name)
    if not row.enabled or in_force(row) != policy:
        raise Refused(f"policy {policy.name} was changed meanwhile")


def _continues(case: _Case, left: RetentionRun) -> bool:
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


def _go_on(case: _Case, left: RetentionRun) -> Outcome:
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
        return Outcome(RetentionStatus.REFUSED, plan.refused)
    _require_that_cluster(case, found.moment)
    rows = Rows(frozen(case.policy.name, case.run.frozen), plan.table, case.run.cutoff or plan.cutoff, case.run.pk)
    with _keeping_what_is_found(backup):
        verify(found, case.vault, case.run.location, rows, case.watch)
    return _remove(case, rows, found)


def _server_time() -> datetime:
    """This machine's clock is held against it later; until then a wrong one changes nothing."""
    with cursor(Store.REGISTRY) as asked:
        asked.execute(statement("retention", "clock"))
        row = asked.fetchone()
    assert row is not None  # noqa: S101  it has no FROM
    now: datetime = row[0]
    return now


def _require_that_cluster(case: _Case, moment: Moment) -> None:
    with cursor(Store.REGISTRY) as asked:
        asked.execute(statement("retention", "still_that_cluster"), asdict(moment))
        row = asked.fetchone()
    if row is None or not row[0]:
        states.to(case.run, RetentionState.ABANDONED)
        raise TableChanged("the registry is another cluster than the rows were exported from; the next run begins anew")


def _begin(case: _Case) -> Outcome:
    plan = planner.make(case.policy, case.watch)
    runs.note(case.run, **_fields(plan))
    reach("retention planned")
    if why := plan.refused or ("" if case.order.force else plan.braked):
        states.to(case.run, RetentionState.COMPLETE)
        return Outcome(RetentionStatus.REFUSED, why)
    if not plan.goes:
        states.to(case.run, RetentionState.COMPLETE)
        return Outcome(RetentionStatus.COMPLETE, fields={"removed": 0})
    rows = Rows(case.policy, plan.table, plan.cutoff, case.run.pk)
    source = Source(rows, plan.holds, plan.goes)
    if not case.policy.backup:
        places = [Place(batch) for batch in batches(source, case.watch)]
        _require_no_more(case, plan, sum(place.batch.rows for place in places))
        return _remove(case, rows, None, places)
    return _remove(case, rows, _back_up(case, plan, source))


def _back_up(case: _Case, plan: Plan, source: Source) -> Manifest:
    """Export, store, read back. Until then nothing is a backup, and nothing goes."""
    folder = f"{case.policy.subject.name}/{timezone.now():%Y%m%dT%H%M%S}-run-{case.run.pk}"
    states.to(case.run, RetentionState.EXPORTING, location=folder)
    try:
        moment, parts = export(source, case.vault, folder, case.watch)
        _require_no_more(case, plan, sum(stored.part.rows for stored in parts))
        reach("retention exported")
        found = _manifest(case, plan, moment, parts)
        sha256 = manifest.store(case.vault, folder, found)
    except BaseException:
        _discard(case, folder)
        raise
    reach("retention manifest stored")
    # What is read is what is stored, the manifest as well.
    found = manifest.load(case.vault, folder, sha256)
    verify(found, case.vault, folder, source.rows, case.watch)
    reach("retention verified")
    _keep(case, found, folder, sha256)
    return found


def _require_no_more(case: _Case, plan: Plan, rows: int) -> None:
    """Raise Braked where so much came since it was planned that it would have been refused."""
    if not case.order.force and (why := brakes.share(case.policy, rows, plan.rows, RETENTION_FREE_ROWS.value())):
        raise Braked(f"{why}; {plan.goes} were planned")


def _discard(case: _Case, folder: str) -> None:
    """What is half stored only takes room, which may be what was missing."""
    with suppress(StorageFailed):  # the next run tries again; what broke the export matters more
        case.vault.remove(folder)


def _manifest(case: _Case, plan: Plan, moment: Moment, parts: Sequence[Stored]) -> Manifest:
    subject = case.policy.subject
    with reaching(Store.REGISTRY):
        info = connections[Store.REGISTRY.alias]
        info.ensure_connection()
        server = {"version": str(info.connection.info.server_version), "encoding": "UTF8"}
        # Of its table: runs of others may be under way.
        before = RetentionBackup.objects.filter(table=subject.name).order_by("-id")
        previous = before.values_list("manifest_sha256", flat=True).first()
    return Manifest(
        run=case.run.pk,
        name=case.policy.name,
        policy=case.policy.as_data(),
        policy_hash=case.policy.hash,
        schema_hash=plan.table.hash,
        schema=subject.schema,
        table=subject.table,
        key=plan.table.key,
        columns=plan.table.types,
        cutoff=plan.cutoff.isoformat(),
        made_at=timezone.now().isoformat(),
        server=server,
        previous=previous or "",
        moment=moment,
        parts=tuple(parts),
    )


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


def _keep(case: _Case, found: Manifest, folder: str, sha256: str) -> None:
    """From now on it is a backup: its row and the run's state in one transaction."""
    with reaching(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        backup = RetentionBackup.objects.create(
            policy=case.policy.name,
            table=case.policy.subject.name,
            location=folder,
            manifest_sha256=sha256,
            rows=found.rows,
            bytes=found.size,
            expires_at=timezone.now() + timedelta(days=BACKUP_KEPT_DAYS.value()),
        )
        states.to(case.run, RetentionState.VERIFIED, backup=backup)


def _places(parts: Sequence[Stored]) -> list[Place]:
    return [Place(batch, stored.part.file, before) for stored in parts for batch, before in stored.placed()]


def _remove(case: _Case, rows: Rows, found: Manifest | None, places: Sequence[Place] = ()) -> Outcome:
    """Let the rows of the backup go, or where none was made those of the places."""
    evidence = {"run": case.run.pk, "policy": case.policy.name, "backup": case.run.location}
    switch.audit(
        Store.REGISTRY, case.order.actor, "retention begins", None, {**evidence, "rows": case.run.planned_rows}
    )
    states.to(case.run, RetentionState.DELETING)
    reach("retention deleting")
    held = Holds.kept(case.run.plan["holds"])
    work = Trim(rows, case.vault, case.run.location, held, found.moment if found else None, case.stop)
    removed = trim(work, _places(found.parts) if found else places, case.watch)
    if removed.stopped:
        return Outcome(RetentionStatus.STOPPED, removed.stopped, {"stopped_because": removed.stopped})
    states.to(case.run, RetentionState.RECONCILED, **_counted(removed))
    reach("retention reconciled")
    switch.audit(Store.REGISTRY, case.order.actor, "retention", None, {**evidence, **_counted(removed)})
    states.to(case.run, RetentionState.COMPLETE)
    return Outcome(RetentionStatus.COMPLETE, _stayed(removed))


def _counted(removed: Removed) -> dict[str, int]:
    return {"removed": removed.gone, "changed": removed.changed, "held": removed.held}


def _stayed(removed: Removed) -> str:
    said = []
    if removed.changed:
        said.append(f"{removed.changed} rows had changed since they were exported")
    if removed.held:
        said.append(f"{removed.held} rows are held or waiting to be relayed")
    return f"{' and '.join(said)}, so they stay" if said else ""
