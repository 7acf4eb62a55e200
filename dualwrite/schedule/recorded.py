"""A task whose occurrences are done once each, one at a time, and kept. Called directly it is a plain function."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from celery import Task
from celery.exceptions import SoftTimeLimitExceeded
from django.utils.dateparse import parse_datetime

from dualwrite.exceptions import AlreadyRunning, DualWriteError, Refused, RunLost, StoreFailed, StoreUnreachable
from dualwrite.failpoints import reach
from dualwrite.models import TaskRun, TaskStatus
from dualwrite.runs import only_run
from dualwrite.runs.lock import own
from dualwrite.schedule import rows
from dualwrite.schedule.outcome import Outcome, of_error, of_result
from dualwrite.schedule.rows import Occurrence

if TYPE_CHECKING:
    Base = Task[Any, Any]
else:
    Base = Task

log = logging.getLogger(__name__)

#: Headers of a message: which occurrence, which attempt of it, and of which row of the schedule.
SLOT, ATTEMPT, SCHEDULE = "dualwrite_slot", "dualwrite_attempt", "dualwrite_schedule"
#: A message with this header is answered, "answer" or "fail", and not carried out: whether it reaches a worker.
PROBE, TO_FAIL = "dualwrite_probe", "fail"
AWAY = (StoreUnreachable, StoreFailed)


@dataclass(frozen=True)
class Named:
    """What one run at a time is at work on."""

    name: str


class Recorded(Base):
    """`ordered`: somebody asks for it, as often as they like, so it takes no turn: what it does has its own locks."""

    abstract = True
    ordered = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do it as the occurrence that the message names, unless that was done or is under way."""
        if self.request.called_directly:
            return self.run(*args, **kwargs)
        one = self._occurrence(args, kwargs)
        if probe := self.request.get(PROBE):
            return perform(replace(one, actor="readiness"), f"probe {one.slot}", lambda: _answer(probe))
        return perform(one, f"{self.name} {one.slot}" if self.ordered else self.name, lambda: self.run(*args, **kwargs))

    def _occurrence(self, args: Any, kwargs: Any) -> Occurrence:
        request = self.request
        schedule = request.get(SCHEDULE) or ""
        return Occurrence(
            task=self.name,
            # By hand, e.g. from the admin's list of periodic tasks: the message itself is the occurrence.
            slot=request.get(SLOT) or f"message {request.id}",
            actor="schedule" if schedule else kwargs.get("actor") or "by hand",
            schedule=schedule,
            attempt=int(request.get(ATTEMPT) or 1),
            reason=kwargs.get("reason") or "",
            message={"args": list(args), "kwargs": dict(kwargs)},
            expires_at=_moment(request.expires),
        )


def _answer(probe: str) -> dict[str, bool]:
    """What a probe gets."""
    if probe == TO_FAIL:
        raise Refused("this is a probe that is to fail")
    return {"probe": True}


def perform(one: Occurrence, lock: str, work: Callable[[], Any]) -> Any:
    """Do the work as that occurrence; None where it was done, or is under way. Raises what breaks it."""
    with ExitStack() as stack:
        try:
            session = stack.enter_context(only_run(rows.KIND, Named(lock), "task"))
            row = rows.begin(one, lock, own(session))
        except AlreadyRunning as exc:
            return _refuse(one, exc)
        except AWAY as exc:
            log.warning("%s runs unrecorded: %s", one.task, exc)
            return work()
        if row is None:
            log.info("%s: %s was done, is under way, or is too late", one.task, one.slot)
            return None
        reach("task begun")
        return _carry_out(row, work)


def _refuse(one: Occurrence, exc: AlreadyRunning) -> None:
    log.info("%s: %s", one.slot, exc)
    try:
        rows.refuse(one, str(exc))
    except AWAY as away:
        log.warning("%s: that it was refused is not kept: %s", one.task, away)


def _carry_out(row: TaskRun, work: Callable[[], Any]) -> Any:
    try:
        result = work()
    except SoftTimeLimitExceeded:
        _close(row, Outcome(TaskStatus.FAILED, "it took longer than it may"))
        return None
    except DualWriteError as exc:
        # Foreseen, so it is a sentence and no traceback.
        _close(row, of_error(exc))
        return None
    except BaseException as exc:
        _close(row, of_error(exc))
        raise
    _close(row, of_result(result), result)
    return result


def _close(row: TaskRun, outcome: Outcome, result: Any = None) -> None:
    reach("task done")
    try:
        further = rows.close(row, outcome, result)
    except (RunLost, *AWAY) as exc:
        log.warning("%s: how run %s ended is not kept: %s", row.task, row.pk, exc)
        return
    if outcome.status is TaskStatus.FAILED:
        later = f"; tried again at {further.due_at:%H:%M:%S}" if further else ""
        log.warning("%s: run %s failed: %s%s", row.task, row.pk, outcome.sentence, later)


def _moment(given: Any) -> datetime | None:
    """When a message expires, as it came."""
    return parse_datetime(given) if isinstance(given, str) else given
