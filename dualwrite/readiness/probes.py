"""Messages to workers, and the rows by which they answer."""

import threading
import time
from collections.abc import Iterable

from celery import current_app
from django.utils import timezone

from dualwrite.models import TaskRun, TaskStatus
from dualwrite.readiness.exceptions import NotReady
from dualwrite.schedule.recorded import PROBE
from dualwrite.stages import Store
from dualwrite.stores import failing

LIMIT_SECONDS = 40.0
LOOK_SECONDS = 0.1
OPEN = (TaskStatus.QUEUED, TaskStatus.RUNNING)


def send(task: str, probe: str = "") -> str:
    """Send the task to its queue; as a probe, "answer" or "fail", it is not carried out. The slot of its row."""
    headers = {PROBE: probe} if probe else {}
    sent = current_app.send_task(task, headers=headers, expires=LIMIT_SECONDS, retry=False)
    return f"message {sent.id}"


def wait(slots: Iterable[str], limit: float = LIMIT_SECONDS) -> dict[str, TaskRun]:
    """The rows of these slots once all have ended; raises NotReady naming what has not."""
    wanted = list(slots)
    pace, until = threading.Event(), time.monotonic() + limit
    while True:
        with failing(Store.REGISTRY):
            rows = {row.slot: row for row in TaskRun.objects.filter(slot__in=wanted).exclude(status__in=OPEN)}
        if len(rows) == len(wanted):
            return rows
        if time.monotonic() > until:
            raise NotReady(f"{len(wanted) - len(rows)} of {len(wanted)} tasks did not end within {limit:g} s{_busy()}")
        pace.wait(LOOK_SECONDS)


def _busy() -> str:
    """What the workers are at instead."""
    with failing(Store.REGISTRY):
        rows = TaskRun.objects.filter(status=TaskStatus.RUNNING).order_by("pk")[:3]
        found = [f"{row.task} for {(timezone.now() - (row.started_at or timezone.now())).seconds} s" for row in rows]
    return f"; under way: {', '.join(found)}" if found else "; is there a worker for queues `watch` and `work`?"
