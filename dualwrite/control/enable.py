"""`enable`: off → dualwrite, or the end of a `disable` at a later stage, in whichever direction is in force there.

Capture on, mirror made mirror, every key of both stores noted; the stage changes from off only. The order is the
protocol's (docs/protocol.md): capture before mirror, mirror before its keys are read, and both before anything is
noted. Killed anywhere, the same command does it again; a half-done one is of an older generation and can no longer
declare itself complete.
"""

from collections.abc import Callable
from dataclasses import dataclass

from dualwrite import capture, outbox, router, switch
from dualwrite.control import transition
from dualwrite.control.preview import Preview, preview
from dualwrite.control.reasons import require_reason
from dualwrite.exceptions import ConcurrentChange, Refused
from dualwrite.failpoints import reach
from dualwrite.models import StreamControl
from dualwrite.parameters import DUAL_WRITE_ENABLED
from dualwrite.relay import brake
from dualwrite.stages import Role, Stage, Store
from dualwrite.stores import reaching, require_present
from dualwrite.stream import Stream
from dualwrite.switch import Actor, State


@dataclass(frozen=True)
class Enabled:
    """What enabling found and did. `blocked`: of a dry run, why it would be refused."""

    stream: str
    preview: Preview | None
    noted: int
    changed: bool
    blocked: tuple[str, ...] = ()


def enable(
    stream: Stream,
    actor: Actor,
    *,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Enabled:
    """Enable the stream; a stream enabled and backfilled already is left alone.

    Raises UsageError for `force` without a reason; Refused when there is no old store, when the parameter forbids it,
    when capture is not as installed, at stage complete, or when the mirror would lose more rows than the brake allows
    and `force` is not given; AlreadyRunning.
    """
    require_present(Store.SCREENER, f"stream {stream.name} cannot be mirrored")
    if not DUAL_WRITE_ENABLED.value():
        raise Refused(f"{DUAL_WRITE_ENABLED.variable} is false; set it to true to enable streams")
    require_reason(actor, "force", needed=force)
    transition.require_not_complete(stream)
    for store in Store:
        capture.require(stream, store)
    if dry_run:
        return _dry_run(stream, force)
    with transition.only(stream, actor):
        # Pairing anew ends the mirroring of every stream, so it is not begun for one that cannot be enabled.
        transition.require_not_complete(stream)
        switch.pair(actor, anew=force)
        # Stores that were no pair until now may have been left half-done.
        transition.mend(stream, actor)
        transition.require_not_complete(stream)
        stage = transition.stage_of(stream)
        # Asked only now: pairing anew voids what was enabled with the database of before.
        here = switch.authority(stream)
        if _is_enabled(stream, here):
            return Enabled(stream.name, None, 0, changed=False)
        found = preview(stream)
        if not force:
            _require_few_deletes(stream, found)
        noted = _recorded(stream, stage, here, actor, found, force, progress)
    return Enabled(stream.name, found, noted, changed=True)


def _dry_run(stream: Stream, force: bool) -> Enabled:
    switch.require_pair()
    if _is_enabled(stream, switch.authority(stream)):
        return Enabled(stream.name, None, 0, changed=False)
    found = preview(stream)
    return Enabled(stream.name, found, 0, changed=False, blocked=() if force else _too_many_deletes(found))


def _is_enabled(stream: Stream, here: State) -> bool:
    there = switch.state(stream, here.store.peer)
    return here.capture and here.backfilled and there.role is Role.MIRROR and not there.distrusted


def _recorded(
    stream: Stream,
    stage: Stage,
    here: State,
    actor: Actor,
    found: Preview,
    force: bool,
    progress: Callable[[int, int], None],
) -> int:
    if stage is not Stage.OFF:
        return _enable(stream, here, actor, found, force, progress)
    noted = 0
    with transition.recorded(stream, Stage.OFF, Stage.DUALWRITE, actor, forced=force) as row:
        noted = _enable(stream, here, actor, found, force, progress)
        transition.done(row, actor)
    return noted


def _enable(
    stream: Stream,
    here: State,
    actor: Actor,
    found: Preview,
    force: bool,
    progress: Callable[[int, int], None],
) -> int:
    authority = here.store
    with reaching(Store.REGISTRY):
        # Confirmations of an earlier period end.
        StreamControl.objects.update_or_create(stream=stream.name, defaults={"brake_lifted_until": None})
    switch.audit(Store.REGISTRY, actor, "enable", stream.name, {**vars(found), "force": force})
    reach("enable begun")
    # 1. From here on every write is noted.
    generation, epoch = switch.begin_capture(stream, authority, actor)
    reach("enable captured")
    _require_not_disabled(stream, here, generation, actor)
    # 2. Relays that read something in an earlier period are refused from here on.
    switch.follow(stream, authority.peer, epoch, actor)
    router.forget_roles()
    reach("enable followed")
    # 3. Keys of the mirror, and 4. of the authority: the mirror may have what the authority deleted unseen.
    noted = outbox.note_all(stream, authority, generation, progress)
    if force:
        # The deletes of this backfill are confirmed, so the relay need not ask again; it may have asked already.
        newest = outbox.highest(stream, authority)
        with reaching(Store.REGISTRY):
            mine = StreamControl.objects.filter(stream=stream.name)
            mine.update(brake_lifted_until=newest, held_because="")
    reach("enable noted")
    # 5. Complete, unless a newer generation has begun.
    switch.mark_backfilled(stream, authority, generation, actor)
    reach("enable backfilled")
    return noted


def _require_not_disabled(stream: Stream, here: State, generation: int, actor: Actor) -> None:
    """Whoever disabled the stream since this began raised the generation, and is to have the last word."""
    if generation != here.generation + 1:
        switch.end_capture(stream, here.store, actor)
        raise ConcurrentChange(f"stream {stream.name} was disabled meanwhile")


def _require_few_deletes(stream: Stream, found: Preview) -> None:
    if _too_many_deletes(found):
        limit = brake.allowed(found.mirror_rows)
        raise Refused(
            f"enabling {stream.name}: {found.sentence()}; more than {limit} deletes need --force and --reason"
        )


def _too_many_deletes(found: Preview) -> tuple[str, ...]:
    """What is asked before the mirror loses more than the relay's brake lets pass; else nothing."""
    limit = brake.allowed(found.mirror_rows)
    if found.delete <= limit:
        return ()
    asked = f"{found.delete} rows of the mirror would be deleted, more than {limit}: is it the right store?"
    return (f"{asked} It needs force and a reason.",)
