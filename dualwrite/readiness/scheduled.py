"""Each task of the schedule reaches a worker, and the scheduler ticks."""

import threading
import time
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.utils import timezone

from dualwrite.models import TaskRun, TaskStatus
from dualwrite.readiness import probes
from dualwrite.readiness.exceptions import NotReady
from dualwrite.readiness.service import Service
from dualwrite.schedule.entries import ENTRIES, missing
from dualwrite.stages import Store
from dualwrite.stores import failing

#: Beside the interval: beat's own pace, and a machine that is busy.
SPARE = timedelta(seconds=15)


def check(_: Service) -> str:
    """A probe of each task is answered; the row that comes round soonest was sent within its interval."""
    with failing(Store.REGISTRY):
        lacking = missing()
    if lacking:
        raise NotReady(f"no row of the schedule calls {', '.join(lacking)}; manage.py schedule --seed adds it")
    began = time.monotonic()
    answered = probes.wait([probes.send(entry.task, "answer") for entry in ENTRIES])
    wrong = [f"{row.task}: {row.status}" for row in answered.values() if row.status != TaskStatus.DONE]
    if wrong:
        raise NotReady(", ".join(wrong))
    seconds = time.monotonic() - began
    workers = ", ".join(sorted({row.worker for row in answered.values()}))
    return f"{len(answered)} tasks were answered within {seconds:.1f} s by {workers}; {_ticked()}"


def _ticked() -> str:
    """That the scheduler is alive, by what it sent; waits until the next one is due."""
    row, every = _soonest()
    pace, until = threading.Event(), timezone.now() + every + SPARE
    since = timezone.now() - every - SPARE
    while True:
        with failing(Store.REGISTRY):
            last = TaskRun.objects.filter(schedule=row.name, attempt=1).order_by("-pk").first()
        if last is not None and last.queued_at >= since:
            age = (timezone.now() - last.queued_at).total_seconds()
            return f"the scheduler sent {row.name} {max(age, 0):.0f} s ago"
        if timezone.now() > until:
            raise NotReady(f"the scheduler did not send {row.name}, due every {every}; start it: celery -A config beat")
        pace.wait(probes.LOOK_SECONDS)


def _soonest() -> tuple[Any, timedelta]:
    """The row of the schedule with the shortest interval, and that."""
    with failing(Store.REGISTRY):
        rows = apps.get_model("django_celery_beat", "PeriodicTask")._default_manager.filter(enabled=True)
        found = [(row, row.schedule.run_every) for row in rows.exclude(interval=None).select_related("interval")]
    if not found:
        raise NotReady("every row of the schedule that comes round soon is switched off; switch one on in the admin")
    return min(found, key=lambda one: one[1])
