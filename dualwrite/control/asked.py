"""What whoever asks for another stage takes for granted, so that nobody acts on a stage he does not know of.

Two operators roll back at the same moment: one stage back is what both want, and two are what they would get. A second
one at work is refused by the lock; one who comes a moment later, by what stands here.
"""

from dataclasses import dataclass
from datetime import datetime

from dualwrite.control import transition
from dualwrite.exceptions import ConcurrentChange
from dualwrite.models import TransitionStatus
from dualwrite.stages import Stage
from dualwrite.stream import Stream


@dataclass(frozen=True)
class Asked:
    """`seen`: the stage the stream is believed to be at; `at`: the moment of asking. None: not said."""

    seen: Stage | None = None
    at: datetime | None = None


def require_known(stream: Stream, here: Stage, asked: Asked) -> None:
    """Raise ConcurrentChange when the stage is not the one believed, or, where none was said, newer than the asking."""
    if asked.seen not in (None, here):
        raise ConcurrentChange(f"stream {stream.name} is at stage {here}, not at {asked.seen}")
    if asked.seen is None and asked.at is not None:
        _require_older(stream, here, asked.at)


def _require_older(stream: Stream, here: Stage, moment: datetime) -> None:
    row = transition.latest(stream)
    if row is None or row.status != TransitionStatus.DONE or row.finished_at is None or row.finished_at < moment:
        return
    raise ConcurrentChange(
        f"{row.sentence} of stream {stream.name}, by {row.actor}, ended after this was asked for; if it is to go on "
        f"from {here}, say so with --from {here}"
    )
