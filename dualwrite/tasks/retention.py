"""Retention: all of it every night, one policy or a restore for somebody, a drill of the backups."""

from typing import Any

from celery import shared_task

from dualwrite.models import DrillRun, RestoreRun, RetentionRun
from dualwrite.retention.drill import drill
from dualwrite.retention.restore import Asked, restore
from dualwrite.retention.run import Order, run
from dualwrite.retention.sweep import sweep
from dualwrite.switch import Actor
from dualwrite.tasks.quietly import HARD, SCHEDULE, SOFT, log, quietly


@shared_task(name="dualwrite.retention.run", soft_time_limit=SOFT, time_limit=HARD)
def run_all() -> list[dict[str, Any]]:
    """Every enabled policy, then the expiry of backups, as the schedule does."""
    swept, _ = quietly("retention", lambda: sweep(SCHEDULE)) or ([], [])
    for one in swept:
        if one.sentence:
            log.warning("retention of %s: %s", one.policy, one.sentence)
    return [_ran(one.run) if one.run else _nothing(one.policy, one.sentence) for one in swept]


# What somebody ordered is done once (`acks_late`): delivered again after its worker died, nobody would be looking any
# more. A run that was broken off is continued by the schedule, a restore leaves nothing half-done.
@shared_task(name="dualwrite.retention.run_policy", soft_time_limit=SOFT, time_limit=HARD, acks_late=False)
def run_policy(policy: str, actor: str, reason: str = "", force: bool = False) -> dict[str, Any]:
    """Carry out one approved policy for somebody."""
    order = Order(Actor(actor, reason), execute=True, force=force)
    done = quietly(f"retention of {policy}", lambda: run(policy, order))
    return _ran(done) if done else _nothing(policy, "the log says why")


@shared_task(name="dualwrite.retention.restore", soft_time_limit=SOFT, time_limit=HARD, acks_late=False)
def restore_rows(
    number: int, asked: dict[str, Any], actor: str, reason: str = "", dry_run: bool = False
) -> dict[str, Any]:
    """Bring back rows that the retention run of that number removed; `asked`: as a restore keeps it."""
    who = Actor(actor, reason)
    what = f"restore of run {number}"
    done: RestoreRun | None = quietly(what, lambda: restore(number, Asked.kept(asked, dry_run=dry_run), who))
    if done is None:
        return _nothing(f"run {number}", "the log says why")
    return {"run": done.pk, "status": done.status, "restored": done.restored, "overwritten": done.overwritten}


@shared_task(name="dualwrite.retention.drill", soft_time_limit=SOFT, time_limit=HARD)
def drill_backups(actor: str = SCHEDULE.name, reason: str = "", number: int | None = None) -> dict[str, Any]:
    """Try every backup, or the one of that number."""
    done: DrillRun | None = quietly("drill of backups", lambda: drill(Actor(actor, reason), number))
    return {"run": done.pk, "status": done.status} if done else _nothing("backups", "the log says why")


def _ran(made: RetentionRun) -> dict[str, Any]:
    return {"policy": made.policy, "status": made.status, "removed": made.removed, "run": made.pk}


def _nothing(policy: str, why: str) -> dict[str, Any]:
    return {"policy": policy, "status": "refused", "removed": None, "sentence": why}
