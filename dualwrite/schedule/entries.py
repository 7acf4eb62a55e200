"""The schedule a registry begins with: added once, so that what operators change or remove stays so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.apps import apps

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Entry:
    """A row of the schedule: every so many seconds, or at that minute, hour and day of the week (UTC).

    `expires_seconds`: not begun by then it is not begun any more, as the next one comes.
    """

    task: str
    description: str
    expires_seconds: int
    every_seconds: int = 0
    at: tuple[str, str, str] = ("", "", "")


ENTRIES = (
    Entry("dualwrite.validation.run", "Whether both stores are equal.", 27 * MINUTE, every_seconds=30 * MINUTE),
    Entry("dualwrite.retention.run", "Old rows go, by approved policies.", 20 * HOUR, at=("0", "2", "*")),
    Entry("dualwrite.monitoring.check", "How everything is, and alerts.", 270, every_seconds=5 * MINUTE),
    Entry("dualwrite.relay.sweep", "The safety net of relaying and of this schedule.", 9, every_seconds=10),
    Entry("dualwrite.retention.drill", "Every backup is tried.", 6 * DAY, at=("0", "4", "0")),
)
Get = Callable[[str, str], Any]


def seed(get: Get = apps.get_model, using: str = "default") -> list[str]:
    """Add the rows that are missing; their names. `get`: where the models are from; migrations have their own."""
    tasks = get("django_celery_beat", "PeriodicTask").objects.using(using)
    return [entry.task for entry in ENTRIES if _add(entry, tasks, get, using)]


def missing() -> list[str]:
    """The tasks of `ENTRIES` that no row of the schedule names, enabled or not."""
    known = apps.get_model("django_celery_beat", "PeriodicTask").objects.values_list("task", flat=True)
    return [entry.task for entry in ENTRIES if entry.task not in set(known)]


def _add(entry: Entry, tasks: Any, get: Get, using: str) -> bool:
    if tasks.filter(task=entry.task).exists():
        return False
    own = {"task": entry.task, "description": entry.description, "expire_seconds": entry.expires_seconds}
    _, is_new = tasks.get_or_create(name=entry.task, defaults={**own, **_rhythm(entry, get, using)})
    return bool(is_new)


def _rhythm(entry: Entry, get: Get, using: str) -> dict[str, Any]:
    if entry.every_seconds:
        unit, size = ("minutes", MINUTE) if entry.every_seconds % MINUTE == 0 else ("seconds", 1)
        rhythms = get("django_celery_beat", "IntervalSchedule").objects.using(using)
        found = rhythms.filter(every=entry.every_seconds // size, period=unit).first()
        return {"interval": found or rhythms.create(every=entry.every_seconds // size, period=unit)}
    minute, hour, day = entry.at
    rhythms = get("django_celery_beat", "CrontabSchedule").objects.using(using)
    own = {"minute": minute, "hour": hour, "day_of_week": day, "day_of_month": "*", "month_of_year": "*"}
    found = rhythms.filter(**own, timezone="UTC").first()
    return {"crontab": found or rhythms.create(**own, timezone="UTC")}
