"""`disable` of several streams at once, with whatever is away not waited for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dualwrite.control.disable import SPARE_SECONDS, Disabled, disable
from dualwrite.emergency.reach import away, within
from dualwrite.exceptions import DualWriteError
from dualwrite.monitoring.side_by_side import Outcome, begun
from dualwrite.monitoring.streams import why_not
from dualwrite.parameters import SWITCH_TIMEOUT_SECONDS
from dualwrite.stream import Stream
from dualwrite.switch import Actor

#: With what it takes to find out who is away, an answer within two seconds.
BROKEN_SECONDS = 1.0
STILL = "it is still being done and goes on; look at the status, or ask again"


@dataclass(frozen=True)
class Stopped:
    """What came of one stream: `done`, or `error` says why not; neither where it is still being done."""

    stream: str
    done: Disabled | None = None
    error: DualWriteError | None = None
    sentence: str = ""

    @property
    def is_stopped(self) -> bool:
        """Whether no write that starts now is noted."""
        return self.done is not None

    @property
    def pending(self) -> tuple[str, ...]:
        """What could not be done, in sentences."""
        return self.done.pending if self.done else (self.sentence,)

    def as_data(self) -> dict[str, Any]:
        """As JSON, in the shape of all verbs."""
        done = self.done
        return {
            "stream": self.stream,
            "changed": done.changed if done else None,
            "authority": done.authority if done else None,
            "pending": list(self.pending),
            "plan": list(done.plan) if done else [],
            "error": None if done else self.sentence,
        }


def stop(streams: Sequence[Stream], actor: Actor, *, dry_run: bool = False) -> list[Stopped]:
    """Disable each stream for itself; raises nothing but what is a fault of this program."""
    gone = away()
    futures = [
        begun(f"disable {stream.name}", lambda stream=stream: disable(stream, actor, dry_run=dry_run), gone)  # type: ignore[misc]
        for stream in streams
    ]
    # A switch that is under way ends by itself where both stores answer, and the stop waits for that.
    seconds = BROKEN_SECONDS if gone else SWITCH_TIMEOUT_SECONDS.value() + 2 * SPARE_SECONDS
    outcomes = within(futures, seconds)
    return [_stopped(stream, outcome) for stream, outcome in zip(streams, outcomes, strict=True)]


def _stopped(stream: Stream, outcome: Outcome[Disabled]) -> Stopped:
    if outcome.value is not None:
        return Stopped(stream.name, outcome.value)
    if outcome.error is None:
        return Stopped(stream.name, sentence=STILL)
    error = outcome.error if isinstance(outcome.error, DualWriteError) else None
    return Stopped(stream.name, error=error, sentence=why_not(outcome, BROKEN_SECONDS))
