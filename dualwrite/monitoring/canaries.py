"""A canary through every stream that is relayed: noted, applied, timed. Sent by the periodic look alone.

How it can fail, and the answer: a relay stands still → the canary is given up after its own limit, and that is what is
recorded; a database says nothing → the limit of the question; a stream is off, paused or complete → none is sent.
"""

from dataclasses import dataclass

from dualwrite import switch
from dualwrite.control.canary import canary
from dualwrite.exceptions import DualWriteError
from dualwrite.monitoring.side_by_side import Outcome, Task, side_by_side
from dualwrite.monitoring.status import Status
from dualwrite.monitoring.streams import why
from dualwrite.parameters import CANARY_TIMEOUT_SECONDS
from dualwrite.stream import Stream, all_streams
from dualwrite.validation.standing import reason_to_skip

#: Beside the wait for the relay: finding a row, a free moment, a relay that is starting.
SPARE_SECONDS = 10.0


@dataclass(frozen=True)
class Flown:
    """What became of a canary."""

    stream: str
    status: Status
    seconds: float
    error: str = ""


def fly() -> list[Flown]:
    """Send one through each stream, side by side; streams through which none is to be sent are left out."""
    streams = all_streams()
    outcomes = side_by_side([_task(stream) for stream in streams])
    flown = [_flown(stream, outcome) for stream, outcome in zip(streams, outcomes, strict=True)]
    return [one for one in flown if one is not None]


@dataclass(frozen=True)
class _Answer:
    """Whether one was sent, and why it did not come through."""

    sent: bool
    why: str = ""


def _task(stream: Stream) -> Task[_Answer]:
    def ask() -> _Answer:
        if reason_to_skip(stream):
            return _Answer(sent=False)
        found = canary(stream, switch.authority(stream).store)
        return _Answer(sent=True, why=found.why)

    return Task(f"canary {stream.name}", ask, _patience() + SPARE_SECONDS)


def _patience() -> float:
    try:
        return float(CANARY_TIMEOUT_SECONDS.value())
    except DualWriteError:
        return float(CANARY_TIMEOUT_SECONDS.default)


def _flown(stream: Stream, outcome: Outcome[_Answer]) -> Flown | None:
    if outcome.value is None:
        status = Status.UNKNOWN if isinstance(outcome.error, DualWriteError) else Status.DOWN
        return Flown(stream.name, status, outcome.seconds, _error(outcome))
    if not outcome.value.sent:
        return None
    status = Status.DOWN if outcome.value.why else Status.UP
    return Flown(stream.name, status, outcome.seconds, outcome.value.why)


def _error(outcome: Outcome[_Answer]) -> str:
    return why(outcome) if outcome.error is not None else f"no end within {outcome.seconds:.0f} s"
