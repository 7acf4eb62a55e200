"""The row of a run: opened by its owner, closed once, recognised when its owner died, asked to stop by anybody."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models.functions import Now
from django.utils import timezone

from dualwrite.exceptions import AlreadyRunning, Refused, RunLost, StoreUnreachable, UsageError
from dualwrite.models import Run
from dualwrite.runs.lock import Holder, Named, holder, only_run, own
from dualwrite.stages import Store
from dualwrite.stores import Session, reaching

R = TypeVar("R", bound=Run)


@dataclass(frozen=True)
class Owner:
    """This process, as the only one that runs something for a subject: its name and the session of its lock."""

    session: Session

    def as_fields(self) -> dict[str, object]:
        """The fields of a row that say who works on it; raises StoreUnreachable."""
        here = own(self.session)
        owner = f"{socket.gethostname()}:{os.getpid()}"
        return {"owner": owner, "backend": here.backend, "backend_start": here.began}


@contextmanager
def only(model: type[Run], subject: Named) -> Iterator[Owner]:
    """Be the only run of that model for the subject; runs left by dead processes are closed first.

    Raises AlreadyRunning naming the other run, its owner and the command that cancels it; StoreUnreachable.
    """
    with ExitStack() as stack:
        try:
            session = stack.enter_context(only_run(model.kind, subject, model.about))
        except AlreadyRunning as exc:
            raise AlreadyRunning(f"{model.kind} of {model.about} {subject.name}{_who(model, subject.name)}") from exc
        reap(model, subject.name)
        yield Owner(session)


def _who(model: type[Run], stream: str) -> str:
    row = _running(model, stream).first()
    if row is None:
        return ""
    since = f"{row.started_at:%Y-%m-%d %H:%M:%S %Z}"
    return f": run {row.pk}, {row.owner} since {since}; manage.py run_{model.kind} --cancel {row.pk}"


def _running(model: type[R], stream: str) -> Any:
    return model._default_manager.filter(stream=stream, status=Run.RUNNING)


def reap(model: type[Run], stream: str) -> int:
    """Close the runs whose process died; returns how many. Raises StoreUnreachable.

    Whoever runs holds the lock with the session its row names, and never takes it again after losing it.
    """
    with reaching(Store.REGISTRY):
        left = list(_running(model, stream))  # before the holder: a run has its lock before its row
        here = holder(model.kind, stream)
        dead = [row for row in left if not _has(row, here)]
        return sum(_bury(row) for row in dead)


def _bury(row: Run) -> int:
    died = f"its process{f' ({row.owner})' if row.owner else ''} died or lost its connection; run it again"
    mine = type(row)._default_manager.filter(pk=row.pk, status=Run.RUNNING)
    return int(mine.update(status=Run.ERROR, error=died, finished_at=Now()))


def is_dead(row: Run) -> bool:
    """Whether the row says running, but its process is gone; raises StoreUnreachable."""
    return row.status == Run.RUNNING and not _has(row, holder(row.kind, row.stream))


def _has(row: Run, here: Holder | None) -> bool:
    """Whether the row is that of the session that holds the lock."""
    return here is not None and here.may_be(row.backend, row.backend_start)


def close(row: Run, status: str, error: str = "", **fields: object) -> None:
    """The run has ended so; raises RunLost when somebody closed it meanwhile, taking this process for dead."""
    values = {**fields, "status": status, "error": error, "finished_at": timezone.now()}
    try:
        note(row, **values)
    except StoreUnreachable:
        note(row, **values)  # what broke the run may have broken this connection too; the next one is a new one


def note(row: Run, **values: object) -> None:
    """Set fields of a run under way; raises RunLost when it is closed, StoreUnreachable."""
    with reaching(Store.REGISTRY):
        mine = type(row)._default_manager.filter(pk=row.pk, status=Run.RUNNING, backend=row.backend)
        if not mine.update(**values):
            raise RunLost(f"run {row.pk} was closed by somebody else")
    for name, value in values.items():
        setattr(row, name, value)


def run_numbered(model: type[R], number: int) -> R:
    """The run of that number, closed if its process died; raises UsageError when there is none, StoreUnreachable."""
    with reaching(Store.REGISTRY):
        row = model._default_manager.filter(pk=number).first()
        if row is None:
            raise UsageError(f"there is no {model.kind} run {number}")
        if is_dead(row):
            reap(model, row.stream)
            row.refresh_from_db()
    return row


def cancel(model: type[R], number: int, who: str) -> R:
    """Ask the run to stop, which it sees within a second; one whose process died is closed instead.

    Raises UsageError when there is none, Refused when it has ended, StoreUnreachable.
    """
    with reaching(Store.REGISTRY):
        running = model._default_manager.filter(pk=number, status=Run.RUNNING)
        was_running = running.exists()
        row = run_numbered(model, number)
        if not was_running:
            raise Refused(f"{model.kind} run {number} has ended already, as {row.status}")
        running.update(cancel_asked_by=who)
        row.refresh_from_db()
    return row


def to_resume(model: type[R], number: int) -> R:
    """The run of that number, which did not come to its end and is to be done again.

    Raises UsageError when there is none, AlreadyRunning when it is under way, Refused when it came to its end.
    """
    row = run_numbered(model, number)
    if row.status == Run.RUNNING:
        raise AlreadyRunning(f"{model.kind} of {model.about} {row.stream}{_who(model, row.stream)}")
    if row.status not in (Run.ERROR, Run.CANCELLED):
        raise Refused(f"{model.kind} run {number} came to its end, as {row.status}; there is nothing to resume")
    return row
