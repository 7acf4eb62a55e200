"""How a stream stands, as far as readers need it: read once a second, and remembered where it cannot be read."""

import threading
import time
from dataclasses import dataclass

from dualwrite import switch
from dualwrite.exceptions import DualWriteError, StoreUnreachable
from dualwrite.models import StreamControl
from dualwrite.stages import Stage, Store
from dualwrite.stores import failing, first_stage
from dualwrite.stream import Stream

MAX_AGE_SECONDS = 1.0


@dataclass(frozen=True)
class Standing:
    """The stage, and whether the other store follows now: neither paused, held, disabled nor yet to be filled."""

    stage: Stage
    follows: bool


_known: dict[str, tuple[float, Standing]] = {}
_reading = threading.Lock()


def standing(stream: Stream) -> Standing:
    """How it stands, a second old at most; of before where the registry is away.

    Raises StoreUnreachable, AuthorityUnknown where nothing is known.
    """
    read_at, known = _known.get(stream.name, (float("-inf"), None))
    if known is not None and time.monotonic() - read_at < MAX_AGE_SECONDS:
        return known
    # One thread of a process asks; the others go on with what was known.
    if not _reading.acquire(blocking=known is None) and known is not None:
        return known
    try:
        found = _read(stream, known)
    finally:
        _reading.release()
    _known[stream.name] = (time.monotonic(), found)
    return found


def forget() -> None:
    """Read afresh, as a new process would."""
    _known.clear()


def _read(stream: Stream, known: Standing | None) -> Standing:
    try:
        with failing(Store.REGISTRY):
            control = StreamControl.objects.filter(stream=stream.name).first()
    except StoreUnreachable:
        if known is not None:
            return known
        # The old store knows by itself whether it takes the writes; nothing is compared or rolled out meanwhile.
        taking = switch.authority(stream).store
        return Standing(Stage.OFF if taking is Store.SCREENER else Stage.COMPLETE, follows=False)
    stage = Stage(control.stage) if control else first_stage()
    still = control is None or control.paused or bool(control.held_because)
    return Standing(stage, follows=stage.compares and not still and _is_filled(stream))


def _is_filled(stream: Stream) -> bool:
    """Whether everything that is written is captured, and everything there was has been."""
    try:
        found = switch.authority(stream)
    except DualWriteError:
        # The authority's own answer will say so; the mirror is not to stand in for it.
        return False
    return found.capture and found.backfilled and not found.distrusted
