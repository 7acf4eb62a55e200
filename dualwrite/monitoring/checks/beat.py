"""Whether the scheduler ticks, by what it writes itself: when it last ran each periodic task.

That a schedule was edited (PeriodicTasks.last_update) proves nothing, so it is not looked at. Beat keeps what it ran
for up to three minutes before it writes it down, hence the limits.

How it can fail, and the answer: nothing is scheduled, or nothing often enough → UNKNOWN, never UP; beat died → the
newest run grows old while something is due, DOWN; beat ticks and the worker is dead → this is UP, `celery` is DOWN; the
clocks of two machines differ → by less than the limits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from dualwrite.monitoring.exceptions import CannotTell, Down
from dualwrite.monitoring.health import Check
from dualwrite.stages import Store
from dualwrite.stores import failing

NONE = "no periodic task is enabled, so nothing shows whether the scheduler runs"


@dataclass(frozen=True)
class Scheduled:
    """A periodic task: its last run, if any, and by how many seconds the next one is late (negative: due later)."""

    name: str
    ran_at: datetime | None
    late_seconds: float


@dataclass(frozen=True, kw_only=True)
class BeatCheck(Check):
    """A task ran within `fresh_seconds`. If not: DOWN where one is late by `late_seconds`, else nobody can tell."""

    name: str = "beat"
    mend: str = "start the scheduler: celery -A config beat"
    fresh_seconds: float = 600.0
    late_seconds: float = 240.0

    def run(self) -> dict[str, Any]:
        """Return the last sign of it; raise Down or CannotTell."""
        now = timezone.now()
        with failing(Store.REGISTRY):
            tasks = PeriodicTask.objects.filter(enabled=True, one_off=False)
            found = [scheduled(task, now) for task in tasks.select_related("interval", "crontab", "solar", "clocked")]
        return self.judge(found, now)

    def judge(self, found: Sequence[Scheduled], now: datetime) -> dict[str, Any]:
        """What the tasks tell. Pure."""
        if not found:
            raise CannotTell(NONE, {"tasks": 0})
        last = max((one.ran_at for one in found if one.ran_at), default=None)
        late = sorted(one.name for one in found if one.late_seconds > self.late_seconds)
        details = {"last_tick_at": last, "tasks": len(found), "late": late}
        if last is not None and now - last <= timedelta(seconds=self.fresh_seconds):
            return details
        said = f"the last sign of the scheduler is of {last:%Y-%m-%d %H:%M:%S %Z}" if last else "it never ran a task"
        if late:
            raise Down(f"{said}, and {', '.join(late)} should have run", details)
        raise CannotTell(f"{said}, and nothing was to be run since", details)


def scheduled(task: PeriodicTask, now: datetime) -> Scheduled:
    """How the task stands. One that never ran counts from when it was last edited."""
    since = task.last_run_at or task.date_changed or now
    late = -task.schedule.remaining_estimate(since).total_seconds()
    return Scheduled(str(task.name), task.last_run_at, late)
