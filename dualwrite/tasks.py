"""What runs by schedule, and what an operator asked for in the admin; each calls what commands and endpoints call too.

What is refused, lost or under way already is one line in the log: nothing about it is a fault of this program.
"""

import logging
from collections.abc import Callable
from typing import Any

import psycopg
from celery import shared_task
from django.db import Error as DatabaseError
from django.utils import timezone

from dualwrite.exceptions import DualWriteError
from dualwrite.models import DrillRun, RestoreRun, RetentionRun
from dualwrite.monitoring.alerts.evaluation import evaluate
from dualwrite.monitoring.history import record
from dualwrite.retention.drill import drill
from dualwrite.retention.restore import Asked, restore
from dualwrite.retention.run import Order, run
from dualwrite.retention.sweep import sweep
from dualwrite.switch import Actor

log = logging.getLogger(__name__)

#: Millions of rows take longer than other tasks may; killed later, the next run goes on.
SOFT, HARD = 12 * 3600, 12 * 3600 + 300
SCHEDULE = Actor("schedule")


@shared_task(name="dualwrite.monitoring.check")
def check_monitoring() -> None:
    """Look at everything and keep it, see what fires, tell people."""
    record(timezone.now())
    evaluate()


@shared_task(name="dualwrite.retention.run", soft_time_limit=SOFT, time_limit=HARD)
def run_all() -> list[dict[str, Any]]:
    """Every enabled policy, then the expiry of backups, as the schedule does."""
    swept, _ = _quietly("retention", lambda: sweep(SCHEDULE)) or ([], [])
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
    done = _quietly(f"retention of {policy}", lambda: run(policy, order))
    return _ran(done) if done else _nothing(policy, "the log says why")


@shared_task(name="dualwrite.retention.restore", soft_time_limit=SOFT, time_limit=HARD, acks_late=False)
def restore_rows(
    number: int, asked: dict[str, Any], actor: str, reason: str = "", dry_run: bool = False
) -> dict[str, Any]:
    """Bring back rows that the retention run of that number removed; `asked`: as a restore keeps it."""
    who = Actor(actor, reason)
    what = f"restore of run {number}"
    done: RestoreRun | None = _quietly(what, lambda: restore(number, Asked.kept(asked, dry_run=dry_run), who))
    if done is None:
        return _nothing(f"run {number}", "the log says why")
    return {"run": done.pk, "status": done.status, "restored": done.restored, "overwritten": done.overwritten}


@shared_task(name="dualwrite.retention.drill", soft_time_limit=SOFT, time_limit=HARD)
def drill_backups(actor: str = SCHEDULE.name, reason: str = "", number: int | None = None) -> dict[str, Any]:
    """Try every backup, or the one of that number."""
    done: DrillRun | None = _quietly("drill of backups", lambda: drill(Actor(actor, reason), number))
    return {"run": done.pk, "status": done.status} if done else _nothing("backups", "the log says why")


def _quietly(what: str, work: Callable[[], Any]) -> Any:
    """What the work returns, None where it was refused, which the log then says in a line."""
    try:
        return work()
    except (DualWriteError, DatabaseError, psycopg.Error) as exc:
        log.warning("%s: %s", what, (str(exc).strip().splitlines() or [type(exc).__name__])[0])
        return None


def _ran(made: RetentionRun) -> dict[str, Any]:
    return {"policy": made.policy, "status": made.status, "removed": made.removed, "run": made.pk}


def _nothing(policy: str, why: str) -> dict[str, Any]:
    return {"policy": policy, "status": "refused", "removed": None, "sentence": why}
