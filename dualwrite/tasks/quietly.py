"""What all tasks share: who the schedule is, how long they may take, and what becomes of a refusal."""

import logging
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import Error as DatabaseError

from dualwrite.exceptions import DualWriteError, first_line, may_pass
from dualwrite.said import said
from dualwrite.schedule.outcome import FAILED, REFUSED
from dualwrite.schedule.recorded import Recorded
from dualwrite.switch import Actor

log = logging.getLogger("dualwrite.tasks")

SCHEDULE = Actor("schedule")
#: Millions of rows take longer than other tasks may; killed later, the next run goes on. Both are below the time after
#: which the broker gives a message to another worker (`visibility_timeout`).
SOFT, HARD = 12 * 3600, 12 * 3600 + 300
FAULTS = (DualWriteError, DatabaseError, psycopg.Error)


class Ordered(Recorded):
    """What somebody asked for. It is done once: delivered again after its worker died, nobody would be looking.

    A run that was broken off is continued by the schedule, a restore leaves nothing half-done.
    """

    abstract = True
    ordered = True
    acks_late = False


def quietly(work: Callable[[], dict[str, Any]], about: str, subject: str, what: str) -> dict[str, Any]:
    """What the work returns; where it was refused, a result that says so, and a line of the log about `what`."""
    try:
        return work()
    except FAULTS as exc:
        log.warning("%s: %s", what, said(exc))
        return nothing(about, subject, exc)


def nothing(about: str, subject: str, exc: Exception) -> dict[str, Any]:
    """The result of what was not done: refused, or failed where another attempt may come out otherwise."""
    status = FAILED if may_pass(exc) else REFUSED
    return {about: subject, "status": status, "sentence": first_line(exc)}
