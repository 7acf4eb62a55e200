"""How an attempt ended, and when it is tried again. Pure, but for the die."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom
from typing import Any

from dualwrite.exceptions import AlreadyRunning, first_line, may_pass
from dualwrite.models import TaskStatus

ATTEMPTS = 3
#: Before the second attempt, doubled before each further one, and up to half of it more or less.
PAUSE_SECONDS = 20.0
MOST_SENTENCE = 2_000
FAILED, REFUSED = "failed", "refused"


@dataclass(frozen=True)
class Outcome:
    """The status of the attempt, a sentence where there is one, and whether another attempt may come out otherwise."""

    status: TaskStatus
    sentence: str = ""
    again: bool = False


def of_result(result: Any) -> Outcome:
    """What the work returned: parts of it may have failed, or been refused, which they say themselves."""
    parts = list(_parts(result))
    said = "; ".join(f"{_name(part)}: {part['sentence']}" for part in parts if part.get("sentence"))[:MOST_SENTENCE]
    if any(part.get("status") == FAILED for part in parts):
        return Outcome(TaskStatus.FAILED, said, again=True)
    if parts and all(part.get("status") == REFUSED for part in parts):
        return Outcome(TaskStatus.REFUSED, said)
    return Outcome(TaskStatus.DONE, said)


def of_error(exc: BaseException) -> Outcome:
    """What the work raised."""
    sentence = first_line(exc)[:MOST_SENTENCE]
    if isinstance(exc, AlreadyRunning):
        return Outcome(TaskStatus.REFUSED, sentence)
    return Outcome(TaskStatus.FAILED, sentence, again=may_pass(exc))


def pause(attempt: int, luck: float | None = None) -> timedelta:
    """How long to wait after that attempt; `luck`: from 0 to 1, at random unless given."""
    spread = 0.5 + (SystemRandom().random() if luck is None else luck)
    return timedelta(seconds=PAUSE_SECONDS * 2 ** (attempt - 1) * spread)


def next_due(attempt: int, now: datetime, expires_at: datetime | None, luck: float | None = None) -> datetime | None:
    """When the next attempt is due; None when there is none: too many, or the next occurrence comes first."""
    due = now + pause(attempt, luck)
    if attempt >= ATTEMPTS or (expires_at is not None and due >= expires_at):
        return None
    return due


def _parts(result: Any) -> Iterator[Mapping[str, Any]]:
    for part in result if isinstance(result, list) else [result]:
        if isinstance(part, Mapping):
            yield part


def _name(part: Mapping[str, Any]) -> str:
    """The first thing a part says is what it is about."""
    return str(next(iter(part.values())))
