"""What takes long is done by the worker, so that no request hangs; where there is none, that is said at once."""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from celery import current_app
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from dualwrite.exceptions import DualWriteError
from dualwrite.monitoring.checks.redis import RedisCheck
from dualwrite.monitoring.exceptions import Unhealthy

R = TypeVar("R")
#: What nobody began within an hour is forgotten: nothing is to be removed long after somebody wanted it.
EXPIRES_SECONDS = 3600
ANSWERS_WITHIN_SECONDS = 1.0
#: So long is waited for the worker to begin, so that the run can be named.
BEGINS_WITHIN_SECONDS, LOOK_SECONDS = 3.0, 0.1


class NoWorker(DualWriteError):
    """Nobody is there to do it in the background, so nothing was begun."""

    exit_code = 3


def send(task: str, command: str, **values: Any) -> None:
    """Hand the task to the worker; raises NoWorker naming what is missing, and the command that does the same."""
    try:
        RedisCheck().run()  # it has a time limit, which the broker's client has not
        workers = current_app.control.ping(timeout=ANSWERS_WITHIN_SECONDS, limit=1)
        if not workers:
            raise NoWorker(f"no worker answers; start it (celery -A config worker), or do it by {command}")
        current_app.send_task(task, kwargs=values, expires=EXPIRES_SECONDS, retry=False)
    except (Unhealthy, OperationalError, RedisError, OSError) as exc:
        raise NoWorker(f"the broker does not answer ({exc}); start it, or do it by {command}") from exc


def awaited(find: Callable[[], R | None], within: float | None = None) -> R | None:
    """What is found as soon as it is; None when it is not within so many seconds, as the worker has other work."""
    pace, until = threading.Event(), time.monotonic() + (BEGINS_WITHIN_SECONDS if within is None else within)
    while (found := find()) is None and time.monotonic() < until:
        pace.wait(LOOK_SECONDS)
    return found
