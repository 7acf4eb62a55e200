"""How the schedule stands: each row, the last run of it that ended or runs, and when it is due next."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

from dualwrite.models import TaskRun, TaskStatus
from dualwrite.stages import Store
from dualwrite.stores import failing

BAD = (TaskStatus.FAILED, TaskStatus.CRASHED, TaskStatus.MISSED)


@dataclass(frozen=True)
class Standing:
    """A row of the schedule; `next_at`: None where it is switched off."""

    name: str
    task: str
    every: str
    last: TaskRun | None
    next_at: datetime | None

    @property
    def is_bad(self) -> bool:
        """Whether it is switched on and did not come to its end last."""
        return self.next_at is not None and self.last is not None and self.last.status in BAD

    def as_data(self) -> dict[str, Any]:
        """As JSON."""
        own = {"name": self.name, "task": self.task, "every": self.every, "next_run_at": self.next_at}
        return {**own, "last_run": run_data(self.last) if self.last else None}


def run_data(run: TaskRun) -> dict[str, Any]:
    """A run as JSON."""
    names = ("slot", "attempt", "actor", "status", "queued_at", "started_at", "finished_at", "seconds", "worker")
    own = {"run": run.pk, **{name: getattr(run, name) for name in names}}
    return {**own, "result": run.result, "sentence": run.sentence}


def standing() -> list[Standing]:
    """Every row, by name; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        rows = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager.order_by("name")
        related = rows.select_related("interval", "crontab", "solar", "clocked")
        return [_standing(row, timezone.now()) for row in related]


def _standing(row: Any, now: datetime) -> Standing:
    runs = TaskRun.objects.filter(schedule=row.name).exclude(status=TaskStatus.QUEUED)
    since = row.last_run_at or row.date_changed or now  # as the scheduler counts
    due = now + max(row.schedule.remaining_estimate(since), timedelta()) if row.enabled else None
    return Standing(row.name, row.task, str(row.interval or row.crontab or row.scheduler), runs.first(), due)
