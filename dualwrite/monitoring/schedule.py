"""When each periodic task ran, and when it comes next, by the rows of the scheduler."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

from dualwrite.stages import Store
from dualwrite.stores import failing


@dataclass(frozen=True)
class Periodic:
    """A row: its task, how often it comes in words, its last run and the next one, None when it is switched off."""

    name: str
    task: str
    enabled: bool
    every: str
    ran_at: datetime | None
    next_at: datetime | None


def periodic() -> list[Periodic]:
    """Every row, by name; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        rows = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager.order_by("name")
        return [_periodic(row) for row in rows.select_related("interval", "crontab", "solar", "clocked")]


def next_run_at(task: str) -> datetime | None:
    """When the schedule runs that task next; None where it does not. Raises as `periodic`."""
    return min((one.next_at for one in periodic() if one.task == task and one.next_at), default=None)


def _periodic(row: Any) -> Periodic:
    every = next((kind for kind in (row.interval, row.crontab, row.solar, row.clocked) if kind is not None), "")
    due = _due(row) if row.enabled else None
    return Periodic(row.name, row.task, row.enabled, str(every), row.last_run_at, due)


def _due(row: Any) -> datetime:
    now = timezone.now()
    left: timedelta = row.schedule.remaining_estimate(row.last_run_at or now)
    return now + max(left, timedelta())
