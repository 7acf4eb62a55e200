"""`enable`: off → dualwrite. Capture on, mirror made mirror, every key of both stores noted.

The order is the protocol's (docs/protocol.md): capture before mirror, mirror before its keys are read, and both before
anything is noted. Killed anywhere, the same command does it again; a half-done one is of an older generation and can
no longer declare itself complete.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dualwrite import capture, outbox, router, switch
from dualwrite.control.preview import Preview, preview
from dualwrite.exceptions import Refused
from dualwrite.models import StreamControl
from dualwrite.parameters import DUAL_WRITE_ENABLED
from dualwrite.relay import brake
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import reaching
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State


@dataclass(frozen=True)
class Enabled:
    """What enabling found and did."""

    stream: str
    preview: Preview | None
    noted: int
    changed: bool


def enable(
    stream: Stream,
    actor: Actor,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Enabled:
    """Enable the stream; a stream enabled and backfilled already is left alone.

    Raises Refused when the parameter forbids it, when capture is not as installed, or when the mirror would lose more
    rows than the brake allows and `force` (which needs a reason) is not given.
    """
    if not DUAL_WRITE_ENABLED.value():
        raise Refused(f"{DUAL_WRITE_ENABLED.variable} is false; set it to true to enable streams")
    if force and not actor.reason:
        raise Refused("force needs a reason")
    for store in Store:
        capture.require(stream, store)
    here = switch.authority(stream)
    if dry_run:
        return _dry_run(stream, here)
    switch.pair(actor, anew=force)
    # Asked only now: pairing anew voids what was enabled with the database of before.
    here = switch.authority(stream)
    if _is_enabled(stream, here):
        _record_stage(stream)  # left out when an earlier call was killed at its last step
        return Enabled(stream.name, None, 0, changed=False)
    found = preview(stream)
    _require_few_deletes(stream, found, force)
    noted = _enable(stream, here.store, actor, found, force, progress)
    return Enabled(stream.name, found, noted, changed=True)


def _dry_run(stream: Stream, here: State) -> Enabled:
    switch.require_pair()
    found = None if _is_enabled(stream, here) else preview(stream)
    return Enabled(stream.name, found, 0, changed=False)


def _is_enabled(stream: Stream, here: State) -> bool:
    return here.capture and here.backfilled and switch.state(stream, here.store.peer).role is Role.MIRROR


def _enable(
    stream: Stream,
    authority: Store,
    actor: Actor,
    found: Preview,
    force: bool,
    progress: Callable[[int, int], None],
) -> int:
    with reaching(Store.REGISTRY):
        # Confirmations of an earlier period end.
        StreamControl.objects.update_or_create(stream=stream.name, defaults={"brake_lifted_until": None})
    switch.audit(Store.REGISTRY, actor, "enable", stream.name, {**vars(found), "force": force})
    # 1. From here on every write is noted.
    generation, epoch = switch.begin_capture(stream, authority, actor)
    # 2. Relays that read something in an earlier period are refused from here on.
    switch.follow(stream, authority.peer, epoch, actor)
    router.forget_roles()
    # 3. Keys of the mirror, and 4. of the authority: the mirror may have what the authority deleted unseen.
    noted = outbox.note_all(stream, authority, generation, progress)
    if force:
        # The deletes of this backfill are confirmed, so the relay need not ask again; it may have asked already.
        newest = outbox.highest(stream, authority)
        with reaching(Store.REGISTRY):
            mine = StreamControl.objects.filter(stream=stream.name)
            mine.update(brake_lifted_until=newest, held_because="")
    # 5. Complete, unless a newer generation has begun.
    switch.mark_backfilled(stream, authority, generation, actor)
    _record_stage(stream)
    return noted


def _record_stage(stream: Stream) -> None:
    with reaching(Store.REGISTRY):
        StreamControl.objects.filter(stream=stream.name, stage=Stage.OFF).update(stage=Stage.DUALWRITE.value)


def _require_few_deletes(stream: Stream, found: Preview, force: bool) -> None:
    limit = brake.allowed(found.mirror_rows)
    if found.delete > limit and not force:
        raise Refused(
            f"enabling {stream.name}: {found.sentence()}; more than {limit} deletes need --force and --reason"
        )
