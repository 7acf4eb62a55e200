"""Restores: small ones are done at once, the others by the worker; each is a row with its page."""

from typing import Any

from dualwrite.admin.retention.shown import size
from dualwrite.admin.retention.verbs import Done, address
from dualwrite.background import awaited, send
from dualwrite.exceptions import UsageError
from dualwrite.models import RestoreRun, RetentionBackup, RetentionRun
from dualwrite.retention.restore import Asked, restore
from dualwrite.switch import Actor

#: A backup of at most so many rows is restored within a second or two, while the page waits.
AT_ONCE_ROWS = 20_000


def begin(row: RetentionBackup, asked: Asked, who: Actor) -> Done:
    """Restore rows, or count them; raises as `restore`, and NoWorker where it takes long and nobody would do it."""
    run = row.runs.order_by("-id").first()
    if run is None:
        raise UsageError(f"no run is known that made backup {row.pk}")
    return _at_once(run, asked, who) if row.rows <= AT_ONCE_ROWS else _by_worker(row, run, asked, who)


def _at_once(run: RetentionRun, asked: Asked, who: Actor) -> Done:
    made = restore(run.pk, asked, who)
    return Done(told(made), address("restorerun", "change", made.pk), made.error)


def told(made: RestoreRun) -> str:
    """What came of it."""
    would = "would be " if made.dry_run else ""
    counts = f"{made.restored} rows {would}restored, {made.overwritten} overwritten, {made.skipped} left as they are"
    return f"Of {made.found} rows asked for, {counts}."


def _by_worker(row: RetentionBackup, run: RetentionRun, asked: Asked, who: Actor) -> Done:
    last = RestoreRun.objects.values_list("pk", flat=True).first() or 0
    values: dict[str, Any] = {"number": run.pk, "asked": asked.as_data(), "dry_run": asked.dry_run}
    send("dualwrite.retention.restore", command(run.pk, asked), **values, actor=who.name, reason=who.reason)
    found = awaited(lambda: RestoreRun.objects.filter(backup=row, pk__gt=last).first())
    if found is not None:
        return Done("The worker is at it.", address("restorerun", "change", found.pk))
    waits = "The worker was asked, and begins when it is free, within an hour or not at all."
    return Done(waits, address("restorerun", "changelist"))


def command(number: int, asked: Asked) -> str:
    """The same on the command line."""
    options = [f"--part {asked.part}" if asked.part else "", *(f"--key {key}" for key in asked.keys)]
    options += [f"--from {asked.since.isoformat()}" if asked.since else ""]
    options += [f"--to {asked.until.isoformat()}" if asked.until else ""]
    options += [f"--on-conflict {asked.on_conflict}", "--dry-run" if asked.dry_run else "--reason WHY"]
    return " ".join(["manage.py restore_backup", str(number), *filter(None, options)])


def facts(row: RetentionBackup) -> list[tuple[str, object]]:
    """What backup it is."""
    return [
        ("table", row.table),
        ("policy", row.policy),
        ("rows", f"{row.rows:,}"),
        ("size", size(row.bytes)),
        ("made", f"{row.made_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("state", f"{row.state}{f': {row.finding}' if row.finding else ''}"),
    ]
