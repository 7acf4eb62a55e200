"""`backfill`: note every key of both stores once more, so that the relay makes the mirror equal again.

It stays within the present generation: noting a key is harmless at any time, and capture has been on all along, so
nothing that was proven is lost. (A new generation, which voids the proof and asks for the exclusive lock, is needed
only where writes may have gone unnoted; `enable` begins one.)
"""

from collections.abc import Callable
from dataclasses import dataclass

from dualwrite import capture, outbox, switch
from dualwrite.control import transition
from dualwrite.control.preview import Preview, preview
from dualwrite.exceptions import Refused
from dualwrite.stages import Role, Store
from dualwrite.stores import require_present
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State


@dataclass(frozen=True)
class Backfilled:
    """What a dry run found the relay would change, else None; and how many keys were noted."""

    stream: str
    preview: Preview | None
    noted: int


def backfill(
    stream: Stream,
    actor: Actor,
    *,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Backfilled:
    """Note all keys again.

    Raises Refused when there is no old store, the stream is not mirrored, or its first backfill is not complete
    (`enable` does both); CaptureBroken, ConcurrentChange when somebody disables it meanwhile, AlreadyRunning,
    StoreUnreachable.
    """
    require_present(Store.SCREENER, f"stream {stream.name} is not mirrored")
    transition.require_not_complete(stream)
    for store in Store:
        capture.require(stream, store)
    if dry_run:
        _require_mirrored(stream, switch.authority(stream))
        return Backfilled(stream.name, preview(stream), 0)
    with transition.only(stream, actor):
        here = switch.authority(stream)
        _require_mirrored(stream, here)
        noted = outbox.note_all(stream, here.store, here.generation, progress)
        evidence = {"noted": noted, "authority": here.store.value, "generation": here.generation}
        switch.audit(Store.REGISTRY, actor, "backfill", stream.name, evidence)
    return Backfilled(stream.name, None, noted)


def _require_mirrored(stream: Stream, here: State) -> None:
    switch.require_pair()
    follows = switch.state(stream, here.store.peer).role is Role.MIRROR
    if not (here.capture and here.backfilled and follows):
        mend = f"manage.py dualwrite enable --stream {stream.name}"
        raise Refused(f"stream {stream.name} is not mirrored to the {here.store.peer} store; {mend}")
