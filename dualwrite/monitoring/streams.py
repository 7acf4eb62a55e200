"""How the streams stand, asked with a limit, so that a store that is away holds nobody up."""

import logging
from collections.abc import Sequence
from typing import Any

from django.db import Error as DatabaseError

from dualwrite.control.status import Gate, stream_status
from dualwrite.exceptions import DualWriteError
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.stream import Stream

log = logging.getLogger(__name__)

LIMIT_SECONDS = 5.0


def stream_rows(streams: Sequence[Stream]) -> list[dict[str, Any]]:
    """The rows of `dualwrite status --json`; one that could not be asked says so under `blocked_by`."""
    outcomes = side_by_side([task(stream) for stream in streams])
    return [row(stream, outcome) for stream, outcome in zip(streams, outcomes, strict=True)]


def task(stream: Stream) -> Task[dict[str, Any]]:
    """The stream's status as a question for `side_by_side`."""
    return Task(f"stream {stream.name}", lambda: stream_status(stream), LIMIT_SECONDS)


def row(stream: Stream, outcome: Outcome[dict[str, Any]]) -> dict[str, Any]:
    """The row asked for, or one that says why there is none."""
    if outcome.value is not None:
        return outcome.value
    return _unknown(stream, why(outcome))


def why(outcome: Outcome[Any]) -> str:
    """Why there is no answer, in a sentence fit to be shown."""
    return why_not(outcome, LIMIT_SECONDS)


def why_not(outcome: Outcome[Any], limit_seconds: float) -> str:
    """The same of a question with a limit of its own."""
    if outcome.error is None:
        return f"no answer within {limit_seconds:g} s"
    if isinstance(outcome.error, DualWriteError):
        return str(outcome.error)
    if isinstance(outcome.error, DatabaseError):
        return f"a database did not do what was asked ({type(outcome.error).__name__})"
    log.error("a question failed unexpectedly", exc_info=outcome.error)
    return f"unexpected error ({type(outcome.error).__name__}); the log has it"


def _unknown(stream: Stream, because: str) -> dict[str, Any]:
    return {
        "name": stream.name,
        "stage": None,
        "authority": None,
        "mirroring": None,
        "verified": False,
        "epoch": None,
        "outbox": {"pending": None, "pending_is_estimate": None, "oldest_age_seconds": None},
        "lag_seconds": None,
        "parked": None,
        "relayed_total": None,
        "last_validation": None,
        "transition": None,
        "breaker": None,
        "rollback_ready": False,
        "blocked_by": [vars(Gate("status", because, "manage.py run_health_checks"))],
    }
