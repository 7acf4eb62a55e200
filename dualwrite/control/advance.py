"""`advance` and `rollback`: a stream's way through its stages, one at a time, and back where a way leads back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from dualwrite.control import transition
from dualwrite.control.asked import Asked, require_known
from dualwrite.control.enable import Enabled, enable
from dualwrite.control.gates import findings
from dualwrite.control.step import Moved, Say, closed, planned, take
from dualwrite.exceptions import ConcurrentChange, Refused, UsageError
from dualwrite.stages import Stage, Store
from dualwrite.stores import require_present
from dualwrite.stream import Stream
from dualwrite.switch import Actor

NOTHING_SAID = Asked()


def advance(
    stream: Stream,
    actor: Actor,
    *,
    to: Stage | None = None,
    asked: Asked = NOTHING_SAID,
    force: bool = False,
    dry_run: bool = False,
    progress: Say = lambda sentence: None,
) -> Moved:
    """Go one stage forward; from off this is `enable`.

    `asked` is what is taken for granted. `force` overrides the gates that may be overridden and needs a reason, as
    going to complete does. With `dry_run` nothing is changed, and `blocked` says what would refuse it. Raises
    UsageError naming the valid stage, GatesClosed, ConcurrentChange when the stage is not the one taken for granted,
    AlreadyRunning, NoOldStore, and what `enable`, `hand_over` and `complete` raise.
    """
    require_present(Store.SCREENER, f"stream {stream.name} has no stage to go to")
    _require_reason(actor, "force", force)

    def targets(here: Stage) -> tuple[Stage, ...]:
        after = _next(stream, here, to)
        _require_reason(actor, f"going to {after}", after.ends_the_way_back and not dry_run)
        return (after,)

    seen = _stage(stream, asked, to)
    if seen is Stage.OFF:
        targets(seen)
        return _enabled(stream, actor, force, dry_run, progress)
    return _go(stream, actor, Way(seen, targets, to if asked.seen is None else None), force, dry_run, progress)


def rollback(
    stream: Stream,
    actor: Actor,
    *,
    to: Stage | None = None,
    asked: Asked = NOTHING_SAID,
    force: bool = False,
    dry_run: bool = False,
    progress: Say = lambda sentence: None,
) -> Moved:
    """Go one stage back, or step by step to an earlier one; needs a reason.

    Each step has its own gates and its own row; refused in between, the steps before it stay done. Raises UsageError
    naming the valid stages, Refused from complete or without an old store, and the rest as `advance` does.
    """
    require_present(Store.SCREENER, f"stream {stream.name} has no stage to go back to")
    _require_reason(actor, "rollback", not dry_run)
    way = Way(_stage(stream, asked, to), lambda here: _back(stream, here, to), to if asked.seen is None else None)
    return _go(stream, actor, way, force, dry_run, progress)


@dataclass(frozen=True)
class Way:
    """From the stage that was seen; `to` where that is wanted from wherever it is by then."""

    seen: Stage
    targets: Callable[[Stage], tuple[Stage, ...]]
    to: Stage | None


def _stage(stream: Stream, asked: Asked, to: Stage | None) -> Stage:
    """The stage, as whoever asks knows it; who says where to go means that from wherever it is."""
    here = transition.stage_of(stream)
    require_known(stream, here, asked if to is None else Asked(asked.seen))
    return here


def _go(stream: Stream, actor: Actor, way: Way, force: bool, dry_run: bool, progress: Say) -> Moved:
    if dry_run:
        return _dry_run(stream, way.seen, way.targets(way.seen), force)
    with transition.only(stream, actor) as here:
        if here.stage is not way.seen and way.to in (None, here.stage):
            return _arrived(stream, way.seen, here, way.targets(way.seen)[-1:])
        before, steps = here.stage, []
        for after in way.targets(here.stage):
            steps.append(take(stream, actor, before, after, force=force, progress=progress))
            before = after
    return _together(steps)


def _arrived(stream: Stream, seen: Stage, here: transition.Here, wanted: tuple[Stage, ...]) -> Moved:
    """The stage has moved before anything was done: to where it was wanted, else going on is not what was asked for."""
    if not here.mended:
        raise ConcurrentChange(f"stream {stream.name} has come to stage {here.stage}")
    if here.stage not in wanted:
        raise ConcurrentChange(
            f"what was left half-done was ended: stream {stream.name} is at {here.stage} now, and no more was done"
        )
    done = transition.latest(stream)
    ended = [f"What was left half-done was ended: the stage is {here.stage}."]
    return Moved(stream.name, seen, here.stage, True, ended, [], transition=done.pk if done else None)


def _together(steps: list[Moved]) -> Moved:
    stalls = [moved.stall_seconds for moved in steps if moved.stall_seconds is not None]
    return replace(
        steps[-1],
        before=steps[0].before,
        plan=[sentence for moved in steps for sentence in moved.plan],
        gates=[gate for moved in steps for gate in moved.gates],
        stall_seconds=max(stalls) if stalls else None,
    )


def _dry_run(stream: Stream, here: Stage, targets: tuple[Stage, ...], force: bool) -> Moved:
    """Plan of all steps, and the gates of any of them; a single look that writes nothing."""
    last = targets[-1]
    found = findings(stream, last, soak=False)
    sentences, blocked = _unfinished(stream)
    for before, after in pairwise((here, *targets)):
        sentences += planned(stream, before, after)
    return Moved(stream.name, here, last, False, sentences, found, blocked=(*blocked, *closed(found, force)))


def _unfinished(stream: Stream) -> tuple[list[str], list[str]]:
    """What a transition that is not finished adds to the plan, and to what blocks it."""
    row = transition.running(stream)
    if row is None:
        return [], []
    if transition.under_way(stream):
        return [], [f"{row.sentence}, by {row.actor}, is under way"]
    return [f"First {row.sentence}, which was left half-done, is ended one way or the other."], []


def _enabled(stream: Stream, actor: Actor, force: bool, dry_run: bool, progress: Say) -> Moved:
    sentences = planned(stream, Stage.OFF, Stage.DUALWRITE)
    if dry_run:
        return _enabled_dry(stream, actor, force, sentences)
    progress("comparing both stores, then noting their keys")
    done = enable(stream, actor, force=force)
    return Moved(stream.name, Stage.OFF, Stage.DUALWRITE, done.changed, _with_preview(done, sentences), [])


def _enabled_dry(stream: Stream, actor: Actor, force: bool, sentences: list[str]) -> Moved:
    try:
        found = enable(stream, actor, force=force, dry_run=True)
    except Refused as exc:
        return Moved(stream.name, Stage.OFF, Stage.DUALWRITE, False, sentences, [], blocked=(exc.detail or str(exc),))
    sentences = _with_preview(found, sentences)
    return Moved(stream.name, Stage.OFF, Stage.DUALWRITE, False, sentences, [], blocked=found.blocked)


def _with_preview(done: Enabled, sentences: list[str]) -> list[str]:
    if done.preview is None:
        return sentences
    found = done.preview.sentence()
    return [f"{found[0].upper()}{found[1:]}.", *sentences]


def _next(stream: Stream, here: Stage, to: Stage | None) -> Stage:
    after = here.following
    if after is None:
        raise Refused(f"stream {stream.name} is at stage {here}, the last one; no way leads on or back")
    if to not in (None, after):
        raise UsageError(f"advance goes one stage at a time; stream {stream.name} is at {here}; valid: --to {after}")
    return after


def _back(stream: Stream, here: Stage, to: Stage | None) -> tuple[Stage, ...]:
    if here.ends_the_way_back:
        raise Refused(
            f"stream {stream.name} is at stage {here}, from which no way leads back: the old store has not followed "
            "since; correct the data in the registry instead, or bring it into the old store by hand"
        )
    if here.way_back is None:
        raise UsageError(
            f"no way leads back from {here}; valid: manage.py dualwrite disable --stream {stream.name}, which ends "
            "mirroring"
        )
    steps = here.steps_back_to(to or here.way_back)
    if not steps:
        valid = ", ".join(here.steps_back_to(Stage.DUALWRITE))
        raise UsageError(f"rollback leads from {here} only to an earlier stage; valid: --to {valid}")
    return steps


def _require_reason(actor: Actor, what: str, needed: bool) -> None:
    if needed and not actor.reason.strip():
        raise UsageError(f"{what} needs a reason: --reason WHY")
