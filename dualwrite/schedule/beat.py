"""The scheduler: django-celery-beat's, of which one at a time schedules, however many run."""

import logging
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.db.models import QuerySet
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from dualwrite.exceptions import AlreadyRunning, StoreFailed, StoreUnreachable
from dualwrite.runs import only_run
from dualwrite.schedule import rows
from dualwrite.schedule.recorded import ATTEMPT, SCHEDULE, SLOT, Named
from dualwrite.schedule.rows import Occurrence
from dualwrite.stores import Session

log = logging.getLogger(__name__)

#: How often one that stands by looks whether the seat is free.
STAND_BY_SECONDS = 2.0


class Seat:
    """Who schedules: a lock of the registry's server, which ends with the session of whoever has it."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._session: Session | None = None
        self._had, self._said = False, ""

    def take(self) -> tuple[bool, bool]:
        """Whether this scheduler is to schedule, and whether it is so newly: what it knows is old then."""
        if self._session is not None and self._lives(self._session):
            return True, False
        self._let_go()
        try:
            self._session = self._stack.enter_context(only_run("beat", Named("schedule"), "the"))
        except AlreadyRunning:
            self._had = False
            self._say("another scheduler is at work; standing by")
            return False, False
        except StoreUnreachable as exc:
            # Nobody else can take the seat either. Whoever had it goes on with what is known.
            self._say(f"the schedule cannot be read, {'going on' if self._had else 'waiting'}: {exc}")
            return self._had, False
        self._had = True
        self._say("scheduling")
        return True, True

    def leave(self) -> None:
        """Let another one have it at once."""
        self._had = False
        self._let_go()

    def _lives(self, session: Session) -> bool:
        try:
            session.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _let_go(self) -> None:
        self._session = None
        with suppress(psycopg.Error):  # a session that is gone has let go
            self._stack.close()

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            log.info("%s", sentence)
            self._said = sentence


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Sends what is due, after it wrote that down."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._seat = Seat()
        super().__init__(*args, **kwargs)

    def install_default_entries(self, data: Any) -> None:
        """None: results are not kept by Celery, so nothing of them is to be cleaned up."""

    def enabled_models_qs(self) -> QuerySet[PeriodicTask]:
        """All of them: daily ones whose hour is long past would be left out otherwise, and never caught up."""
        return self.Model.objects.enabled()  # type: ignore[no-any-return]

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send the next one that is due; returns in how many seconds to look again."""
        has_seat, is_new = self._seat.take()
        if not has_seat:
            return STAND_BY_SECONDS
        if is_new:
            # What another one sent meanwhile is in the rows, not here.
            self._dirty.clear()
            self._initial_read, self._heap = True, None
        return float(super().tick(*args, **kwargs))

    def apply_async(self, entry: ModelEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:
        """Write the occurrence down, then send it. Raises what sending raises: it is sent again later then."""
        one = occurrence(entry)
        entry.options["headers"] = {
            **entry.options.get("headers", {}),
            **{SLOT: one.slot, ATTEMPT: one.attempt, SCHEDULE: one.schedule},
        }
        try:
            row = rows.queue(one)
            if row is None or not rows.mark_sent(row):
                log.info("%s was sent before", one.slot)
                return None
        except (StoreUnreachable, StoreFailed) as exc:
            log.warning("%s is sent, but not kept: %s", one.slot, exc)
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def close(self) -> None:
        """Write down what ran, and leave the seat."""
        super().close()
        self._seat.leave()


def occurrence(entry: ModelEntry) -> Occurrence:
    """What is due, named by when that row ran last: a scheduler that comes after this one would give it that name too.

    A row that is made anew, or reset, under the same name has other names.
    """
    model = entry.model
    return Occurrence(
        task=entry.task,
        slot=f"{entry.name} {model.total_run_count} after {entry.last_run_at:%Y-%m-%dT%H:%M:%S.%f}",
        actor="schedule",
        schedule=entry.name,
        message={"args": list(entry.args), "kwargs": dict(entry.kwargs), "queue": model.queue or ""},
        expires_at=_expiry(model),
    )


def _expiry(model: PeriodicTask) -> datetime | None:
    if model.expire_seconds is not None:
        return timezone.now() + timedelta(seconds=model.expire_seconds)
    expires: datetime | None = model.expires
    return expires
