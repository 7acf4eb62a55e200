"""Retention: all of it every night, one policy or a restore for somebody, a drill of the backups."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from django.utils import timezone

from dualwrite.models import DrillRun, RetentionRun
from dualwrite.parameters import TASK_RUNS_KEPT_DAYS
from dualwrite.retention.drill import drill
from dualwrite.retention.restore import Asked, restore
from dualwrite.retention.run import Order, run
from dualwrite.retention.sweep import Swept, sweep
from dualwrite.said import said
from dualwrite.schedule import rows
from dualwrite.schedule.outcome import FAILED, REFUSED
from dualwrite.schedule.recorded import Recorded
from dualwrite.switch import Actor
from dualwrite.tasks.quietly import FAULTS, HARD, SCHEDULE, SOFT, Ordered, log, nothing, quietly
from dualwrite.tasks.relay import NAME as SWEEP

#: Runs of the sweep that had nothing to do are of no use to anybody tomorrow.
QUIET = timedelta(days=1)


@shared_task(base=Recorded, name="dualwrite.retention.run", soft_time_limit=SOFT, time_limit=HARD)
def run_all() -> list[dict[str, Any]]:
    """Every enabled policy, then the expiry of backups, as the schedule does; what ran long ago is forgotten."""
    _forget_old_runs()
    try:
        swept, _ = sweep(SCHEDULE)
    except FAULTS as exc:
        log.warning("retention: %s", said(exc))
        return [nothing("policy", "all", exc)]
    for one in swept:
        if one.sentence:
            log.warning("retention of %s: %s", one.policy, one.sentence)
    return [_ran(one.run, one.sentence) if one.run else _not_run(one) for one in swept]


def _forget_old_runs() -> None:
    try:
        now = timezone.now()
        rows.prune(now - timedelta(days=TASK_RUNS_KEPT_DAYS.value()), [SWEEP], now - QUIET)
    except FAULTS as exc:
        log.warning("old runs of tasks stay: %s", said(exc))


@shared_task(base=Ordered, name="dualwrite.retention.run_policy", soft_time_limit=SOFT, time_limit=HARD)
def run_policy(policy: str, actor: str, reason: str = "", force: bool = False) -> dict[str, Any]:
    """Carry out one approved policy for somebody."""
    order = Order(Actor(actor, reason), execute=True, force=force)
    return quietly(lambda: _ran(run(policy, order)), "policy", policy, f"retention of {policy}")


@shared_task(base=Ordered, name="dualwrite.retention.restore", soft_time_limit=SOFT, time_limit=HARD)
def restore_rows(
    number: int, asked: dict[str, Any], actor: str, reason: str = "", dry_run: bool = False
) -> dict[str, Any]:
    """Bring back rows that the retention run of that number removed; `asked`: as a restore keeps it."""
    who = Actor(actor, reason)
    what = f"restore of run {number}"
    return quietly(lambda: _restored(number, Asked.kept(asked, dry_run=dry_run), who), "restore of", str(number), what)


@shared_task(base=Recorded, name="dualwrite.retention.drill", soft_time_limit=SOFT, time_limit=HARD)
def drill_backups(actor: str = SCHEDULE.name, reason: str = "", number: int | None = None) -> dict[str, Any]:
    """Try every backup, or the one of that number."""
    return quietly(lambda: _drilled(drill(Actor(actor, reason), number)), "drill of", "backups", "drill of backups")


def _ran(made: RetentionRun, sentence: str = "") -> dict[str, Any]:
    told = {"policy": made.policy, "status": made.status, "removed": made.removed, "run": made.pk}
    return {**told, **({"sentence": sentence} if sentence else {})}


def _not_run(one: Swept) -> dict[str, Any]:
    status = FAILED if one.may_pass else REFUSED
    return {"policy": one.policy, "status": status, "removed": None, "sentence": one.sentence}


def _restored(number: int, asked: Asked, who: Actor) -> dict[str, Any]:
    done = restore(number, asked, who)
    return {"run": done.pk, "status": done.status, "restored": done.restored, "overwritten": done.overwritten}


def _drilled(done: DrillRun) -> dict[str, Any]:
    return {"run": done.pk, "status": done.status}
