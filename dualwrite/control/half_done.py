"""What of a stream is under way or was left half-done, told for people; nothing is changed here."""

from dataclasses import dataclass

from dualwrite.control import transition
from dualwrite.exceptions import DualWriteError
from dualwrite.models import StreamControl
from dualwrite.stages import Role, Stage
from dualwrite.stream import Stream
from dualwrite.switch import State

#: Whatever looks at the stream settles it; this command does so at once.
SETTLES = "manage.py run_health_checks settles it"


@dataclass(frozen=True)
class Unfinished:
    """A sentence, and whether a process is at work on it."""

    sentence: str
    under_way: bool


def unfinished(stream: Stream, control: StreamControl | None, state: State | None) -> Unfinished | None:
    """What is not finished, and what finishes it; None when nothing is, as far as can be told.

    `control` is None when the registry cannot be asked, `state`, the authority's, when it is not known.
    """
    try:
        alive = transition.under_way(stream)
        row = transition.running(stream)
    except DualWriteError:
        alive, row = False, None  # that the registry is away is said elsewhere
    left = _left(stream, control, state)
    if row is None:
        return Unfinished(left, alive) if left else None
    since = f"{row.sentence}, by {row.actor} since {row.started_at:%Y-%m-%d %H:%M:%S %Z}"
    if alive:
        return Unfinished(f"{since}, is under way", under_way=True)
    return Unfinished(f"{since}, was left half-done; {left or SETTLES}", under_way=False)


def _left(stream: Stream, control: StreamControl | None, state: State | None) -> str | None:
    if state is None:
        return None
    enable = f"manage.py dualwrite enable --stream {stream.name}"
    if state.role is Role.FENCED:
        return f"switch: the {state.store} store is fenced at epoch {state.epoch}; unless it is under way, {SETTLES}"
    if control is None:
        return None
    stage = Stage(control.stage)
    if stage.authority is not state.store:
        return f"switch: the stage is {stage}, but the {state.store} store takes the writes; {SETTLES}"
    if state.capture and stage.ends_the_way_back:
        return f"going to {stage}: writes are still noted; {SETTLES}"
    if state.capture and not state.backfilled:
        return f"enable: the backfill is not complete; {enable}"
    if state.capture and stage is Stage.OFF:
        return f"enable: the stage is not recorded; {enable}"
    return None
