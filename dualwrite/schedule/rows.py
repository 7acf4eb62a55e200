"""The row of an occurrence: queued once, taken by one, closed once. Every change says from which status it comes."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from dualwrite.exceptions import RunLost
from dualwrite.models import TaskRun, TaskStatus
from dualwrite.runs import Holder, holder
from dualwrite.schedule.outcome import Outcome, next_due
from dualwrite.stages import Store
from dualwrite.stores import failing

KIND = "task"
#: A worker that dies again and again is not given the same occurrence for ever.
MOST_ATTEMPTS = 5
#: To send a message again is harmless, a flood of them is not.
MOST_PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True)
class Occurrence:
    """A task to be done once. `message`: args, kwargs and queue, as JSON; `expires_at`: not to be begun after that."""

    task: str
    slot: str
    actor: str
    schedule: str = ""
    attempt: int = 1
    reason: str = ""
    message: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None

    def as_fields(self) -> dict[str, Any]:
        """The fields of its row."""
        return {**vars(self), "message": dict(self.message)}


def queue(one: Occurrence, due_at: datetime | None = None) -> TaskRun | None:
    """Write down that it is to be done; None when that attempt exists. Raises StoreUnreachable, StoreFailed."""
    values = {**one.as_fields(), **({"due_at": due_at} if due_at else {})}
    slot, attempt = values.pop("slot"), values.pop("attempt")
    with failing(Store.REGISTRY):
        row, is_new = TaskRun.objects.get_or_create(slot=slot, attempt=attempt, defaults=values)
    return row if is_new else None


def begin(one: Occurrence, lock: str, here: Holder) -> TaskRun | None:
    """Take the occurrence for the worker that has that lock; None when it was taken, closed or is too late.

    Raises StoreUnreachable, StoreFailed.
    """
    owner: dict[str, Any] = {"worker": f"{socket.gethostname()}:{os.getpid()}", "lock": lock}
    owner |= {"backend": here.backend, "backend_start": here.began}
    with failing(Store.REGISTRY):
        queue(one)
        mine = TaskRun.objects.filter(slot=one.slot, attempt=one.attempt, status=TaskStatus.QUEUED)
        in_time = mine.filter(Q(expires_at=None) | Q(expires_at__gt=Now()))
        if not in_time.update(status=TaskStatus.RUNNING, started_at=Now(), **owner):
            return None
        return TaskRun.objects.get(slot=one.slot, attempt=one.attempt)


def refuse(one: Occurrence, sentence: str) -> None:
    """It is not done, as another one is under way. Raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        queue(one)
        mine = TaskRun.objects.filter(slot=one.slot, attempt=one.attempt, status=TaskStatus.QUEUED)
        mine.update(status=TaskStatus.REFUSED, sentence=sentence, started_at=Now(), finished_at=Now())


def close(row: TaskRun, outcome: Outcome, result: Any = None) -> TaskRun | None:
    """The attempt has ended so; returns the next attempt where there is to be one.

    Raises RunLost when it was taken for dead meanwhile, StoreUnreachable, StoreFailed.
    """
    with failing(Store.REGISTRY), transaction.atomic(using=Store.REGISTRY.alias):
        mine = TaskRun.objects.filter(pk=row.pk, status=TaskStatus.RUNNING, backend=row.backend)
        values = {"status": outcome.status, "sentence": outcome.sentence, "result": result, "finished_at": Now()}
        if not mine.update(**values):
            raise RunLost(f"run {row.pk} of {row.task} was closed by somebody else")
        due = next_due(row.attempt, timezone.now(), row.expires_at) if outcome.again else None
        return again(row, due) if due else None


