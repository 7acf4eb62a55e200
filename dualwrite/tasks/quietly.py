"""What all tasks share: who the schedule is, how long they may take, and what becomes of a refusal."""

import logging
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import Error as DatabaseError

from dualwrite.exceptions import DualWriteError
from dualwrite.said import said
from dualwrite.switch import Actor

log = logging.getLogger("dualwrite.tasks")

SCHEDULE = Actor("schedule")
#: Millions of rows take longer than other tasks may; killed later, the next run goes on.
SOFT, HARD = 12 * 3600, 12 * 3600 + 300
FAULTS = (DualWriteError, DatabaseError, psycopg.Error)


def quietly(what: str, work: Callable[[], Any]) -> Any:
    """What the work returns, None where it was refused, which the log then says in a line."""
    try:
        return work()
    except FAULTS as exc:
        log.warning("%s: %s", what, said(exc))
        return None


def first_line(exc: BaseException) -> str:
    """The sentence of an error; what drivers add in further lines is left out."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]


def nothing(name: str, what: str, why: str) -> dict[str, Any]:
    """The result of a task that was refused; `name`: of what, e.g. a policy."""
    return {name: what, "status": "refused", "sentence": why}