def again(row: TaskRun, due_at: datetime) -> TaskRun | None:
    """Queue the next attempt of a scheduled occurrence; None where that is not wanted: an order, or overtaken.

    What somebody ordered is not done again by itself: nobody might be looking any more. Raises StoreUnreachable.
    """
    if not row.schedule or not _is_wanted(row):
        return None
    return queue(
        Occurrence(
            task=row.task,
            slot=row.slot,
            actor=row.actor,
            schedule=row.schedule,
            attempt=row.attempt + 1,
            reason=row.reason,
            message=row.message,
            expires_at=row.expires_at,
        ),
        due_at,
    )


def _is_wanted(row: TaskRun) -> bool:
    """Whether it may still be begun; one that never expires may until the next occurrence exists."""
    if row.expires_at is not None:
        return row.expires_at > timezone.now()
    return not TaskRun.objects.filter(schedule=row.schedule, pk__gt=row.pk).exclude(slot=row.slot).exists()


def dead() -> list[TaskRun]:
    """Rows that say running though their worker is gone; raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        # Before the holders: whoever runs has its lock before its row.
        left = list(TaskRun.objects.filter(status=TaskStatus.RUNNING))
        return [row for row in left if not _lives(row)]


def _lives(row: TaskRun) -> bool:
    here = holder(KIND, row.lock)
    return here is not None and here.may_be(row.backend, row.backend_start)


def bury(row: TaskRun) -> bool:
    """Its worker died; false when it was closed meanwhile. Raises StoreUnreachable, StoreFailed."""
    died = f"its worker ({row.worker}) died or lost its connection"
    with failing(Store.REGISTRY):
        mine = TaskRun.objects.filter(pk=row.pk, status=TaskStatus.RUNNING, backend=row.backend)
        return bool(mine.update(status=TaskStatus.CRASHED, sentence=died, finished_at=Now()))


def miss() -> int:
    """Close what nobody began in time; how many. Raises StoreUnreachable, StoreFailed."""
    why = "nobody began it in time: no worker was there, or all were busy"
    with failing(Store.REGISTRY):
        late = TaskRun.objects.filter(status=TaskStatus.QUEUED, expires_at__lte=Now())
        return int(late.update(status=TaskStatus.MISSED, sentence=why, finished_at=Now()))


def unsent() -> list[TaskRun]:
    """What is due, and was not sent, or sent so long ago that its message is lost; raises StoreUnreachable."""
    with failing(Store.REGISTRY):
        now = timezone.now()
        return [
            row for row in _to_send(now).order_by("pk") if row.sent_at is None or row.sent_at <= now - patience(row)
        ]


def patience(row: TaskRun) -> timedelta:
    """How long a worker may take to take a message before it is sent again; less where there is little time."""
    return min(MOST_PATIENCE, (row.expires_at - row.queued_at) / 4) if row.expires_at else MOST_PATIENCE


def mark_sent(row: TaskRun) -> bool:
    """Be the one that sends it; false when somebody else just did. Raises StoreUnreachable, StoreFailed."""
    with failing(Store.REGISTRY):
        return bool(_to_send(timezone.now()).filter(pk=row.pk, sent_at=row.sent_at).update(sent_at=Now()))


def _to_send(now: datetime) -> QuerySet[TaskRun]:
    waiting = TaskRun.objects.filter(status=TaskStatus.QUEUED, due_at__lte=now)
    return waiting.filter(Q(expires_at=None) | Q(expires_at__gt=now))


def prune(before: datetime, quiet: Sequence[str], quiet_before: datetime, most: int = 20_000) -> int:
    """Remove ended rows older than `before`, those of `quiet` tasks with nothing to say earlier; how many went.

    So many at a time. Raises StoreUnreachable, StoreFailed.
    """
    old = Q(queued_at__lt=before) | Q(queued_at__lt=quiet_before, task__in=quiet, status=TaskStatus.DONE, sentence="")
    with failing(Store.REGISTRY):
        ended = TaskRun.objects.filter(old).exclude(status__in=(TaskStatus.QUEUED, TaskStatus.RUNNING))
        numbers = list(ended.order_by("pk").values_list("pk", flat=True)[:most])
        return int(TaskRun.objects.filter(pk__in=numbers).delete()[0])
